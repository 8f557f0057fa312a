"""Training crops without end: a foreground over a background, seen through a camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .textures import PhotoPool, log_uniform, pattern
from .trimaps import random_trimap

Array = NDArray[Any]

EMOJI_SHARE = 0.07
BACKGROUNDS = 3  # tried per subject before another subject is drawn


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
    that they share them.
    """

    def __init__(self, bank_dir: Path, *, size: int = 224, cache_mb: int = 3000) -> None:
        bank_dir = Path(bank_dir)
        self.size = size
        self._files = sorted((bank_dir / "foregrounds").glob("*.webp"))
        if not self._files:
            raise InputError(f"{bank_dir}: no foregrounds. Build the bank first (build_bank).")
        toys = np.array([path.name.startswith("fluent-emoji") for path in self._files])
        groups = [np.flatnonzero(~toys), np.flatnonzero(toys)]
        self._groups = [group for group in groups if len(group)]
        self._pool = PhotoPool.open(bank_dir / "backgrounds")
        self._room = cache_mb * 2**20
        self._cache: dict[int, _Cutout] = {}

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
        """Draw one crop."""
        while True:
            colour, alpha = self._subject(rng)
            sigma = log_uniform(rng, 0.35, 1.0) if rng.random() < 0.35 else 0.0
            if sigma:  # the lens blurs alpha as it blurs the picture
                alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma))
            trimap = random_trimap(rng, alpha)
            if not _useful(rng, trimap):
                continue
            for _ in range(BACKGROUNDS):
                layers = self._setting(rng, colour, alpha, trimap)
                if _distinct(layers, trimap):
                    return Sample(_camera(rng, layers.composite(), sigma), trimap, alpha)

    def layers(self, rng: np.random.Generator) -> tuple[Layers, Array]:
        """A composite and its trimap before the camera, for tests and inspection."""
        colour, alpha = self._subject(rng)
        trimap = random_trimap(rng, alpha)
        return self._setting(rng, colour, alpha, trimap), trimap

    def _cutout(self, index: int) -> _Cutout:
        if index in self._cache:
            return self._cache[index]
        path = self._files[index]
        bgra = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if bgra is None or bgra.ndim != 3 or bgra.shape[2] != 4:
            raise InputError(f"{path}: not a readable RGBA image. Delete it and build again.")
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
        # Few emoji: their edges are all alike, however many a bank holds.
        group = self._groups[int(len(self._groups) > 1 and rng.random() < EMOJI_SHARE)]
        cutout = self._cutout(int(group[int(rng.integers(len(group)))]))
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

    def _subject(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """One foreground, or two by "over": colour (S, S, 3) float32 straight, alpha (S, S)."""
        colour, alpha = self._view(rng)
        colour = _grade(rng, colour.astype(np.float32))
        if rng.random() < 0.25:
            behind, behind_alpha = self._view(rng)
            rest = (1 - alpha) * behind_alpha
            total = alpha + rest
            mixed = colour * alpha[..., None] + behind * rest[..., None]
            seen = total[..., None]
            colour = np.where(seen > 1e-3, mixed / np.maximum(seen, 1e-3), colour)
            alpha = total
        return colour, alpha

    def _setting(
        self, rng: np.random.Generator, colour: Array, alpha: Array, trimap: Array
    ) -> Layers:
        """Choose a background and bring both into one light."""
        size = self.size
        kind = rng.random()
        if kind < 0.72:
            ground = self._pool.crop(rng, size, size)
        elif kind < 0.92:
            ground = pattern(rng, size, size)
        else:
            ground = self._pool.surface(rng, size, size)
        background = _grade(rng, ground.astype(np.float32))
        if rng.random() < 0.5:
            background = _out_of_focus(rng, background)
        body = alpha > 0.5
        if body.any():
            subject, around = colour[body].mean(0), background.mean((0, 1))
            wanted = around.mean() / max(float(subject.mean()), 1.0)
            gain = np.clip(wanted, 0.6, 1.6) ** rng.uniform(0.0, 0.5)
            colour = np.clip(colour * np.float32(gain), 0, 255)
            if rng.random() < 0.12:  # hard: much the same colour behind
                shift = (subject - around) * rng.uniform(0.3, 0.8)
                background = np.clip(background + shift.astype(np.float32), 0, 255)
        if rng.random() < 0.2:
            background = _shadowed(rng, background, alpha)
        layers = Layers(colour, background, alpha)
        if not _distinct(layers, trimap) and rng.random() < 0.7:
            middle = float(background.mean())
            shift_by = rng.uniform(40, 90) * (1 if colour[trimap == 128].mean() < middle else -1)
            layers = Layers(colour, np.clip(background + np.float32(shift_by), 0, 255), alpha)
        return layers


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


def _distinct(layers: Layers, trimap: Array) -> bool:
    """Whether foreground and background can be told apart where it matters."""
    seen = (trimap == 128) & (layers.alpha > 0.05)
    if not seen.any():
        return False
    gap = np.abs(layers.foreground[seen] - layers.background[seen]).max(1)
    return float(gap.mean()) > 30 and float((gap < 10).mean()) < 0.25


def _grade(rng: np.random.Generator, picture: Array) -> Array:
    """Mild exposure, white balance, contrast and saturation changes."""
    gain = np.float32(log_uniform(rng, 0.78, 1.25)) * (1 + rng.normal(0, 0.035, 3))
    picture = picture * gain.astype(np.float32)
    if rng.random() < 0.5:
        grey = picture.mean(2, keepdims=True)
        picture = grey + (picture - grey) * np.float32(rng.uniform(0.55, 1.2))
    if rng.random() < 0.5:
        middle = picture.mean()
        picture = middle + (picture - middle) * np.float32(rng.uniform(0.75, 1.2))
    return np.asarray(np.clip(picture, 0, 255))


def _out_of_focus(rng: np.random.Generator, picture: Array) -> Array:
    """Blur by a lens: an even disc, or a Gaussian for speed when it is large."""
    radius = log_uniform(rng, 0.8, 12)
    if radius > 5:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), radius * 0.6))
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return np.asarray(cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT))


def _shadowed(rng: np.random.Generator, background: Array, alpha: Array) -> Array:
    """Let the subject darken what is close behind it."""
    move = np.array([[1, 0, rng.normal(0, 10)], [0, 1, rng.uniform(0, 14)]])
    size = (alpha.shape[1], alpha.shape[0])
    moved = cv2.warpAffine(alpha, move, size, borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(moved, (0, 0), log_uniform(rng, 3, 15))
    return np.asarray(background * (1 - np.float32(rng.uniform(0.1, 0.5)) * soft[..., None]))


def _camera(rng: np.random.Generator, picture: Array, sigma: float) -> Array:
    """Lens blur, sharpening, sensor noise and JPEG, over subject and background alike."""
    if sigma:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))
    if rng.random() < 0.15:
        low = cv2.GaussianBlur(picture, (0, 0), 1.0)
        picture = picture + (picture - low) * np.float32(rng.uniform(0.2, 0.9))
    if rng.random() < 0.6:
        strength = log_uniform(rng, 0.6, 8)
        grain = rng.standard_normal(picture.shape, np.float32)
        if rng.random() < 0.5:  # demosaicing correlates neighbours
            grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.7)) * 1.8
        picture = picture + grain * np.float32(strength)
    image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(60, 96))
        done, packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        back = cv2.imdecode(packed, cv2.IMREAD_COLOR) if done else None
        if back is not None:
            image = np.ascontiguousarray(np.asarray(back)[..., ::-1])
    return image
