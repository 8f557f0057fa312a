"""The subject of a photo by clicks or a box, with SAM 2."""

from __future__ import annotations

from ..errors import MEMatteError
from ..images.photo import Photo
from ..progress import Progress
from .found import SubjectMask
from .prompts import Prompt


def segment_prompt(
    photo: Photo,
    prompt: Prompt,
    *,
    previous: SubjectMask | None = None,
    model: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> SubjectMask:
    raise MEMatteError("not built yet")
