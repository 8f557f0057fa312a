"""Size and depth of a photograph from its file's header, without decoding a pixel."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from .bmff import avif_bits
from .colour_tags import told_by
from .decode import open_pil, orientation_of
from .decoded import MAX_PIXELS, Header, check_size
from .exr import read_exr_header
from .heif import read_heif_header, reads_deep_avif
from .jpegxl import read_jxl_header
from .png import png_orientation
from .radiance import read_hdr_header
from .raw import read_raw_header
from .sniff import sniff
from .tiff import is_camera_raw, read_tiff_header

__all__ = ["Header", "read_header"]

_START = 65536
"""Bytes that tell the format, and that are in front of a PNG's pixels."""
_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width."""


def read_header(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Header:
    """Size and depth of the picture in a file, as `images.read_photo` would decode it.

    Raises InputError for what is missing, no picture, or larger than `max_pixels`, and where
    reading the file needs a package that is not there.
    """
    name = os.fspath(path)
    try:
        if Path(path).is_dir():
            raise InputError(f"{name}: is a folder; give one image file")
        with Path(path).open("rb") as file:
            header = _header(file, name)
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file; check the path") from error
    except InputError:
        raise
    except Exception as error:  # of decoders: SyntaxError, struct.error, TiffFileError, …
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{name}: cannot be read ({reason}); copy or export it again") from error
    check_size(header.height, header.width, name, max_pixels)
    return header


def _header(file: BinaryIO, name: str) -> Header:
    start = file.read(_START)
    fmt = sniff(start, name)
    file.seek(0)
    if fmt == "TIFF" and is_camera_raw(file, start, name):
        fmt = "RAW"
    file.seek(0)
    reader = _READERS.get(fmt)
    header = reader(file, name) if reader else _by_pillow(file, fmt, start, name)
    if fmt in ("PNG", "AVIF", "HEIF"):
        if fmt != "PNG":
            file.seek(0)
            start = file.read()
        told = told_by(start)
        if told is not None and isinstance(told.transfer, str):  # PQ and HLG become light
            return replace(header, depth=4)
    return header


def _by_pillow(file: BinaryIO, fmt: str, start: bytes, name: str) -> Header:
    image = open_pil(fmt, file, name)
    deep = fmt == "PNG" and start[24:25] == b"\x10"
    # Pillow would decode all of a PNG to look for EXIF behind the pixels.
    turned = png_orientation(file) if fmt == "PNG" else orientation_of(image)
    return _upright(image.height, image.width, 2 if deep else 1, turned)


def _avif(file: BinaryIO, name: str) -> Header:
    data = file.read()
    image = open_pil("AVIF", io.BytesIO(data), name)
    deep = avif_bits(data) > 8 and reads_deep_avif()
    return _upright(image.height, image.width, 2 if deep else 1, orientation_of(image))


def _upright(height: int, width: int, depth: int, orientation: int) -> Header:
    if orientation in _SIDEWAYS:
        height, width = width, height
    return Header(height, width, depth)


_READERS: dict[str, Callable[[BinaryIO, str], Header]] = {
    "TIFF": read_tiff_header,
    "EXR": read_exr_header,
    "AVIF": _avif,
    "HEIF": read_heif_header,
    "JXL": read_jxl_header,
    "HDR": read_hdr_header,
    "RAW": read_raw_header,
}
"""For formats that Pillow does not know, or not well."""
