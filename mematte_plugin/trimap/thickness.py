"""How wide a band may be where a part is thin; needs numpy and OpenCV only, as training does.

The local half-thickness at a pixel is the radius of the largest disc within the part that covers
it. It is found by openings: what a disc of radius r cannot reach is thinner than r. So are the
corners and bumps of a thick part, which are none of the thin parts meant here: what an opening
leaves over counts only where it sticks out far enough (`_REACH`), is large enough (`_AREA`) or
stands alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_FIRST, _STEP = 2.0, math.sqrt(2)
"""The smallest radius that is tried, in pixels, and the ratio of each to the one before."""

_REACH = 2.2
"""A thin part sticks out by more than so many radii, and than half of the band. A square bump does
by 2 at most, a corner of 90° by 0.4, a tip of 36° (a star's) by 2.2."""

_AREA = 5.0
"""Or it covers more than so many squared radii beyond half a radius: a bar between two bodies, or
close beside one, does not stick out at all."""

_SPECK = 4
"""Pixels up to which a part of its own, or a hole, is noise."""

_FRAYED = 0.10
"""Pixels of strands, and half of those of gaps, to a pixel of edge from which on it is frayed.

Medians around the thin parts of masks (alpha of one half and more) of photographs with true alpha:
hair 0.24 to 0.43, leaves 0.04, a wire basket 0.12; drawn shapes have 0.
"""
_FRAYED_CELL, _FRAYED_WINDOW = 4, 9
"""Pixels to a cell in which they are counted, and cells to a window."""

_CELLS = 4.0
"""Radii above this many pixels are looked at on a grid on which they have so many to twice that."""


@dataclass(frozen=True)
class Parts:
    """A region as far as its thickness goes: without its specks and pinholes."""

    depth: np.ndarray
    """(H, W) float32, the distance to the nearest outside: 1 at the edge, 0 outside."""
    labels: np.ndarray
    """(H, W) int32: its connected parts, from 1 on."""
    stats: np.ndarray
    """(n, 5) int32: their left, top, width, height and area; number 0 is what is outside."""
    deepest: np.ndarray
    """(n,) float32: the greatest depth of each part; 0 for number 0."""
    open: np.ndarray
    """(n,) bool: whether it goes on beyond the picture."""


def parts_of(subject: np.ndarray, inner: np.ndarray, outer: np.ndarray) -> tuple[Parts, Parts]:
    """Of a subject (H, W) bool and of its background, from the depths (H, W) of both.

    A part is not thin because of pinholes, and there is no gap between it and a speck.
    """
    import cv2

    sides = [cv2.connectedComponentsWithStats(side.view(np.uint8)) for side in (subject, ~subject)]
    noise = [_noise(labels, stats) for _, labels, stats, _ in sides]
    if any(found is not None for found in noise):
        clean = subject.copy()
        for found, value in zip(noise, (False, True), strict=True):
            if found is not None:
                clean[found] = value
        inner, outer = distances(clean), distances(~clean)
    found_parts = [
        Parts(depth, labels, stats, _deepest(depth, labels, stats), _open(labels, len(stats)))
        for depth, (_, labels, stats, _) in zip((inner, outer), sides, strict=True)
    ]
    return found_parts[0], found_parts[1]


def widest_band(
    parts: Parts, width: float, share: float, *, finest: float = 1.0, bounded: bool = True
) -> np.ndarray:
    """How wide the band may be at each pixel of a region: (H, W) float32, at most `width`.

    width: the band's width in pixels where the region is thick, above 1.
    share: the most that a band may take of a thin part's half-thickness.
    finest: pixels that a band has even so, at least 1.
    bounded: what lies outside the picture does not belong to the region.
    """
    radii = _radii(max(_FIRST, 2 * finest), width / share)
    # Thinner than a radius, and not than the one before: so wide may its band be.
    bands = [min(width, max(finest, share * radius)) for radius in (0.0, *radii[:-1])]
    scale = _scale(radii[-1])
    grids = _pyramid(parts.depth, scale)
    grid = grids[scale]
    allowed = np.full(grid.shape, width, np.float32)
    rest: np.ndarray | None = None
    for radius, band in zip(reversed(radii), reversed(bands), strict=True):
        while scale > _scale(radius):
            scale //= 2
            grid = grids[scale]
            allowed = _doubled(allowed, grid.shape)
            rest = None if rest is None else _doubled(rest, grid.shape)
        look = _Look(radius, scale, width, bounded)
        if rest is None or scale > 1:
            thin, rest = look.at(grid)
            allowed[thin] = band
        else:  # what a smaller disc leaves over lies within what a larger one does
            for place in _places(rest, math.ceil(radius + max(3 * radius, width))):
                allowed[place][look.at(grid[place])[0]] = band
    while scale > 1:
        scale //= 2
        allowed = _doubled(allowed, grids[scale].shape)
    deepest = parts.deepest if bounded else np.where(parts.open, np.inf, parts.deepest)
    alone = np.full(deepest.shape, width, np.float32)
    for radius, band in zip(reversed(radii), reversed(bands), strict=True):
        alone[deepest <= radius + 0.5] = band
    if (alone < width).any():
        np.minimum(allowed, alone[parts.labels], out=allowed)
    return allowed


def frayed(subject: np.ndarray, grain: float = 1.0) -> np.ndarray | None:
    """Where the edge of a subject is frayed, as a mask of hair is: (H, W) bool.

    There strands and gaps of a pixel or two lie along the edge, and what is somewhat thicker is a
    lock of hair and half transparent, not a solid part.

    subject: (H, W) bool.
    grain: pixels that one of the mask's own has become, above 1 where it was made larger.

    None where there is no such place.
    """
    import cv2

    mask = subject.view(np.uint8)
    times = max(1, round(grain))
    kernel, small = np.ones((2 * times + 1, 2 * times + 1), np.uint8), np.ones((3, 3), np.uint8)
    # Beyond the picture the subject goes on as it does at the border.
    thin = cv2.subtract(mask, cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel))
    gaps = cv2.subtract(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), mask)
    if not thin.any() or not gaps.any():
        return None
    edge = cv2.subtract(mask, cv2.erode(mask, small))

    counted = [
        _cells(pixels, _FRAYED_CELL * times)
        for pixels in (_no_specks(thin), _no_specks(gaps), edge)
    ]

    def around(window: int) -> list[np.ndarray]:
        """Strands and narrow gaps to a pixel of edge."""
        sums = [
            cv2.boxFilter(share, -1, (window, window), borderType=cv2.BORDER_CONSTANT)
            for share in counted
        ]
        return [part / np.maximum(sums[2], 1e-3) for part in sums[:2]]

    strands, narrow = around(_FRAYED_WINDOW)
    # A wire is a strand without such gaps, and a slit a gap without such strands not far away.
    found: np.ndarray = (
        np.minimum(strands, 3 * narrow) + np.minimum(narrow / 2, 6 * around(3 * _FRAYED_WINDOW)[0])
        > _FRAYED
    )
    return _spread(found, _FRAYED_CELL * times, subject.shape) if found.any() else None


