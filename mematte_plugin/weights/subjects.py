"""The files of networks that find subjects: on this machine, or from the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..errors import WeightsError
from ..progress import Progress
from . import hub
from .catalog import CATALOG, USES, Entry, Purpose, check_purpose, closest, find, named
from .files import CONFIG, MODEL, PREPROCESSOR, existing, hub_id, looks_like_path, shown

ONNX = ".onnx"
ONNX_NAMES = ("onnx/model.onnx", "model.onnx")
"""What an ONNX network is called in a repository or a folder, in order of preference."""
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_LARGEST_GRAPH = 1 << 26
"""Bytes; a larger ONNX file holds its weights itself."""
_LOCATION = re.compile(rb"\n\x08location\x12([\x01-\x7f])")
"""How an ONNX file begins to name the file of a tensor; then follow as many bytes as this says."""


class SubjectFiles(NamedTuple):
    """The files of one network that finds subjects; all of them are on this machine."""

    weights: Path
    """model.safetensors, or the ONNX file."""
    folder: Path
    """Where its other files are: config.json, tokenizer.json, preprocessor_config.json."""
    name: str
    """What reports call it: its name in the catalog, its Hub id, or the file's name."""
    entry: Entry | None = None
    """The catalog's entry, if it has one."""

    @property
    def licence(self) -> str:
        """Of the weights, as published; empty if unknown."""
        return self.entry.licence if self.entry else ""


@dataclass(frozen=True)
class _Layout:
    """The files of one kind of network in its repository."""

    weights: tuple[str, ...]
    """Names of the weights, in order of preference."""
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    kind: str
    """What such a repository is, for messages."""
    suffixes: tuple[str, ...] = ()
    """Of weights that may stand alone."""


_LAYOUTS: dict[Purpose, _Layout] = {
    "subject": _Layout(
        weights=ONNX_NAMES,
        needed=(),
        optional=(PREPROCESSOR,),
        kind="an ONNX segmentation network (onnx/model.onnx)",
        suffixes=(ONNX,),
    ),
    "clicks": _Layout(
        weights=(MODEL,),
        needed=(CONFIG,),
        optional=(),
        kind=f"a SAM 2 network ({CONFIG} with {MODEL})",
    ),
    "words": _Layout(
        weights=(MODEL,),
        needed=(CONFIG, *_TOKENIZER),
        optional=("special_tokens_map.json",),
        kind=f"a Grounding DINO or SAM 3 network ({CONFIG}, {_TOKENIZER[0]} and {MODEL})",
    ),
}


def subject_files(
    name_or_path: str | Path | None, purpose: Purpose, *, progress: Progress | None = None
) -> SubjectFiles:
    """Find the files of a network that finds subjects; download them if they are not here yet.

    Args:
        name_or_path: catalog name, Hub id (``owner/name`` or ``owner/name@revision``), folder, or
            an ONNX file; None for the default. A catalog name wins over a folder of that name.
        purpose: "subject", "clicks" or "words".
        progress: as for `load_network`.

    The weights come last, so that where they are, everything is, and no connection is made.

    Raises WeightsError if they are not found or not reachable, or are for another purpose.
    """
    name = named(purpose)[0] if name_or_path is None else str(name_or_path)
    if not name.strip():
        raise WeightsError(
            f"the subject model's name is empty; give one such as {named(purpose)[0]}, a Hub id or"
            " a path"
        )
    base, _, pinned = name.partition("@")
    entry = None if isinstance(name_or_path, Path) else find(base)
    if entry is not None:
        check_purpose(entry, purpose)
        return _from_hub(entry.repo_id, pinned or entry.revision, purpose, entry, progress)
    if (path := existing(name)) is not None:
        return _from_disk(path, name, purpose)
    if isinstance(name_or_path, Path) or looks_like_path(name, (ONNX, ".safetensors")):
        raise WeightsError(
            f"{shown(name)} does not exist; check the path, or give the name of a model that"
            f" {USES[purpose]}, such as {named(purpose)[0]}"
        )
    match = hub_id(name)
    if match is None:
        raise WeightsError(
            f"no subject model named {shown(name)!r}; did you mean"
            f" {' or '.join(closest(name, purpose))}? A Hub id (owner/name), a folder or a file"
            " works as well"
        )
    return _from_hub(match.repo_id, match.revision or hub.MAIN, purpose, None, progress)


def download_subject(
    name: str, purpose: Purpose | None = None, progress: Progress | None = None
) -> SubjectFiles | None:
    """All that the use of a network needs that finds subjects; None if it is a matting network.

    purpose: what a network that is not in the catalog is for; None for matting.

    Raises as `subject_files`.
    """
    entry = find(name.partition("@")[0])
    if purpose is None:
        purpose = entry.purpose if entry else "matting"
    if purpose == "matting":
        return None
    for other in entry.together_with if entry else ():
        subject_files(other, CATALOG[other].purpose, progress=progress)
    return subject_files(name, purpose, progress=progress)


