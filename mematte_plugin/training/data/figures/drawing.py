"""Draws subjects strand by strand, in seconds.

Strands are lit by the model of Kajiya and Kay (1989) and shadowed through a grid of hair density;
bodies are ray-cast as ellipsoids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..strokes import SHIFT, Foreground, blank, develop, paint
from ..textures import PhotoPool
from .forms import Ellipsoid, Sheet, Solid, Strands, Subject

Array = NDArray[Any]
CELLS = 56
"""Cells a side of the density grid."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at the subject."""

    rotation: Array
    """(3, 3), rows are right, up and forward."""
    place: Array
    """(3,)"""
    focal: float
    """Pixels."""
    side: int
    """Pixels a side of the canvas."""

    def seen(self, points: Array) -> tuple[Array, Array]:
        """Canvas pixels (…, 2) and depth (…) of points (…, 3)."""
        local = (points - self.place) @ self.rotation.T
        depth = np.maximum(local[..., 2], 0.1)
        across = local[..., 0] / depth * self.focal + self.side / 2
        down = self.side / 2 - local[..., 1] / depth * self.focal
        return np.stack([across, down], -1), depth


@dataclass(frozen=True)
class Light:
    """A key light, a light from behind, and what comes from all around."""

    key: Array
    """(3,) unit, towards the light."""
    back: Array
    """(3,) unit, towards the light behind."""
    key_colour: Array
    """(3,)"""
    back_colour: Array
    """(3,)"""
    sky: Array
    """(3,) from above."""
    ground: Array
    """(3,) from below."""


def draw_subject(
    rng: np.random.Generator, subject: Subject, size: int, pool: PhotoPool
) -> Foreground:
    """A subject cut out: (size, size)."""
    side = size * (3 if rng.random() < 0.4 else 2)
    camera = _camera(rng, subject, side)
    light = _light(rng, camera)
    stage = _Stage(rng, camera, light, _Shadows(subject, light), pool)
    canvas = blank(side)
    depth = np.full((side, side), np.inf, np.float32)
    bodies = [(solid, *_cast(solid, camera, depth)) for solid in subject.solids]
    near = [_layered(group, camera, depth, subject) for group in subject.strands]
    lit = [_lit(stage, group) for group in subject.strands]
    _draw_strands(canvas, subject.strands, camera, lit, [~front for front in near])
    # All bodies in one go: painted one by one they would let light through where they meet.
    picture = np.zeros((side, side, 3), np.uint8)
    mask = np.isfinite(depth)
    for solid, hit, normal, where in bodies:
        # Nearer bodies hide it.
        seen = hit & (depth >= where - 1e-4)
        _shine(stage, picture, solid, hit=seen, normal=normal, depth=where)
    if mask.any():
        # Soften the steps of the casting, colour first, so that the edge shows no black.
        spread = cv2.dilate(picture, np.ones((5, 5), np.uint8))
        picture = np.where(mask[..., None], picture, spread)
        soft = cv2.GaussianBlur(mask.astype(np.uint8) * 255, (0, 0), 0.7)
        paint(canvas, np.asarray(soft), picture)
    for sheet in subject.sheets:
        _inksheet(stage, canvas, sheet)
    _draw_strands(canvas, subject.strands, camera, lit, near)
    return develop(rng, canvas, size, soften=0.25)


def _camera(rng: np.random.Generator, subject: Subject, side: int) -> Camera:
    angle = np.radians(rng.uniform(14, 32))
    distance = subject.reach / np.tan(angle / 2)
    turn, lift, roll = np.radians([subject.turn, subject.lift, rng.normal(0, 4)])
    away = np.array([np.sin(turn) * np.cos(lift), -np.cos(turn) * np.cos(lift), np.sin(lift)])
    right = np.array([np.cos(turn), np.sin(turn), 0.0])
    up = np.cross(right, -away)
    right, up = (
        np.cos(roll) * right + np.sin(roll) * up,
        np.cos(roll) * up - np.sin(roll) * right,
    )
    place = np.array(subject.middle) + away * distance
    return Camera(np.stack([right, up, -away]), place, side / 2 / np.tan(angle / 2), side)


