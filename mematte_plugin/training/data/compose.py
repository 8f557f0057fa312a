"""Composes training crops: a foreground over a background, seen through a camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from . import light, vapour
from .camera import graded, out_of_focus, partly_sharp, photographed, shadowed
from .cutouts import Cutout, over, read_cutout, view
from .storing import foreground_files
from .textures import PhotoPool, log_uniform, pattern
from .trimaps import random_trimap

Array = NDArray[Any]

SHARES: dict[str, float] = {"figure": 0.48, "fluent-emoji": 0.06}
"""Share of draws of foregrounds by the start of their file name (3D figures, emoji: kinds that
older banks hold), however many there are; the others share the rest."""
MOST_OF_ONE = 0.005
"""Largest share of a single file of those kinds, so that a few files are not overused."""
BACKGROUNDS = 3
"""Backgrounds to try before another subject is drawn."""
TWO_SUBJECTS = 0.25
UNMARKED = 0.4
"""How often a whole part of the subject is unknown: a flag in its hand, a patch of its clothes. Its
colours appear in no known region, which must not make it background."""
RESEMBLING = 0.2
"""How often the background has the subject's colours, the hardest case of real photos."""
ALIKE, HARDLY_SEEN = 0.25, 7.0
"""How often a crop may have little contrast, and how little (mean difference in 0..255)."""
SCREEN = 0.08
"""How often the background is an even, saturated screen that spills onto the subject."""
SMOKE, SHEER = 0.035, 0.025
"""How often the subject is smoke or a sheer veil, drawn for the crop."""
PHOTO_SURFACE = 0.35
"""How often a photograph's detail shows on a drawn subject."""
LENS, DEPTH = 0.35, 0.15
"""How often the lens blurs everything, and how often a part of the subject."""
DIRECTED, RIM, TONED = 0.25, 0.15, 0.5
"""How often there is light from one side, a rim light, and a tone curve."""
EXPONENTS = 1.0, 2.2
"""Edges are mixed as value**exponent, from display-encoded (usual in matting) to linear light: real
hair is between the two, because cameras sharpen and bend tones."""
NEARLY = 1 / 510
"""Alphas this close to 0 or 1 are rounding."""


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

    def composite(self, exponent: float = 1.0, sigma: float = 0.0) -> Array:
        """(S, S, 3) float32 in 0..255.

        exponent: values are mixed and blurred as value**exponent: 1 for display-encoded values, 2.2
            for about linear light.
        sigma: of the lens's blur, in pixels. The true alpha of such a picture is the blurred one.
        """
        share = self.alpha[..., None]
        front, behind = _raised(self.foreground, exponent), _raised(self.background, exponent)
        picture = front * share + behind * (1 - share)
        if sigma:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))
        return _raised(picture, 1 / exponent)