def subject_weights(entry: Entry) -> Path | None:
    """The weights of a subject network of the catalog if all its files are on this machine."""
    layout = _LAYOUTS[entry.purpose]
    here = [hub.cached(entry.repo_id, file, entry.revision) for file in layout.needed]
    return None if None in here else _cached(entry.repo_id, entry.revision, layout)


# ---- the Hub -------------------------------------------------------------------------------------


def _from_hub(
    repo_id: str, revision: str, purpose: Purpose, entry: Entry | None, progress: Progress | None
) -> SubjectFiles:
    layout = _LAYOUTS[purpose]
    condition = "" if entry else " (if it exists)"
    optional = (f"{name}{condition}" for name in layout.optional)
    together = (*layout.needed, *optional, layout.weights[0])

    def fetched(filename: str) -> Path:
        return hub.get_file(
            repo_id,
            filename,
            revision=revision,
            progress=progress,
            entry=entry,
            expected=layout.kind,
            together=together,
        )

    def all_files() -> tuple[Path, Path]:
        for filename in layout.needed:
            fetched(filename)
        weights = _cached(repo_id, revision, layout)
        if weights is None:
            for filename in layout.optional:
                _if_there(fetched, filename)
            weights = _first(fetched, layout.weights)
        return weights, _root(weights, layout)

    weights, root = all_files()
    if not all((root / filename).is_file() for filename in layout.needed):
        weights, root = all_files()  # the branch moved meanwhile: the others of the new commit
    for beside in tensor_files(weights):
        fetched((weights.parent / beside).relative_to(root).as_posix())
    return SubjectFiles(weights, root, entry.name if entry else repo_id, entry)


def _if_there(fetched: Callable[[str], Path], filename: str) -> Path | None:
    try:
        return fetched(filename)
    except hub.MissingFileError:
        return None


def _first(fetched: Callable[[str], Path], filenames: tuple[str, ...]) -> Path:
    *others, last = filenames
    found = (_if_there(fetched, filename) for filename in others)
    return next((path for path in found if path is not None), None) or fetched(last)


def _cached(repo_id: str, revision: str, layout: _Layout) -> Path | None:
    found = (hub.cached(repo_id, filename, revision) for filename in layout.weights)
    return next((path for path in found if path is not None), None)


def _root(weights: Path, layout: _Layout) -> Path:
    """The folder with the other files: for onnx/model.onnx the one above."""
    nested = ONNX in layout.suffixes and weights.parent.name == "onnx"
    return weights.parent.parent if nested else weights.parent


# ---- this machine --------------------------------------------------------------------------------


def _from_disk(path: Path, name: str, purpose: Purpose) -> SubjectFiles:
    layout = _LAYOUTS[purpose]
    weights = path if path.is_file() else _in_folder(path, name, layout)
    if weights.suffix.lower() not in (layout.suffixes or (Path(MODEL).suffix,)):
        raise WeightsError(f"{name} is not {layout.kind}; choose another model")
    root = _root(weights, layout)
    if lacking := [file for file in layout.needed if not (root / file).is_file()]:
        raise WeightsError(
            f"{name}: {lacking[0]} is missing next to {weights.name}; give a folder with"
            f" {layout.kind}"
        )
    return SubjectFiles(weights, root, path.name)


def _in_folder(folder: Path, name: str, layout: _Layout) -> Path:
    for filename in layout.weights:
        if (folder / filename).is_file():
            return folder / filename
    try:
        alone = sorted(p for p in folder.iterdir() if p.suffix.lower() in layout.suffixes)
    except OSError as error:
        raise WeightsError(
            f"{name} cannot be read ({error.strerror}); check the folder and its rights"
        ) from None
    if len(alone) > 1:
        raise WeightsError(
            f"{name} holds {len(alone)} networks ({', '.join(p.name for p in alone[:3])}); give the"
            " path of one of them"
        )
    if not alone:
        raise WeightsError(f"{name} does not hold {layout.kind}; choose another folder or model")
    return alone[0]


def tensor_files(weights: Path) -> list[str]:
    """The names of the files next to an ONNX network that hold its tensors, if it has such files.

    Raises WeightsError if one of them is to lie elsewhere.
    """
    if weights.suffix.lower() != ONNX or weights.stat().st_size > _LARGEST_GRAPH:
        return []
    content, names = weights.read_bytes(), set()
    for match in _LOCATION.finditer(content):
        name = content[match.end() : match.end() + match[1][0]].decode("utf-8", "replace")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise WeightsError(
                f"{weights} is refused: it reads its weights from {name!r}, outside its folder"
            )
        names.add(name)
    return sorted(names)
