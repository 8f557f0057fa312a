"""The unknown band along a mask's edge; needs numpy and OpenCV only, as training does."""

from __future__ import annotations

import math

import numpy as np


def banded(subject: np.ndarray, inward: float, outward: float) -> np.ndarray:
    """A trimap from a mask: (H, W) uint8 of 0, 128 and 255.

    subject: (H, W) bool, neither empty nor full.
    inward, outward: the band's width on either side of the edge in pixels, 0 or more.
    """
    import cv2

    trimap: np.ndarray = np.where(subject, np.uint8(255), np.uint8(0))
    # Farther from the subject than the band is wide nothing changes, and distances take long.
    near = _around(subject, math.ceil(outward) + 1)
    subject, part = subject[near], trimap[near]
    # The distance to the nearest pixel of the other side is 1 at the edge, so <= gives the width.
    for region, width in ((subject, inward), (~subject, outward)):
        if width > 0:
            distance = cv2.distanceTransform(
                region.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
            )
            part[region & (distance <= width)] = 128
    return trimap


def _around(region: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The box of a region that is not empty, so many pixels wider on each side."""
    import cv2

    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    rows = slice(max(0, top - margin), top + height + margin)
    return rows, slice(max(0, left - margin), left + width + margin)
