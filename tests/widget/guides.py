"""What the widget's tests paint and hand in."""

from __future__ import annotations

import numpy as np

from mematte_plugin import Stroke

SIZE = HEIGHT, WIDTH = 70, 101


def painted(size: tuple[int, ...]) -> np.ndarray:
    """Strokes: subject in the middle, unsure around it, background at the left."""
    labels = np.zeros(size[:2], np.uint8)
    high, wide = size[:2]
    labels[high // 4 : -high // 4, wide // 4 : -wide // 4] = Stroke.UNKNOWN
    labels[high // 3 : -high // 3, wide // 3 : -wide // 3] = Stroke.FOREGROUND
    labels[:, : wide // 8] = Stroke.BACKGROUND
    return labels


def disc(size: tuple[int, int] = SIZE) -> np.ndarray:
    """A mask: (H, W) uint8 of 0 and 255."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    away = (rows - size[0] / 2) ** 2 + (columns - size[1] / 2) ** 2
    return np.where(away < (min(size) / 3) ** 2, np.uint8(255), np.uint8(0))
