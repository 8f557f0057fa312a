"""The colours of the foreground, and the shape of its edge."""
