"""Upsampling maps of a coarse grid along the picture's colours: the guided filter (He, Sun & Tang
2010), with linear models of the colours fitted on the grid and evaluated piece by piece."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .rows import Tick, strips

RADIUS = 2
"""Radius of the linear colour model, in cells."""
_RIDGE = 1e-4
_STRIP_ROWS = 64  # of cells


def linear_model(colours: Tensor, alphas: Tensor, tick: Tick) -> Tensor:
    """Coefficients (B, n, 4, h, w) of alpha ≈ a · colour + b around each cell, for n alphas.

    Args:
        colours: (B, 3, h, w) float32.
        alphas: (B, n, h, w) float32.
        tick: called before each strip: the intermediates are much larger than the result.
    """
    h = colours.shape[2]
    halo = 2 * RADIUS  # two boxes, one after the other
    out = colours.new_empty(*alphas.shape[:2], 4, *colours.shape[2:])
    for top, bottom in strips(h, _STRIP_ROWS, tick):
        first, last = max(0, top - halo), min(h, bottom + halo)
        part = _linear_model_of(colours[:, :, first:last], alphas[:, :, first:last])
        out[..., top:bottom, :] = part[..., top - first : bottom - first, :]
    return out


def surrounded(maps: Tensor) -> Tensor:
    """Maps (B, n, h, w) with one replicated cell around, (B, n, h + 2, w + 2), so that cutting and
    upsampling commute at the border."""
    return F.pad(maps, (1, 1, 1, 1), mode="replicate")


def upsampled(maps: Tensor, cell: int, box: tuple[int, int, int, int]) -> Tensor:
    """The pixels of `box` (top, left, bottom, right) of `surrounded` maps with cells of `cell`
    pixels a side, bilinear: (B, n, r, c)."""
    top, left, bottom, right = box
    first_row, first_col = top // cell, left // cell
    last_row, last_col = (bottom - 1) // cell, (right - 1) // cell
    cells = maps[:, :, first_row : last_row + 3, first_col : last_col + 3]
    full = F.interpolate(cells, scale_factor=cell, mode="bilinear", align_corners=False)
    y = top - first_row * cell + cell
    x = left - first_col * cell + cell
    return full[:, :, y : y + bottom - top, x : x + right - left]


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
    slopes = torch.linalg.solve_ex(covariance, across).result.permute(0, 4, 3, 1, 2)
    offsets = mean_alphas - (slopes * mean[:, None]).sum(2)
    model = torch.cat([slopes, offsets[:, :, None]], 2)
    return _box(model.flatten(0, 1)).view_as(model)


def _box(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2 * RADIUS + 1, 1, RADIUS, count_include_pad=False)
