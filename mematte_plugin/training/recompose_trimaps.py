"""Trimaps as people make them, for a batch on the device; after data/trimaps.py."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from . import filters
from .data.trimaps import ASTRAY, CLEAR, EXACT, OPAQUE
from .filters import chance, log_uniform, noise, sometimes, uniform

USUAL, WIDEST, WIDE = 0.16, 0.3, 0.12
"""The most a band may have on either side of its edge, as shares of the crop's side: usually, and
for some; and how often for some."""
_OPENING = 10  # px; islands thinner than twice this may be brushed over
_ROUGH = 6.0  # px; the most by which a mask's outline is off
_DAB, _DABS = 20, (15, 60)  # px; about how many, in turn
_WIDENINGS = 3
_CLICKS = 28  # to a side of the crop, at most


def random_trimap(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Mark what is certain: (B, 1, S, S) of 0, 0.5 and 1 from alpha of the same shape.

    Some bands follow the soft edge: foreground only where alpha > 0.99, background only where
    alpha < 0.01, never wrong. The others are made from a mask of alpha >= 0.5. There strands may
    leave the band, at most 2% of the soft pixels.
    """
    count, size = len(alpha), alpha.shape[-1]
    share = torch.where(chance(generator, count, WIDE), WIDEST, USUAL)
    widest = (share * size).clamp_min(4)
    hand, fits = _by_hand(alpha, widest, generator)
    by_hand = fits & ~chance(generator, count, EXACT)
    trimap = torch.where(by_hand, hand, _along_the_soft_edge(alpha, widest, generator))
    # A large stretch that turns out empty or solid.
    lumps = noise(generator, count, size, (1, 4), octaves=2)
    kind = torch.where(chance(generator, count, 0.5), 1.0, 0.0)
    stretch = (lumps > uniform(generator, count, 0.45, 0.75)) & (trimap == kind)
    doubtful = _spots(alpha, generator) | (stretch & chance(generator, count, 0.08))
    return trimap.masked_fill(doubtful, 0.5)


def astray(trimap: Tensor, alpha: Tensor) -> Tensor:
    """How much of what is not certain by alpha the trimap calls certain, over the soft pixels:
    (B, 1, 1, 1)."""
    soft = ((alpha > CLEAR) & (alpha < OPAQUE)).sum((1, 2, 3), keepdim=True)
    return _wrong(trimap, alpha).sum((1, 2, 3), keepdim=True) / soft.clamp_min(1)


def _wrong(trimap: Tensor, alpha: Tensor) -> Tensor:
    """Where a trimap contradicts alpha, (B, 1, S, S) bool."""
    return ((trimap == 0) & (alpha > CLEAR)) | ((trimap == 1) & (alpha < OPAQUE))


def _farthest(alpha: Tensor) -> int:
    """How far distances have to be known, in pixels."""
    return round(WIDEST * alpha.shape[-1]) + 2


def _drawn(foreground: Tensor, background: Tensor) -> Tensor:
    """A trimap from what is certain, two (B, 1, S, S) bool."""
    return torch.where(foreground, 1.0, torch.where(background, 0.0, 0.5))


