"""Prepare the folder that training draws from: photographs, foregrounds and their origin."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from . import sources
from .figures import subjects
from .foregrounds import generate, generate_figure, kind_of
from .licences import sha256
from .panoramas import read_panorama, views
from .photos import read_photo
from .sources import Picture
from .storing import (
    Entry,
    Skipped,
    background_files,
    foreground_files,
    make_folder,
    read_manifest,
    write_foreground,
    write_manifest,
    write_photo,
    write_skipped,
)
from .strokes import straighten
from .textures import PhotoPool

log = logging.getLogger(__name__)

LONG_SIDE = 1280
CLOSE_FROM = 2400
"""Photographs of that many pixels also give a closer view: few photographs must go far."""
PANORAMA_VIEWS = 5
Progress = Callable[[int, int, str], None]


def build_bank(
    directory: Path,
    *,
    count: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    size: int = 1024,
    workers: int = 1,
    photos: Sequence[Path] | None = None,
    installed: bool | None = None,
    emoji_archive: Path | None = None,
    emoji_count: int = 120,
    figures: int = 0,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Fill `directory` with `backgrounds/`, `foregrounds/` and `manifest.json`; resumes.

    Args:
        directory: the bank; made if it does not exist.
        count: foregrounds drawn in 2D (600 if neither this nor `minutes` is given).
        figures: people, animals and plants drawn in 3D, some seconds each.
        minutes: stop rendering after so long.
        seed: foreground number i depends only on `seed`, i and the photographs.
        size: pixels a side of a foreground.
        workers: processes that draw.
        photos: folders and .tgz archives of more photographs; what may be used of them is decided
            file by file (see `sources.given`).
        installed: take the photographs of installed packages; default: if no `photos` are named.
        emoji_archive: archive of @lobehub/fluent-emoji-3d, of which `emoji_count` are taken.
        progress: called as progress(done, total, stage).

    What exists is never made again. Pictures that may not be used or cannot be read are left out,
    counted and listed with the reason in `skipped.json`, which keeps what earlier calls left out of
    other places.
    Returns: how many backgrounds and foregrounds the bank holds and how many pictures were skipped.
    Raises InputError for a place that does not exist, OutputError where writing fails.
    """
    directory = Path(directory)
    for folder in ("backgrounds", "foregrounds"):
        make_folder(directory / folder)
    entries = read_manifest(directory)
    until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    if count is None:
        count = 600 if minutes is None else 1_000_000
    skipped: list[Skipped] = []

    if installed is None:
        installed = photos is None
    found: Iterable[Picture | Skipped] = chain(
        sources.installed() if installed else (),
        *(sources.given(Path(place)) for place in photos or ()),
    )
    try:
        for picture in found:
            problem = (
                picture if isinstance(picture, Skipped) else _keep(directory, picture, entries)
            )
            if problem is not None:
                skipped.append(problem)
                log.info("%s: left out (%s)", problem.file, problem.reason)
        if emoji_archive is not None:
            for picture in sources.emoji(emoji_archive, emoji_count, np.random.default_rng(seed)):
                _keep_emoji(directory, picture, entries, skipped)
        write_manifest(directory, entries)
        for kind, wanted in (("rendered", count), ("figure", figures)):
            plan = _Plan(directory, kind, seed, size)
            _collect(directory, entries, _drawn(plan, entries, wanted, workers, until), progress)
    finally:  # also after an interrupt: what is there must be known
        write_manifest(directory, entries)
    retried = [str(place) for place in photos or ()]
    retried += sources.INSTALLED if installed else []
    retried += [str(emoji_archive)] if emoji_archive is not None else []
    write_skipped(directory, skipped, retried)
    return {
        "backgrounds": len(background_files(directory)),
        "foregrounds": len(foreground_files(directory)),
        "skipped": len(skipped),
    }


def _collect(
    directory: Path,
    entries: dict[str, Entry],
    made: Iterator[tuple[Entry, int]],
    progress: Progress | None,
) -> None:
    """Put entries of new foregrounds into the manifest as they come, each with the total."""
    for done, (entry, total) in enumerate(made, 1):
        entries[entry["file"]] = entry
        if done % 25 == 0:
            write_manifest(directory, entries)
        if progress is not None:
            progress(done, total, "foregrounds")


# ---- real pictures -------------------------------------------------------------------------------


def _keep(directory: Path, picture: Picture, entries: dict[str, Entry]) -> Skipped | None:
    """Store the views of a photograph or panorama; what was wrong with it, if anything."""
    first = f"backgrounds/{picture.stem}.jpg"
    if first in entries and (directory / first).exists():
        return None
    if sources.is_panorama(picture):
        linear = read_panorama(picture.data)
        if linear is None:
            return Skipped(picture.where, _panorama_problem(picture))
        digits = int(sha256(picture.data)[:8], 16)
        pictures = views(np.random.default_rng(digits), linear, PANORAMA_VIEWS)
    else:
        photo = read_photo(picture.data)
        if isinstance(photo, str):
            return Skipped(picture.where, photo)
        pictures = views_of(photo)
    for i, image in enumerate(pictures):
        name = first if i == 0 else f"backgrounds/{picture.stem}-{i}.jpg"
        write_photo(directory / name, image)
        entries[name] = _entry(directory, name, picture, "background, texture")
    return None


