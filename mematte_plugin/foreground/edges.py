"""What people do to a finished matte's edge: levels, choke, feather.

Each is an option that is off by default, and they are applied in this order. Where a part of the
picture cannot change, inside the subject and far from it, nothing is computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from ..errors import SettingError
from .spill import Despill, check_despill

Colors: TypeAlias = Literal["foreground", "photo"]
"""Whose colours lie under the alpha: the estimated foreground's, or the photo's own."""

MOST_CHOKE, MOST_FEATHER, MOST_MARGIN = 100.0, 250.0, 100_000
"""Pixels."""
HAIR_HALVES = 0.5
"""Pixels of choke that halve what is thinner than they are. The edge of what is wide moves by all
of the choke; a single hair has no width to lose, and would be gone at once."""
EXACT = 1e-6
"""Nearer than that to 0 or 1 a blurred alpha is 0 or 1: what is left is rounding."""
TILE = 256
"""Side of the tiles that are looked at, in pixels, at least."""

_Box: TypeAlias = tuple[slice, slice]


@dataclass(frozen=True)
class Edge:
    """How a matte's edge is shaped; by default not at all.

    Raises SettingError for a value out of its range.
    """

    levels: tuple[float, float] | None = None
    """(black, white), 0 ≤ black < white ≤ 1: alpha up to black becomes exactly 0, from white on
    exactly 1, linear between them. Takes haze out of what should be empty. None: as it is."""
    choke: float = 0.0
    """Pixels, also fractions, −100 to 100, by which the edge moves into the subject; a negative
    number moves it outward."""
    feather: float = 0.0
    """Pixels, 0 to 250: the standard deviation of a Gaussian blur of the alpha."""
    despill: Despill = "off"
    """Takes a screen's colour out of the edge's colours: "auto" finds the screen in the known
    background, a colour ("green", "#00b140", (0, 177, 64)) names it, "off" leaves them."""
    colors: Colors = "foreground"
    """What lies under the alpha: the estimated "foreground", or the "photo"'s own pixels, also
    where alpha is 0."""
    crop: bool = False
    """Only the box around what is not transparent; see `Matte.cropped`."""
    margin: int = 0
    """Whole pixels that a crop leaves around it, where the photo has them."""

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
            raise SettingError(
                f"margin {self.margin}: is for a crop; set crop too, or leave it out"
            )
        if self.colors not in get_args(Colors):
            raise SettingError(f"colors {self.colors!r}: use foreground or photo")
        check_despill(self.despill)

    @property
    def shapes_alpha(self) -> bool:
        """Whether levels, choke or feather change anything."""
        return self.levels not in (None, (0.0, 1.0)) or self.choke != 0 or self.feather != 0

    @property
    def reach(self) -> int:
        """Pixels beyond the alpha's own edge that may become opaque."""
        blurred = _radius(self.feather) if self.feather else 0
        return math.ceil(max(0.0, -self.choke)) + blurred


def shape_alpha(alpha: np.ndarray, edge: Edge) -> np.ndarray:
    """A new (H, W) float32 alpha in [0, 1]: levels, then choke, then feather.

    alpha: (H, W) float32 in [0, 1].

    Choke and feather also change what the trimap called known: that is where the edge goes to.
    """
    shaped = np.array(alpha, np.float32)
    if edge.levels is not None:
        _apply_levels(shaped, *edge.levels)
    if edge.choke:
        shaped = _in_tiles(shaped, math.ceil(abs(edge.choke)) + 1, _choker(edge.choke))
    if edge.feather:
        shaped = _in_tiles(shaped, _radius(edge.feather), _featherer(edge.feather))
    return shaped


def choke(alpha: np.ndarray, pixels: float) -> np.ndarray:
    """The alpha with its edge so many pixels further in; a negative number, further out.

    alpha: (H, W) float32 in [0, 1].

    Each pixel becomes the least (or greatest) alpha within a disc of that radius. Between pixels it
    is interpolated linearly, so that a soft edge, a hard one and a slanting one move by the same
    fraction of a pixel. What is thinner than the disc loses half of its alpha with each half pixel,
    and not all of it.
    """
    return shape_alpha(alpha, Edge(choke=pixels))


# ---- levels --------------------------------------------------------------------------------------


def _levels(given: Any) -> tuple[float, float]:
    """Raises SettingError for what is no pair of levels."""
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


# ---- what looks at its neighbours ----------------------------------------------------------------


