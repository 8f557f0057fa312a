"""Surfaces: crops of photographs, and procedural patterns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Array = NDArray[Any]


def read_rgb(path: Path) -> Array | None:
    """Read a photograph as (H, W, 3) uint8 RGB; None if it is unreadable."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        return None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def shrunk(image: Array, longest: int) -> Array:
    """Scale (H, W, C) down so that no side is longer than `longest`."""
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(image)
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw from [low, high] with equal weight for every factor."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def noise(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    cells: float = 4.0,
    octaves: int = 4,
    persistence: float = 0.5,
) -> Array:
    """Smooth multi-octave noise.

    `cells`: lumps of the coarsest octave along the longer side. Returns (H, W) float32 in [0, 1],
    stretched to the full range.
    """
    total = np.zeros((height, width), np.float32)
    long_side = max(height, width)
    weight = 1.0
    for _ in range(octaves):
        rows = max(2, round(cells * height / long_side) + 2)
        columns = max(2, round(cells * width / long_side) + 2)
        grid = rng.random((rows, columns), np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= persistence
        cells *= 2
        if cells > long_side:
            break
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def palette(rng: np.random.Generator, count: int) -> Array:
    """Colours that go together: (count, 3) float32 in 0..255, mostly muted, related in hue."""
    hue = rng.uniform(0, 180)
    hsv = np.empty((1, count, 3), np.uint8)
    vivid = rng.random() < 0.15
    for i in range(count):
        hsv[0, i, 0] = int(hue + rng.normal(0, 18)) % 180
        hsv[0, i, 1] = int(rng.uniform(90, 220) if vivid else 255 * rng.beta(1.4, 3.2))
        hsv[0, i, 2] = int(255 * rng.beta(2.0, 1.7))
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0], np.float32)


def _through_palette(rng: np.random.Generator, field: Array) -> Array:
    """Colour a (H, W) field in [0, 1] by a random ramp."""
    colours = palette(rng, int(rng.integers(2, 5)))
    ramp = cv2.resize(colours[None], (256, 1), interpolation=cv2.INTER_LINEAR)[0]  # (256, 3)
    return np.asarray(ramp)[(field * 255).astype(np.uint8)]


def clouds(rng: np.random.Generator, height: int, width: int) -> Array:
    """Lumps of a few colours, coarse or fine."""
    field = noise(rng, height, width, cells=log_uniform(rng, 1.5, 14), octaves=5)
    return _through_palette(rng, field)


def gradient(rng: np.random.Generator, height: int, width: int) -> Array:
    """A wall or a sky: one slow ramp with a little unevenness."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    field = 0.5 + 0.5 * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5))
    field += 0.06 * (noise(rng, height, width, cells=3, octaves=5) - 0.5)
    return _through_palette(rng, np.clip(field, 0, 1))


def bokeh(rng: np.random.Generator, height: int, width: int) -> Array:
    """Out-of-focus lights and leaves over a dim ground."""
    picture = np.ascontiguousarray(clouds(rng, height, width) * 0.7, np.float32)
    side = max(height, width)
    radius = log_uniform(rng, 0.015, 0.08) * side
    for _ in range(int(rng.integers(15, 70))):
        layer = picture.copy()
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        colour = palette(rng, 1)[0]
        cv2.circle(layer, centre, int(radius * rng.uniform(0.6, 1.2)), colour.tolist(), -1)
        cv2.addWeighted(layer, float(rng.uniform(0.2, 0.7)), picture, 0.5, 0, picture)
        np.clip(picture, 0, 255, out=picture)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.6, radius * 0.12)))


def stripes(rng: np.random.Generator, height: int, width: int) -> Array:
    """Boards, blinds, knitwear: a wavy periodic pattern with grain."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    period = log_uniform(rng, 7, 70)
    bend = (noise(rng, height, width, cells=3, octaves=2) - 0.5) * period * rng.uniform(0, 4)
    phase = (np.cos(angle) * x + np.sin(angle) * y + bend) / period
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * phase)
    wave = np.clip((wave - 0.5) * rng.uniform(0.8, 6) + 0.5, 0, 1)
    grain = noise(rng, height, width, cells=20, octaves=4)
    return _through_palette(rng, np.clip(0.75 * wave + 0.25 * grain, 0, 1))


