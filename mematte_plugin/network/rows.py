"""Processing a token map a few rows at a time, so that only a strip of intermediates lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .abilities import able

Tick = Callable[[], None]
"""Called often during long work; what it raises (an interrupt) ends the work soon."""


def idle() -> None:
    """No-op tick."""


def strips(height: int, rows: int | None, tick: Tick = idle) -> Iterator[tuple[int, int]]:
    """(top, bottom) of consecutive strips of `rows` rows; one strip where rows is None.

    tick: called before each.
    """
    step = height if rows is None else max(1, rows)
    for top in range(0, height, step):
        tick()
        yield top, min(top + step, height)


def rows_in(x: Tensor, top: int, bottom: int) -> Tensor:
    """Rows of x (B, h, w, C) as a view; x itself if they are all."""
    return x if bottom - top == x.shape[1] else x[:, top:bottom]


def sliding(
    first: Callable[[Tensor], Tensor], x: Tensor, rows: int | None, halo: int, tick: Tick = idle
) -> Iterator[tuple[int, int, Tensor]]:
    """first(x) strip by strip, each row computed once, with context for a convolution after it.

    Rows that the next strip needs again are carried over, so that x may be overwritten where a
    strip has been yielded.

    Args:
        first: maps (B, r, w, C) to (B, r, w, C'), row by row.
        x: (B, h, w, C).
        rows: rows of a strip, None for all at once.
        halo: rows of context above and below; zeros beyond the map, as a convolution pads.
        tick: called before each strip.

    Yields: (top, bottom, context): first(x) of the rows top - halo to bottom + halo. The strips
        cover all rows in order.
    """
    h = x.shape[1]
    held: Tensor | None = None
    done = 0
    for top, bottom in strips(h, rows, tick):
        part = first(rows_in(x, top, bottom))
        edge = part.new_zeros(part.shape[0], halo, *part.shape[2:])
        pieces = [edge if held is None else held, part]
        if bottom == h:
            pieces.append(edge)
        held = torch.cat(pieces, dim=1)
        del part, pieces
        ready = held.shape[1] - 2 * halo
        if ready > 0:
            yield done, done + ready, held
            done += ready
            held = held[:, ready:].clone()


def sum_dtype(x: Tensor) -> torch.dtype:
    """float64 for sums over all tokens, whose mean must not depend on the strips; float32 on
    devices that may lack float64."""
    return torch.float64 if able(x.device, "float64") else torch.float32
