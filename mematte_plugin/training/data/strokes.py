"""The canvas that the foreground generators draw on.

A canvas is (R, R, 4) uint8, premultiplied RGBA, several times larger than the picture it becomes.
OpenCV blends an antialiased stroke into every channel alike, so opaque strokes with a fourth
channel of 255 are exact "over" in premultiplied colour: crossings, sub-pixel strands and gaps get
their true alpha from the area average at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .textures import log_uniform, noise, palette

Array = NDArray[Any]
SHIFT = 4  # sub-pixel bits of OpenCV's drawing coordinates


@dataclass(frozen=True)
class Foreground:
    """A subject cut out exactly."""

    colour: Array
    """(H, W, 3) uint8, straight, continued smoothly beyond the edge."""
    alpha: Array
    """(H, W) uint8."""


def blank(side: int) -> Array:
    """An empty canvas."""
    return np.zeros((side, side, 4), np.uint8)


def polygon_mask(side: int, points: Array) -> Array:
    """Antialiased (side, side) uint8 mask of one polygon, points (N, 2) in pixels."""
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [np.round(points * 2**SHIFT).astype(np.int32)], 255, cv2.LINE_AA, SHIFT)
    return mask


def ellipse(centre: Array, radii: Array, turn: float = 0.0, count: int = 64) -> Array:
    """Outline of an ellipse, (count, 2)."""
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], 1)


def blob(rng: np.random.Generator, centre: Array, radii: Array, rough: float = 0.12) -> Array:
    """A smooth random outline around an ellipse, (160, 2)."""
    t = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    radius = np.ones_like(t)
    for k in range(2, 8):
        radius += rough / k * 2 * rng.normal() * np.cos(k * t + rng.uniform(0, 2 * np.pi))
    radius = np.maximum(radius, 0.35)
    points = np.stack([np.cos(t) * radii[0] * radius, np.sin(t) * radii[1] * radius], 1)
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(points @ rotation.T + centre)


def paint(canvas: Array, mask: Array, colour: Array) -> None:
    """Paint a surface (R, R, 3) uint8 over the canvas through a mask (R, R) uint8."""
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0 or h == 0:
        return
    at = np.s_[y : y + h, x : x + w]
    m = mask[at].astype(np.float32)[..., None] / 255
    layer = np.concatenate([colour[at], np.full((h, w, 1), 255, colour.dtype)], 2)
    canvas[at] = np.rint(canvas[at] * (1 - m) + layer * m).astype(np.uint8)


def light_direction(rng: np.random.Generator) -> Array:
    """A direction (x, y) of light from above, for `relief`."""
    angle = rng.uniform(np.pi, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def relief(mask: Array, light: Array, strength: float, depth: float) -> Array:
    """Shade a silhouette as if inflated: (R, R) float32 factor around 1.

    `light` is a direction (x, y) in the picture; `depth` is the width of the curved rim, as a share
    of the side.
    """
    side = mask.shape[0]
    small = cv2.resize(mask, (128, 128), interpolation=cv2.INTER_AREA)
    inside = cv2.distanceTransform((small > 127).astype(np.uint8), cv2.DIST_L2, 5)
    reach = max(depth * 128, 1.0)
    height = np.sqrt(np.clip(inside / reach, 0, 1) * (2 - np.clip(inside / reach, 0, 1)))
    height = cv2.GaussianBlur(height, (0, 0), 2.5) * reach
    dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8)
    lit = -(dx * light[0] + dy * light[1]) / np.sqrt(1 + dx * dx + dy * dy)
    factor = np.clip(1 + strength * lit, 0.25, 1.6).astype(np.float32)
    return np.asarray(cv2.resize(factor, (side, side), interpolation=cv2.INTER_LINEAR))


def shade(colour: Array, factor: Array) -> Array:
    """Multiply a surface by a (R, R) factor, clipped to uint8."""
    return np.asarray(np.clip(colour * factor[..., None], 0, 255), np.uint8)


def strands(canvas: Array, points: Array, colours: Array, thickness: Array) -> None:
    """Draw strands in order, later ones in front.

    points (N, T, 2) pixels, colours (N, T-1, 3) in 0..255, thickness (N, T-1) whole canvas pixels.
    """
    fixed = np.round(points * 2**SHIFT).astype(np.int32).tolist()
    opaque = np.full((*colours.shape[:2], 1), 255.0)
    paints = np.concatenate([np.clip(colours, 0, 255), opaque], 2).astype(np.int32).tolist()
    widths = np.maximum(thickness, 1).astype(np.int32).tolist()
    for path, tints, pens in zip(fixed, paints, widths, strict=True):
        for i, (tint, pen) in enumerate(zip(tints, pens, strict=True)):
            cv2.line(canvas, path[i], path[i + 1], tint, pen, cv2.LINE_AA, SHIFT)


def leaf(canvas: Array, base: Array, tip: Array, tint: Array, *, width: float, bend: float) -> None:
    """Draw one leaf or petal as two halves of unlike brightness around a bent midrib."""
    t = np.linspace(0, 1, 12)[:, None]
    along = tip - base
    across = np.array([-along[1], along[0]])
    middle = base + along * t + across * bend * (t * (1 - t)) * 2
    length = float(np.hypot(*along)) + 1e-6
    half = across / length * width * np.sin(np.pi * t**0.8) ** 0.8
    for sign, light in ((1.0, 1.08), (-1.0, 0.86)):
        outline = np.concatenate([middle, (middle + sign * half)[::-1]])
        colour = [*np.clip(tint * light, 0, 255).tolist(), 255.0]
        fixed = np.round(outline * 2**SHIFT).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], colour, cv2.LINE_AA, SHIFT)


def grain(canvas: Array, texture: Array, strength: float) -> None:
    """Let a photograph's light and dark show on the drawing; alpha stays."""
    light = texture.mean(2, dtype=np.float32)
    light = light / max(float(light.mean()), 1.0) - 1
    factor = np.clip(1 + strength * light, 0.3, 1.8)[..., None]
    canvas[..., :3] = np.minimum(canvas[..., :3] * factor, canvas[..., 3:]).astype(np.uint8)


