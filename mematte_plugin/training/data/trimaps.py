"""Trimaps as people draw them, from a true alpha."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .textures import log_uniform, noise

Array = NDArray[Any]

OPAQUE = 0.99
CLEAR = 0.01


def _depth(region: Array) -> Array:
    """Distance of every pixel of a bool region to its outside, (H, W) float32; 0 outside."""
    if region.all():
        return np.full(region.shape, 1e6, np.float32)
    return np.asarray(cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 5))


def random_trimap(rng: np.random.Generator, alpha: Array, *, widest: float = 25.0) -> Array:
    """Mark what is certain: (H, W) uint8 of 0, 128, 255 from alpha (H, W) float32 in [0, 1].

    Bands are log-uniform in width, unlike on both sides, even or wavering like a hand-drawn line.
    Foreground only where alpha > 0.99, background only where alpha < 0.01, so never wrong.
    """
    opaque, clear = alpha > OPAQUE, alpha < CLEAR
    width = log_uniform(rng, 1.0, widest)
    inner = np.clip(width * log_uniform(rng, 0.5, 2.0), 1.0, widest)
    outer = np.clip(width * log_uniform(rng, 0.5, 2.0), 1.0, widest)
    height, columns = alpha.shape
    sway: Array | float = 1.0
    if rng.random() < 0.4:
        field = noise(rng, height, columns, cells=log_uniform(rng, 3, 12), octaves=2)
        sway = 1 + rng.uniform(0.3, 1.2) * field
    foreground = _depth(opaque) > inner * sway
    background = _depth(clear) > outer * sway
    if rng.random() < 0.7:  # nobody draws specks of certainty: a brush covers small islands
        brush = log_uniform(rng, 2, 10)
        foreground = _opened(foreground, brush)
        background = _opened(background, brush)
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[foreground] = 255
    trimap[background] = 0
    if rng.random() < 0.12:  # a doubtful spot within what is certain
        for _ in range(int(rng.integers(1, 4))):
            at = (int(rng.integers(columns)), int(rng.integers(height)))
            cv2.circle(trimap, at, int(log_uniform(rng, 3, 20)), 128, -1)
    return trimap


def _opened(region: Array, radius: float) -> Array:
    """Drop the parts of a region into which a disc of `radius` does not fit."""
    core = _depth(region) > radius
    return np.asarray(region & (_depth(~core) <= radius))
