"""Trimaps from anybody's soft mask or alpha: wide where it is unsure, narrow where it is crisp.

All is measured at the mask's own resolution, which is also cheaper than at the photo's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SettingError, warn_user
from ..images.decoded import MAX_PIXELS
from ..images.read import ImageSource, grey_name
from .bands import banded
from .grid import own_grid
from .masks import read_mask
from .remarks import LEAST_SURE, empty_or_full, looks_inverted, warn_if_unsure
from .thickness import distances
from .trimap import BAND_INSIDE, BAND_OUTSIDE, MIN_BAND, check_aspect, check_band

Plane = NDArray[np.float32]

NOISE = 0.05
"""How near to 0 or 1 a value counts as known: networks' masks have noise floors."""

CRISP_INSIDE, CRISP_OUTSIDE = 2.0, 2.5
"""Default least band of a mask with soft edges, in percent of the subject's size: what masks are
moved by. One without any (`_HARD`) has `from_mask`'s, since it says nothing about hair."""

UNSURE_INSIDE, UNSURE_OUTSIDE = 1.5, 2.5
"""The same in the mask's own pixels."""

WIDENING = 0.25
"""How far the band reaches beyond a soft part, as a share of that part's width."""

ISLANDS = 2.0
"""Default size, in percent of the subject's, up to which a separate part is noise."""

_HARD = 0.2  # a mask is hard with fewer soft pixels than this, per pixel of edge
_LEAST, _MOST = 1024, 3072  # longer side in pixels of what is measured on, if the photo has that
_LARGEST = 0.03  # of the subject's size: the most that a band is widened


@dataclass(frozen=True, eq=False)
class SoftMask:
    """A soft mask at its own resolution, and the photo's size.

    values: (h, w) float32 in [0, 1].
    size: (H, W) of the photo in pixels.
    name: what messages call it.
    """

    values: Plane
    size: tuple[int, int]
    name: str = "alpha"

    @property
    def pixel(self) -> float:
        """How many of the photo's pixels one of the mask's is wide or high, at least 1."""
        (height, width), (rows, columns) = self.size, self.values.shape
        return max(1.0, height / rows, width / columns)

    def working(self) -> tuple[Plane, float]:
        """The mask on the grid that is measured on, and how many of the photo's pixels one is.

        That has square pixels, is no finer than the photo and, up to a limit, no coarser than the
        mask.
        """
        (height, width), (rows, columns) = self.size, self.values.shape
        longer = max(height, width)
        scale = min(height / rows, width / columns, longer / _LEAST)
        scale = max(1.0, scale, longer / _MOST)
        return resized(
            self.values, (max(1, round(height / scale)), max(1, round(width / scale)))
        ), scale


def resized(values: Plane, size: tuple[int, ...]) -> Plane:
    """(H, W) on another grid: each axis by means where that is coarser, else bilinear."""
    import cv2

    result: NDArray[Any] = values
    for axis in (0, 1):
        if result.shape[axis] == size[axis]:
            continue
        way = cv2.INTER_AREA if size[axis] < result.shape[axis] else cv2.INTER_LINEAR
        shape = (size[0], result.shape[1]) if axis == 0 else (result.shape[0], size[1])
        result = cv2.resize(result, shape[::-1], interpolation=way)
    return np.asarray(result, np.float32)


