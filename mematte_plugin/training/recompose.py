"""Training crops put together on the device, out of ingredients that the CPU made.

A foreground and a background are worth many crops: cut out, turned, lit, blurred and combined with
other partners. On a GPU this takes a small part of the training step, so a few CPU cores suffice.
What is done, and how often, follows data/compose.py; pure torch, the same on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from . import filters, recompose_light as light
from .data.compose import (
    ALIKE,
    DIRECTED,
    EXPONENTS,
    HARDLY_SEEN,
    LENS,
    NEARLY,
    RESEMBLING,
    RIM,
    SCREEN,
    TONED,
)
from .filters import chance, log_uniform, sometimes, uniform
from .pool import Pool
from .recompose_camera import LENS_REACH, photographed, toned
from .recompose_subjects import Subjects, backgrounds, subjects
from .recompose_trimaps import random_trimap

_ROOM = 1.4  # side of an ingredient over that of a crop: space to turn and shift
_EXTRA = 1.5  # candidates per crop, of which the best are taken
_CONTRAST, _LITTLE = 30.0, 18.0  # mean differences in 0..255: wanted, and where much is alike


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


@dataclass(frozen=True)
class Layers:
    """A batch before the camera."""

    colour: Tensor
    """(B, 3, S, S) in 0..255, of the foregrounds, straight."""
    background: Tensor
    """(B, 3, S, S) in 0..255."""
    sharp: Tensor
    """(B, 1, S, S) in [0, 1], alpha before the lens."""
    sigma: Tensor
    """(B, 1, 1, 1), the lens's blur in pixels."""
    label: Tensor
    """(B, 1, S, S) in [0, 1], what the lens makes of alpha."""
    trimap: Tensor
    """(B, 1, S, S) of 0, 0.5 and 1."""

    def composite(self, exponent: Tensor) -> Tensor:
        """(B, 3, S, S) in 0..255; values are mixed and blurred as value**exponent (B, 1, 1, 1)."""
        front, behind = (
            (layer.clamp_min(0) / 255) ** exponent for layer in (self.colour, self.background)
        )
        picture = self.sharp * front + (1 - self.sharp) * behind
        picture = filters.gaussian_blur(picture, self.sigma, LENS_REACH)
        return picture.clamp_min(0) ** (1 / exponent) * 255


@torch.no_grad()
def recompose(pool: Pool, count: int, crop: int, generator: torch.Generator) -> Recomposed:
    """Make a batch.

    Args:
        pool: what to make it from: (7, side, side) uint8, RGBA of a foreground and RGB of a
            background, neither lit nor blurred yet.
        count: crops.
        crop: their side in pixels, a multiple of 8, at least 64.
        generator: on the pool's device; the same state gives the same batch.
    """
    layers = combined(pool, count, crop, generator)
    picture = layers.composite(uniform(generator, count, *EXPONENTS))
    bent = toned(picture, generator)
    picture = torch.where(chance(generator, count, TONED), bent, picture)
    image = photographed(picture, generator) / 255
    return Recomposed(image, layers.trimap, layers.label)


@torch.no_grad()
def combined(pool: Pool, count: int, crop: int, generator: torch.Generator) -> Layers:
    """The layers of a batch: more than `count` are tried, and those with the fewest faults kept."""
    tried = math.ceil(count * _EXTRA)
    subject = subjects(pool, tried, crop, generator)
    # The lens blurs the finished picture; what it makes of alpha is the truth.
    sigma = sometimes(generator, tried, LENS, log_uniform(generator, tried, 0.35, 1.0))
    label = labelled(subject.alpha, sigma)
    trimap = random_trimap(label, generator)
    trimap = trimap.masked_fill(subject.unmarked & (trimap == 1), 0.5)
    background = backgrounds(pool, tried, crop, generator)
    colour, background, least = _one_light(subject, background, trimap, generator)
    layers = Layers(colour, background, subject.alpha, sigma, label, trimap)
    alike = torch.where(chance(generator, tried, ALIKE), HARDLY_SEEN, 255.0)
    merit = _merit(layers, torch.minimum(least, alike), generator)
    best = merit.topk(count, sorted=False).indices
    kept = {field.name: getattr(layers, field.name)[best] for field in fields(layers)}
    return replace(layers, **kept)