class Composer:
    """Draws samples out of a bank; the same rng state gives the same sample.

    Decoded foregrounds stay in memory up to `cache_mb`. Pictures that cannot be read are left out:
    `skipped` names them.
    """

    def __init__(self, bank_dir: Path, *, size: int = 224, cache_mb: int = 3000) -> None:
        bank_dir = Path(bank_dir)
        self.size = size
        self._files = foreground_files(bank_dir)
        if not self._files:
            raise InputError(
                f"{bank_dir}: no foregrounds; run `mematte train data build` or import"
            )
        self._groups, self._shares = _grouped([path.name for path in self._files])
        self._pool = PhotoPool.open(bank_dir / "backgrounds")
        self.skipped: list[str] = list(self._pool.skipped)
        self._room = cache_mb * 2**20
        self._cache: dict[int, Cutout | None] = {}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw one crop. Raises InputError if no foreground of the bank can be read."""
        while True:
            colour, alpha, unmarked = self._subject(rng)
            # The lens blurs the finished picture, so the true alpha is the blurred one.
            sigma = log_uniform(rng, 0.35, 1.0) if rng.random() < LENS else 0.0
            label = _label(alpha, sigma)
            trimap = self._trimap(rng, label, unmarked)
            if not _useful(rng, trimap):
                continue
            alike = HARDLY_SEEN if rng.random() < ALIKE else 255.0
            for _ in range(BACKGROUNDS):
                layers, least = self._setting(rng, colour, alpha, trimap)
                if _distinct(layers, trimap, min(least, alike)):
                    exponent = rng.uniform(*EXPONENTS)
                    picture = layers.composite(exponent, sigma)
                    if rng.random() < TONED:
                        picture = light.toned(rng, picture)
                    return Sample(photographed(rng, picture), trimap, label)

    def _trimap(self, rng: np.random.Generator, alpha: Array, unmarked: Array) -> Array:
        # As wide as people draw it.
        widest = (0.3 if rng.random() < 0.12 else 0.16) * self.size
        trimap = random_trimap(rng, alpha, widest=widest)
        trimap[unmarked & (trimap == 255)] = 128
        return trimap

    def _readable(self, index: int) -> Cutout:
        """The foreground at `index`, or the next readable one."""
        for step in range(len(self._files)):
            cutout = self._cutout((index + step) % len(self._files))
            if cutout is not None:
                return cutout
        raise InputError(f"{self._files[0].parent}: no readable foreground; build the bank again")

    def _cutout(self, index: int) -> Cutout | None:
        if index in self._cache:
            return self._cache[index]
        path = self._files[index]
        cutout = read_cutout(path, index)
        if cutout is None:
            self.skipped.append(path.name)
            self._cache[index] = None
        elif self._room > 0:
            self._cache[index] = cutout
            self._room -= cutout.nbytes
        return cutout

    def _view(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """One foreground in one light: colour (S, S, 3) float32, alpha (S, S) float32."""
        kind = rng.random()
        if kind < SMOKE:
            return vapour.smoke(rng, self.size)
        if kind < SMOKE + SHEER:
            return vapour.sheer(rng, self.size)
        group = self._groups[int(np.searchsorted(self._shares, rng.random(), side="right"))]
        cutout = self._readable(int(group[int(rng.integers(len(group)))]))
        drawn, alpha = view(rng, cutout, self.size)
        colour = drawn.astype(np.float32)
        if rng.random() < PHOTO_SURFACE:
            photo = self._pool.crop(rng, self.size, self.size)
            colour = light.surfaced(rng, colour, photo)
        return colour, alpha

    def _subject(self, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Foregrounds combined: straight colour (S, S, 3), alpha (S, S), and what stays unknown."""
        colour, alpha = self._view(rng)
        colour = graded(rng, colour)
        if rng.random() < TWO_SUBJECTS:
            colour, alpha = over(colour, alpha, *self._view(rng))
        unmarked = np.zeros(alpha.shape, bool)
        if rng.random() < UNMARKED:
            part = self._part(rng, alpha)
            if rng.random() < 0.7:  # something else that belongs to the subject
                texture = graded(rng, self._texture(rng))
                if rng.random() < 0.5:
                    colour, alpha = over(texture, part, colour, alpha)
                else:
                    colour, alpha = over(colour, alpha, texture, part)
            unmarked = part > 0
        if rng.random() < DEPTH:
            colour, alpha = partly_sharp(rng, colour, alpha)
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
        """Choose a background and match the light: the layers, and the least useful contrast (mean
        difference in 0..255)."""
        if rng.random() < DIRECTED:
            colour = light.directed(rng, colour, alpha)
        if rng.random() < RIM:
            colour = light.rim_lit(rng, colour, alpha)
        if rng.random() < SCREEN:
            background = light.screen(rng, self.size, self.size)
            if rng.random() < 0.2:
                background = shadowed(rng, background, alpha)
            if rng.random() < 0.85:
                colour = light.spilled(rng, colour, alpha, background)
            return Layers(colour, background, alpha), 18.0
        background = self._surroundings(rng)
        body = alpha > 0.5
        resembling = rng.random() < RESEMBLING
        if body.any():
            subject, around = colour[body], background.mean((0, 1))
            if resembling:
                background = light.likened(rng, background, subject)
            else:
                colour = light.lit_alike(rng, colour, subject.mean(0), around)
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

    def _surroundings(self, rng: np.random.Generator) -> Array:
        """A background (S, S, 3) float32: mostly a photograph, sometimes out of focus."""
        kind = rng.random()
        draw = self._pool.crop if kind < 0.86 else pattern if kind < 0.94 else self._pool.surface
        background = graded(rng, draw(rng, self.size, self.size).astype(np.float32))
        return out_of_focus(rng, background) if rng.random() < 0.5 else background


def _raised(picture: Array, exponent: float) -> Array:
    """0..255 to 0..255 by (value/255)**exponent."""
    if exponent == 1:
        return picture
    value = np.maximum(picture, 0) * np.float32(1 / 255)
    return np.asarray(cv2.pow(value, exponent)) * np.float32(255)


def _label(alpha: Array, sigma: float) -> Array:
    """The alpha behind a lens: (S, S) float32 in [0, 1], exactly 0 and 1 where it nearly is."""
    if sigma:
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma))
    low, high = np.where(alpha < NEARLY, 0, alpha), np.float32(1)
    return np.asarray(np.where(low > 1 - NEARLY, high, low), np.float32)


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
    cumulative[-1] = 1.0  # without rounding error: no draw may exceed it
    return groups, cumulative


def _useful(rng: np.random.Generator, trimap: Array) -> bool:
    """Whether a crop has enough unknown pixels; most crops must show both known sides."""
    unknown = float((trimap == 128).mean())
    if not 0.01 < unknown < 0.92:
        return False
    known = min(float((trimap == 0).mean()), float((trimap == 255).mean()))
    return known > 0.004 or rng.random() < 0.25


def _distinct(layers: Layers, trimap: Array, least: float) -> bool:
    """Whether foreground and background differ enough where alpha is unknown."""
    seen = (trimap == 128) & (layers.alpha > 0.05)
    if not seen.any():
        return False
    gap = np.abs(layers.foreground[seen] - layers.background[seen]).max(1)
    return float(gap.mean()) > least and float((gap < least / 3).mean()) < 0.25