def read_soft(
    alpha: ImageSource,
    size: tuple[int, int] | None = None,
    *,
    stretched: bool = False,
    name: str = "alpha",
    greys: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> SoftMask:
    """A soft mask in any form that `from_mask` takes, on the grid that it was computed on.

    Raises InputError as `from_soft` does.

    name: what messages call it.
    greys: they are opacity or doubt; if not, levels are stretched as `from_mask` does.
    """
    values = read_mask(alpha, name=name, max_pixels=max_pixels, soft=greys)
    name = grey_name(alpha, name)
    if size is not None and not stretched:
        check_aspect(values.shape, size, name)
    height, width = values.shape if size is None else size
    return SoftMask(own_grid(values), (height, width), name)


def from_soft(
    alpha: ImageSource,
    *,
    size: tuple[int, int] | None = None,
    inside: float | None = None,
    outside: float | None = None,
    unit: Literal["%", "px"] = "%",
    islands: float | None = None,
    stretched: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """A trimap from anybody's soft mask, or from an alpha, of any resolution.

    The unknown band is wide where the mask is soft or coarse, and narrow where it is crisp. Unknown
    is all between 5% and 95%, and around that one pixel of the mask's own and a quarter of a soft
    edge's width (at most 3% of the subject's size). Along the contour, at one half, the band is at
    least 2% of the subject's size inward and 2.5% outward, and 1.5 and 2.5 of the mask's own
    pixels. A mask without soft edges gets `from_mask`'s 2% and 4%. Thin parts, narrow gaps and hair
    are treated as `from_mask` does.

    alpha: (H, W) in [0, 1], or in any form that `from_mask` takes, of any resolution. If it was
        enlarged, it is brought back to its own grid first (`own_grid`).
    size: (H, W) of the photo; None for the mask's own. Another aspect ratio than the mask's is
        refused, beyond 1%.
    inside, outside: the least width of the band inward and outward, instead of the percentages
        above: 0 or more. It is still wider where the mask is soft or coarse.
    unit: "px" of the photo, or "%" of the subject's size, the square root of its area in pixels;
        for inside, outside and islands.
    islands: separate parts of at most islands × islands are left out, as segmentation networks
        leave specks; None for 2%. 0 keeps all; the largest part is always kept.
    stretched: the mask covers the whole photo, whatever its aspect ratio: networks with a fixed
        canvas stretch photos to it.
    max_pixels: larger files are refused by their header, before decoding.

    Returns (H, W) uint8: 0 background, 128 unknown, 255 foreground. `cut(photo, alpha=…)` also
    settles the matte with the mask. Warns (MEMatteWarning) when hardly anything is known, when the
    mask looks inverted, and where a choice was made for the user. Raises InputError for an empty or
    full mask, for another aspect ratio than `size`, and where it cannot be read as a mask;
    SettingError for an invalid width, unit or islands.
    """
    soft = read_soft(alpha, size, stretched=stretched, max_pixels=max_pixels)
    return lay_soft_band(soft, inside=inside, outside=outside, unit=unit, islands=islands)


def lay_soft_band(
    soft: SoftMask,
    *,
    inside: float | None = None,
    outside: float | None = None,
    unit: Literal["%", "px"] = "%",
    islands: float | None = None,
) -> NDArray[np.uint8]:
    """`from_soft` for a mask that is read already."""
    if unit not in ("%", "px"):
        raise SettingError(f"unit {unit!r}: use '%' or 'px'")
    check_band(inside or 0.0, outside or 0.0)
    islands = ISLANDS if islands is None else islands
    if not (math.isfinite(islands) and islands >= 0):
        raise SettingError(f"islands {islands!r}: give a size, 0 or more")
    values, scale = soft.working()
    subject = values >= 0.5
    area = int(np.count_nonzero(subject))
    if area in (0, subject.size):
        raise InputError(
            f"{soft.name}: is {empty_or_full(values)}; it has to show the subject white on black"
        )
    if looks_inverted(subject, ~subject):
        warn_user(
            f"{soft.name}: looks inverted: white along the border and black in the middle; the"
            " subject is white"
        )
    side = math.sqrt(area)

    def pixels(width: float) -> float:
        return width / scale if unit == "px" else width / 100 * side

    values = _without_islands(values, pixels(islands))
    subject = values >= 0.5
    own = soft.pixel / scale
    hard = _is_hard(soft.values)
    least = (BAND_INSIDE, BAND_OUTSIDE) if hard else (CRISP_INSIDE, CRISP_OUTSIDE)
    widths = []
    for given, default, unsure in zip(
        (inside, outside), least, (UNSURE_INSIDE, UNSURE_OUTSIDE), strict=True
    ):
        usual = max(default / 100 * side, MIN_BAND / scale)
        width = usual if given is None else pixels(given)
        widths.append(max(width, unsure * (own - 1 / scale)))
    trimap, _ = banded(subject, *widths, grain=max(1.0, own))
    trimap[_unsure(values, own, _LARGEST * side)] = 128
    trimap = _enlarged(trimap, soft.size)
    if not (trimap == 255).any() or np.count_nonzero(trimap != 128) < LEAST_SURE * trimap.size:
        warn_if_unsure(trimap, resized(soft.values, trimap.shape), soft.name)
    return trimap


def _is_hard(values: Plane) -> bool:
    """Whether there are only black and white."""
    soft = int(np.count_nonzero((values > NOISE) & (values < 1 - NOISE)))
    subject = values >= 0.5
    edge = int(np.count_nonzero(subject[1:] != subject[:-1]))
    edge += int(np.count_nonzero(subject[:, 1:] != subject[:, :-1]))
    return soft < _HARD * edge


def _without_islands(values: Plane, size: float) -> Plane:
    """Without separate parts of at most size × size pixels; the largest one stays."""
    import cv2

    if size <= 0:
        return values
    shown = (values > NOISE).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(shown, connectivity=8)
    gone = stats[:, 4] <= size * size
    gone[0] = False
    gone[np.bincount(labels[values >= 0.5], minlength=count).argmax()] = False
    if not gone.any():
        return values
    return np.where(gone[labels], np.float32(0), values)


def _unsure(values: Plane, own: float, largest: float) -> NDArray[np.bool_]:
    """Where the mask is between its levels, and around that, the farther the softer it is.

    own: how many pixels the mask's own are wide; largest: the most that is added, in pixels.
    """
    full, empty = values >= 1 - NOISE, values <= NOISE
    soft = ~(full | empty)
    if not soft.any() or not full.any() or not empty.any():
        return soft
    width = distances(~full) + distances(~empty)
    width[~soft] = 0
    found = soft | (distances(~soft) <= own)
    least, most = 4 * max(own, 1.0), min(float(width.max()), largest / WIDENING)
    while least <= most:
        found |= distances(width < least) <= WIDENING * least + own
        least *= 2
    return found


def _enlarged(trimap: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The trimap at the photo's size, with smooth edges."""
    if trimap.shape == size:
        return trimap
    import cv2

    result = np.full(size, 128, np.uint8)
    for known in (0, 255):
        share = np.where(trimap == known, np.uint8(255), np.uint8(0))
        share = cv2.resize(share, size[::-1], interpolation=cv2.INTER_LINEAR)
        result[share >= 128] = known
    return result
