"""Examples that start at once: a photograph and three ways to mark its subject."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from mematte_plugin import read_photo

from .inputs import Guide
from .painting import read_painting

OWN = Path(__file__).parent / "examples"
PAINTED = OWN / "astronaut_painted.jpg"
"""The photograph with the example's strokes on it."""


@dataclass(frozen=True)
class Example:
    """One of them."""

    way: Literal["paint", "mask", "trimap"]
    """How the subject is marked."""
    title: str
    """The text of its button; the thumbnail is `OWN`/{way}.jpg."""
    photo: Path
    """The photograph."""
    guide: Path
    """A trimap, a mask, or a painted layer with transparency."""


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
    """The example's guide for a job; inside, outside: the band in %."""
    if example.way == "paint":
        labels = read_painting([example.guide], read_photo(example.photo).size)
        return Guide("painting", labels, inside, outside)
    return Guide(example.way, example.guide, inside, outside)
