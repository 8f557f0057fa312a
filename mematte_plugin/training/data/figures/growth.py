"""How strands grow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forms import Ellipsoid, smooth_noise

Array = NDArray[Any]


@dataclass(frozen=True)
class Style:
    """What hair does on its way."""

    length: float
    """Mean length."""
    steps: int = 14
    """Points along a strand."""
    spread: float = 0.15
    """Variation of the length, as a share."""
    gravity: float = 1.0
    """How strongly it falls; below zero it stands up."""
    wind: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """A steady pull aside."""
    waver: float = 0.3
    """How much a lock wanders."""
    clump: float = 0.5
    """How far strands of a lock meet at the tip; below zero they fan out."""
    locks: int = 500
    """How many guide strands lead the rest."""
    curl: float = 0.0
    """Radius of its curls."""
    turns: float = 3.0
    """Curls along a strand."""
    frizz: float = 0.01
    """Fine irregularity of every single strand."""
    stray: float = 0.03
    """Share of strands that leave their lock."""


def grow(
    rng: np.random.Generator,
    roots: Array,
    normals: Array,
    style: Style,
    *,
    bodies: tuple[Ellipsoid, ...] = (),
    comb: Array | None = None,
) -> Array:
    """Strands from roots (N, 3) with normals (N, 3): (N, steps, 3).

    A few guides grow freely, fall, and slide along `bodies`; the rest follow the nearest of them.
    `comb`, (N, 3), bends the headings at the root.
    """
    heading = normals if comb is None else normals + comb
    count = min(style.locks, len(roots))
    chosen = rng.choice(len(roots), count, replace=False)
    guides = _guides(rng, roots[chosen], heading[chosen], style, bodies)
    nearest = _nearest(roots, roots[chosen])
    t = np.linspace(0, 1, style.steps)[None, :, None]
    offset = (roots - roots[chosen][nearest])[:, None]
    paths = guides[nearest] + offset * (1 - style.clump * t**0.7)
    stretch = 1 + style.spread * rng.normal(size=(len(roots), 1, 1))
    paths = roots[:, None] + (paths - roots[:, None]) * np.clip(stretch, 0.35, 1.5)
    paths = _frizzed(rng, paths, style)
    wild = rng.random((len(roots), 1, 1)) < style.stray
    lean = rng.normal(size=(len(roots), 1, 3)) * style.length
    paths = paths + wild * lean * (0.25 * t**1.5 + 0.2 * t * rng.random((len(roots), 1, 1)))
    if style.curl:
        paths = curled(rng, paths, style.curl, style.turns)
    return outside(paths, bodies, 1.005)


def fur(
    rng: np.random.Generator,
    roots: Array,
    normals: Array,
    lengths: Array,
    comb: Array,
    *,
    steps: int = 6,
    tuft: float = 0.4,
    tuft_size: float = 0.12,
    frizz: float = 0.1,
) -> Array:
    """Short strands, each from its own root: (N, steps, 3). Neighbours lean together by `tuft`."""
    lean = np.stack([smooth_noise(rng, roots, tuft_size) for _ in range(3)], 1) * tuft
    start = normals + 0.4 * comb + 0.15 * rng.normal(size=roots.shape)
    end = 0.45 * normals + comb + lean + 0.25 * rng.normal(size=roots.shape)
    t = np.linspace(0, 1, steps)[None, :, None]
    way = start[:, None] * (1 - t) + end[:, None] * t
    way /= np.linalg.norm(way, axis=2, keepdims=True) + 1e-9
    way = way + frizz * np.cumsum(rng.normal(size=way.shape), 1) / np.sqrt(steps)
    stride = lengths[:, None, None] / (steps - 1)
    moved = np.cumsum(way[:, :-1] * stride, 1)
    return np.asarray(np.concatenate([roots[:, None], roots[:, None] + moved], 1))


def curled(rng: np.random.Generator, paths: Array, radius: float, turns: float) -> Array:
    """Wind strands (N, T, 3) around their own course."""
    count, steps = paths.shape[:2]
    along = np.gradient(paths, axis=1)
    along /= np.linalg.norm(along, axis=2, keepdims=True) + 1e-9
    helper = np.where(np.abs(along[..., 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    side = np.cross(along, helper)
    side /= np.linalg.norm(side, axis=2, keepdims=True) + 1e-9
    other = np.cross(along, side)
    t = np.linspace(0, 1, steps)[None]
    speed = turns * (1 + 0.15 * rng.normal(size=(count, 1)))
    # Neighbouring strands curl together: the phase follows the root.
    phase = paths[:, 0] @ rng.normal(size=(3, 1)) * 4 + 0.5 * rng.normal(size=(count, 1))
    angle = 2 * np.pi * speed * t + phase
    size = radius * np.minimum(t * 4, 1) * (1 + 0.2 * rng.normal(size=(count, 1)))
    return np.asarray(
        paths + side * (size * np.cos(angle))[..., None] + other * (size * np.sin(angle))[..., None]
    )


def outside(paths: Array, bodies: tuple[Ellipsoid, ...], layer: float) -> Array:
    """Push points (…, 3) that lie inside a body out onto `layer` times its surface."""
    flat = paths.reshape(-1, 3).copy()
    for body in bodies:
        local = body.local(flat)
        depth = np.linalg.norm(local, axis=1)
        inside = depth < layer
        pushed = local[inside] * (layer / np.maximum(depth[inside], 1e-3))[:, None]
        flat[inside] = body.centre + (pushed * body.radii) @ body.axes.T
    return np.asarray(flat.reshape(paths.shape))


def tapered(rng: np.random.Generator, count: int, steps: int, root: float, tip: float) -> Array:
    """Radii that fall from about `root` to a share `tip` of it, (count, steps)."""
    t = np.linspace(0, 1, steps)[None]
    own = root * np.exp(0.2 * rng.normal(size=(count, 1)))
    return np.asarray(own * (1 - (1 - tip) * t**1.5))


def _guides(
    rng: np.random.Generator,
    roots: Array,
    heading: Array,
    style: Style,
    bodies: tuple[Ellipsoid, ...],
) -> Array:
    count, steps = len(roots), style.steps
    way = heading / (np.linalg.norm(heading, axis=1, keepdims=True) + 1e-9)
    own = style.length * np.clip(1 + style.spread * rng.normal(size=(count, 1)), 0.4, 1.6)
    layer = 1.02 + rng.exponential(0.05, (count, 1))
    pull = np.array([0.0, 0.0, -style.gravity]) + np.array(style.wind)
    path = [roots]
    for _ in range(steps - 1):
        way = way + (pull * own * 0.9 + style.waver * rng.normal(size=(count, 3))) / steps * 2
        way /= np.linalg.norm(way, axis=1, keepdims=True) + 1e-9
        here = path[-1] + way * own / (steps - 1)
        for body in bodies:
            local = body.local(here)
            depth = np.linalg.norm(local, axis=1, keepdims=True)
            pushed = body.centre + (local * layer / np.maximum(depth, 1e-3) * body.radii) @ (
                body.axes.T
            )
            here = np.where(depth < layer, pushed, here)
        path.append(here)
    return np.stack(path, 1)


def _nearest(points: Array, centres: Array) -> Array:
    """Number of the nearest centre of every point, (N,)."""
    found = np.empty(len(points), int)
    square = (centres**2).sum(1)
    for start in range(0, len(points), 4096):
        chunk = points[start : start + 4096]
        found[start : start + 4096] = np.argmin(square - 2 * chunk @ centres.T, 1)
    return found


def _frizzed(rng: np.random.Generator, paths: Array, style: Style) -> Array:
    steps = style.steps
    jitter = np.cumsum(rng.normal(size=paths.shape), 1) / np.sqrt(steps)
    for _ in range(2):  # hair bends, it has no corners
        jitter[:, 1:-1] = (jitter[:, :-2] + 2 * jitter[:, 1:-1] + jitter[:, 2:]) / 4
    t = np.linspace(0, 1, steps)[None, :, None]
    return np.asarray(paths + style.frizz * style.length * jitter * t)
