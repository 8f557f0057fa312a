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
from typing import Any

import numpy as np

from ..errors import warn_user
from .arrays import full_scale, scaled_bits, unpremultiply
from .colour_tags import tags_of_tiff
from .decoded import (
    Decoded,
    Header,
    Reading,
    ReadOptions,
    clean_dpi,
    header_of,
    upright,
    with_rgb_profile,
)
from .inks import cmyk_to_rgb, lab_to_rgb
from .tiff_layout import INKS, LAB, PALETTE, Layout, layout_of, refuse_ids
from .tiff_samples import samples_of

_RAW_PHOTOMETRIC = (32803, 34892)
_DNG_VERSION = 50706
_SUB_IFDS = 330
_REDUCED, _MASK = 1, 4
"""NewSubfileType: a thumbnail, and the mask of another picture."""


def is_camera_raw(data: bytes) -> bool:
    """A TIFF that holds what a sensor saw, as DNG, NEF, ARW and CR2 are."""
    if data[8:10] == b"CR":
        return True
    with _opened(data) as tif:
        page = tif.pages[0]
        if _DNG_VERSION in page.tags or page.photometric in _RAW_PHOTOMETRIC:
            return True
        # A thumbnail first and the sensor's picture below it: NEF, ARW, ...
        return bool(page.subfiletype & _REDUCED) and _SUB_IFDS in page.tags


def read_tiff(data: bytes, name: str, options: ReadOptions) -> Reading:
    """A TIFF's first picture, upright, with straight alpha and without losing depth."""
    with _opened(data) as tif:
        page = _picture(tif)
        layout = layout_of(page, name)
        if options.role in ("photo", "background"):
            refuse_ids(layout, name)
        header = header_of(layout.height, layout.width, 8, layout.orientation)
        yield Header(header.height, header.width, layout.depth)
        others = [other for other in tif.pages if other.index != page.index]
        if any(_is_further_picture(other, page) for other in others):
            warn_user(f"{name}: has several pages; its first one is used")
        _check_whole(page, len(data))
        samples = samples_of(page, layout, data, name)
        if samples.shape != (layout.height, layout.width, layout.samples):
            raise ValueError(f"decoded as {samples.shape}")
        palette = page.colormap if layout.photometric == PALETTE else None
        dpi = _dpi(page)
    decoded = _pictured(samples, layout, palette, name)
    decoded.dpi = dpi
    decoded.tags = tags_of_tiff(data)
    return upright(decoded, layout.orientation)


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    """A tifffile.TiffFile; what tifffile logs meanwhile is kept off the screen."""
    import tifffile

    thread = threading.get_ident()

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    log = logging.getLogger("tifffile")
    log.addFilter(elsewhere)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tif:
            if not len(tif.pages):
                raise ValueError("it holds no picture")
            yield tif
    finally:
        log.removeFilter(elsewhere)


# ---- the header ----------------------------------------------------------------------------------


def _picture(tif: Any) -> Any:
    """The first page that is neither a thumbnail nor a mask of another one."""
    pages = list(tif.pages)
    return next((page for page in pages if not page.subfiletype & (_REDUCED | _MASK)), pages[0])


def _is_further_picture(page: Any, first: Any) -> bool:
    """Not a thumbnail, a level of a pyramid or a mask, whether marked as such or only small."""
    sides = ((page.imagelength, first.imagelength), (page.imagewidth, first.imagewidth))
    return not page.subfiletype & (_REDUCED | _MASK) and all(2 * one > two for one, two in sides)


def _dpi(page: Any) -> tuple[float, float] | None:
    scale = {2: 1.0, 3: 2.54}.get(page.tags.valueof(296, 2))
    try:
        (xn, xd), (yn, yd) = page.tags.valueof(282), page.tags.valueof(283)
        return None if scale is None else clean_dpi((scale * xn / xd, scale * yn / yd))
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _check_whole(page: Any, size: int) -> None:
    """Raises ValueError if the file ends before its picture does."""
    ends = (at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=False))
    pieces = math.prod(page.chunked)
    # Old software rounds the last count up. Sparse files leave pieces out, but not all of them.
    if (
        len(page.dataoffsets) < pieces
        or not any(page.databytecounts)
        or any(at > size for at in page.dataoffsets)
        or max(ends, default=0) > size + 8
    ):
        raise ValueError("pieces of it are missing")


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
        colour = _through(colour[..., 0], np.asarray(palette))
    else:
        colour = _whole_range(colour, layout.bits)
        if layout.photometric == 0 and layout.kind != "i":
            colour = colour.dtype.type(full_scale(colour.dtype)) - colour
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
    return with_rgb_profile(decoded, name)


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