def _light(rng: np.random.Generator, camera: Camera) -> Light:
    right, up, forward = camera.rotation

    def towards(x: float, y: float, z: float) -> Array:
        way = right * x + up * y - forward * z
        return way / np.linalg.norm(way)

    def tint(strength: float) -> Array:
        warm = rng.normal(0, 0.1)
        return strength * np.array([1 + warm, 1.0, 1 - warm])

    return Light(
        key=towards(rng.normal(0, 0.8), rng.uniform(0, 1.2), rng.uniform(0.1, 1.0)),
        back=towards(rng.normal(0, 0.9), rng.uniform(-0.1, 1.0), -rng.uniform(0.2, 1.0)),
        key_colour=tint(rng.uniform(0.4, 1.6)),
        back_colour=tint(rng.uniform(0, 1.3)),
        sky=tint(rng.uniform(0.25, 0.9)),
        ground=tint(rng.uniform(0.08, 0.4)),
    )


class _Shadows:
    """How much light reaches a place through the hair."""

    def __init__(self, subject: Subject, light: Light) -> None:
        points = [g.points[:, ::2].reshape(-1, 3) for g in subject.strands]
        weights = [
            np.repeat(g.radius[:, ::2].ravel(), 1) * _lengths(g) / g.points[:, ::2].shape[1]
            for g in subject.strands
        ]
        cloud = np.concatenate(points)
        self.low = np.percentile(cloud, 0.5, axis=0) - 0.05
        self.cell = (np.percentile(cloud, 99.5, axis=0) + 0.05 - self.low).max() / CELLS
        self.grids = [
            self._gathered(cloud, np.concatenate(weights), way) for way in (light.key, light.back)
        ]

    def _frame(self, way: Array) -> Array:
        helper = np.array([0.0, 0.0, 1.0]) if abs(way[2]) < 0.8 else np.array([1.0, 0.0, 0.0])
        u = np.cross(way, helper)
        u /= np.linalg.norm(u)
        return np.stack([u, np.cross(way, u), way])

    def _gathered(self, cloud: Array, weights: Array, way: Array) -> tuple[Array, Array, Array]:
        frame = self._frame(way)
        place = (cloud - self.low) @ frame.T / self.cell
        low = place.min(0) - 1
        span = np.minimum(np.ceil(place.max(0) - low).astype(int) + 2, 3 * CELLS)
        index = np.clip((place - low).astype(int), 0, span - 1)
        flat = np.ravel_multi_index(tuple(index.T), tuple(span))
        grid = np.bincount(flat, weights, int(np.prod(span))).reshape(span)
        grid = grid / self.cell**2 * 2  # what share of a cell's face is covered
        for axis in (0, 1):
            grid = (np.roll(grid, 1, axis) + 2 * grid + np.roll(grid, -1, axis)) / 4
        beyond = np.cumsum(grid[:, :, ::-1], 2)[:, :, ::-1] - 0.5 * grid
        return frame, low, np.asarray(beyond, np.float32)

    def through(self, points: Array, number: int) -> Array:
        """Share of light `number` (0 key, 1 back) that reaches points (…, 3)."""
        frame, low, beyond = self.grids[number]
        place = (points - self.low) @ frame.T / self.cell - low
        index = place.astype(int)
        inside = ((index >= 0) & (index < np.array(beyond.shape))).all(-1)
        index = np.clip(index, 0, np.array(beyond.shape) - 1)
        thick = beyond[index[..., 0], index[..., 1], index[..., 2]]
        return np.where(inside, np.exp(-0.7 * thick), 1.0)


