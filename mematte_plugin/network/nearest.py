"""The nearest known cell of every cell of a grid, exactly, on any device.

In two passes, as in exact distance transforms (Felzenszwalb & Huttenlocher 2012): the nearest known
row within each column, then the best of all columns along each row. The second pass looks at every
column, which a GPU does at once; for large grids on a CPU, OpenCV is faster.
"""

from __future__ import annotations

import torch
from torch import Tensor

_AT_ONCE = 1 << 27
"""Distances held at a time."""


def nearest_known(known: Tensor) -> tuple[Tensor, Tensor]:
    """Where the nearest True cell is, by Euclidean distance; of several, any.

    Args:
        known: bool (B, h, w).

    Returns: its flat index, int64 (B, h, w), and the distance to it in cells, float32 (B, h, w);
    0 and infinity where a grid has no True cell.
    """
    B, h, w = known.shape
    far = 4 * (h + w)  # farther than any cell; small enough for exact squares in float32
    row = torch.arange(h, device=known.device).view(1, h, 1)
    above = torch.where(known, row, -far).cummax(1).values
    below = torch.where(known, row, far).flip(1).cummin(1).values.flip(1)
    nearest_row = torch.where(row - above <= below - row, above, below)  # (B, h, w)
    drop = (nearest_row - row).abs().clamp(max=far).float() ** 2

    column = torch.arange(w, device=known.device)
    across = (column[:, None] - column[None, :]).float() ** 2  # (w, w'): from w to w'
    step = max(1, _AT_ONCE // max(1, B * w * w))
    squares, columns = [], []
    for top in range(0, h, step):
        total = drop[:, top : top + step, None, :] + across  # (B, rows, w, w')
        best = total.min(3)
        squares.append(best.values)
        columns.append(best.indices)
    square, where = torch.cat(squares, 1), torch.cat(columns, 1)
    index = nearest_row.gather(2, where) * w + where
    present = known.flatten(1).any(1).view(B, 1, 1)
    return (
        torch.where(present, index, 0),
        torch.where(present, square.sqrt(), torch.inf),
    )
