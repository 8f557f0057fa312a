"""Files whose colours are told otherwise than by a profile, and how colours are shown."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

EIGHT = np.array([[(200, 60, 40), (10, 150, 30), (128, 128, 128), (250, 240, 20)]] * 4, np.uint8)
"""(4, 4, 3): some colours."""


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 8 or 16 bits, grey or RGB, with these chunks before its pixels."""
    depth = 8 * pixels.dtype.itemsize
    kind = 0 if pixels.ndim == 2 else 2
    height, width = pixels.shape[:2]
    big = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">")))
    rows = b"".join(b"\0" + row.tobytes() for row in big)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)),
            *(chunk(*one) for one in chunks),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        )
    )


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    return data[:33] + chunk(kind, body) + data[33:]


def gama(gamma: float) -> tuple[bytes, bytes]:
    """The chunk of the power that the values were encoded with."""
    return b"gAMA", struct.pack(">I", round(gamma * 100000))


def chrm(*numbers: float) -> tuple[bytes, bytes]:
    """x and y of red, green, blue and white."""
    ordered = (*numbers[6:], *numbers[:6])
    return b"cHRM", struct.pack(">8I", *(round(v * 100000) for v in ordered))


def encoded(pixels: np.ndarray, fmt: str, **options: Any) -> bytes:
    """A file as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, fmt, **options)
    return file.getvalue()


def exif(*, space: int | None, index: str | None = None, more: dict[int, Any] | None = None) -> Any:
    """EXIF with ColorSpace and InteropIndex."""
    made = Image.Exif()
    made[274] = 1  # Pillow leaves out what has no plain tag
    if space is not None:
        made.get_ifd(0x8769)[0xA001] = space
    if index is not None:
        made.get_ifd(0x8769)[0xA005] = {1: index}
    for key, value in (more or {}).items():
        if key >= 0xA000:
            made.get_ifd(0x8769)[key] = value
        else:
            made[key] = value
    return made


def shown(pixels: np.ndarray, icc: bytes | None) -> np.ndarray:
    """uint8 pixels as littleCMS shows them in sRGB, as floats of 0 to 255."""
    if icc is None:
        return pixels.astype(float)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    made = ImageCms.profileToProfile(
        Image.fromarray(pixels), profile, ImageCms.createProfile("sRGB")
    )
    return np.asarray(made).astype(float)
