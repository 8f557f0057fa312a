"""Where a ComfyUI keeps its packs, which Python runs it, and where our nodes are installed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError

PACKS = "custom_nodes"
NESTED = "ComfyUI"
"""The folder within the portable Windows edition that is ComfyUI itself."""
DATA = ("locales", "example_workflows")
"""Folders that ComfyUI looks for in a pack's own folder and nowhere else."""

_ENVIRONMENTS = (
    "venv",
    ".venv",
    "../venv",
    "../.venv",
    "../python_embeded",  # spelled so by the portable Windows edition
    "../python_embedded",
)
_INTERPRETERS = ("bin/python", "Scripts/python.exe", "python.exe")
_PACKAGES = ("lib/python3*/site-packages", "Lib/site-packages")


@dataclass(frozen=True)
class Place:
    """A ComfyUI on this machine, as far as we need to know it."""

    packs: Path
    """Its custom_nodes folder; made where it is missing."""
    root: Path
    """The folder around it, usually the one with main.py."""


def find_place(path: Path) -> Place:
    """The ComfyUI at a path: its folder, the portable edition's, a base directory, custom_nodes.

    Raises InputError where none of these is there.
    """
    try:
        path = path.expanduser().absolute()
        if not path.is_dir():
            fault = "is a file, not a folder" if path.exists() else "does not exist"
            raise InputError(f"{path}: {fault}; give the folder that holds ComfyUI's main.py")
        if path.name == PACKS:
            return Place(path, path.parent)
        for root in (path, path / NESTED):
            started_there = (root / "main.py").is_file() and (root / "folder_paths.py").is_file()
            if started_there or (root / PACKS).is_dir():
                return Place(root / PACKS, root)
    except (OSError, RuntimeError) as error:  # no permission to look, or "~" and no home folder
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); check its permissions") from error
    raise InputError(
        f"{path}: is no ComfyUI, there is neither a {PACKS} folder nor main.py with folder_paths.py"
        " in it; give the folder that holds ComfyUI's main.py"
    )


@dataclass(frozen=True)
class Interpreter:
    """A Python that lies beside a ComfyUI and most probably runs it."""

    python: Path
    """Its executable."""
    version: str | None
    """The version of mematte-plugin in it; None where it has none."""
    running: bool
    """It is the one that runs now."""


def find_interpreter(place: Place) -> Interpreter | None:
    """The Python beside a ComfyUI, the running one if it is among several; None without any."""
    found = list(_interpreters(place))
    return next((one for one in found if one.running), found[0] if found else None)


def _interpreters(place: Place) -> Iterator[Interpreter]:
    for name in _ENVIRONMENTS:
        folder = place.root / name
        for executable in _INTERPRETERS:
            python = folder / executable
            if python.is_file():
                # The executable of a virtual environment is a link to one that others share.
                running = folder.resolve() == Path(sys.prefix).resolve()
                yield Interpreter(folder.resolve() / executable, _installed(folder), running)
                break


def _installed(environment: Path) -> str | None:
    """The version of mematte-plugin in an environment, without running its Python."""
    for packages in _PACKAGES:
        for found in environment.glob(f"{packages}/mematte_plugin-*.dist-info"):
            return found.name.removesuffix(".dist-info").partition("-")[2]
    return None


def find_nodes() -> Path:
    """The folder of the Python package comfyui_nodes; nothing of it is run.

    Raises InputError where this installation lacks it.
    """
    spec = find_spec("comfyui_nodes")
    if spec is None or not spec.origin:
        raise InputError(
            "comfyui_nodes: is missing beside mematte_plugin; install mematte-plugin again with pip"
        )
    return Path(spec.origin).parent


def find_data(nodes: Path, name: str) -> Path:
    """The folder `name` that goes with comfyui_nodes: in it, or in a checkout beside it.

    Raises InputError where it is in neither place.
    """
    for folder in (nodes / name, nodes.parent / name):
        if folder.is_dir():
            return folder
    raise InputError(
        f"{nodes / name}: is missing from this installation; install mematte-plugin again with pip"
    )


def is_clone(folder: Path) -> bool:
    """Whether a folder under custom_nodes holds this repository."""
    if (folder / "mematte_plugin").is_dir() and (folder / "comfyui_nodes").is_dir():
        return True
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # tomllib came with Python 3.11.
    return re.search(r"^name\s*=\s*[\"']mematte[-_.]plugin[\"']", text, re.M | re.I) is not None
