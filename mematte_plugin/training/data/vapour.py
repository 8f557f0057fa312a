"""Subjects without an outline, drawn for each crop: smoke and sheer cloth."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .textures import log_uniform, noise, palette

Array = NDArray[Any]


def smoke(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """A cloud that fades out: colour (S, S, 3) float32, alpha (S, S) float32.

    Alpha is exactly 0 around it and often exactly 1 in its core.
    """
    cells = log_uniform(rng, 1.5, 6)
    field = noise(rng, size, size, cells=cells, octaves=6, persistence=rng.uniform(0.4, 0.65))
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    angle = rng.uniform(0, np.pi)
    dx, dy = x - rng.uniform(0.2, 0.8), y - rng.uniform(0.2, 0.8)
    along = (np.cos(angle) * dx + np.sin(angle) * dy) / rng.uniform(0.25, 0.9)
    across = (np.cos(angle) * dy - np.sin(angle) * dx) / rng.uniform(0.15, 0.5)
    envelope = np.clip(1.3 - np.sqrt(along**2 + across**2), 0, 1)
    dense = rng.uniform(0.6, 2.6)
    alpha = np.clip(dense * (field * 1.3 * envelope - rng.uniform(0.1, 0.3)), 0, 1)
    tint = np.full(3, log_uniform(rng, 20, 250)) * (1 + rng.normal(0, 0.05, 3))
    if rng.random() < 0.2:
        tint = palette(rng, 1)[0]
    light = 1 + rng.uniform(0.1, 0.5) * (field - 0.5)
    return _formed(tint, light, alpha)


def sheer(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """A veil in front of the crop or a part of it, with folds and sometimes a solid hem."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    warp = noise(rng, size, size, cells=log_uniform(rng, 1.5, 5), octaves=3)
    place = (np.cos(angle) * x + np.sin(angle) * y) / size + warp * rng.uniform(0.1, 0.5)
    folds = 0.5 + 0.5 * np.sin(2 * np.pi * place * log_uniform(rng, 2, 14))
    folds = folds ** rng.uniform(1, 4)
    base = rng.uniform(0.08, 0.6)
    alpha = base + rng.uniform(0.1, 0.7) * folds * (1 - base)
    if rng.random() < 0.5:  # weave
        period = log_uniform(rng, 2.5, 7)
        threads = 0.5 + 0.25 * (np.sin(2 * np.pi * x / period) + np.sin(2 * np.pi * y / period))
        alpha = alpha * (1 + rng.uniform(0.1, 0.4) * (threads - 0.5))
    edge = rng.uniform(0, 2 * np.pi)
    side = (np.cos(edge) * (x / size - 0.5) + np.sin(edge) * (y / size - 0.5)) + 0.15 * (warp - 0.5)
    side = (side - rng.uniform(-0.3, 0.15)) * size  # pixels from the cloth's border
    cover = np.clip(side / log_uniform(rng, 1, 4) + 0.5, 0, 1)
    if rng.random() < 0.5:
        hem = rng.uniform(0.02, 0.15) * size
        alpha = np.where(side < hem, np.maximum(alpha, rng.uniform(0.7, 1.2)), alpha)
        alpha = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 0.8)
    tint = np.clip(palette(rng, 1)[0] * rng.uniform(1, 1.6), 0, 255)
    light = 0.8 + rng.uniform(0.1, 0.5) * folds
    return _formed(tint, light, np.clip(alpha, 0, 1) * cover)


def _formed(tint: Array, light: Array, alpha: Array) -> tuple[Array, Array]:
    colour = np.clip(light[..., None] * tint, 0, 255).astype(np.float32)
    return colour, np.asarray(alpha, np.float32)
