"""The subject of a photo by a segmentation network in ONNX: nothing is asked."""

from __future__ import annotations

from ..errors import MEMatteError
from ..images.photo import Photo
from ..progress import Progress
from .found import SubjectMask


def segment(
    photo: Photo, *, model: str | None = None, progress: Progress | None = None
) -> SubjectMask:
    raise MEMatteError("not built yet")
