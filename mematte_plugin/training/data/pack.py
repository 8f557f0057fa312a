"""Makes a bank small enough to move to another machine."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import OutputError, SettingError
from ...images.files import atomic_write
from ...progress import Progress, no_progress
from .compose import SHARES
from .licences import sha256
from .storing import (
    Entry,
    background_files,
    bank_entries,
    foreground_files,
    make_folder,
    manifest_text,
    write_manifest,
)
from .textures import read_rgb, shrunk

log = logging.getLogger(__name__)

BACKGROUND_SHARE = 0.33
"""Share of the size for backgrounds."""
BACKGROUND_SIDE = 800
FOREGROUND_SIDE = 512
SMALLEST = 2000
"""Bytes; pictures are hardly ever smaller, so the search for one that fits ends there."""
MARGIN = 12
"""Empty pixels kept around a subject."""


@dataclass(frozen=True)
class Packed:
    """What a packed bank contains."""

    backgrounds: int
    """Photographs."""
    foregrounds: int
    """Subjects."""
    megabytes: float
    """Size of all files, in 10⁶ bytes."""
    left_out: int
    """Pictures that did not fit."""
    unreadable: int
    """Pictures that could not be read."""


def pack(
    directory: Path,
    out: Path,
    *,
    max_mb: float,
    seed: int = 0,
    quality: int = 82,
    progress: Progress = no_progress,
) -> Packed:
    """Write a smaller copy of a bank, of at most `max_mb` · 10⁶ bytes.

    Photographs are scaled to 800 pixels, subjects trimmed and scaled to 512; colours are stored
    lossy at `quality` (JPEG, WebP), alpha losslessly. If not everything fits, pictures are left out
    at random: closer views of photographs first, and kinds keep their shares.

    Raises InputError if `directory` is not a bank, OutputError if `out` is not empty, SettingError
    if `max_mb` is too small.
    """
    directory, out = Path(directory), Path(out)
    if not max_mb >= 1:
        raise SettingError(f"max_mb {max_mb}: give at least 1 megabyte")
    entries = bank_entries(directory)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out}: exists; choose a new folder")
    present = [*foreground_files(directory), *background_files(directory)]
    strangers = {path.relative_to(directory).as_posix() for path in present} - entries.keys()
    if strangers:
        log.warning(
            "%s: %d pictures such as %s are left out because the manifest does not list them; add"
            " them with `mematte train data import`",
            directory,
            len(strangers),
            min(strangers),
        )
    make_folder(out / "backgrounds")
    make_folder(out / "foregrounds")
    rng = np.random.default_rng(seed)
    plan = {
        "backgrounds": (_backgrounds(rng, entries), _photo, BACKGROUND_SHARE),
        "foregrounds": (_foregrounds(rng, entries), _cutout, 1.0),
    }
    room = max_mb * 1e6 - len(manifest_text({}).encode())
    kept: dict[str, Entry] = {}
    unreadable: set[str] = set()
    total = len(entries)
    # Backgrounds that did not fit into their share get what the foregrounds leave.
    rounds = [*plan.items(), ("backgrounds", (plan["backgrounds"][0], _photo, 1.0))]
    for kind, (names, encode, share) in rounds:
        budget = room * share
        for name in names:
            if name in kept or name in unreadable:
                continue
            if budget < SMALLEST:
                break
            data = encode(directory / name, quality)
            if data is None:
                unreadable.add(name)
                log.warning("%s: skipped, not readable", directory / name)
                continue
            entry = {**entries[name], "sha256": sha256(data)}
            size = len(data) + len(manifest_text({name: entry}).encode())
            if size <= budget:
                with atomic_write(out / name) as temporary:
                    temporary.write_bytes(data)
                kept[name] = entry
                budget -= size
                room -= size
            progress(len(kept), total, kind)
    write_manifest(out, kept)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    backgrounds = sum(name.startswith("backgrounds/") for name in kept)
    left_out = total - len(kept) - len(unreadable)
    return Packed(backgrounds, len(kept) - backgrounds, size / 1e6, left_out, len(unreadable))


def _backgrounds(rng: np.random.Generator, entries: dict[str, Entry]) -> list[str]:
    """Whole pictures first, then their closer views; each in random order."""
    names = [name for name in entries if name.startswith("backgrounds/")]
    first: dict[tuple[str, str], str] = {}
    for name in sorted(names, key=len):
        first.setdefault((entries[name]["source"], entries[name]["original"]), name)
    whole_ones = sorted(first.values())
    rest = sorted(set(names) - set(whole_ones))
    return [*_shuffled(rng, whole_ones), *_shuffled(rng, rest)]


def _foregrounds(rng: np.random.Generator, entries: dict[str, Entry]) -> list[str]:
    """Kinds interleaved so that any number of first names holds each in its share."""
    names = sorted(name for name in entries if name.startswith("foregrounds/"))
    groups: dict[str, list[str]] = {}
    for name in names:
        kind = next((k for k in SHARES if Path(name).name.startswith(k)), "")
        groups.setdefault(kind, []).append(name)
    placed = []
    for kind, group in groups.items():
        share = SHARES.get(kind, 1 - sum(SHARES.values()))
        for i, name in enumerate(_shuffled(rng, group)):
            placed.append(((i + 0.5) / share, name))
    return [name for _, name in sorted(placed)]


def _shuffled(rng: np.random.Generator, names: list[str]) -> Iterator[str]:
    return (names[int(i)] for i in rng.permutation(len(names)))


def _photo(path: Path, quality: int) -> bytes | None:
    photo = read_rgb(path)
    if photo is None:
        return None
    small = shrunk(photo, BACKGROUND_SIDE)
    done, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes() if done else None


def _cutout(path: Path, quality: int) -> bytes | None:
    from PIL import Image

    bgra = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if bgra is None or bgra.ndim != 3 or bgra.shape[2] != 4:
        return None
    rgba = trimmed(np.ascontiguousarray(np.asarray(bgra)[..., [2, 1, 0, 3]]))
    small = shrunk(rgba, FOREGROUND_SIDE)  # straight colours extend beyond the edge
    file = io.BytesIO()
    Image.fromarray(small).save(file, "WEBP", quality=quality, method=3, exact=True)
    return file.getvalue()


def trimmed(rgba: NDArray[Any]) -> NDArray[Any]:
    """Crop to the subject and a margin; a side that the subject reaches stays."""
    rows = np.flatnonzero((rgba[..., 3] > 0).any(1))
    columns = np.flatnonzero((rgba[..., 3] > 0).any(0))
    if len(rows) == 0:
        return rgba
    top, left = max(int(rows[0]) - MARGIN, 0), max(int(columns[0]) - MARGIN, 0)
    return rgba[top : int(rows[-1]) + 1 + MARGIN, left : int(columns[-1]) + 1 + MARGIN]
