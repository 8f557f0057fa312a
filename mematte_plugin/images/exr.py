"""OpenEXR pictures: colours, mattes and ids, over the display window."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, warn_user
from .arrays import unpremultiply
from .colour_tags import tags_of_exr
from .decoded import HALF_MAX, STRAIGHT_ALPHA, Decoded, Header, Reading, ReadOptions, check_size
from .exr_layers import Address, choose, groups_of

EXR_PIP = 'pip install "mematte-plugin[exr]"'

_LUMA = (0.2126, 0.7152, 0.0722)
_OVERSHOOT = 2.0
"""A filter's ringing, and mattes that were added up, stay below this."""

Window = tuple[int, int, int, int]
"""left, top, right, bottom, both ends included"""


def read_exr(data: bytes, name: str, options: ReadOptions) -> Reading:
    """The part or layer of an EXR that the role means or the caller names.

    A photo is (H, W), (H, W, 3) or (H, W, 4) float32, alpha straight. A mask or trimap may also be
    unsigned integers, and keeps its colours as they are stored.

    Raises InputError, listing the layers, if several or none fit.
    """
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError(f"{name}: reading EXR needs OpenEXR: {EXR_PIP}") from error
    role = options.role
    with _on_disk(data) as path:
        try:
            with OpenEXR.File(path, header_only=True) as file:
                headers = [dict(part.header) for part in file.parts]  # emptied when it is closed
        except RuntimeError as error:  # it names a temporary file
            raise ValueError("OpenEXR cannot open it") from error
        first = _window(headers[0]["displayWindow"])
        yield Header(*_size(first), 4)
        names = [[channel.name for channel in header["channels"]] for header in headers]
        parts = [str(header.get("name", "")) for header in headers]
        wanted = choose(groups_of(zip(parts, names, strict=True)), role, options.layer, name)
        header = headers[wanted[0][0]]
        if "deep" in str(header.get("type", "")):
            raise InputError(f"{name}: is a deep EXR; flatten it in your compositor first")
        shown, stored = _window(header["displayWindow"]), _window(header["dataWindow"])
        for window in (shown, stored):
            check_size(*_size(window), name, options.max_pixels)
        with OpenEXR.File(path, separate_channels=True) as file:
            whole = {int(part.part_index): part.channels for part in file.parts}
            if any(channel not in whole.get(part, ()) for part, channel in wanted):
                # OpenEXR leaves out the parts that it cannot decode.
                raise ValueError("a part of it cannot be decoded")
            planes = [np.asarray(whole[part][channel].pixels) for part, channel in wanted]
    planes = [_finite(plane, name) for plane in planes]
    pixels = _framed(_together(planes, wanted), shown, stored)
    if role in ("mask", "trimap"):
        return Decoded(_mask_values(pixels, name), linear=True)
    if pixels.dtype.kind != "f":
        raise InputError(f"{name}: holds integers, which are ids and not colours; is it the mask?")
    # EXR colours are premultiplied by convention
    if pixels.ndim == 3 and pixels.shape[2] == 4 and not header.get(STRAIGHT_ALPHA):
        pixels[..., :3] = unpremultiply(pixels[..., :3], pixels[..., 3])
    return Decoded(pixels, linear=True, tags=tags_of_exr(header))


@contextmanager
def _on_disk(data: bytes) -> Iterator[str]:
    """The path of a file with this content: OpenEXR opens files by name only."""
    handle, path = tempfile.mkstemp(suffix=".exr")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield path
    finally:
        Path(path).unlink(missing_ok=True)


def _window(stored: Any) -> Window:
    left, top, right, bottom = (int(v) for v in np.ravel(stored))
    return left, top, right, bottom


def _size(window: Window) -> tuple[int, int]:
    left, top, right, bottom = window
    return bottom - top + 1, right - left + 1


def _finite(plane: np.ndarray, name: str) -> np.ndarray:
    """Floats as float32; with a warning if half floats overflowed their largest value.

    Raises InputError for NaN, and for infinite values that are not half floats.
    """
    if plane.dtype.kind != "f":
        return plane
    pixels = plane.astype(np.float32)
    infinite = int(np.count_nonzero(np.isinf(pixels)))
    bad = int(np.count_nonzero(np.isnan(pixels)))
    if bad or (infinite and plane.dtype != np.float16):
        raise InputError(
            f"{name}: holds {bad + infinite} NaN or infinite values; repair it in your compositor"
        )
    if infinite:
        warn_user(
            f"{name}: {infinite} values are beyond what half floats hold; {HALF_MAX:.0f} is used"
        )
        pixels = pixels.clip(-HALF_MAX, HALF_MAX)
    return pixels


def _together(planes: list[np.ndarray], wanted: tuple[Address, ...]) -> np.ndarray:
    """(H, W) or (H, W, C) from the single channels; luminance with chroma as RGB."""
    ends = [channel.rpartition(".")[2].lower() for _, channel in wanted]
    if ends[1:3] == ["ry", "by"]:
        planes = [*rgb_from_chroma(*planes[:3]), *planes[3:]]
    elif ends[0] == "y" and len(planes) == 2:
        planes = [planes[0]] * 3 + planes[1:]
    return planes[0].copy() if len(planes) == 1 else np.stack(planes, axis=2)


def rgb_from_chroma(y: np.ndarray, ry: np.ndarray, by: np.ndarray) -> list[np.ndarray]:
    """R, G and B from luminance and the colour differences, which are stored smaller."""
    import cv2

    size = (y.shape[1], y.shape[0])
    ry, by = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (ry, by))
    red, blue = (ry + 1) * y, (by + 1) * y
    return [red, (y - _LUMA[0] * red - _LUMA[2] * blue) / _LUMA[1], blue]


def _framed(pixels: np.ndarray, shown: Window, stored: Window) -> np.ndarray:
    """Over the display window: compositors crop the data window, and renderers overscan."""
    if shown == stored:
        return pixels
    x0, y0, x1, y1 = shown
    left, top, right, bottom = stored
    frame = np.zeros((*_size(shown), *pixels.shape[2:]), pixels.dtype)
    ys, xs = slice(max(y0, top), min(y1, bottom) + 1), slice(max(x0, left), min(x1, right) + 1)
    if ys.start < ys.stop and xs.start < xs.stop:
        frame[ys.start - y0 : ys.stop - y0, xs.start - x0 : xs.stop - x0] = pixels[
            ys.start - top : ys.stop - top, xs.start - left : xs.stop - left
        ]
    return frame


def _mask_values(pixels: np.ndarray, name: str) -> np.ndarray:
    """Floats within [0, 1]; whole numbers beyond, which are ids or levels, as integers."""
    low, high = float(pixels.min()), float(pixels.max())
    if pixels.dtype.kind == "f":
        if low >= 0 and high <= 1:
            return pixels
        if low < 0 or (pixels != np.rint(pixels)).any():
            return _clipped(pixels, low, high, name)
    fitting = np.uint8 if high <= 255 else np.uint16 if high <= 65535 else np.uint32
    return pixels.astype(fitting)


def _clipped(pixels: np.ndarray, low: float, high: float, name: str) -> np.ndarray:
    if low < 1 - _OVERSHOOT or high > _OVERSHOOT:
        raise InputError(
            f"{name}: its values run from {low:.4g} to {high:.4g}, not 0 to 1; is it depth or an"
            " HDR picture? Write the matte alone"
        )
    if high > 1.02 or low < -0.02:
        warn_user(f"{name}: values from {low:.3g} to {high:.3g} are clipped to [0, 1]")
    return pixels.clip(0.0, 1.0)
