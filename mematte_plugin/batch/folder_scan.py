"""The pictures of a folder, and of the folders inside it, by their names alone."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..images.formats import CAMERA_RAW, READABLE


class Named(NamedTuple):
    """A picture's name in its parts."""

    path: Path
    """Where it is."""
    place: tuple[str, ...]
    """The folders from the given one down to it."""
    stem: str
    """Its name without the suffix."""
    suffix: str
    """The suffix as it is written, with its dot."""

    @property
    def name(self) -> str:
        """The file's name from the given folder."""
        return "/".join((*self.place, self.path.name))


def scan(
    folder: Path, what: str, *, recursive: bool = False, without: Collection[Path] = ()
) -> list[Named]:
    """The pictures of a folder, sorted; hidden files do not count, nor do unfinished outputs.

    recursive: also those in folders inside it. Every folder is looked into once, so that links in
        a circle end; a link to a folder that is inside anyway is left out.
    without: folders inside it that are not looked into.

    Raises InputError, which calls the pictures `what`, for a folder that cannot be read.
    """
    try:
        left_out = {_identity(path) for path in without if path.is_dir()}
        found = list(_walk(folder, recursive, left_out))
    except FileNotFoundError:
        raise InputError(f"{folder}: there is no such folder; check the path") from None
    except NotADirectoryError:
        raise InputError(f"{folder}: is a file; give the folder of the {what}") from None
    except OSError as error:
        raise InputError(
            f"{error.filename or folder}: cannot be read ({error.strerror}); check the path and"
            " rights"
        ) from error
    return sorted(found, key=lambda named: (named.place, named.path.name))


def developed(photos: list[Named]) -> tuple[list[Named], list[Named]]:
    """The photos, and the camera raw files of which another format is in the same folder."""
    others = {(p.place, p.stem) for p in photos if p.suffix.lower() not in CAMERA_RAW}
    kept: list[Named] = []
    left_out: list[Named] = []
    for photo in photos:
        raw = photo.suffix.lower() in CAMERA_RAW
        (left_out if raw and (photo.place, photo.stem) in others else kept).append(photo)
    return kept, left_out


def has_folders(folder: Path) -> bool:
    """There are folders inside it that are not hidden."""
    with suppress(OSError), os.scandir(folder) as entries:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)
    return False


def same_folder(one: Path, other: Path) -> bool:
    """Both exist and are the same."""
    with suppress(OSError):
        return os.path.samefile(one, other)
    return False


def _walk(root: Path, recursive: bool, left_out: set[tuple[int, int]]) -> Iterator[Named]:
    seen = {*left_out} - {_identity(root)}
    folders: deque[tuple[tuple[str, ...], Path]] = deque([((), root)])
    links: deque[tuple[tuple[str, ...], Path]] = deque()  # last: real folders have precedence
    while folders or links:
        place, folder = folders.popleft() if folders else links.popleft()
        identity = _identity(folder)
        if identity in seen:
            continue
        seen.add(identity)
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            if entry.name.startswith("."):
                continue
            stem, suffix = os.path.splitext(entry.name)
            with suppress(OSError):  # a link to itself is neither file nor folder
                if suffix.lower() in READABLE and entry.is_file():
                    yield Named(folder / entry.name, place, stem, suffix)
                elif recursive and entry.is_dir():
                    queue = links if entry.is_symlink() else folders
                    queue.append(((*place, entry.name), folder / entry.name))


def _identity(folder: Path) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino
