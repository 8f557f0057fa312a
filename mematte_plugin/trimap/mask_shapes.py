"""Arrays of any shape that hold one mask or trimap, as pictures."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ..errors import InputError
from ..images.read import is_torch
from ..images.value_range import SLACK, finite_range


def as_picture(pixels: np.ndarray, source: Any, name: str) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4) from an array of any shape.

    source: what was passed in, for its shape.

    Raises InputError for stacks and batches, and for values that are not numbers.
    """
    shape = tuple(getattr(source, "shape", pixels.shape))
    if 0 in shape or pixels.size == 0:
        raise InputError(f"{name}: has shape {shape}, without a single pixel; give a picture")
    if pixels.dtype.kind not in "iubf":
        raise InputError(f"{name}: has {pixels.dtype} values; give bool, integers or float")
    if not pixels.dtype.isnative:
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if len(shape) == 3 and shape[0] == 1 and (is_torch(source) or shape[2] not in (1, 3, 4)):
        pixels = pixels.reshape(shape[1:])
    while pixels.ndim > 3 and 1 in pixels.shape[:-3] + pixels.shape[-3:-2]:
        pixels = pixels.squeeze(axis=pixels.shape.index(1))
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    elif pixels.ndim == 3 and pixels.shape[0] == 1 and pixels.shape[2] not in (3, 4):
        pixels = pixels[0]
    if pixels.ndim == 2:
        return pixels
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        if pixels.dtype != np.bool_:
            return _colours(pixels, name)
        if (pixels == pixels[..., :1]).all():
            return pixels[..., 0]
    elif _is_grey_of_three(pixels):
        return pixels[0]
    _refuse_shape(shape, name)


def _is_grey_of_three(pixels: np.ndarray) -> bool:
    """Whether it is (3, H, W) of a grey picture; three bool masks are a stack, even equal ones."""
    channels = pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.dtype != np.bool_
    return channels and bool((pixels == pixels[:1]).all())


def _colours(pixels: np.ndarray, name: str) -> np.ndarray:
    """(H, W, 3) or (H, W, 4) as uint8, uint16 or float in [0, 1]; 0 and 1 as 0 and 255."""
    if pixels.dtype.kind == "f":
        low, high = finite_range(pixels, name)
        if 1.5 < high <= 255.5 and low >= -SLACK:
            return (pixels / 255).clip(0, 1).astype(np.float32)
        if low < -SLACK or high > 1 + SLACK:
            raise InputError(
                f"{name}: colour values run from {low:.4g} to {high:.4g}, not 0 to 1; scale them"
            )
        return pixels.astype(np.float32).clip(0, 1)
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > 65535:
        raise InputError(f"{name}: colour values run from {low} to {high}, not 0 to 255")
    if high <= 1:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype not in (np.uint8, np.uint16):
        return pixels.astype(np.uint8 if high <= 255 else np.uint16)
    return pixels


def _refuse_shape(shape: tuple[int, ...], name: str) -> NoReturn:
    if len(shape) == 3:
        what = name.split(maxsplit=1)[0]
        behind = shape[2] < min(shape[:2])  # (H, W, N)
        count, axis, one = (shape[2], 2, "[..., 0]") if behind else (shape[0], 0, "[0]")
        raise InputError(
            f"{name}: has shape {shape}, a stack of {count}: choose one, as in {what}{one}, or join"
            f" masks with .max({axis})"
        )
    if len(shape) > 3:
        raise InputError(
            f"{name}: has shape {shape}, a batch: pass its pictures one by one, (H, W) each"
        )
    raise InputError(f"{name}: has shape {shape}; give (H, W)")
