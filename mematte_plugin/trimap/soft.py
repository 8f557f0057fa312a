"""Trimaps from anybody's soft mask or alpha: wide where it is unsure, narrow where it is crisp."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..images.decoded import MAX_PIXELS
from ..images.read import ImageSource
from .trimap import from_mask


def from_soft(
    alpha: ImageSource,
    *,
    size: tuple[int, int] | None = None,
    inside: float | None = None,
    outside: float | None = None,
    unit: Literal["%", "px"] = "%",
    islands: float = 0.0,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """A trimap from a soft mask or an alpha of any resolution."""
    del islands
    grain = 1.0
    if size is not None and isinstance(alpha, np.ndarray):
        import cv2

        grain = max(1.0, math.sqrt(size[0] * size[1] / alpha.size))
        alpha = cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_LINEAR)
    return from_mask(
        alpha,
        size=size,
        inside=inside,
        outside=outside,
        unit=unit,
        grain=grain,
        max_pixels=max_pixels,
    )
