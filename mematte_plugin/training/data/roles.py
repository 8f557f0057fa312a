"""Folder names of matting data sets, and what the pictures in them are."""

from __future__ import annotations

import re
from pathlib import Path

CUTOUTS = ("fg", "foreground", "foregrounds")
"""Subjects, each with its alpha in another folder; all names in lower case."""
PHOTOS = ("original", "originals", "image", "images")
"""Photos with a subject."""
ALPHAS = ("alpha", "alphas", "gt", "mask", "masks", "matte", "mattes")
BACKGROUNDS = ("bg", "background", "backgrounds")
IGNORED = re.compile(r"trimaps?([_-].*)?|merged|alpha_copy")
"""Trimaps, and composites of subjects that are also there alone."""


def is_of_pairs(path: Path, place: Path) -> bool:
    """Whether a picture below `place` belongs to subjects with alphas, and is not a background."""
    for folder in path.relative_to(place).parents:
        name = folder.name.lower()
        if name in {*CUTOUTS, *PHOTOS, *ALPHAS} or IGNORED.fullmatch(name):
            siblings = (place / folder).parent.iterdir()
            names = {one.name.lower() for one in siblings if one.is_dir()}
            if names & {*ALPHAS} and names & {*CUTOUTS, *PHOTOS}:
                return True
    return False
