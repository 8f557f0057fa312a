"""Where photographs come from: installed packages and given folders."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from .licences import (
    Credit,
    Rules,
    credit_of,
    folder_credits,
    known_pictures,
    permitted,
    refusal,
    sha256,
)
from .roles import is_of_pairs
from .storing import Skipped

PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
INSTALLED = {"skimage": "data", "sklearn": "datasets/images"}
"""Python packages that contain photographs, and their folders."""


@dataclass(frozen=True)
class Picture:
    """A photograph that may be used, with what the manifest needs."""

    name: str
    """Path within its collection, with slashes."""
    path: Path
    """The file."""
    credit: Credit
    """Its origin."""

    @property
    def stem(self) -> str:
        """A unique file stem."""
        bare = self.name.removesuffix(Path(self.name).suffix)
        return re.sub(r"[^A-Za-z0-9-]+", "_", f"{self.credit.source}-{bare}")


def installed() -> Iterator[Picture | Skipped]:
    """The permitted photographs of installed packages; missing packages are reported."""
    for package, inside in INSTALLED.items():
        spec = importlib.util.find_spec(package)
        places = spec.submodule_search_locations if spec is not None else None
        if not places:
            yield Skipped(package, "not installed (Python package)")
            continue
        for path in _files(Path(next(iter(places))) / inside):
            picture = judged(path.name, path)
            if isinstance(picture, Picture):  # most of a package is not meant as photographs
                yield picture


def given(place: Path) -> Iterator[Picture | Skipped]:
    """The permitted photographs of a folder.

    A photograph is permitted by the credits of the nearest folder that mentions it (see
    `licences.folder_credits`), or by its checksum. Raises InputError if the place is not a folder.
    """
    if not place.is_dir():
        what = "not a folder" if place.exists() else "does not exist"
        raise InputError(f"{place}: {what}; give the folder of a picture collection")
    rules = {place: folder_credits(place)}
    for path in _files(place):
        if is_of_pairs(path, place):
            yield Skipped(str(path), "of subjects with alphas: use `mematte train data import`")
            continue
        name = path.relative_to(place).as_posix()
        yield judged(name, path, credited(path, place, rules))


def credited(path: Path, place: Path, rules: dict[Path, Rules]) -> Credit | None:
    """What the nearest folder up to `place` that mentions a picture says about it.

    rules: those of the folders read so far.
    """
    for folder in path.parents:
        if folder not in rules:
            rules[folder] = folder_credits(folder)
        credit = credit_of(path.relative_to(folder).as_posix(), rules[folder])
        if credit is not None or folder == place:
            return credit
    return None


def judged(name: str, path: Path, credit: Credit | None = None) -> Picture | Skipped:
    """The picture, if its licence, given or known by checksum, permits it."""
    if credit is None:
        try:
            credit = known_pictures().get(sha256(path))
        except OSError as error:
            return Skipped(str(path), f"cannot be read ({error.strerror})")
    if credit is None:
        return Skipped(str(path), "licence unknown; list it in the folder's credits.csv")
    if not permitted(credit.licence):
        return Skipped(str(path), refusal(credit.licence))
    return Picture(name, path, credit)


def _files(folder: Path) -> list[Path]:
    paths = folder.rglob("*")
    return sorted(path for path in paths if path.suffix.lower() in PHOTOS and path.is_file())
