"""Subjects and backgrounds cut out of pooled ingredients, for a batch on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from . import filters
from .data.compose import DEPTH, TWO_SUBJECTS, UNMARKED
from .filters import chance, log_uniform, uniform
from .pool import Pool
from .recompose_camera import graded, out_of_focus, partly_sharp

_SOFT = 16  # px; side of the cells in which soft edges are looked for
_CORNERS = 6
_AS_IT_IS = 0.3  # how often an ingredient is only cut out: turning and scaling soften a little


@dataclass(frozen=True)
class Subjects:
    """Foregrounds before they meet a background."""

    colour: Tensor
    """(B, 3, S, S) in 0..255, straight."""
    alpha: Tensor
    """(B, 1, S, S) in [0, 1]."""
    unmarked: Tensor
    """(B, 1, S, S) bool: what a trimap is to leave unknown."""


def subjects(pool: Pool, count: int, crop: int, generator: torch.Generator) -> Subjects:
    """Draw foregrounds: one, or two by "over", some with a part that no trimap marks."""
    colour, alpha = _view(pool, crop, count, generator)
    colour = graded(colour, generator)
    # Behind some stands another one; where its alpha is 0 it changes nothing.
    behind, behind_alpha = _view(pool, crop, count, generator)
    behind_alpha = filters.sometimes(generator, count, TWO_SUBJECTS, behind_alpha)
    colour, alpha = over(colour, alpha, behind, behind_alpha)
    part = filters.sometimes(generator, count, UNMARKED, _parts(alpha, generator))
    # Many of the parts are something else that belongs to the subject.
    thing = filters.sometimes(generator, count, 0.7, part)
    texture = _textures(pool, crop, count, generator)
    first = chance(generator, count, 0.5)
    colour, alpha = over(
        torch.where(first, texture, colour),
        torch.where(first, thing, alpha),
        torch.where(first, colour, texture),
        torch.where(first, alpha, thing),
    )
    blurred, spread = partly_sharp(colour, alpha, generator)
    deep = chance(generator, count, DEPTH)
    colour, alpha = torch.where(deep, blurred, colour), torch.where(deep, spread, alpha)
    return Subjects(colour, alpha.clamp(0, 1), part > 0)


def backgrounds(pool: Pool, count: int, crop: int, generator: torch.Generator) -> Tensor:
    """Draw backgrounds (B, 3, S, S) in 0..255, half of them out of focus."""
    view = graded(_ground(pool, crop, count, generator), generator)
    return torch.where(chance(generator, count, 0.5), out_of_focus(view, generator), view)


def over(
    colour: Tensor, alpha: Tensor, behind: Tensor, behind_alpha: Tensor
) -> tuple[Tensor, Tensor]:
    """Porter and Duff's "over", straight colours (B, 3, S, S) and alphas (B, 1, S, S)."""
    rest = (1 - alpha) * behind_alpha
    total = alpha + rest
    mixed = (colour * alpha + behind * rest) / total.clamp_min(1e-3)
    return torch.where(total > 1e-3, mixed, colour), total


