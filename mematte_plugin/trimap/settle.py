"""A matte and the soft mask that its trimap came from, settled: each where it knows better.

A matting network sees the photo's edges but guesses where colours are alike. A mask knows the
subject but only coarsely, and nothing in it says whether its greys are opacity or doubt. So both
are compared at the mask's own sharpness. Where they agree along the edge, the greys are opacity,
and the matte is corrected until, made as coarse as the mask, it looks like it (back-projection, as
in super-resolution: Irani and Peleg 1991). A mask that fits better once it is moved, eroded or
dilated is wrong by that much and corrects nothing; the band is then laid again, around the matte.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .soft import Plane, SoftMask, resized

DOUBT = 0.25
"""Share of the correction by a mask whose edge is right but whose greys are not opacity."""

CUT_OFF, HOLLOW = 0.03, 0.025
"""Share of the band's outer rim that is not transparent, and of its inner rim that is not opaque,
from which the band was too narrow."""

_TRUSTED = 0.9  # a mask that is trusted this much corrects more than another band would

_TILE, _TILES = 256, 24  # pixels a side, and number, of the pieces that are compared
_SIZE = 500  # of the subject in pixels, at most, where moved masks are looked for
_MOVES = (0.0075, 0.01, 0.015, 0.02)  # how far masks are moved, in shares of the subject's size
_LEAST_MOVE = 3  # pixels: less lies within the matte's own errors
_BETTER = 0.86  # a moved mask fits better with less than this share of the error
_LARGE = 0.3  # differences from here on are failures of one of both and count no more
_ROUNDS = 5
_NOISE = 0.02  # differences up to here are noise of a mask

Tile = tuple[Plane, Plane, NDArray[np.bool_]]
"""Matte and mask at the same sharpness, and where it is unknown."""


@dataclass(frozen=True, eq=False)
class Settled:
    """What comes of a matte and a mask.

    alpha: (H, W) float32 in [0, 1]; where the trimap knew, as before.
    again: the mask was wrong, or the band too narrow: a band around this alpha gives a better one.
    """

    alpha: Plane
    again: bool


def settle(alpha: Plane, trimap: NDArray[np.float32], soft: SoftMask) -> Settled:
    """The matte of a trimap that came from a soft mask, settled with that mask.

    alpha: (H, W) float32 in [0, 1].
    trimap: (H, W), exactly 0, 0.5 and 1.
    """
    unknown = trimap == 0.5
    mask = soft.values
    shape = (min(mask.shape[0], alpha.shape[0]), min(mask.shape[1], alpha.shape[1]))
    mask = resized(mask, shape)
    alpha = _supported(alpha, unknown, soft)
    coarse, band = resized(alpha, shape), resized(unknown.astype(np.float32), shape) > 0
    if _is_moved(coarse, mask, band):
        return Settled(alpha, True)
    trust, blur = _trust(_tiles(coarse, mask, band))
    again = trust < _TRUSTED and _is_too_narrow(alpha, trimap)
    return Settled(_projected(alpha, unknown, mask, trust, blur), again)


# ---- how far the mask is right -------------------------------------------------------------------


def _is_moved(coarse: Plane, mask: Plane, band: NDArray[np.bool_]) -> bool:
    """Whether the mask fits the matte clearly better when it is moved, eroded or dilated."""
    side = math.sqrt(max(1, int(np.count_nonzero(mask >= 0.5))))
    if side > _SIZE:
        scale = _SIZE / side
        shape = (max(1, round(mask.shape[0] * scale)), max(1, round(mask.shape[1] * scale)))
        coarse, mask = resized(coarse, shape), resized(mask, shape)
        band, side = resized(band.astype(np.float32), shape) > 0, _SIZE
    most = 2 * max(_LEAST_MOVE, round(_MOVES[-1] * side))
    rows, columns = np.flatnonzero(band.any(axis=1)), np.flatnonzero(band.any(axis=0))
    if not rows.size:
        return False
    box = np.s_[
        max(0, rows[0] - most) : rows[-1] + most + 1,
        max(0, columns[0] - most) : columns[-1] + most + 1,
    ]
    coarse, mask, band = coarse[box], mask[box], band[box]
    blur = _blur_of([(coarse, mask, band)])
    tile = _blurred(coarse, blur), mask, band
    plain = best = _misfit([tile])
    for by in sorted({max(_LEAST_MOVE, round(share * side)) for share in _MOVES}):
        for moved in _moves(mask, by):
            best = min(best, _misfit([(tile[0], moved, band)]))
    return best < _BETTER * plain


def _moves(mask: Plane, by: int) -> list[Plane]:
    """The mask eroded, dilated, and moved into eight directions by some pixels."""
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    height, width = mask.shape
    wide = cv2.copyMakeBorder(mask, by, by, by, by, cv2.BORDER_REPLICATE)
    moved = [
        wide[down : down + height, along : along + width]
        for down in (0, by, 2 * by)
        for along in (0, by, 2 * by)
        if (down, along) != (by, by)
    ]
    return [
        np.asarray(one, np.float32)
        for one in (cv2.erode(mask, disc), cv2.dilate(mask, disc), *moved)
    ]


def _trust(tiles: list[Tile]) -> tuple[float, float]:
    """How far the mask's greys are opacity, 0 to 1, and how far it is blurred, in its pixels."""
    if not tiles:
        return 0.0, 0.0
    blur = _blur_of(tiles)
    ours = np.concatenate([_blurred(tile[0], blur)[tile[2]] for tile in tiles])
    theirs = np.concatenate([tile[1][tile[2]] for tile in tiles])
    active = _is_grey(ours, 0.05) | _is_grey(theirs, 0.05)
    if not active.any():
        return 0.0, blur
    off = float(np.quantile(np.abs(ours - theirs)[active], 0.25))
    softer = int(np.count_nonzero(_is_grey(ours, 0.1)))
    softness = int(np.count_nonzero(_is_grey(theirs, 0.1))) / max(1, softer)
    agreed = min(1.0, max(0.0, (0.09 - off) / 0.02))
    greys = agreed * min(1.0, max(0.0, (softness - 0.45) / 0.25))
    return DOUBT + (1 - DOUBT) * greys, blur


