"""Prepare the folder that training draws from: photographs, foregrounds and their origin."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from . import sources
from .foregrounds import generate
from .strokes import Foreground
from .textures import PhotoPool
from .things import from_rgba

log = logging.getLogger(__name__)

LONG_SIDE = 1440
Entry = dict[str, Any]
Progress = Callable[[int, int, str], None]


def build_bank(
    directory: Path,
    *,
    count: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    size: int = 640,
    workers: int = 1,
    photos: Sequence[sources.Picture] | None = None,
    emoji_archive: Path | None = None,
    emoji_count: int = 120,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Fill `directory` with `backgrounds/`, `foregrounds/` and `manifest.json`; resumes.

    Stops at `count` rendered foregrounds or after `minutes`, whichever comes first (600 if neither
    is given). `photos` defaults to every permitted photograph that is installed. What exists is
    never rendered again: foreground number i depends only on `seed`, i and the photographs.
    Returns how many backgrounds and foregrounds the bank holds.
    """
    directory = Path(directory)
    (directory / "backgrounds").mkdir(parents=True, exist_ok=True)
    (directory / "foregrounds").mkdir(exist_ok=True)
    entries = read_manifest(directory)
    until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    if count is None:
        count = 600 if minutes is None else 1_000_000

    if photos is None:
        photos = [*sources.lomiri_photos(), *sources.skimage_photos()]
    for picture in photos:
        if sources.permitted(picture.licence):
            _store_photo(directory, picture, entries)
        else:
            log.warning("%s: left out (licence %s)", picture.path, picture.licence)
    if emoji_archive is not None:
        chosen = sources.emoji(emoji_archive, emoji_count, np.random.default_rng([seed, 7]))
        _store_emoji(directory, chosen, entries)
    _write_manifest(directory, entries)

    missing = [i for i in range(count) if not (directory / _rendered_name(i)).exists()]
    for done, entry in enumerate(
        _render_all(directory, missing, seed, size, workers=workers, until=until), 1
    ):
        entries[entry["file"]] = entry
        if done % 50 == 0:
            _write_manifest(directory, entries)
        if progress is not None:
            progress(done, len(missing), "foregrounds")
    _write_manifest(directory, entries)
    return {
        "backgrounds": len(list((directory / "backgrounds").glob("*.jpg"))),
        "foregrounds": len(list((directory / "foregrounds").glob("*.webp"))),
    }


def read_manifest(directory: Path) -> dict[str, Entry]:
    """Entries by file name; empty if there is no manifest yet."""
    path = directory / "manifest.json"
    if not path.is_file():
        return {}
    return {entry["file"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))}


def _write_manifest(directory: Path, entries: dict[str, Entry]) -> None:
    text = json.dumps([entries[name] for name in sorted(entries)], indent=1, ensure_ascii=False)
    temporary = directory / "manifest.json.part"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, directory / "manifest.json")


def _store_photo(directory: Path, picture: sources.Picture, entries: dict[str, Entry]) -> None:
    """Keep a photograph whole, and large ones also in closer views (few photos must go far)."""
    first = f"backgrounds/{picture.name}.jpg"
    if first in entries and (directory / first).exists():
        return
    image = sources.read_photo(picture)
    if image is None:
        return
    views = [image]
    if max(image.size) > 2 * LONG_SIDE:
        w, h = image.size
        for box in ((0, 0, w / 2, h / 2), (w / 2, h / 2, w, h), (w / 4, h / 2, w * 3 / 4, h)):
            views.append(image.crop(tuple(int(v) for v in box)))  # type: ignore[arg-type]
    for i, view in enumerate(views):
        view.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
        name = first if i == 0 else f"backgrounds/{picture.name}-{i}.jpg"
        view.save(directory / name, quality=92, subsampling=0)
        entries[name] = _entry(directory, name, picture, "background, texture")


def _entry(directory: Path, name: str, picture: sources.Picture, use: str) -> Entry:
    return {
        "file": name,
        "source": picture.source,
        "original": picture.member or picture.path.name,
        "author": picture.author,
        "licence": picture.licence,
        "sha256": sources.sha256(directory / name),
        "use": use,
    }


def _store_emoji(
    directory: Path, pictures: list[sources.Picture], entries: dict[str, Entry]
) -> None:
    todo = [p for p in pictures if not (directory / f"foregrounds/{p.name}.webp").exists()]
    for picture, image in sources.read_emoji(todo):
        scale = 448 / max(image.size)
        target = (round(image.width * scale), round(image.height * scale))
        # RGBA resampling in Pillow works on premultiplied colour, so no fringe appears.
        straight = np.asarray(image.resize(target, Image.Resampling.BICUBIC))
        name = f"foregrounds/{picture.name}.webp"
        write_foreground(directory / name, from_rgba(straight))
        entries[name] = _entry(directory, name, picture, "foreground")


def write_foreground(path: Path, foreground: Foreground) -> None:
    """Store colour (lossy) and alpha (exact) in one WebP, whole or not at all."""
    rgba = np.dstack([foreground.colour, foreground.alpha])
    temporary = path.with_suffix(".part")
    # exact keeps the colour under alpha 0, which scaling needs beyond the edge.
    Image.fromarray(rgba).save(temporary, "WEBP", quality=92, method=2, exact=True)
    os.replace(temporary, path)


def _rendered_name(index: int) -> str:
    return f"foregrounds/rendered-{index:06d}.webp"


# One pool of textures per worker process, read once.
_pools: dict[Path, PhotoPool] = {}


def _render(directory: Path, index: int, seed: int, size: int) -> Entry:
    """Render and store foreground `index`; returns its manifest entry."""
    if directory not in _pools:
        _pools[directory] = PhotoPool.open(directory / "backgrounds")
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 1, index])
    kind, foreground = generate(rng, size, _pools[directory])
    name = _rendered_name(index)
    write_foreground(directory / name, foreground)
    return {
        "file": name,
        "source": "rendered",
        "original": f"{kind} seed={seed} index={index}",
        "author": "the mematte-plugin authors",
        "licence": "rendered",
        "sha256": sources.sha256(directory / name),
        "use": "foreground",
    }


def _render_all(
    directory: Path, indices: list[int], seed: int, size: int, *, workers: int, until: float
) -> Iterable[Entry]:
    if workers <= 1:
        for index in indices:
            if time.monotonic() > until:
                return
            yield _render(directory, index, seed, size)
        return
    # spawn: forking a process that already runs threads (torch, cv2) can hang.
    context = multiprocessing.get_context("spawn")
    batch = 8 * workers
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for start in range(0, len(indices), batch):
            if time.monotonic() > until:
                return
            jobs = [pool.submit(_render, directory, i, seed, size) for i in indices[start:][:batch]]
            for job in jobs:
                yield job.result()
