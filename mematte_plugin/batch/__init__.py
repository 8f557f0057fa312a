"""Folders of photographs: finding pairs, resuming, sharing the work."""