def _lengths(group: Strands) -> Array:
    steps = np.linalg.norm(np.diff(group.points, axis=1), axis=2).sum(1)
    return np.repeat(steps, group.points[:, ::2].shape[1])


@dataclass(frozen=True)
class _Stage:
    """What drawing needs besides the things drawn."""

    rng: np.random.Generator
    camera: Camera
    light: Light
    shade: _Shadows
    pool: PhotoPool


# ---- strands -------------------------------------------------------------------------------------


def _lit(stage: _Stage, group: Strands) -> Array:
    """Colours of the strands' pieces, (N, T - 1, 3) uint8."""
    rng, camera, light, shade = stage.rng, stage.camera, stage.light, stage.shade
    middle = (group.points[:, 1:] + group.points[:, :-1]) / 2
    along = np.diff(group.points, axis=1)
    along /= np.linalg.norm(along, axis=2, keepdims=True) + 1e-9
    view = camera.place - middle
    view /= np.linalg.norm(view, axis=2, keepdims=True)
    up = np.clip(0.5 + 0.5 * _across(along, np.array([0.0, 0.0, 1.0])) * 0.6, 0, 1)[..., None]
    sheen, total = 20 + 120 * group.gloss, np.zeros_like(middle)
    open_sky = 0.35 + 0.65 * shade.through(middle, 0)[..., None]
    total += (light.ground + (light.sky - light.ground) * up) * open_sky * group.colours[:, None]
    sources = ((light.key, light.key_colour, 0), (light.back, light.back_colour, 1))
    shift = 0.06 * rng.normal(size=(len(middle), 1))
    for way, colour, number in sources:
        reach = shade.through(middle, number)[..., None] * colour
        diffuse = _across(along, way)[..., None]
        half = way + view
        half /= np.linalg.norm(half, axis=2, keepdims=True) + 1e-9
        dot = np.clip((along * half).sum(2) + shift, -1, 1)
        spec = (1 - dot**2)[..., None] ** (sheen / 2)
        total += reach * (diffuse * group.colours[:, None] * 0.8 + spec * 0.16 * group.gloss)
        if number == 1:  # light hair glows when lit from behind
            total += reach * group.colours[:, None] ** 0.5 * diffuse * 0.25
    return _developed(total)


def _across(along: Array, way: Array) -> Array:
    return np.asarray(np.sqrt(np.clip(1 - (along @ way) ** 2, 0, 1)))


def _developed(light: Array) -> Array:
    light = np.maximum(light, 0) * 1.3
    light = light * (1 + light / 9) / (1 + light)
    srgb = np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.clip(srgb * 255, 0, 255).astype(np.uint8)


def _layered(group: Strands, camera: Camera, depth: Array, subject: Subject) -> Array:
    """Which pieces lie before the bodies, (N, T - 1) bool."""
    place, far = camera.seen((group.points[:, 1:] + group.points[:, :-1]) / 2)
    column = np.clip(place[..., 0].astype(int), 0, camera.side - 1)
    row = np.clip(place[..., 1].astype(int), 0, camera.side - 1)
    wall = depth[row, column]
    _, middle = camera.seen(np.array(subject.middle))
    return np.asarray(np.where(np.isfinite(wall), far < wall + 0.04, far < middle))


