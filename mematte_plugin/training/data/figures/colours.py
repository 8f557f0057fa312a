"""Colours as they occur: skin, hair, coats, plants; linear RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forms import smooth_noise

Array = NDArray[Any]

HAIR = np.array(
    [
        [24, 19, 17], [38, 27, 21], [58, 39, 27], [84, 58, 38], [118, 82, 52], [156, 118, 76],
        [196, 160, 108], [226, 200, 150], [120, 56, 30], [160, 84, 44], [128, 124, 120],
        [180, 176, 170], [222, 218, 212], [60, 56, 58], [100, 80, 64],
    ]
)  # fmt: skip
"""sRGB, 0..255."""
COATS = np.array(
    [
        [30, 26, 24], [70, 48, 32], [120, 84, 50], [168, 124, 76], [206, 170, 118],
        [232, 214, 182], [240, 236, 228], [150, 146, 142], [92, 88, 86], [168, 92, 44],
        [196, 120, 60], [54, 44, 40], [132, 110, 88], [214, 200, 176],
    ]
)  # fmt: skip
SKIN = np.array(
    [[255, 219, 196], [241, 194, 160], [224, 172, 132], [198, 134, 94], [141, 85, 56], [92, 56, 40]]
)
PLANTS = np.array(
    [[60, 96, 34], [88, 120, 44], [44, 80, 40], [120, 140, 70], [150, 130, 60], [110, 70, 40],
     [96, 128, 90], [170, 160, 110]]
)  # fmt: skip


def linear(srgb: Array) -> Array:
    """sRGB 0..255 to linear light 0..1."""
    unit = np.clip(np.asarray(srgb, np.float64) / 255, 0, 1)
    return np.where(unit < 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


def pick(rng: np.random.Generator, table: Array) -> Array:
    """One colour of a table, a little changed: (3,) linear."""
    base = table[int(rng.integers(len(table)))].astype(np.float64)
    return linear(np.clip(base * rng.uniform(0.85, 1.15) + rng.normal(0, 4, 3), 4, 250))


def dyed(rng: np.random.Generator) -> Array:
    """Any colour that cloth or plush may have: (3,) linear."""
    hue = rng.random(3)
    grey = hue.mean()
    chosen = grey + (hue - grey) * rng.uniform(0.2, 0.9)
    return linear(np.clip(chosen * 255 * rng.uniform(0.5, 1.1), 8, 248))


def strand_colours(rng: np.random.Generator, base: Array, count: int) -> Array:
    """Every strand's own shade of `base` (3,) or (N, 3): (N, 3)."""
    light = np.exp(rng.uniform(0.1, 0.3) * rng.normal(size=(count, 1)))
    tint = 1 + 0.05 * rng.normal(size=(count, 3))
    shades = np.broadcast_to(base, (count, 3)) * light * tint
    if rng.random() < 0.25:  # highlights, grey hairs
        other = pick(rng, HAIR)
        streak = rng.random((count, 1)) < rng.uniform(0.03, 0.3)
        shades = np.where(streak, other, shades)
    return np.clip(shades, 0.002, 0.95)


def coat(rng: np.random.Generator, points: Array, *, plush: bool = False) -> Array:
    """An animal's colours at points (N, 3): patches, a light belly, speckles."""
    first = dyed(rng) if plush else pick(rng, COATS)
    second = dyed(rng) if plush and rng.random() < 0.5 else pick(rng, COATS)
    third = pick(rng, COATS)
    field = smooth_noise(rng, points, rng.uniform(0.5, 2.5))
    edge = np.clip(field * rng.uniform(2, 20) + rng.uniform(-2, 2), 0, 1)[:, None]
    colours = first * (1 - edge) + second * edge
    if rng.random() < 0.5:
        span = np.ptp(points[:, 2]) + 1e-6
        low = np.clip(0.5 - (points[:, 2] - np.median(points[:, 2])) / span * 2, 0, 1)[:, None]
        colours = colours * (1 - low) + third * low
    if rng.random() < 0.25:  # stripes or spots
        marks = smooth_noise(rng, points * np.array([1.0, 1.0, 0.5]), rng.uniform(0.12, 0.4))
        colours = np.where((marks > 0.25)[:, None], third * 0.5, colours)
    return strand_colours(rng, colours, len(points))