def natural_colour(rng: np.random.Generator) -> Array:
    """A hair or fur colour, (3,) float in 0..255: natural nine times out of ten."""
    if rng.random() < 0.1:
        return np.asarray(palette(rng, 1)[0])
    table = [
        (34, 27, 24), (52, 36, 26), (84, 56, 36), (110, 76, 48), (150, 110, 70), (190, 150, 100),
        (222, 190, 140), (140, 70, 36), (176, 92, 44), (120, 116, 112), (170, 166, 160),
        (214, 210, 204), (238, 234, 226), (20, 19, 20), (128, 96, 80), (92, 88, 92),
    ]  # fmt: skip
    colour = np.array(table[int(rng.integers(len(table)))], np.float64)
    return np.clip(colour * rng.uniform(0.8, 1.2) + rng.normal(0, 5, 3), 4, 250)


def motion(rng: np.random.Generator, premultiplied: Array, length: int) -> Array:
    """Smear colour and alpha together along a line."""
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = (length - 1) / 2
    step = np.array([np.cos(angle), np.sin(angle)]) * reach
    ends = np.round((reach + np.stack([-step, step])) * 16).astype(int).tolist()
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 4)
    return np.asarray(cv2.filter2D(premultiplied, -1, kernel / kernel.sum()))


def develop(
    rng: np.random.Generator, canvas: Array, size: int, *, soften: float = 0.35
) -> Foreground:
    """Shrink a canvas to `size` and separate colour and alpha; sometimes blurred or in motion."""
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    picture = np.asarray(small, np.float32)
    fate = rng.random()
    if fate < 0.9 * soften:  # defocus blurs colour and alpha together
        sigma = log_uniform(rng, 0.4, 1.2) if fate < 0.6 * soften else log_uniform(rng, 1.2, 5.0)
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))
    elif fate < soften:
        picture = motion(rng, picture, int(rng.integers(4, 22)))
    return straighten(picture)


def straighten(premultiplied: Array) -> Foreground:
    """Premultiplied (H, W, 4) float32 in 0..255 -> straight colour and alpha.

    Colour is divided by alpha where alpha is large enough and taken from the neighbourhood
    elsewhere, so that scaling and turning straight colour never mixes in black.
    """
    alpha = premultiplied[..., 3:]
    levels = [premultiplied]
    while max(levels[-1].shape[:2]) > 1:
        last = levels[-1]
        half = (max(last.shape[1] // 2, 1), max(last.shape[0] // 2, 1))
        levels.append(np.asarray(cv2.resize(last, half, interpolation=cv2.INTER_AREA)))
    top = levels[-1]
    filled = top[..., :3] * 255 / np.maximum(top[..., 3:], 1e-3)
    for level in reversed(levels[:-1]):
        size = (level.shape[1], level.shape[0])
        raised = np.asarray(cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR))
        own = level[..., :3] * 255 / np.maximum(level[..., 3:], 1e-3)
        trust = np.clip(level[..., 3:] / 64, 0, 1)
        filled = own * trust + raised * (1 - trust)
    colour = np.clip(np.rint(filled), 0, 255).astype(np.uint8)
    return Foreground(colour, np.clip(np.rint(alpha[..., 0]), 0, 255).astype(np.uint8))


def speckle(rng: np.random.Generator, side: int, strength: float) -> Array:
    """A fine brightness factor around 1, (side, side)."""
    field = noise(rng, side // 2, side // 2, cells=24, octaves=4, persistence=0.8)
    field = np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR))
    return 1 + strength * (field - 0.5)
