"""Measuring mattes against a true alpha."""
