"""TIFF: what its header says, and the samples that agree with it.

tifffile reads them, with imagecodecs (extra `formats`) for what it cannot decompress alone; Pillow
stands in where imagecodecs is missing. Orientation is applied here, once, by the header.
"""

from __future__ import annotations

import io
import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError, warn_user
from .decoded import (
    Decoded,
    Header,
    Role,
    check_size,
    clean_dpi,
    drop_foreign_icc,
    scaled_bits,
    unpremultiply,
    upright,
)
from .inks import cmyk_to_rgb, lab_to_rgb
from .tiff_layout import INKS, LAB, PALETTE, Layout, layout_of, refuse_ids
from .tiff_samples import samples_of

_RAW_PHOTOMETRIC = (32803, 34892)
_DNG_VERSION = 50706
_SUB_IFDS = 330


@contextmanager
def opened(file: BinaryIO, name: str) -> Iterator[Any]:
    """A tifffile.TiffFile, closed behind; what tifffile logs meanwhile is kept off the screen."""
    import tifffile

    thread = threading.get_ident()

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    log = logging.getLogger("tifffile")
    log.addFilter(elsewhere)
    try:
        with tifffile.TiffFile(file) as tif:
            if not len(tif.pages):
                raise InputError(f"{name}: the TIFF is damaged or cut off; copy or export it again")
            yield tif
    finally:
        log.removeFilter(elsewhere)


def is_camera_raw(file: BinaryIO, start: bytes, name: str) -> bool:
    """A TIFF that holds what a sensor saw, as DNG, NEF, ARW and CR2 are."""
    if start[8:10] == b"CR":
        return True
    with opened(file, name) as tif:
        page = tif.pages[0]
        if _DNG_VERSION in page.tags or page.photometric in _RAW_PHOTOMETRIC:
            return True
        # A thumbnail in front and the sensor's picture below it: NEF, ARW, ...
        return bool(page.subfiletype & 1) and _SUB_IFDS in page.tags


def read_tiff_header(file: BinaryIO, name: str) -> Header:
    """Size, upright, and depth. Raises InputError for what cannot be read, by its header."""
    with opened(file, name) as tif:
        layout = layout_of(_picture(tif), name)
    refuse_ids(layout, name)
    height, width = layout.height, layout.width
    if layout.orientation >= 5:
        height, width = width, height
    return Header(height, width, layout.depth)


def decode_tiff(data: bytes, name: str, max_pixels: int, role: Role = "photo") -> Decoded:
    """A TIFF's first picture, upright, with straight alpha and without losing depth."""
    with opened(io.BytesIO(data), name) as tif:
        page = _picture(tif)
        layout = layout_of(page, name)
        check_size(layout.height, layout.width, name, max_pixels)
        if role in ("photo", "background"):
            refuse_ids(layout, name)
        if any(
            _is_further_picture(other, page)
            for other in list(tif.pages)
            if other.index != page.index
        ):
            warn_user(f"{name}: has several pages; its first one is used")
        _check_whole(page, len(data), name)
        samples = samples_of(page, layout, data, name)
        if samples.shape != (layout.height, layout.width, layout.samples):
            raise InputError(
                f"{name}: the TIFF's header says {layout.width}×{layout.height} of {layout.samples}"
                f" samples, its data are {samples.shape}; export it again"
            )
        palette = page.colormap if layout.photometric == PALETTE else None
        dpi = _dpi(page)
    decoded = _pictured(samples, layout, palette, name)
    decoded.dpi = dpi
    return upright(decoded, layout.orientation)


# ---- the header ----------------------------------------------------------------------------------


def _picture(tif: Any) -> Any:
    """The first page that is no thumbnail and no mask of another one."""
    reduced_or_mask = 1 | 4
    pages = list(tif.pages)
    return next((page for page in pages if not page.subfiletype & reduced_or_mask), pages[0])


