"""The samples of a TIFF, decompressed by tifffile and imagecodecs, or by Pillow instead."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import TiffImagePlugin

from ..errors import InputError
from .inks import has_imagecodecs
from .refusals import FORMATS_PIP, IgnoreDamage, is_unsupported
from .tiff_layout import PALETTE, YCBCR, Layout, described

_LZW, _JPEG = 5, (6, 7)
"""Compression."""
_BY_LIBTIFF = (1, 2, 3, 4, _LZW, *_JPEG, 8, 32773, 32946)
"""What every Pillow decodes; of others it may complain on stderr."""


def samples_of(page: Any, layout: Layout, data: bytes, name: str) -> np.ndarray:
    """(H, W, samples) as stored; YCbCr as RGB. Raises InputError if the codec is missing."""
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
        return by_pillow
    if page.axes.startswith("S"):
        samples = np.moveaxis(samples, 0, -1)
    return samples.reshape(*samples.shape[:2], -1)


def _cannot(page: Any, layout: Layout) -> str:
    """The message about a compression, predictor or packing that nothing here can undo."""
    what = described(layout, page)
    if int(page.predictor) == 3:
        what = what.replace(" compression", " compression, floating-point predictor")
    if has_imagecodecs() or layout.photometric == YCBCR:
        return f"is {what}, which cannot be read; save it with LZW or ZIP compression"
    return (
        f"is {what}; reading it needs imagecodecs: {FORMATS_PIP}"
        " (or save it with 8 or 16 bits and ZIP compression)"
    )


def _by_pillow(page: Any, layout: Layout, data: bytes) -> np.ndarray | None:
    """8-bit samples by libtiff, as stored; None if Pillow fails or finds another picture."""
    if layout.bits > 8 or int(page.compression) not in _BY_LIBTIFF:
        return None
    if layout.orientation != 1:  # which Pillow would apply, in some versions
        order: Any = "little" if data[:2] == b"II" else "big"
        at = page.tags[274].valueoffset
        data = data[:at] + (1).to_bytes(2, order) + data[at + 2 :]
    image: Any = None
    with IgnoreDamage():
        opened = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
        opened.load()
        image = opened
    if image is None:
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
    """LZW without imagecodecs: strip by strip through Pillow's libtiff, all else by tifffile."""
    tiled, planar = page.is_tiled, int(page.planarconfig) == 2
    width = page.tilewidth if tiled else page.imagewidth
    row = -(-width * (1 if planar else page.samplesperpixel) * page.bitspersample // 8)
    page.compression = 1  # tifffile has to undo predictor, byte order and packing only
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
