"""Where real pictures come from: installed packages, given folders and archives."""

from __future__ import annotations

import base64
import importlib.util
import logging
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from .licences import (
    Credit,
    Credits,
    credit_of,
    debian_credits,
    folder_credits,
    known_pictures,
    permitted,
    refusal,
    sha256,
)
from .roles import is_of_pairs
from .storing import Skipped

log = logging.getLogger(__name__)

PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
PANORAMAS = {".hdr", ".exr"}
ARCHIVES = (".tgz", ".tar.gz", ".tar")

DEBIAN_PHOTOS = Path("/usr/share/backgrounds")
DEBIAN_PACKAGES = ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04")
PYTHON_FOLDERS = {
    "skimage": ("data",),
    "sklearn": ("datasets", "images"),
    "bpy": ("*", "datafiles", "studiolights", "world"),
}
"""Python packages that bring pictures, and where in them these lie."""
INSTALLED = [*DEBIAN_PACKAGES, *PYTHON_FOLDERS, str(DEBIAN_PHOTOS)]
"""What `installed` may leave out, as it names it."""


@dataclass(frozen=True)
class Picture:
    """One real picture that may be used, with what the manifest needs."""

    name: str
    """File name within its collection."""
    data: bytes
    """The file."""
    credit: Credit
    """Its origin."""
    where: str = ""
    """Path of the file, or of the archive and its name there."""

    @property
    def stem(self) -> str:
        """A unique file stem."""
        bare = self.name.removesuffix(".js")
        bare = bare.removesuffix(Path(bare).suffix)
        return re.sub(r"[^A-Za-z0-9-]+", "_", f"{self.credit.source}-{bare}")


def installed() -> Iterator[Picture | Skipped]:
    """The permitted pictures of packages on this machine; packages that are missing are told."""
    for package in DEBIAN_PACKAGES:
        copyright_file = Path("/usr/share/doc") / package / "copyright"
        if not copyright_file.is_file() or not DEBIAN_PHOTOS.is_dir():
            yield Skipped(package, "not installed (Debian package)")
            continue
        credits = debian_credits(copyright_file.read_text(encoding="utf-8"), "lomiri-wallpapers")
        for path in _files(DEBIAN_PHOTOS):
            # Other packages' pictures lie there too: they are nobody's business here.
            credit = credit_of(path.name, credits)
            if credit is not None:
                yield judged(path.name, path.read_bytes(), str(path), credit)
    for package, inside in PYTHON_FOLDERS.items():
        spec = importlib.util.find_spec(package)
        places = spec.submodule_search_locations if spec is not None else None
        if not places:
            yield Skipped(package, "not installed (Python package)")
            continue
        for folder in sorted(Path(next(iter(places))).glob("/".join(inside))):
            for path in _files(folder):
                # These packages say per file what is free; only that is listed, the rest not asked.
                picture = judged(path.name, path.read_bytes(), str(path))
                if isinstance(picture, Picture):
                    yield picture


def given(place: Path) -> Iterator[Picture | Skipped]:
    """The permitted pictures of a folder or of a tar archive (an npm package).

    Permitted is what the folder's own credits say so of (see `licences.folder_credits`), those of
    the nearest folder first, and what is known by its checksum. Raises InputError if the place does
    not exist or is neither.
    """
    if place.is_dir():
        said = {place: folder_credits(place)}
        for path in _files(place):
            if is_of_pairs(path, place):
                yield Skipped(str(path), "of subjects with alphas: use `mematte train data import`")
                continue
            try:
                data = path.read_bytes()
            except OSError as error:
                yield Skipped(str(path), f"cannot be read ({error.strerror})")
                continue
            yield judged(
                path.relative_to(place).as_posix(), data, str(path), said_of(path, place, said)
            )
    elif place.is_file() and place.name.endswith(ARCHIVES):
        yield from _archived(place)
    else:
        what = "neither a folder nor a .tgz archive" if place.exists() else "does not exist"
        raise InputError(f"{place}: {what}; give the folder or archive of a picture collection")


