"""PNG of 16 bits a sample, which Pillow would reduce to 8; and whether any PNG is whole."""

import os
import struct
import zlib
from typing import BinaryIO

import numpy as np
from PIL import Image

from ..errors import InputError, warn_user
from .decoded import (
    ORIENTATION_TAG,
    Decoded,
    check_size,
    clean_dpi,
    drop_foreign_icc,
    rgb_order,
    upright,
)


def decode_png16(data: bytes, name: str, max_pixels: int) -> Decoded | None:
    """A 16-bit PNG; None, after checking that it is whole, for one that Pillow decodes fully."""
    width, height, depth = struct.unpack(">IIB", data[16:25])
    check_size(height, width, name, max_pixels)
    chunks = _png_chunks(data, name)
    if depth != 16:
        return None
    import cv2

    pixels = rgb_order(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    if pixels.shape[:2] != (height, width) or pixels.dtype != np.uint16:
        raise ValueError(f"decoded as {pixels.shape} {pixels.dtype}")
    if pixels.ndim == 2 and "tRNS" in chunks:  # OpenCV expands it for RGB only
        (clear,) = struct.unpack(">H", chunks["tRNS"][:2])
        alpha = np.where(pixels == clear, 0, 65535).astype(np.uint16)
        pixels = np.dstack([pixels, pixels, pixels, alpha])
    icc = None
    if "iCCP" in chunks:
        icc = zlib.decompress(chunks["iCCP"].split(b"\0", 1)[1][1:])
    dpi = None
    if "pHYs" in chunks:
        x, y, unit = struct.unpack(">IIB", chunks["pHYs"])
        dpi = clean_dpi((x * 0.0254, y * 0.0254)) if unit == 1 else None
    orientation = _orientation(chunks.get("eXIf"))
    if "acTL" in chunks:
        warn_user(f"{name}: is animated; its first frame is used")
    return upright(drop_foreign_icc(Decoded(pixels, icc, dpi), name), orientation)


def png_orientation(file: BinaryIO) -> int:
    """How EXIF says that a PNG is turned, before or behind its pixels, which are skipped."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            return _orientation(file.read(length))
        file.seek(length + 4, os.SEEK_CUR)
    return 1


def _orientation(stored: bytes | None) -> int:
    if not stored:
        return 1
    try:
        exif = Image.Exif()
        exif.load(stored)
        return int(exif.get(ORIENTATION_TAG, 1) or 1)
    except Exception:  # broken EXIF must not cost the photograph
        return 1


def _png_chunks(data: bytes, name: str) -> dict[str, bytes]:
    """The small chunks by name, after checking every chunk's length and CRC up to IEND.

    libpng through OpenCV, unlike Pillow, may hand out a half-grey picture for a damaged file.
    """
    chunks: dict[str, bytes] = {}
    view, at = memoryview(data), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = bytes(view[at + 4 : at + 8])
        body = view[at + 8 : at + 8 + length]
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : at + 8 + length]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise InputError(f"{name}: the PNG is damaged (checksum); copy or export it again")
        if kind == b"IEND":
            return chunks
        if kind not in (b"IDAT", b"fdAT"):
            chunks.setdefault(kind.decode("latin-1"), bytes(body))
        at = end
    raise InputError(f"{name}: the PNG is cut off before its end; copy or export it again")
