"""The pieces of a picture that the decoder works on, and what each stage needs for one.

A decoded pixel depends on 31 pixels around it, but most of the decoder's work has a much smaller
context: the last fusion sees two pixels around, the one before it two pixels of half the
resolution, and so on. So every stage computes just what the next one needs, and small pieces cost
little more than large ones: they can follow the unknown region closely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from .config import HEAD_CHANS, NetworkConfig

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels."""
Span = tuple[int, int]
"""(first, last + 1) along one axis."""

LARGEST = 512
"""Side in pixels up to which pieces are decoded together if no tile is given."""
OFFICIAL_TILE, OFFICIAL_OVERLAP = 512, 64
"""Side of the official code's patches in pixels, and how far they reach into the next."""
SMALLEST = 3
"""Tokens along the longer side of a piece that is not cut further."""
LAUNCH = {"cpu": 1e8}
"""Multiplications that take as long as starting one piece, by device type."""
LAUNCH_ELSEWHERE = 2e10
CONTEXT = 31
"""Pixels of the network input around a decoded pixel that it depends on, with four stages."""


@dataclass(frozen=True)
class Spans:
    """The part of every stage that a piece needs, along one axis."""

    inputs: Span
    """Of the network input, in pixels."""
    details: tuple[Span, ...]
    """Of the detail stream at 1/2, 1/4 and 1/8, in pixels there."""
    fused: tuple[Span, ...]
    """Of the fusions' results at full resolution, 1/2, 1/4 and 1/8."""
    seen: tuple[Span, ...]
    """Inputs of those fusions' convolutions: the same with a pixel around."""
    features: Span
    """Of the encoder's features, in tokens."""


