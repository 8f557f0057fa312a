"""Photographs and pictures: reading what people hand in, and writing results whole."""