def said_of(path: Path, place: Path, said: dict[Path, Credits]) -> Credit | None:
    """What the nearest folder up to `place` that says anything of a picture says of it."""
    for folder in path.parents:
        if folder not in said:
            said[folder] = folder_credits(folder)
        credit = credit_of(path.relative_to(folder).as_posix(), said[folder])
        if credit is not None or folder == place:
            return credit
    return None


def judged(name: str, data: bytes, where: str, credit: Credit | None = None) -> Picture | Skipped:
    """The picture, if its licence, as told or else known by its checksum, permits it."""
    credit = credit or known_pictures().get(sha256(data))
    if credit is None:
        return Skipped(where, "no licence known; list it in the folder's credits.csv")
    if not permitted(credit.licence):
        return Skipped(where, refusal(credit.licence))
    return Picture(name, unwrapped(name, data), credit, where)


def unwrapped(name: str, data: bytes) -> bytes:
    """The file itself where a JavaScript module holds it as a data URI (npm packages do)."""
    if not name.endswith(".js"):
        return data
    found = re.search(rb"base64,([A-Za-z0-9+/=]+)", data)
    return base64.b64decode(found.group(1)) if found else b""


def is_panorama(picture: Picture) -> bool:
    """Whether it shows everything around rather than one view."""
    return picture.credit.kind == "panorama"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and _wanted(path.name))


def _wanted(name: str) -> bool:
    suffixes = PHOTOS | PANORAMAS
    return Path(name.removesuffix(".js")).suffix.lower() in suffixes


def _archived(archive: Path) -> Iterator[Picture | Skipped]:
    strangers = 0
    try:
        with tarfile.open(archive) as tar:
            for entry in tar:
                handle = tar.extractfile(entry) if _wanted(entry.name) else None
                if handle is None:
                    continue
                where = f"{archive}:{entry.name}"
                picture = judged(Path(entry.name).name, handle.read(), where)
                if isinstance(picture, Picture) or "no licence" not in picture.reason:
                    yield picture
                else:
                    strangers += 1
    except (tarfile.TarError, OSError, EOFError) as error:
        yield Skipped(str(archive), f"broken archive ({error})")
    if strangers:  # a package holds hundreds of icons; one line for all
        yield Skipped(str(archive), f"no licence known of {strangers} pictures in it")


# Flags, letters and arrows are flat signs, not things.
_FLAT_EMOJI = re.compile(r"^(1f1|0|2[013]|3[0-9]-|1f5[0-3]|1f53|1f19|1f17|1f2|2b|303|329|a9|ae)")
_EMOJI = Credit(
    "fluent-emoji-3d",
    "Microsoft, LobeHub",
    "MIT",
    url="https://www.npmjs.com/package/@lobehub/fluent-emoji-3d",
)


def emoji(archive: Path, count: int, rng: np.random.Generator) -> Iterator[Picture]:
    """A random choice of 3D emoji renders out of the npm archive of @lobehub/fluent-emoji-3d.

    Raises InputError if it is no such archive.
    """
    try:
        with tarfile.open(archive) as tar:
            names = sorted(
                name
                for name in tar.getnames()
                if name.endswith(".webp") and not _FLAT_EMOJI.match(Path(name).name)
            )
            chosen = {names[int(i)] for i in rng.permutation(len(names))[:count]}
            for entry in tar:
                handle = tar.extractfile(entry) if entry.name in chosen else None
                if handle is not None:
                    where = f"{archive}:{entry.name}"
                    yield Picture(Path(entry.name).name, handle.read(), _EMOJI, where)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(
            f"{archive}: not the archive of @lobehub/fluent-emoji-3d ({error}); fetch it with"
            " `npm pack @lobehub/fluent-emoji-3d`"
        ) from error