def _draw_strands(
    canvas: Array,
    groups: tuple[Strands, ...],
    camera: Camera,
    colours: list[Array],
    wanted: list[Array],
) -> None:
    """Draw pieces of all strands from far to near."""
    starts, ends, tints, pens, depths = [], [], [], [], []
    for group, colour, chosen in zip(groups, colours, wanted, strict=True):
        place, depth = camera.seen(group.points)
        inside = np.asarray((np.abs(place - camera.side / 2) < camera.side * 0.55).all(2))
        keep = chosen & inside[:, 1:] & inside[:, :-1]
        width = group.radius[:, 1:] * 2 * camera.focal / depth[:, 1:]
        starts.append(place[:, :-1][keep])
        ends.append(place[:, 1:][keep])
        tints.append(colour[keep])
        pens.append(width[keep])
        depths.append(((depth[:, 1:] + depth[:, :-1]) / 2)[keep])
    if not starts:
        return
    order = np.argsort(-np.concatenate(depths))
    scale = 2**SHIFT
    a = np.round(np.concatenate(starts)[order] * scale).astype(np.int32).tolist()
    b = np.round(np.concatenate(ends)[order] * scale).astype(np.int32).tolist()
    tint = np.concatenate(tints)[order]
    rgba = np.concatenate([tint, np.full((len(tint), 1), 255)], 1).astype(np.int32).tolist()
    pen = np.maximum(np.round(np.concatenate(pens)[order]), 1).astype(int).tolist()
    for start, end, ink, width in zip(a, b, rgba, pen, strict=True):
        cv2.line(canvas, start, end, ink, width, cv2.LINE_AA, SHIFT)


# ---- bodies --------------------------------------------------------------------------------------


def _cast(solid: Solid, camera: Camera, depth: Array) -> tuple[Array, Array, Array]:
    """Where rays meet a solid: hit (R, R) bool, normal (R, R, 3), depth (R, R); updates `depth`."""
    side = camera.side
    own = np.full((side, side), np.inf, np.float32)
    normal = np.zeros((side, side, 3), np.float32)
    for part in solid.parts:
        box = _box(part, camera)
        if box is None:
            continue
        found, slope = _meet(part, camera, box)
        rows, columns = box
        nearer = found < own[rows, columns]
        own[rows, columns] = np.where(nearer, found, own[rows, columns])
        normal[rows, columns] = np.where(nearer[..., None], slope, normal[rows, columns])
    hit = np.isfinite(own)
    if solid.blend:  # parts flow into one another
        soft = cv2.GaussianBlur(normal, (0, 0), max(side * solid.blend * 0.09, 0.5))
        length = np.linalg.norm(soft, axis=2, keepdims=True)
        normal = np.where(hit[..., None], soft / np.maximum(length, 1e-3), 0)
    np.minimum(depth, own, out=depth)
    return hit, normal, own


def _box(part: Ellipsoid, camera: Camera) -> tuple[slice, slice] | None:
    place, depth = camera.seen(part.centre)
    reach = part.radii.max() * camera.focal / max(float(depth) - part.radii.max(), 0.1) * 1.05 + 2
    low = np.clip(np.floor(place - reach), 0, camera.side).astype(int)
    high = np.clip(np.ceil(place + reach), 0, camera.side).astype(int)
    if (high <= low).any():
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def _meet(part: Ellipsoid, camera: Camera, box: tuple[slice, slice]) -> tuple[Array, Array]:
    """Depth (h, w) and normal (h, w, 3) of an ellipsoid within a box; depth inf where missed."""
    rows, columns = box
    x = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - camera.side / 2)[None]
    y = (camera.side / 2 - np.arange(rows.start, rows.stop, dtype=np.float32) - 0.5)[:, None]
    right, up, forward = (camera.rotation / camera.focal).astype(np.float32)
    ray = x[..., None] * right + y[..., None] * up + forward * np.float32(camera.focal)
    turn = (part.axes / part.radii).astype(np.float32)
    start = ((camera.place - part.centre) @ turn).astype(np.float32)
    way = ray @ turn
    a = (way * way).sum(2)
    b = way @ start
    c = float(start @ start) - 1
    root = b * b - a * c
    t = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    safe = np.where(np.isfinite(t), t, 0)[..., None]
    slope = (start + way * safe) / part.radii.astype(np.float32) @ part.axes.T.astype(np.float32)
    slope /= np.linalg.norm(slope, axis=2, keepdims=True) + 1e-9
    return t.astype(np.float32), slope.astype(np.float32)