def _is_grey(values: Plane, margin: float) -> NDArray[np.bool_]:
    return (values > margin) & (values < 1 - margin)


def _is_too_narrow(alpha: Plane, trimap: NDArray[np.float32]) -> bool:
    """Whether the matte reaches the band's rims: hair goes on beyond, or a hole within."""
    import cv2

    kernel = np.ones((5, 5), np.uint8)
    unknown = trimap == 0.5
    shares = []
    for known, most in ((0, CUT_OFF), (1, HOLLOW)):
        side = (trimap == known).view(np.uint8)
        values = alpha[(cv2.dilate(side, kernel) > 0) & unknown]
        reaching = int(np.count_nonzero(np.abs(values - known) > 0.2))
        shares.append(reaching / max(1, values.size) > most)
    return any(shares)


def _tiles(coarse: Plane, mask: Plane, band: NDArray[np.bool_]) -> list[Tile]:
    """Pieces all over the picture that hold unknown pixels; all of a small one."""
    height, width = mask.shape
    if height * width <= _TILES * _TILE * _TILE:
        return [(coarse, mask, band)] if band.any() else []
    boxes = [
        np.s_[top : top + _TILE, left : left + _TILE]
        for top in range(0, height, _TILE)
        for left in range(0, width, _TILE)
    ]
    boxes = [box for box in boxes if band[box].any()]
    if len(boxes) > _TILES:
        picked = np.linspace(0, len(boxes) - 1, _TILES).round().astype(int)
        boxes = [boxes[i] for i in picked]
    return [(coarse[box], mask[box], band[box]) for box in boxes]


