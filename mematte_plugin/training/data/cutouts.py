"""Decoded foregrounds of a bank, and random views of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Array = NDArray[Any]

USUAL_SIDE = 640
"""Pixels; larger foregrounds are viewed from a little farther away."""


@dataclass(frozen=True)
class Cutout:
    """A decoded foreground."""

    levels: tuple[Array, Array]
    """(H, W, 4) uint8 straight RGBA at full and at half size."""
    edges: Array
    """(N, 2) float32, points (x, y) where alpha is between 0 and 1."""
    touches: Array
    """(2, 2) bool: whether the subject reaches the left, top; right, bottom border."""

    @property
    def nbytes(self) -> int:
        """Memory of its pixels."""
        return sum(level.nbytes for level in self.levels)


def read_cutout(path: Path, seed: int) -> Cutout | None:
    """Decode a foreground; None, with a warning, if unreadable. `seed` chooses its edge points."""
    bgra = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if bgra is None or bgra.ndim != 3 or bgra.shape[2] != 4:
        log.warning("%s: skipped, not a readable RGBA image", path)
        return None
    full = np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA))
    half = np.asarray(cv2.resize(full, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    alpha = full[..., 3]
    soft = np.argwhere((alpha > 8) & (alpha < 247))
    if len(soft) == 0:
        soft = np.argwhere(alpha > 127)
    if len(soft) == 0:
        soft = np.array([[alpha.shape[0] // 2, alpha.shape[1] // 2]])
    pick = np.random.default_rng(seed).integers(len(soft), size=min(len(soft), 400))
    rims = (alpha[:, 0], alpha[0]), (alpha[:, -1], alpha[-1])
    touches = np.array([[bool((rim > 8).any()) for rim in pair] for pair in rims])
    return Cutout((full, half), soft[pick][:, ::-1].astype(np.float32), touches)


def view(rng: np.random.Generator, cutout: Cutout, size: int) -> tuple[Array, Array]:
    """A cutout scaled, turned and placed: colour (S, S, 3) uint8, alpha (S, S) float32.

    The crop never extends beyond a border that cuts the subject off, where it is not known.
    """
    length = np.array(cutout.levels[0].shape[1::-1])
    usual = 0.85 * np.sqrt(min(1.0, USUAL_SIDE / length.max()))
    scale = float(np.clip(np.exp(rng.normal(np.log(usual), 0.38)), 0.35, 2.0))
    turn = rng.uniform(0, 360) if rng.random() < 0.12 else rng.normal(0, 12)
    at = cutout.edges[int(rng.integers(len(cutout.edges)))]
    if rng.random() < 0.1:
        at = at + rng.normal(0, 80, 2)
    at = at - rng.uniform(-0.4, 0.4, 2) * size / scale
    cut = cutout.touches.all(0)  # x, y: cut off on both sides, so the crop must fit between
    if cut.any():
        room = float(length[cut].min())
        if size * _spread(turn) / room > scale:  # a turned crop is wider: turn it less
            turn = turn % 90 * 0.3 if turn >= 45 else turn * 0.3
        scale = max(scale, size * _spread(turn) / (room - 2))
    reach = 0.5 * size / scale * _spread(turn)
    at = np.where(cutout.touches[0], np.maximum(at, reach), at)
    at = np.where(cutout.touches[1], np.minimum(at, length - 1 - reach), at)
    level = 1 if scale < 0.62 else 0
    source = cutout.levels[level]
    ratio = 2**level
    centre = (float(at[0]) / ratio, float(at[1]) / ratio)
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, float(turn), scale * ratio), np.float64)
    matrix[:, 2] += size / 2 - np.array(centre)
    # Mirrored, so that no black mixes into the colours; beyond the border alpha is cleared below.
    seen = np.asarray(
        cv2.warpAffine(source, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    )
    seen[_beyond(matrix, source, cutout.touches, size), 3] = 0
    if rng.random() < 0.5:
        seen = seen[:, ::-1]
    return seen[..., :3], seen[..., 3].astype(np.float32) / 255


def over(colour: Array, alpha: Array, behind: Array, behind_alpha: Array) -> tuple[Array, Array]:
    """Porter and Duff's "over", straight colours (S, S, 3) and alphas (S, S)."""
    rest = (1 - alpha) * behind_alpha
    total = alpha + rest
    mixed = colour * alpha[..., None] + behind * rest[..., None]
    seen = total[..., None]
    return np.where(seen > 1e-3, mixed / np.maximum(seen, 1e-3), colour), total


def _spread(turn: float) -> float:
    """Side of the upright box around a turned square of side 1."""
    return float(abs(np.cos(np.radians(turn))) + abs(np.sin(np.radians(turn))))


def _beyond(matrix: Array, source: Array, touches: Array, size: int) -> Array:
    """Which pixels of a crop lie beyond a border that the subject does not reach, (S, S) bool."""
    back = np.asarray(cv2.invertAffineTransform(matrix), np.float32)
    step = np.arange(size, dtype=np.float32)
    beyond = np.zeros((size, size), bool)
    for axis in range(2):  # x, y
        place = back[axis, 0] * step + (back[axis, 1] * step + back[axis, 2])[:, None]
        if not touches[0, axis]:
            beyond |= place < 0
        if not touches[1, axis]:
            beyond |= place > source.shape[1 - axis] - 1
    return beyond