def labelled(alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a lens makes of alpha (B, 1, S, S), exactly 0 and 1 where it nearly is.

    sigma: (B, 1, 1, 1), the lens's blur in pixels.
    """
    alpha = filters.gaussian_blur(alpha, sigma, LENS_REACH)
    low = torch.where(alpha < NEARLY, 0.0, alpha)
    return torch.where(low > 1 - NEARLY, 1.0, low)


def _one_light(
    subject: Subjects, background: Tensor, trimap: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Bring subjects and backgrounds into one light: colours of both, and the least contrast
    (B, 1, 1, 1) that makes a sample worth learning from."""
    colour, alpha = subject.colour, subject.alpha
    count = len(colour)
    lit = light.directed(colour, alpha, generator)
    colour = torch.where(chance(generator, count, DIRECTED), lit, colour)
    lit = light.rim_lit(colour, alpha, generator)
    colour = torch.where(chance(generator, count, RIM), lit, colour)
    # Each is brought near the other, or stands before a screen.
    screened = chance(generator, count, SCREEN)
    resembling = chance(generator, count, RESEMBLING) & ~screened
    body = (alpha > 0.5).to(colour.dtype)
    weight = body / body.sum((2, 3), keepdim=True).clamp_min(1)
    mean = (colour * weight).sum((2, 3), keepdim=True)
    spread = ((colour - mean) ** 2 * weight).sum((2, 3), keepdim=True).sqrt()
    around = background.mean((2, 3), keepdim=True)
    seen = body.amax((2, 3), keepdim=True) > 0  # without a body there is no colour to go by
    lit = light.lit_alike(colour, mean, around, generator)
    colour = torch.where(seen & ~resembling & ~screened, lit, colour)
    alike = light.likened(background, mean, spread, generator)
    background = torch.where(seen & resembling, alike, background)
    wall = light.screens(background, generator)
    background = torch.where(screened, wall, background)
    shaded = light.shadowed(background, alpha, generator)
    background = torch.where(chance(generator, count, 0.2), shaded, background)
    lit = light.spilled(colour, alpha, wall, generator)
    colour = torch.where(screened & chance(generator, count, 0.85), lit, colour)
    least = torch.where(screened | resembling, _LITTLE, _CONTRAST)
    apart = _apart(colour, background, trimap, generator)
    faint = ~_distinct(colour, background, alpha, trimap, least) & ~screened
    moved = faint & chance(generator, count, 0.5)
    return colour, torch.where(moved, apart, background), least


def _apart(
    colour: Tensor, background: Tensor, trimap: Tensor, generator: torch.Generator
) -> Tensor:
    """Backgrounds made lighter or darker, away from the subject's brightness at its edge."""
    unknown = (trimap == 0.5).to(colour.dtype)
    share = unknown.sum((1, 2, 3), keepdim=True).clamp_min(1)
    edge = (colour.mean(1, keepdim=True) * unknown).sum((1, 2, 3), keepdim=True) / share
    lighter = edge < background.mean((1, 2, 3), keepdim=True)
    shift = uniform(generator, len(colour), 30, 80) * torch.where(lighter, 1.0, -1.0)
    return (background + shift).clamp(0, 255)


def _distinct(
    colour: Tensor, background: Tensor, alpha: Tensor, trimap: Tensor, least: Tensor
) -> Tensor:
    """Which foregrounds and backgrounds (B, 1, 1, 1) can be told apart where it matters."""
    seen = ((trimap == 0.5) & (alpha > 0.05)).to(colour.dtype)
    gap = (colour - background).abs().amax(1, keepdim=True)
    total = seen.sum((1, 2, 3), keepdim=True)
    mean = (gap * seen).sum((1, 2, 3), keepdim=True) / total.clamp_min(1)
    blind = ((gap < least / 3) * seen).sum((1, 2, 3), keepdim=True) / total.clamp_min(1)
    return (total > 0) & (mean > least) & (blind < 0.25)


def _merit(layers: Layers, least: Tensor, generator: torch.Generator) -> Tensor:
    """(B,): 0 for a good sample, below for one with a fault; the more faults, the lower."""
    shares = ((layers.trimap == value).float().mean((1, 2, 3)) for value in (0.0, 0.5, 1.0))
    clear, unknown, solid = shares
    one_sided = torch.minimum(clear, solid) < 0.004
    strict = ~chance(generator, len(least), 0.25).view(-1)  # some may lack a known side
    plain = _distinct(layers.colour, layers.background, layers.sharp, layers.trimap, least)
    faults = (
        4.0 * ((unknown < 0.01) | (unknown > 0.92)),
        2.0 * ~plain.view(-1),
        1.0 * (one_sided & strict),
    )
    return -torch.stack(faults).sum(0)