def _panorama_problem(picture: Picture) -> str:
    if picture.name.lower().endswith(".exr") and find_spec("OpenEXR") is None:
        return "an .exr panorama needs the package OpenEXR: pip install 'mematte-plugin[train]'"
    return "unreadable panorama"


def views_of(photo: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """A photograph whole, and a large one also its lower middle, where things are."""
    pictures = [shrunk(photo, LONG_SIDE)]
    height, width = photo.shape[:2]
    if max(height, width) >= CLOSE_FROM:
        half = photo[int(height * 0.45) : int(height * 0.95), width // 4 : width * 3 // 4]
        pictures.append(shrunk(half, LONG_SIDE * 3 // 4))
    return pictures


def shrunk(image: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    """Scaled down so that neither side is longer."""
    scale = long_side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _entry(directory: Path, name: str, picture: Picture, use: str) -> Entry:
    return {
        "file": name,
        "source": picture.credit.source,
        "original": picture.name,
        "author": picture.credit.author,
        "licence": picture.credit.licence,
        "url": picture.credit.url,
        "sha256": sha256(directory / name),
        "use": use,
    }


def _keep_emoji(
    directory: Path, picture: Picture, entries: dict[str, Entry], skipped: list[Skipped]
) -> None:
    name = f"foregrounds/{picture.stem}.webp"
    if (directory / name).exists() and name in entries:
        return
    rgba = read_photo(picture.data, mode="RGBA", smallest=32)
    if isinstance(rgba, str):
        skipped.append(Skipped(picture.where, rgba))
        return
    premultiplied = np.concatenate(
        [rgba[..., :3] * (rgba[..., 3:] / np.float32(255)), rgba[..., 3:]], 2, dtype=np.float32
    )
    scale = 448 / max(rgba.shape[:2])
    size = (round(rgba.shape[1] * scale), round(rgba.shape[0] * scale))
    scaled = np.asarray(cv2.resize(premultiplied, size, interpolation=cv2.INTER_AREA))
    write_foreground(directory / name, straighten(scaled))
    entries[name] = _entry(directory, name, picture, "foreground")


# ---- drawn foregrounds ---------------------------------------------------------------------------


def rendered_entry(directory: Path, name: str, recipe: str) -> Entry:
    """The manifest entry of a foreground that this project rendered."""
    return {
        "file": name,
        "source": "rendered",
        "original": recipe,
        "author": "the mematte-plugin authors",
        "licence": "rendered",
        "sha256": sha256(directory / name),
        "use": "foreground",
    }


@dataclass(frozen=True)
class _Plan:
    """What to draw."""

    directory: Path
    kind: str
    """Start of the file names: `rendered` (in 2D) or `figure` (in 3D)."""
    seed: int
    size: int

    def name(self, index: int) -> str:
        return f"foregrounds/{self.kind}-{index:06d}.webp"

    def generator(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, 1 if self.kind == "rendered" else 2, index])

    def recipe(self, index: int) -> str:
        which = kind_of if self.kind == "rendered" else subjects.kind_of
        return f"{which(self.generator(index))} seed={self.seed} index={index}"


# One pool of textures per worker process, read once.
_pools: dict[Path, PhotoPool] = {}


def _draw(plan: _Plan, index: int) -> Entry:
    """Draw and store foreground `index`; returns its manifest entry."""
    if plan.directory not in _pools:
        _pools[plan.directory] = PhotoPool.open(plan.directory / "backgrounds")
    cv2.setNumThreads(1)
    pool = _pools[plan.directory]
    make = generate if plan.kind == "rendered" else generate_figure
    _, foreground = make(plan.generator(index), plan.size, pool)
    write_foreground(plan.directory / plan.name(index), foreground)
    return rendered_entry(plan.directory, plan.name(index), plan.recipe(index))


def _drawn(
    plan: _Plan, entries: dict[str, Entry], count: int, workers: int, until: float
) -> Iterator[tuple[Entry, int]]:
    missing = []
    for index in range(count):
        name = plan.name(index)
        if not (plan.directory / name).exists():
            missing.append(index)
        elif name not in entries:  # stored just before a kill
            entries[name] = rendered_entry(plan.directory, name, plan.recipe(index))
    if workers <= 1:
        for index in missing:
            if time.monotonic() > until:
                return
            yield _draw(plan, index), len(missing)
        return
    # spawn: forking a process that already runs threads (torch, cv2) can hang.
    context: Any = multiprocessing.get_context("spawn")
    batch = 8 * workers
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for start in range(0, len(missing), batch):
            if time.monotonic() > until:
                return
            jobs = [pool.submit(_draw, plan, index) for index in missing[start:][:batch]]
            for job in jobs:
                yield job.result(), len(missing)