def tiles(rng: np.random.Generator, height: int, width: int) -> Array:
    """Bricks or checks, each stone a shade of its own."""
    cell_h = log_uniform(rng, 10, 60)
    cell_w = cell_h * rng.uniform(1, 2.5)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    row = np.floor(y / cell_h)
    column = np.floor(x / cell_w + 0.5 * (row % 2))
    shade = np.sin(row * 127.1 + column * 311.7 + rng.uniform(0, 9)) * 43758.5
    shade = (shade - np.floor(shade)).astype(np.float32)
    joint = (np.mod(y, cell_h) < 2) | (np.mod(x + 0.5 * cell_w * (row % 2), cell_w) < 2)
    field = 0.35 + 0.35 * shade + 0.3 * noise(rng, height, width, cells=16, octaves=4)
    return _through_palette(rng, np.clip(np.where(joint, 0.05, field), 0, 1))


PATTERNS: dict[Callable[[np.random.Generator, int, int], Array], float] = {
    clouds: 0.3,
    gradient: 0.3,
    bokeh: 0.12,
    stripes: 0.14,
    tiles: 0.14,
}
"""Patterns and their shares."""


def pattern(rng: np.random.Generator, height: int, width: int) -> Array:
    """A random procedural pattern, (H, W, 3) uint8."""
    draw = list(PATTERNS)[rng.choice(len(PATTERNS), p=list(PATTERNS.values()))]
    return np.clip(draw(rng, height, width), 0, 255).astype(np.uint8)


class PhotoPool:
    """Photographs in memory, with smaller copies so that crops never alias."""

    def __init__(self, photos: Sequence[Array], skipped: Sequence[str] = ()) -> None:
        self.skipped = list(skipped)
        """Names of photographs that could not be read."""
        self._pyramids: list[list[Array]] = []
        for photo in photos:
            levels = [photo]
            for _ in range(2):
                last = levels[-1]
                half = (last.shape[1] // 2, last.shape[0] // 2)
                levels.append(np.asarray(cv2.resize(last, half, interpolation=cv2.INTER_AREA)))
            self._pyramids.append(levels)

    @classmethod
    def open(cls, directory: Path) -> PhotoPool:
        """Read every JPEG of a folder; those that cannot be read are skipped with a warning."""
        photos, skipped = [], []
        for path in sorted(directory.glob("*.jpg")):
            photo = read_rgb(path)
            if photo is None:
                skipped.append(path.name)
                log.warning("%s: skipped, not a readable image", path)
            else:
                photos.append(photo)
        return cls(photos, skipped)

    def crop(self, rng: np.random.Generator, height: int, width: int) -> Array:
        """A turned, scaled, mirrored crop, (H, W, 3) uint8; a pattern if the pool is empty."""
        if not self._pyramids:
            return pattern(rng, height, width)
        levels = self._pyramids[int(rng.integers(len(self._pyramids)))]
        rows, columns = levels[0].shape[:2]
        smallest = max(height / rows, width / columns)  # the whole photograph
        scale = log_uniform(rng, smallest, max(1.25, smallest * 1.25))
        level = 0 if scale > 0.6 else 1 if scale > 0.3 else 2
        photo = levels[level]
        scale *= 2**level
        turn = rng.uniform(0, 360) if rng.random() < 0.15 else rng.normal(0, 7)
        rows, columns = photo.shape[:2]
        centre = (
            rng.uniform(*_span(columns, width / scale)),
            rng.uniform(*_span(rows, height / scale)),
        )
        matrix = np.asarray(cv2.getRotationMatrix2D(centre, float(turn), scale), np.float64)
        matrix[:, 2] += np.array([width / 2, height / 2]) - centre
        crop = np.asarray(
            cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        )
        return np.ascontiguousarray(crop[:, ::-1]) if rng.random() < 0.5 else crop

    def surface(self, rng: np.random.Generator, height: int, width: int) -> Array:
        """The surface of an object: mostly a photo crop, else a pattern, sometimes both."""
        kind = rng.random()
        if kind < 0.6:
            return self.crop(rng, height, width)
        drawn = pattern(rng, height, width)
        if kind < 0.8:
            return drawn
        share = float(rng.uniform(0.2, 0.7))
        return np.asarray(
            cv2.addWeighted(self.crop(rng, height, width), share, drawn, 1 - share, 0)
        )

    def coarse_surface(self, rng: np.random.Generator, side: int) -> Array:
        """A surface (side, side, 3) uint8, made at half the size: a canvas is shrunk anyway."""
        half = self.surface(rng, side // 2, side // 2)
        return np.asarray(cv2.resize(half, (side, side), interpolation=cv2.INTER_LINEAR))


def _span(length: int, window: float) -> tuple[float, float]:
    """Range of the centre of a window that stays inside, if it can."""
    if window >= length:
        return length / 2, length / 2 + 1e-6
    return window / 2, length - window / 2
