"""Colours carried further out, to where an edge has been moved."""

from __future__ import annotations

import numpy as np

from .estimate import BLEED
from .tiles import Box, tiles, widened, within

KNOWN = BLEED - 1
"""Pixels beyond an alpha to which its estimated foreground reaches for sure."""
TILE = 512
MARGINS = (64, 256, 1200)
"""Pixels around a tile that are searched for a known colour; the next only where one is too near.
Choke and feather move no edge further than the last."""


def reach_further(colours: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Colours for pixels that became opaque too far from known ones: the nearest known colour.

    colours: (H, W, 3) float32, an estimated foreground.
    before: (H, W) the alpha that it was estimated for.
    after: (H, W) the alpha that it shall lie under.

    Returns the same array where there are no such pixels, else a new one.
    """
    result = colours
    for core, _ in tiles(before.shape, TILE, 0):
        added = (after[core] > 0) & (before[core] <= 0)
        if not added.any():
            continue
        missing, nearest = _nearest(before, core, added)
        if missing.any():
            result = colours.copy() if result is colours else result
            result[core][missing] = colours[nearest]
    return result


def _nearest(
    alpha: np.ndarray, core: Box, added: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Which of a tile's added pixels have no colour, and for each the nearest one that has."""
    import cv2

    nothing = np.zeros_like(added)
    for margin in MARGINS:
        box = widened(core, alpha.shape, margin)
        opaque = alpha[box] > 0
        if not opaque.any():
            continue
        distance, labels = cv2.distanceTransformWithLabels(
            (~opaque).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        inner = within(core, box)
        missing = added & (distance[inner] > KNOWN)
        if not missing.any():
            return nothing, ()
        if distance[inner][missing].max() > margin and margin != MARGINS[-1]:
            continue
        rows, columns = np.nonzero(opaque)
        at_label = np.zeros(int(labels.max()) + 1, np.intp)
        at_label[labels[rows, columns]] = np.arange(len(rows))
        index = at_label[labels[inner][missing]]
        return missing, (rows[index] + box[0].start, columns[index] + box[1].start)
    return nothing, ()
