"""Synthetic photographs with trimaps: the same scene at any size, and a chosen unknown share.

A blob with a soft edge and strands of hair over a smooth background. Its trimap is what a careful
person would draw: a band along the outline that follows the strands. Nothing is read or downloaded,
and the same arguments give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mematte_plugin import SettingError

STRANDS = 26
POINTS = 24
"""Points of a strand's curve."""
STRAND_WIDTH = 0.0018
"""Of a strand, over the picture's shorter side."""
SOFTNESS = 0.0012
"""Standard deviation of the outline's blur, over the picture's shorter side."""
UNEVEN = 0.35
"""How much the trimap's band varies in width along the outline."""
ROWS = 256
"""Rows that are composed at a time, so that 8K does not need gigabytes."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A picture to matte; all arrays have one size."""

    image: Bytes
    """(H, W, 3) uint8 RGB."""
    trimap: Bytes
    """(H, W) uint8: 0 background, 128 unknown, 255 foreground."""
    alpha: Bytes
    """(H, W) uint8, the true alpha."""


def make_scene(height: int, width: int, unknown: float) -> Scene:
    """The scene at one size.

    Args:
        height, width: in pixels; below about 128 the strands alone take a quarter of the picture.
        unknown: share of the pixels that the trimap leaves unknown, above 0 and below 0.7.

    Raises SettingError where hair and outline alone already take more than that share.
    """
    rng = np.random.default_rng(20)
    alpha = _alpha(height, width, rng)
    return Scene(_image(alpha, rng), _trimap(alpha, unknown, rng), alpha)


def _alpha(height: int, width: int, rng: np.random.Generator) -> Bytes:
    shift = 4  # cv2 takes coordinates in 1/16 pixels
    scale = np.array([width, height]) * (1 << shift)
    short = min(height, width)
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    outline = _outline(angles, rng)
    body: Bytes = np.zeros((height, width), np.uint8)
    cv2.fillPoly(body, [(outline * scale).astype(np.int32)], 255, cv2.LINE_AA, shift)
    body = np.asarray(cv2.GaussianBlur(body, (0, 0), max(0.5, SOFTNESS * short)), np.uint8)
    hair: Bytes = np.zeros_like(body)
    for start in rng.choice(len(angles), STRANDS, replace=False):
        curve = _strand(outline[start], angles[start], rng)
        points = (curve * scale).astype(np.int32)
        thick = max(1, round(STRAND_WIDTH * short))
        cv2.polylines(hair, [points], False, 230, thick, cv2.LINE_AA, shift)
    return np.maximum(body, hair)


def _outline(angles: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """(P, 2) points x, y in [0, 1] around the middle."""
    radius = np.full(len(angles), 0.3)
    for wave in range(2, 9):
        phase = rng.uniform(0, 2 * np.pi)
        radius += 0.05 / wave * np.cos(wave * angles + phase)
    return 0.5 + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)


def _strand(start: NDArray[Any], angle: float, rng: np.random.Generator) -> NDArray[Any]:
    """(POINTS, 2) points of a curve that leaves the outline and curls."""
    length = rng.uniform(0.05, 0.16)
    turn = np.cumsum(np.full(POINTS, rng.normal(0, 0.07)))
    heading = angle + rng.normal(0, 0.5) + turn
    steps = np.stack([np.cos(heading), np.sin(heading)], 1) * length / POINTS
    return start + np.cumsum(steps, 0) - steps[0] * 4  # rooted inside the body


def _trimap(alpha: Bytes, unknown: float, rng: np.random.Generator) -> Bytes:
    height, width = alpha.shape
    mixed = (alpha > 0) & (alpha < 255)
    if not mixed.mean() < unknown < 0.7:
        raise SettingError(
            f"unknown share {unknown:g}: at {width}x{height} give more than {mixed.mean():.3f},"
            " which is hair and outline alone, and less than 0.7"
        )
    far = cv2.distanceTransform((~mixed).astype(np.uint8), cv2.DIST_L2, 5)
    # A person's brush is not even; this also breaks the ties between equal distances.
    brush = rng.uniform(1 - UNEVEN, 1 + UNEVEN, (9, 13)).astype(np.float32)
    wide = cv2.resize(brush, (width, height), interpolation=cv2.INTER_LINEAR)
    far = np.multiply(far, wide)
    count = round(unknown * alpha.size)
    reach = np.partition(far.ravel(), count)[count]
    return np.where(far < reach, np.uint8(128), alpha)


def _image(alpha: Bytes, rng: np.random.Generator) -> Bytes:
    height, width = alpha.shape
    sides = [
        cv2.resize(
            rng.uniform(low, high, (5, 7, 3)).astype(np.uint8),
            (width, height),
            interpolation=cv2.INTER_CUBIC,
        )
        for low, high in (((40, 70, 50), (110, 150, 140)), ((120, 60, 40), (220, 150, 110)))
    ]
    grain = rng.normal(0, 3, (ROWS, width, 1)).astype(np.float32)
    image: Bytes = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, ROWS):
        rows = np.s_[top : top + ROWS]
        share = alpha[rows, :, None].astype(np.float32) / 255
        mix = sides[0][rows] * (1 - share) + sides[1][rows] * share + grain[: len(share)]
        image[rows] = mix.clip(0, 255).astype(np.uint8)
    return image