def _spots(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Up to three discs where someone was in doubt, for some samples: (B, 1, S, S) bool."""
    count, size = len(alpha), alpha.shape[-1]
    y, x = filters.places(alpha)
    spotted = chance(generator, count, 0.12)
    found = torch.zeros_like(alpha, dtype=torch.bool)
    for number in range(3):
        square = (y - size * uniform(generator, count)) ** 2
        square = square + (x - size * uniform(generator, count)) ** 2
        there = chance(generator, count, 1 if number == 0 else 0.6)
        found = found | ((square < log_uniform(generator, count, 3, 20) ** 2) & there)
    return found & spotted


def _along_the_soft_edge(alpha: Tensor, widest: Tensor, generator: torch.Generator) -> Tensor:
    """Log-uniform in width, unlike on both sides, even or wavering like a hand-drawn line."""
    count, size = len(alpha), alpha.shape[-1]
    width = log_uniform(generator, count, 1.0, widest)
    field = noise(generator, count, size, (3, 12), octaves=2)
    sway = 1 + sometimes(generator, count, 0.4, uniform(generator, count, 0.3, 1.2)) * field
    # Nobody draws specks of certainty: a brush covers small islands.
    brush = sometimes(generator, count, 0.7, log_uniform(generator, count, 2, _OPENING))
    certain = []
    for region in (alpha > OPAQUE, alpha < CLEAR):
        side = (width * log_uniform(generator, count, 0.5, 2.0)).clamp_min(1)
        band = torch.minimum(side * sway, widest)
        known = (filters.depth(region.to(alpha.dtype), _farthest(alpha)) > band).to(alpha.dtype)
        certain.append(filters.opened(known, brush, _OPENING + 2) > 0.5)
    return _drawn(certain[0], certain[1])


def _by_hand(alpha: Tensor, widest: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """From a mask: trimaps, and which of them (B, 1, 1, 1) miss little enough of the soft edge."""
    count, size = len(alpha), alpha.shape[-1]
    # At times through a small mask as segmenters make them.
    rough = sometimes(generator, count, 0.6, log_uniform(generator, count, 0.6, _ROUGH))
    mask = (filters.blurred(alpha, rough, _ROUGH) >= 0.5).to(alpha.dtype)
    inner = filters.depth(mask, _farthest(alpha))
    outer = filters.depth(1 - mask, _farthest(alpha))
    # Straight lines from click to click: distances known at a few places, and lines between.
    clicked = chance(generator, count, 0.25)
    pitch = max(2, size // _CLICKS)
    sparse = F.avg_pool2d(inner - outer, pitch, ceil_mode=True, count_include_pad=False)
    lines = F.interpolate(sparse, size=alpha.shape[2:], mode="bilinear")
    inner = torch.where(clicked, lines * mask, inner)
    outer = torch.where(clicked, -lines, outer)
    # Or a soft hand with a brush whose width it changes.
    field = noise(generator, count, size, (2, 8), octaves=2)
    brushed = ~clicked & chance(generator, count, 1 / 3)
    sway = torch.where(brushed, 0.6 + 0.8 * field, 1.0)
    inward = log_uniform(generator, count, 2, widest * 0.7)
    outward = log_uniform(generator, count, 3, widest)
    even = (inward + outward) / 2
    inward, outward = (torch.where(brushed, even, side) for side in (inward, outward))
    patience = uniform(generator, count, 0, _WIDENINGS)
    trimap, fits = torch.full_like(alpha, 0.5), torch.zeros_like(rough, dtype=torch.bool)
    for trial in range(_WIDENINGS):
        wider = 1.8**trial * sway
        foreground = inner > torch.minimum(inward * wider, widest)
        background = outer > torch.minimum(outward * wider, widest)
        drawn = _drawn(foreground, background)
        trimap = torch.where(fits | (patience < trial), trimap, drawn)
        fits = astray(trimap, alpha) <= ASTRAY
    # Strands that left the band are brushed over, here and there, until few are missed.
    radius = log_uniform(generator, count, 4, _DAB) * (0.7 + 0.6 * field)
    for dabs in _DABS:
        missed = _wrong(trimap, alpha)
        share = dabs / missed.sum((1, 2, 3), keepdim=True).clamp_min(1)
        drawn = torch.rand(alpha.shape, generator=generator, device=generator.device)
        at = missed & (drawn < share) & ~fits
        near = filters.depth(1 - at.to(alpha.dtype), round(1.3 * _DAB) + 2) <= radius
        trimap = trimap.masked_fill(near, 0.5)
        fits = astray(trimap, alpha) <= ASTRAY
    covered = mask.mean((1, 2, 3), keepdim=True)
    return trimap, fits & (covered > 0.003) & (covered < 0.997)
