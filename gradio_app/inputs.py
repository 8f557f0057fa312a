"""What a job starts from: the photo and the guide, as files or a painting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mematte_plugin import (
    BAND_INSIDE,
    BAND_OUTSIDE,
    InputError,
    Photo,
    SubjectMask,
    from_mask,
    from_painting,
    from_soft,
    normalise_trimap,
    read_photo,
)

from .settings import Settings


@dataclass(frozen=True, eq=False)
class Guide:
    """What says where the subject is."""

    kind: Literal["trimap", "mask", "alpha", "painting"]
    source: Path | NDArray[np.uint8] | SubjectMask
    """An uploaded file; of a painting the `Stroke` labels (h, w), on a smaller copy of the photo;
    or as an alpha, what was found."""
    inside: float = BAND_INSIDE
    """How far the unknown band reaches into a mask, in % of the subject's size."""
    outside: float = BAND_OUTSIDE
    """How far it reaches outward."""


def read_upload(path: Path, settings: Settings) -> Photo:
    """An uploaded photograph, called by its file name in messages.

    Raises InputError for anything but a picture, and for one above the settings' limit.
    """
    return read_photo(_bytes(path, path.name), name=path.name, max_pixels=settings.max_pixels)


def trimap_of(guide: Guide, size: tuple[int, int], settings: Settings) -> NDArray[np.uint8]:
    """The trimap (H, W) uint8 of 0, 128 and 255 that a guide stands for.

    size: (H, W) of the photo.

    Raises InputError for a guide that does not fit the photo or says nothing.
    """
    band: dict[str, Any] = {"inside": guide.inside, "outside": guide.outside}
    source = guide.source
    if guide.kind == "painting" and isinstance(source, np.ndarray):
        return from_painting(source, size, **band)
    if isinstance(source, SubjectMask):  # its own softness makes the band
        return replace(source, size=size).trimap()
    assert isinstance(source, Path)
    given = _bytes(source, guide.kind)
    if guide.kind == "alpha":
        return from_soft(given, size=size, max_pixels=settings.max_pixels)
    if guide.kind == "mask":
        return from_mask(given, size=size, max_pixels=settings.max_pixels, **band)
    three = normalise_trimap(given, size, max_pixels=settings.max_pixels)
    return np.rint(three * 255).astype(np.uint8)  # 0.5 becomes 128


def soft_mask(guide: Guide, settings: Settings) -> bytes | SubjectMask:
    """An alpha as `cut` takes it.

    Raises InputError for a file that is not a picture or too large.
    """
    if isinstance(guide.source, SubjectMask):
        return guide.source
    assert isinstance(guide.source, Path)
    given = _bytes(guide.source, guide.kind)
    read_photo(given, name=guide.kind, max_pixels=settings.max_pixels)
    return given


def _bytes(path: Path, name: str) -> bytes:
    """A file's content, read here so that messages do not show where uploads are."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{name}: the uploaded file is gone; upload it again") from error
