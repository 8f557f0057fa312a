"""Where matting data sets keep their photographs, true alphas and trimaps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from ..errors import InputError, SettingError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".exr")
"""Files that count as pictures; everything else in a folder is ignored."""


@dataclass(frozen=True)
class Layout:
    """The folders of one data set; the case of names does not matter."""

    name: str
    """What `--layout` calls it."""
    images: tuple[str, ...]
    """Possible names of the folder of photographs; the first that exists counts."""
    alphas: tuple[str, ...]
    """The same for the folder of true alphas."""
    trimaps: tuple[str, ...]
    """Patterns of trimap folders; each folder that matches is a set of trimaps."""
    roots: tuple[str, ...] = ("",)
    """Where these folders may be, below the given one."""
    numbered: bool = False
    """Several composites share one alpha: hair_0, hair_1, … belong to the alpha hair."""
    hint: str = ""
    """A word in the name of the given folder or its parent that distinguishes this data set from
    another with the same folders."""


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "composition-1k",
            images=("merged",),
            alphas=("alpha_copy", "alpha", "Adobe-licensed images/alpha"),
            trimaps=("trimaps", "Adobe-licensed images/trimaps"),
            roots=("", "Test_set", "Combined_Dataset/Test_set", "Composition-1k-testset"),
            numbered=True,
        ),
        Layout("aim-500", images=("original",), alphas=("mask",), trimaps=("trimap",)),
        Layout(
            "uhr-395",
            images=("merged",),
            alphas=("alpha_copy", "alpha"),
            trimaps=("trimaps",),
            roots=("test", ""),
            numbered=True,
            hint="uhr",
        ),
        Layout(
            "distinctions-646",
            images=("merged", "image", "original"),
            alphas=("GT", "alpha_copy"),
            trimaps=("trimap", "trimaps"),
            roots=("Test", ""),
            numbered=True,
            hint="646",
        ),
        Layout(
            "alphamatting",
            images=("input_training_lowres",),
            alphas=("gt_training_lowres",),
            trimaps=("trimap_training_lowres/Trimap*",),
        ),
        Layout(
            "alphamatting-highres",
            images=("input_training_highres",),
            alphas=("gt_training_highres",),
            trimaps=("trimap_training_highres/Trimap*",),
        ),
        Layout(
            "folder",
            images=("image", "images"),
            alphas=("alpha", "alphas"),
            trimaps=("trimap", "trimaps", "trimap_*", "trimaps_*"),
        ),
    )
}
"""The data sets as their authors publish them, or as MEMatte reads them; and any folder."""


@dataclass(frozen=True)
class Case:
    """A photograph with its true alpha and one trimap; files are not opened."""

    name: str
    """The photograph's file name without its suffix."""
    image: Path
    """The photograph."""
    alpha: Path
    """Its true alpha."""
    trimap: Path | None = None
    """Its trimap; None where there is none, or it is made from the alpha."""
    trimap_name: str = ""
    """Which set of trimaps: the folder's name without "trimap_", as in "narrow", or "10 px"."""
    width: float = 0
    """How far a trimap made from the alpha is widened, in pixels; see `trimap.from_alpha`."""


@dataclass(frozen=True)
class Dataset:
    """What was found in a folder; files are listed, not opened."""

    layout: str
    """The name in `LAYOUTS`."""
    pictures: tuple[Case, ...]
    """Photographs with their alphas, without trimaps; by name."""
    items: tuple[Case, ...]
    """The same for each set of trimaps, where there are any; by name, then by trimap."""
    problems: tuple[str, ...]
    """Files that are missing, ambiguous or left over, one line each."""


