"""The registry of foreground generators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .hairs import down, fringe, fur, hair_head
from .strokes import Foreground
from .textures import PhotoPool
from .things import flower, foliage, glass, grass, net, solid, twigs, veil

Generator = Callable[[np.random.Generator, int, PhotoPool], Foreground]

GENERATORS: dict[str, Generator] = {
    "hair_head": hair_head,
    "fur": fur,
    "fringe": fringe,
    "down": down,
    "foliage": foliage,
    "grass": grass,
    "flower": flower,
    "twigs": twigs,
    "net": net,
    "veil": veil,
    "glass": glass,
    "solid": solid,
}
"""name -> (rng, size, pool) -> Foreground of (size, size)."""

# Hair and fur are what matting is for; the rest keeps the network honest about other edges.
WEIGHTS: dict[str, float] = {
    "hair_head": 0.24,
    "fur": 0.22,
    "fringe": 0.05,
    "down": 0.04,
    "foliage": 0.08,
    "grass": 0.03,
    "flower": 0.05,
    "twigs": 0.04,
    "net": 0.07,
    "veil": 0.05,
    "glass": 0.04,
    "solid": 0.09,
}


def kind_of(rng: np.random.Generator) -> str:
    """The name of a random generator: what `generate` would draw first from the same state."""
    names = list(GENERATORS)
    weights = np.array([WEIGHTS[name] for name in names])
    return str(rng.choice(names, p=weights / weights.sum()))


def generate(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """Draw one foreground of a random kind."""
    return GENERATORS[kind_of(rng)](rng, size, pool)
