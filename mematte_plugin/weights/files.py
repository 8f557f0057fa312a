"""The files of a model: their names, small JSON files, and the models in a folder. No torch."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import WeightsError
from .catalog import Entry

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
README = "README.md"
MODEL = "model.safetensors"
WEIGHT_NAMES = (MODEL, "pytorch_model.bin")
"""What the weights are called in a model folder or a Hub repository, in order of preference."""
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
"""What the names of weight files end with."""
MAX_JSON = 1 << 22
"""Bytes; a larger file is not a config."""
_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
_LONGEST_SHOWN = 200
"""Characters of a name that a message repeats."""


class ModelFiles(NamedTuple):
    """The files of one model on this machine; all of them exist."""

    weights: Path
    """The tensors."""
    config: Path | None
    """config.json; None where the weights stand alone."""
    preprocessor: Path | None
    """preprocessor_config.json of a transformers model."""
    entry: Entry | None = None
    """The catalog's entry, if it has one."""


class HubId(NamedTuple):
    """A repository on the Hub, as users write it: ``owner/name`` or ``owner/name@revision``."""

    repo_id: str
    revision: str | None


def hub_id(name: str) -> HubId | None:
    """The repository that a name stands for, if it has the form of one."""
    match = _HUB_ID.fullmatch(name)
    return HubId(match[1], match[2]) if match else None


def existing(name: str) -> Path | None:
    """The file or folder of this name, if there is one.

    Raises WeightsError for a name that the system refuses to look up.
    """
    path = Path(name)
    try:
        path = path.expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such user, a zero byte
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{shown(name)}: cannot be looked up ({reason}); check the path, or give the name of a"
            " model"
        ) from None


def looks_like_path(name: str, suffixes: tuple[str, ...] = SUFFIXES) -> bool:
    """Whether a name that does not exist was meant as a file or folder."""
    separators = name.count("/") + name.count("\\")
    return (
        name.startswith((".", "~", "/"))
        or name.lower().endswith(suffixes)
        or (separators > 0 and hub_id(name) is None)
    )


def shown(name: str) -> str:
    """A name, shortened for messages."""
    return name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises WeightsError for a file that is missing, unreadable, too large or not an object.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError("too large")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not valid JSON ({error}); take the file that came with the weights"
        ) from None
    if not isinstance(values, dict):
        raise WeightsError(f"{path} is not a JSON object; take the file that came with the weights")
    return values


def models_in(folder: str | Path) -> dict[str, Path]:
    """Every model below a folder, for front ends to list: name -> what `load_network` takes.

    A sub-folder with config.json and weights (model.safetensors, pytorch_model.bin, or a single
    file of another name) is one model; every other .safetensors, .pth, .pt, .ckpt or .bin file is
    a model of its own. The name is the path within the folder, with slashes; the dict is sorted by
    it. Hidden files and folders, unfinished downloads among them, are skipped; links are followed.
    Nothing is opened. Empty if the folder does not exist.
    """
    root = Path(folder)
    found: dict[str, Path] = {}
    seen: set[str] = set()
    for here, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        path = Path(here)
        weights = [n for n in files if n.lower().endswith(SUFFIXES) and not n.startswith(".")]
        clear = len(weights) == 1 or any(name in weights for name in WEIGHT_NAMES)
        one_model = path != root and CONFIG in files and clear
        for model in [path] if one_model else [path / name for name in weights]:
            found[model.relative_to(root).as_posix()] = model
    return dict(sorted(found.items()))