def _shine(
    stage: _Stage, picture: Array, solid: Solid, *, hit: Array, normal: Array, depth: Array
) -> None:
    """Put a body's colours where it is hit into `picture`, (R, R, 3) uint8."""
    if not hit.any():
        return
    rng, camera, light, shade = stage.rng, stage.camera, stage.light, stage.shade
    side = camera.side
    rows, columns = np.nonzero(hit)
    slope = normal[rows, columns]
    x = (columns + 0.5 - side / 2) / camera.focal
    y = (side / 2 - rows - 0.5) / camera.focal
    right, up, forward = camera.rotation
    ray = x[:, None] * right + y[:, None] * up + forward
    points = camera.place + ray * depth[rows, columns, None]
    # Jitter hides the cells of the shadow grid; shrinking the canvas averages it away.
    lookup = points + shade.cell * rng.uniform(-0.6, 0.6, points.shape)
    base = np.broadcast_to(solid.colour, points.shape)
    if solid.textured:
        surface = stage.pool.surface(rng, side // 2, side // 2)
        surface = np.asarray(cv2.resize(surface, (side, side))) / np.float32(255)
        base = (surface[rows, columns] ** 2.2) * 0.9 + 0.01
    sky = (0.5 + 0.5 * slope[:, 2:]) * (light.sky - light.ground) + light.ground
    total = base * sky * (0.4 + 0.6 * shade.through(lookup, 0)[:, None])
    wrap = 0.25 if solid.skin else 0.05
    for way, colour, number in (
        (light.key, light.key_colour, 0),
        (light.back, light.back_colour, 1),
    ):
        facing = slope @ way
        reach = shade.through(lookup + slope * 0.06, number)[:, None] * colour
        total = total + base * reach * np.clip((facing + wrap) / (1 + wrap), 0, 1)[:, None] * 0.9
        half = way - ray / np.linalg.norm(ray, axis=1, keepdims=True)
        half /= np.linalg.norm(half, axis=1, keepdims=True) + 1e-9
        power = 4 + 120 * (1 - solid.roughness) ** 2
        glint = np.clip((slope * half).sum(1), 0, 1)[:, None] ** power
        total = total + reach * glint * 0.25 * (1 - solid.roughness) * (facing > 0)[:, None]
    picture[rows, columns] = _developed(total)


def _inksheet(stage: _Stage, canvas: Array, sheet: Sheet) -> None:
    """Paint quads from far to near, each lit evenly."""
    camera, light = stage.camera, stage.light
    place, depth = camera.seen(sheet.vertices)
    corners = sheet.vertices[sheet.faces]
    slope = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    slope /= np.linalg.norm(slope, axis=1, keepdims=True) + 1e-9
    slope *= np.sign((slope * (camera.place - corners[:, 0])).sum(1, keepdims=True))
    base = sheet.colours[sheet.faces[:, 0]]
    if sheet.textured:
        photo = stage.pool.surface(stage.rng, 256, 256)
        at = np.clip(sheet.uv[sheet.faces].mean(1) * 255, 0, 255).astype(int)
        base = (photo[255 - at[:, 1], at[:, 0]] / 255.0) ** 2.2
    sky = (0.5 + 0.5 * slope[:, 2:]) * (light.sky - light.ground) + light.ground
    total = base * sky
    for way, colour in ((light.key, light.key_colour), (light.back, light.back_colour)):
        facing = slope @ way
        lit = np.clip(facing, 0, 1) + sheet.thin * np.clip(-facing, 0, 1)
        total = total + base * colour * lit[:, None] * 0.9
    shown = _developed(total)
    fixed = np.round(place[sheet.faces] * 2**SHIFT).astype(np.int32)
    for i in np.argsort(-depth[sheet.faces].mean(1)):
        cv2.fillConvexPoly(canvas, fixed[i], (*shown[i].tolist(), 255), cv2.LINE_AA, SHIFT)
