"""The kinds of subjects: people, animals, birds; plants and cloth from `plants`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .colours import COATS, HAIR, SKIN, coat, dyed, pick, strand_colours
from .forms import Ellipsoid, Solid, Strands, Subject, ball, surface_points, turned
from .growth import curled, fur, grow, outside, tapered
from .plants import cloth, plant
from .styles import STYLES

Array = NDArray[Any]


def person(rng: np.random.Generator) -> Subject:
    """A head of hair on shoulders, from any side."""
    head = ball((0, 0, 0), (0.78, 0.95, 1.02))
    trunk = (
        ball((0, 0.2, -3.4), (1.5, 0.75, 1.6)),
        ball((1.0, 0.2, -2.45), (0.95, 0.6, 0.5), turned(y=22)),
        ball((-1.0, 0.2, -2.45), (0.95, 0.6, 0.5), turned(y=-22)),
        ball((1.72, 0.2, -3.6), (0.42, 0.5, 1.5)),
        ball((-1.72, 0.2, -3.6), (0.42, 0.5, 1.5)),
        ball((0, 0.2, -2.0), (0.75, 0.52, 0.42)),
    )
    features = (
        head,
        ball((0, -0.22, -0.55), (0.58, 0.62, 0.62)),
        ball((0, -0.55, -0.95), (0.3, 0.28, 0.2)),
        ball((0, 0.15, -1.35), (0.42, 0.44, 0.9)),
        ball((0, -0.98, -0.28), (0.13, 0.18, 0.14), turned(x=20)),
        ball((0, -0.9, -0.05), (0.1, 0.14, 0.3), turned(x=-12)),
        ball((0.8, 0.05, -0.2), (0.09, 0.2, 0.28)),
        ball((-0.8, 0.05, -0.2), (0.09, 0.2, 0.28)),
        ball((0, -0.82, -0.62), (0.24, 0.13, 0.09)),
    )
    skin = pick(rng, SKIN)
    eyes = tuple(ball((x, -0.8, -0.05), (0.13, 0.09, 0.075)) for x in (-0.3, 0.3))
    solids = (
        Solid(features, skin, roughness=0.45, skin=0.15, blend=0.1),
        Solid(trunk, dyed(rng), textured=rng.random() < 0.6, roughness=0.9, blend=0.16),
        Solid(eyes, np.array([0.02, 0.015, 0.01]), roughness=0.1, blend=0.0),
    )
    name = str(rng.choice(list(STYLES), p=[0.24, 0.2, 0.18, 0.12, 0.16, 0.1]))
    style = STYLES[name](rng)
    count = int(rng.uniform(22000, 45000))
    roots, normals, _ = surface_points(rng, (head,), count * 2)
    line = roots[:, 2] * 0.75 + roots[:, 1] * 0.85 + 0.03 * rng.normal(size=len(roots))
    keep = line > rng.uniform(-0.1, 0.12)
    roots, normals = roots[keep][:count], normals[keep][:count]
    parting = rng.normal(0, 0.25)
    comb = np.zeros_like(roots)
    comb[:, 0] = np.sign(roots[:, 0] - parting) * rng.uniform(0, 0.8)
    comb[:, 1] = rng.uniform(-0.3, 0.8)
    bodies = (ball((0, 0, 0), (0.79, 0.96, 1.03)), features[1], features[3], *trunk)
    paths = grow(rng, roots, normals, style, bodies=bodies, comb=comb)
    hair = pick(rng, HAIR) if rng.random() < 0.93 else dyed(rng)
    thick = rng.uniform(0.0022, 0.0042)
    strands = [
        Strands(
            paths,
            tapered(rng, len(paths), style.steps, thick, 0.25),
            strand_colours(rng, hair, len(paths)),
            rng.uniform(0.3, 0.9),
        )
    ]
    if rng.random() < 0.35:  # wool, fleece
        strands.append(_fuzz(rng, trunk, solids[1].colour, rng.uniform(0.02, 0.12)))
    low = {"long": -1.4, "wavy": -1.2, "blown": -0.9}.get(name, -0.6)
    return Subject(
        solids,
        tuple(strands),
        turn=rng.uniform(-180, 180),
        lift=rng.uniform(-5, 15),
        middle=(0.0, 0.0, low + rng.normal(0, 0.2)),
        reach=rng.uniform(1.5, 3.0),
    )


def animal(rng: np.random.Generator) -> Subject:
    """A sitting or standing beast with fur all over."""
    plush = rng.random() < 0.25
    wide = rng.uniform(0.8, 1.25)
    body = ball((0, 1.5, -2.1), (1.15 * wide, rng.uniform(1.3, 2.2), rng.uniform(1.0, 1.4)))
    chest = ball((0, 0.5, -1.6), (0.95 * wide, 0.95, 1.15))
    head = ball((0, 0, 0), (rng.uniform(0.8, 1.0), 0.9, rng.uniform(0.75, 0.95)))
    long_nose = rng.uniform(0.2, 0.9)
    muzzle = ball((0, -0.7 - 0.4 * long_nose, -0.28), (0.36, 0.4 + 0.4 * long_nose, 0.32))
    cheeks = [ball((s * 0.45, -0.35, -0.3), (0.4, 0.45, 0.4)) for s in (-1, 1)]
    ear_kind = rng.random()
    ears = []
    for s in (-1, 1):
        if ear_kind < 0.4:  # upright
            tilt = turned(y=s * rng.uniform(10, 30))
            ears.append(ball((s * 0.5, 0.1, 0.95), (0.25, 0.1, rng.uniform(0.35, 0.9)), tilt))
        elif ear_kind < 0.7:  # hanging
            tilt = turned(y=s * rng.uniform(-25, -5))
            ears.append(ball((s * 0.92, 0.1, -0.15), (0.16, 0.3, rng.uniform(0.45, 0.85)), tilt))
        else:  # round
            ears.append(ball((s * 0.68, 0.1, 0.65), (0.32, 0.14, 0.32)))
    legs = [
        ball((s * 0.6 * wide, y, -3.1), (0.34, 0.38, 1.1)) for s in (-1, 1) for y in (0.35, 2.4)
    ]
    tail = [
        ball((0, 3.2 + 0.35 * i, -2.0 + rng.uniform(0.0, 0.4) * i), (0.22, 0.3, 0.22))
        for i in range(4)
    ]
    parts = (head, chest, body, muzzle, *cheeks, *ears, *legs, *tail)
    count = int(rng.uniform(55000, 110000))
    roots, normals, owner = surface_points(rng, parts, count)
    length = rng.uniform(0.1, 0.5)
    per_part = np.full(len(parts), length)
    per_part[0], per_part[3] = length * 0.6, length * 0.22
    per_part[4:6] = length * rng.uniform(0.5, 1.2)
    per_part[6:8] = length * rng.uniform(0.25, 0.9)
    per_part[8:12] = length * 0.6
    per_part[12:] = length * rng.uniform(0.8, 1.8)
    lengths = per_part[owner] * np.exp(0.2 * rng.normal(size=len(roots)))
    lengths *= np.clip(np.linalg.norm(roots - np.array([0, -1.0, -0.1]), axis=1), 0.25, 1)
    comb = np.zeros_like(roots)
    comb[:, 1], comb[:, 2] = rng.uniform(0.1, 0.8), -rng.uniform(0.1, 0.8)
    steps = 7
    paths = fur(
        rng, roots, normals, lengths, comb, steps=steps, tuft=rng.uniform(0.1, 0.7),
        tuft_size=rng.uniform(0.1, 0.4), frizz=rng.uniform(0.02, 0.25),
    )  # fmt: skip
    if rng.random() < 0.2:  # poodle, lamb
        paths = curled(rng, paths, length * 0.15, rng.uniform(1, 2.5))
    colours = coat(rng, roots, plush=plush)
    whiskers = _whiskers(rng, -0.9 - 0.5 * long_nose)
    inner = tuple(ball(p.centre, p.radii * 0.985, p.axes) for p in parts)
    dark = np.array([0.012, 0.01, 0.01])
    eyes = tuple(ball((x, -0.78, 0.12), (0.15, 0.12, 0.15)) for x in (-0.38, 0.38))
    nose = ball((0, -1.08 - 0.8 * long_nose, -0.18), (0.16, 0.1, 0.12))
    return Subject(
        (
            Solid(inner, np.median(colours, 0) * 0.6, roughness=0.9, blend=0.08),
            Solid((*eyes, nose), dark, roughness=0.08, blend=0.0),
        ),
        (
            Strands(
                paths,
                tapered(rng, len(paths), steps, rng.uniform(0.003, 0.007), 0.1),
                colours,
                rng.uniform(0.1, 0.7),
            ),
            whiskers,
        ),
        turn=rng.normal(0, 70),
        lift=rng.uniform(-5, 25),
        middle=(0.0, 0.6, rng.uniform(-1.4, -0.2)),
        reach=rng.uniform(1.3, 3.4),
    )


def _whiskers(rng: np.random.Generator, front: float) -> Strands:
    count = int(rng.integers(0, 26)) + 2
    side = rng.choice([-1.0, 1.0], count)
    roots = np.stack([side * 0.25, np.full(count, front), rng.uniform(-0.4, -0.2, count)], 1)
    way = np.stack([side, rng.normal(-0.1, 0.3, count), rng.normal(0, 0.25, count)], 1)
    t = np.linspace(0, 1, 10)[None, :, None]
    reach = rng.uniform(0.6, 1.3, (count, 1, 1))
    paths = roots[:, None] + way[:, None] * t * reach - np.array([0, 0, 0.35]) * t**2
    shade = np.full((count, 3), rng.choice([0.03, 0.7]))
    return Strands(paths, tapered(rng, count, 10, 0.006, 0.15), shade, 0.5)


def bird(rng: np.random.Generator) -> Subject:
    """Down and feathers: every feather a quill with barbs."""
    body = ball((0, 0.6, -1.6), (1.0, rng.uniform(1.1, 1.6), rng.uniform(1.1, 1.4)))
    head = ball((0, 0, 0), (0.62, 0.66, 0.62))
    neck = ball((0, 0.2, -0.7), (0.5, 0.55, 0.6))
    parts = (head, neck, body)
    down_roots, down_normals, _ = surface_points(rng, parts, int(rng.uniform(25000, 45000)))
    comb = np.tile([0.0, 0.35, -0.6], (len(down_roots), 1))
    size = rng.uniform(0.08, 0.3)
    down = fur(
        rng, down_roots, down_normals, size * np.exp(0.2 * rng.normal(size=len(down_roots))), comb,
        steps=6, tuft=rng.uniform(0.2, 0.8), frizz=rng.uniform(0.1, 0.4),
    )  # fmt: skip
    shades = coat(rng, down_roots, plush=rng.random() < 0.3)
    roots, normals, _ = surface_points(rng, (body,), int(rng.integers(60, 220)))
    heads = normals * 0.35 + np.array([0.0, 0.5, -0.8])
    feathers, tints = _feathers(rng, roots, heads, rng.uniform(0.4, 1.2))
    beak = ball((0, -0.75, -0.05), (0.14, 0.32, 0.12))
    eyes = tuple(ball((x, -0.42, 0.12), (0.1, 0.1, 0.1)) for x in (-0.42, 0.42))
    return Subject(
        (
            Solid(parts, np.median(shades, 0) * 0.6, roughness=0.9),
            Solid((beak,), pick(rng, COATS), roughness=0.4, blend=0.0),
            Solid(eyes, np.array([0.01, 0.01, 0.01]), roughness=0.05, blend=0.0),
        ),
        (
            Strands(down, tapered(rng, len(down), 6, 0.004, 0.3), shades, 0.2),
            Strands(
                feathers,
                tapered(rng, len(feathers), feathers.shape[1], rng.uniform(0.004, 0.008), 0.4),
                tints,
                0.4,
            ),
        ),
        turn=rng.uniform(-180, 180),
        lift=rng.uniform(-5, 20),
        middle=(0.0, 0.4, rng.uniform(-1.2, -0.3)),
        reach=rng.uniform(1.2, 2.4),
    )


def _feathers(
    rng: np.random.Generator, roots: Array, heads: Array, length: float
) -> tuple[Array, Array]:
    """Barbs and quills of feathers that start at roots (N, 3): strands and their colours."""
    count, barbs, steps = len(roots), 120, 5
    along = heads / (np.linalg.norm(heads, axis=1, keepdims=True) + 1e-9)
    across = np.cross(along, rng.normal(size=(count, 3)) * 0.3 + [0.3, -0.6, 0.4])
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    own = length * rng.uniform(0.6, 1.2, (count, 1, 1))
    at = np.linspace(0.12, 1, barbs // 2)[None, :, None]
    droop = np.array([0, 0, -0.25]) * rng.uniform(0, 1)
    quill = roots[:, None] + along[:, None] * at * own + droop * at**2 * own
    width = own * rng.uniform(0.1, 0.3) * np.sin(np.pi * np.clip(at, 0, 0.97) ** 0.7) + 0.01
    t = np.linspace(0, 1, steps)[None, None, :, None]
    paths = []
    for sign in (-1.0, 1.0):
        way = sign * across[:, None] * 0.75 + along[:, None] * 0.7
        way = way + 0.12 * rng.normal(size=quill.shape)
        bent = along[:, None, None] * t**2 * 0.25
        paths.append(quill[:, :, None] + (way[:, :, None] * t + bent) * width[:, :, None])
    tint = coat(rng, roots)
    both = np.concatenate([path.reshape(-1, steps, 3) for path in paths])
    shades = np.tile(np.repeat(tint, barbs // 2, 0), (2, 1))
    picked = np.linspace(0, quill.shape[1] - 1, steps).astype(int)
    return np.concatenate([both, quill[:, picked]]), np.concatenate([shades, tint * 0.8])


def _fuzz(
    rng: np.random.Generator, parts: tuple[Ellipsoid, ...], colour: Array, length: float
) -> Strands:
    """Short fibres that stand off cloth."""
    roots, normals, _ = surface_points(rng, parts, 30000)
    lengths = length * np.exp(0.4 * rng.normal(size=len(roots)))
    paths = fur(rng, roots, normals, lengths, np.zeros_like(roots), frizz=0.5, tuft=0.6)
    shades = strand_colours(rng, colour, len(paths))
    return Strands(paths, tapered(rng, len(paths), paths.shape[1], 0.003, 0.5), shades, 0.0)


def hat(rng: np.random.Generator) -> Subject:
    """A person in a woollen or fur hat, with a fur collar at times."""
    subject = person(rng)
    brim = ball((0, 0.05, 0.35), (0.92, 1.08, 0.85))
    long = rng.random() < 0.5
    colour = dyed(rng) if not long else pick(rng, COATS)
    roots, normals, _ = surface_points(rng, (brim,), 30000)
    keep = roots[:, 2] > 0.15 + 0.25 * (-roots[:, 1])
    roots, normals = roots[keep], normals[keep]
    length = rng.uniform(0.12, 0.4) if long else rng.uniform(0.03, 0.1)
    lengths = length * np.exp(0.3 * rng.normal(size=len(roots)))
    paths = fur(rng, roots, normals, lengths, np.zeros_like(roots), tuft=0.6, frizz=0.3)
    shades = strand_colours(rng, colour, len(paths))
    wool = Strands(paths, tapered(rng, len(paths), 6, 0.0045, 0.2), shades, 0.1)
    cap = Solid((ball((0, 0.1, 0.42), (0.86, 0.98, 0.74)),), colour * 0.8, roughness=0.95)
    hair = subject.strands[0]
    tucked = Strands(
        outside(hair.points, (ball((0, 0.05, 0.35), (0.5, 0.6, 0.4)),), 1.0),
        hair.radius,
        hair.colours,
        hair.gloss,
    )
    return Subject(
        (*subject.solids, cap), (tucked, *subject.strands[1:], wool),
        turn=subject.turn, lift=subject.lift, middle=subject.middle, reach=subject.reach,
    )  # fmt: skip


SUBJECTS: dict[str, Callable[[np.random.Generator], Subject]] = {
    "person": person,
    "hat": hat,
    "animal": animal,
    "bird": bird,
    "plant": plant,
    "cloth": cloth,
}
"""name -> subject drawn from a generator."""
WEIGHTS: dict[str, float] = {
    "person": 0.4,
    "hat": 0.05,
    "animal": 0.3,
    "bird": 0.09,
    "plant": 0.1,
    "cloth": 0.06,
}


def kind_of(rng: np.random.Generator) -> str:
    """The kind that `draw` would choose from the same state."""
    names = list(SUBJECTS)
    return str(rng.choice(names, p=[WEIGHTS[name] for name in names]))


def draw(rng: np.random.Generator) -> tuple[str, Subject]:
    """A random subject and its kind."""
    name = kind_of(rng)
    return name, SUBJECTS[name](rng)
