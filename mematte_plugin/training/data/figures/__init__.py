"""Subjects in 3D: `subjects` says what is there, in plain numpy; `drawing` draws it."""
