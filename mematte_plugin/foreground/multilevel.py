"""Multi-level foreground estimation (Germer, Uelwer, Conrad, Harmeling: ICPR 2020) in torch.

Written after the paper, https://arxiv.org/abs/2006.14970, with the level sizes and sweeps of its
authors' pymatting, whose colours it reproduces. Foreground F and background B minimise

    Σ |α F + (1 − α) B − I|² + Σ over neighbours (ε + |Δα|) · (|ΔF|² + |ΔB|²)

level by level, from one pixel up to the full size; each level starts from the previous one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

SMOOTHNESS = 1e-5
"""ε: keeps colours equal where alpha does not change."""

SMALL = 32
"""Longest side of a small level in pixels: more sweeps cost next to nothing there."""

SMALL_SWEEPS, LARGE_SWEEPS = 10, 2
"""How often each pixel of a level is solved for."""

INNER = 3
"""Steps of a sweep. See `_sweep`."""

SURE = 0.9
"""Pixels with a larger alpha make up the foreground's mean colour; the background's likewise."""

STRIP_PIXELS = 1 << 16
"""Pixels that are solved at a time: few enough for a CPU's cache. The same on every device, since
the result depends on it a little."""


def foreground_colours(image: Tensor, alpha: Tensor, tick: Callable[[], None]) -> Tensor:
    """The foreground's colours (3, H, W), for every pixel, on the image's device.

    image: (3, H, W) float32 of any range; the result stays in it and [0, 1].
    alpha: (H, W) float32 in [0, 1].
    tick: called between strips; what it raises is passed on.
    """
    height, width = alpha.shape
    low, high = min(0.0, float(image.min())), max(1.0, float(image.max()))
    both = torch.cat((_mean(image, alpha), _mean(image, 1 - alpha)))[:, None, None]  # (6, 1, 1)
    steps = math.ceil(math.log2(max(height, width)))
    for step in range(1, steps + 1):
        level = _Level(image, alpha, *(round(side ** (step / steps)) for side in (height, width)))
        both = level.solved(both, low, high, tick)
    return both[:3]


def _mean(image: Tensor, weight: Tensor) -> Tensor:
    """(3,) the mean colour where the weight is high; if it nowhere is, the weighted mean."""
    sure = (weight > SURE).to(image.dtype)
    weight = sure if sure.any() else weight
    return (image * weight).sum((1, 2)) / weight.sum().clamp_min(SMOOTHNESS)


class _Level:
    """One size of the picture, of nearest pixels, as in the paper."""

    def __init__(self, image: Tensor, alpha: Tensor, height: int, width: int) -> None:
        self.size = height, width
        rows, columns = (
            _nearest(image.shape[1], height, image),
            _nearest(image.shape[2], width, image),
        )
        if (height, width) != alpha.shape:
            image = image.index_select(1, rows).index_select(2, columns)
            alpha = alpha.index_select(0, rows).index_select(1, columns)
        self.image, self.alpha = image, alpha  # (3, h, w), (h, w)
        self.strip = max(1, STRIP_PIXELS // width)

    def solved(self, coarse: Tensor, low: float, high: float, tick: Callable[[], None]) -> Tensor:
        """(6, h, w): foreground and background, from those of the previous level."""
        height, width = self.size
        # A border without weight, so that every pixel has all its neighbours.
        framed = self.image.new_zeros((6, height + 2, width + 2))
        both = framed[:, 1:-1, 1:-1]
        rows = _nearest(coarse.shape[1], height, coarse)
        columns = _nearest(coarse.shape[2], width, coarse)
        strips = [slice(top, min(top + self.strip, height)) for top in range(0, height, self.strip)]
        for strip in strips:
            both[:, strip] = coarse.index_select(1, rows[strip]).index_select(2, columns)
        for _ in range(SMALL_SWEEPS if max(self.size) <= SMALL else LARGE_SWEEPS):
            for strip in strips:
                tick()
                self._sweep(framed, strip, low, high)
        return both

    def _sweep(self, framed: Tensor, strip: slice, low: float, high: float) -> None:
        """Solve once for each pixel of these rows of the framed colours, in place.

        In Gauss-Seidel each pixel uses the new colours above and to its left and the old ones below
        and to its right, which spreads colours over a level in two sweeps, but needs a compiled
        loop. Here all pixels are solved at once, `INNER` times, each time with the previous
        result above and to the left: only colours from further away than that arrive late.
        """
        left, right, up, down, for_front, for_back = self._weights(strip)
        front, back = self.alpha[strip], 1 - self.alpha[strip]
        top, bottom = strip.start + 1, strip.stop + 1
        here = framed[:, top:bottom, 1:-1]
        before_it = framed[:, top:bottom, :-2]
        above = framed[:, top - 1 : bottom - 1, 1:-1]
        fixed = right * framed[:, top:bottom, 2:]
        fixed.addcmul_(down, framed[:, top + 1 : bottom + 1, 1:-1])
        mean, rest = torch.empty_like(fixed), torch.empty_like(self.image[:, strip])
        for _ in range(INNER):
            torch.addcmul(fixed, left, before_it, out=mean)
            mean.addcmul_(up, above)
            # The 2 × 2 system (v vᵀ + s) x = v I + s m of a pixel, with v = (α, 1 − α), the sum s
            # of its neighbours' weights and their mean m, has x = m + v (I − v·m) / (s + v·v).
            torch.addcmul(self.image[:, strip], front, mean[:3], value=-1, out=rest)
            rest.addcmul_(back, mean[3:], value=-1)
            mean[:3].addcmul_(for_front, rest)
            mean[3:].addcmul_(for_back, rest)
            torch.clamp(mean, low, high, out=here)

    def _weights(self, strip: slice) -> tuple[Tensor, ...]:
        """(rows, w) each: shares of the neighbours left, right, above and below in their mean, and
        how much of the mean's residual goes into foreground and background."""
        height, width = self.size
        top, bottom = max(0, strip.start - 1), min(height, strip.stop + 1)
        alpha = self.alpha[strip]
        weights = alpha.new_zeros((4, strip.stop - strip.start, width))
        left, right, up, down = weights
        ties = (alpha[:, 1:] - alpha[:, :-1]).abs_().add_(SMOOTHNESS)
        left[:, 1:], right[:, :-1] = ties, ties
        below = (
            (self.alpha[top + 1 : bottom] - self.alpha[top : bottom - 1]).abs_().add_(SMOOTHNESS)
        )
        first, last = int(strip.start == 0), int(strip.stop == height)
        up[first:] = below[: len(up) - first]
        down[: len(down) - last] = below[1 - first :][: len(down) - last]
        total = weights.sum(0).clamp_min_(SMOOTHNESS)
        back = 1 - alpha
        scale = (total + alpha * alpha).addcmul_(back, back).reciprocal_()
        weights /= total
        return left, right, up, down, alpha * scale, back * scale


def _nearest(old: int, new: int, like: Tensor) -> Tensor:
    """(new,) the old pixel that each new one takes."""
    return torch.arange(new, device=like.device) * old // new
