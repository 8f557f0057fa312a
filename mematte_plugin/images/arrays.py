"""Pixel values as numbers: depth, the sRGB curve, straight colours, smaller copies."""

from __future__ import annotations

from typing import Any

import numpy as np

STRIP = 256
"""Rows that are converted at a time: floats of a large picture would take gigabytes."""


def full_scale(dtype: np.dtype[Any]) -> float:
    """What stands for 1: 1 for floats, the largest number for unsigned integers."""
    return 1.0 if dtype.kind in "fb" else float(np.iinfo(dtype).max)


def to_unit(array: np.ndarray) -> np.ndarray:
    """Any shape of uint8, uint16, bool or float as float32 in [0, 1]."""
    unit: np.ndarray = array.astype(np.float32)
    if array.dtype.kind == "u":
        unit /= np.float32(full_scale(array.dtype))
    return unit


def to_steps(array: np.ndarray, bits: int) -> np.ndarray:
    """Numbers in [0, 1] as the nearest integers of 8 or 16 bits; integers of that depth stay."""
    dtype: type[np.uint8] | type[np.uint16] = np.uint8 if bits == 8 else np.uint16
    if array.dtype == dtype:
        return array
    steps: np.ndarray = np.empty(array.shape, dtype)
    for top in range(0, len(array), STRIP):
        unit = np.nan_to_num(to_unit(array[top : top + STRIP])).clip(0, 1)
        steps[top : top + STRIP] = np.rint(unit * np.float32(np.iinfo(dtype).max))
    return steps


def scaled_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Unsigned values of this many bits over the whole range of uint8 or uint16.

    Deeper ones stay as they are.
    """
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if bits in (8, 16) or bits > 16:
        return values
    top = 255 if bits < 8 else 65535
    steps = (1 << bits) - 1
    table = (np.arange(steps + 1, dtype=np.uint32) * top + steps // 2) // steps
    kind = np.uint8 if bits < 8 else np.uint16
    return np.asarray(table.astype(kind)[np.minimum(values, steps)])


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """Display-encoded float, also beyond [0, 1], to linear light (IEC 61966-2-1), float32."""
    size = np.abs(values)
    high = ((np.maximum(size, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.copysign(np.where(size <= 0.04045, size / 12.92, high), values).astype(np.float32)


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light, also beyond [0, 1], to display-encoded float32 (IEC 61966-2-1)."""
    size = np.abs(values)
    high = 1.055 * np.maximum(size, 0.0031308) ** (1 / 2.4) - 0.055
    low = np.minimum(size, 0.0031308) * 12.92  # which must not overflow
    return np.copysign(np.where(size <= 0.0031308, low, high), values).astype(np.float32)


def unpremultiply(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Straight colours, 0 where alpha is 0; same dtype, integers rounded.

    An alpha of 0 everywhere counts as empty: the colours stay.
    """
    if not alpha.any():
        return colour
    top = full_scale(colour.dtype)
    safe = np.where(alpha > 0, alpha, 1).astype(np.float64)[..., None]
    straight = np.where(alpha[..., None] > 0, colour * (top / safe), 0)
    if colour.dtype.kind != "f":
        straight = np.rint(straight.clip(0, top))
    return straight.astype(colour.dtype)


def rgb_order(pixels: np.ndarray | None) -> np.ndarray:
    """OpenCV's BGR(A) as RGB(A)."""
    if pixels is None:
        raise ValueError("the decoder gave up")
    if pixels.ndim == 2:
        return pixels
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return np.ascontiguousarray(pixels[..., order])


def scaled_down(values: np.ndarray, longest: int) -> np.ndarray:
    """(H, W) or (H, W, C) of any depth, its longer side at most `longest` pixels; never larger.

    Every pixel of the result is the mean of those that it stands for.
    """
    height, width = values.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return values
    import cv2

    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))
