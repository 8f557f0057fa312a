"""From what is given and what is painted to the trimap, at the photo's size and at the proxy's.

Strokes are labels of the proxy's size, see `trimap.Stroke`. Trimaps here are uint8 of 0, 128, 255.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..trimap.painting import Stroke
from ..trimap.trimap import from_mask

Unpainted = Literal["auto", "background", "unknown"]
"""What unpainted pixels are where neither trimap nor mask is given."""

VALUES = {Stroke.BACKGROUND: 0, Stroke.UNKNOWN: 128, Stroke.FOREGROUND: 255}
"""What a stroke makes of a trimap's pixel."""


def shrunk(trimap: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A trimap (H, W) at the smaller size (h, w): known where all of it is, so that no thin part of
    the unknown band gets lost."""
    if trimap.shape == size:
        return trimap
    import cv2

    mean = cv2.resize(trimap, size[::-1], interpolation=cv2.INTER_AREA)
    small = np.full(size, 128, np.uint8)
    small[mean == 0] = 0
    small[mean == 255] = 255
    return small


def painted_over(trimap: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of the trimap (H, W) on which the strokes (h, w) stand."""
    import cv2

    values, painted = np.zeros_like(labels), (labels != Stroke.UNPAINTED).view(np.uint8)
    for stroke, value in VALUES.items():
        values[labels == stroke] = value
    result = trimap.copy()
    if painted.any():
        values, painted = grown(values, trimap.shape), grown(painted, trimap.shape)
        cv2.copyTo(values, painted, result)
    return result


def only_painted(
    labels: NDArray[np.uint8], unpainted: Unpainted, inside: float, outside: float
) -> NDArray[np.uint8] | None:
    """The trimap (h, w) that strokes alone stand for; None while they are too few for one.

    unpainted: "background" takes the foreground's strokes as a mask, around which an unknown band
        is laid; "unknown" leaves everything else unknown; "auto" is the first until background is
        painted, too.
    inside, outside: the band, in % of the subject's size.

    Raises InputError where the subject fills the picture, SettingError for an odd band.
    """
    painted = labels != Stroke.UNPAINTED
    if not painted.any():
        return None
    subject = labels == Stroke.FOREGROUND
    if not lays_band(labels, unpainted):
        return painted_over(np.full(labels.shape, 128, np.uint8), labels)
    if not subject.any():
        return None
    mask = np.where(subject, np.uint8(255), np.uint8(0))
    band = from_mask(mask, inside=inside, outside=outside)
    # The subject's own strokes have become the band's inside: painting them again would undo it.
    return painted_over(band, np.where(subject, np.uint8(Stroke.UNPAINTED), labels))


def lays_band(labels: NDArray[np.uint8], unpainted: Unpainted) -> bool:
    """Whether `only_painted` lays a band around the painted subject."""
    no_background = unpainted == "auto" and not (labels == Stroke.BACKGROUND).any()
    return unpainted == "background" or no_background


def grown(values: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Labels or a trimap (h, w) at the photo's size (H, W), to the nearest pixel."""
    if values.shape == tuple(size):
        return values
    import cv2

    return np.asarray(
        cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
    )
