"""How wide a band may be where a part is thin; needs numpy and OpenCV only, as training does.

The local half-thickness at a pixel is the radius of the largest disc within the part that covers it.
It is found by openings: what a disc of radius r cannot reach is thinner than r. So are the corners
and bumps of a thick part, which are none of the thin parts meant here: what an opening leaves over
counts only where it sticks out far enough (`_REACH`), is large enough (`_AREA`) or stands alone.
"""

from __future__ import annotations

import math

import numpy as np

_FIRST, _STEP = 2.0, math.sqrt(2)
"""The smallest radius that is tried, in pixels, and the ratio of each to the one before."""

_REACH = 2.2
"""A thin part sticks out by more than so many radii, and than half of the band. A square bump does by 2 at most, a corner of
90° by 0.4, a tip of 36° (a star's) by 2.2."""

_AREA = 5.0
"""Or it covers more than so many squared radii beyond half a radius: a bar between two bodies, or
close beside one, does not stick out at all."""

_SPECK = 4
"""Pixels up to which a part of its own, or a hole, is noise."""

_FRAYED = 0.10
"""Pixels of strands, and half of those of gaps, to a pixel of edge from which on it is frayed.

Measured around the thin parts of masks (alpha of one half and more) of photographs with true alpha:
hair has 0.24 to 0.43 (medians), leaves and wire 0.03 to 0.12, drawn shapes 0.
"""
_FRAYED_CELL, _FRAYED_WINDOW = 4, 7
"""Pixels to a cell in which they are counted, and cells to a window."""

_CELLS = 6.0
"""Radii above this many pixels are looked at on a grid on which they have so many to twice that."""


def widest_band(
    depth: np.ndarray, width: float, share: float, *, finest: float = 1.0, bounded: bool = True
) -> np.ndarray:
    """How wide the band may be at each pixel of a region: (H, W) float32, at most `width`.

    depth: (H, W) float32, the distance of each of the region's pixels to the nearest outside of it,
        so 1 at its edge; 0 outside. The picture's border is no edge.
    width: the band's width in pixels where the region is thick, above 1.
    share: the most that a band may take of a thin part's half-thickness.
    finest: pixels that a band has even so, at least 1.
    bounded: what lies outside the picture does not belong to the region.
    """
    levels = _levels(width / share)
    depth, labels = _without_specks(depth)
    scale = _scale(levels[-1])
    grid, kinds = _pooled(depth, scale), labels[::scale, ::scale]
    allowed = np.full(grid.shape, width, np.float32)
    for i in reversed(range(len(levels))):
        radius = levels[i]
        while scale > _scale(radius):
            scale //= 2
            grid, kinds = _pooled(depth, scale), labels[::scale, ::scale]
            allowed = _doubled(allowed, grid.shape)
        thin = _thin(grid, kinds, radius, scale, width, bounded)
        if thin is not None:
            allowed[thin] = min(width, max(finest, share * levels[i - 1] if i else 0.0))
    return allowed


def frayed(subject: np.ndarray, grain: float = 1.0) -> np.ndarray | None:
    """Where the edge of a subject is frayed, as a mask of hair is: a grid of cells, (h, w) bool.

    There strands and gaps of a pixel or two lie along the edge, and what is somewhat thicker is a
    lock of hair and half transparent, not a solid part. `spread` brings it to the picture's size.

    subject: (H, W) bool.
    grain: pixels that one of the mask's own has become, above 1 where it was made larger.

    None where there is no such place.
    """
    import cv2

    mask = subject.view(np.uint8)
    side = 2 * max(1, round(grain)) + 1
    kernel, small = np.ones((side, side), np.uint8), np.ones((3, 3), np.uint8)
    # Beyond the picture the subject goes on as it does at the border.
    thin = cv2.subtract(mask, cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel))
    gaps = cv2.subtract(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), mask)
    if not thin.any() and not gaps.any():
        return None
    edge = cv2.subtract(mask, cv2.erode(mask, small))

    def around(pixels: np.ndarray) -> np.ndarray:
        share = _cells(pixels, _FRAYED_CELL)
        window = (_FRAYED_WINDOW, _FRAYED_WINDOW)
        return np.asarray(cv2.boxFilter(share, -1, window, borderType=cv2.BORDER_CONSTANT))

    strands = around(_no_specks(thin)) + around(_no_specks(gaps)) / 2
    found: np.ndarray = (strands > _FRAYED * around(edge)) & (strands > 0)
    return found if found.any() else None


