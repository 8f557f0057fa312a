"""What subjects are made of: ellipsoids, strands and sheets, as plain arrays.

Lengths are in head radii, x to the right, y away from the viewer, z up. Colours are linear RGB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Ellipsoid:
    """A rounded part of a body."""

    centre: Array
    """(3,)"""
    radii: Array
    """(3,), along its own axes."""
    axes: Array = field(default_factory=lambda: np.eye(3))
    """(3, 3), columns are its axes."""

    def local(self, points: Array) -> Array:
        """Points (N, 3) in units of its radii: length 1 on the surface."""
        return np.asarray((points - self.centre) @ self.axes / self.radii)

    def normals(self, points: Array) -> Array:
        """Outward unit normals at surface points (N, 3)."""
        away = self.local(points) / self.radii @ self.axes.T
        return np.asarray(away / (np.linalg.norm(away, axis=1, keepdims=True) + 1e-9))


@dataclass(frozen=True)
class Solid:
    """A body of parts that flow into one another."""

    parts: tuple[Ellipsoid, ...]
    colour: Array
    """(3,) linear."""
    textured: bool = False
    """Whether a photograph gives its surface."""
    roughness: float = 0.6
    """0 mirror .. 1 chalk."""
    skin: float = 0.0
    """How much light wanders below the surface, 0..1."""
    blend: float = 0.06
    """How far parts flow into one another; 0 keeps them apart."""


@dataclass(frozen=True)
class Strands:
    """Hair, fur, threads, blades."""

    points: Array
    """(N, T, 3), root first."""
    radius: Array
    """(N, T), half the thickness."""
    colours: Array
    """(N, 3) linear."""
    gloss: float = 0.5
    """0 wool .. 1 silk."""


@dataclass(frozen=True)
class Sheet:
    """A surface: cloth or many leaves."""

    vertices: Array
    """(V, 3)"""
    faces: Array
    """(F, 4) vertex numbers."""
    uv: Array
    """(V, 2) in [0, 1]."""
    colours: Array
    """(V, 3) linear."""
    textured: bool = False
    """Whether a photograph gives its colour."""
    thin: float = 0.0
    """How much light comes through, 0..1."""


@dataclass(frozen=True)
class Subject:
    """Everything before the camera."""

    solids: tuple[Solid, ...] = ()
    strands: tuple[Strands, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    turn: float = 0.0
    """How far the camera walks around it, degrees; 0 sees the front."""
    lift: float = 5.0
    """How far the camera looks down, degrees."""
    middle: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """What the camera looks at."""
    reach: float = 2.0
    """Half of the picture's side, at the middle."""


def ball(centre: Any, radii: Any, axes: Array | None = None) -> Ellipsoid:
    """An ellipsoid from plain sequences."""
    turned = np.eye(3) if axes is None else axes
    return Ellipsoid(np.array(centre, float), np.array(radii, float), turned)


def turned(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
    """Rotation by degrees about x, then y, then z."""
    a, b, c = np.radians([x, y, z])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx)


def surface_points(
    rng: np.random.Generator, parts: tuple[Ellipsoid, ...], count: int
) -> tuple[Array, Array, Array]:
    """Points on the outside of a union of ellipsoids.

    Returns: points (N, 3), outward unit normals (N, 3), number of the part each lies on (N,);
    N is at most `count`.
    """
    areas = np.array([_area(part.radii) for part in parts])
    share = rng.multinomial(count, areas / areas.sum())
    points, normals, owners = [], [], []
    for number, (part, wanted) in enumerate(zip(parts, share, strict=True)):
        # Even directions crowd on the flat sides of a stretched ball; thin them out.
        unit = rng.normal(size=(wanted * 3 + 8, 3))
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        stretch = np.linalg.norm(unit / part.radii, axis=1)
        unit = unit[rng.random(len(unit)) < stretch / stretch.max()][:wanted]
        found = part.centre + (unit * part.radii) @ part.axes.T
        outside = np.ones(len(found), bool)
        for other, neighbour in enumerate(parts):
            if other != number:
                outside &= np.linalg.norm(neighbour.local(found), axis=1) > 1
        found = found[outside]
        points.append(found)
        normals.append(part.normals(found))
        owners.append(np.full(len(found), number))
    return np.concatenate(points), np.concatenate(normals), np.concatenate(owners)


def _area(radii: Array) -> float:
    """Surface of an ellipsoid, by Thomsen's approximation."""
    a, b, c = radii**1.6075
    return float(((a * b + a * c + b * c) / 3) ** (1 / 1.6075))


def smooth_noise(rng: np.random.Generator, points: Array, scale: float) -> Array:
    """A smooth random field at points (N, 3), about [-1, 1], with lumps of size `scale`."""
    total = np.zeros(len(points))
    for octave in range(3):
        wave = rng.normal(size=(6, 3)) * 2**octave / scale * 2
        phase = rng.uniform(0, 2 * np.pi, 6)
        total += np.sin(points @ wave.T + phase).mean(1) * 0.6**octave
    return np.asarray(np.clip(total * 1.3, -1, 1))