def _spread(found: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """Cells of so many pixels at the picture's size, (H, W) bool."""
    height, width = shape
    return np.asarray(found.repeat(side, axis=0)[:height].repeat(side, axis=1)[:, :width])


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


def _radii(first: float, thickest: float) -> list[float]:
    """Those that are tried, up to the half-thickness from which on a part counts as thick."""
    radii = [first]
    while radii[-1] * _STEP < thickest:
        radii.append(radii[-1] * _STEP)
    return [*radii, thickest] if thickest > first else radii


def _scale(radius: float) -> int:
    """Pixels to a cell of the grid on which a radius is looked at: a power of two."""
    return int(2 ** max(0, math.floor(math.log2(radius / _CELLS))))


@dataclass(frozen=True)
class _Look:
    """For what is thinner than a radius."""

    radius: float
    scale: int
    width: float
    bounded: bool

    def at(self, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cells (h, w) bool of thin parts, and all that the opening leaves over."""
        import cv2

        radius, cell = self.radius / self.scale, 1 / self.scale
        # A strip that is 2 r wide has the depths 1, 2 ... r: a pixel's middle is half a pixel in.
        core, edge = depth > self.radius + 0.5, 0
        if not self.bounded:
            edge = math.ceil(radius) + 1
            core = _beyond(depth, core, edge, self.scale, self.radius + 0.5)
        reach = distances(~core, exact=False)  # without a core, everything is far away
        reach = reach[edge : edge + depth.shape[0], edge : edge + depth.shape[1]]
        rest = (depth > 0) & (reach > radius + (1.0 if self.scale == 1 else 1.5))
        at = np.flatnonzero(rest)
        if not at.size:
            return rest, rest
        count, pieces = cv2.connectedComponents(rest.view(np.uint8), connectivity=4)
        number, out = pieces.ravel()[at], np.ascontiguousarray(reach).ravel()[at]
        thin = np.zeros(count, bool)
        thin[number[out > radius + max(_REACH * radius, cell * self.width / 2)]] = True
        large = np.bincount(number[out > 1.5 * radius], minlength=count)
        thin |= large > radius * max(_AREA * radius, cell * self.width)
        if not thin.any():
            return np.zeros_like(rest), rest
        found = np.zeros_like(rest)
        found.ravel()[at[thin[number]]] = True
        around = cv2.dilate(found.view(np.uint8), np.ones((5, 5), np.uint8)).view(bool)
        return found | (around & (reach > radius) & (depth > 0)), rest  # up to the opening itself


def _places(rest: np.ndarray, margin: int) -> list[tuple[slice, slice]]:
    """Boxes around the parts of what is left over, so many pixels wider; all of it if cheaper."""
    import cv2

    cell = 8
    small = cv2.dilate(_cells(rest.view(np.uint8), cell), np.ones((3, 3), np.uint8)) > 0
    _, _, stats, _ = cv2.connectedComponentsWithStats(small.view(np.uint8), connectivity=8)
    boxes = [
        np.s_[
            max(0, y * cell - margin) : (y + height) * cell + margin,
            max(0, x * cell - margin) : (x + width) * cell + margin,
        ]
        for x, y, width, height, _ in stats[1:].tolist()
    ]
    cost = sum((down.stop - down.start) * (along.stop - along.start) + 2e4 for down, along in boxes)
    return boxes if cost < rest.size else [np.s_[:, :]]


def _beyond(depth: np.ndarray, core: np.ndarray, edge: int, scale: int, least: float) -> np.ndarray:
    """A core with so many more cells on every side: outside the picture nothing is in the way."""
    wide = np.pad(core, edge)
    beyond = np.arange(1, edge + 1) * float(scale)
    for line, outside in (
        (depth[0], wide[:edge][::-1]),
        (depth[-1], wide[-edge:]),
        (depth[:, 0], wide[:, :edge].T[::-1]),
        (depth[:, -1], wide[:, -edge:].T),
    ):
        outside[:, edge:-edge] = line + beyond[:, None] > least
    for corner, outside in (
        (depth[0, 0], wide[:edge, :edge][::-1, ::-1]),
        (depth[0, -1], wide[:edge, -edge:][::-1]),
        (depth[-1, 0], wide[-edge:, :edge][:, ::-1]),
        (depth[-1, -1], wide[-edge:, -edge:]),
    ):
        outside[:] = corner + np.hypot(beyond[:, None], beyond) > least
    return wide


def _noise(labels: np.ndarray, stats: np.ndarray) -> np.ndarray | None:
    """The connected parts of at most `_SPECK` pixels, (H, W) bool; None where there are none."""
    small = stats[:, 4] <= _SPECK  # the area
    small[0] = False
    return small[labels] if small.any() else None


def _open(labels: np.ndarray, count: int) -> np.ndarray:
    """Which of the connected parts touch the border, (count,) bool."""
    found = np.zeros(count, bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        found[line] = True
    return found


def _deepest(depth: np.ndarray, labels: np.ndarray, stats: np.ndarray) -> np.ndarray:
    """The greatest depth of each connected part, (n,) float32."""
    result = np.zeros(len(stats), np.float32)
    if len(stats) == 2:
        result[1] = depth.max()
        return result
    for i, (x, y, width, height, area) in enumerate(stats.tolist()):
        if i and area > _SPECK:
            box = np.s_[y : y + height, x : x + width]
            result[i] = depth[box][labels[box] == i].max()
    return result


def distances(region: np.ndarray, *, exact: bool = True) -> np.ndarray:
    """How far each pixel of a region (H, W) bool is from outside it: 1 at its edge, 0 outside.

    exact: else to 2%, in a third of the time. Where nothing is outside, all is far away.
    """
    import cv2

    mask = cv2.DIST_MASK_PRECISE if exact else cv2.DIST_MASK_5
    return np.asarray(cv2.distanceTransform(region.view(np.uint8), cv2.DIST_L2, mask))


def _pyramid(depth: np.ndarray, coarsest: int) -> dict[int, np.ndarray]:
    """By scale the greatest depth of each cell, so that no part's middle is lost."""
    import cv2

    grids, scale = {1: depth}, 1
    two = np.ones((2, 2), np.uint8)
    while scale < coarsest:
        greatest = cv2.dilate(
            grids[scale], two, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=(0.0,)
        )
        scale *= 2
        grids[scale] = np.ascontiguousarray(greatest[::2, ::2])
    return grids


def _doubled(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values of a grid on the next finer one."""
    import cv2

    plain = values.view(np.uint8) if values.dtype == bool else values
    twice = cv2.resize(plain, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(twice[: shape[0], : shape[1]]).view(values.dtype)
