"""Size and depth of a photograph from its file's header, without decoding a pixel."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .decoded import MAX_PIXELS, check_size
from .decoding import open_pil, orientation_of
from .errors import InputError
from .exr import EXR_PIP
from .sniffing import sniff
from .tiff import first_page

_START = 2048
"""Bytes that tell the format."""
_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width."""


@dataclass(frozen=True)
class Header:
    """What a file says of its picture."""

    height: int
    """H in pixels, upright."""
    width: int
    """W in pixels, upright."""
    depth: int
    """Bytes of one colour value once it is decoded: 1, 2 or 4."""


def read_header(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Header:
    """Size and depth of the picture in a file, as `images.read_photo` would decode it.

    Raises InputError for what is missing, no picture, or larger than `max_pixels`.
    """
    name = os.fspath(path)
    try:
        if Path(path).is_dir():
            raise InputError(f"{name}: is a folder; give one image file")
        with Path(path).open("rb") as file:
            start = file.read(_START)
            file.seek(0)
            header = _READERS.get(sniff(start, name), _by_pillow)(file, start, name)
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file; check the path") from error
    except InputError:
        raise
    except Exception as error:  # of decoders: SyntaxError, struct.error, TiffFileError, …
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{name}: cannot be read ({reason}); copy or export it again") from error
    check_size(header.height, header.width, name, max_pixels)
    return header


def _by_pillow(file: BinaryIO, start: bytes, name: str) -> Header:
    fmt = sniff(start, name)
    image = open_pil(fmt, file, name)
    # For a PNG without EXIF in front, Pillow would decode all to look for it behind the pixels.
    known = fmt != "PNG" or "exif" in image.info
    deep = fmt == "PNG" and start[24:25] == b"\x10"
    return _upright(
        image.height, image.width, 2 if deep else 1, orientation_of(image) if known else 1
    )


def _by_tifffile(file: BinaryIO, start: bytes, name: str) -> Header:
    import tifffile

    with tifffile.TiffFile(file) as tif:
        page = first_page(tif, start, name)
        kind = "" if page.dtype is None else page.dtype.str[1:]
        depth = 4 if kind.startswith("f") else 2 if kind == "u2" else 1
        turned = int(page.tags[274].value) if 274 in page.tags else 1
        return _upright(page.imagelength, page.imagewidth, depth, turned)


def _by_openexr(file: BinaryIO, start: bytes, name: str) -> Header:
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError(f"{name}: reading EXR needs OpenEXR: {EXR_PIP}") from error
    import numpy as np

    with OpenEXR.File(name, header_only=True) as found:
        left, top, right, bottom = (int(v) for v in np.ravel(found.header()["displayWindow"]))
    return Header(bottom - top + 1, right - left + 1, 4)


def _upright(height: int, width: int, depth: int, orientation: int) -> Header:
    if orientation in _SIDEWAYS:
        height, width = width, height
    return Header(height, width, depth)


_READERS: dict[str, Callable[[BinaryIO, bytes, str], Header]] = {
    "TIFF": _by_tifffile,
    "EXR": _by_openexr,
}
"""For formats that Pillow does not know, or not well."""
