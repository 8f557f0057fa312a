"""Trimaps from what people paint: labels of strokes, usually on a small proxy of the photo."""

from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SettingError
from .trimap import BAND_INSIDE, BAND_OUTSIDE, check_aspect, check_band, lay_band, resize_nearest


class Stroke(IntEnum):
    """Labels of a painted map; see `from_painting` and `from_strokes`."""

    UNPAINTED = 0
    BACKGROUND = 1
    UNKNOWN = 2
    FOREGROUND = 3


Unpainted = Literal["auto", "background", "unknown"]
"""What unpainted pixels are; see `from_painting`."""

_VALUES = np.array([128, 0, 128, 255], np.uint8)  # of a trimap, by `Stroke`


def from_painting(
    labels: np.ndarray,
    size: tuple[int, int] | None = None,
    *,
    unpainted: Unpainted = "auto",
    inside: float = BAND_INSIDE,
    outside: float = BAND_OUTSIDE,
) -> NDArray[np.uint8]:
    """A trimap from a painted subject, with or without painted background.

    labels: (h, w) integers, `Stroke`.
    size: (H, W) of the photo if a smaller proxy of the same aspect ratio was painted on.
    unpainted: "background" takes the painted subject as a mask and lays an unknown band along its
        edge, as `from_mask` does; the strokes of background and unknown are painted over it.
        "unknown" leaves all that is unpainted unknown. "auto" is "unknown" once background is
        painted, and "background" until then.
    inside, outside: the band's width, in % of the subject's size, 0 or more.

    Returns (H, W) uint8: 0 background, 128 unknown, 255 foreground. Warns (MEMatteWarning) as
    `from_mask` does. Raises InputError where no subject is painted or the subject fills the
    picture, for other labels and for another aspect ratio; SettingError for an invalid
    `unpainted` or width.
    """
    labels = _checked(labels, size, "painting")
    if unpainted not in ("auto", "background", "unknown"):
        raise SettingError(f"unpainted {unpainted!r}: use 'auto', 'background' or 'unknown'")
    subject = labels == Stroke.FOREGROUND
    if not subject.any():
        found = "only other strokes are painted" if labels.any() else "nothing is painted"
        raise InputError(f"painting: {found}; paint over the subject")
    if size is None:
        size = (labels.shape[0], labels.shape[1])
    if not lays_band(labels, unpainted):
        return resize_nearest(_VALUES[labels], size)
    check_band(inside, outside)
    if subject.all():
        raise InputError("painting: the subject fills the picture; clear it and paint the subject")
    import cv2

    soft = subject.astype(np.float32)
    if soft.shape != size:
        soft = cv2.resize(soft, size[::-1], interpolation=cv2.INTER_LINEAR)
    grain = max(1.0, size[0] / labels.shape[0])  # gaps between strokes are not background
    band = lay_band(soft, "painting", inside, outside, grain=grain)
    # The subject's strokes are the mask by now: painted over the band, they would undo it.
    return paint_over(band, np.where(subject, np.uint8(Stroke.UNPAINTED), labels))


def from_strokes(labels: np.ndarray, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A trimap from strokes of foreground and background; all else is unknown.

    labels: (H, W) integers, `Stroke`: 0 unpainted and 2 unknown (both come out unknown),
        1 background, 3 foreground.
    size: (H, W) of the photo if it was painted on a smaller proxy of the same aspect ratio.

    Returns (H, W) uint8: 0, 128, 255. Raises InputError unless there is at least one stroke of
    foreground and one of background, for other labels and for another aspect ratio.
    """
    labels = _checked(labels, size, "strokes")
    for stroke in (Stroke.FOREGROUND, Stroke.BACKGROUND):
        if not (labels == stroke).any():
            raise InputError(f"strokes: no {stroke.name.lower()} is painted; add a stroke of it")
    trimap = _VALUES[labels]
    return trimap if size is None else resize_nearest(trimap, size)


def paint_over(trimap: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of a trimap (H, W) uint8 with strokes (h, w) `Stroke` painted over it."""
    size = (trimap.shape[0], trimap.shape[1])
    at = labels if labels.shape == size else resize_nearest(labels, size)
    return np.where(at == Stroke.UNPAINTED, trimap, _VALUES[at])


def lays_band(labels: np.ndarray, unpainted: Unpainted) -> bool:
    """Whether `from_painting` lays a band around the painted subject."""
    if unpainted == "auto":
        return not (labels == Stroke.BACKGROUND).any()
    return unpainted == "background"


def _checked(labels: np.ndarray, size: tuple[int, int] | None, name: str) -> NDArray[np.uint8]:
    labels = np.asarray(labels)
    if labels.ndim != 2 or not labels.size or labels.dtype.kind not in "iu":
        raise InputError(
            f"{name}: has dtype {labels.dtype} and shape {labels.shape}; give integer labels (H, W)"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < min(Stroke) or high > max(Stroke):
        raise InputError(
            f"{name}: has labels from {low} to {high}; use 0 unpainted, 1 background, 2 unknown,"
            " 3 foreground"
        )
    if size is not None:
        check_aspect(labels.shape, size, name)
    return labels.astype(np.uint8)