def spread(found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The cells that `frayed` found at the picture's size, (H, W) bool."""
    height, width = shape
    rows = found.repeat(_FRAYED_CELL, axis=0)[:height]
    return np.asarray(rows.repeat(_FRAYED_CELL, axis=1)[:, :width])


def _no_specks(pixels: np.ndarray) -> np.ndarray:
    """Without pixels that have fewer than two neighbours: grain is no strand."""
    import cv2

    return pixels * (cv2.boxFilter(pixels, -1, (3, 3), normalize=False) >= 3)


def _cells(pixels: np.ndarray, side: int) -> np.ndarray:
    """The share of each cell that is set, float32."""
    import cv2

    height, width = pixels.shape
    below, right = -height % side, -width % side
    whole = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
    size = (whole.shape[1] // side, whole.shape[0] // side)
    return np.asarray(cv2.resize(whole * np.uint8(255), size, interpolation=cv2.INTER_AREA)).astype(
        np.float32
    )


def _levels(thickest: float) -> list[float]:
    """Radii up to the half-thickness from which on a part counts as thick."""
    levels = [_FIRST]
    while levels[-1] * _STEP < thickest:
        levels.append(levels[-1] * _STEP)
    return [*levels, thickest] if thickest > _FIRST else levels


def _scale(radius: float) -> int:
    """Pixels to a cell of the grid on which a radius is looked at: a power of two."""
    return 2 ** max(0, math.floor(math.log2(radius / _CELLS)))


def _thin(
    depth: np.ndarray, kinds: np.ndarray, radius: float, scale: int, width: float, bounded: bool
) -> np.ndarray | None:
    """The cells (h, w) of parts thinner than a radius; None where there are none."""
    import cv2

    # A strip that is 2 r wide has the depths 1, 2 ... r: a pixel's middle is half a pixel in.
    core = depth > radius + 0.5
    edge = 0
    if not bounded:
        edge = math.ceil(radius / scale) + 1
        core = _beyond(depth, edge, scale) > radius + 0.5
    reach = np.minimum(distances(~core, exact=False), 1e9) * scale  # without a core, the farthest
    inner = np.s_[edge : edge + depth.shape[0], edge : edge + depth.shape[1]]
    reach, core = reach[inner], core[inner]
    region = depth > 0
    slack = 1.0 if scale == 1 else 1.5 * scale
    rest = region & (reach > radius + slack)
    if not rest.any():
        return None
    count, pieces = cv2.connectedComponents(rest.view(np.uint8), connectivity=4)
    thick = np.zeros(int(kinds.max()) + 1, bool)
    thick[kinds[core]] = True
    alone = region & ~thick[kinds] & (kinds > 0)
    far = np.zeros(count, bool)
    far[pieces[rest & (reach > radius + max(_REACH * radius, width / 2))]] = True
    out = np.bincount(pieces[rest & (reach > 1.5 * radius)], minlength=count)
    far |= out * float(scale * scale) > radius * max(_AREA * radius, width)
    far[0] = False
    thin = far[pieces]
    if thin.any():  # up to the opening itself
        around = cv2.dilate(thin.view(np.uint8), np.ones((5, 5), np.uint8)).view(bool)
        thin |= around & (reach > radius) & region
    thin |= alone
    return thin if thin.any() else None


def _beyond(depth: np.ndarray, edge: int, scale: int) -> np.ndarray:
    """Depths with so many more cells on every side: outside the picture nothing is in the way."""
    height, width = depth.shape
    down = np.arange(-edge, height + edge)
    across = np.arange(-edge, width + edge)
    off_y = np.maximum(np.maximum(-down, down - height + 1), 0)
    off_x = np.maximum(np.maximum(-across, across - width + 1), 0)
    padded = np.pad(depth, edge, mode="edge")
    return np.asarray(padded + scale * np.hypot(off_y[:, None], off_x[None]).astype(np.float32))


def _without_specks(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depths as if the region had no specks and pinholes, and its connected parts from 1 on.

    A gap is one between parts, and a part is not thin because of pinholes.
    """
    import cv2

    region = (depth > 0).view(np.uint8)
    holes = _small(1 - region)
    specks = _small(region)
    if holes is not None or specks is not None:
        region = region.copy()
        if holes is not None:
            region[holes] = 1
        if specks is not None:
            region[specks] = 0
        depth = distances(region.view(bool)) if region.any() else np.zeros_like(depth)
    return depth, np.asarray(cv2.connectedComponents(region, connectivity=8)[1])


def _small(region: np.ndarray) -> np.ndarray | None:
    """The connected parts of at most `_SPECK` pixels, (H, W) bool; None where there are none."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] <= _SPECK
    small[0] = False
    return small[labels] if small.any() else None


def distances(region: np.ndarray, *, exact: bool = True) -> np.ndarray:
    """How far each pixel of a region (H, W) bool is from outside it: 1 at its edge, 0 outside.

    exact: else to 2%, in a third of the time. Where nothing is outside, all is far away.
    """
    import cv2

    mask = cv2.DIST_MASK_PRECISE if exact else cv2.DIST_MASK_5
    return np.asarray(cv2.distanceTransform(region.view(np.uint8), cv2.DIST_L2, mask))


def _pooled(depth: np.ndarray, scale: int) -> np.ndarray:
    """The greatest depth of each cell, so that no part's middle is lost."""
    import cv2

    if scale == 1:
        return depth
    greatest = cv2.dilate(
        depth, np.ones((scale, scale), np.uint8), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(greatest[::scale, ::scale])


def _doubled(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values of a grid on the next finer one."""
    height, width = shape
    return np.ascontiguousarray(values.repeat(2, axis=0)[:height].repeat(2, axis=1)[:, :width])
