"""Checkpoints: where they come from, which layouts there are, how they are read and written."""
