"""Build the folder that training draws from: photographs, foregrounds and their origin."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...progress import Progress, no_progress
from . import sources
from .foregrounds import generate, kind_of
from .licences import sha256
from .photos import UnusableError, read_background
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
from .textures import PhotoPool, shrunk

log = logging.getLogger(__name__)

LONG_SIDE = 1280
CLOSE_FROM = 2400
"""Photographs of this many pixels also give a closer view, to make the most of few photographs."""


def build_bank(
    directory: Path,
    *,
    count: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    size: int,
    workers: int = 1,
    photos: Sequence[Path] = (),
    installed: bool = False,
    progress: Progress = no_progress,
) -> dict[str, int]:
    """Fill `directory` with `backgrounds/`, `foregrounds/` and `manifest.json`; resumes.

    Args:
        directory: the bank; created if missing.
        count: subjects to draw (600 if neither this nor `minutes` is given).
        minutes: stop drawing after this long.
        seed: foreground number i depends only on `seed`, i and the photographs.
        size: side of a foreground in pixels.
        workers: processes that draw.
        photos: folders of more photographs, each judged by its licence (see `sources.given`).
        installed: use the photographs of installed packages.
        progress: called as progress(done, total, stage).

    Existing pictures are never made again. Pictures that may not be used or cannot be read are left
    out, counted and listed with the reason in `skipped.json`, which keeps what earlier calls left
    out of other places.

    Returns: how many backgrounds and foregrounds the bank holds and how many pictures were skipped.
    Raises InputError for a place that is not a folder, OutputError where writing fails.
    """
    directory = Path(directory)
    for folder in ("backgrounds", "foregrounds"):
        make_folder(directory / folder)
    entries = read_manifest(directory)
    until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    if count is None:
        count = 600 if minutes is None else 1_000_000
    skipped: list[Skipped] = []
    found = chain(
        sources.installed() if installed else (),
        *(sources.given(Path(place)) for place in photos),
    )
    try:
        for picture in found:
            problem = (
                picture if isinstance(picture, Skipped) else _keep(directory, picture, entries)
            )
            if problem is not None:
                skipped.append(problem)
                log.info("%s: left out (%s)", problem.file, problem.reason)
        write_manifest(directory, entries)
        made = _drawn(_Drawing(directory, seed, size), entries, count, workers, until)
        for done, (entry, total) in enumerate(made, 1):
            entries[entry["file"]] = entry
            if done % 25 == 0:
                write_manifest(directory, entries)
            progress(done, total, "foregrounds")
    finally:  # also after an interrupt: the manifest must know what exists
        write_manifest(directory, entries)
    looked_at = [str(place) for place in photos] + (list(sources.INSTALLED) if installed else [])
    write_skipped(directory, skipped, looked_at)
    return {
        "backgrounds": len(background_files(directory)),
        "foregrounds": len(foreground_files(directory)),
        "skipped": len(skipped),
    }


# ---- photographs ---------------------------------------------------------------------------------


def _keep(directory: Path, picture: Picture, entries: dict[str, Entry]) -> Skipped | None:
    """Store the views of a photograph; returns what is wrong with it, if anything."""
    first = f"backgrounds/{picture.stem}.jpg"
    if first in entries and (directory / first).exists():
        return None
    try:
        photo = read_background(picture.path)
    except UnusableError as error:
        return Skipped(str(picture.path), str(error))
    for i, image in enumerate(views_of(photo)):
        name = first if i == 0 else f"backgrounds/{picture.stem}-{i}.jpg"
        write_photo(directory / name, image)
        entries[name] = {
            "file": name,
            "source": picture.credit.source,
            "original": picture.name,
            "author": picture.credit.author,
            "licence": picture.credit.licence,
            "url": picture.credit.url,
            "sha256": sha256(directory / name),
            "use": "background, texture",
        }
    return None


def views_of(photo: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The whole photograph, and of a large one also its lower middle, where objects are."""
    pictures = [shrunk(photo, LONG_SIDE)]
    height, width = photo.shape[:2]
    if max(height, width) >= CLOSE_FROM:
        half = photo[int(height * 0.45) : int(height * 0.95), width // 4 : width * 3 // 4]
        pictures.append(shrunk(half, LONG_SIDE * 3 // 4))
    return pictures


# ---- drawn foregrounds ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Drawing:
    """A series of foregrounds to draw."""

    directory: Path
    seed: int
    size: int

    def name(self, index: int) -> str:
        return f"foregrounds/rendered-{index:06d}.webp"

    def generator(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, 1, index])

    def entry(self, index: int) -> Entry:
        """The manifest entry of foreground `index`, which exists."""
        return {
            "file": self.name(index),
            "source": "rendered",
            "original": f"{kind_of(self.generator(index))} seed={self.seed} index={index}",
            "author": "the mematte-plugin authors",
            "licence": "rendered",
            "sha256": sha256(self.directory / self.name(index)),
            "use": "foreground",
        }


# One pool of textures per worker process, read once.
_pools: dict[Path, PhotoPool] = {}


def _draw(drawing: _Drawing, index: int) -> Entry:
    """Draw and store foreground `index`; returns its manifest entry."""
    if drawing.directory not in _pools:
        _pools[drawing.directory] = PhotoPool.open(drawing.directory / "backgrounds")
    cv2.setNumThreads(1)
    foreground = generate(drawing.generator(index), drawing.size, _pools[drawing.directory])
    write_foreground(drawing.directory / drawing.name(index), foreground)
    return drawing.entry(index)


def _drawn(
    drawing: _Drawing, entries: dict[str, Entry], count: int, workers: int, until: float
) -> Iterator[tuple[Entry, int]]:
    """Draw the foregrounds below `count` that are missing: each entry, and how many were."""
    missing = []
    for index in range(count):
        name = drawing.name(index)
        if not (drawing.directory / name).exists():
            missing.append(index)
        elif name not in entries:  # stored just before a kill
            entries[name] = drawing.entry(index)
    if workers <= 1:
        for index in missing:
            if time.monotonic() > until:
                return
            yield _draw(drawing, index), len(missing)
        return
    # spawn: forking a process that already runs threads (torch, cv2) can hang.
    context: Any = multiprocessing.get_context("spawn")
    batch = 8 * workers
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for start in range(0, len(missing), batch):
            if time.monotonic() > until:
                return
            jobs = [pool.submit(_draw, drawing, index) for index in missing[start:][:batch]]
            for job in jobs:
                yield job.result(), len(missing)
