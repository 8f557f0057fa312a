"""Colours carried further out, to where an edge has been moved."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

KNOWN = 15
"""Pixels beyond an alpha to which its estimated foreground reaches for sure; see
`foreground.BLEED`."""
TILE = 512
LOOKS = (64, 256, 1200)
"""Pixels around a tile that are looked at for a known colour: further only where that is too near.
Choke and feather move no edge further than the last."""

_Box: TypeAlias = tuple[slice, slice]


def reach_further(colours: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Colours for what became opaque too far from where they were known.

    colours: (H, W, 3) float32, an estimated foreground.
    before: (H, W) the alpha that it was estimated for.
    after: (H, W) the alpha that it shall lie under.

    Such pixels get the colour of the nearest known one. Returns the same array where there are
    none, else a new one.
    """
    result = colours
    height, width = before.shape
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            core = slice(top, min(top + TILE, height)), slice(left, min(left + TILE, width))
            wanted = (after[core] > 0) & (before[core] <= 0)
            if not wanted.any():
                continue
            missing, places = _nearest(before, core, wanted)
            if len(places[0]):
                result = colours.copy() if result is colours else result
                result[core][missing] = colours[places]
    return result


def _nearest(
    alpha: np.ndarray, core: _Box, wanted: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Which of the wanted pixels of a tile have no colour, and for each the nearest that has."""
    import cv2

    nowhere = np.zeros_like(wanted), (np.zeros(0, np.intp), np.zeros(0, np.intp))
    for look in LOOKS:
        box = tuple(
            slice(max(0, at.start - look), min(side, at.stop + look))
            for at, side in zip(core, alpha.shape, strict=True)
        )
        opaque = alpha[box] > 0
        if not opaque.any():
            continue
        distance, labels = cv2.distanceTransformWithLabels(
            (~opaque).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        inner = tuple(
            slice(at.start - around.start, at.stop - around.start)
            for at, around in zip(core, box, strict=True)
        )
        missing = wanted & (distance[inner] > KNOWN)
        if not missing.any():
            return nowhere
        if distance[inner][missing].max() > look and look != LOOKS[-1]:
            continue
        rows, columns = np.nonzero(opaque)
        at_label = np.zeros(int(labels.max()) + 1, np.intp)
        at_label[labels[rows, columns]] = np.arange(len(rows))
        index = at_label[labels[inner][missing]]
        return missing, (rows[index] + box[0].start, columns[index] + box[1].start)
    return nowhere
