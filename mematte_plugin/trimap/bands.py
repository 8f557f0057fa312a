"""The unknown band along a mask's edge; needs numpy and OpenCV only, as training does."""

from __future__ import annotations

import math

import numpy as np

from .thickness import Parts, distances, frayed, parts_of, widest_band

THIRD = 1 / 3
"""Most of a thin part's half-thickness that the band may take."""

GAP = 2 / 3
"""Most of a narrow gap's half-width that it may take: hair reaches outward, not inward."""

_SEEN = 4
"""Pixels, of the mask's own, from which a lost part is reported; smaller ones are noise."""


def banded(
    subject: np.ndarray, inward: float, outward: float, *, grain: float = 1.0
) -> tuple[np.ndarray, str]:
    """A trimap from a mask: (H, W) uint8 of 0, 128 and 255, and a sentence about lost parts.

    The band is narrower where the subject is thinner than three times its width, and in gaps: see
    `THIRD` and `GAP`. A part that is at least three of the mask's pixels wide keeps a core, unless
    its edge is frayed like hair (`thickness.frayed`).

    subject: (H, W) bool, neither empty nor full.
    inward, outward: the band's width on either side of the edge in pixels, 0 or more.
    grain: pixels to one of the mask's original pixels, above 1 if it was enlarged.

    The sentence names parts without any sure foreground, except hair and specks; empty if none.
    """
    trimap: np.ndarray = np.where(subject, np.uint8(255), np.uint8(0))
    if max(inward, outward) < 1:
        return trimap, ""
    farthest = math.hypot(*subject.shape)  # a wider band would be the same
    inward, outward = min(inward, farthest), min(outward, farthest)
    # Nothing changes farther from the subject than the band is wide, and distances take long.
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
    """Thin parts and narrow gaps that stay known although an edge is nearer than `width`: (H, W).

    full, empty: where the alpha is 1 and 0, (H, W) bool.
    width: pixels, above 0.
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
) -> str:
    """A sentence about the parts without sure foreground; empty if there are none.

    corner: column and row of the arrays in the picture; least: pixels of a part that counts.
    """
    gone = parts.stats[:, 4] >= least
    gone[0] = False
    gone[parts.labels[sure]] = False
    if gone.any() and hair is not None:
        gone[parts.labels[hair]] = False
    lost = parts.stats[gone]
    if not len(lost):
        return ""
    left, top, width, height, _ = lost[lost[:, 4].argmax()].tolist()
    box = f"{width}×{height} pixels at column {left + corner[0]}, row {top + corner[1]}"
    if len(lost) == 1:
        return f"a part is too thin for sure foreground and stays unknown: {box}"
    return (
        f"{len(lost)} parts are too thin for sure foreground and stay unknown; the largest has"
        f" {box}"
    )


def _bridges(
    sure: np.ndarray, kept: np.ndarray, width: float, depth: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """Where the core of a thin part joins that of the thick part which it sits on, (H, W) bool.

    There, the thick part's band runs between the two cores. A disc of nearly the band's width that
    stays clear of both cannot reach it, but reaches all of the band along a thick part alone.

    sure: the cores; kept: what of them is sure only because the band is narrower there.
    """
    import cv2

    radius = 0.9 * width
    near = distances(~kept, exact=False) <= 1.5 * width
    free = distances(~sure) > radius
    deep = near & (depth > np.where(allowed < width, np.maximum(allowed / 3, 1), 1))
    shut = deep & (distances(~free) > radius + 0.5)
    # Discs of pixels are not round: a few in the middle may be missing.
    side = 7 + 2 * min(int(width / 10), 10)
    joined = (sure | shut).view(np.uint8)
    whole = cv2.morphologyEx(joined, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    return np.asarray(shut | (deep & whole.view(bool)))


def _around(region: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The box of a region that is not empty, widened by a margin."""
    import cv2

    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    rows = slice(max(0, top - margin), top + height + margin)
    return rows, slice(max(0, left - margin), left + width + margin)
