"""Reading people's pictures; what cannot be used says why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MEMatteError
from ...images.arrays import to_unit
from ...images.read import read_gray, read_photo

Array = NDArray[Any]

SMALLEST = 160
"""Shortest side of a background in pixels; a smaller one gives no crop."""
JPEG_NOISE = 4.5 / 255
"""Alphas stored as JPEG count as 0 and 1 within this distance."""


class UnusableError(Exception):
    """Says in words why a picture is left out."""


def read_background(path: Path) -> NDArray[np.uint8]:
    """A photograph (H, W, 3) uint8, upright. Raises UnusableError."""
    image, _ = read_picture(path)
    if min(image.shape[:2]) < SMALLEST:
        raise UnusableError(f"too small ({image.shape[1]} x {image.shape[0]})")
    return eight_bit(image)


def read_picture(path: Path) -> tuple[Array, Array | None]:
    """Display-encoded colours (H, W, 3) and transparency (H, W), float32 in [0, 1].

    Raises UnusableError.
    """
    try:
        photo = read_photo(path)
    except MEMatteError as error:
        raise UnusableError(_without_path(error, path)) from error
    return photo.for_network(), None if photo.alpha is None else to_unit(photo.alpha)


def read_alpha(path: Path) -> Array:
    """An alpha (H, W) float32 in [0, 1]. Raises UnusableError."""
    try:
        alpha = read_gray(path, name="alpha", use_alpha=True)
    except MEMatteError as error:
        raise UnusableError(f"alpha: {_without_path(error, path)}") from error
    if path.suffix.lower() in {".jpg", ".jpeg"}:  # noise is neither haze nor a hole
        alpha = np.where(alpha < JPEG_NOISE, 0, np.where(alpha > 1 - JPEG_NOISE, 1, alpha))
    return alpha.astype(np.float32)


def eight_bit(image: Array) -> NDArray[np.uint8]:
    """Float in [0, 1] to uint8."""
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _without_path(error: Exception, path: Path) -> str:
    """A message without the path that it starts with."""
    return re.sub(rf"^.*?{re.escape(str(path))}[^:]*: ", "", str(error))
