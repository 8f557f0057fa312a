"""The grid that a mask was computed on, if somebody enlarged it since.

Networks answer at 256 to 2048 pixels, and most programs hand their answer on at the photo's size.
Its unsure width is a pixel of its own grid, so that grid is looked for, along each axis by itself:
a row that was interpolated from n values is a mixture of n kernels, and fits one exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

SIDES = (
    *(128, 160, 192, 224, 256, 288, 320, 336, 352, 384, 400, 416, 448, 480, 504, 512, 518, 560),
    *(576, 600, 640, 672, 720, 768, 800, 840, 896, 960, 1008, 1024, 1080, 1120, 1152, 1280, 1344),
    *(1440, 1536, 1600, 1792, 1920, 2048),
)
"""Sides in pixels that networks answer at: squares, or the longer or shorter side of a photo."""

FINEST = 0.8
"""Largest share of a side that a coarser grid may have; of a finer one there is nothing to tell."""

NOISE = 0.006
"""Greatest root mean square of what does not fit: steps of 8 bits, and what clipping hides."""

DIP = 0.4
"""Greatest share of it that the right grid has of those next to it. A smooth mask fits them all."""

WORST, WORST_CLIPPED = 0.015, 0.09
"""Largest difference that a pixel may have from what its grid makes of it; the second where
values were clipped."""

_LINES = 24  # that are looked at
_ACTIVE = 200  # least number of soft pixels in them
_SOFT = 0.02
_TELLING = 0.0015  # where less is left over next to the right grid, a mask is merely smooth
_HOPELESS = 10.0  # with the most freedom, not much of an enlarged mask is left over
_CLIPPED, _SATURATED = 1e-6, 0.01
_ROUNDS = 12  # of finding what was clipped
_RIDGE = 1e-5
_BLOCK = 512  # lines that are reduced at a time


@dataclass(frozen=True)
class _Kernel:
    """A way to interpolate.

    reach: coarse pixels to either side.
    weight: by distance.
    logits: what was interpolated is logits, of which a sigmoid was taken afterwards.
    """

    reach: int
    weight: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    logits: bool = False

    @property
    def clips(self) -> bool:
        """Whether values are lost at 0 and 1: beyond them, or of logits rounded to them."""
        return self.logits or self.reach > 1


def _cubic(a: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def weight(x: NDArray[np.float64]) -> NDArray[np.float64]:
        x = np.abs(x)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0.0))

    return weight


def _linear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(0.0, 1 - np.abs(x))


_KERNELS = (
    _Kernel(1, _linear),
    _Kernel(2, _cubic(-0.5)),  # Pillow's
    _Kernel(2, _cubic(-0.75)),  # torch's and OpenCV's
    _Kernel(3, lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)),
    _Kernel(1, _linear, logits=True),
)


def own_grid(values: Plane) -> Plane:
    """A mask (H, W) in [0, 1] on the grid that it was computed on, or itself."""
    down, across, longer = _telling_lines(values), _telling_lines(values.T), max(values.shape)
    for kernel in _KERNELS:
        columns = _grid_along(down, longer, kernel)
        rows = None if columns is None else _grid_along(across, longer, kernel)
        if columns is not None and rows is not None:
            found = np.ascontiguousarray(rows.reduced(columns.reduced(values).T).T)
            allowed = WORST_CLIPPED if kernel.clips else WORST
            rebuilt = rows.enlarged(columns.enlarged(found).T).T
            if _worst(values, rebuilt, found.shape) <= allowed:
                return found
    return values


def _worst(values: Plane, rebuilt: Plane, grid: tuple[int, ...]) -> float:
    """The largest difference of two masks that have this grid, but along the border."""
    inner = tuple(
        slice(_border(fine, coarse), fine - _border(fine, coarse))
        for fine, coarse in zip(values.shape, grid, strict=True)
    )
    return float(np.abs(values[inner] - rebuilt[inner]).max())


def _border(fine: int, coarse: int) -> int:
    """Pixels along the border, where programs interpolate differently."""
    return math.ceil(3 * fine / coarse)


@dataclass(frozen=True)
class _Grid:
    """Of the first axis of a mask, a coarser grid and the way it was interpolated.

    matrix: (H, h), which makes fine values of coarse ones.
    solve: what makes coarse values (h, n) of matrix.T @ fine.
    """

    matrix: Any
    solve: Callable[[Any], Any]
    kernel: _Kernel

    def fit(self, lines: Plane, rounds: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The coarse values (h, n) that explain the lines (H, n) best, and what they make of them.

        Where an interpolation went beyond [0, 1] it was clipped; it may have been whatever fits.
        """
        logits = self.kernel.logits
        margin = _SATURATED if logits else _CLIPPED
        low, high = lines <= margin, lines >= 1 - margin
        known = lines.astype(np.float64)
        if logits:
            known = known.clip(margin, 1 - margin)
            known = np.log(known / (1 - known))
        wanted = known
        for _ in range(rounds if self.kernel.clips else 1):
            coarse = self.solve(self.matrix.T @ wanted)
            fitted = self.matrix @ coarse
            beyond = (low & (fitted < known)) | (high & (fitted > known))
            wanted = np.where(beyond, fitted, known)
        if logits:
            coarse, fitted = 1 / (1 + np.exp(-coarse)), 1 / (1 + np.exp(-fitted))
        return coarse, fitted

    def enlarged(self, coarse: Plane) -> Plane:
        """(H, W) float32 of (h, W)."""
        if self.kernel.logits:
            inner = coarse.clip(_SATURATED / 2, 1 - _SATURATED / 2)
            fine = self.matrix @ np.log(inner / (1 - inner))
            return np.asarray(1 / (1 + np.exp(-fine)), np.float32)
        return np.asarray((self.matrix @ coarse).clip(0, 1), np.float32)

    def reduced(self, values: Plane) -> Plane:
        """(h, W) float32 of (H, W)."""
        parts = [
            self.fit(values[:, start : start + _BLOCK], 4)[0]
            for start in range(0, values.shape[1], _BLOCK)
        ]
        return np.concatenate(parts, axis=1).clip(0, 1).astype(np.float32)