def _is_further_picture(page: Any, first: Any) -> bool:
    """Not a thumbnail, a level of a pyramid or a mask, whether marked as such or only small."""
    reduced_or_mask = 1 | 4
    sides = ((page.imagelength, first.imagelength), (page.imagewidth, first.imagewidth))
    return not page.subfiletype & reduced_or_mask and all(2 * one > two for one, two in sides)


def _dpi(page: Any) -> tuple[float, float] | None:
    scale = {2: 1.0, 3: 2.54}.get(page.tags.valueof(296, 2))
    try:
        (xn, xd), (yn, yd) = page.tags.valueof(282), page.tags.valueof(283)
        return None if scale is None else clean_dpi((scale * xn / xd, scale * yn / yd))
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _check_whole(page: Any, size: int, name: str) -> None:
    """Raises InputError where the file ends before its picture does."""
    ends = (at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=False))
    pieces = math.prod(page.chunked)
    # Old software rounds the count of the last strip up. Sparse files leave pieces out, not all.
    if (
        len(page.dataoffsets) < pieces
        or not any(page.databytecounts)
        or any(at > size for at in page.dataoffsets)
        or max(ends, default=0) > size + 8
    ):
        raise InputError(
            f"{name}: the file is damaged or cut off (pieces of the TIFF are missing); copy or"
            " export it again"
        )


# ---- colours -------------------------------------------------------------------------------------


def _pictured(samples: np.ndarray, layout: Layout, palette: Any, name: str) -> Decoded:
    """Grey, RGB or RGBA from the stored samples."""
    colour, alpha = samples[..., : layout.colours], None
    opacity = [i for i, kind in enumerate(layout.extra) if kind in (1, 2)]
    if opacity:
        alpha = samples[..., layout.colours + opacity[0]]
        if layout.extra[opacity[0]] == 1:
            colour = unpremultiply(colour, alpha)
    icc = layout.icc
    if layout.photometric == PALETTE:
        colour, icc = _through(colour[..., 0], np.asarray(palette)), layout.icc
    else:
        colour = _whole_range(colour, layout.bits)
        if layout.photometric == 0 and layout.kind != "i":
            colour = 1 - colour if colour.dtype.kind == "f" else np.iinfo(colour.dtype).max - colour
        elif layout.photometric == INKS:
            colour, icc = cmyk_to_rgb(colour, layout.icc, name), None
        elif layout.photometric in LAB:
            colour, icc = lab_to_rgb(colour, icc_encoding=layout.photometric == LAB[1]), None
    if alpha is not None:
        alpha = _whole_range(alpha, layout.bits)
        if alpha.dtype != colour.dtype:  # colours that were narrowed on their way
            alpha = (alpha >> 8).astype(colour.dtype)
        if colour.shape[2] == 1:
            colour = np.repeat(colour, 3, axis=2)
        colour = np.dstack([colour, alpha])
    if colour.shape[2] == 1:
        colour = colour[..., 0]
    decoded = Decoded(np.ascontiguousarray(colour), icc, lossy=layout.compression == "JPEG")
    if layout.photometric == PALETTE and samples.dtype == np.uint8:
        decoded.indices = np.ascontiguousarray(samples[..., 0])
    return drop_foreign_icc(decoded, name)


def _whole_range(values: np.ndarray, bits: int) -> np.ndarray:
    """Of 1 to 16 bits over the range of uint8 or uint16; floats as float32, ids as they are."""
    if values.dtype.kind == "i":
        return values
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(np.float32)
    return scaled_bits(values, bits)


def _through(index: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 from (H, W) and a colour map (3, N) of 16 bits, or of 8 by old software."""
    eight = palette if palette.max(initial=0) < 256 else palette >> 8
    table = np.zeros((max(eight.shape[1], int(index.max(initial=0)) + 1), 3), np.uint8)
    table[: eight.shape[1]] = eight.T
    return np.asarray(table[index])
