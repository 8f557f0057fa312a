"""A subject before another background."""

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from PIL import ImageColor

from .errors import InputError
from .images import ImageSource, Photo, linear_to_srgb, read_photo, srgb_to_linear, to_unit
from .writing import STRIP

Background: TypeAlias = "str | tuple[float, ...] | ImageSource"
"""A colour or a picture."""


def composite(
    foreground: np.ndarray, alpha: np.ndarray, background: Background, *, linear: bool = False
) -> np.ndarray:
    """alpha * F + (1 - alpha) * B: (H, W, 3) float32 in [0, 1], in the foreground's encoding.

    foreground: (H, W, 3) float in [0, 1], or uint8 or uint16: the subject's colours, straight.
    alpha: (H, W) float in [0, 1].
    background: a colour ("white", "#20c0ff", "hsl(…)", (255, 255, 255), or floats in [0, 1]), or
        an image as `images.read_photo` takes it, its own depth kept; of another size it is scaled
        to cover the foreground and cropped in the middle.
    linear: the foreground is scene-linear light; a display-encoded background is converted.

    Blended in the foreground's own encoding, as image editors do; linear light is blended as such.
    The background's numbers are taken as they are: no ICC conversion, its transparency ignored.

    Raises InputError for what is neither a colour nor an image, and for shapes that do not agree.
    """
    foreground, alpha = np.asarray(foreground), np.asarray(alpha)
    if foreground.ndim != 3 or foreground.shape[2] != 3 or alpha.shape != foreground.shape[:2]:
        raise InputError(
            f"composite: foreground {foreground.shape} and alpha {alpha.shape} do not agree; give"
            " (H, W, 3) and (H, W) of one size"
        )
    behind = _behind(background, (int(alpha.shape[0]), int(alpha.shape[1])), linear)
    out = np.empty(foreground.shape, np.float32)
    for top in range(0, len(out), STRIP):  # no further float copies of a large picture
        rows = slice(top, top + STRIP)
        share = to_unit(alpha[rows])[..., None]
        mixed = np.multiply(to_unit(foreground[rows]), share, out=out[rows])
        mixed += behind(rows) * (1 - share)
        mixed.clip(0, 1, out=mixed)
    return out


def _behind(
    background: Background, size: tuple[int, int], linear: bool
) -> Callable[[slice], np.ndarray]:
    """The background of a strip of rows: (3,) or (rows, W, 3) float32 in the right encoding."""
    colour = _colour(background)
    if colour is not None:
        plain = srgb_to_linear(colour) if linear else colour
        return lambda _: plain
    name = None if isinstance(background, str | os.PathLike) else "background"
    photo = background if isinstance(background, Photo) else read_photo(background, name=name)
    pixels = _cover(photo.pixels, size)
    if photo.linear == linear:
        return lambda rows: to_unit(pixels[rows])
    convert = linear_to_srgb if photo.linear else srgb_to_linear
    return lambda rows: convert(to_unit(pixels[rows]))


def _colour(background: Any) -> np.ndarray | None:
    """(3,) float32 in [0, 1] of a colour name or tuple; None for what may be an image."""
    if isinstance(background, str):
        try:
            numbers: tuple[float, ...] = ImageColor.getrgb(background)
        except ValueError:
            if not os.path.exists(background):
                raise InputError(
                    f"background {background!r}: neither a colour (white, #20c0ff) nor a file"
                ) from None
            return None
    elif isinstance(background, tuple | list):
        numbers = tuple(background)
        if not numbers or not all(isinstance(n, int | float | np.number) for n in numbers):
            raise InputError("background: give one colour or one image, not a list of them")
        if any(isinstance(n, float | np.floating) for n in numbers) and max(numbers) <= 1:
            numbers = tuple(n * 255 for n in numbers)
    else:
        return None
    opaque = len(numbers) == 3 or (len(numbers) == 4 and numbers[3] == 255)
    if not opaque or not all(0 <= n <= 255 for n in numbers):
        raise InputError(f"background {background!r}: give three numbers, 0–255 or floats 0–1")
    return np.asarray(np.array(numbers[:3], np.float32) / np.float32(255))


def _cover(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scaled to cover (H, W), keeping its aspect ratio, and cropped in the middle.

    Scaled as floats, so that no steps of 8 bits are lost; of the same size, as it was.
    """
    height, width = size
    if pixels.shape[:2] == size:
        return pixels
    import cv2

    scale = max(height / pixels.shape[0], width / pixels.shape[1])
    grown = (
        max(width, round(pixels.shape[1] * scale)),
        max(height, round(pixels.shape[0] * scale)),
    )
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(to_unit(pixels), grown, interpolation=way))
    scaled.clip(0, 1, out=scaled)
    top, left = (grown[1] - height) // 2, (grown[0] - width) // 2
    return scaled[top : top + height, left : left + width]
