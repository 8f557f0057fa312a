"""Tells masks with soft edges from those that only look soft along a smoothed edge."""

from __future__ import annotations

import numpy as np

from ..errors import collect_notes
from ..images.decoded import MAX_PIXELS
from ..images.read import ImageSource
from .masks import read_mask
from .soft import NOISE

_SOFT = 0.1
"""A mask is soft from this many pixels amid soft ones, per pixel of edge. Anti-aliased edges, JPEG
files and masks of half the size have 0 to 0.01, edges blurred by a pixel 0.6; true alphas of hair
and fur 0.2 to 4, those of a smooth subject 0.02."""


def is_soft(mask: ImageSource, *, max_pixels: int = MAX_PIXELS) -> bool:
    """Whether a mask has soft parts or is unsure of its edge, so that `from_soft` suits it.

    An edge that is just smoothed (a brush's, one saved as JPEG or made smaller) is a hard one: it
    says nothing about how far hair reaches, which is what `from_mask` is for.

    mask: as for `from_mask`.
    max_pixels: larger files are refused by their header, before decoding.

    Raises InputError where it cannot be read as a mask.
    """
    import cv2

    with collect_notes():  # whoever makes the trimap says them
        values = read_mask(mask, max_pixels=max_pixels)
    soft = (values > NOISE) & (values < 1 - NOISE)
    inner = cv2.erode(soft.view(np.uint8), np.ones((3, 3), np.uint8))
    subject = values >= 0.5
    edge = np.count_nonzero(subject[1:] != subject[:-1])
    edge += np.count_nonzero(subject[:, 1:] != subject[:, :-1])
    return cv2.countNonZero(inner) > _SOFT * edge
