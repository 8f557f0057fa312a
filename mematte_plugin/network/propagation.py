"""First alphas, propagated from the known regions over a coarse grid, as extra input channels.

Colours that resemble each other should have resembling alphas: each unknown cell is tied to the
cells nearest to it in colour and position, and the alphas that contradict those ties least are
found by conjugate gradients. This is KNN matting (Chen, Li & Tang 2013) with Gaussian ties, on a
grid of bounded size, so that its cost does not grow with the picture. A linear model of the colours
around each cell (guided filter, He, Sun & Tang 2010) then brings the alphas up to full resolution.

There are two, from an early and a late iteration. The early one stays near 0.5 where the ties to
the known regions are weak and far away, the late one has made up its mind: on photographs with
narrow trimaps the late one is better, with wide ones the early one is, and where they differ there
is doubt. That is for the network to weigh.

It is not part of MEMatte; see guidance.py for why our own small networks have it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .guidance import Strip, pool_strips
from .rows import Tick, idle, strips

Array = NDArray[Any]

MAX_CELLS = 2**18
"""Most cells of the grid; larger pictures get larger cells."""
SMALLEST_CELL = 2
"""Side of a cell in pixels where the picture is small: one pixel would cost four times as much."""
_NEIGHBOURS = 10
_NEARNESS = (0.7, 0.1)  # weight of the position in the two searches: near neighbours, far ones
_POSITION_SCALE = 400.0  # cells per unit of position, about the width of a full grid
_LIKENESS = 0.015  # width of the Gaussian over the distance in colour and position
_LEAST_TIE = 1e-2  # so that an odd colour still hangs on to something
_TO_HALF = 1e-6  # weight of 0.5: decides only where nothing ties a cell to the known regions
_EARLY, _LATE = 60, 300  # iterations, from 0.5 everywhere
_TOLERANCE = 1e-5
_RADIUS = 2  # of the linear colour model, in cells
_RIDGE = 1e-4
_STRIP_ROWS = 64  # of cells
_QUERIES = 2**13  # cells whose neighbours are searched at a time


class PropagatedAlpha:
    """The propagated alphas of a batch, brought up to full resolution piece by piece.

    Args:
        strip: gives RGB (B, 3, r, W) float in [0, 1] and trimap (B, 1, r, W) float (0 background,
            1 foreground, anything between unknown) of the rows from the first number up to the
            second.
        size: (H, W) of the picture.
        cell: side of a grid cell in pixels; by default what keeps the grid below MAX_CELLS.
        tick: called often while the alphas are made.
    """

    def __init__(
        self,
        strip: Strip,
        size: tuple[int, int],
        cell: int | None = None,
        tick: Tick = idle,
    ) -> None:
        self.cell = cell or cell_size(*size)
        pooled = pool_strips(self._pooled, strip, size, self.cell, tick=tick)
        colours, start = pooled[:, :3], pooled[:, 3]
        alphas = torch.stack([_propagate(c, a, tick) for c, a in zip(colours, start, strict=True)])
        # One replicated cell around, so that cutting and upsampling commute at the border.
        model = _linear_model(colours, alphas, tick).flatten(1, 2)
        self.model = F.pad(model, (1, 1, 1, 1), mode="replicate")

    def _pooled(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """Mean colours and starting alphas (0, 0.5, 1) of the cells (B, 4, r / cell, w)."""
        pad = (0, -rgb.shape[3] % self.cell, 0, -rgb.shape[2] % self.cell)
        sides = torch.cat([trimap >= 1, trimap <= 0], 1).to(rgb.dtype)
        pooled = F.avg_pool2d(F.pad(torch.cat([rgb, sides], 1), pad, mode="replicate"), self.cell)
        fore, back = (pooled[:, side : side + 1] == 1 for side in (3, 4))
        start = torch.where(fore, 1.0, torch.where(back, 0.0, 0.5)).to(rgb.dtype)
        return torch.cat([pooled[:, :3], start], 1)

    def to(self, device: torch.device) -> PropagatedAlpha:
        """Itself, its maps moved to a device."""
        self.model = self.model.to(device)
        return self

    def crop(self, rgb: Tensor, top: int, left: int) -> Tensor:
        """Early and late alpha (B, 2, r, c) in [0, 1] for the piece `rgb` (B, 3, r, c) that starts
        at (top, left); 0.5 throughout an image where either known region does not exist."""
        r, c = rgb.shape[2:]
        first_row, first_col = top // self.cell, left // self.cell
        last_row, last_col = (top + r - 1) // self.cell, (left + c - 1) // self.cell
        cells = self.model[:, :, first_row : last_row + 3, first_col : last_col + 3]
        full = F.interpolate(cells, scale_factor=self.cell, mode="bilinear", align_corners=False)
        y = top - first_row * self.cell + self.cell
        x = left - first_col * self.cell + self.cell
        full = full[:, :, y : y + r, x : x + c].reshape(-1, 2, 4, r, c)
        return ((full[:, :, :3] * rgb[:, None]).sum(2) + full[:, :, 3]).clamp(0, 1)


def cell_size(height: int, width: int) -> int:
    """Side of a grid cell for a picture of this size, in pixels."""
    return max(SMALLEST_CELL, math.ceil(math.sqrt(height * width / MAX_CELLS)))


def _propagate(colours: Tensor, start: Tensor, tick: Tick) -> Tensor:
    """Early and late alpha (2, h, w) of the cells from their colours (3, h, w) and `start` (h, w)
    of 0, 0.5 and 1."""
    if not (start == 0).any() or not (start == 1).any():
        return torch.full_like(start, 0.5).expand(2, -1, -1)
    known = start.cpu().float().numpy().ravel()
    unknown = known == 0.5
    if not unknown.any():
        return start.expand(2, -1, -1)
    features = colours.flatten(1).t().cpu().float().numpy()
    solved = np.stack([known, known])
    ties = _ties(features, unknown, start.shape[1], tick)
    solved[:, unknown] = _solve(ties, known, unknown, tick)
    return torch.from_numpy(solved).to(start).view(2, *start.shape)


def _ties(colours: Array, unknown: Array, width: int, tick: Tick) -> Any:
    """How strongly each unknown cell (row, counted among the unknown ones) and each cell (column)
    should have equal alphas: a sparse matrix."""
    from scipy.sparse import csr_array
    from scipy.spatial import cKDTree

    row, column = np.divmod(np.arange(len(colours)), width)
    position = np.stack([column, row], 1) / _POSITION_SCALE
    count = min(_NEIGHBOURS + 1, len(colours))  # a cell is its own nearest neighbour
    ties: Any = 0
    for nearness in _NEARNESS:
        tick()
        features = np.concatenate([colours, nearness * position], 1)
        tree = cKDTree(features, leafsize=32, balanced_tree=False, compact_nodes=False)
        wanted = features[unknown]
        others = np.empty((len(wanted), count - 1), np.int32)
        weights = np.empty(others.shape, features.dtype)
        for first, last in strips(len(wanted), _QUERIES, tick):
            distance, index = tree.query(
                wanted[first:last], count, workers=min(torch.get_num_threads(), 8)
            )
            others[first:last] = index[:, 1:]
            weights[first:last] = np.exp(-((distance[:, 1:] / _LIKENESS) ** 2)) + _LEAST_TIE
        ends = np.arange(0, others.size + 1, count - 1, dtype=np.int32)
        del tree, features, wanted
        ties = ties + csr_array(
            (weights.ravel(), others.ravel(), ends), shape=(len(ends) - 1, len(colours))
        )
    return ties


def _solve(ties: Any, known: Array, unknown: Array, tick: Tick) -> Array:
    """Early and late alphas (2, unknown cells) on the way to those that minimise the weighted
    squared differences over the ties."""
    outside = ties[:, ~unknown]
    anchored = outside.sum(1)
    pull = outside @ known[~unknown].astype(outside.dtype)
    del outside
    inside = ties[:, unknown]
    inside = inside + inside.T.tocsr()
    diagonal = inside.sum(1) + anchored + _TO_HALF
    right = pull + 0.5 * _TO_HALF

    # Conjugate gradients, Jacobi-preconditioned: a handful of lines. Sums instead of BLAS products,
    # whose threads cost more than they save on vectors of this length.
    alpha = np.full(len(right), 0.5, right.dtype)
    residual = right - (diagonal * alpha - inside @ alpha)
    enough = _TOLERANCE**2 * (right * right).sum()
    scaled = residual / diagonal
    direction, energy = scaled.copy(), (residual * scaled).sum()
    early = None
    for iteration in range(_LATE):
        tick()
        if iteration == _EARLY:
            early = alpha.copy()
        if (residual * residual).sum() <= enough:
            break
        image = diagonal * direction - inside @ direction
        step = energy / (direction * image).sum()
        alpha += step * direction
        residual -= step * image
        scaled = residual / diagonal
        energy, former = (residual * scaled).sum(), energy
        direction = scaled + energy / former * direction
    return np.stack([alpha if early is None else early, alpha]).clip(0, 1)


def _linear_model(colours: Tensor, alphas: Tensor, tick: Tick) -> Tensor:
    """Coefficients (B, n, 4, h, w) of alpha ≈ a · colour + b around each cell (guided filter) for n
    alphas (B, n, h, w), in strips: it needs much more than it makes."""
    h = colours.shape[2]
    halo = 2 * _RADIUS  # two boxes, one after the other
    out = colours.new_empty(*alphas.shape[:2], 4, *colours.shape[2:])
    for top, bottom in strips(h, _STRIP_ROWS, tick):
        first, last = max(0, top - halo), min(h, bottom + halo)
        part = _linear_model_of(colours[:, :, first:last], alphas[:, :, first:last])
        out[..., top:bottom, :] = part[..., top - first : bottom - first, :]
    return out


def _linear_model_of(colours: Tensor, alphas: Tensor) -> Tensor:
    mean, mean_alphas = _box(colours), _box(alphas)
    left, right = torch.triu_indices(3, 3)
    second = _box(colours[:, left] * colours[:, right]) - mean[:, left] * mean[:, right]
    covariance = second.new_empty(len(second), *second.shape[2:], 3, 3)
    for k, (i, j) in enumerate(zip(left, right, strict=True)):
        covariance[..., i, j] = covariance[..., j, i] = second[:, k]
    covariance += _RIDGE * torch.eye(3, dtype=covariance.dtype, device=covariance.device)
    # (B, h, w, 3, n): one system per cell, n right-hand sides
    across = torch.stack(
        [
            _box(colours * alphas[:, k : k + 1]) - mean * mean_alphas[:, k : k + 1]
            for k in range(alphas.shape[1])
        ],
        dim=-1,
    ).permute(0, 2, 3, 1, 4)
    slopes = torch.linalg.solve(covariance, across).permute(0, 4, 3, 1, 2)
    offsets = mean_alphas - (slopes * mean[:, None]).sum(2)
    model = torch.cat([slopes, offsets[:, :, None]], 2)
    return _box(model.flatten(0, 1)).view_as(model)


def _box(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2 * _RADIUS + 1, 1, _RADIUS, count_include_pad=False)
