"""Trimaps: from a mask, a soft alpha, strokes or a painting, and the unknown band."""
