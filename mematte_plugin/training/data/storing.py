"""Writing a bank's files: whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, OutputError
from .strokes import Foreground

Entry = dict[str, Any]
MANIFEST = "manifest.json"


def whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file and put it in place.

    Raises OutputError where the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else str(error.strerror or error)
        raise OutputError(
            f"{path}: cannot be written ({reason}); free some space or choose another folder, then"
            " run the same command again to continue"
        ) from error


def make_folder(folder: Path) -> None:
    """Make a folder. Raises OutputError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made ({error.strerror}); choose another folder"
        ) from error


def write_photo(path: Path, image: NDArray[np.uint8], *, quality: int = 92) -> None:
    """Store (H, W, 3) uint8 RGB as JPEG."""
    from PIL import Image

    whole(
        path,
        lambda to: Image.fromarray(image).save(to, "JPEG", quality=quality, subsampling=0),
    )


def write_foreground(path: Path, foreground: Foreground, *, quality: int = 92) -> None:
    """Store colour (lossy) and alpha (exact) in one WebP."""
    from PIL import Image

    rgba = np.dstack([foreground.colour, foreground.alpha])
    # exact keeps the colour under alpha 0, which scaling needs beyond the edge.
    whole(
        path,
        lambda to: Image.fromarray(rgba).save(to, "WEBP", quality=quality, method=2, exact=True),
    )


def read_manifest(directory: Path) -> dict[str, Entry]:
    """Entries by file name; none if there is no manifest. Raises InputError if it is broken."""
    path = directory / MANIFEST
    if not path.is_file():
        return {}
    try:
        return {entry["file"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(
            f"{path}: not a bank's manifest ({error}); delete it and build the bank again"
        ) from error


def write_manifest(directory: Path, entries: dict[str, Entry]) -> None:
    """Store the entries in the order of their file names."""
    text = json.dumps([entries[name] for name in sorted(entries)], indent=1, ensure_ascii=False)
    whole(directory / MANIFEST, lambda to: to.write_text(text, encoding="utf-8"))