def _in_tiles(alpha: np.ndarray, halo: int, work: Any) -> np.ndarray:
    """A copy with `work` done to every tile that is not plain for as far as the halo reaches.

    The picture's own border is no edge: what lies on it goes on beyond it.
    """
    result = alpha.copy()
    tile = min(max(TILE, 4 * halo), 1024)  # little of a tile is looked at twice
    for core, box in _tiles(alpha.shape, tile, halo):
        part = alpha[box]
        if part.min() == part.max():
            continue
        (rows, columns), (high, wide) = core, box
        beyond = [
            (halo - (rows.start - high.start), halo - (high.stop - rows.stop)),
            (halo - (columns.start - wide.start), halo - (wide.stop - columns.stop)),
        ]
        done = work(np.pad(part, beyond, mode="edge"))
        result[core] = done[halo : len(done) - halo, halo : done.shape[1] - halo]
    return result


def _tiles(shape: tuple[int, ...], tile: int, halo: int) -> Iterator[tuple[_Box, _Box]]:
    """Each tile, and what of the picture lies within the halo around it."""
    height, width = shape
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            yield (
                (slice(top, bottom), slice(left, right)),
                (
                    slice(max(0, top - halo), min(height, bottom + halo)),
                    slice(max(0, left - halo), min(width, right + halo)),
                ),
            )


def _choker(pixels: float) -> Any:
    radius = abs(pixels)

    def inward(alpha: np.ndarray) -> np.ndarray:
        kept = 0.5 ** (radius / HAIR_HALVES) * _thinness(alpha)
        return np.maximum(_least(alpha, radius), alpha * kept)

    def outward(alpha: np.ndarray) -> np.ndarray:
        return 1 - _least(1 - alpha, radius)

    return inward if pixels > 0 else outward


def _least(alpha: np.ndarray, radius: float) -> np.ndarray:
    """The least value within a disc; right but for a border of the radius."""
    import cv2

    # Inside the disc the pixels themselves: discs of whole pixels one after the other, each of them
    # no larger than a disc of its radius.
    least = alpha.copy()
    whole = int(radius)
    while whole > 0:
        step = min(whole, 4)
        least = np.asarray(cv2.erode(least, _disc(step), borderType=cv2.BORDER_REPLICATE))
        whole -= step
    # On its rim what lies between pixels, in so many directions that the polygon they span is
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
    """The picture read so far down and to the right of each pixel, interpolated linearly."""
    whole_down, whole_right = math.floor(down + 1e-9), math.floor(right + 1e-9)
    part_down, part_right = max(0.0, down - whole_down), max(0.0, right - whole_right)
    found = _shifted(alpha, whole_down, whole_right)
    if part_right > 1e-6:
        beside = _shifted(alpha, whole_down, whole_right + 1)
        found = found + (beside - found) * np.float32(part_right)
    if part_down > 1e-6:
        below = _shifted(alpha, whole_down + 1, whole_right)
        if part_right > 1e-6:
            beside = _shifted(alpha, whole_down + 1, whole_right + 1)
            below = below + (beside - below) * np.float32(part_right)
        found = found + (below - found) * np.float32(part_down)
    return found


def _shifted(alpha: np.ndarray, down: int, right: int) -> np.ndarray:
    """The picture moved by whole pixels; its border goes on beyond it."""
    if down == 0 and right == 0:
        return alpha
    height, width = alpha.shape
    rows = np.arange(down, down + height).clip(0, height - 1)
    columns = np.arange(right, right + width).clip(0, width - 1)
    return alpha[rows][:, columns]


def _thinness(alpha: np.ndarray) -> np.ndarray:
    """0 to 1: by how much a pixel stands out from both of its sides, in the best direction.

    1 on a hair before nothing, 0 along the edge of what is wide and inside it.
    """
    thin = np.zeros_like(alpha)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        both = np.maximum(_shifted(alpha, down, right), _shifted(alpha, -down, -right))
        np.maximum(thin, alpha - both, out=thin)
    return np.divide(thin, alpha, out=np.zeros_like(alpha), where=alpha > 0)


def _radius(feather: float) -> int:
    """How far a blur reaches."""
    return max(1, math.ceil(4 * feather))


def _featherer(feather: float) -> Any:
    import cv2

    side = 2 * _radius(feather) + 1

    def work(alpha: np.ndarray) -> np.ndarray:
        # In double precision: sums of single ones would show the tiles.
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
