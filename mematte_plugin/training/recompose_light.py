"""How light joins subjects and what is around them, for a batch on the device.

After data/light.py and data/camera.py. Colours are (B, 3, S, S) in 0..255, alphas (B, 1, S, S) in
[0, 1]. Strengths are drawn here; which samples get it is for the caller.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from . import filters
from .data.light import KEYING_HUES
from .filters import blurred, chance, log_uniform, noise, uniform


def lit_alike(
    colour: Tensor, subject: Tensor, around: Tensor, generator: torch.Generator
) -> Tensor:
    """Bring a subject's brightness and tint towards the light of its surroundings.

    subject, around: (B, 3, 1, 1), their mean colours.
    """
    count = len(colour)
    grey = around.mean(1, keepdim=True).clamp_min(1)
    gain = (grey / subject.mean(1, keepdim=True).clamp_min(1)).clamp(0.6, 1.6)
    tint = (around / grey).clamp(0.7, 1.4)
    gain = gain ** uniform(generator, count, 0.0, 0.5)
    return (colour * gain * tint ** uniform(generator, count, 0.0, 0.25)).clamp(0, 255)


def likened(
    background: Tensor, subject: Tensor, spread: Tensor, generator: torch.Generator
) -> Tensor:
    """Bring a background's colours towards the subject's, keeping its own texture.

    subject, spread: (B, 3, 1, 1), mean and standard deviation of its colours.
    """
    share = uniform(generator, len(background), 0.4, 0.9)
    mean, own = background.mean((2, 3), keepdim=True), deviation(background)
    ratio = ((spread + 12) / (own + 1)).clamp(0.5, 2.0)
    moved = (background - mean) * ratio + subject
    return (background + (moved - background) * share).clamp(0, 255)


def deviation(picture: Tensor) -> Tensor:
    """Standard deviation of every channel, (B, C, 1, 1)."""
    mean = picture.mean((2, 3), keepdim=True)
    return ((picture - mean) ** 2).mean((2, 3), keepdim=True).sqrt()


def screens(like: Tensor, generator: torch.Generator) -> Tensor:
    """Even, saturated walls as studios use them, lit not quite evenly; as large as `like`."""
    count, size = len(like), like.shape[-1]
    hue = uniform(generator, count, 0, 180)
    hung = torch.where(chance(generator, count, 0.5), *KEYING_HUES)
    hung = hung + 6 * filters.normal(generator, count, 1, 1, 1)
    hue = torch.where(chance(generator, count, 0.5), hung, hue)
    strength, value = uniform(generator, count, 0.5, 1.0), log_uniform(generator, count, 60, 255)
    channel = 5 - 2 * torch.arange(3, device=like.device).view(1, 3, 1, 1)  # of red, green, blue
    place = (channel + hue / 30) % 6  # hue in half degrees, as OpenCV has it
    colour = value * (1 - strength * torch.minimum(place, 4 - place).clamp(0, 1))
    y, x = (axis / size - 0.5 for axis in filters.places(like))
    angle = uniform(generator, count, 0, 2 * math.pi)
    ramp = uniform(generator, count, 0, 0.35) * (angle.cos() * x + angle.sin() * y)
    light = 1 + ramp - uniform(generator, count, 0, 0.4) * (x * x + y * y)
    lumps = noise(generator, count, size, (1.5, 6), octaves=2) - 0.5  # folds, or lamps overlapping
    folds = filters.sometimes(generator, count, 0.4, uniform(generator, count, 0.02, 0.1))
    return ((light + folds * lumps) * colour).clamp(0, 255)


def spilled(colour: Tensor, alpha: Tensor, wall: Tensor, generator: torch.Generator) -> Tensor:
    """A screen's light on the subject: most near its edge and where it is half transparent."""
    count, size = len(colour), colour.shape[-1]
    strength = log_uniform(generator, count, 0.05, 0.6)
    reach = log_uniform(generator, count, 0.01, 0.08) * size
    near = (2 * (1 - blurred(alpha, reach, 0.08 * size))).clamp(0, 1)
    amount = strength * torch.maximum(near, 1 - alpha)
    light = wall.mean((2, 3), keepdim=True)
    # What is dark reflects little of it; skin and hair reflect some in any colour.
    return (colour * (1 - 0.35 * amount) + amount * light * (0.25 + colour / 400)).clamp(0, 255)


def directed(colour: Tensor, alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Light from one side: that side of the subject brighter, the other darker."""
    gain = uniform(generator, len(colour), 0.15, 0.6) * _facing(alpha, (0.04, 0.16), generator)
    return (colour * (1 + gain)).clamp(0, 255)


def rim_lit(colour: Tensor, alpha: Tensor, generator: torch.Generator) -> Tensor:
    """A lamp or the sun behind the subject: its outline shines on one side."""
    count = len(colour)
    facing = _facing(alpha, (0.006, 0.04), generator).clamp_min(0)
    amount = log_uniform(generator, count, 0.2, 1.2) * facing
    warm, cool = (
        torch.tensor(lamp, device=colour.device).view(1, 3, 1, 1)
        for lamp in ((255.0, 235.0, 205.0), (235.0, 242.0, 255.0))
    )
    lamp = torch.where(chance(generator, count, 0.5), warm, cool)
    return (colour * (1 + 0.8 * amount) + 0.35 * amount * lamp).clamp(0, 255)


def shadowed(background: Tensor, alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Let the subject darken what is close behind it."""
    count, size = len(alpha), alpha.shape[-1]
    right = 10 * filters.normal(generator, count)
    down = 14 * uniform(generator, count).view(count)
    one, none = torch.ones_like(right), torch.zeros_like(right)
    rows = [
        torch.stack([one, none, -2 * right / size], 1),
        torch.stack([none, one, -2 * down / size], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(alpha.shape), align_corners=False)
    moved = F.grid_sample(alpha, grid, padding_mode="border", align_corners=False)
    soft = blurred(moved, log_uniform(generator, count, 3, 15), 15)
    return background * (1 - uniform(generator, count, 0.1, 0.5) * soft)


def _facing(alpha: Tensor, reach: tuple[float, float], generator: torch.Generator) -> Tensor:
    """How much the outline faces a random direction, (B, 1, S, S), about -1 to 1 there and 0
    farther than `reach` from it: drawn from that range, in shares of the side."""
    count, size = len(alpha), alpha.shape[-1]
    width = log_uniform(generator, count, *reach) * size
    soft = F.pad(blurred(alpha, width, reach[1] * size), (1, 1, 1, 1), mode="replicate")
    inward_x = (soft[..., 1:-1, 2:] - soft[..., 1:-1, :-2]) / 2
    inward_y = (soft[..., 2:, 1:-1] - soft[..., :-2, 1:-1]) / 2
    angle = uniform(generator, count, 0, 2 * math.pi)
    facing = -(angle.cos() * inward_x + angle.sin() * inward_y)
    return (facing * (2.5 * width)).clamp(-1, 1)
