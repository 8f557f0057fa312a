"""Examples that start at once: a photograph and three ways to say where the subject is."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from mematte_plugin import read_photo, trimap_overlay

from .engine import Guide
from .painting import draw, guide_of, labels_of

THUMB = 96
"""Side of a thumbnail in pixels."""
OWN = Path(__file__).parent / "examples"


@dataclass(frozen=True)
class Example:
    """One of them."""

    way: str
    """How the subject is told: "trimap", "mask" or "paint"."""
    title: str
    """What its button says."""
    photo: Path
    """The photograph."""
    guide: Path
    """The rough subject: a trimap, a mask, or a painted layer with transparency."""


def examples() -> tuple[Example, ...]:
    """All of them, in the page's order."""
    shipped = Path(str(files("mematte_plugin.examples")))
    photo = shipped / "astronaut.jpg"
    return (
        Example("paint", "A few strokes", photo, OWN / "astronaut_strokes.png"),
        Example("mask", "A rough mask", photo, shipped / "astronaut_mask.png"),
        Example("trimap", "A trimap", photo, shipped / "astronaut_trimap.png"),
    )


def guide_for(example: Example, inside: float, outside: float) -> Guide:
    """The example's rough subject as a job takes it."""
    if example.way == "paint":
        return guide_of(labels_of(_layer(example)), inside, outside)
    return Guide("mask" if example.way == "mask" else "trimap", example.guide, inside, outside)


@lru_cache
def thumbnail(example: Example) -> str:
    """A small JPEG of the photo with its rough subject, as a data URL: it needs no file that the
    sweeping of old files would take away."""
    photo = read_photo(example.photo).pixels  # (H, W, 3) uint8
    if example.way == "paint":
        drawn = draw(photo, _layer(example))
    elif example.way == "mask":
        mask = np.asarray(Image.open(example.guide).convert("L"))
        drawn = np.where(mask[..., None] >= 128, photo, photo // 4)
    else:
        drawn = trimap_overlay(photo, np.asarray(Image.open(example.guide).convert("L")))
    out = io.BytesIO()
    side = THUMB * 2  # for screens of twice the density
    Image.fromarray(drawn).resize((side, side), Image.Resampling.LANCZOS).save(
        out, "JPEG", quality=80
    )
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _layer(example: Example) -> np.ndarray:
    """(H, W, 4) uint8."""
    return np.asarray(Image.open(example.guide).convert("RGBA"))
