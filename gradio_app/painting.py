"""Painted strokes: the three brushes, and from their colours to labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mematte_plugin import InputError, Stroke

OPACITY = 0.6
"""Of a stroke: the photo shows through, and a stroke over another one still wins."""
FAINT = 32
"""Alpha, of 255, below which a pixel counts as unpainted, as in the rim of a stroke."""


@dataclass(frozen=True)
class Brush:
    """One of the three colours."""

    stroke: Stroke
    title: str
    colour: tuple[int, int, int]
    """RGB, 0 to 255."""

    @property
    def css(self) -> str:
        """The colour as `#rrggbb`."""
        return "#{:02x}{:02x}{:02x}".format(*self.colour)


BRUSHES = (
    Brush(Stroke.FOREGROUND, "Subject", (30, 136, 255)),
    Brush(Stroke.BACKGROUND, "Background", (255, 40, 90)),
    Brush(Stroke.UNKNOWN, "Unsure: hair, soft edges", (255, 214, 10)),
)
"""So far apart, also for the colour-blind, that each painted at `OPACITY` over another is still
nearest to itself."""


def labels_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`Stroke` labels (h, w) of a painted layer (h, w, 4), RGBA with straight colours.

    The nearest brush counts, because a canvas returns colours slightly off.
    """
    colours = np.array([brush.colour for brush in BRUSHES], np.int32)  # (3, 3)
    strokes = np.array([brush.stroke for brush in BRUSHES], np.uint8)
    labels = np.full(pixels.shape[:2], Stroke.UNPAINTED, np.uint8)
    painted = pixels[..., 3] >= FAINT
    distance = ((pixels[painted, None, :3].astype(np.int32) - colours) ** 2).sum(axis=2)  # (n, 3)
    labels[painted] = strokes[distance.argmin(axis=1)]
    return labels


def read_painting(layers: Iterable[Path], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The labels (h, w) of a painting's layers, upper ones over lower ones.

    size: (h, w) of the picture that was painted on.

    Raises InputError for a layer of another size, or one that is not a PNG or WebP.
    """
    labels = np.full(size, Stroke.UNPAINTED, np.uint8)
    for layer in layers:
        upper = labels_of(_read_layer(layer, size))
        labels = np.where(upper == Stroke.UNPAINTED, labels, upper)
    return labels


def _read_layer(layer: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A layer (h, w, 4) with straight colours. Its size is checked before it is decoded."""
    from PIL import Image

    try:
        with Image.open(layer, formats=("PNG", "WEBP")) as picture:
            height, width = picture.height, picture.width
            if (height, width) == tuple(size):
                return np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError("painting: cannot be read; paint it again") from error
    raise InputError(
        f"painting: is {width}×{height}, but the photo on the page is {size[1]}×{size[0]}; clear it"
        " and paint on that photo"
    )