def _misfit(tiles: list[Tile], blur: float = 0.0) -> float:
    """The mean difference of matte and mask where it is unknown, after blurring the matte."""
    total = count = 0.0
    for ours, theirs, band in tiles:
        off = np.abs(_blurred(ours, blur) - theirs)
        total += float(np.minimum(off, _LARGE, out=off)[band].sum())
        count += np.count_nonzero(band)
    return total / max(1.0, count)


# ---- blur ----------------------------------------------------------------------------------------


def _blur_of(tiles: list[Tile]) -> float:
    """The Gaussian that makes the matte as soft as the mask: its standard deviation, 0 if none.

    The matte's own softness must not count, so it is no wider than the mask's steepest edges allow.
    """
    most = _most_blur(tiles)
    tried, blur = [0.0], 1.0
    while blur <= most:
        tried.append(blur)
        blur *= 1.15
    best = min(tried, key=lambda one: _misfit(tiles, one))
    if best:
        best = min(
            (best * (1 + step / 100) for step in range(-9, 10, 3)),
            key=lambda one: _misfit(tiles, one),
        )
    return best


def _most_blur(tiles: list[Tile]) -> float:
    import cv2

    slopes = []
    for _, mask, _ in tiles:
        along = [
            cv2.Sobel(mask, cv2.CV_32F, *axes, ksize=3, scale=1 / 8) for axes in ((1, 0), (0, 1))
        ]
        slopes.append(np.hypot(*along)[_is_grey(mask, 0.15)])
    slope = np.concatenate(slopes)
    if not slope.size:
        return 0.0
    width = 1 / (math.sqrt(2 * math.pi) * max(float(np.quantile(slope, 0.9)), 1e-3))
    return math.sqrt(max(0.0, width * width - 1))  # a sharp edge itself is a pixel wide


def _blurred(values: Plane, blur: float) -> Plane:
    import cv2

    return np.asarray(cv2.GaussianBlur(values, (0, 0), blur)) if blur > 0 else values


# ---- correcting the matte ------------------------------------------------------------------------


def _supported(alpha: Plane, unknown: NDArray[np.bool_], soft: SoftMask) -> Plane:
    """Not transparent where a grey mask is nearly opaque all around, as in a flag at 0.95.

    A displaced mask still knows that.
    """
    import cv2

    mask, scale = soft.working()
    by = max(1, round(0.015 * math.sqrt(np.count_nonzero(mask >= 0.5)) + soft.pixel / scale))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    least = np.asarray(cv2.erode(mask, disc), np.float32)
    least *= ((least - 0.6) / 0.3).clip(0, 1)
    least[~_is_grey(mask, _NOISE)] = 0
    least = resized(least, alpha.shape)
    return np.where(unknown, np.maximum(alpha, least), alpha)


def _projected(
    alpha: Plane, unknown: NDArray[np.bool_], mask: Plane, trust: float, blur: float
) -> Plane:
    """The alpha, corrected by a share `trust` of what it differs from the mask when as coarse."""
    if trust <= 0:
        return alpha
    shape = mask.shape
    first = _blurred(resized(alpha, shape), blur)
    off = mask - first
    if blur > 0:  # its width is known to a few per cent only
        off -= off.clip(-_NOISE, _NOISE)
    elif shape == alpha.shape:
        off -= 0.5 * off.clip(-_NOISE, _NOISE)
    goal = first + trust * off
    result = alpha.copy()
    for _ in range(_ROUNDS):
        gap = goal - _blurred(resized(result, shape), blur)
        if blur > 0:  # corrected is rather what is undecided
            weight = np.float32(4) * result * (1 - result) + np.float32(0.1)
            weight[~unknown] = 0
            gap /= np.maximum(_blurred(resized(weight, shape), blur), 0.05)
            step = resized(gap, alpha.shape) * weight
        else:
            step = resized(gap, alpha.shape)
        result[unknown] += step[unknown]
        result.clip(0, 1, out=result)
    return result
