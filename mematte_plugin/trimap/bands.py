"""The unknown band along a mask's edge; needs numpy and OpenCV only, as training does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .thickness import Parts, distances, frayed, parts_of, widest_band

THIRD = 1 / 3
"""The most that the band takes of the half-thickness of a thin part of the subject."""

GAP = 2 / 3
"""The most that it takes of the half-width of a narrow gap: hair reaches outward, not inward."""

_SEEN = 4
"""Pixels, of the mask's own, from which on a part is missed; what is smaller is noise."""


@dataclass(frozen=True)
class Lost:
    """Parts of a subject of which nothing is left but band."""

    count: int
    """How many of them."""
    box: tuple[int, int, int, int]
    """Of the largest: column, row, width and height in pixels."""

    def __str__(self) -> str:
        column, row, width, height = self.box
        box = f"{width}×{height} pixels at column {column}, row {row}"
        if self.count == 1:
            return f"a part is too thin for sure foreground and is left unknown: {box}"
        return (
            f"{self.count} parts are too thin for sure foreground and are left unknown; the largest"
            f" has {box}"
        )


def banded(subject: np.ndarray, inward: float, outward: float, *, grain: float = 1.0) -> np.ndarray:
    """A trimap from a mask: (H, W) uint8 of 0, 128 and 255.

    The band is narrower where the subject is thinner than three times its width, and in gaps: see
    `THIRD` and `GAP`. What is three of the mask's pixels wide or more keeps a core, but where its
    edge is frayed like hair (`thickness.frayed`).

    subject: (H, W) bool, neither empty nor full.
    inward, outward: the band's width on either side of the edge in pixels, 0 or more.
    grain: pixels that one of the mask's own has become, above 1 where it was made larger.
    """
    return band_and_lost(subject, inward, outward, grain=grain)[0]


def band_and_lost(
    subject: np.ndarray, inward: float, outward: float, *, grain: float = 1.0
) -> tuple[np.ndarray, Lost | None]:
    """As `banded`, and the parts that are left without foreground; hair and specks are none."""
    trimap: np.ndarray = np.where(subject, np.uint8(255), np.uint8(0))
    if max(inward, outward) < 1:
        return trimap, None
    farthest = math.hypot(*subject.shape)  # a wider band is no other one
    inward, outward = min(inward, farthest), min(outward, farthest)
    # Farther from the subject than the band is wide nothing changes, and distances take long.
    near = _around(subject, math.ceil(outward) + 1)
    subject, part = subject[near], trimap[near]
    hair = frayed(subject, grain)
    depths = distances(subject), distances(~subject)
    parts = parts_of(subject, *depths)
    # The distance to the nearest pixel of the other side is 1 at the edge, so <= gives the width.
    for i, (width, share) in enumerate(((inward, THIRD), (outward, GAP))):
        depth, inside = depths[i], i == 0
        band = (depth > 0) & (depth <= width)
        if width > 1 and band.any():
            finest = grain if inside else 2 * grain
            allowed = widest_band(parts[i], width, share, finest=finest, bounded=inside)
            if hair is not None:
                allowed[hair] = width
            kept = band & (depth > allowed)
            if kept.any():
                band &= ~kept
                if inside:
                    at = _around(kept, math.ceil(3 * width))
                    sure = (depth[at] > 0) & ~band[at]
                    bridges = _bridges(sure, kept[at], width, depth[at], allowed[at])
                    band[at] &= ~bridges if hair is None else ~bridges | hair[at]
        part[band] = 128
    corner = (near[1].start, near[0].start)
    return trimap, _lost(parts[0], part == 255, hair, corner, _SEEN * grain * grain)


def cores(full: np.ndarray, empty: np.ndarray, width: float) -> np.ndarray:
    """What a trimap keeps of an alpha, though nearer than `width` to what is soft: (H, W) bool.

    full, empty: where the alpha is 1 and 0, (H, W) bool.
    width: pixels, above 0.

    Thin parts and narrow gaps, as in `banded`.
    """
    width = min(width, math.hypot(*full.shape))
    kept = np.zeros_like(full)
    hair = frayed(full)
    for side, share, finest in ((full, THIRD, 1.0), (empty, GAP, 2.0)):
        if not side.any() or side.all():
            continue
        depth = distances(side)
        parts, _ = parts_of(side, depth, distances(~side))
        allowed = widest_band(parts, width + 1, share, finest=finest, bounded=side is full)
        if hair is not None:
            allowed[hair] = width + 1
        kept |= (allowed < width + 1) & (depth > allowed)
    return kept


def _lost(
    parts: Parts,
    sure: np.ndarray,
    hair: np.ndarray | None,
    corner: tuple[int, int],
    least: float,
) -> Lost | None:
    """The parts without anything sure.

    corner: column and row of the box in the picture; least: pixels that a part has.
    """
    gone = parts.stats[:, 4] >= least
    gone[0] = False
    gone[parts.labels[sure]] = False
    if gone.any() and hair is not None:
        gone[parts.labels[hair]] = False
    numbers = np.flatnonzero(gone)
    if not numbers.size:
        return None
    left, top, width, height, _ = parts.stats[numbers[parts.stats[numbers, 4].argmax()]].tolist()
    return Lost(int(numbers.size), (left + corner[0], top + corner[1], width, height))


def _bridges(
    sure: np.ndarray, kept: np.ndarray, width: float, depth: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """What joins the core of a thin part to that of the thick part on which it sits, (H, W) bool.

    Where they meet, the thick part's band runs between them. A disc of nearly its width that keeps
    clear of both does not get there; along a thick part alone it gets everywhere.

    sure: all that is sure; kept: as far as it is because the band is narrower there.
    """
    import cv2

    radius = 0.9 * width
    near = distances(~kept, exact=False) <= 1.5 * width
    free = distances(~sure) > radius
    deep = near & (depth > np.where(allowed < width, np.maximum(allowed / 3, 1), 1))
    shut = deep & (distances(~free) > radius + 0.5)
    # Pixels are no discs: in the middle a few may be missing.
    side = 7 + 2 * min(int(width / 10), 10)
    joined = (sure | shut).view(np.uint8)
    whole = cv2.morphologyEx(joined, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    return np.asarray(shut | (deep & whole.view(bool)))


def _around(region: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The box of a region that is not empty, so many pixels wider on each side."""
    import cv2

    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    rows = slice(max(0, top - margin), top + height + margin)
    return rows, slice(max(0, left - margin), left + width + margin)
