"""What lens and sensor do to pictures, for a batch on the device; after data/camera.py.

Pictures are (B, 3, S, S) in 0..255.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import filters
from .filters import chance, log_uniform, sometimes, uniform

LENS_REACH = 3
"""Taps of the lens's blur on either side, in pixels."""
_LARGE = 5  # px; larger discs are as good as Gaussians
_FARTHEST = 12  # px


def graded(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Mild exposure, white balance, saturation and contrast changes."""
    count = len(picture)
    balance = 1 + 0.035 * filters.normal(generator, count, 3, 1, 1)
    picture = picture * log_uniform(generator, count, 0.78, 1.25) * balance
    grey = picture.mean(1, keepdim=True)
    less = sometimes(generator, count, 0.5, uniform(generator, count, 0.55, 1.2) - 1)
    picture = grey + (picture - grey) * (1 + less)
    middle = picture.mean((1, 2, 3), keepdim=True)
    less = sometimes(generator, count, 0.5, uniform(generator, count, 0.75, 1.2) - 1)
    return (middle + (picture - middle) * (1 + less)).clamp(0, 255)


def out_of_focus(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Blur by a lens: an even disc, or a Gaussian where that is large."""
    radius = log_uniform(generator, len(picture), 0.8, _FARTHEST)
    small = filters.disc_blur(picture, torch.where(radius > _LARGE, 0.0, radius), _LARGE)
    sigma = torch.where(radius > _LARGE, 0.6 * radius, 0.0)
    return filters.gaussian_blur(small, sigma, math.ceil(1.8 * _FARTHEST))


def partly_sharp(
    colour: Tensor, alpha: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Subjects deeper than the lens's depth of field: sharp here and blurred there.

    Straight colour and alpha (B, 1, S, S), both blurred as one, go in and come out.
    """
    count, size = len(alpha), alpha.shape[-1]
    widest = 0.014 * max(size, 200)
    far = log_uniform(generator, count, 1.2, widest)
    lumps = filters.noise(generator, count, size, (1, 2.5))
    y, x = (axis / size - 0.5 for axis in filters.places(alpha))
    angle = uniform(generator, count, 0, 2 * math.pi)
    ramp = angle.cos() * x + angle.sin() * y + 0.5
    away = torch.where(chance(generator, count, 0.5), lumps, ramp)
    away = (away - uniform(generator, count, 0.2, 0.6)) * uniform(generator, count, 1, 3)
    away = away.clamp(0, 1)
    sharp = torch.cat([colour * alpha, alpha], 1)
    # Three levels: a mixture of a sharp and a very blurred hair would look like two hairs.
    half = filters.blurred(sharp, far * 0.4, widest * 0.4)
    full = filters.blurred(sharp, far, widest)
    low, high = (2 * away).clamp(0, 1), (2 * away - 1).clamp(0, 1)
    mixed = sharp + (half - sharp) * low + (full - half) * high
    spread = mixed[:, 3:].clamp(0, 1)
    straight = torch.where(spread > 1e-3, mixed[:, :3] / spread.clamp_min(1e-3), colour)
    return straight.clamp(0, 255), spread


def toned(picture: Tensor, generator: torch.Generator) -> Tensor:
    """A camera's tone curve: a mild gamma and an S."""
    count = len(picture)
    value = (picture.clamp(0, 255) / 255) ** log_uniform(generator, count, 0.8, 1.25)
    bend = uniform(generator, count, -0.25, 0.5)
    return (value - bend / (2 * math.pi) * (2 * math.pi * value).sin()) * 255


def photographed(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Sharpening, sensor noise and JPEG over subject and background alike; whole 0..255."""
    count = len(picture)
    soft = filters.gaussian_blur(picture, torch.ones_like(picture[:, :1, :1, :1]), LENS_REACH)
    amount = sometimes(generator, count, 0.15, uniform(generator, count, 0.2, 0.9))
    picture = picture + (picture - soft) * amount
    grain = filters.normal(generator, *picture.shape)
    # Demosaicing correlates neighbours in some cameras.
    width = sometimes(generator, count, 0.5, uniform(generator, count, 0.5, 0.7))
    grain = filters.gaussian_blur(grain, width, LENS_REACH) * (1 + 1.2 * width)
    strength = sometimes(generator, count, 0.6, log_uniform(generator, count, 0.6, 8))
    picture = (picture + grain * strength).clamp(0, 255).round()
    steps = sometimes(generator, count, 0.4, log_uniform(generator, count, 1.5, 9))
    return filters.jpeg_like(picture, steps).clamp(0, 255).round()
