"""Light on a subject and its surroundings: screens, spill, rim light, light from one side."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .textures import log_uniform, noise

Array = NDArray[Any]

KEYING_HUES = (60.0, 112.0)
"""Green and blue screens, in OpenCV's half degrees."""


def lit_alike(rng: np.random.Generator, colour: Array, subject: Array, around: Array) -> Array:
    """Move a subject's brightness and tint towards those of its surroundings."""
    wanted = around.mean() / max(float(subject.mean()), 1.0)
    gain = np.clip(wanted, 0.6, 1.6) ** rng.uniform(0.0, 0.5)
    tint = np.clip(around / max(float(around.mean()), 1.0), 0.7, 1.4) ** rng.uniform(0.0, 0.25)
    return np.clip(colour * np.asarray(gain * tint, np.float32), 0, 255)


def likened(rng: np.random.Generator, background: Array, subject: Array) -> Array:
    """Move a background's colours towards the subject's, keeping its own texture.

    subject: (N, 3) colours. After Reinhard et al. 2001, channel by channel.
    """
    share = np.float32(rng.uniform(0.4, 0.9))
    mean, spread = background.mean((0, 1)), background.std((0, 1)) + 1
    ratio = np.clip((subject.std(0) + 12) / spread, 0.5, 2.0)
    moved = (background - mean) * ratio.astype(np.float32) + subject.mean(0)
    return np.clip(background * (1 - share) + moved * share, 0, 255)


def screen(rng: np.random.Generator, height: int, width: int) -> Array:
    """An even, saturated studio screen, lit a little unevenly: (H, W, 3) float32."""
    hue = rng.uniform(0, 180)
    if rng.random() < 0.5:
        hue = rng.choice(KEYING_HUES) + rng.normal(0, 6)
    hsv = np.array([[[hue % 180, rng.uniform(128, 255), log_uniform(rng, 60, 255)]]])
    colour = cv2.cvtColor(np.rint(hsv).astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width) - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.float32(rng.uniform(0, 0.35)) * (np.cos(angle) * x + np.sin(angle) * y)
    dim = np.float32(rng.uniform(0, 0.4)) * (x * x + y * y)
    light: Array = 1 + ramp - dim
    if rng.random() < 0.4:  # folds, or lamps that overlap
        light += np.float32(rng.uniform(0.02, 0.1)) * (
            noise(rng, height, width, cells=log_uniform(rng, 1.5, 6), octaves=2) - 0.5
        )
    return np.clip(light[..., None] * colour.astype(np.float32), 0, 255)


def spilled(rng: np.random.Generator, colour: Array, alpha: Array, wall: Array) -> Array:
    """A screen's light on the subject: strongest near its edge and where it is transparent."""
    strength = np.float32(log_uniform(rng, 0.05, 0.6))
    reach = log_uniform(rng, 0.01, 0.08) * alpha.shape[0]
    near = np.clip(2 * (1 - _blurred(alpha, reach)), 0, 1)  # 1 along the outline, 0 deep inside
    amount = (strength * np.maximum(near, 1 - alpha))[..., None]
    light = wall.mean((0, 1)).astype(np.float32)
    # Dark surfaces reflect little of it; skin and hair reflect some of any colour.
    return np.clip(colour * (1 - 0.35 * amount) + amount * light * (0.25 + colour / 400), 0, 255)


def directed(rng: np.random.Generator, colour: Array, alpha: Array) -> Array:
    """Light from one side: that side of the subject brighter, the other darker."""
    facing = _facing(rng, alpha, log_uniform(rng, 0.04, 0.16) * alpha.shape[0])
    gain = 1 + np.float32(rng.uniform(0.15, 0.6)) * facing
    return np.clip(colour * gain[..., None], 0, 255)


def rim_lit(rng: np.random.Generator, colour: Array, alpha: Array) -> Array:
    """A lamp or the sun behind the subject: one side of its outline shines."""
    facing = _facing(rng, alpha, log_uniform(rng, 0.006, 0.04) * alpha.shape[0])
    amount = (np.float32(log_uniform(rng, 0.2, 1.2)) * np.clip(facing, 0, 1))[..., None]
    lamp = np.array([255, 235, 205] if rng.random() < 0.5 else [235, 242, 255], np.float32)
    return np.clip(colour * (1 + 0.8 * amount) + 0.35 * amount * lamp, 0, 255)


def surfaced(rng: np.random.Generator, colour: Array, photo: Array) -> Array:
    """Let a photograph's light and dark, and sometimes its colours, show on a drawn surface.

    colour: (S, S, 3) float32. photo: (S, S, 3), a crop of a photograph. Only its detail is used:
    each pixel over the mean of its neighbourhood, so that overall brightness does not change.
    """
    detail: Array = photo.astype(np.float32) + 12  # dark grain would otherwise grow without limit
    if rng.random() < 0.75:
        detail = detail.mean(2, keepdims=True)
    # A wider neighbourhood would look like a picture painted on the subject.
    around = _blurred(detail, log_uniform(rng, 0.008, 0.03) * colour.shape[0])
    detail = detail.reshape(*colour.shape[:2], -1) / around.reshape(*colour.shape[:2], -1)
    gain = np.clip(detail, 0.4, 1.9) ** np.float32(rng.uniform(0.3, 0.9))
    return np.clip(colour * gain, 0, 255)


def toned(rng: np.random.Generator, picture: Array) -> Array:
    """A camera's tone curve, (H, W, 3) float32 in 0..255: a mild gamma and an S."""
    value = np.clip(picture, 0, 255) / np.float32(255)
    value = np.asarray(cv2.pow(value, float(log_uniform(rng, 0.8, 1.25))))
    bend = np.float32(rng.uniform(-0.25, 0.5))
    value = value - bend / np.float32(2 * np.pi) * np.sin(np.float32(2 * np.pi) * value)
    return np.asarray(value * np.float32(255))


def _facing(rng: np.random.Generator, alpha: Array, reach: float) -> Array:
    """How much the outline faces a random direction, (S, S) float32: about -1 to 1, and 0 farther
    than `reach` pixels away."""
    soft = _blurred(alpha, reach)
    angle = rng.uniform(0, 2 * np.pi)
    inward_y, inward_x = np.gradient(soft)
    facing = -(np.cos(angle) * inward_x + np.sin(angle) * inward_y)
    return np.asarray(np.clip(facing * (2.5 * reach), -1, 1), np.float32)


def _blurred(values: Array, sigma: float) -> Array:
    """Gaussian blur; a wide one is computed on a smaller copy."""
    if sigma < 6:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), max(sigma, 0.3)))
    part = 3 / sigma
    small = cv2.resize(values, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 3)
    size = (values.shape[1], values.shape[0])
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR))
