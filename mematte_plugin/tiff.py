"""TIFF of 16-bit or float samples, which Pillow would reduce or cannot open."""

import io
from typing import Any

import numpy as np

from .decoded import (
    Decoded,
    check_size,
    clean_dpi,
    drop_foreign_icc,
    rgb_order,
    unpremultiply,
    upright,
)
from .errors import InputError
from .notes import warn_user


def decode_tiff(data: bytes, name: str, max_pixels: int) -> Decoded | None:
    """A TIFF of 16-bit or float samples, first page; None for one that Pillow decodes fully."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        page = first_page(tif, data, name)
        check_size(page.imagelength, page.imagewidth, name, max_pixels)
        if any(_is_further_picture(other, page) for other in list(tif.pages)[1:]):
            warn_user(f"{name}: has several pages; its first one is used")
        if page.dtype in (np.dtype("u1"), np.dtype("?")) or page.bitspersample < 8:
            return None
        deep = page.dtype is not None and page.dtype.str[1:] in ("u2", "f2", "f4", "f8")
        if not deep or page.photometric not in (0, 1, 2):
            kind = f"{page.dtype} samples, {getattr(page.photometric, 'name', page.photometric)}"
            raise InputError(f"{name}: unsupported TIFF ({kind}); save it as grey or RGB TIFF")
        try:
            pixels = page.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            pixels = _tiff_by_opencv(data)  # LZW and others, which tifffile alone cannot
        if page.axes.startswith("S"):
            pixels = np.moveaxis(pixels, 0, -1)
        if page.photometric == 0:  # white is zero
            pixels = (1.0 - pixels) if pixels.dtype.kind == "f" else (65535 - pixels)
        icc = page.tags[34675].value if 34675 in page.tags else None
        orientation = int(page.tags[274].value) if 274 in page.tags else 1
        dpi = _tiff_dpi(page)
        extra = tuple(int(sample) for sample in page.extrasamples or ())
    return upright(
        drop_foreign_icc(Decoded(_tiff_channels(pixels, extra, name), icc, dpi), name), orientation
    )


def first_page(tif: Any, head: bytes, name: str) -> Any:
    """A TIFF's first page, from its header alone. Raises InputError for camera raw files."""
    if not len(tif.pages):
        raise InputError(f"{name}: the TIFF is cut off; copy or export it again")
    page: Any = tif.pages[0]
    if head[8:10] == b"CR" or 50706 in page.tags or page.photometric in (32803, 34892):
        raise InputError(f"{name}: is a camera raw file; develop it to TIFF or PNG first")
    if page.subfiletype & 1 and 330 in page.tags:  # a thumbnail in front: NEF, ARW, ...
        raise InputError(f"{name}: starts with a thumbnail (camera raw?); export it as TIFF")
    return page


def _is_further_picture(page: Any, first: Any) -> bool:
    """Not a thumbnail, a level of a pyramid or a mask, whether marked as such or only small."""
    reduced_or_mask = 1 | 4
    sides = ((page.imagelength, first.imagelength), (page.imagewidth, first.imagewidth))
    return not page.subfiletype & reduced_or_mask and all(2 * one > two for one, two in sides)


def _tiff_by_opencv(data: bytes) -> np.ndarray:
    import cv2

    return rgb_order(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


def _tiff_channels(pixels: np.ndarray, extra: tuple[int, ...], name: str) -> np.ndarray:
    """Colour with at most one straight alpha, from samples that may include others."""
    if pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32)
    if pixels.ndim == 2:
        return pixels
    colours = pixels.shape[2] - len(extra) if extra else min(pixels.shape[2], 4)
    if pixels.ndim != 3 or colours not in (1, 3, 4):
        raise InputError(f"{name}: has samples of shape {pixels.shape}; save it as RGB or RGBA")
    if extra[:1] in ((1,), (2,)):  # associated (premultiplied) or unassociated alpha
        colour, alpha = pixels[..., :colours], pixels[..., colours]
        if extra[0] == 1:
            colour = unpremultiply(colour, alpha)
        if colours == 1:
            colour = np.repeat(colour, 3, axis=2)
        return np.dstack([colour, alpha])
    return pixels[..., 0] if colours == 1 else pixels[..., :colours]


def _tiff_dpi(page: Any) -> tuple[float, float] | None:
    if 282 not in page.tags or 283 not in page.tags:
        return None
    unit = int(page.tags[296].value) if 296 in page.tags else 2
    scale = {2: 1.0, 3: 2.54}.get(unit)
    if scale is None:
        return None
    (xn, xd), (yn, yd) = page.tags[282].value, page.tags[283].value
    return clean_dpi((scale * xn / xd, scale * yn / yd)) if xd and yd else None
