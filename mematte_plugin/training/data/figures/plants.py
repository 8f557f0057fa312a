"""Plants and cloth: what leaves, blades, seeds and threads make up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .colours import COATS, PLANTS, dyed, pick, strand_colours
from .forms import Sheet, Strands, Subject, ball, surface_points
from .growth import Style, fur, grow, tapered

Array = NDArray[Any]


def plant(rng: np.random.Generator) -> Subject:
    """Leaves on stems, grasses, or a ball of seeds."""
    kind = rng.random()
    hue = pick(rng, PLANTS)
    strands: list[Strands] = []
    sheets: list[Sheet] = []
    if kind < 0.4:
        stems, leaves = _leafy(rng, hue)
        strands.append(stems)
        sheets.append(leaves)
    elif kind < 0.7:
        count = int(rng.uniform(400, 2500))
        roots = np.concatenate([rng.normal(0, 0.5, (count, 2)), np.full((count, 1), -2.0)], 1)
        up = np.tile([0.0, 0.0, 1.0], (count, 1)) + 0.3 * rng.normal(size=(count, 3))
        style = Style(
            length=rng.uniform(1.8, 3.6),
            steps=14,
            gravity=rng.uniform(0.2, 1.0),
            waver=0.2,
            clump=-rng.uniform(0, 1),
            locks=count // 3,
            frizz=0.004,
        )
        blades = grow(rng, roots, up, style)
        radius = tapered(rng, count, 14, rng.uniform(0.008, 0.04), 0.02)
        strands.append(Strands(blades, radius, strand_colours(rng, hue, count), 0.4))
        ears = blades[: count // 3]
        strands.append(_plumes(rng, ears, hue))
    else:
        centre = ball((0, 0, 0), (0.22, 0.22, 0.22))
        count = int(rng.uniform(200, 900))
        roots, normals, _ = surface_points(rng, (centre,), count)
        t = np.linspace(0, 1, 6)[None, :, None]
        reach = rng.uniform(0.9, 1.3)
        stalks = roots[:, None] + normals[:, None] * t * reach * rng.uniform(
            0.8, 1, (len(roots), 1, 1)
        )
        shades = strand_colours(rng, pick(rng, COATS[4:7]), len(roots))
        strands.append(Strands(stalks, tapered(rng, len(roots), 6, 0.005, 0.6), shades, 0.3))
        strands.append(_parasols(rng, stalks[:, -1], normals, shades))
        stem = np.stack(
            [np.linspace(0, rng.normal(0, 0.3), 8), np.zeros(8), np.linspace(0, -4, 8)], 1
        )
        strands.append(Strands(stem[None], np.full((1, 8), 0.06), hue[None], 0.3))
    return Subject(
        (), tuple(strands), tuple(sheets), turn=rng.uniform(-180, 180), lift=rng.uniform(0, 25),
        middle=(0.0, 0.0, rng.uniform(-0.5, 0.3)), reach=rng.uniform(1.2, 2.4),
    )  # fmt: skip


def _plumes(rng: np.random.Generator, stalks: Array, hue: Array) -> Strands:
    """Soft hairs along the upper third of stalks (N, T, 3)."""
    each = 60
    top = stalks[:, -5:]
    at = rng.integers(0, 4, (len(stalks), each))
    mix = rng.random((len(stalks), each, 1))
    rows = np.arange(len(stalks))[:, None]
    roots = (top[rows, at] * (1 - mix) + top[rows, at + 1] * mix).reshape(-1, 3)
    way = rng.normal(size=roots.shape) * 0.6 + [0, 0, 0.4]
    t = np.linspace(0, 1, 5)[None, :, None]
    paths = (
        roots[:, None] + way[:, None] * t * rng.uniform(0.05, 0.2) - np.array([0, 0, 0.08]) * t**2
    )
    shades = strand_colours(rng, hue * 0.4 + 0.4 * pick(rng, COATS[3:7]), len(paths))
    return Strands(paths, tapered(rng, len(paths), 5, 0.003, 0.3), shades, 0.2)


def _parasols(rng: np.random.Generator, tips: Array, normals: Array, shades: Array) -> Strands:
    """A star of fine hairs at every tip."""
    each = 26
    way = np.repeat(normals, each, 0) * 0.5 + rng.normal(size=(len(tips) * each, 3)) * 0.6
    t = np.linspace(0, 1, 4)[None, :, None]
    paths = np.repeat(tips, each, 0)[:, None] + way[:, None] * t * rng.uniform(0.15, 0.3)
    return Strands(paths, tapered(rng, len(paths), 4, 0.0025, 0.4), np.repeat(shades, each, 0), 0.3)


def _leafy(rng: np.random.Generator, hue: Array) -> tuple[Strands, Sheet]:
    """Stems with leaves of one shape, each leaf folded along its midrib."""
    count = int(rng.integers(8, 40))
    base = np.concatenate([rng.normal(0, 0.15, (count, 2)), np.full((count, 1), -2.2)], 1)
    heads = np.tile([0.0, 0.0, 1.0], (count, 1)) + 0.4 * rng.normal(size=(count, 3))
    style = Style(length=rng.uniform(2.0, 3.8), steps=16, gravity=rng.uniform(0.0, 0.7),
                  waver=0.4, clump=0.0, locks=count, frizz=0.0, stray=0.0)  # fmt: skip
    stems = grow(rng, base, heads, style)
    per = int(rng.integers(10, 40))
    at = rng.integers(4, 16, (count, per))
    roots = stems[np.arange(count)[:, None], at].reshape(-1, 3)
    along = np.repeat(heads, per, 0) * 0.5 + rng.normal(size=roots.shape)
    along[:, 2] -= rng.uniform(-0.4, 0.5)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, rng.normal(size=roots.shape))
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    up = np.cross(across, along)
    length = rng.uniform(0.15, 0.6) * rng.uniform(0.5, 1.2, (len(roots), 1, 1))
    slim, fold, sag = rng.uniform(0.1, 0.5), rng.uniform(0, 0.4), rng.uniform(-0.5, 0.5)
    u = np.linspace(0, 1, 9)[None, :, None]
    profile = np.sin(np.pi * u ** rng.uniform(0.6, 1.2)) * slim * 0.5
    mid = roots[:, None] + (along[:, None] * u + up[:, None] * sag * u**2 * 0.4) * length
    side = (across[:, None] + up[:, None] * fold) * profile * length
    other = (-across[:, None] + up[:, None] * fold) * profile * length
    vertices = np.stack([mid + side, mid, mid + other], 2)  # (L, 9, 3, 3)
    leaves = len(roots)
    grid = np.arange(leaves * 27).reshape(leaves, 9, 3)
    quads = np.stack([grid[:, :-1, :-1], grid[:, 1:, :-1], grid[:, 1:, 1:], grid[:, :-1, 1:]], -1)
    uv = np.stack(np.broadcast_arrays(np.linspace(0, 1, 3)[None, None], u), -1)
    uv = np.broadcast_to(uv, (leaves, 9, 3, 2))
    shades = np.repeat(strand_colours(rng, hue, leaves), 27, 0)
    leaf = Sheet(vertices.reshape(-1, 3), quads.reshape(-1, 4), uv.reshape(-1, 2), shades, thin=0.4)
    radius = tapered(rng, count, 16, rng.uniform(0.015, 0.04), 0.2)
    return Strands(stems, radius, strand_colours(rng, hue * 0.7, count), 0.2), leaf


def cloth(rng: np.random.Generator) -> Subject:
    """A hanging cloth with folds, fuzz, and a fringe of threads."""
    size = 90
    u, v = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    x, z = (u - 0.5) * rng.uniform(2.2, 3.6), 1.4 - v * rng.uniform(1.4, 2.6)
    y = np.zeros_like(u)
    for _ in range(5):
        wave, slant = rng.uniform(2, 16), rng.normal(0, 2)
        y += rng.uniform(0.02, 0.16) * np.sin(wave * u + slant * v + rng.uniform(0, 6)) * (0.3 + v)
    z = z - rng.uniform(0, 0.25) * (2 * u - 1) ** 2 * v
    vertices = np.stack([x, y, z], 2)
    grid = np.arange(size * size).reshape(size, size)
    quads = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], -1)
    colour = dyed(rng)
    flat = vertices.reshape(-1, 3)
    sheet = Sheet(
        flat, quads.reshape(-1, 4), np.stack([u, 1 - v], 2).reshape(-1, 2),
        np.tile(colour, (len(flat), 1)), textured=rng.random() < 0.7, thin=rng.uniform(0, 0.3),
    )  # fmt: skip
    count = int(rng.uniform(600, 4000))
    where = rng.random(count) * (size - 1.001)
    low = where.astype(int)
    mix = (where - low)[:, None]
    edge = vertices[-1]
    roots = edge[low] * (1 - mix) + edge[low + 1] * mix
    heads = np.tile([0.0, 0.0, -1.0], (count, 1)) + 0.1 * rng.normal(size=(count, 3))
    style = Style(
        length=rng.uniform(0.3, 1.2),
        steps=12,
        gravity=0.6,
        waver=rng.uniform(0.1, 0.8),
        clump=rng.uniform(0.5, 0.95),
        locks=int(rng.integers(20, 90)),
        frizz=rng.uniform(0.01, 0.06),
        curl=rng.uniform(0, 0.03),
        turns=rng.uniform(2, 6),
        stray=0.08,
    )
    threads = grow(rng, roots, heads, style)
    thread_colours = strand_colours(rng, colour if rng.random() < 0.5 else dyed(rng), count)
    strands = [
        Strands(
            threads, tapered(rng, count, 12, rng.uniform(0.004, 0.012), 0.6), thread_colours, 0.1
        )
    ]
    if rng.random() < 0.6:
        points = flat[rng.integers(0, len(flat), 12000)] + rng.normal(0, 0.02, (12000, 3))
        ways = np.tile([0.0, -1.0, 0.0], (12000, 1)) + 0.8 * rng.normal(size=(12000, 3))
        lengths = rng.uniform(0.03, 0.12) * np.exp(0.4 * rng.normal(size=12000))
        fibres = fur(rng, points, ways, lengths, np.zeros_like(points), frizz=0.6)
        shades = strand_colours(rng, colour, len(fibres))
        strands.append(Strands(fibres, tapered(rng, 12000, 6, 0.0025, 0.5), shades, 0.0))
    return Subject(
        (), tuple(strands), (sheet,), turn=rng.normal(0, 35), lift=rng.uniform(-10, 15),
        middle=(0.0, 0.0, rng.uniform(-0.6, 0.1)), reach=rng.uniform(1.0, 2.0),
    )  # fmt: skip
