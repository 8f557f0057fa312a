"""Trimaps as people make them, from a true alpha."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...trimap.bands import banded
from .textures import log_uniform, noise

Array = NDArray[Any]

OPAQUE = 0.99
CLEAR = 0.01
ASTRAY = 0.02
"""Share of the soft edge that a hand-made trimap may mark as known: strands that people miss."""
EXACT = 0.45
"""How often a band follows the soft edge exactly, which needs the true alpha."""
_WIDENINGS = 3
_DABS = 8  # times twenty


def random_trimap(rng: np.random.Generator, alpha: Array, *, widest: float = 25.0) -> Array:
    """A trimap (H, W) uint8 of 0, 128, 255 for alpha (H, W) float32 in [0, 1].

    About half of the bands follow the soft edge: foreground only where alpha > 0.99, background
    only where alpha < 0.01. The others are made from a mask of alpha >= 0.5 by `from_mask`, as
    polygons or with a brush; there strands may leave the band, at most 2% of the soft pixels.
    `widest` is the largest width in pixels on either side of the edge.
    """
    trimap = None
    if rng.random() > EXACT:
        trimap = _by_hand(rng, alpha, widest)
    if trimap is None:
        trimap = _along_the_soft_edge(rng, alpha, widest)
    if rng.random() < 0.12:  # a doubtful spot in a known region
        for _ in range(int(rng.integers(1, 4))):
            at = (int(rng.integers(alpha.shape[1])), int(rng.integers(alpha.shape[0])))
            cv2.circle(trimap, at, int(log_uniform(rng, 3, 20)), 128, -1)
    if rng.random() < 0.08:  # a large unknown area that is empty or solid
        lumps = noise(rng, *alpha.shape, cells=log_uniform(rng, 1, 4), octaves=2)
        certain = 255 if rng.random() < 0.5 else 0
        trimap[(trimap == certain) & (lumps > rng.uniform(0.45, 0.75))] = 128
    return trimap


def astray(trimap: Array, alpha: Array) -> float:
    """Wrongly known pixels of a trimap, as a share of the soft pixels."""
    soft = (alpha > CLEAR) & (alpha < OPAQUE)
    wrong = np.count_nonzero(_wrong(trimap, alpha))
    return float(wrong) / max(int(np.count_nonzero(soft)), 1)


def _wrong(trimap: Array, alpha: Array) -> Array:
    """Where a trimap contradicts alpha, (H, W) bool."""
    return np.asarray(((trimap == 0) & (alpha > CLEAR)) | ((trimap == 255) & (alpha < OPAQUE)))


def _along_the_soft_edge(rng: np.random.Generator, alpha: Array, widest: float) -> Array:
    """A log-uniform width, different on both sides, even or wavering like a hand-drawn line."""
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
    if rng.random() < 0.7:  # people draw no specks: a brush covers small islands
        brush = log_uniform(rng, 2, 10)
        foreground = _opened(foreground, brush)
        background = _opened(background, brush)
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[foreground] = 255
    trimap[background] = 0
    return trimap


# ---- from a mask ---------------------------------------------------------------------------------


def _by_hand(rng: np.random.Generator, alpha: Array, widest: float) -> Array | None:
    """A trimap from a mask; None if it would miss too much of the soft edge."""
    mask = _rough_mask(rng, alpha)
    share = float(mask.mean())
    if not 0.003 < share < 0.997:
        return None
    draw: Callable[[np.random.Generator, Array, float, float], Array]
    kind = rng.random()
    draw = _tool if kind < 0.5 else _polygons if kind < 0.75 else _brush
    inside, outside = log_uniform(rng, 2, widest * 0.7), log_uniform(rng, 3, widest)
    state = rng.integers(2**32)
    for _ in range(int(rng.integers(1, _WIDENINGS + 1))):
        trimap = draw(np.random.default_rng(state), mask, inside, outside)
        if astray(trimap, alpha) <= ASTRAY:
            return trimap
        inside, outside = min(inside * 1.8, widest), min(outside * 1.8, widest)
    return _dabbed(rng, trimap, alpha)


def _dabbed(rng: np.random.Generator, trimap: Array, alpha: Array) -> Array | None:
    """Brush over strands that left the band, until few enough are missed; None if many remain."""
    radius = log_uniform(rng, 4, 20)
    for _ in range(_DABS):
        places = np.argwhere(_wrong(trimap, alpha))
        for y, x in places[rng.integers(len(places), size=20)].tolist():
            off = rng.normal(0, 0.3 * radius, 2)
            at = (round(x + off[0]), round(y + off[1]))
            cv2.circle(trimap, at, max(2, round(radius * rng.uniform(0.7, 1.3))), 128, -1)
        if astray(trimap, alpha) <= ASTRAY:
            return trimap
    return None


def _rough_mask(rng: np.random.Generator, alpha: Array) -> Array:
    """Where alpha >= 0.5, sometimes at low resolution as from a segmenter: (H, W) bool."""
    values = alpha
    if rng.random() < 0.6:
        part = 1 / rng.uniform(1.5, 5)
        small = cv2.resize(alpha, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.4, 1.2))
        size = (alpha.shape[1], alpha.shape[0])
        values = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR))
    return np.asarray(values >= 0.5)


def _tool(_: np.random.Generator, mask: Array, inside: float, outside: float) -> Array:
    """A band as `from_mask` makes it."""
    return banded(mask, inside, outside)[0]


def _polygons(rng: np.random.Generator, mask: Array, inside: float, outside: float) -> Array:
    """Straight lines from click to click, around the subject and within it."""
    around = _depth(~mask) <= outside
    within = _depth(mask) > inside
    trimap = np.zeros(mask.shape, np.uint8)
    for region, value, reach in ((around, 128, outside), (within, 255, inside)):
        filled = region.astype(np.uint8)
        kind = cv2.RETR_CCOMP if rng.random() < 0.5 else cv2.RETR_EXTERNAL  # with its gaps or not
        outlines, _ = cv2.findContours(filled, kind, cv2.CHAIN_APPROX_NONE)
        slack = log_uniform(rng, 1.0, max(1.5, 0.6 * reach))
        clicks = [cv2.approxPolyDP(line, slack, True) for line in outlines if len(line) > 12]
        drawn = np.zeros(mask.shape, np.uint8)
        cv2.drawContours(drawn, clicks, -1, 1, -1)
        if value == 255 and kind == cv2.RETR_EXTERNAL:
            drawn &= filled  # gaps in the subject stay unknown
        trimap[drawn > 0] = value
    return trimap


def _brush(rng: np.random.Generator, mask: Array, inside: float, outside: float) -> Array:
    """A brush of varying width along the outline."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    trimap = np.where(mask, np.uint8(255), np.uint8(0))
    height, columns = mask.shape
    radius = (inside + outside) / 2
    field = noise(rng, height, columns, cells=log_uniform(rng, 2, 8), octaves=2)
    step = max(2, int(radius / 3))
    shake = 0.25 * radius
    frame = np.array([columns - 1, height - 1])
    for outline in outlines:
        points = outline[::step, 0]
        rim = (points <= 0).any(1) | (points >= frame).any(1)  # the crop's border is not an outline
        points = points[~rim]
        if not len(points):
            continue
        widths = radius * (0.6 + 0.8 * field[points[:, 1], points[:, 0]])
        # Brushes reach farther out than in, or the other way round, as the bands do.
        moved = points + rng.normal(0, shake, (len(points), 2))
        for (x, y), width in zip(moved.tolist(), widths.tolist(), strict=True):
            cv2.circle(trimap, (round(x), round(y)), max(1, round(width)), 128, -1)
    return trimap


# ---- helpers -------------------------------------------------------------------------------------


def _depth(region: Array) -> Array:
    """Distance of every pixel of a bool region to its outside, (H, W) float32; 0 outside."""
    if region.all():
        return np.full(region.shape, 1e6, np.float32)
    return np.asarray(cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 5))


def _opened(region: Array, radius: float) -> Array:
    """Drop the parts of a region into which a disc of `radius` does not fit."""
    core = _depth(region) > radius
    return np.asarray(region & (_depth(~core) <= radius))
