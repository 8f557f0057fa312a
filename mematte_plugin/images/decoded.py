"""What the readers of all formats share: their result, the size limit, orientation, profiles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ..errors import InputError
from .colour_tags import ColourTags
from .profiles import for_rgb

MAX_PIXELS = 300_000_000
"""Largest picture that is decoded, by its header: every camera fits (8K is 33 MP), no bomb does."""

STRAIGHT_ALPHA = "oiio:UnassociatedAlpha"
"""OpenImageIO's attribute for an EXR whose colours are not premultiplied."""

HALF_MAX = 65504.0
"""The largest half float."""

Role: TypeAlias = Literal["photo", "mask", "trimap", "background"]
"""What a picture is for."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadOptions:
    """What a file is read for."""

    role: Role = "photo"
    """Decides which channels of an EXR are taken, and whether integer ids are refused."""
    layer: str | None = None
    """The layer or part of an EXR to take; None for the one that the role means."""
    max_pixels: int = MAX_PIXELS
    """Larger pictures are refused by their header."""


@dataclass(eq=False)
class Decoded:
    """One decoded picture, upright.

    pixels: (H, W), (H, W, 3) or (H, W, 4), uint8, uint16 or float32; alpha is straight.
    icc_profile: the profile the colours are meant in; None for sRGB or unknown.
    dpi: dots per inch, (horizontal, vertical).
    linear: the colours are scene-linear light (EXR).
    tags: what the file says of its colours other than by a profile.
    borrowed: the pixels may be memory of the caller's array or tensor, which may change.
    indices: (H, W) uint8, of a picture with a palette: which of its colours; they may be labels.
    lossy: it comes from a format that changes values a little (JPEG).
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    linear: bool = False
    borrowed: bool = False
    tags: ColourTags | None = None
    indices: np.ndarray | None = None
    lossy: bool = False


@dataclass(frozen=True)
class Header:
    """What a file says of its picture."""

    height: int
    """H in pixels, upright."""
    width: int
    """W in pixels, upright."""
    depth: int
    """Bytes of one colour value once it is decoded: 1, 2 or 4."""


Reading: TypeAlias = Generator[Header, None, Decoded]
"""How a format is read: its header first, and if that is wanted, the pixels."""


def header_of(
    height: int, width: int, bits: int, orientation: int = 1, tags: ColourTags | None = None
) -> Header:
    """The header of a picture that is stored with this size, depth and EXIF orientation.

    PQ and HLG become linear light, which is float.
    """
    if orientation >= 5:
        height, width = width, height
    hdr = tags is not None and isinstance(tags.transfer, str)
    return Header(height, width, 4 if hdr else 2 if bits > 8 else 1)


def check_size(height: int, width: int, name: str, max_pixels: int) -> None:
    """Refuse what has no pixels or, by its header, more than the limit."""
    if height < 1 or width < 1:
        raise InputError(f"{name}: is {width}×{height}, without a single pixel; give a picture")
    if height * width > max_pixels:
        # Front ends show this too; their users have no Python to set the limit in.
        hint = " (or in Python: read_photo(…, max_pixels=…))" if max_pixels == MAX_PIXELS else ""
        raise InputError(
            f"{name}: claims {width}×{height} pixels, {height * width / 1e6:.0f} megapixels; the"
            f" limit is {max_pixels / 1e6:.0f}: crop it or scale it down first{hint}"
        )


def check_shape(pixels: np.ndarray, height: int, width: int, name: str) -> None:
    """Refuse pixels that do not agree with their header."""
    if pixels.shape[:2] != (height, width):
        raise InputError(
            f"{name}: its header says {width}×{height}, its pixels are"
            f" {pixels.shape[1]}×{pixels.shape[0]}; export it again"
        )


def upright(decoded: Decoded, orientation: int) -> Decoded:
    """Undo the camera's rotation: EXIF/TIFF orientation 1 to 8; anything else is taken as 1."""
    turns: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.swapaxes(a, 0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
        8: np.rot90,
    }
    turn = turns.get(orientation)
    if turn is not None:
        decoded.pixels = np.ascontiguousarray(turn(decoded.pixels))
        if decoded.indices is not None:
            decoded.indices = np.ascontiguousarray(turn(decoded.indices))
        if orientation >= 5 and decoded.dpi:
            decoded.dpi = decoded.dpi[::-1]
    return decoded


def clean_dpi(dpi: Any) -> tuple[float, float] | None:
    """Two plausible numbers or None, from whatever the metadata held."""
    try:
        x, y = (float(v) for v in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def with_rgb_profile(decoded: Decoded, name: str) -> Decoded:
    """Replace a grey profile by one for three channels, and drop any other that is not for RGB."""
    icc = decoded.icc_profile
    if icc and icc[16:20] != b"RGB ":
        decoded.icc_profile = for_rgb(icc) if icc[16:20] == b"GRAY" else None
        if decoded.icc_profile is None:  # not worth a warning: many are on trimaps and masks
            logger.info("%s: its ICC profile is not for RGB and is dropped", name)
    return decoded
