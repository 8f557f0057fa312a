"""What lens and sensor do to a picture: exposure, focus, shadows, noise, compression."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .textures import log_uniform, noise

Array = NDArray[Any]


def graded(rng: np.random.Generator, picture: Array) -> Array:
    """Mild exposure, white balance, contrast and saturation changes."""
    gain = np.float32(log_uniform(rng, 0.78, 1.25)) * (1 + rng.normal(0, 0.035, 3))
    picture = picture * gain.astype(np.float32)
    if rng.random() < 0.5:
        grey = picture.mean(2, keepdims=True)
        picture = grey + (picture - grey) * np.float32(rng.uniform(0.55, 1.2))
    if rng.random() < 0.5:
        middle = picture.mean()
        picture = middle + (picture - middle) * np.float32(rng.uniform(0.75, 1.2))
    return np.asarray(np.clip(picture, 0, 255))


def out_of_focus(rng: np.random.Generator, picture: Array) -> Array:
    """Blur by a lens: an even disc, or a Gaussian for speed when it is large."""
    radius = log_uniform(rng, 0.8, 12)
    if radius > 5:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), radius * 0.6))
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return np.asarray(cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT))


def shadowed(rng: np.random.Generator, background: Array, alpha: Array) -> Array:
    """Let the subject darken what is close behind it."""
    move = np.array([[1, 0, rng.normal(0, 10)], [0, 1, rng.uniform(0, 14)]])
    size = (alpha.shape[1], alpha.shape[0])
    moved = cv2.warpAffine(alpha, move, size, borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(moved, (0, 0), log_uniform(rng, 3, 15))
    return np.asarray(background * (1 - np.float32(rng.uniform(0.1, 0.5)) * soft[..., None]))


def partly_sharp(rng: np.random.Generator, colour: Array, alpha: Array) -> tuple[Array, Array]:
    """A subject deeper than the lens's depth of field: sharp here and blurred there.

    Straight colour (S, S, 3) float32 and alpha (S, S), both blurred as one, go in and come out.
    """
    size = alpha.shape[0]
    far = log_uniform(rng, 1.2, 0.014 * max(size, 200))
    if rng.random() < 0.5:
        blurred = noise(rng, size, size, cells=rng.uniform(1, 2.5), octaves=1)
    else:
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
        angle = rng.uniform(0, 2 * np.pi)
        blurred = np.cos(angle) * x + np.sin(angle) * y + np.float32(0.5)
    steep = rng.uniform(1, 3)
    blurred = np.clip((blurred - rng.uniform(0.2, 0.6)) * steep, 0, 1).astype(np.float32)[..., None]
    sharp = np.dstack([colour * alpha[..., None], alpha])
    # Three levels: a mixture of a sharp and a very blurred hair would look like two hairs.
    half, full = (cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (far * 0.4, far))
    low, high = np.clip(2 * blurred, 0, 1), np.clip(2 * blurred - 1, 0, 1)
    mixed = sharp + (half - sharp) * low + (full - half) * high
    spread = np.clip(mixed[..., 3:], 0, 1)
    straight = np.where(spread > 1e-3, mixed[..., :3] / np.maximum(spread, 1e-3), colour)
    return np.clip(straight, 0, 255), spread[..., 0]


def photographed(rng: np.random.Generator, picture: Array) -> Array:
    """Sharpening, sensor noise and JPEG, over subject and background alike: uint8."""
    if rng.random() < 0.15:
        low = cv2.GaussianBlur(picture, (0, 0), 1.0)
        picture = picture + (picture - low) * np.float32(rng.uniform(0.2, 0.9))
    if rng.random() < 0.6:
        strength = log_uniform(rng, 0.6, 8)
        grain = rng.standard_normal(picture.shape, np.float32)
        if rng.random() < 0.5:  # demosaicing correlates neighbours
            grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.7)) * 1.8
        picture = picture + grain * np.float32(strength)
    image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(60, 96))
        done, packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        back = cv2.imdecode(packed, cv2.IMREAD_COLOR) if done else None
        if back is not None:
            image = np.ascontiguousarray(np.asarray(back)[..., ::-1])
    return image
