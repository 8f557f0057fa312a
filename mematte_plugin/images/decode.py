"""From the bytes of an image file to an array, with its metadata and without losing depth.

The format is recognised by content, never by suffix; `_READERS` says which module reads it. Each
reader yields the header, so that the size is checked before a pixel is decoded, then the picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ..errors import InputError
from .decoded import MAX_PIXELS, Decoded, Header, Reading, ReadOptions, check_size
from .exr import read_exr
from .files import read_file
from .formats import sniff
from .heif import read_avif, read_heif
from .jpegxl import read_jxl
from .pillow import reader_for
from .png import read_png
from .radiance import read_hdr
from .raw import read_raw
from .refusals import refusals
from .tiff import is_camera_raw, read_tiff

_READERS: dict[str, Callable[[bytes, str, ReadOptions], Reading]] = {
    **{fmt: reader_for(fmt) for fmt in ("JPEG", "WEBP", "GIF", "BMP")},
    "PNG": read_png,
    "TIFF": read_tiff,
    "EXR": read_exr,
    "AVIF": read_avif,
    "HEIF": read_heif,
    "JXL": read_jxl,
    "HDR": read_hdr,
    "RAW": read_raw,
}
"""By the names that `sniff` gives."""


def decode(data: bytes, name: str, options: ReadOptions) -> Decoded:
    """Decode the bytes of an image file; EXIF orientation is applied.

    Raises InputError, naming the input, if it is not a readable picture.
    """
    fmt = sniff(data, name)
    if options.layer is not None and fmt != "EXR":
        raise InputError(
            f"{name}: has no layers, so there is no {options.layer!r}; leave the layer out"
        )
    with refusals(fmt, name), closing(_reading(fmt, data, name, options)) as reading:
        header = next(reading)
        check_size(header.height, header.width, name, options.max_pixels)
        try:
            next(reading)
        except StopIteration as done:
            decoded: Decoded = done.value
            return decoded
    raise AssertionError(f"the reader of {fmt} gives two headers")


def read_header(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Header:
    """Size and depth of the picture in a file, as `read_photo` would decode it.

    Raises InputError if the file is missing, not a picture or larger than `max_pixels`, or reading
    it needs a package that is not installed.
    """
    name = os.fspath(path)
    data = read_file(Path(path), name)
    fmt = sniff(data, name)
    options = ReadOptions(max_pixels=max_pixels)
    with refusals(fmt, name), closing(_reading(fmt, data, name, options)) as reading:
        header = next(reading)
    check_size(header.height, header.width, name, max_pixels)
    return header


def _reading(fmt: str, data: bytes, name: str, options: ReadOptions) -> Reading:
    if fmt == "TIFF" and is_camera_raw(data):
        fmt = "RAW"
    return _READERS[fmt](data, name, options)
