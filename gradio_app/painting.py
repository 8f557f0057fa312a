"""Painted strokes: the three brushes, and from their colours to what the core understands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mematte_plugin import InputError, Stroke

from .engine import Guide
from .views import PREVIEW

OPACITY = 0.6
"""How much a stroke covers: the photo shows through, and a stroke over another one still wins."""

FAINT = 32
"""Opacity, of 255, below which a pixel counts as unpainted: what the rim of a stroke leaves."""


@dataclass(frozen=True)
class Brush:
    """One of the three colours."""

    stroke: Stroke
    """What it marks."""
    title: str
    """What the page calls it."""
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
"""Chosen so far apart, also for the colour blind, that any of them painted at `OPACITY` over the
others is still nearest to itself."""


def labels_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`Stroke` labels (h, w) of a painted layer (h, w, 4), RGBA with straight colours.

    The nearest brush counts: a canvas gives colours back that are off by some steps.
    """
    colours = np.array([brush.colour for brush in BRUSHES], np.int32)  # (3, 3)
    strokes = np.array([brush.stroke for brush in BRUSHES], np.uint8)
    labels = np.full(pixels.shape[:2], Stroke.UNPAINTED, np.uint8)
    painted = pixels[..., 3] >= FAINT
    distance = ((pixels[painted, None, :3].astype(np.int32) - colours) ** 2).sum(axis=2)  # (n, 3)
    labels[painted] = strokes[distance.argmin(axis=1)]
    return labels


def read_layers(layers: Sequence[Path], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The labels (h, w) that the layers of a painting hold, the upper ones over the lower ones.

    size: (h, w) of the picture that was painted on.

    Raises InputError for a layer that is no PNG or WebP with transparency or of another size.
    """
    labels = np.full(size, Stroke.UNPAINTED, np.uint8)
    for layer in layers:
        upper = labels_of(read_layer(layer, size))
        labels = np.where(upper == Stroke.UNPAINTED, labels, upper)
    return labels


def guide_of(labels: NDArray[np.uint8], inside: float, outside: float) -> Guide:
    """What a painting says about the subject.

    With background painted, what is unpainted is unknown. Without, the painted subject is a mask,
    around which the band is laid, and what is painted as unsure is unknown as well.

    Raises InputError where no subject is painted.
    """
    subject = labels == Stroke.FOREGROUND
    if not subject.any():
        what = "only other colours are" if (labels != Stroke.UNPAINTED).any() else "nothing is"
        raise InputError(f"painting: {what} painted; paint over the subject in blue")
    if (labels == Stroke.BACKGROUND).any():
        return Guide("strokes", labels)
    mask = np.zeros(labels.shape, np.uint8)
    # Neither black nor white nor yet half: in a mask, that is unknown and not of the subject.
    mask[labels == Stroke.UNKNOWN] = 127
    mask[subject] = 255
    return Guide("mask", mask, inside, outside)


def draw(pixels: NDArray[np.uint8], layer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (h, w, 3) with a painted layer (h, w, 4) on it."""
    share = layer[..., 3:].astype(np.float32) / 255
    return np.rint(pixels * (1 - share) + layer[..., :3] * share).astype(np.uint8)


def read_layer(layer: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A painted layer, (h, w, 4) with straight colours.

    size: (h, w) that it has to have, which is looked at before anything is decoded.

    Raises InputError as `read_layers` does.
    """
    from PIL import Image

    try:
        with Image.open(layer, formats=("PNG", "WEBP")) as picture:
            height, width = picture.height, picture.width
            if (height, width) == tuple(size) and max(height, width) <= PREVIEW:
                return np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError("painting: cannot be read; paint it again") from error
    raise InputError(
        f"painting: is {width}×{height}, but what the page shows of the photo is "
        f"{size[1]}×{size[0]}; clear it and paint on the photo that is shown"
    )