def _grid_along(lines: Plane, longer: int, kernel: _Kernel) -> _Grid | None:
    """The coarser grid along the first axis of some lines, if there is one.

    longer: the mask's longer side in pixels.
    """
    fine = len(lines)
    sides = {round(side * fine / longer) for side in SIDES} | {*SIDES}
    sides |= {round(fine / share) for share in (2, 3, 4)}
    possible = sorted(side for side in sides if SIDES[0] <= side <= FINEST * fine)
    if not possible or _misfit(lines, possible[-1], kernel) > _HOPELESS * NOISE:
        return None
    for side in possible:
        off = _misfit(lines, side, kernel)
        if off > NOISE:
            continue
        beside = min(_misfit(lines, round(side * near), kernel) for near in (0.95, 1.04))
        if beside <= _TELLING:
            return None
        if off < DIP * beside:
            return _made(fine, side, kernel)
    return None


def _telling_lines(values: Plane) -> Plane:
    """Those along the first axis with the most soft pixels, spread over the mask."""
    soft = np.count_nonzero(_is_soft(values), axis=0)
    best = np.argsort(-soft, kind="stable")[: 4 * _LINES]
    best = best[soft[best] > 0]
    return values[:, best[np.linspace(0, len(best) - 1, min(_LINES, len(best))).astype(int)]]


def _misfit(lines: Plane, side: int, kernel: _Kernel) -> float:
    """The root mean square of what does not fit of the soft pixels; infinite if there are few."""
    soft = _is_soft(lines)
    border = _border(len(lines), side)
    soft[:border] = soft[-border:] = False
    if np.count_nonzero(soft) < _ACTIVE:
        return math.inf
    _, fitted = _made(len(lines), side, kernel).fit(lines, _ROUNDS)
    return float(np.sqrt(np.mean((fitted.clip(0, 1) - lines)[soft] ** 2)))


def _is_soft(values: Plane) -> NDArray[np.bool_]:
    return (values > _SOFT) & (values < 1 - _SOFT)


def _made(fine: int, coarse: int, kernel: _Kernel) -> _Grid:
    from scipy import sparse
    from scipy.sparse.linalg import splu

    places = (np.arange(fine) + 0.5) * coarse / fine - 0.5
    columns = np.floor(places).astype(int)[:, None] + np.arange(1 - kernel.reach, kernel.reach + 1)
    weights = kernel.weight(places[:, None] - columns)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(fine), columns.shape[1])
    entries = (weights.ravel(), (rows, columns.clip(0, coarse - 1).ravel()))
    matrix = sparse.csr_matrix(entries, shape=(fine, coarse))
    squared = (matrix.T @ matrix + _RIDGE * sparse.identity(coarse)).tocsc()
    return _Grid(matrix, splu(squared).solve, kernel)
