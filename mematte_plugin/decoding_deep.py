"""Pictures that Pillow would reduce to 8 bits or cannot open: 16-bit PNG, deep TIFF, EXR."""

import io
import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .colour_tags import told_by_exr
from .decoded import (
    ORIENTATION_TAG,
    STRAIGHT_ALPHA,
    Decoded,
    check_size,
    clean_dpi,
    drop_foreign_icc,
    finite,
    rgb_order,
    unpremultiply,
    upright,
)
from .errors import InputError
from .notes import warn_user

EXR_PIP = 'pip install "mematte-plugin[exr]"'


def decode_png16(data: bytes, name: str, max_pixels: int) -> Decoded | None:
    """A 16-bit PNG; None, after checking that it is whole, for one that Pillow decodes fully."""
    width, height, depth = struct.unpack(">IIB", data[16:25])
    check_size(height, width, name, max_pixels)
    chunks = _png_chunks(data, name)
    if depth != 16:
        return None
    import cv2

    pixels = rgb_order(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
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
    orientation = 1
    if "eXIf" in chunks:
        exif = Image.Exif()
        exif.load(chunks["eXIf"])
        orientation = int(exif.get(ORIENTATION_TAG, 1) or 1)
    if "acTL" in chunks:
        warn_user(f"{name}: is animated; its first frame is used")
    return upright(drop_foreign_icc(Decoded(pixels, icc, dpi), name), orientation)


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


def decode_exr(data: bytes, name: str, max_pixels: int) -> Decoded:
    """An EXR's first part: half or float RGB(A) or Y, over the display window, alpha straight."""
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError(f"{name}: reading EXR needs OpenEXR: {EXR_PIP}") from error
    handle, path = tempfile.mkstemp(suffix=".exr")  # OpenEXR opens files by name only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        with OpenEXR.File(path, header_only=True) as file:
            header = file.header()  # emptied when the file is closed
            told, straight = told_by_exr(header), bool(header.get(STRAIGHT_ALPHA))
            x0, y0, x1, y1 = (int(v) for v in np.ravel(header["displayWindow"]))
            left, top, right, bottom = (int(v) for v in np.ravel(header["dataWindow"]))
        size = (y1 - y0 + 1, x1 - x0 + 1)
        check_size(*size, name, max_pixels)
        check_size(bottom - top + 1, right - left + 1, name, max_pixels)
        with OpenEXR.File(path) as file:
            found = {key: np.asarray(value.pixels) for key, value in file.channels().items()}
    finally:
        Path(path).unlink(missing_ok=True)
    grouped = next((found[key] for key in ("RGBA", "RGB", "Y") if key in found), None)
    if grouped is None or grouped.dtype.kind != "f":
        listed = ", ".join(sorted(found)) or "none"
        raise InputError(
            f"{name}: the EXR's first part has no float RGB(A) or Y channels (found: {listed});"
            " write the beauty pass alone"
        )
    pixels = grouped.astype(np.float32)
    pixels = finite(pixels, grouped.dtype, name)
    if (size, (x0, y0)) != (pixels.shape[:2], (left, top)):
        # Compositors crop the data window; the frame is the display window.
        frame = np.zeros((*size, *pixels.shape[2:]), np.float32)
        ys, xs = slice(max(y0, top), min(y1, bottom) + 1), slice(max(x0, left), min(x1, right) + 1)
        shifted = (slice(ys.start - top, ys.stop - top), slice(xs.start - left, xs.stop - left))
        if ys.start < ys.stop and xs.start < xs.stop:
            frame[ys.start - y0 : ys.stop - y0, xs.start - x0 : xs.stop - x0] = pixels[shifted]
        pixels = frame
    # EXR colours are premultiplied by convention
    if pixels.ndim == 3 and pixels.shape[2] == 4 and not straight:
        pixels[..., :3] = unpremultiply(pixels[..., :3], pixels[..., 3])
    return Decoded(pixels, linear=True, told=told)
