"""Tiles of a picture with margins, for what looks at a pixel's neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Box: TypeAlias = tuple[slice, slice]
"""Rows and columns."""


def tiles(shape: tuple[int, ...], side: int, margin: int) -> Iterator[tuple[Box, Box]]:
    """Each tile of a picture (H, W), and the same box widened by `margin` within the picture."""
    height, width = shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            tile = slice(top, min(top + side, height)), slice(left, min(left + side, width))
            yield tile, widened(tile, shape, margin)


def widened(box: Box, shape: tuple[int, ...], margin: int) -> Box:
    """A box with `margin` more pixels on every side, as far as the picture (H, W) reaches."""
    rows, columns = (
        slice(max(0, at.start - margin), min(length, at.stop + margin))
        for at, length in zip(box, shape, strict=True)
    )
    return rows, columns


def within(box: Box, outer: Box) -> Box:
    """The box as rows and columns of a box around it."""
    rows, columns = (
        slice(at.start - around.start, at.stop - around.start)
        for at, around in zip(box, outer, strict=True)
    )
    return rows, columns
