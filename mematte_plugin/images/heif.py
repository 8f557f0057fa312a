"""HEIC and HEIF by pillow-heif, and AVIF of 10 and 12 bits, of which Pillow keeps only 8."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError, warn_user
from .decoded import (
    FORMATS_PIP,
    Decoded,
    Header,
    check_size,
    drop_foreign_icc,
    is_unsupported,
    scaled_bits,
    short,
    unpremultiply,
)


def read_heif_header(file: BinaryIO, name: str) -> Header:
    """Size, upright, and depth of a HEIC picture; nothing is decoded."""
    found = _opened(file.read(), name)
    picture = found[found.primary_index]
    width, height = picture.size
    return Header(height, width, 2 if _bits(picture) > 8 else 1)


def decode_heif(data: bytes, name: str, max_pixels: int) -> Decoded:
    """The primary picture of a HEIC file; its turns (irot, imir) are applied by libheif.

    EXIF's orientation repeats them and does not count, as the format demands.
    """
    found = _opened(data, name)
    picture = found[found.primary_index]
    width, height = picture.size
    check_size(height, width, name, max_pixels)
    if len(found) > 1:
        warn_user(f"{name}: holds {len(found)} pictures; its primary one is used")
    pixels = np.asarray(picture)
    if pixels.shape[:2] != (height, width):
        raise InputError(
            f"{name}: its header says {width}×{height}, its pixels are"
            f" {pixels.shape[1]}×{pixels.shape[0]}; export it again"
        )
    pixels = scaled_bits(pixels, _bits(picture))
    channels = picture.mode.split(";")[0]
    if channels[-1] == "a":
        pixels = np.dstack([unpremultiply(pixels[..., :-1], pixels[..., -1]), pixels[..., -1]])
    if channels in ("LA", "La"):
        pixels = np.dstack([pixels[..., :1]] * 3 + [pixels[..., 1:]])
    icc = picture.info.get("icc_profile") or None
    return drop_foreign_icc(Decoded(np.array(pixels, order="C"), icc, lossy=True), name)


def _opened(data: bytes, name: str) -> Any:
    """A pillow_heif.HeifFile, of which nothing is decoded yet."""
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            f"{name}: is a HEIC picture; reading it needs pillow-heif: {FORMATS_PIP}"
            " (or export it as PNG, JPEG or TIFF)"
        ) from error
    try:
        file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    except Exception as error:
        if not is_unsupported(error):
            raise InputError(
                f"{name}: the HEIC picture is damaged or cut off ({short(error)}); copy it again"
            ) from error
        raise InputError(
            f"{name}: is a HEIF picture of a kind that libheif cannot read ({short(error)});"
            " export it as PNG, JPEG or TIFF"
        ) from error
    return file


def _bits(picture: Any) -> int:
    _, _, bits = str(picture.mode).partition(";")
    return int(bits or 8)


def decode_deep_avif(data: bytes, name: str, bits: int, size: tuple[int, int]) -> np.ndarray | None:
    """(H, W) or (H, W, C) uint16, as stored, or None without imagecodecs.

    size: (H, W) as the header has it.
    """
    if not reads_deep_avif():
        warn_user(
            f"{name}: its {bits} bits are read as 8; imagecodecs would keep them: {FORMATS_PIP}"
        )
        return None
    import imagecodecs

    pixels = np.asarray(imagecodecs.avif_decode(data, index=0))
    if pixels.shape[:2] != size:
        raise InputError(
            f"{name}: its header says {size[1]}×{size[0]}, its pixels are"
            f" {pixels.shape[1]}×{pixels.shape[0]}; export it again"
        )
    return scaled_bits(pixels, bits)


def reads_deep_avif() -> bool:
    """imagecodecs is there, with AVIF."""
    try:
        import imagecodecs
    except ImportError:
        return False
    return bool(imagecodecs.AVIF.available)
