"""The generators of drawn foregrounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .hairs import down, fringe, fur, hair_head
from .strokes import Foreground
from .textures import PhotoPool
from .things import flower, foliage, glass, grass, net, solid, twigs, veil

Generator = Callable[[np.random.Generator, int, PhotoPool], Foreground]

# Mostly hair and fur, which matting is for; the rest keeps the network honest about other edges.
GENERATORS: dict[str, tuple[float, Generator]] = {
    "hair_head": (0.24, hair_head),
    "fur": (0.22, fur),
    "fringe": (0.05, fringe),
    "down": (0.04, down),
    "foliage": (0.08, foliage),
    "grass": (0.03, grass),
    "flower": (0.05, flower),
    "twigs": (0.04, twigs),
    "net": (0.07, net),
    "veil": (0.05, veil),
    "glass": (0.04, glass),
    "solid": (0.09, solid),
}
"""Name -> share, and (rng, size, pool) -> Foreground of (size, size)."""


def kind_of(rng: np.random.Generator) -> str:
    """The name of a random generator: the one that `generate` uses for the same state."""
    shares = np.array([share for share, _ in GENERATORS.values()])
    return str(rng.choice(list(GENERATORS), p=shares / shares.sum()))


def generate(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """Draw one foreground of a random kind."""
    _, draw = GENERATORS[kind_of(rng)]
    return draw(rng, size, pool)
