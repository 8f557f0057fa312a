"""`mematte comfyui`: install the nodes into a ComfyUI, or remove them.

The pack is an `__init__.py` that imports the nodes from this package, and copies of the two folders
that ComfyUI reads from a pack's own folder. A marker file lists what was written, with checksums,
so that files that somebody added or edited are never lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from ..errors import InputError, OutputError
from ..images.files import atomic_write
from . import console
from .options import AsJson

NAME = "mematte-plugin"
MARKER = ".mematte-install.json"
DOOR = '''\
"""The nodes of mematte-plugin for ComfyUI.

Written by `mematte comfyui install`; remove it with `mematte comfyui uninstall`. The nodes are in
the Python package comfyui_nodes, which comes with `pip install mematte-plugin`.
"""

import logging
import sys

try:
    from comfyui_nodes import WEB_DIRECTORY, comfy_entrypoint
except ImportError as error:
    if error.name in ("comfyui_nodes", "mematte_plugin"):
        remedy = "it is not installed in the Python that runs ComfyUI; install it with"
    else:
        remedy = f"{error}; update ComfyUI, and mematte-plugin with"
    logging.error(
        'mematte-plugin: no nodes, because %s "%s" -m pip install --upgrade mematte-plugin',
        remedy,
        sys.executable,
    )
'''

comfyui = typer.Typer(
    help="Install the nodes into a ComfyUI, or remove them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Target = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="ComfyUI's folder (the one with main.py), its custom_nodes folder, a base directory,"
        " or the folder of the portable Windows edition.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Include installed files that were edited.")]


@comfyui.command()
def install(path: Target, force: Force = False, as_json: AsJson = False) -> None:
    """Write a small pack into ComfyUI's custom_nodes that takes the nodes from this package.

    Run it again after an update of mematte-plugin to update the translations and example
    workflows. Files that it did not write are never touched. A clone of the repository in
    custom_nodes does not need this.

    \b
    Example:
      mematte comfyui install ComfyUI
    """
    target = _find_custom_nodes(path) / NAME
    files = _contents()
    with _disk_errors(target):
        written = _read_marker(target)
        if not written and _is_taken(target):
            raise OutputError(
                f"{target}: exists, and `mematte comfyui install` did not write it; move it away"
                " (a clone of the repository needs no install)"
            )
        edited = _edited(target, written, files)
        if edited and not force:
            raise OutputError(
                f"{target}: installed files were edited ({', '.join(edited)}); move them away, or"
                " pass --force to replace them"
            )
        sums = {name: _checksum(content) for name, content in files.items()}
        intact = written == sums and _all_there(target, files)
        # First a marker of old and new files: an install that fails can be repeated or removed.
        _write(target / MARKER, _marker({**sums, **written}))
        for name, content in files.items():
            _write(target / name, content)
        _delete(target, set(written) - set(files))
        _write(target / MARKER, _marker(sums))
    action = "installed" if not written else "unchanged" if intact else "updated"
    if as_json:
        console.say_json(
            {
                "action": action,
                "folder": target,
                "version": __version__,
                "files": list(files),
                "warnings": console.warned,
            }
        )
    else:
        console.say(f"{target}: {action}, version {__version__}, {len(files)} files")
        console.say("Restart ComfyUI; the nodes are under mask/matting.")
        console.say(f"The Python that runs it needs mematte-plugin; this is {sys.executable}")


@comfyui.command()
def uninstall(path: Target, force: Force = False, as_json: AsJson = False) -> None:
    """Remove what `mematte comfyui install` wrote, and nothing else.

    Files that were edited or added stay. The package mematte-plugin itself stays.

    \b
    Example:
      mematte comfyui uninstall ComfyUI
    """
    target = _find_custom_nodes(path) / NAME
    with _disk_errors(target):
        written = _read_marker(target)
        if not written:
            raise OutputError(
                f"{target}: `mematte comfyui install` wrote nothing there; nothing was removed"
            )
        edited = [] if force else _edited(target, written, {})
        removed = sorted(set(written) - set(edited))
        _delete(target, {*removed, MARKER})
        if edited:
            _write(target / MARKER, _marker({name: written[name] for name in edited}))
        kept = [
            path for path in sorted(target.rglob("*")) if path.is_file() and path.name != MARKER
        ]
    for stays in kept:
        console.warn(f"{stays}: was edited or added, and stays")
    if as_json:
        console.say_json(
            {
                "action": "removed",
                "folder": target,
                "removed": removed,
                "kept": [stays.relative_to(target).as_posix() for stays in kept],
                "warnings": console.warned,
            }
        )
    else:
        console.say(f"{target}: {len(removed)} files removed")


# ---- where and what ------------------------------------------------------------------------------


def _find_custom_nodes(path: Path) -> Path:
    """The folder of packs, existing or not; raises InputError if there is no ComfyUI."""
    try:
        path = path.expanduser().absolute()
        if path.name == "custom_nodes" and path.is_dir():
            return path
        for root in (path, path / "ComfyUI"):  # the second: of the portable Windows edition
            program = (root / "main.py").is_file() and (root / "folder_paths.py").is_file()
            if program or (root / "custom_nodes").is_dir():
                return root / "custom_nodes"
    except (OSError, RuntimeError) as error:  # no permission, or "~" without a home folder
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); check its permissions") from error
    fault = "is not a ComfyUI" if path.is_dir() else "is not a folder"
    if not os.path.lexists(path):
        fault = "does not exist"
    raise InputError(f"{path}: {fault}; give the folder that holds ComfyUI's main.py")


def _contents() -> dict[str, bytes]:
    """The pack's files: path with forward slashes → bytes."""
    spec = find_spec("comfyui_nodes")
    if spec is None or spec.origin is None:
        raise InputError("comfyui_nodes: is missing; install mematte-plugin again with pip")
    nodes = Path(spec.origin).parent
    files = {"__init__.py": DOOR.encode()}
    for name in ("locales", "example_workflows"):
        # In an installed package they are inside comfyui_nodes, in a checkout next to it.
        root = nodes if (nodes / name).is_dir() else nodes.parent
        if not (root / name).is_dir():
            raise InputError(f"{nodes / name}: is missing; install mematte-plugin again with pip")
        for path in sorted((root / name).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                files[path.relative_to(root).as_posix()] = path.read_bytes()
    return files


# ---- files of the pack ---------------------------------------------------------------------------


def _read_marker(target: Path) -> dict[str, str]:
    """Path → checksum of what an earlier install wrote; empty if there was none."""
    marker = target / MARKER
    if target.is_symlink() or not marker.is_file():
        return {}
    try:
        files = json.loads(marker.read_text(encoding="utf-8"))["files"]
        inside = target.resolve()
        return {
            name: str(checksum)
            for name, checksum in files.items()
            if (inside / name).resolve().is_relative_to(inside)
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"{marker}: is damaged; remove {target} by hand") from error


def _is_taken(target: Path) -> bool:
    """Whether there is anything but an empty folder, as a failed install leaves it."""
    if target.is_symlink() or not target.is_dir():
        return os.path.lexists(target)
    return any(target.iterdir())


def _marker(files: Mapping[str, str]) -> bytes:
    return json.dumps({"version": __version__, "files": files}, indent=1).encode()


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _edited(target: Path, written: Mapping[str, str], new: Mapping[str, bytes]) -> list[str]:
    """Files that are neither as they were written nor as they are about to be."""
    found = []
    for name in sorted({*written, *new}):
        if (target / name).is_file():
            content = (target / name).read_bytes()
            if content != new.get(name) and _checksum(content) != written.get(name):
                found.append(name)
    return found


def _all_there(target: Path, files: Mapping[str, bytes]) -> bool:
    return all(
        (target / name).is_file() and (target / name).read_bytes() == content
        for name, content in files.items()
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _delete(target: Path, names: set[str]) -> None:
    """Delete these files, and folders that are empty then or hold compiled Python only."""
    for name in names:
        (target / name).unlink(missing_ok=True)
    for cache in list(target.rglob("__pycache__")):
        shutil.rmtree(cache, ignore_errors=True)
    folders = [path for path in target.rglob("*") if path.is_dir() and not path.is_symlink()]
    for folder in [*sorted(folders, reverse=True), target]:
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()


@contextlib.contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{error.filename or target}: {error.strerror or error}; check permissions and free"
            " space, and that ComfyUI is not running"
        ) from error
