"""Working through a token map a few rows at a time, so that only a strip of intermediates lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def strips(height: int, rows: int | None) -> Iterator[tuple[int, int]]:
    """(top, bottom) of consecutive strips of `rows` rows; one strip where rows is None."""
    step = height if rows is None else max(1, rows)
    for top in range(0, height, step):
        yield top, min(top + step, height)


def map_rows(
    function: Callable[[Tensor], Tensor], x: Tensor, rows: int | None, *, halo: int = 0
) -> Tensor:
    """function(x) computed strip by strip, exactly.

    Args:
        function: maps (B, r, w, C) to (B, r, w, C'), each output row depending on at most `halo`
            input rows above and below, with zero padding at the edges of what it is given.
        x: (B, h, w, C).
        rows: rows of a strip, None for all at once.
        halo: rows of context.

    Returns: (B, h, w, C'), a new tensor.
    """
    h = x.shape[1]
    if rows is None or rows >= h:
        return function(x)
    out: Tensor | None = None
    for top, bottom in strips(h, rows):
        above, below = min(halo, top), min(halo, h - bottom)
        part = function(x[:, top - above : bottom + below])
        part = part[:, above : part.shape[1] - below]
        if out is None:
            out = part.new_empty(part.shape[0], h, *part.shape[2:])
        out[:, top:bottom] = part
    assert out is not None  # a token map has at least one row
    return out


def add_rows(function: Callable[[Tensor], Tensor], x: Tensor, rows: int | None) -> Tensor:
    """x + function(x) for a function without context, in place where no gradient is recorded."""
    if torch.is_grad_enabled():
        return x + function(x)
    for top, bottom in strips(x.shape[1], rows):
        x[:, top:bottom] += function(x[:, top:bottom])
    return x


def sum_dtype(x: Tensor) -> torch.dtype:
    """What sums over all tokens are taken in: the mean must not depend on the strips' order.

    float64, or float32 where the backend has no float64 (Apple's MPS).
    """
    return torch.float32 if x.device.type == "mps" else torch.float64
