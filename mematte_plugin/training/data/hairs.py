"""Foregrounds made of strands: heads of hair, furry animals, fringes, down."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .strokes import (
    Foreground,
    blank,
    blob,
    develop,
    ellipse,
    light_direction,
    natural_colour,
    paint,
    polygon_mask,
    relief,
    shade,
    speckle,
    strands,
)
from .textures import PhotoPool, log_uniform, noise, palette

Array = NDArray[Any]


def _tints(
    rng: np.random.Generator, base: Array, count: int, steps: int, *, spread: float = 0.16
) -> Array:
    """Colours along strands, (count, steps, 3): dark roots, a glossy band, lighter tips."""
    t = np.linspace(0, 1, steps)[None, :, None]
    own = 1 + rng.normal(0, spread, (count, 1, 1))
    band = rng.uniform(0.2, 0.6)
    where = band + rng.normal(0, 0.07, (count, 1, 1))
    gloss = rng.uniform(0, 0.7) * np.exp(-(((t - where) / rng.uniform(0.06, 0.16)) ** 2))
    ramp = rng.uniform(0.55, 0.95) + rng.uniform(0.0, 0.5) * t
    hue = 1 + rng.normal(0, 0.04, (count, 1, 3))
    return np.asarray(np.maximum(base * hue * own * ramp, 0) + 150 * gloss * (0.3 + base / 255))


def _taper(rng: np.random.Generator, count: int, steps: int, root: float) -> Array:
    """Whole-pixel thickness that falls from `root` to one, (count, steps)."""
    t = np.linspace(0, 1, steps)[None]
    own = root * rng.uniform(0.5, 1.2, (count, 1))
    return np.asarray(np.maximum(np.floor(own * (1 - t) + 0.9), 1))


def _walk(
    rng: np.random.Generator,
    roots: Array,
    heading: Array,
    length: Array,
    steps: int,
    *,
    pull: Array,
    waver: float,
    keep_out: tuple[Array, Array] | None = None,
) -> Array:
    """Grow curves from roots (N, 2): (N, steps, 2).

    `pull` (2,) is gravity and wind per unit length; `keep_out` is an ellipse (centre, radii) along
    whose outline the curves slide.
    """
    count = len(roots)
    path = np.empty((count, steps, 2))
    path[:, 0] = roots
    direction = heading / np.linalg.norm(heading, axis=1, keepdims=True)
    stride = (length / (steps - 1))[:, None]
    drift = rng.normal(0, 1, (count, 2)) * waver * 0.4
    layer = 1.02 + rng.exponential(0.07, (count, 1))
    for i in range(1, steps):
        direction = direction + pull / steps * 3 + drift / steps
        direction = direction + rng.normal(0, waver / steps, (count, 2))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
        here = path[:, i - 1] + direction * stride
        if keep_out is not None:
            centre, radii = keep_out
            away = (here - centre) / radii
            reach = np.linalg.norm(away, axis=1, keepdims=True)
            pushed = centre + away / (reach + 1e-9) * layer * radii
            here = np.where(reach < layer, pushed, here)
        path[:, i] = here
    return path


def _locks(
    rng: np.random.Generator, guides: Array, count: int, *, width: float, stray: float, frizz: float
) -> Array:
    """Strands around guide curves (C, T, 2): (count, T, 2), bundled to locks, some flying away."""
    steps = guides.shape[1]
    pick = rng.integers(len(guides), size=count)
    t = np.linspace(0, 1, steps)[None, :, None]
    gather = rng.uniform(-0.4, 0.85)  # below zero the lock fans out towards its tip
    offset = rng.normal(0, width, (count, 1, 2)) * (1 - gather * t)
    paths = guides[pick] + offset
    step = np.median(np.linalg.norm(np.diff(guides, axis=1), axis=2))
    wild = rng.random((count, 1, 1)) < stray
    jitter = np.cumsum(rng.normal(0, 1, (count, steps, 2)), axis=1)
    lean = rng.normal(0, 1, (count, 1, 2)) * t * steps
    paths = paths + step * (jitter * frizz + wild * (lean * 0.22 + jitter * 0.1))
    start = guides[pick][:, :1]
    stretch = rng.uniform(0.6, 1.08, (count, 1, 1))
    return np.asarray(start + (paths - start) * stretch)


def _curl(rng: np.random.Generator, paths: Array, amplitude: float, turns: float) -> Array:
    """Wind strands around their own course."""
    count, steps = paths.shape[:2]
    along = np.gradient(paths, axis=1)
    along /= np.linalg.norm(along, axis=2, keepdims=True) + 1e-6
    across = np.stack([-along[..., 1], along[..., 0]], 2)
    t = np.linspace(0, 1, steps)[None]
    phase = 2 * np.pi * (turns * rng.uniform(0.8, 1.2, (count, 1)) * t + rng.random((count, 1)))
    wave = amplitude * np.minimum(t * 4, 1) * np.sin(phase)
    swing = 0.6 * amplitude * np.minimum(t * 4, 1) * np.cos(phase)
    return np.asarray(paths + across * wave[..., None] + along * swing[..., None])


def hair_head(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """A head on shoulders: hair long, short, upright, blown or curly, strand over strand."""
    scale = int(rng.choice([2, 2, 3]))
    side = size * scale
    canvas = blank(side)
    head = np.array([rng.uniform(0.38, 0.62), rng.uniform(0.34, 0.5)]) * side
    width = rng.uniform(0.13, 0.24) * side
    radii = np.array([width, width * rng.uniform(1.15, 1.4)])
    style = str(rng.choice(["long", "short", "upright", "blown", "curly"]))
    hue = natural_colour(rng)

    count = {"long": 3200, "short": 2600, "upright": 3000, "blown": 3000, "curly": 2200}[style]
    count = int(count * rng.uniform(0.5, 1.3))
    steps = 26 if style == "curly" else 15
    clumps = int(log_uniform(rng, 25, 240))
    angle = rng.uniform(-np.pi * 1.05, np.pi * 0.05, clumps)
    outward = np.stack([np.cos(angle), np.sin(angle)], 1)
    depth = np.sqrt(rng.uniform(0.03, 1.0, (clumps, 1)))
    roots = head + outward * radii * depth
    length = {
        "long": rng.uniform(1.8, 4.5), "short": rng.uniform(0.25, 0.9),
        "upright": rng.uniform(0.7, 1.9), "blown": rng.uniform(1.0, 3.2),
        "curly": rng.uniform(0.8, 2.6),
    }[style] * width  # fmt: skip
    lengths = length * rng.uniform(0.7, 1.2, clumps)
    down = np.array([0.0, 1.0])
    wind = np.array([rng.choice([-1.0, 1.0]), rng.uniform(-0.5, 0.2)])
    pull = {
        "long": down * rng.uniform(0.8, 2.0), "short": down * rng.uniform(-0.2, 0.6),
        "upright": down * rng.uniform(-0.6, 0.25), "blown": wind * rng.uniform(0.5, 1.6),
        "curly": down * rng.uniform(0.2, 1.0),
    }[style]  # fmt: skip
    slides = style in ("long", "curly") and rng.random() < 0.8
    heading = outward + rng.normal(0, 0.25, (clumps, 2)) + wind * rng.uniform(0, 0.6)
    guides = _walk(
        rng, roots, heading, lengths, steps, pull=pull, waver=rng.uniform(0.2, 1.4),
        keep_out=(head, radii) if slides else None,
    )  # fmt: skip
    paths = _locks(
        rng, guides, count, width=rng.uniform(0.015, 0.09) * width * (2 if clumps < 60 else 1),
        stray=rng.uniform(0.01, 0.12), frizz=log_uniform(rng, 0.01, 0.12),
    )  # fmt: skip
    if style == "curly":
        paths = _curl(rng, paths, rng.uniform(0.04, 0.13) * width, rng.uniform(2, 7))
    elif rng.random() < 0.5:
        paths = _curl(rng, paths, rng.uniform(0.01, 0.05) * width, rng.uniform(0.8, 3))

    # Back: dark mass near the scalp, so that gaps between locks are deep rather than open.
    core = steps * 6 // 10
    shadow = np.broadcast_to(hue * rng.uniform(0.3, 0.6), (clumps, core - 1, 3))
    strands(canvas, guides[:, :core], shadow, _taper(rng, clumps, core - 1, 0.12 * width))
    scalp = polygon_mask(side, ellipse(head, radii * 1.02))
    paint(canvas, scalp, np.full((side, side, 3), hue * 0.5, np.uint8))
    tints = _tints(rng, hue, count, steps - 1)
    pens = _taper(rng, count, steps - 1, rng.uniform(1.0, 1.6) * scale / 2)
    behind = int(count * rng.uniform(0.4, 0.75))
    strands(canvas, paths[:behind], tints[:behind] * 0.8, pens[:behind])

    _bust(rng, canvas, pool, head, radii)
    strands(canvas, paths[behind:], tints[behind:], pens[behind:])
    return develop(rng, canvas, size)


def _bust(
    rng: np.random.Generator, canvas: Array, pool: PhotoPool, head: Array, radii: Array
) -> None:
    """Paint shoulders, neck and face in front of the hair behind them."""
    side, width, light = len(canvas), radii[0], light_direction(rng)
    skin = np.array([rng.uniform(120, 235)] * 3) * [1, rng.uniform(0.72, 0.85), 0.62]
    shoulders = ellipse(
        head + np.array([rng.normal(0, 0.1) * width, radii[1] * rng.uniform(1.9, 2.4)]),
        np.array([rng.uniform(1.9, 2.8), rng.uniform(1.2, 1.5)]) * width,
    )
    neck = ellipse(head + np.array([0, radii[1]]), np.array([0.5, 0.8]) * width)
    body = polygon_mask(side, shoulders)
    paint(canvas, polygon_mask(side, neck), np.full((side, side, 3), skin * 0.7, np.uint8))
    cloth = pool.coarse_surface(rng, side)
    paint(canvas, body, shade(cloth, relief(body, light, 0.7, 0.12)))
    face_at = head + np.array([rng.normal(0, 0.15) * width, radii[1] * rng.uniform(0.28, 0.5)])
    face = polygon_mask(side, blob(rng, face_at, radii * [0.8, 0.68], 0.03))
    surface = shade(np.full((side, side, 3), skin, np.uint8), relief(face, light, 0.6, 0.15))
    paint(canvas, face, shade(surface, speckle(rng, side, 0.15)))


def animal(rng: np.random.Generator, side: int) -> Array:
    """Silhouette of body, head, ears and limbs, (side, side) uint8, often cut by the border."""
    mask = np.zeros((side, side), np.uint8)
    body = np.array([rng.uniform(0.35, 0.65), rng.uniform(0.6, 0.85)]) * side
    body_radii = np.array([rng.uniform(0.18, 0.36), rng.uniform(0.2, 0.36)]) * side
    head = body + body_radii * [rng.uniform(-0.6, 0.6), -rng.uniform(0.7, 1.1)]
    head_radii = body_radii.mean() * rng.uniform(0.5, 0.85) * np.array([1.0, rng.uniform(0.8, 1.2)])
    parts = [blob(rng, body, body_radii, 0.08), blob(rng, head, head_radii, 0.06)]
    spread = rng.uniform(0.5, 1.0)
    ear = head_radii * [rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.8)]
    for sign in (-1, 1):
        at = head + head_radii * [sign * np.sin(spread), -np.cos(spread) * 1.05]
        parts.append(ellipse(at, ear, sign * rng.uniform(0, 1.0)))
    for _ in range(int(rng.integers(0, 5))):
        at = body + body_radii * rng.uniform(-1, 1, 2)
        parts.append(blob(rng, at, body_radii * rng.uniform([0.2, 0.3], [0.4, 0.6]), 0.06))
    for part in parts:
        mask |= polygon_mask(side, part)
    return mask


COARSE = 256  # maps that vary slowly are made this large


def _coat(rng: np.random.Generator, pool: PhotoPool, mask: Array, light: Array) -> Array:
    """Colour of the fur from place to place, lit: (COARSE, COARSE, 3) float32 in 0..255."""
    if rng.random() < 0.6:  # one coat with darker and lighter places
        coat = np.array([natural_colour(rng), natural_colour(rng)], np.float32)
        share = noise(rng, COARSE, COARSE, cells=log_uniform(rng, 1.5, 8), octaves=3)
        share = np.clip((share - rng.uniform(0.2, 0.8)) * rng.uniform(1, 8) + 0.5, 0, 1)[..., None]
        pattern = coat[0] * (1 - share) + coat[1] * share
    else:
        pattern = cv2.GaussianBlur(pool.surface(rng, COARSE, COARSE), (0, 0), 3).astype(np.float32)
    factor = cv2.resize(relief(mask, light, rng.uniform(0.4, 1.0), 0.15), (COARSE, COARSE))
    return np.asarray(np.clip(pattern * factor[..., None], 0, 255))


def fur(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """An animal or a plush toy: fur over the whole body, combed in smoothly changing directions."""
    scale = int(rng.choice([2, 2, 3]))
    side = size * scale
    canvas = blank(side)
    mask = animal(rng, side) if rng.random() < 0.8 else polygon_mask(
        side, blob(rng, np.array([0.5, 0.55]) * side, rng.uniform(0.2, 0.4, 2) * side)
    )  # fmt: skip
    light = light_direction(rng)
    reach = log_uniform(rng, 0.012, 0.075) * side  # length of the fur
    coarse = COARSE
    small = cv2.resize(mask, (coarse, coarse), interpolation=cv2.INTER_AREA)
    inside = cv2.distanceTransform((small > 127).astype(np.uint8), cv2.DIST_L2, 5)
    lifted = cv2.GaussianBlur(inside, (0, 0), 4)
    out = -np.stack([cv2.Sobel(lifted, cv2.CV_32F, 1, 0), cv2.Sobel(lifted, cv2.CV_32F, 0, 1)], 2)
    out = out / (np.linalg.norm(out, axis=2, keepdims=True) + 0.3)
    turn = noise(rng, coarse, coarse, cells=3, octaves=2) * 4 * np.pi
    swirl = np.stack([np.cos(turn), np.sin(turn)], 2)
    comb = np.array([0, rng.uniform(-0.2, 0.7)])
    flow = out * rng.uniform(0.5, 1.6) + swirl * rng.uniform(0.2, 0.8) + comb

    pattern = _coat(rng, pool, mask, light)
    ground = cv2.resize((pattern * 0.6).astype(np.uint8), (side, side))
    shrink = np.ones((3, 3), np.uint8)
    inner = cv2.erode(small, shrink, iterations=max(1, round(reach / side * coarse * 0.3)))
    base = cv2.resize(inner, (side, side), interpolation=cv2.INTER_LINEAR)
    paint(canvas, base, shade(ground, speckle(rng, side, 0.5)))

    near = reach / side * coarse * 2.5
    weight = np.where(inside > 0, np.where(inside < near, 1.0, 0.35), 0)
    weight = np.asarray(weight.ravel(), np.float64)
    weight /= weight.sum()
    area = float((small > 127).mean())
    count = int(np.clip(area * rng.uniform(18000, 36000) / (reach / side / 0.03), 2500, 11000))
    cells = rng.choice(coarse * coarse, count, p=weight)
    row, column = np.divmod(cells, coarse)
    order = np.argsort(inside[row, column] + rng.normal(0, near * 0.3, count))
    row, column = row[order], column[order]
    roots = (np.stack([column, row], 1) + rng.random((count, 2))) * side / coarse
    heading = flow[row, column] + rng.normal(0, rng.uniform(0.1, 0.45), (count, 2))
    steps = 6
    lengths = reach * rng.uniform(0.5, 1.15, count) * (1 + (rng.random(count) < 0.02))
    paths = _walk(rng, roots, heading, lengths, steps, pull=comb * 0.6, waver=rng.uniform(0.2, 1.2))
    tuft = noise(rng, coarse, coarse, cells=side / reach / 2, octaves=1)[row, column]
    lean = (tuft[:, None] - 0.5) * 2 * reach * np.array([0.5, 0.2])
    paths += lean[:, None] * np.linspace(0, 1, steps)[None, :, None] ** 2
    if rng.random() < 0.25:
        paths = _curl(rng, paths, reach * rng.uniform(0.1, 0.3), rng.uniform(0.5, 1.5))
    tints = pattern[row, column][:, None] * (
        rng.uniform(0.5, 0.8) + np.linspace(0, rng.uniform(0.3, 0.7), steps - 1)[None, :, None]
    )
    tints = tints * (1 + rng.normal(0, 0.14, (count, 1, 1)))
    strands(canvas, paths, tints, _taper(rng, count, steps - 1, rng.uniform(0.8, 2.0) * scale / 2))
    for _ in range(int(rng.integers(0, 5))):  # eyes, nose, buttons, ribbons
        at = rng.uniform(0.3, 0.7, 2) * side
        spot = polygon_mask(side, blob(rng, at, rng.uniform(0.01, 0.05, 2) * side, 0.05))
        spot = np.where(mask > 127, spot, 0).astype(np.uint8)
        paint(canvas, spot, np.full((side, side, 3), palette(rng, 1)[0] * 0.6, np.uint8))
    return develop(rng, canvas, size)


def fringe(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """A cloth, scarf or brush whose rim ends in threads."""
    side = size * 2
    canvas = blank(side)
    top = rng.uniform(-0.1, 0.3)
    bottom = rng.uniform(0.45, 0.75)
    left, right = rng.uniform(0.1, 0.3), rng.uniform(0.6, 0.9)
    sag = rng.normal(0, 0.06)
    u = np.linspace(0, 1, 40)
    hem = np.stack([left + (right - left) * u, bottom + sag * 4 * u * (1 - u)], 1)
    hem[:, 1] += 0.015 * np.sin(u * rng.uniform(5, 30))
    outline = np.concatenate([[[left + rng.normal(0, 0.05), top]], hem, [[right, top]]]) * side
    cloth = polygon_mask(side, outline)
    count = int(log_uniform(rng, 300, 2600))
    tufts = int(log_uniform(rng, 8, 120))
    at = np.interp(rng.random(tufts), u, np.arange(40)).astype(int)
    guides = _walk(
        rng, hem[at] * side - [0, 4], np.tile([rng.normal(0, 0.2), 1.0], (tufts, 1)),
        rng.uniform(0.06, 0.28) * side * rng.uniform(0.8, 1.2, tufts), 12,
        pull=np.array([rng.normal(0, 0.4), 0.5]), waver=rng.uniform(0.3, 1.5),
    )  # fmt: skip
    paths = _locks(
        rng, guides, count, width=rng.uniform(0.002, 0.01) * side, stray=0.06,
        frizz=log_uniform(rng, 0.01, 0.1),
    )  # fmt: skip
    surface = pool.coarse_surface(rng, side)
    hue = surface[side // 4 : side // 2, side // 4 : side * 3 // 4].mean((0, 1))
    if rng.random() < 0.5:
        hue = natural_colour(rng)
    tints = _tints(rng, hue, count, 11)
    strands(canvas, paths, tints, _taper(rng, count, 11, rng.uniform(1.0, 3.0)))
    folds = 1 + 0.5 * (noise(rng, side, side, cells=6, octaves=2) - 0.5)
    paint(canvas, cloth, shade(surface, folds * relief(cloth, light_direction(rng), 0.5, 0.08)))
    turned = np.rot90(canvas, int(rng.integers(4)))
    return develop(rng, np.ascontiguousarray(turned), size)


def down(rng: np.random.Generator, size: int, pool: PhotoPool) -> Foreground:
    """Feathers and seed heads: barbs that leave a shaft, or rays that end in tufts."""
    side = size * 3
    canvas = blank(side)
    hue = natural_colour(rng) if rng.random() < 0.7 else palette(rng, 1)[0]
    for _ in range(int(rng.integers(1, 4))):
        base = rng.uniform(0.3, 0.7, 2) * side
        angle = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.3, 0.75) * side
        shaft = _walk(
            rng, base[None], np.array([[np.cos(angle), np.sin(angle)]]), np.array([reach]), 80,
            pull=rng.normal(0, 0.4, 2), waver=0.1,
        )[0]  # fmt: skip
        shaft -= shaft.mean(0) - rng.uniform(0.35, 0.65, 2) * side
        count = int(rng.uniform(500, 1500))
        place = np.sort(rng.uniform(0.08, 0.99, count))
        spot = (place * 79).astype(int)
        along = np.gradient(shaft, axis=0)[spot]
        along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
        across = np.stack([-along[:, 1], along[:, 0]], 1) * rng.choice([-1, 1], (count, 1))
        width = reach * rng.uniform(0.1, 0.28) * np.sin(np.pi * place**0.7) ** 0.7
        heading = across + along * rng.uniform(0.3, 1.3) + rng.normal(0, 0.08, (count, 2))
        barbs = _walk(rng, shaft[spot], heading, width, 9, pull=np.zeros(2), waver=0.25)
        bend = (
            along[:, None] * np.linspace(0, 1, 9)[None, :, None] ** 2 * width[:, None, None] * 0.4
        )
        loose = rng.random((count, 1, 1)) < rng.uniform(0.05, 0.5)
        barbs = barbs + bend + loose * np.cumsum(rng.normal(0, reach * 0.004, barbs.shape), 1)
        tints = _tints(rng, hue, count, 8)
        strands(canvas, barbs, tints, _taper(rng, count, 8, rng.uniform(1.5, 5)))
        strands(canvas, shaft[None], np.full((1, 79, 3), hue * 1.1), _taper(rng, 1, 79, 8.0))
    return develop(rng, canvas, size)
