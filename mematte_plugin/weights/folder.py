"""The models in a folder, as front ends list them."""

from __future__ import annotations

import os
from pathlib import Path

from .load import CONFIG, WEIGHT_NAMES
from .read import SUFFIXES


def models_in(folder: str | Path) -> dict[str, Path]:
    """Every model below a folder: name -> what `load_network` takes, sorted by name.

    A sub-folder that holds config.json and weights (model.safetensors, pytorch_model.bin, or one
    file of another name) is one model; every other .safetensors, .pth, .pt, .ckpt or .bin file is
    one of its own. The name is the path within the folder, with slashes. Hidden files and folders,
    and with them unfinished downloads, are left out, links are followed. Nothing is opened. Empty
    where there is no such folder.
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
