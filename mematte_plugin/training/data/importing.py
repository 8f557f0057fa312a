"""Import your own pictures as training data: subjects with their alphas, and backgrounds.

Any licence is accepted; the cards of models trained on them state it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...progress import Progress, no_progress
from .bank import views_of
from .licences import Credit, Rules, canonical, sha256
from .pack import trimmed
from .photos import UnusableError, read_alpha, read_background, read_picture
from .roles import ALPHAS, BACKGROUNDS, CUTOUTS, IGNORED, PHOTOS
from .sources import credited
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
from .strokes import Foreground, straighten
from .textures import shrunk

log = logging.getLogger(__name__)

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr"}
LONGEST = 1536
"""Longest side of a subject in pixels; larger ones are scaled down."""
SMALLEST = 32
"""Shortest side of a subject, in pixels."""
LAYOUTS = (
    "fg/ with alpha/ (Composition-1k), FG/ with GT/ (Distinctions-646), original/ with mask/"
    " (AIM-500, AM-2k), or transparent PNG, WebP or TIFF; backgrounds in bg/ or backgrounds/"
)
Array = NDArray[Any]


@dataclass(frozen=True)
class Found:
    """A picture to import."""

    role: str
    """`pair` (subject and alpha), `photo` (with the alpha of a subject in it), `cutout`
    (transparent) or `background`."""
    name: str
    """Path within the folder, with slashes."""
    image: Path
    """The picture."""
    alpha: Path | None = None
    """The alpha of a pair or photo."""


def import_pictures(
    folder: Path,
    bank: Path,
    *,
    licence: str = "unknown",
    author: str = "unknown",
    progress: Progress = no_progress,
) -> dict[str, int]:
    """Add the subjects and backgrounds of a folder to a bank, which is created if missing.

    Finds the folders of matting data sets, at any depth: see `LAYOUTS`. The colours of a subject in
    a photo are estimated. Subjects are trimmed, and scaled down to at most 1536 pixels. Alphas
    never become backgrounds.

    Args:
        folder: where the pictures are; nothing is changed there.
        bank: the folder of training pictures.
        licence, author: for the manifest and the model cards; a credits.csv next to the pictures
            takes precedence.
        progress: called as progress(done, total, "pictures").

    Existing pictures are kept, so that the same call resumes; one that has changed is imported
    again. Pictures that cannot be used are listed with the reason in `skipped.json`.

    Returns: how many backgrounds and foregrounds the bank holds, and how many pictures were
    skipped. Raises InputError for a folder without pictures in such a layout, or a broken bank;
    OutputError if writing fails.
    """
    folder, bank = Path(folder), Path(bank)
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder}: {what}; give one with {LAYOUTS}")
    entries = read_manifest(bank)
    found = list(_search(folder, bank))
    pictures = [one for one in found if isinstance(one, Found)]
    skipped = [one for one in found if isinstance(one, Skipped)]
    if not pictures:
        first = f" ({skipped[0].file}: {skipped[0].reason})" if skipped else ""
        raise InputError(f"{folder}: nothing to train on{first}; give a folder with {LAYOUTS}")
    for name in ("backgrounds", "foregrounds"):
        make_folder(bank / name)
    licence = canonical(licence) or licence.strip() or "unknown"
    given = Credit(folder.resolve().name, author.strip() or "unknown", licence)
    importer = _Importer(folder, bank, given, entries)
    try:
        for done, picture in enumerate(pictures, 1):
            problem = importer.add(picture)
            if problem is not None:
                skipped.append(problem)
                log.info("%s: left out (%s)", problem.file, problem.reason)
            if done % 25 == 0:
                write_manifest(bank, entries)
            progress(done, len(pictures), "pictures")
    finally:  # also after an interrupt: the manifest must list what exists
        write_manifest(bank, entries)
    write_skipped(bank, skipped, [str(folder)])
    return {
        "backgrounds": len(background_files(bank)),
        "foregrounds": len(foreground_files(bank)),
        "skipped": len(skipped),
    }


# ---- finding pictures ----------------------------------------------------------------------------


def _search(folder: Path, bank: Path) -> Iterator[Found | Skipped]:
    """Everything usable in a folder and those below it, and what only looks usable."""
    for here, below, files in os.walk(folder):
        place = Path(here)
        below[:] = sorted(
            name
            for name in below
            if not name.startswith(".") and (place / name).resolve() != bank.resolve()
        )
        roles = {name.lower(): place / name for name in reversed(below)}
        alphas = _first(roles, ALPHAS)
        cutouts, photos = _first(roles, CUTOUTS), _first(roles, PHOTOS)
        if alphas is not None and cutouts is not None:
            yield from _pairs("pair", folder, cutouts, alphas)
        elif alphas is not None and photos is not None:
            yield from _pairs("photo", folder, photos, alphas)
        elif alphas is not None:
            yield Skipped(str(alphas), "alphas without a folder fg or original next to them")
        for backgrounds in (roles[name] for name in BACKGROUNDS if name in roles):
            for path in _pictures_below(backgrounds):
                yield Found("background", path.relative_to(folder).as_posix(), path)
        done = set(ALPHAS) | set(BACKGROUNDS)
        done |= {*CUTOUTS, *PHOTOS} if alphas is not None else set()
        below[:] = [
            name
            for name in below
            if name.lower() not in done and not IGNORED.fullmatch(name.lower())
        ]
        for path in (place / name for name in sorted(files) if _is_picture(name)):
            yield Found("cutout", path.relative_to(folder).as_posix(), path)


def _first(roles: dict[str, Path], names: tuple[str, ...]) -> Path | None:
    return next((roles[name] for name in names if name in roles), None)


def _pairs(role: str, folder: Path, images: Path, alphas: Path) -> Iterator[Found | Skipped]:
    """Images and alphas of the same name, whatever their suffixes and case."""
    partners: dict[str, list[Path]] = {}
    for path in _pictures_below(alphas):
        partners.setdefault(_key(path, alphas), []).append(path)
    seen: dict[str, Path] = {}
    for path in _pictures_below(images):
        key = _key(path, images)
        partner = partners.get(key, [])
        if key in seen:
            yield Skipped(str(path), f"{seen[key].name} has the same name")
        elif not partner:
            yield Skipped(str(path), f"no alpha of that name in {alphas}")
        elif len(partner) > 1:
            yield Skipped(str(path), f"{len(partner)} alphas of that name in {alphas}")
        else:
            yield Found(role, path.relative_to(folder).as_posix(), path, partner[0])
        seen.setdefault(key, path)
    for key, paths in partners.items():
        if key not in seen:
            yield from (
                Skipped(str(path), f"no picture of that name in {images}") for path in paths
            )


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix().lower()


def _pictures_below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if _is_picture(p.name) and p.is_file())


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")


# ---- storing them --------------------------------------------------------------------------------


class _Importer:
    """Stores pictures of one folder in one bank."""

    def __init__(self, folder: Path, bank: Path, given: Credit, entries: dict[str, Entry]) -> None:
        self.folder = folder
        self.bank = bank
        self.given = given
        self.entries = entries
        # Distinguishes folders of the same name without storing the path, which is private.
        self.place = sha256(str(folder.resolve()).encode())[:16]
        self.rules: dict[Path, Rules] = {}

    def add(self, picture: Found) -> Skipped | None:
        """Store a picture, unless it is there; returns what is wrong with it, if anything."""
        try:
            data = [p.read_bytes() for p in (picture.image, picture.alpha) if p is not None]
            digest = sha256(b"".join(sha256(one).encode() for one in data))[:16]
            name = self._name(picture, digest)
            credit = self._credit(picture.image)
            before = self.entries.get(name, {})
            if before.get("digest") == digest and (self.bank / name).exists():
                self._update(name, credit)  # the licence may have been added
                return None
            if picture.role == "background":
                self._background(picture, name, digest, credit)
            else:
                write_foreground(self.bank / name, _subject(picture))
                self._enter(name, picture, digest, credit, "foreground")
        except UnusableError as error:
            return Skipped(str(picture.image), str(error))
        except OSError as error:
            return Skipped(str(picture.image), f"cannot be read ({error.strerror or error})")
        return None

    def _background(self, picture: Found, name: str, digest: str, credit: Credit) -> None:
        photo = read_background(picture.image)
        for former in self._views(name)[1:]:
            (self.bank / former).unlink(missing_ok=True)
            del self.entries[former]
        for i, image in enumerate(views_of(photo)):
            view = name if i == 0 else _view(name, i)
            write_photo(self.bank / view, image)
            self._enter(view, picture, digest, credit, "background, texture")

    def _views(self, name: str) -> list[str]:
        """A background and its closer views."""
        views = [name]
        while (view := _view(name, len(views))) in self.entries:
            views.append(view)
        return views

    def _name(self, picture: Found, digest: str) -> str:
        """The file of a picture, with a name that no other picture has."""
        kind, suffix = "foregrounds", ".webp"
        if picture.role == "background":
            kind, suffix = "backgrounds", ".jpg"
        path = f"{self.given.source}-{picture.name.removesuffix(picture.image.suffix)}"
        stem = "own-" + re.sub(r"[^A-Za-z0-9-]+", "_", path)
        own = (self.place, picture.name)
        for number in count(1):
            name = f"{kind}/{stem}{suffix if number == 1 else f'-n{number}{suffix}'}"
            there = self.entries.get(name)
            if there is None or there.get("digest") == digest:
                return name
            if (there.get("place"), there.get("original")) == own:
                return name
        raise AssertionError("unreachable")

    def _credit(self, path: Path) -> Credit:
        credit = credited(path, self.folder, self.rules)
        return self.given if credit is None else replace(credit, source=self.given.source)

    def _update(self, name: str, credit: Credit) -> None:
        for view in self._views(name):
            self.entries[view] |= {"author": credit.author, "licence": credit.licence}

    def _enter(self, name: str, picture: Found, digest: str, credit: Credit, use: str) -> None:
        self.entries[name] = {
            "file": name,
            "source": credit.source,
            "original": picture.name,
            "author": credit.author,
            "licence": credit.licence,
            "sha256": sha256(self.bank / name),
            "use": use,
            "digest": digest,
            "place": self.place,
        }


def _view(name: str, number: int) -> str:
    return f"{name.removesuffix('.jpg')}--view{number}.jpg"


def _subject(picture: Found) -> Foreground:
    """The colours and alpha of a subject. Raises UnusableError."""
    image, own = read_picture(picture.image)
    if picture.alpha is None:
        if own is None:
            raise UnusableError(
                "no transparency; give a subject transparency or an alpha in a folder alpha, and"
                " put backgrounds into a folder bg"
            )
        alpha = own
    else:
        alpha = read_alpha(picture.alpha)
    if alpha.shape != image.shape[:2]:
        raise UnusableError(
            f"its size is {image.shape[1]} x {image.shape[0]}, its alpha's {alpha.shape[1]} x"
            f" {alpha.shape[0]}"
        )
    if alpha.max() <= 0.5 / 255:
        raise UnusableError("its alpha is empty")
    if alpha.min() >= 1 - 0.5 / 255:
        raise UnusableError("its alpha is opaque everywhere: no edge to learn from")
    if picture.role == "photo":
        from ...foreground.estimate import estimate_foreground

        image = estimate_foreground(image, alpha)
    premultiplied = np.dstack([image * alpha[..., None], alpha]).astype(np.float32) * 255
    subject = trimmed(premultiplied)
    if min(subject.shape[:2]) < SMALLEST:
        raise UnusableError(f"too small ({subject.shape[1]} x {subject.shape[0]})")
    return straighten(shrunk(subject, LONGEST))
