"""Shaping a finished matte's edge: levels, choke, feather.

Each is off by default; they are applied in this order. Where nothing can change, inside the subject
and far from it, nothing is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from ..errors import SettingError
from .spill import Despill, check_despill
from .tiles import tiles

Colors: TypeAlias = Literal["foreground", "photo"]
"""The colours under the alpha: the estimated foreground's, or the photo's own."""

MOST_CHOKE, MOST_FEATHER, MOST_MARGIN = 100.0, 250.0, 100_000
"""Pixels."""
HAIR_HALVES = 0.5
"""Pixels of choke that halve what is thinner than they are. The edge of a wide part moves by the
full choke; a single hair has no width to lose, and would vanish at once."""
EXACT = 1e-6
"""Nearer than that to 0 or 1, a blurred alpha differs from them by rounding only."""
TILE = 256
"""Least side of a tile in pixels, and the rows that levels are applied to at a time."""


@dataclass(frozen=True)
class Edge:
    """How to shape a matte's edge; by default not at all.

    Raises SettingError for a value out of its range.
    """

    levels: tuple[float, float] | None = None
    """(black, white), 0 ≤ black < white ≤ 1: alpha up to black becomes exactly 0, from white on
    exactly 1, linear between them. Removes haze from empty areas. None: unchanged."""
    choke: float = 0.0
    """Pixels, also fractions, −100 to 100, by which the edge moves into the subject; a negative
    number moves it outward."""
    feather: float = 0.0
    """Pixels, 0 to 250: the standard deviation of a Gaussian blur of the alpha."""
    despill: Despill = "off"
    """Takes a screen's colour out of the edge's colours: "auto" finds a green, blue or red screen
    in the known background, a colour ("green", "#00b140", (0, 177, 64)) names it; or "off"."""
    colors: Colors = "foreground"
    """The colours under the alpha: the estimated "foreground", or the "photo"'s own pixels, also
    where alpha is 0."""
    crop: bool = False
    """Crop to the box around all that is not transparent; see `Matte.cropped`."""
    margin: int = 0
    """Whole pixels that a crop keeps around it, within the photo."""

    def __post_init__(self) -> None:
        if self.levels is not None:
            object.__setattr__(self, "levels", _levels(self.levels))
        for name, low, high in (
            ("choke", -MOST_CHOKE, MOST_CHOKE),
            ("feather", 0.0, MOST_FEATHER),
            ("margin", 0, MOST_MARGIN),
        ):
            value = getattr(self, name)
            if not _is_number(value) or not low <= value <= high:
                raise SettingError(f"{name} {value!r}: give pixels from {low:g} to {high:g}")
        if self.margin != int(self.margin):
            raise SettingError(f"margin {self.margin!r}: give whole pixels")
        if self.margin and not self.crop:
            raise SettingError(f"margin {self.margin}: needs a crop; set crop too, or leave it out")
        if self.colors not in get_args(Colors):
            raise SettingError(f"colors {self.colors!r}: use foreground or photo")
        check_despill(self.despill)


def shape_alpha(alpha: np.ndarray, edge: Edge) -> np.ndarray:
    """The alpha (H, W) float32 in [0, 1] after levels, then choke, then feather.

    alpha: (H, W) float32 in [0, 1]; returned itself where the edge leaves it unchanged.

    Choke moves the edge inward by pixels, or outward if negative: each pixel becomes the least (or
    greatest) alpha within a disc of that radius, interpolated between pixels, so that soft, hard
    and slanting edges move by the same fraction of a pixel. A part thinner than the disc loses half
    of its alpha with each half pixel instead of all of it.

    Choke and feather also change what the trimap called known.
    """
    if edge.levels not in (None, (0.0, 1.0)):
        alpha = np.array(alpha, np.float32)
        _apply_levels(alpha, *edge.levels)
    if edge.choke:
        alpha = _in_tiles(alpha, math.ceil(abs(edge.choke)) + 1, _choker(edge.choke))
    if edge.feather:
        radius = max(1, math.ceil(4 * edge.feather))
        alpha = _in_tiles(alpha, radius, _featherer(edge.feather, radius))
    return alpha


# ---- levels --------------------------------------------------------------------------------------


def _levels(given: Any) -> tuple[float, float]:
    """Raises SettingError unless it is a pair of levels."""
    try:
        black, white = given
    except (TypeError, ValueError):
        black = white = None
    if not _is_number(black) or not _is_number(white) or not 0 <= black < white <= 1:
        hint = ""
        if _is_number(black) and _is_number(white) and 1 < white <= 255:
            hint = f" (of 255: {black / 255:.3g}, {white / 255:.3g})"
        raise SettingError(
            f"levels {given!r}: give two alphas from 0 to 1, black below white{hint}"
        )
    return float(black), float(white)


def _apply_levels(alpha: np.ndarray, black: float, white: float) -> None:
    """In place, strip by strip."""
    for top in range(0, len(alpha), TILE):
        part = alpha[top : top + TILE]
        empty, full = part <= np.float32(black), part >= np.float32(white)
        part -= np.float32(black)
        part /= np.float32(white - black)
        part.clip(0, 1, out=part)
        part[empty] = 0
        part[full] = 1


# ---- choke and feather ---------------------------------------------------------------------------


_Work: TypeAlias = Callable[[np.ndarray], np.ndarray]


def _in_tiles(alpha: np.ndarray, margin: int, work: _Work) -> np.ndarray:
    """A copy with `work` done to every tile that is not even as far as its margin reaches.

    The picture's border is not an edge: its pixels are repeated beyond it.
    """
    result = alpha.copy()
    side = min(max(TILE, 4 * margin), 1024)  # so that margins are a small part of the work
    for core, box in tiles(alpha.shape, side, margin):
        part = alpha[box]
        if part.min() == part.max():
            continue
        missing = [
            (margin - (inner.start - outer.start), margin - (outer.stop - inner.stop))
            for inner, outer in zip(core, box, strict=True)
        ]
        done = work(np.pad(part, missing, mode="edge"))
        result[core] = done[margin : len(done) - margin, margin : done.shape[1] - margin]
    return result


def _choker(pixels: float) -> _Work:
    radius = abs(pixels)

    def inward(alpha: np.ndarray) -> np.ndarray:
        kept = 0.5 ** (radius / HAIR_HALVES) * _thinness(alpha)
        return np.maximum(_least(alpha, radius), alpha * kept)

    def outward(alpha: np.ndarray) -> np.ndarray:
        return 1 - _least(1 - alpha, radius)

    return inward if pixels > 0 else outward


def _least(alpha: np.ndarray, radius: float) -> np.ndarray:
    """The least value within a disc; not valid in a border of the radius."""
    import cv2

    # Pixels inside the disc: erosions by small discs of whole pixels, one after the other.
    least = alpha.copy()
    whole = int(radius)
    while whole > 0:
        step = min(whole, 4)
        least = np.asarray(cv2.erode(least, _disc(step), borderType=cv2.BORDER_REPLICATE))
        whole -= step
    # On its rim: values between pixels, in enough directions that the polygon which they span is
    # within a fiftieth of a pixel of the circle.
    count = 4 * max(4, math.ceil(math.pi / math.sqrt(0.04 / max(radius, 0.1)) / 4))
    for i in range(count):
        angle = 2 * math.pi * i / count
        moved = _moved(alpha, radius * math.sin(angle), radius * math.cos(angle))
        np.minimum(least, moved, out=least)
    return least


def _disc(radius: int) -> np.ndarray:
    at = np.arange(-radius, radius + 1)
    inside = at[:, None] ** 2 + at[None, :] ** 2 <= radius**2
    return inside.astype(np.uint8)


def _moved(alpha: np.ndarray, down: float, right: float) -> np.ndarray:
    """The picture read that far down and to the right of each pixel, interpolated linearly."""
    whole_down, whole_right = math.floor(down + 1e-9), math.floor(right + 1e-9)
    part_down, part_right = down - whole_down, right - whole_right

    def row(shift: int) -> np.ndarray:
        found = _shifted(alpha, shift, whole_right)
        if part_right > 1e-6:
            neighbour = _shifted(alpha, shift, whole_right + 1)
            found = found + (neighbour - found) * np.float32(part_right)
        return found

    found = row(whole_down)
    if part_down > 1e-6:
        found = found + (row(whole_down + 1) - found) * np.float32(part_down)
    return found


def _shifted(alpha: np.ndarray, down: int, right: int) -> np.ndarray:
    """The picture moved by whole pixels; its border is repeated."""
    if down == 0 and right == 0:
        return alpha
    height, width = alpha.shape
    rows = np.arange(down, down + height).clip(0, height - 1)
    columns = np.arange(right, right + width).clip(0, width - 1)
    return alpha[rows][:, columns]


def _thinness(alpha: np.ndarray) -> np.ndarray:
    """How much a pixel stands out from both of its sides, in the best direction: 1 on a hair over
    nothing, 0 along the edge of a wide part and inside it."""
    thin = np.zeros_like(alpha)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        both = np.maximum(_shifted(alpha, down, right), _shifted(alpha, -down, -right))
        np.maximum(thin, alpha - both, out=thin)
    return np.divide(thin, alpha, out=np.zeros_like(alpha), where=alpha > 0)


def _featherer(feather: float, radius: int) -> _Work:
    import cv2

    side = 2 * radius + 1

    def work(alpha: np.ndarray) -> np.ndarray:
        # In double precision: with single precision the sums would show the tiles.
        wide = cv2.GaussianBlur(
            alpha.astype(np.float64), (side, side), feather, borderType=cv2.BORDER_REPLICATE
        )
        wide[wide < EXACT] = 0
        wide[wide > 1 - EXACT] = 1
        return np.asarray(wide.astype(np.float32))

    return work


def _is_number(value: Any) -> bool:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return False
    return math.isfinite(value)
