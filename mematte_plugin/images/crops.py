"""A crop of a picture, and how each file format records where in the whole it was."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

# TIFF's tags, which EXIF has too.
_X_POSITION, _Y_POSITION = 286, 287  # the offset in units of the resolution
_FULL_WIDTH, _FULL_HEIGHT = 33300, 33301  # Pixar's, which OpenImageIO reads: the whole in pixels
_RATIONAL, _LONG = 5, 4
_DENOMINATOR = 10**4


@dataclass(frozen=True)
class Crop:
    """Where a crop lies in the whole picture; all in pixels."""

    left: int
    """Columns left of it."""
    top: int
    """Rows above it."""
    width: int
    """Its own width."""
    height: int
    """Its own height."""
    full_width: int
    """Width of the whole."""
    full_height: int
    """Height of the whole."""

    @property
    def box(self) -> tuple[slice, slice]:
        """Its rows and columns in the whole picture."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    @staticmethod
    def around(crops: Sequence[Crop]) -> Crop:
        """The smallest crop that holds all of these, of pictures of one size."""
        left, top = min(crop.left for crop in crops), min(crop.top for crop in crops)
        right = max(crop.left + crop.width for crop in crops)
        bottom = max(crop.top + crop.height for crop in crops)
        first = crops[0]
        return Crop(left, top, right - left, bottom - top, first.full_width, first.full_height)

    def __str__(self) -> str:
        return (
            f"cropped to {self.width}×{self.height} at {self.left}, {self.top} of"
            f" {self.full_width}×{self.full_height}"
        )

    def to_dict(self) -> dict[str, int]:
        """The fields, JSON-ready."""
        return asdict(self)


def crop_around(alpha: np.ndarray, margin: int, least: float) -> Crop | None:
    """The box around every alpha of at least `least`, and a margin of pixels; None if empty."""
    height, width = alpha.shape
    seen = alpha >= least
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not rows.size:
        return None
    top, left = max(0, int(rows[0]) - margin), max(0, int(columns[0]) - margin)
    bottom = min(height, int(rows[-1]) + 1 + margin)
    right = min(width, int(columns[-1]) + 1 + margin)
    return Crop(left, top, right - left, bottom - top, width, height)


# ---- in files ------------------------------------------------------------------------------------


def png_chunks(crop: Crop | None) -> list[tuple[bytes, bytes]]:
    """oFFs, a registered chunk; and caNv, from which ImageMagick takes the whole's size."""
    if crop is None:
        return []
    place = (crop.full_width, crop.full_height, crop.left, crop.top)
    return [
        (b"oFFs", struct.pack(">iiB", crop.left, crop.top, 0)),  # 0: pixels
        (b"caNv", struct.pack(">IIii", *place)),
    ]


def tiff_tags(
    crop: Crop | None, dpi: tuple[float, float] | None
) -> list[tuple[int, int, int, Any, bool]]:
    """Extra tags as tifffile takes them: offset in units of the resolution, size of the whole."""
    if crop is None:
        return []
    x, y = _positions(crop, dpi)
    return [
        (_X_POSITION, _RATIONAL, 1, (x.numerator, x.denominator), True),
        (_Y_POSITION, _RATIONAL, 1, (y.numerator, y.denominator), True),
        (_FULL_WIDTH, _LONG, 1, crop.full_width, True),
        (_FULL_HEIGHT, _LONG, 1, crop.full_height, True),
    ]


def exif_tags(crop: Crop | None, dpi: tuple[float, float] | None) -> dict[int, Any]:
    """The same in EXIF, for JPEG and WebP."""
    if crop is None:
        return {}
    from PIL.TiffImagePlugin import IFDRational

    x, y = (IFDRational(at.numerator, at.denominator) for at in _positions(crop, dpi))
    return {
        _X_POSITION: x,
        _Y_POSITION: y,
        _FULL_WIDTH: crop.full_width,
        _FULL_HEIGHT: crop.full_height,
    }


def exr_windows(crop: Crop | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The data window inside the display window."""
    if crop is None:
        return {}

    def window(left: int, top: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        first, last = (left, top), (left + width - 1, top + height - 1)
        return np.array(first, np.int32), np.array(last, np.int32)

    return {
        "dataWindow": window(crop.left, crop.top, crop.width, crop.height),
        "displayWindow": window(0, 0, crop.full_width, crop.full_height),
    }


def _positions(crop: Crop, dpi: tuple[float, float] | None) -> tuple[Fraction, Fraction]:
    """Offsets in inches, or in pixels without a resolution."""
    across, down = (
        Fraction(value).limit_denominator(_DENOMINATOR) if value > 0 else Fraction(1)
        for value in dpi or (1.0, 1.0)
    )
    x, y = crop.left / across, crop.top / down
    return x.limit_denominator(_DENOMINATOR), y.limit_denominator(_DENOMINATOR)
