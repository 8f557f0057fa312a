"""The subject of a photo by a word: Grounding DINO gives the box, or SAM 3 the mask."""

from __future__ import annotations

from ..errors import MEMatteError
from ..images.photo import Photo
from ..progress import Progress
from .found import SubjectMask


def find_words(
    photo: Photo,
    words: str,
    *,
    model: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> SubjectMask:
    raise MEMatteError("not built yet")
