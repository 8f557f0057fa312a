"""Finding the subject of a photo without a trimap: by itself, by clicks, in a box, by a word."""