def scan(folder: Path, layout: str = "auto") -> Dataset:
    """List a data set and what is wrong with it.

    folder: the data set's; see `LAYOUTS` for what it may contain. Trimaps may be missing.
    layout: a name in `LAYOUTS`, or "auto" to recognise it by its folders.

    Raises InputError for a folder that is not a data set or has no photograph with an alpha,
    SettingError for an unknown layout.
    """
    if layout != "auto" and layout not in LAYOUTS:
        raise SettingError(f"layout {layout!r}: choose auto, {', '.join(LAYOUTS)}")
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; give the folder of a data set")
    wanted = LAYOUTS.values() if layout == "auto" else [LAYOUTS[layout]]
    fitting = [found for one in wanted if (found := _located(folder, one))]
    if not fitting:
        expected = "; ".join(
            f"{one.name}: {one.images[0]}/, {one.alphas[0]}/, {one.trimaps[0]}/" for one in wanted
        )
        raise InputError(f"{folder}: does not hold the folders of a data set ({expected})")
    names = "/".join(folder.resolve().parts[-2:]).lower()
    hinted = [place for place in fitting if place.layout.hint and place.layout.hint in names]
    dataset = _listed((hinted or fitting)[0])
    if not dataset.pictures:
        first = f" ({dataset.problems[0]})" if dataset.problems else ""
        raise InputError(
            f"{folder}: no photograph with an alpha in the {dataset.layout} layout{first};"
            " complete it"
        )
    return dataset


# ---- folders -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """The folders of a layout that were found."""

    layout: Layout
    images: Path
    alphas: Path
    trimaps: dict[str, Path]
    """By the name of the set."""


def _located(folder: Path, layout: Layout) -> _Place | None:
    for name in layout.roots:
        for root in _matching(folder, name):
            images, alphas = _one_of(root, layout.images), _one_of(root, layout.alphas)
            if images and alphas:
                trimaps = {
                    _set_name(path): path
                    for pattern in layout.trimaps
                    for path in _matching(root, pattern)
                }
                return _Place(layout, images, alphas, trimaps)
    return None


def _one_of(root: Path, names: Iterable[str]) -> Path | None:
    return next((path for name in names for path in _matching(root, name)), None)


def _matching(root: Path, pattern: str) -> Iterator[Path]:
    """The folders below root that match a pattern such as a/b*, sorted."""
    if not pattern:
        yield root
        return
    first, _, rest = pattern.partition("/")
    for path in sorted(root.iterdir()):
        if fnmatch(path.name.lower(), first.lower()) and path.is_dir():
            yield from _matching(path, rest)


def _set_name(folder: Path) -> str:
    return re.sub(r"(?i)^trimaps?_", "", folder.name)


# ---- files ---------------------------------------------------------------------------------------


def _listed(place: _Place) -> Dataset:
    problems: list[str] = []
    images = _files(place.images, problems)
    alphas = _files(place.alphas, problems)
    sets = {name: _files(path, problems) for name, path in place.trimaps.items()}
    pictures, items, used = [], [], set()
    for name, image in images.items():
        alpha_name = _alpha_name(name, alphas, place.layout)
        if alpha_name is None:
            problems.append(f"{image.name}: has no alpha in {place.alphas.name}/")
            continue
        used.add(alpha_name)
        picture = Case(name, image, alphas[alpha_name])
        pictures.append(picture)
        for set_name, trimaps in sorted(sets.items()):
            if name in trimaps:
                items.append(replace(picture, trimap=trimaps[name], trimap_name=set_name))
            else:
                problems.append(f"{image.name}: has no trimap in {place.trimaps[set_name].name}/")
    for files, matched in [(alphas, used), *((one, set(images)) for one in sets.values())]:
        problems += [
            f"{path.parent.name}/{path.name}: belongs to no photograph in {place.images.name}/"
            for name, path in files.items()
            if name not in matched
        ]
    return Dataset(place.layout.name, tuple(pictures), tuple(items), tuple(problems))


def _files(folder: Path, problems: list[str]) -> dict[str, Path]:
    """The pictures of a folder by stem. If several share a stem, all are ignored."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            found.setdefault(path.stem, []).append(path)
    for paths in found.values():
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            problems.append(f"{folder.name}/: holds {names}: ambiguous, all ignored")
    return {stem: paths[0] for stem, paths in found.items() if len(paths) == 1}


def _alpha_name(name: str, alphas: dict[str, Path], layout: Layout) -> str | None:
    shared = re.sub(r"_\d+$", "", name)
    candidates = (name, shared) if layout.numbered else (name,)
    return next((one for one in candidates if one in alphas), None)
