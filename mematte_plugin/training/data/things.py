"""Foregrounds made of surfaces: plants, twigs, nets, veils, glass, solid objects."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .hairs import animal
from .strokes import (
    SHIFT,
    Foreground,
    blank,
    blob,
    develop,
    grain,
    leaf,
    light_direction,
    paint,
    polygon_mask,
    relief,
    shade,
    strands,
)
from .textures import PhotoPool, log_uniform, noise, palette

Array = NDArray[Any]


def _outline(rng: np.random.Generator, side: int) -> Array:
    """A random silhouette, (side, side) uint8: lumps, an animal, or a polygon."""
    kind = rng.random()
    if kind < 0.3:
        return animal(rng, side)
    mask = np.zeros((side, side), np.uint8)
    if kind < 0.75:
        for _ in range(int(rng.integers(1, 5))):
            at = rng.uniform(0.3, 0.7, 2) * side
            radii = rng.uniform(0.08, 0.34, 2) * side
            mask |= polygon_mask(side, blob(rng, at, radii, rng.uniform(0.02, 0.2)))
        return mask
    corners = int(rng.integers(3, 8))
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(0.15, 0.45, corners)
    points = 0.5 + np.stack([np.cos(angle) * radius, np.sin(angle) * radius], 1)
    return polygon_mask(side, points * side)


def _plant_colour(rng: np.random.Generator) -> Array:
    kind = rng.random()
    if kind < 0.7:
        return np.array([rng.uniform(30, 130), rng.uniform(70, 160), rng.uniform(20, 80)])
    if kind < 0.85:  # dry
        return np.array([rng.uniform(120, 200), rng.uniform(90, 150), rng.uniform(40, 90)])
    return np.asarray(palette(rng, 1)[0], np.float64)


def foliage(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """A plant: leaves along stems that rise from a pot or from below the picture."""
    side = size * 2
    canvas = blank(side)
    hue = _plant_colour(rng)
    origin = np.array([rng.uniform(0.3, 0.7), rng.uniform(0.7, 1.1)]) * side
    slim = log_uniform(rng, 0.06, 0.4)
    leaf_length = log_uniform(rng, 0.04, 0.16) * side
    for _ in range(int(rng.integers(6, 30))):
        angle = -np.pi / 2 + rng.normal(0, 0.6)
        reach = rng.uniform(0.3, 0.9) * side
        bow = rng.normal(0, 0.3)
        t = np.linspace(0, 1, 14)
        course = angle + bow * t
        stem = origin + np.cumsum(np.stack([np.cos(course), np.sin(course)], 1), 0) * reach / 14
        tint = hue * rng.uniform(0.6, 1.1)
        pens = np.maximum(1, np.round(np.linspace(5, 1, 13)))[None]
        strands(canvas, stem[None], np.tile(tint * 0.7, (1, 13, 1)), pens)
        for i in range(2, 14):
            for _ in range(int(rng.integers(1, 3))):
                way = course[i] + rng.choice([-1, 1]) * rng.uniform(0.2, 1.2)
                length = leaf_length * rng.uniform(0.5, 1.3)
                tip = stem[i] + np.array([np.cos(way), np.sin(way)]) * length
                own = tint * rng.uniform(0.65, 1.35) + rng.normal(0, 6, 3)
                leaf(canvas, stem[i], tip, own, width=length * slim, bend=rng.normal(0, 0.15))
    if rng.random() < 0.5:
        corners = np.array([[-0.16, -0.05], [0.16, -0.05], [0.12, 0.4], [-0.12, 0.4]])
        pot = polygon_mask(side, origin + corners * side)
        paint(
            canvas,
            pot,
            shade(pool.coarse_surface(rng, side), relief(pot, light_direction(rng), 0.8, 0.1)),
        )
    grain(canvas, pool.crop(rng, side, side), rng.uniform(0, 0.5))
    return develop(rng, canvas, size)


def grass(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """Blades that rise from a dense ground."""
    side = size * 2
    canvas = blank(side)
    hue = _plant_colour(rng)
    count = int(log_uniform(rng, 120, 900))
    x = rng.uniform(-0.1, 1.1, count)
    y = rng.uniform(0.75, 1.0, count)
    order = np.argsort(y)
    roots = np.stack([x, y], 1)[order] * side
    lean = rng.normal(rng.normal(0, 0.25), 0.25, count)
    droop = rng.normal(0, 0.3, count)
    t = np.linspace(0, 1, 12)[None]
    length = rng.uniform(0.15, 0.65, (count, 1)) * side * rng.uniform(0.6, 1)
    paths = np.stack(
        [
            roots[:, :1] + length * (lean[:, None] * t + droop[:, None] * t**2.5),
            roots[:, 1:] - length * (t - 0.25 * np.abs(droop[:, None]) * t**3),
        ],
        2,
    )
    root_pen = log_uniform(rng, 2, 12)
    pens = np.maximum(1, np.round(root_pen * rng.uniform(0.5, 1.2, (count, 1)) * (1 - t[:, :-1])))
    tints = hue * rng.uniform(0.5, 1.3, (count, 1, 1)) * (0.55 + 0.6 * t[:, :-1, None])
    ground = polygon_mask(side, np.array([[0, 0.86], [1, 0.86], [1, 1], [0, 1]]) * side)
    paint(canvas, ground, np.full((side, side, 3), hue * 0.4, np.uint8))
    strands(canvas, paths, tints, pens)
    grain(canvas, pool.crop(rng, side, side), rng.uniform(0, 0.4))
    return develop(rng, canvas, size)


def flower(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """Rings of petals around a heart, one flower or several."""
    side = size * 2
    canvas = blank(side)
    for _ in range(int(rng.integers(1, 4))):
        centre = rng.uniform(0.3, 0.7, 2) * side
        radius = rng.uniform(0.15, 0.42) * side
        tint = palette(rng, 1)[0] * 0.5 + np.array(
            [[230, 120, 40], [235, 200, 60], [230, 90, 130], [235, 230, 225], [150, 90, 190]]
        )[int(rng.integers(5))] * 0.5  # fmt: skip
        petals = int(rng.integers(6, 34))
        slim = np.pi / petals * rng.uniform(0.7, 1.6)
        squash = rng.uniform(0.5, 1.0)
        for ring in (1.0, 0.85, 0.65):
            for a in rng.permutation(np.linspace(0, 2 * np.pi, petals, endpoint=False)):
                way = a + rng.normal(0, 0.08)
                reach = radius * ring * rng.uniform(0.85, 1.1)
                tip = centre + np.array([np.cos(way), np.sin(way) * squash]) * reach
                own = tint * rng.uniform(0.7, 1.15) * (1.15 - 0.3 * ring)
                leaf(canvas, centre, tip, own, width=reach * slim * 0.6, bend=rng.normal(0, 0.08))
        heart = polygon_mask(
            side, blob(rng, centre, np.array([0.22, 0.22 * squash]) * radius, 0.05)
        )
        paint(canvas, heart, pool.surface(rng, side, side))
    grain(canvas, pool.crop(rng, side, side), rng.uniform(0.1, 0.5))
    return develop(rng, canvas, size)


def twigs(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """Bare branches, wires or whiskers: long thin lines that fork."""
    side = size * 3
    canvas = blank(side)
    hue = palette(rng, 1)[0] * rng.uniform(0.4, 1)
    fork = rng.uniform(0, 0.16)
    wander = rng.uniform(0.0, 0.16)
    edge = rng.uniform(0, 1, (int(rng.integers(2, 9)), 2))
    edge[:, int(rng.integers(2))] = rng.integers(0, 2)
    goal = rng.uniform(0.3, 0.7, edge.shape)
    queue = [
        (
            e * side,
            float(np.arctan2(*(g - e)[::-1])),
            log_uniform(rng, 2, 40),
            rng.uniform(0.5, 1.1),
        )
        for e, g in zip(edge, goal, strict=True)
    ]
    drawn = 0
    while queue and drawn < 500:
        at, way, pen, reach = queue.pop(0)
        drawn += 1
        steps = 24
        course = way + np.cumsum(rng.normal(0, wander, steps))
        move = np.stack([np.cos(course), np.sin(course)], 1) * reach * side / steps
        path = np.concatenate([at[None], at + np.cumsum(move, 0)])
        pens = np.maximum(1, np.round(np.linspace(pen, pen * (0.4 if fork > 0.03 else 0.9), steps)))
        own = hue * rng.uniform(0.7, 1.3)
        strands(canvas, path[None], np.tile(own, (1, steps, 1)), pens[None])
        shine = path + np.array([-0.2, -0.25]) * pens.max()
        if pen > 6:
            strands(canvas, shine[None], np.tile(own * 1.4, (1, steps, 1)), pens[None] // 3)
        for i in range(2, steps):
            if rng.random() < fork and pen > 1.5:
                turn = course[i] + rng.choice([-1, 1]) * rng.uniform(0.3, 1.0)
                queue.append((path[i], turn, pen * 0.5, reach * rng.uniform(0.3, 0.7)))
    grain(canvas, np.asarray(cv2.resize(pool.crop(rng, size, size), (side, side))), 0.4)
    return develop(rng, canvas, size)


def net(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """Wire mesh, netting or lace over a shape, bent by folds, with a rim."""
    side = size * 2
    canvas = blank(side)
    mask = _outline(rng, side)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    pitch = log_uniform(rng, 22, 90)  # canvas pixels: never so fine that it aliases in a crop
    fold = pitch * rng.uniform(0.5, 5)
    x += (noise(rng, side, side, cells=rng.uniform(2, 5), octaves=2) - 0.5) * fold
    y += (noise(rng, side, side, cells=rng.uniform(2, 5), octaves=2) - 0.5) * fold
    turn = rng.uniform(0, np.pi)
    u = (np.cos(turn) * x + np.sin(turn) * y) / pitch
    v = (-np.sin(turn) * x + np.cos(turn) * y) / pitch * rng.uniform(0.6, 1.4)
    wire = rng.uniform(0.06, 0.22)
    kind = rng.random()
    if kind < 0.45:  # square or diamond mesh
        gap = np.minimum(np.abs(u - np.round(u)), np.abs(v - np.round(v)))
    elif kind < 0.7:  # round holes, offset rows
        shift = 0.5 * (np.floor(v) % 2)
        du, dv = u + shift - np.floor(u + shift) - 0.5, v - np.floor(v) - 0.5
        gap = 0.5 - np.sqrt(du * du + dv * dv)
    else:  # lace: contour lines of noise between a mesh
        lumps = noise(rng, side, side, cells=side / pitch / 2, octaves=3) * rng.uniform(6, 14)
        mesh = np.minimum(np.abs(u - np.round(u)), np.abs(v - np.round(v))) * 1.5
        gap = np.minimum(np.abs(lumps - np.round(lumps)), mesh)
    cover = np.clip((wire - gap) * pitch + 0.5, 0, 1) * 255
    rim_width = int(rng.uniform(4, 30))
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=rim_width)
    cover = np.where(inner > 127, cover, 255) if rng.random() < 0.6 else cover
    cover = (cover * (mask / 255.0)).astype(np.uint8)
    tint = palette(rng, 1)[0] if rng.random() < 0.6 else None
    surface = pool.coarse_surface(rng, side)
    if tint is not None:
        surface = (surface * 0.25 + tint * 0.75).astype(np.uint8)
    if rng.random() < 0.5:  # something solid stands inside
        thing = polygon_mask(
            side, blob(rng, rng.uniform(0.4, 0.6, 2) * side, rng.uniform(0.05, 0.2, 2) * side)
        )
        skin = pool.coarse_surface(rng, side)
        paint(canvas, thing, shade(skin, relief(thing, light_direction(rng), 0.6, 0.1)))
    folds = 1 + 0.6 * (noise(rng, side, side, cells=5, octaves=3) - 0.5)
    paint(canvas, cover, shade(surface, folds))
    return develop(rng, canvas, size)


def veil(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """Smoke, steam, tulle or a plastic bag: alpha that never settles."""
    mask = _outline(rng, size)
    smoky = rng.random() < 0.5
    soft = cv2.GaussianBlur(mask, (0, 0), log_uniform(rng, 12, 50) if smoky else 0.7) / 255.0
    field = noise(rng, size, size, cells=log_uniform(rng, 2, 8), octaves=6, persistence=0.55)
    if smoky:
        alpha = np.clip(soft * 1.4 - 0.1, 0, 1) * np.clip(field * 1.7 - 0.35, 0, 1)
    else:
        crease = 1 - np.abs(2 * noise(rng, size, size, cells=5, octaves=4) - 1)
        alpha = soft * np.clip(rng.uniform(0.15, 0.6) + 0.5 * crease**6 + 0.25 * field, 0, 1)
    if rng.random() < 0.5:  # a core that hides what lies behind
        core = polygon_mask(
            size, blob(rng, rng.uniform(0.4, 0.6, 2) * size, rng.uniform(0.06, 0.2, 2) * size)
        )
        alpha = np.maximum(alpha, cv2.GaussianBlur(core, (0, 0), log_uniform(rng, 0.6, 10)) / 255.0)
    tone = palette(rng, 1)[0] * 0.25 + rng.uniform(90, 250) * 0.75
    colour = tone * (0.8 + 0.4 * noise(rng, size, size, cells=4, octaves=4))[..., None]
    colour = colour * 0.85 + pool.crop(rng, size, size) * 0.15
    return Foreground(
        np.clip(colour, 0, 255).astype(np.uint8), np.rint(alpha * 255).astype(np.uint8)
    )


def glass(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """A tinted translucent thing with a firm rim and bright reflections."""
    side = size * 2
    mask = _outline(rng, side)
    level = rng.uniform(0.2, 0.75)
    thick = int(rng.uniform(6, 40))
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=thick)
    inner = cv2.GaussianBlur(inner, (0, 0), thick * 0.4).astype(np.float32) / 255
    body = level + (rng.uniform(level, 1) - level) * (1 - inner)
    shine = noise(rng, side, side, cells=4, octaves=2)
    shine = np.clip((shine - 0.72) * 12, 0, 1) * rng.uniform(0, 0.9)
    alpha = (mask / 255.0) * np.maximum(body, shine)
    tint = palette(rng, 1)[0] * relief(mask, light_direction(rng), 0.7, 0.1)[..., None]
    colour = tint * (1 - shine[..., None]) + 250 * shine[..., None]
    surface = pool.coarse_surface(rng, side)
    colour = np.clip(colour * 0.9 + surface * 0.1, 0, 255)
    canvas = np.concatenate([colour * alpha[..., None], alpha[..., None] * 255], 2)
    return develop(rng, np.rint(canvas).astype(np.uint8), size)


def solid(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """Things with a plain edge, sharp, out of focus or moved; some with holes, some in parts."""
    side = size * 2
    canvas = blank(side)
    for _ in range(int(rng.integers(1, 4))):
        mask = _outline(rng, side)
        for _ in range(int(rng.integers(1, 6)) if rng.random() < 0.3 else 0):
            at = rng.uniform(0.25, 0.75, 2) * side
            hole = blob(rng, at, rng.uniform(0.01, 0.09, 2) * side, 0.1)
            cv2.fillPoly(mask, [np.round(hole * 16).astype(np.int32)], 0, cv2.LINE_AA, SHIFT)
        surface = pool.coarse_surface(rng, side)
        if rng.random() < 0.4:
            surface = (surface * 0.3 + palette(rng, 1)[0] * 0.7).astype(np.uint8)
        strength = rng.uniform(0.2, 0.9)
        bulge = relief(mask, light_direction(rng), strength, rng.uniform(0.03, 0.2))
        paint(canvas, mask, shade(surface, bulge))
    return develop(rng, canvas, size, soften=0.7)
