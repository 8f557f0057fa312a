"""The files of a bank of training pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, OutputError
from ...images.files import atomic_write
from .strokes import Foreground

Entry = dict[str, Any]
MANIFEST = "manifest.json"
SKIPPED = "skipped.json"
VERSION = 2
"""Of the manifest: 1 was the bare list of entries, 2 names its version."""
FOREGROUNDS = {".webp", ".png"}
_NEEDED = ("file", "source", "original", "author", "licence", "use")


@dataclass(frozen=True)
class Skipped:
    """A picture or package that was left out."""

    file: str
    """Path of the picture, or name of the package."""
    reason: str
    """Why, in words."""


def make_folder(folder: Path) -> None:
    """Make a folder. Raises OutputError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be created ({error.strerror}); choose another folder"
        ) from error


def write_photo(path: Path, image: NDArray[np.uint8], *, quality: int = 92) -> None:
    """Store (H, W, 3) uint8 RGB as JPEG."""
    from PIL import Image

    with atomic_write(path) as temporary:
        Image.fromarray(image).save(temporary, "JPEG", quality=quality, subsampling=0)


def write_foreground(path: Path, foreground: Foreground, *, quality: int = 92) -> None:
    """Store colour (lossy) and alpha (exact) in one WebP."""
    from PIL import Image

    rgba = np.dstack([foreground.colour, foreground.alpha])
    # exact keeps the colour under alpha 0, which scaling needs beyond the edge.
    with atomic_write(path) as temporary:
        Image.fromarray(rgba).save(temporary, "WEBP", quality=quality, method=2, exact=True)


def foreground_files(directory: Path) -> list[Path]:
    """The foregrounds of a bank, sorted by name: `.webp`, and `.png` that people put there."""
    folder = directory / "foregrounds"
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in FOREGROUNDS)


def background_files(directory: Path) -> list[Path]:
    """The photographs of a bank, sorted by name."""
    return sorted((directory / "backgrounds").glob("*.jpg"))


def read_manifest(directory: Path) -> dict[str, Entry]:
    """Entries by file name; none if there is no manifest.

    Raises InputError if it is broken or of a later version.
    """
    path = directory / MANIFEST
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        version = stored["version"] if isinstance(stored, dict) else 1
        if not isinstance(version, int):
            raise ValueError(f"version {version!r}")
        if version > VERSION:
            raise InputError(
                f"{path}: version {version} is newer than this mematte-plugin ({VERSION});"
                " install a newer release, or build the bank again"
            )
        entries = stored["pictures"] if isinstance(stored, dict) else stored
        return {entry["file"]: _complete(entry) for entry in entries}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(
            f"{path}: not a bank's manifest ({_reason(error)}); delete it and build the bank again"
        ) from error


def bank_entries(directory: Path) -> dict[str, Entry]:
    """As `read_manifest`, but of a folder that must be a bank.

    Raises InputError if the manifest is missing, empty or broken.
    """
    entries = read_manifest(directory)
    if not entries:
        there = (directory / MANIFEST).is_file()
        what = f"its {MANIFEST} is empty" if there else f"no {MANIFEST} in it"
        what = what if directory.is_dir() else "does not exist"
        raise InputError(
            f"{directory}: not a folder of training pictures ({what}); make one with `mematte"
            " train data build`, or from your own pictures with `mematte train data import`"
        )
    return entries


def _complete(entry: Entry) -> Entry:
    missing = [name for name in _NEEDED if not isinstance(entry[name], str)]
    if missing:
        raise ValueError(f"{entry['file']}: {missing[0]} is not text")
    return entry


def _reason(error: Exception) -> str:
    return f"an entry without {error}" if isinstance(error, KeyError) else str(error)


def manifest_text(entries: dict[str, Entry]) -> str:
    """The manifest's contents, in the order of the file names."""
    stored = {"version": VERSION, "pictures": [entries[name] for name in sorted(entries)]}
    return json.dumps(stored, indent=1, ensure_ascii=False)


def write_manifest(directory: Path, entries: dict[str, Entry]) -> None:
    """Store the entries. Raises OutputError."""
    with atomic_write(directory / MANIFEST) as temporary:
        temporary.write_text(manifest_text(entries), encoding="utf-8")


def write_skipped(directory: Path, skipped: Iterable[Skipped], retried: Sequence[str]) -> None:
    """Store what was left out and why, and keep what earlier calls left out.

    retried: the places that this call looked at; their earlier entries are replaced.
    """
    path = directory / SKIPPED
    reasons: dict[str, str] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):  # only for information
        for one in json.loads(path.read_text(encoding="utf-8")):
            if not any(_within(one["file"], place) for place in retried):
                reasons[one["file"]] = one["reason"]
    reasons |= {one.file: one.reason for one in skipped}
    listed = [{"file": file, "reason": reason} for file, reason in reasons.items()]
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(listed, indent=1, ensure_ascii=False), encoding="utf-8")


def _within(file: str, place: str) -> bool:
    return file == place or file.startswith((f"{place}{os.sep}", f"{place}/", f"{place}:"))
