"""Training crops without end: a foreground over a background, seen through a camera."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .camera import graded, out_of_focus, photographed, shadowed
from .textures import PhotoPool, log_uniform, pattern
from .trimaps import random_trimap

log = logging.getLogger(__name__)

Array = NDArray[Any]

SHARES: dict[str, float] = {"figure": 0.42, "blender": 0.12, "fluent-emoji": 0.05}
"""How often foregrounds of that file name are drawn, however many a bank holds; the others share
the rest. Emoji are few because their edges are all alike."""
MOST_OF_ONE = 0.005
"""The largest share of a single file of those: a few files are not drawn over and over."""
BACKGROUNDS = 3
"""Tried per subject before another subject is drawn."""
TWO_SUBJECTS = 0.25
UNMARKED = 0.4
"""How often a part of the subject is left unknown as a whole: a flag in its hand, a patch of its
clothes. Its colours are then seen in neither known region, which must not make it background."""
RESEMBLING = 0.2
"""How often the background is of the subject's colours, the hardest case of real photographs."""


@dataclass(frozen=True)
class Sample:
    """One training crop."""

    image: Array
    """(S, S, 3) uint8 RGB, degraded like a photograph."""
    trimap: Array
    """(S, S) uint8, 0 background, 128 unknown, 255 foreground."""
    alpha: Array
    """(S, S) float32 in [0, 1]."""


@dataclass(frozen=True)
class Layers:
    """A composite before the camera: image = alpha·foreground + (1 - alpha)·background."""

    foreground: Array
    """(S, S, 3) float32 in 0..255, straight."""
    background: Array
    """(S, S, 3) float32 in 0..255."""
    alpha: Array
    """(S, S) float32 in [0, 1]."""

    def composite(self) -> Array:
        """(S, S, 3) float32 in 0..255; in gamma space, as the field and its test sets do it."""
        share = self.alpha[..., None]
        return np.asarray(self.foreground * share + self.background * (1 - share))


@dataclass(frozen=True)
class _Cutout:
    """A decoded foreground."""

    levels: tuple[Array, Array]
    """(H, W, 4) uint8 straight RGBA at full and at half size."""
    edges: Array
    """(N, 2) float32, points (x, y) where alpha is between."""
    touches: Array
    """(2, 2) bool: whether the subject reaches the left, top; right, bottom border."""