@lru_cache(maxsize=4096)
def spans(low: int, high: int, size: int, stages: int) -> Spans:
    """What the alpha of the pixels [low, high) of `size` needs, with `stages` fusions."""
    fused, seen = [_grown(low, high, size)], []
    for stage in range(stages):
        around = _grown(*fused[-1], size >> stage)
        seen.append(around)
        # Bilinear doubling mixes pixel p from pixels (p - 1) // 2 and (p + 1) // 2.
        fused.append((max(0, (around[0] - 1) // 2), min(size >> (stage + 1), around[1] // 2 + 1)))
    details: list[Span] = []
    at = seen[-1]
    for _ in range(stages - 1):
        details.append(at)
        at = (max(0, 2 * at[0] - 1), 2 * at[1])  # a 3×3 convolution of stride 2
    return Spans(at, tuple(reversed(details)), tuple(fused[:-1]), tuple(seen), fused[-1])


def _grown(low: int, high: int, size: int) -> Span:
    return max(0, low - 1), min(size, high + 1)


def boxes(
    wanted: NDArray[np.bool_], config: NetworkConfig, tile: int | None, device: str
) -> list[Box]:
    """Pieces that closely cover the wanted tokens (h, w), on token boundaries.

    Args:
        wanted: the tokens to decode.
        config: the network's shape.
        tile: longest side of a piece in pixels, a multiple of 16; None sets no limit.
        device: the device type; where starting a piece is expensive, pieces are larger.
    """
    step = config.patch_size
    height, width = wanted.shape
    limit = max(height, width) if tile is None else tile // step
    launch = LAUNCH.get(device, LAUNCH_ELSEWHERE)

    def cost(h: int, w: int) -> float:
        return launch + work(config, h * step, w * step)

    found = [
        (*rows, *columns)
        for top, left, low, right in _split(wanted, (0, 0, height, width), limit, cost)[1]
        for rows in [_even(top, low, min(height, limit), height)]
        for columns in [_even(left, right, min(width, limit), width)]
    ]
    return [(top * step, left * step, low * step, right * step) for top, low, left, right in found]


def _even(low: int, high: int, most: int, size: int) -> Span:
    """The span, one longer if its length is odd and below `most`: kernels are compiled and cached
    for every shape, so there should be few."""
    if (high - low) % 2 == 0 or high - low >= most:
        return low, high
    return (low, high + 1) if high < size else (low - 1, high)


def _split(
    wanted: NDArray[np.bool_], box: Box, limit: int, cost: Callable[[int, int], float]
) -> tuple[float, list[Box]]:
    """The cheapest cover found for the wanted tokens in a box: (cost, boxes), in tokens."""
    top, left, bottom, right = box
    part = wanted[top:bottom, left:right]
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    if not len(rows):
        return 0.0, []
    top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
    left, right = left + int(columns[0]), left + int(columns[-1]) + 1
    h, w = bottom - top, right - left
    whole = cost(h, w) if max(h, w) <= limit else np.inf
    if max(h, w) <= min(SMALLEST, limit) or (
        np.isfinite(whole) and wanted[top:bottom, left:right].all()
    ):
        return whole, [(top, left, bottom, right)]
    if h >= w:
        middle = top + -(-h // 2)
        halves = (top, left, middle, right), (middle, left, bottom, right)
    else:
        middle = left + -(-w // 2)
        halves = (top, left, bottom, middle), (top, middle, bottom, right)
    (cost_a, a), (cost_b, b) = (_split(wanted, half, limit, cost) for half in halves)
    if cost_a + cost_b < whole:
        return cost_a + cost_b, a + b
    return whole, [(top, left, bottom, right)]


def groups(pieces: list[Box], size: tuple[int, int], stages: int, side: int) -> Iterator[list[Box]]:
    """Boxes to decode together: alike in every stage, and with their context no larger than a
    square piece of `side` pixels with its own."""

    def key(box: Box) -> tuple[tuple[int, ...], tuple[int, ...]]:
        top, left, bottom, right = box
        return _likeness(top, bottom, size[0], stages), _likeness(left, right, size[1], stages)

    ordered = sorted(pieces, key=key)
    for _, same in groupby(ordered, key=key):
        alike = list(same)
        top, left, bottom, right = alike[0]
        area = (bottom - top + 2 * CONTEXT) * (right - left + 2 * CONTEXT)
        at_once = max(1, (side + 2 * CONTEXT) ** 2 // area)
        for start in range(0, len(alike), at_once):
            yield alike[start : start + at_once]


def _likeness(low: int, high: int, size: int, stages: int) -> tuple[int, ...]:
    """What two pieces must have in common along an axis to be decoded as a batch: their position
    relative to what each stage computes, and the borders of the picture that they reach."""
    s = spans(low, high, size, stages)
    at_border = [
        int(span[0] == 0) + 2 * int(span[1] == size >> i) for i, span in enumerate(s.fused)
    ]
    steps = ((s.inputs, 0), (s.features, stages), *((d, i + 1) for i, d in enumerate(s.details)))
    relative = [(span[0] << i) - low for span, i in steps]
    relative += [span[1] - span[0] for span, _ in steps]
    for i, span in enumerate(s.fused):
        relative += [(span[0] << i) - low, span[1] - span[0]]
    return (high - low, *relative, *at_border)


@lru_cache(maxsize=4096)
def work(config: NetworkConfig, height: int, width: int) -> float:
    """Multiplications of a piece of this size in the middle of a large picture."""
    stages = len(config.fusion_chans)
    far = 2**16  # from every border
    rows, columns = (spans(far, far + side, 2 * far, stages) for side in (height, width))

    def area(rows: Span, columns: Span) -> int:
        return (rows[1] - rows[0]) * (columns[1] - columns[0])

    macs = 0
    fine = (config.in_chans, *config.detail_chans)
    for i, chans in enumerate(config.detail_chans):
        macs += 9 * fine[i] * chans * area(rows.details[i], columns.details[i])
    coarse = (config.embed_dim, *config.fusion_chans)
    for i, chans in enumerate(config.fusion_chans):
        stage = stages - 1 - i
        both = coarse[i] + fine[stage]
        macs += 9 * both * chans * area(rows.fused[stage], columns.fused[stage])
    return macs + (9 * coarse[-1] + 1) * HEAD_CHANS * height * width
