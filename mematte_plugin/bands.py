"""The unknown band along a mask's edge; needs numpy and OpenCV only, as training does."""

from __future__ import annotations

import math

import numpy as np

from .thickness import distances, frayed, spread, widest_band


THIRD = 1 / 3
"""The most that the band takes of the half-thickness of a thin part of the subject."""

GAP = 2 / 3
"""The most that it takes of the half-width of a narrow gap: hair reaches outward, not inward."""


def banded(
    subject: np.ndarray, inward: float, outward: float, *, grain: float = 1.0
) -> np.ndarray:
    """A trimap from a mask: (H, W) uint8 of 0, 128 and 255.

    The band is narrower where the subject is thinner than three times its width, and in gaps: see
    `THIRD` and `GAP`. What is three pixels wide or more keeps a core, but where the mask's edge is
    frayed like hair (`thickness.frayed`).

    subject: (H, W) bool, neither empty nor full.
    inward, outward: the band's width on either side of the edge in pixels, 0 or more.
    grain: pixels that one of the mask's own has become, above 1 where it was made larger.
    """
    trimap: np.ndarray = np.where(subject, np.uint8(255), np.uint8(0))
    # Farther from the subject than the band is wide nothing changes, and distances take long.
    near = _around(subject, math.ceil(outward) + 1)
    subject, part = subject[near], trimap[near]
    hair = frayed(subject, grain) if max(inward, outward) > 1 else None
    hairy = None if hair is None else spread(hair, subject.shape)
    # The distance to the nearest pixel of the other side is 1 at the edge, so <= gives the width.
    for region, width, share, bounded in (
        (subject, inward, THIRD, True),
        (~subject, outward, GAP, False),
    ):
        if width <= 0 or not region.any():
            continue
        depth = distances(region)
        band = region & (depth <= width)
        if width > 1:
            allowed = widest_band(depth, width, share, bounded=bounded)
            if hairy is not None:
                allowed[hairy] = width
            kept = band & (depth > allowed)
            if kept.any():
                band &= ~kept
                if bounded:
                    band &= ~_bridges(region & ~band, width, depth, allowed)
        part[band] = 128
    return trimap


def _bridges(
    sure: np.ndarray, width: float, depth: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """What joins the core of a thin part to that of the thick part on which it sits, (H, W) bool.

    Where they meet, the thick part's band runs between them. A disc of nearly its width that
    keeps clear of both does not get there; along a thick part alone it gets everywhere.
    """
    radius = 0.8 * width
    free = distances(~sure, exact=False) > radius
    return np.asarray(
        (distances(~free, exact=False) > 1.03 * radius + 1.5) & (allowed == width) & (depth > 1)
    )


def _around(region: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The box of a region that is not empty, so many pixels wider on each side."""
    import cv2

    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    rows = slice(max(0, top - margin), top + height + margin)
    return rows, slice(max(0, left - margin), left + width + margin)