class Composer:
    """Draws samples out of a bank; the same rng state gives the same sample.

    Decoded foregrounds stay in memory up to `cache_mb`. Call `warm()` before forking workers, so
    that they share them. Pictures that cannot be read are left out: `skipped` names them.
    """

    def __init__(self, bank_dir: Path, *, size: int = 224, cache_mb: int = 3000) -> None:
        bank_dir = Path(bank_dir)
        self.size = size
        self._files = sorted((bank_dir / "foregrounds").glob("*.webp"))
        if not self._files:
            raise InputError(f"{bank_dir}: no foregrounds. Build the bank first (build_bank).")
        self._groups, self._shares = _grouped([path.name for path in self._files])
        self._pool = PhotoPool.open(bank_dir / "backgrounds")
        self.skipped: list[str] = list(self._pool.skipped)
        self._room = cache_mb * 2**20
        self._cache: dict[int, _Cutout | None] = {}

    def __len__(self) -> int:
        """How many foregrounds there are."""
        return len(self._files)

    def warm(self) -> None:
        """Decode foregrounds until the cache is full."""
        for index in range(len(self._files)):
            if self._room <= 0:
                return
            self._cutout(index)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw one crop. Raises InputError if no foreground of the bank can be read."""
        while True:
            colour, alpha, unmarked = self._subject(rng)
            sigma = log_uniform(rng, 0.35, 1.0) if rng.random() < 0.35 else 0.0
            if sigma:  # the lens blurs alpha as it blurs the picture
                alpha = np.minimum(cv2.GaussianBlur(alpha, (0, 0), sigma), np.float32(1))
            trimap = self._trimap(rng, alpha, unmarked)
            if not _useful(rng, trimap):
                continue
            for _ in range(BACKGROUNDS):
                layers, least = self._setting(rng, colour, alpha, trimap)
                if _distinct(layers, trimap, least):
                    return Sample(photographed(rng, layers.composite(), sigma), trimap, alpha)

    def layers(self, rng: np.random.Generator) -> tuple[Layers, Array]:
        """A composite and its trimap before the camera, for tests and inspection."""
        colour, alpha, unmarked = self._subject(rng)
        trimap = self._trimap(rng, alpha, unmarked)
        return self._setting(rng, colour, alpha, trimap)[0], trimap

    def _trimap(self, rng: np.random.Generator, alpha: Array, unmarked: Array) -> Array:
        # As wide as people draw in photographs, unless little of the crop would be left.
        trimap = random_trimap(rng, alpha, widest=min(50.0, 0.16 * self.size))
        trimap[unmarked & (trimap == 255)] = 128
        return trimap

    def _readable(self, index: int) -> _Cutout:
        """The cutout at `index`, or where that is broken the next one."""
        for step in range(len(self._files)):
            cutout = self._cutout((index + step) % len(self._files))
            if cutout is not None:
                return cutout
        raise InputError(f"{self._files[0].parent}: no readable foreground. Build the bank again.")

    def _cutout(self, index: int) -> _Cutout | None:
        if index in self._cache:
            return self._cache[index]
        path = self._files[index]
        bgra = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if bgra is None or bgra.ndim != 3 or bgra.shape[2] != 4:
            self._cache[index] = None
            self.skipped.append(path.name)
            log.warning("%s: skipped, not a readable RGBA image", path)
            return None
        full = np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA))
        half = np.asarray(cv2.resize(full, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        alpha = full[..., 3]
        soft = np.argwhere((alpha > 8) & (alpha < 247))
        if len(soft) == 0:
            soft = np.argwhere(alpha > 127)
        if len(soft) == 0:
            soft = np.array([[alpha.shape[0] // 2, alpha.shape[1] // 2]])
        pick = np.random.default_rng(index).integers(len(soft), size=min(len(soft), 400))
        rims = (alpha[:, 0], alpha[0]), (alpha[:, -1], alpha[-1])
        touches = np.array([[bool((rim > 8).any()) for rim in pair] for pair in rims])
        cutout = _Cutout((full, half), soft[pick][:, ::-1].astype(np.float32), touches)
        if self._room > 0:
            self._cache[index] = cutout
            self._room -= full.nbytes + half.nbytes
        return cutout

    def _view(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """One foreground scaled, turned and placed: colour (S, S, 3) uint8, alpha (S, S)."""
        group = self._groups[int(np.searchsorted(self._shares, rng.random(), side="right"))]
        cutout = self._readable(int(group[int(rng.integers(len(group)))]))
        size = self.size
        scale = float(np.clip(np.exp(rng.normal(np.log(0.85), 0.38)), 0.35, 2.0))
        turn = rng.uniform(0, 360) if rng.random() < 0.12 else rng.normal(0, 12)
        at = cutout.edges[int(rng.integers(len(cutout.edges)))]
        if rng.random() < 0.1:
            at = at + rng.normal(0, 80, 2)
        # The crop's middle, kept off borders that cut the subject off: beyond them is nothing.
        at = at - rng.uniform(-0.4, 0.4, 2) * size / scale
        length = np.array(cutout.levels[0].shape[1::-1])
        reach = np.minimum(0.5 * size / scale, length / 2)
        at = np.where(cutout.touches[0], np.maximum(at, reach), at)
        at = np.where(cutout.touches[1], np.minimum(at, length - reach), at)
        level = 1 if scale < 0.62 else 0
        source = cutout.levels[level]
        ratio = 2**level
        centre = (float(at[0]) / ratio, float(at[1]) / ratio)
        matrix = np.asarray(cv2.getRotationMatrix2D(centre, float(turn), scale * ratio), np.float64)
        matrix[:, 2] += size / 2 - np.array(centre)
        # Where a turned crop still looks over such a border, the body goes on mirrored.
        border = cv2.BORDER_REFLECT_101 if cutout.touches.any() else cv2.BORDER_CONSTANT
        view = np.asarray(cv2.warpAffine(source, matrix, (size, size), borderMode=border))
        if cutout.touches.any():
            view[_beyond(matrix, source, cutout.touches, size), 3] = 0
        if rng.random() < 0.5:
            view = view[:, ::-1]
        return view[..., :3], view[..., 3].astype(np.float32) / 255

    def _subject(self, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """One foreground, or several by "over": colour (S, S, 3) float32 straight, alpha (S, S),
        and which pixels to leave unknown (S, S)."""
        colour, alpha = self._view(rng)
        colour = graded(rng, colour.astype(np.float32))
        if rng.random() < TWO_SUBJECTS:
            colour, alpha = _over(colour, alpha, *self._view(rng))
        unmarked = np.zeros(alpha.shape, bool)
        if rng.random() < UNMARKED:
            part = self._part(rng, alpha)
            if rng.random() < 0.7:  # something else that belongs to the subject
                texture = graded(rng, self._texture(rng))
                if rng.random() < 0.5:
                    colour, alpha = _over(texture, part, colour, alpha)
                else:
                    colour, alpha = _over(colour, alpha, texture, part)
            unmarked = part > 0
        return colour, alpha, unmarked

    def _part(self, rng: np.random.Generator, alpha: Array) -> Array:
        """Alpha (S, S) float32 of a flat shape at the subject's edge."""
        edge = np.argwhere((alpha > 0.1) & (alpha < 0.9))
        middle = edge[rng.integers(len(edge))] if len(edge) else rng.uniform(0, self.size, 2)
        corners = int(rng.integers(3, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        reach = log_uniform(rng, 0.08, 0.4) * self.size * rng.uniform(0.6, 1.2, corners)
        points = middle[::-1] + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        shape = np.zeros(alpha.shape, np.float32)
        fixed = np.round(points * 16).astype(np.int32)  # 4 fractional bits
        cv2.fillPoly(shape, [fixed], 1.0, lineType=cv2.LINE_AA, shift=4)
        if rng.random() < 0.5:
            soft = cv2.GaussianBlur(shape, (0, 0), log_uniform(rng, 1, 8))
            shape = np.clip((soft - 0.5) * rng.uniform(2, 8) + 0.5, 0, 1)
        return shape.astype(np.float32)

    def _texture(self, rng: np.random.Generator) -> Array:
        """Colours (S, S, 3) float32 in 0..255: a photograph, a pattern or one colour."""
        kind = rng.random()
        if kind < 0.35:
            return self._pool.crop(rng, self.size, self.size).astype(np.float32)
        if kind < 0.6:
            return pattern(rng, self.size, self.size).astype(np.float32)
        grain = rng.normal(0, rng.uniform(0, 6), (self.size, self.size, 1))
        return np.clip(rng.uniform(5, 250, 3) + grain, 0, 255).astype(np.float32)

    def _setting(
        self, rng: np.random.Generator, colour: Array, alpha: Array, trimap: Array
    ) -> tuple[Layers, float]:
        """Choose a background and bring both into one light: the layers, and the least contrast
        (mean difference in 0..255) that makes them worth learning from."""
        size = self.size
        kind = rng.random()
        if kind < 0.84:
            ground = self._pool.crop(rng, size, size)
        elif kind < 0.94:
            ground = pattern(rng, size, size)
        else:
            ground = self._pool.surface(rng, size, size)
        background = graded(rng, ground.astype(np.float32))
        if rng.random() < 0.5:
            background = out_of_focus(rng, background)
        body = alpha > 0.5
        resembling = rng.random() < RESEMBLING
        if body.any():
            subject, around = colour[body], background.mean((0, 1))
            if resembling:
                background = _likened(rng, background, subject)
            else:
                colour = _lit_alike(rng, colour, subject.mean(0), around)
        if rng.random() < 0.2:
            background = shadowed(rng, background, alpha)
        layers = Layers(colour, background, alpha)
        least = 18.0 if resembling else 30.0
        unknown = trimap == 128
        if unknown.any() and not _distinct(layers, trimap, least) and rng.random() < 0.5:
            middle = float(background.mean())
            shift_by = rng.uniform(30, 80) * (1 if colour[unknown].mean() < middle else -1)
            layers = Layers(colour, np.clip(background + np.float32(shift_by), 0, 255), alpha)
        return layers, least


def _over(colour: Array, alpha: Array, behind: Array, behind_alpha: Array) -> tuple[Array, Array]:
    """Porter and Duff's "over", straight colours (S, S, 3) and alphas (S, S)."""
    rest = (1 - alpha) * behind_alpha
    total = alpha + rest
    mixed = colour * alpha[..., None] + behind * rest[..., None]
    seen = total[..., None]
    return np.where(seen > 1e-3, mixed / np.maximum(seen, 1e-3), colour), total


def _grouped(names: list[str]) -> tuple[list[Array], Array]:
    """Indices of the foregrounds of every kind, and the kinds' cumulative shares."""
    kinds = np.array(
        [next((k for k in SHARES if name.startswith(k)), "") for name in names], dtype=object
    )
    groups, shares = [], []
    for kind in ["", *SHARES]:
        group = np.flatnonzero(kinds == kind)
        if len(group):
            groups.append(group)
            most = MOST_OF_ONE * len(group) if kind else 1.0
            shares.append(min(SHARES.get(kind, 1 - sum(SHARES.values())), most))
    cumulative = np.cumsum(shares) / sum(shares)
    cumulative[-1] = 1.0  # not a rounding error less: no draw may fall beyond
    return groups, cumulative


def _lit_alike(rng: np.random.Generator, colour: Array, subject: Array, around: Array) -> Array:
    """Bring a subject's brightness and tint towards the light of its surroundings."""
    wanted = around.mean() / max(float(subject.mean()), 1.0)
    gain = np.clip(wanted, 0.6, 1.6) ** rng.uniform(0.0, 0.5)
    tint = np.clip(around / max(float(around.mean()), 1.0), 0.7, 1.4) ** rng.uniform(0.0, 0.25)
    return np.clip(colour * np.asarray(gain * tint, np.float32), 0, 255)


def _likened(rng: np.random.Generator, background: Array, subject: Array) -> Array:
    """Bring a background's colours towards the subject's, keeping its own texture.

    subject: (N, 3), its colours. After Reinhard et al. 2001, channel by channel.
    """
    share = np.float32(rng.uniform(0.4, 0.9))
    mean, spread = background.mean((0, 1)), background.std((0, 1)) + 1
    ratio = np.clip((subject.std(0) + 12) / spread, 0.5, 2.0)
    moved = (background - mean) * ratio.astype(np.float32) + subject.mean(0)
    return np.clip(background * (1 - share) + moved * share, 0, 255)


def _beyond(matrix: Array, source: Array, touches: Array, size: int) -> Array:
    """Which pixels of a crop look over a border that the subject does not reach, (S, S) bool."""
    back = np.asarray(cv2.invertAffineTransform(matrix), np.float32)
    step = np.arange(size, dtype=np.float32)
    beyond = np.zeros((size, size), bool)
    for axis in range(2):  # x, y
        place = back[axis, 0] * step + (back[axis, 1] * step + back[axis, 2])[:, None]
        if not touches[0, axis]:
            beyond |= place < 0
        if not touches[1, axis]:
            beyond |= place > source.shape[1 - axis] - 1
    return beyond


def _useful(rng: np.random.Generator, trimap: Array) -> bool:
    """Whether a crop has enough to find out; most must show both known sides."""
    unknown = float((trimap == 128).mean())
    if not 0.01 < unknown < 0.92:
        return False
    known = min(float((trimap == 0).mean()), float((trimap == 255).mean()))
    return known > 0.004 or rng.random() < 0.25


def _distinct(layers: Layers, trimap: Array, least: float) -> bool:
    """Whether foreground and background can be told apart where it matters."""
    seen = (trimap == 128) & (layers.alpha > 0.05)
    if not seen.any():
        return False
    gap = np.abs(layers.foreground[seen] - layers.background[seen]).max(1)
    return float(gap.mean()) > least and float((gap < least / 3).mean()) < 0.25
