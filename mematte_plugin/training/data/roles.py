"""The folders of matting data sets: what the pictures in them are, by the folders' names."""

from __future__ import annotations

import re
from pathlib import Path

CUTOUTS = ("fg", "foreground", "foregrounds")
"""Of subjects, each with its alpha in another folder; all names in small letters."""
PHOTOS = ("original", "originals", "image", "images")
"""Of photographs with a subject."""
ALPHAS = ("alpha", "alphas", "gt", "mask", "masks", "matte", "mattes")
BACKGROUNDS = ("bg", "background", "backgrounds")
IGNORED = re.compile(r"trimaps?([_-].*)?|merged|alpha_copy")
"""Of trimaps, and of composites of subjects that lie there alone as well."""


def is_of_pairs(path: Path, place: Path) -> bool:
    """Whether a picture below `place` belongs to subjects with alphas: it is no background."""
    for folder in path.relative_to(place).parents:
        name = folder.name.lower()
        if name in {*CUTOUTS, *PHOTOS, *ALPHAS} or IGNORED.fullmatch(name):
            beside = (place / folder).parent.iterdir()
            names = {one.name.lower() for one in beside if one.is_dir()}
            if names & {*ALPHAS} and names & {*CUTOUTS, *PHOTOS}:
                return True
    return False
