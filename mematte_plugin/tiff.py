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
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import TiffImagePlugin

from .decoded import (
    FORMATS_PIP,
    Decoded,
    Header,
    Role,
    check_size,
    clean_dpi,
    drop_foreign_icc,
    is_unsupported,
    scaled_bits,
    unpremultiply,
    upright,
)
from .errors import InputError
from .inks import cmyk_to_rgb, has_imagecodecs, lab_to_rgb
from .notes import warn_user

GREY, RGB, PALETTE, MASK, INKS, YCBCR = (0, 1), 2, 3, 4, 5, 6
LAB = (8, 9)
"""PhotometricInterpretation: CIE L*a*b*, and as ICC encodes it."""

_LZW, _JPEG = 5, (6, 7)
"""Compression."""
_BY_LIBTIFF = (1, 2, 3, 4, _LZW, *_JPEG, 8, 32773, 32946)
"""What every Pillow has; of others it may speak on stderr."""
_COMPRESSIONS = {1: "no", 8: "ZIP", 32946: "ZIP"}
_RAW_PHOTOMETRIC = (32803, 34892)
_DNG_VERSION = 50706
_SUB_IFDS = 330


@dataclass(frozen=True)
class Layout:
    """What a TIFF's header says of its first picture, as it is stored."""

    height: int
    width: int
    samples: int
    """Per pixel, extra ones among them."""
    bits: int
    """Of one sample."""
    kind: str
    """Of number: "u", "i", "f" or "c" as in numpy."""
    photometric: int
    extra: tuple[int, ...]
    """The samples behind the colours: 0 unspecified, 1 premultiplied and 2 straight alpha."""
    compression: str
    """Its name."""
    orientation: int
    icc: bytes | None

    @property
    def colours(self) -> int:
        """Samples that are colours."""
        return self.samples - len(self.extra)

    @property
    def depth(self) -> int:
        """Bytes of a value once it is decoded."""
        if self.kind == "f" or self.bits > 16:
            return 4
        narrowed = self.photometric == INKS and self.icc is not None and not has_imagecodecs()
        return 1 if self.bits <= 8 or self.photometric == PALETTE or narrowed else 2


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
        layout = _layout(_picture(tif), name)
    _refuse_ids(layout, name)
    height, width = layout.height, layout.width
    if layout.orientation >= 5:
        height, width = width, height
    return Header(height, width, layout.depth)


def decode_tiff(data: bytes, name: str, max_pixels: int, role: Role = "photo") -> Decoded:
    """A TIFF's first picture, upright, with straight alpha and without losing depth."""
    with opened(io.BytesIO(data), name) as tif:
        page = _picture(tif)
        layout = _layout(page, name)
        check_size(layout.height, layout.width, name, max_pixels)
        if role in ("photo", "background"):
            _refuse_ids(layout, name)
        if any(
            _is_further_picture(other, page)
            for other in list(tif.pages)
            if other.index != page.index
        ):
            warn_user(f"{name}: has several pages; its first one is used")
        _check_whole(page, len(data), name)
        samples = _samples(page, layout, data, name)
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


def _layout(page: Any, name: str) -> Layout:
    """Raises InputError for what is no picture that we know, naming what it is."""
    colours = {RGB: 3, INKS: 4, YCBCR: 3, **dict.fromkeys(LAB, 3)}.get(int(page.photometric), 1)
    samples = int(page.samplesperpixel)
    extra = tuple(int(sample) for sample in page.extrasamples or ())
    if not extra and samples == colours + 1 and 338 not in page.tags:
        extra = (2,)  # not said what it is, and everybody takes it for alpha
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    kind = {1: "u", 2: "i", 3: "f", 4: "u", 5: "c", 6: "c"}.get(int(page.sampleformat), "?")
    icc = page.tags.valueof(34675)
    layout = Layout(
        height=int(page.imagelength),
        width=int(page.imagewidth),
        samples=samples,
        bits=int(bits),
        kind=kind,
        photometric=int(page.photometric),
        extra=(*extra, *(0,) * (samples - colours - len(extra))),
        compression=_COMPRESSIONS.get(int(page.compression), _named(page.compression)),
        orientation=_orientation(page),
        icc=bytes(icc) if isinstance(icc, bytes) and icc else None,
    )
    known = (*GREY, RGB, PALETTE, MASK, INKS, YCBCR, *LAB)
    uniform = isinstance(page.bitspersample, int) and page.dtype is not None
    whole = layout.colours == colours and int(page.imagedepth) == 1
    inks = layout.photometric != INKS or page.tags.valueof(332, 1) == 1  # InkSet: CMYK
    grey = layout.photometric in GREY
    deep = {"u": True, "f": grey or layout.photometric == RGB, "i": grey}.get(layout.kind, False)
    eight = layout.photometric not in (PALETTE, YCBCR, *LAB) or layout.bits in (1, 2, 4, 8, 16)
    if not (layout.photometric in known and uniform and whole and inks and deep and eight):
        raise InputError(
            f"{name}: is {_described(layout, page)}, which cannot be read; save it as grey, RGB or"
            " CMYK TIFF"
        )
    return layout


def _refuse_ids(layout: Layout, name: str) -> None:
    """Raises InputError for integers that serve as a mask only."""
    if layout.kind == "i" or (layout.kind == "u" and layout.bits > 16):
        raise InputError(
            f"{name}: is {_described(layout)}, which are no colours but ids or measurements; save"
            " it with 8 or 16 bits"
        )


