"""Masks and trimaps of one disc in many forms.

Every mask has the same disc as its subject, every trimap the same unknown ring.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mematte_plugin.errors import MEMatteWarning
from mematte_plugin.trimap.trimap import from_mask

SIZE = HEIGHT, WIDTH = 120, 160
Y, X = np.mgrid[:HEIGHT, :WIDTH]
AWAY = np.hypot(Y - 60, X - 80)
DISC = AWAY < 40
SOFT = cv2.GaussianBlur(DISC.astype(np.float32), (0, 0), 1.5)
LEFT, RIGHT = DISC & (X < 80), DISC & (X >= 80)
HALVES = LEFT + 2 * RIGHT.astype(np.uint8)  # two objects that touch
SPOTS = (np.hypot(Y - 60, X - 40) < 20) + 2 * (np.hypot(Y - 60, X - 120) < 20).astype(np.uint8)
RINGS = np.where(AWAY < 34, 2, np.where(AWAY < 46, 1, 0))  # 0 background, 1 unknown, 2 foreground
VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
EXPECTED = from_mask(DISC)
GRADIENT = np.broadcast_to(np.linspace(0, 1, WIDTH, dtype=np.float32), SIZE)
VIGNETTE = np.clip(1 - AWAY / 110, 0, 1).astype(np.float32)


def levels(low: float, high: float, mask: np.ndarray = DISC) -> np.ndarray:
    return np.rint(low + (high - low) * mask).astype(np.uint8)


def three(*values: float, dtype: Any = np.uint8) -> np.ndarray:
    return np.array(values, dtype)[RINGS]


def colours(background: Any, subject: Any, mask: np.ndarray = DISC) -> np.ndarray:
    start = np.array(background, np.float32)
    return np.rint(start + (np.array(subject) - start) * mask[..., None]).astype(np.uint8)


def brush(colour: Any, alpha: np.ndarray) -> np.ndarray:
    return np.dstack([np.full((*SIZE, 3), colour, np.uint8), alpha.astype(np.uint8)])


def noisy(values: np.ndarray, spread: float) -> np.ndarray:
    grain = np.random.default_rng(0).normal(0, spread, values.shape)
    return np.rint(values + grain).clip(0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray | Image.Image, fmt: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, fmt, **options)
    return file.getvalue()


def jpeg(pixels: np.ndarray, quality: int) -> bytes:
    return encoded(pixels, "JPEG", quality=quality)


def decoded(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)))


def sharpened(pixels: np.ndarray) -> np.ndarray:
    """With overshoots next to its edges."""
    small = Image.fromarray(pixels).resize((WIDTH // 2, HEIGHT // 2))
    return np.array(small.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def in_blocks(pixels: np.ndarray) -> np.ndarray:
    return pixels[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)


def palette(indices: np.ndarray, entries: list[tuple[int, int, int]]) -> bytes:
    image = Image.frombytes("P", (WIDTH, HEIGHT), indices.astype(np.uint8).tobytes())
    image.putpalette([channel for entry in entries for channel in entry])
    return encoded(image)


def quietly(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """The result, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = call()
    assert all(warning.category is MEMatteWarning for warning in caught)
    return made, [str(warning.message) for warning in caught]
