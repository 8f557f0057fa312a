"""A photograph to try things on, with a rough mask and a trimap: see README.md in this folder."""