def _described(layout: Layout, page: Any = None) -> str:
    """The TIFF in words: samples, depth, photometric interpretation and compression."""
    photometric = layout.photometric if page is None else _named(page.photometric)
    if layout.photometric == INKS:
        photometric = "CMYK" if page is None or page.tags.valueof(332, 1) == 1 else "other inks"
    number = {"f": "float", "i": "signed", "c": "complex", "u": "unsigned"}.get(layout.kind, "odd")
    what = {0: "white-is-zero grey", 1: "grey", 2: "RGB", 3: "palette"}.get(
        layout.photometric, str(photometric)
    )
    return (
        f"a TIFF of {layout.samples} × {layout.bits} bit {number} samples ({what},"
        f" {layout.compression} compression)"
    )


def _named(value: Any) -> str:
    return str(getattr(value, "name", f"number {value}"))


def _orientation(page: Any) -> int:
    value = page.tags.valueof(274, 1)
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1


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


# ---- samples -------------------------------------------------------------------------------------


def _samples(page: Any, layout: Layout, data: bytes, name: str) -> np.ndarray:
    """(H, W, samples) as stored; YCbCr as RGB. Raises InputError where the codec is missing."""
    if int(page.compression) in _JPEG or layout.photometric == YCBCR:
        by_pillow = _by_pillow(page, layout, data)
        if by_pillow is not None:
            return by_pillow
        if int(page.compression) not in _JPEG:
            raise InputError(f"{name}: {_cannot(page, layout)}")
    try:
        bare = int(page.compression) == _LZW and not has_imagecodecs()
        samples: np.ndarray = _by_segments(page, data) if bare else page.asarray()
    except (ImportError, NotImplementedError, ValueError) as error:
        if isinstance(error, ValueError) and not is_unsupported(error):
            raise
        by_pillow = _by_pillow(page, layout, data)
        if by_pillow is None:
            raise InputError(f"{name}: {_cannot(page, layout)}") from error
        samples = by_pillow
    if page.axes.startswith("S") and samples.shape[-1] != layout.samples:
        samples = np.moveaxis(samples, 0, -1)
    return samples.reshape(*samples.shape[:2], -1)


def _cannot(page: Any, layout: Layout) -> str:
    """What to do about a compression, a predictor or a packing that nothing here can undo."""
    described = _described(layout, page)
    if int(page.predictor) == 3:
        described = described.replace(" compression", " compression, floating-point predictor")
    if has_imagecodecs() or layout.photometric == YCBCR:
        return f"is {described}, which cannot be read; save it with LZW or ZIP compression"
    return (
        f"is {described}; reading it needs imagecodecs: {FORMATS_PIP}"
        " (or save it with 8 or 16 bits and ZIP compression)"
    )


def _by_pillow(page: Any, layout: Layout, data: bytes) -> np.ndarray | None:
    """8-bit samples by libtiff, as stored; None where Pillow cannot or finds another picture."""
    if layout.bits > 8 or int(page.compression) not in _BY_LIBTIFF:
        return None
    if layout.orientation != 1:  # which Pillow would apply, in some versions
        order: Any = "little" if data[:2] == b"II" else "big"
        at = page.tags[274].valueoffset
        data = data[:at] + (1).to_bytes(2, order) + data[at + 2 :]
    try:
        image: Any = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
        image.load()
    except Exception:
        return None
    if image.mode == "YCbCr":
        image = image.convert("RGB")
    samples = np.array(image)
    samples = samples.reshape(*samples.shape[:2], -1)
    if layout.photometric == 0:  # turned by Pillow already
        samples = ~samples if samples.dtype == np.bool_ else 255 - samples
    elif layout.bits < 8 and samples.dtype == np.uint8 and layout.photometric != PALETTE:
        samples = samples // (255 // ((1 << layout.bits) - 1))  # spread by Pillow already
    expected = (layout.height, layout.width, layout.samples)
    return samples if samples.shape == expected else None


def _by_segments(page: Any, data: bytes) -> np.ndarray:
    """LZW without imagecodecs: strip by strip through Pillow's libtiff, the rest by tifffile."""
    tiled, planar = page.is_tiled, int(page.planarconfig) == 2
    width = page.tilewidth if tiled else page.imagewidth
    row = -(-width * (1 if planar else page.samplesperpixel) * page.bitspersample // 8)
    page.compression = 1  # what is left to undo are the predictor, the byte order and the packing
    whole = np.zeros(page.shaped, page.dtype)
    for index, (at, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=False)):
        if not count:
            continue
        _, place, shape = page.decode(None, index)
        unpacked = _unlzw(data[at : at + count], row, shape[1])
        part, place, _ = page.decode(unpacked, index)
        plane, depth, top, left, _ = place
        part = part[:, : whole.shape[2] - top, : whole.shape[3] - left]
        target = whole[plane, depth : depth + part.shape[0], top : top + part.shape[1]]
        target[:, :, left : left + part.shape[2]] = part
    return whole.reshape(page.shape)


def _unlzw(packed: bytes, row: int, rows: int) -> bytes:
    """The bytes of one strip or tile: as a grey picture of its own, which Pillow can open."""
    entries = [(256, row), (257, rows), (258, 8), (259, 5), (262, 1), (273, 8), (277, 1)]
    entries += [(278, rows), (279, len(packed))]
    ifd = 8 + len(packed) + len(packed) % 2
    file = b"II*\0" + ifd.to_bytes(4, "little") + packed.ljust(ifd - 8, b"\0")
    file += len(entries).to_bytes(2, "little")
    for tag, value in entries:
        file += tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(file + b"\0\0\0\0"))
    return image.tobytes()


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
