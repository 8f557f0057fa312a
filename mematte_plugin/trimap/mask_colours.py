"""Masks and trimaps in colours: brushes, overlays and id passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..images.arrays import to_unit
from .labels import sample, strips

MOST = 64
"""Flat colours that a label map may have."""

_LEVELS = 32  # per channel, of the histogram
_LEAST = 5e-4  # least share of the pixels of a main colour
_EXACT = 0.5  # least share of a flat colour's pixels that have exactly it; photographs have less
_MAIN = 0.6  # least share of the pixels of a mask's two colours
_EXPLAINED = 0.985  # least share that is a mixture of these two
_LABELLED = 0.95  # least share that has one of the colours of a label map
_OFF_LINE = 0.09  # distance from a mixture of two colours, in [0, 1]
_DARK, _BRIGHT = 0.12, 0.88
_CONTRAST = 0.2  # least difference of the two colours
_BORDER = 0.6  # least share of the border that shows which of two colours is the background


@dataclass(frozen=True)
class Colour:
    """A colour that many pixels have, about."""

    rgb: tuple[float, float, float]
    """In [0, 1]."""
    share: float
    """Share of the pixels near it."""
    exact: float
    """Share of these with exactly this colour, in 8 bits."""

    @property
    def spread(self) -> float:
        """0 for grey, 1 for a pure colour."""
        return max(self.rgb) - min(self.rgb)

    @property
    def label(self) -> int:
        """0xrrggbb."""
        red, green, blue = (round(channel * 255) for channel in self.rgb)
        return red << 16 | green << 8 | blue


def find_colours(pixels: np.ndarray) -> tuple[list[Colour], np.ndarray]:
    """The main colours of (H, W, 3) pixels, most frequent first, and the shares (32, 32, 32)."""
    import cv2

    counts = np.zeros((_LEVELS,) * 3)
    for rows in strips(pixels):
        plain = [np.ascontiguousarray(_eight_bits(rows))]
        counts += cv2.calcHist(plain, [0, 1, 2], None, [_LEVELS] * 3, [0, 256] * 3)
    shares = counts / counts.sum()
    left = shares.copy()
    centres: list[tuple[tuple[int, ...], float]] = []
    while len(centres) <= MOST:
        peak = tuple(int(i) for i in np.unravel_index(int(left.argmax()), left.shape))
        if left[peak] < _LEAST:
            break
        centres.append((peak, float(left[_around(peak)].sum())))
        left[_around(peak)] = 0
    if sum(share for _, share in centres) < _MAIN:
        return [Colour(_middle(centre), share, 0.0) for centre, share in centres], shares
    nearest = np.full(left.shape, -1, np.int16)  # the centre that a bin belongs to
    for number, (peak, _) in reversed(list(enumerate(centres))):
        nearest[_around(peak)] = number
    values, found = np.unique(colour_labels(sample(pixels)), return_counts=True)
    owner = nearest[values >> 19 & 31, values >> 11 & 31, values >> 3 & 31]
    colours = []
    for number, (centre, share) in enumerate(centres):
        own = owner == number
        if not own.any():  # not in the sample
            colours.append(Colour(_middle(centre), share, 1.0))
            continue
        best = int(found[own].argmax())
        value = int(values[own][best])
        rgb = ((value >> 16) / 255, (value >> 8 & 255) / 255, (value & 255) / 255)
        colours.append(Colour(rgb, share, float(found[own][best] / found[own].sum())))
    return colours, shares


def _around(peak: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(max(0, i - 1), i + 2) for i in peak)


def _middle(peak: tuple[int, ...]) -> tuple[float, float, float]:
    red, green, blue = ((i + 0.5) / _LEVELS for i in peak)
    return red, green, blue


def on_line(shares: np.ndarray, one: Colour, other: Colour) -> bool:
    """Whether the picture holds these two colours and their mixtures only."""
    axis = (np.arange(_LEVELS) + 0.5) / _LEVELS
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    start, step = np.array(one.rgb), np.array(other.rgb) - np.array(one.rgb)
    along = ((grid - start) @ step / (step @ step)).clip(0, 1)
    distance = np.linalg.norm(grid - start - along[..., None] * step, axis=-1)
    return float(shares[distance <= _OFF_LINE].sum()) >= _EXPLAINED


def two_colours(colours: list[Colour], shares: np.ndarray) -> tuple[Colour, Colour] | None:
    """The two colours of a painted mask, the more frequent one first; None for other pictures."""
    for other in colours[1:4]:
        one = colours[0]
        far = float(np.abs(np.subtract(one.rgb, other.rgb)).max())
        if one.share + other.share >= _MAIN and far >= _CONTRAST and on_line(shares, one, other):
            return one, other
    return None


def background_first(
    one: Colour, other: Colour, pixels: np.ndarray
) -> tuple[Colour, Colour, bool] | None:
    """Background, subject, and whether the border told them apart; None where nothing does.

    Black is the background; otherwise the colour along the border is.
    """
    dark = [max(colour.rgb) <= _DARK for colour in (one, other)]
    if dark[0] != dark[1]:
        return (one, other, False) if dark[0] else (other, one, False)
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    border = to_unit(np.concatenate(edges))[None]
    share = float((mixture(border, one, other) < 0.5).mean())
    if share >= _BORDER:
        return one, other, True
    return (other, one, True) if share <= 1 - _BORDER else None


def mixture(pixels: np.ndarray, none: Colour, full: Colour) -> np.ndarray:
    """(H, W) float32: the share of the second colour in each pixel, 0 to 1."""
    start = np.array(none.rgb, np.float32)
    step = np.array(full.rgb, np.float32) - start
    step /= step @ step
    return np.concatenate([(to_unit(rows) - start) @ step for rows in strips(pixels)]).clip(0, 1)


def are_flat(colours: list[Colour]) -> bool:
    """Whether these are the flat colours of a label map, without much else."""
    return (
        2 <= len(colours) <= MOST
        and all(colour.exact >= _EXACT for colour in colours)
        and sum(colour.share for colour in colours) >= _LABELLED
    )


def colour_labels(pixels: np.ndarray) -> np.ndarray:
    """(H, W) int32 0xrrggbb of (H, W, 3) pixels."""
    found = []
    for rows in strips(pixels):
        red, green, blue = np.moveaxis(_eight_bits(rows).astype(np.int32), 2, 0)
        found.append(red << 16 | green << 8 | blue)
    return np.concatenate(found)


def painted_trimap(pixels: np.ndarray, colours: list[Colour]) -> np.ndarray | None:
    """(H, W) float32 0, 0.5, 1 of a trimap in black, white and one colour; None for others."""
    if not (are_flat(colours) and len(colours) == 3):
        return None
    black = [colour for colour in colours if max(colour.rgb) <= _DARK]
    white = [colour for colour in colours if min(colour.rgb) >= _BRIGHT]
    if len(black) != 1 or len(white) != 1:
        return None
    trimap = np.full(pixels.shape[:2], 0.5, np.float32)
    for rows, line in zip(strips(pixels), strips(trimap), strict=True):
        unit = to_unit(rows)
        line[unit.max(axis=2) <= _DARK] = 0
        line[unit.min(axis=2) >= _BRIGHT] = 1
    return trimap


def _eight_bits(rows: np.ndarray) -> np.ndarray:
    return rows if rows.dtype == np.uint8 else np.rint(to_unit(rows) * 255).astype(np.uint8)