def _view(pool: Pool, crop: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Cut-outs of foregrounds, near an edge where they have one."""
    chosen = pool.planes[pool.draw(count, generator), :4].float()
    # An ingredient is larger than a crop and was magnified more often to fill its sides.
    scale = log_uniform(generator, count, 0.72, 1.05).view(count)
    turn = filters.normal(generator, count) * 0.12
    middle = _at_an_edge(chosen[:, 3:] / 255, generator)
    middle = middle + filters.normal(generator, count, 2) * 0.3
    view = _sampled(chosen, crop, scale, turn=turn, middle=middle, generator=generator)
    return view[:, :3], view[:, 3:] / 255


def _ground(pool: Pool, crop: int, count: int, generator: torch.Generator) -> Tensor:
    """Cut-outs of backgrounds, (B, 3, S, S) in 0..255."""
    chosen = pool.planes[pool.draw(count, generator), 4:7].float()
    scale = log_uniform(generator, count, 0.72, 1.2).view(count)
    turn = filters.normal(generator, count) * 0.15
    middle = filters.normal(generator, count, 2)
    return _sampled(chosen, crop, scale, turn=turn, middle=middle, generator=generator)


def _at_an_edge(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """A place (x, y) each where alpha (B, 1, H, W) is between, if it is anywhere: (B, 2), -1 to
    1."""
    edge = F.avg_pool2d(1 - (2 * alpha - 1).abs(), _SOFT)
    n = edge.shape[-1]
    place = torch.multinomial(edge.flatten(1) + 1e-3, 1, generator=generator)[:, 0]
    cell = torch.stack([place % n, place // n], 1)
    return (cell + 0.5) * (2 / n) - 1


def _parts(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Alphas (B, 1, S, S) of flat shapes with a few corners at the subjects' edges."""
    count, size = len(alpha), alpha.shape[-1]
    middle = (_at_an_edge(alpha, generator) + 1) * (size / 2)
    turn = torch.rand(count, _CORNERS, generator=generator, device=generator.device)
    number = torch.arange(_CORNERS, device=alpha.device)
    # Never half a turn from one corner to the next: the middle is within.
    angle = (number + 0.9 * turn) * (2 * math.pi / _CORNERS) + 2 * math.pi * turn[:, :1]
    reach = torch.rand(count, _CORNERS, generator=generator, device=generator.device)
    reach = (0.6 + 0.6 * reach) * log_uniform(generator, count, 0.08, 0.4).view(count, 1) * size
    y, x = filters.places(alpha)
    y, x = y - middle[:, 1].view(count, 1, 1, 1), x - middle[:, 0].view(count, 1, 1, 1)
    xs, ys = (axis.view(count, _CORNERS, 1, 1, 1) for axis in _corners(reach, angle))
    shape = torch.zeros_like(alpha)
    for here in range(_CORNERS):
        there = (here + 1) % _CORNERS
        x0, y0, x1, y1 = xs[:, here], ys[:, here], xs[:, there], ys[:, there]
        between = (x0 * y - y0 * x >= 0) & (x1 * y - y1 * x < 0)
        dx, dy = x1 - x0, y1 - y0
        inside = (dx * (y - y0) - dy * (x - x0)) / (dx**2 + dy**2).sqrt().clamp_min(1e-3)
        shape = torch.where(between, (inside + 0.5).clamp(0, 1), shape)
    soft = filters.blurred(shape, log_uniform(generator, count, 1, 8), 8)
    soft = ((soft - 0.5) * uniform(generator, count, 2, 8) + 0.5).clamp(0, 1)
    return torch.where(chance(generator, count, 0.5), soft, shape)


def _corners(reach: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """x and y from polar coordinates."""
    return reach * angle.cos(), reach * angle.sin()


def _textures(pool: Pool, crop: int, count: int, generator: torch.Generator) -> Tensor:
    """Colours (B, 3, S, S) in 0..255: of a background, or one with a grain."""
    ground = _ground(pool, crop, count, generator)
    grain = filters.normal(generator, count, 1, crop, crop) * uniform(generator, count, 0, 6)
    flat = torch.rand(count, 3, 1, 1, generator=generator, device=generator.device)
    plain = (5 + 245 * flat + grain).clamp(0, 255)
    return graded(torch.where(chance(generator, count, 0.6), ground, plain), generator)


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
        generator: decides what is mirrored, and what is cut out pixel by pixel.
    """
    side = planes.shape[-1]
    plain = chance(generator, len(planes), _AS_IT_IS).view(-1)
    turn, scale = torch.where(plain, 0.0, turn), torch.where(plain, 1.0, scale)
    whole = (middle * (side / 2)).round() / (side / 2)
    middle = torch.where(plain[:, None], whole, middle)
    cos, sin = turn.cos(), turn.sin()
    spread = cos.abs() + sin.abs()  # half width of the turned crop over that of the crop
    reach = torch.minimum(crop / side / scale, 1 / spread)  # in units of half an ingredient
    limit = (1 - reach * spread)[:, None]
    middle = middle.clamp(-1, 1).clamp(-limit, limit)
    mirror = torch.where(chance(generator, len(planes), 0.5).view(-1), -1.0, 1.0)
    rows = [
        torch.stack([reach * cos * mirror, -reach * sin, middle[:, 0]], 1),
        torch.stack([reach * sin * mirror, reach * cos, middle[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [len(planes), 1, crop, crop], align_corners=False)
    return F.grid_sample(planes, grid, padding_mode="border", align_corners=False)
