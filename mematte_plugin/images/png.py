"""PNG: by Pillow, of 16 bits a sample by OpenCV, which Pillow would reduce to 8."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from ..errors import warn_user
from .arrays import rgb_order
from .colour_tags import exif_of, tags_of_png
from .decoded import Decoded, Reading, ReadOptions, clean_dpi, header_of, upright, with_rgb_profile
from .pillow import from_pil, open_pil, orientation_of, warn_if_animated
from .refusals import IgnoreDamage


def read_png(data: bytes, name: str, options: ReadOptions) -> Reading:
    """A PNG of any kind."""
    if data[12:16] != b"IHDR":
        raise ValueError("it has no header")
    width, height, bits = struct.unpack(">IIB", data[16:25])
    chunks = _small_chunks(data)
    tags = tags_of_png(chunks)
    orientation = 1
    with IgnoreDamage():
        orientation = orientation_of(exif_of(chunks.get(b"eXIf", b"")))
    yield header_of(height, width, bits, orientation, tags)
    _check_whole(data)
    if bits == 16:
        decoded = upright(_deep(data, chunks, (height, width), name), orientation)
    else:
        im = open_pil("PNG", data, name)
        warn_if_animated(im, name)
        decoded = from_pil(im, name)
    decoded.tags = tags
    return decoded


def _deep(data: bytes, chunks: dict[bytes, bytes], size: tuple[int, int], name: str) -> Decoded:
    import cv2

    pixels = rgb_order(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    if pixels.shape[:2] != size or pixels.dtype != np.uint16:
        raise ValueError(f"decoded as {pixels.shape} {pixels.dtype}")
    if pixels.ndim == 2 and b"tRNS" in chunks:  # OpenCV expands it for RGB only
        (clear,) = struct.unpack(">H", chunks[b"tRNS"][:2])
        alpha = np.where(pixels == clear, 0, 65535).astype(np.uint16)
        pixels = np.dstack([pixels, pixels, pixels, alpha])
    icc = dpi = None
    if b"iCCP" in chunks:
        icc = zlib.decompress(chunks[b"iCCP"].split(b"\0", 1)[1][1:])
    if b"pHYs" in chunks:
        x, y, unit = struct.unpack(">IIB", chunks[b"pHYs"])
        dpi = clean_dpi((x * 0.0254, y * 0.0254)) if unit == 1 else None
    if b"acTL" in chunks:
        warn_user(f"{name}: is animated; its first frame is used")
    return with_rgb_profile(Decoded(pixels, icc, dpi), name)


def _small_chunks(data: bytes) -> dict[bytes, bytes]:
    """Those before the pixels, and eXIf anywhere; of each kind the first."""
    chunks: dict[bytes, bytes] = {}
    at, pixels = 8, False
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        pixels |= kind == b"IDAT"
        if not pixels or kind == b"eXIf":
            chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 12 + length
    return chunks


def _check_whole(data: bytes) -> None:
    """Raises ValueError unless every chunk has its length and CRC, up to IEND.

    libpng through OpenCV, unlike Pillow, may hand out a half-grey picture for a damaged file.
    """
    view, at = memoryview(data), 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise ValueError("a checksum is wrong")
        if kind == b"IEND":
            return
        at = end
    raise ValueError("it ends too early")
