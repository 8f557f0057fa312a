"""Training crops put together on the device, out of ingredients that the CPU made.

A foreground and a background are worth many crops: cut out, turned, lit, blurred and combined with
other partners. On a GPU this takes a small part of the training step, so a few CPU cores suffice.
What is done follows data/compose.py; pure torch, the same on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from . import filters
from .filters import log_uniform, uniform
from .pool import Pool

OPAQUE, CLEAR = 0.99, 0.01
WIDEST, WIDEST_SHARE = 50, 0.16
"""Of a trimap's band on either side of the edge, in pixels and as a share of the crop's side."""
_ROOM = 1.4  # side of an ingredient over that of a crop: space to turn and shift
_OWN_BACKGROUND = 0.3
_EXTRA = 1.5  # candidates per crop, of which the best are taken
_OPENING = 10  # px; islands thinner than twice this may be brushed over
_LENS_REACH, _FOCUS_REACH = 3, 16  # taps of the blurs, in pixels


def ingredient_side(crop: int) -> int:
    """Side of the ingredients for crops of some size, in pixels."""
    return math.ceil(crop * _ROOM / 16) * 16


@dataclass(frozen=True)
class Recomposed:
    """A batch of crops, float32."""

    image: Tensor
    """(B, 3, S, S) in [0, 1], degraded like a photograph."""
    trimap: Tensor
    """(B, 1, S, S) of 0, 0.5 and 1."""
    alpha: Tensor
    """(B, 1, S, S) in [0, 1]."""


@torch.no_grad()
def recompose(pool: Pool, count: int, crop: int, generator: torch.Generator) -> Recomposed:
    """Make a batch.

    Args:
        pool: what to make it from: (7, side, side) uint8, RGBA of a foreground and RGB of a
            background.
        count: crops.
        crop: their side in pixels, a multiple of 8.
        generator: on the pool's device; the same state gives the same batch.
    """
    tried = math.ceil(count * _EXTRA)
    subjects = pool.draw(tried, generator)
    colour, alpha = _subjects(pool, subjects, crop, generator)
    sharp = alpha
    lens = _sometimes(generator, tried, 0.35, log_uniform(generator, tried, 0.35, 1.0))
    alpha = filters.gaussian_blur(alpha, lens, _LENS_REACH).clamp(0, 1)
    trimap = random_trimap(alpha, generator)
    # The Composer's own partners resemble each other at times; at others nobody knows.
    own = uniform(generator, tried).flatten() < _OWN_BACKGROUND
    grounds = torch.where(own, subjects, pool.draw(tried, generator))
    background = _backgrounds(pool, grounds, crop, generator)
    colour, background = _one_light(colour, background, alpha, generator)
    background = _separated(colour, background, alpha, trimap, generator)
    best = _merit(colour, background, alpha, trimap).topk(count, sorted=False).indices
    colour, background, sharp, lens = colour[best], background[best], sharp[best], lens[best]
    image = sharp * colour + (1 - sharp) * background
    image = filters.gaussian_blur(image, lens, _LENS_REACH)
    return Recomposed(_camera(image, generator) / 255, trimap[best], alpha[best])


def random_trimap(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Trimaps as people draw them: (B, 1, H, W) of 0, 0.5 and 1 from alpha of the same shape.

    Bands are log-uniform in width, unlike on both sides, even or wavering. Foreground only where
    alpha > 0.99 and background only where alpha < 0.01, so never wrong.
    """
    count, size = len(alpha), alpha.shape[-1]
    widest = min(WIDEST, round(WIDEST_SHARE * size))
    width = log_uniform(generator, count, 1.0, widest)
    field = filters.smooth_noise(generator, count, size, max(3, size // 40))
    waver = _sometimes(generator, count, 0.4, uniform(generator, count, 0.3, 1.2))
    brush = _sometimes(generator, count, 0.7, log_uniform(generator, count, 2, _OPENING))
    certain = []
    for region in (alpha > OPAQUE, alpha < CLEAR):
        side = (width * log_uniform(generator, count, 0.5, 2.0)).clamp(1, widest)
        band = (side * (1 + waver * field)).clamp(max=widest)
        known = (filters.depth(region.float(), widest + 2) > band).float()
        certain.append(filters.opened(known, brush, _OPENING + 2) > 0.5)
    half = torch.full_like(alpha, 0.5)
    return half.masked_fill(certain[0], 1.0).masked_fill(certain[1], 0.0)


def _sometimes(generator: torch.Generator, count: int, share: float, value: Tensor) -> Tensor:
    """`value` (count, …) for a share of the samples, 0 for the others."""
    return value * (uniform(generator, count) < share)


def _subjects(
    pool: Pool, chosen: Tensor, crop: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Foregrounds, some of them two by "over": straight colour (B, 3, S, S) in 0..255, alpha."""
    count = len(chosen)
    colour, alpha = _view(pool, chosen, crop, generator)
    colour = _graded(colour, generator)
    # Behind some stands another one; as alpha 0 it changes nothing.
    behind, behind_alpha = _view(pool, pool.draw(count, generator), crop, generator)
    rest = _sometimes(generator, count, 0.2, behind_alpha) * (1 - alpha)
    total = alpha + rest
    mixed = (colour * alpha + behind * rest) / total.clamp_min(1e-3)
    return torch.where(total > 1e-3, mixed, colour), total


def _view(
    pool: Pool, numbers: Tensor, crop: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cut-outs of foregrounds, centred near an edge where they have one."""
    count, chosen = len(numbers), pool.planes[numbers, :4].float()
    scale = log_uniform(generator, count, 0.8, 1.35).flatten()
    turn = filters.normal(generator, count) * 0.12
    # Where alpha is between, smeared out: likely places for the middle of the crop.
    edge = F.avg_pool2d(1 - (chosen[:, 3:] / 127.5 - 1).abs(), 16)
    n = edge.shape[-1]
    place = torch.multinomial(edge.flatten(1) + 1e-3, 1, generator=generator)[:, 0]
    middle = torch.stack([place % n, place // n], 1) * 2 / (n - 1) - 1  # (x, y) in [-1, 1]
    middle = middle + filters.normal(generator, count, 2) * 0.3
    view = _sampled(chosen, crop, scale, turn=turn, middle=middle, generator=generator)
    return view[:, :3], view[:, 3:] / 255


def _backgrounds(pool: Pool, numbers: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    """Backgrounds (B, 3, S, S) in 0..255, some out of focus."""
    count, chosen = len(numbers), pool.planes[numbers, 4:].float()
    scale = log_uniform(generator, count, 0.75, 1.6).flatten()
    turn = filters.normal(generator, count) * 0.15
    middle = filters.normal(generator, count, 2)
    view = _sampled(chosen, crop, scale, turn=turn, middle=middle, generator=generator)
    radius = _sometimes(generator, count, 0.35, log_uniform(generator, count, 0.7, 6))
    return filters.gaussian_blur(_graded(view, generator), radius, _FOCUS_REACH)


def _sampled(
    planes: Tensor,
    crop: int,
    scale: Tensor,
    *,
    turn: Tensor,
    middle: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Scaled, turned, mirrored crops (B, C, crop, crop) that do not look over the border.

    Args:
        planes: (B, C, side, side).
        crop: side in pixels.
        scale: (B,) magnification; raised where the crop would not fit.
        turn: (B,) in radians.
        middle: (B, 2) wanted centre (x, y), -1 to 1; moved inwards where it has to be.
        generator: decides what is mirrored.
    """
    side = planes.shape[-1]
    cos, sin = turn.cos(), turn.sin()
    spread = cos.abs() + sin.abs()  # half width of the turned crop over that of the crop
    reach = (crop / side / scale).clamp(max=1 / spread)  # in units of half an ingredient
    limit = (1 - reach * spread)[:, None]
    middle = middle.clamp(-1, 1).clamp(-limit, limit)
    mirror = 1 - 2 * (uniform(generator, len(planes)).flatten() < 0.5).float()
    rows = [
        torch.stack([reach * cos * mirror, -reach * sin, middle[:, 0]], 1),
        torch.stack([reach * sin * mirror, reach * cos, middle[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [len(planes), 1, crop, crop], align_corners=False)
    return F.grid_sample(planes, grid, padding_mode="border", align_corners=False)


def _graded(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Mild exposure, white balance, saturation and contrast changes."""
    count = len(picture)
    balance = 1 + 0.03 * filters.normal(generator, count, 3, 1, 1)
    picture = picture * log_uniform(generator, count, 0.8, 1.2) * balance
    grey = picture.mean(1, keepdim=True)
    picture = grey + (picture - grey) * uniform(generator, count, 0.7, 1.15)
    middle = picture.mean((1, 2, 3), keepdim=True)
    picture = middle + (picture - middle) * uniform(generator, count, 0.85, 1.15)
    return picture.clamp(0, 255)


def _one_light(
    colour: Tensor, background: Tensor, alpha: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Bring subject and background closer in brightness; for some make their colours alike."""
    count = len(colour)
    body = (alpha > 0.5).float()
    subject = (colour * body).sum((2, 3), keepdim=True) / body.sum((2, 3), keepdim=True).clamp_min(
        1
    )
    around = background.mean((2, 3), keepdim=True)
    gain = around.mean(1, keepdim=True) / subject.mean(1, keepdim=True).clamp_min(1)
    gain = gain.clamp(0.6, 1.6) ** uniform(generator, count, 0.0, 0.5)
    seen = body.amax((2, 3), keepdim=True)  # without a body there is no colour to go by
    colour = torch.where(seen > 0, colour * gain, colour).clamp(0, 255)
    alike = _sometimes(generator, count, 0.15, uniform(generator, count, 0.3, 0.8)) * seen
    return colour, (background + (subject - around) * alike).clamp(0, 255)


def _separated(
    colour: Tensor, background: Tensor, alpha: Tensor, trimap: Tensor, generator: torch.Generator
) -> Tensor:
    """The background, made lighter or darker where nobody could tell it from the subject."""
    unknown = (trimap == 0.5).float()
    share = unknown.sum((1, 2, 3), keepdim=True).clamp_min(1)
    subject = (colour.mean(1, keepdim=True) * unknown).sum((1, 2, 3), keepdim=True) / share
    away = (background.mean((1, 2, 3), keepdim=True) - subject).sign()
    shift = uniform(generator, len(colour), 40, 90) * torch.where(away == 0, 1.0, away)
    shifted = (background + shift).clamp(0, 255)
    gap, _ = _contrast(colour, background, alpha, trimap)
    return torch.where(gap > 30, background, shifted)


def _contrast(
    colour: Tensor, background: Tensor, alpha: Tensor, trimap: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean difference (B, 1, 1, 1) of subject and background where it matters, in 0..255, and the
    share of pixels where there is hardly any."""
    seen = ((trimap == 0.5) & (alpha > 0.05)).float()
    gap = (colour - background).abs().amax(1, keepdim=True)
    total = seen.sum((1, 2, 3), keepdim=True).clamp_min(1)
    mean = (gap * seen).sum((1, 2, 3), keepdim=True) / total
    return mean, ((gap < 10) * seen).sum((1, 2, 3), keepdim=True) / total


def _merit(colour: Tensor, background: Tensor, alpha: Tensor, trimap: Tensor) -> Tensor:
    """(B,): 0 for a good sample, below for one with a fault; the more faults, the lower."""
    unknown = (trimap == 0.5).float().mean((1, 2, 3))
    known = torch.minimum(
        (trimap == 0).float().mean((1, 2, 3)), (trimap == 1).float().mean((1, 2, 3))
    )
    gap, blind = (figure.flatten() for figure in _contrast(colour, background, alpha, trimap))
    faults = (
        4.0 * ((unknown < 0.01) | (unknown > 0.92)),
        2.0 * ((gap < 30) | (blind > 0.25)),
        1.0 * (known < 0.004),
    )
    return -torch.stack([fault.float() for fault in faults]).sum(0)


def _camera(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Sharpening, sensor noise and JPEG over subject and background alike; whole 0..255."""
    count = len(picture)
    soft = filters.gaussian_blur(picture, torch.ones_like(picture[:, :1, :1, :1]), _LENS_REACH)
    amount = _sometimes(generator, count, 0.15, uniform(generator, count, 0.2, 0.9))
    picture = picture + (picture - soft) * amount
    grain = filters.normal(generator, *picture.shape)
    # Demosaicing correlates neighbours in some cameras.
    width = _sometimes(generator, count, 0.5, uniform(generator, count, 0.5, 0.7))
    grain = filters.gaussian_blur(grain, width, _LENS_REACH) * (1 + 1.5 * width)
    strength = _sometimes(generator, count, 0.6, log_uniform(generator, count, 0.6, 8))
    picture = (picture + grain * strength).clamp(0, 255).round()
    steps = _sometimes(generator, count, 0.4, log_uniform(generator, count, 1.5, 9))
    return filters.jpeg_like(picture, steps).clamp(0, 255).round()
