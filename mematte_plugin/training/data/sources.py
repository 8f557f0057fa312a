"""Where real pictures come from, and the licence gate they all pass.

Only public domain, CC0, CC-BY, MIT and what we render ourselves goes in; share-alike,
non-commercial and unknown licences stay out, whatever the picture.
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import io
import logging
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

log = logging.getLogger(__name__)

LOMIRI_PHOTOS = Path("/usr/share/backgrounds")
LOMIRI_COPYRIGHT = Path("/usr/share/doc/lomiri-wallpapers-16.04/copyright")
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}

_PERMITTED = re.compile(
    r"^(CC0([- ]1\.0)?|CC-BY-\d(\.\d)?|MIT|Expat|public[- ]domain|rendered)$", re.IGNORECASE
)


@dataclass(frozen=True)
class Picture:
    """One real picture with what the manifest needs."""

    source: str
    """Collection it belongs to."""
    path: Path
    """File on disk, or the archive that holds it."""
    author: str
    """Who made it."""
    licence: str
    """SPDX-like name."""
    member: str = ""
    """Name inside the archive, if `path` is one."""

    @property
    def name(self) -> str:
        """A short unique file stem."""
        stem = Path(self.member or self.path.name).stem
        return re.sub(r"[^A-Za-z0-9-]+", "_", f"{self.source}-{stem}")


def permitted(licence: str) -> bool:
    """Whether a licence lets anyone use the trained weights for anything."""
    return _PERMITTED.match(licence.strip()) is not None


def sha256(path: Path) -> str:
    """Checksum of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lomiri_photos(
    directory: Path = LOMIRI_PHOTOS, copyright_file: Path = LOMIRI_COPYRIGHT
) -> list[Picture]:
    """The permitted photographs of Debian's lomiri-wallpapers; none if it is not installed."""
    if not copyright_file.is_file() or not directory.is_dir():
        log.info("no lomiri wallpapers at %s: left out", directory)
        return []
    pictures = []
    stanzas = list(_stanzas(copyright_file.read_text(encoding="utf-8")))
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            continue
        found = None
        for patterns, author, licence in stanzas:  # the last matching stanza counts, as in DEP-5
            if any(fnmatch.fnmatch(path.name, Path(p).name) for p in patterns):
                found = Picture("lomiri-wallpapers", path, author, licence)
        if found is None or not permitted(found.licence):
            log.info("%s: left out (licence %s)", path, found.licence if found else "unknown")
            continue
        pictures.append(found)
    return pictures


def _stanzas(text: str) -> Iterator[tuple[list[str], str, str]]:
    """File patterns, author and licence of every `Files:` paragraph of a DEP-5 file."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            head = re.match(r"^([A-Za-z-]+):\s*(.*)$", line)
            if head:
                key = head.group(1).lower()
                fields[key] = head.group(2)
            elif key:
                fields[key] += "\n" + line.strip()
        if "files" in fields and "licence" not in fields and "license" in fields:
            # A path pattern applies by its file name: installed files lie flat. Wildcards for
            # packaging files ("debian/*") would then match everything, so they are dropped.
            patterns = [p for p in fields["files"].split() if Path(p).name != "*"]
            author = " ".join(fields.get("copyright", "unknown").split())
            yield patterns, author, fields["license"].splitlines()[0].strip()


# astronaut and chelsea are free too, but they are the README's demonstration: training on them
# would flatter it. motorcycle, ihc, retina, lfw: not permissive, unclear or not natural pictures.
_SKIMAGE = {
    "coffee.png": ("Rachel Michetti", "CC0-1.0"),
    "rocket.jpg": ("SpaceX", "public domain"),
    "brick.png": ("CC0Textures", "CC0-1.0"),
    "gravel.png": ("CC0Textures", "CC0-1.0"),
    "grass.png": ("linolafett", "CC0-1.0"),
}


def skimage_photos(directory: Path | None = None) -> list[Picture]:
    """scikit-image's bundled photographs that are free of conditions; none if not installed."""
    if directory is None:
        spec = importlib.util.find_spec("skimage")
        if spec is None or not spec.submodule_search_locations:
            log.info("scikit-image is not installed: its photographs are left out")
            return []
        directory = Path(next(iter(spec.submodule_search_locations))) / "data"
    return [
        Picture("scikit-image", directory / name, author, licence)
        for name, (author, licence) in _SKIMAGE.items()
        if (directory / name).is_file()
    ]


# Flags, letters and arrows are flat signs, not things.
_FLAT_EMOJI = re.compile(r"^(1f1|0|2[013]|3[0-9]-|1f5[0-3]|1f53|1f19|1f17|1f2|2b|303|329|a9|ae)")


def emoji(archive: Path, count: int, rng: np.random.Generator) -> list[Picture]:
    """A random choice of 3D emoji renders out of the npm archive of @lobehub/fluent-emoji-3d."""
    with tarfile.open(archive) as tar:
        names = sorted(
            name
            for name in tar.getnames()
            if name.endswith(".webp") and not _FLAT_EMOJI.match(Path(name).name)
        )
    chosen = rng.permutation(len(names))[:count]
    return [
        Picture("fluent-emoji-3d", archive, "Microsoft, LobeHub", "MIT", names[int(i)])
        for i in sorted(chosen)
    ]


def read_emoji(pictures: list[Picture]) -> Iterator[tuple[Picture, Image.Image]]:
    """Read chosen members of an archive in one pass; unreadable ones are skipped with a warning."""
    wanted = {picture.member: picture for picture in pictures}
    if not wanted:
        return
    with tarfile.open(pictures[0].path) as tar:
        for entry in tar:
            picture = wanted.get(entry.name)
            handle = tar.extractfile(entry) if picture is not None else None
            if picture is None or handle is None:
                continue
            try:
                image = Image.open(io.BytesIO(handle.read())).convert("RGBA")
            except (UnidentifiedImageError, OSError) as error:
                log.warning("%s in %s: skipped (%s)", entry.name, picture.path, error)
                continue
            yield picture, image


def read_photo(picture: Picture) -> Image.Image | None:
    """A photograph as RGB, or None (with a warning) if it cannot be read."""
    try:
        image: Image.Image = Image.open(picture.path).convert("RGB")
        return image
    except (UnidentifiedImageError, OSError) as error:
        log.warning("%s: skipped (%s)", picture.path, error)
        return None
