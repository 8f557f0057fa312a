"""The pack that `mematte comfyui install` writes: what is in it, whole or not at all, and away.

A marker in the folder lists what was written, with checksums: nothing else is ever removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..errors import OutputError
from .comfyui_places import DATA, Place, find_data, find_nodes, is_clone

NAME = "mematte-plugin"
MARKER = ".mematte-install.json"
DOOR = "__init__.py"

_DOOR = '''\
"""The nodes of mematte-plugin for ComfyUI.

Written by `mematte comfyui install`; `mematte comfyui uninstall` takes it away. The nodes are in
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


def contents() -> dict[str, bytes]:
    """What the pack holds: path with forward slashes -> bytes.

    Raises InputError where this installation lacks a part.
    """
    nodes = find_nodes()
    files = {DOOR: _DOOR.encode()}
    for name in DATA:
        folder = find_data(nodes, name)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):  # of a file manager
                files[f"{name}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return files


@dataclass(frozen=True)
class State:
    """What is in the pack's folder now. Paths are relative, with forward slashes."""

    installed: Mapping[str, str]
    """What an earlier install wrote: path -> checksum; empty where it did not."""
    unchanged: frozenset[str]
    """Files of these that are as they were written."""
    changed: frozenset[str]
    """Files of these that somebody has changed since."""
    foreign: frozenset[str]
    """Whatever else is there, links too."""


def inspect(folder: Path) -> State:
    """Compare a pack's folder with what was written there."""
    installed = _read_marker(folder)
    unchanged, changed, foreign = set(), set(), set()
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if name == MARKER and installed:
            continue
        if name not in installed or path.is_symlink():
            foreign.add(name)
        elif _checksum(path.read_bytes()) == installed[name]:
            unchanged.add(name)
        else:
            changed.add(name)
    return State(installed, frozenset(unchanged), frozenset(changed), frozenset(foreign))


def install(place: Place, *, force: bool = False) -> tuple[str, list[str]]:
    """Write the pack, or bring it up to date.

    force: replace files that somebody changed, too.

    Returns what was done (installed, updated, unchanged) and the pack's files.

    Raises OutputError: something else is there, files were changed, or it cannot be written.
    """
    files, target = contents(), place.packs / NAME
    with _reported(target):
        old = _old_install(target)
        if old is not None:
            _refuse_loss(target, old, force)
            wanted = {name: _checksum(content) for name, content in files.items()}
            if not old.changed and old.unchanged == set(wanted) and old.installed == wanted:
                return "unchanged", list(files)
        _replace(target, files)
    return ("installed" if old is None else "updated"), list(files)


def uninstall(place: Place, *, force: bool = False) -> tuple[list[str], list[str], list[str]]:
    """Remove what `install` wrote.

    force: remove files that somebody changed, too.

    Returns the files that were removed, those that were changed and stay, and those of others.

    Raises OutputError: there is no such install, or it cannot be removed.
    """
    target = place.packs / NAME
    with _reported(target):
        if not target.is_dir() or target.is_symlink() or not _read_marker(target):
            if not os.path.lexists(target):
                raise OutputError(f"{target}: is not there; nothing of ours was installed")
            raise OutputError(
                f"{target}: was not written by `mematte comfyui install`; remove it by hand"
            )
        state = inspect(target)
        removed = sorted(state.unchanged | (state.changed if force else frozenset()))
        kept = sorted(state.changed - set(removed))
        if not kept and not state.foreign:
            _remove_folder(target)
            return removed, [], []
        for name in removed:
            (target / name).unlink()
        _write_marker(target, {name: state.installed[name] for name in kept})
        _remove_leftovers(target)
    return removed, kept, sorted(state.foreign)


def other_copies(place: Place) -> list[Path]:
    """Other folders under custom_nodes that define the same nodes."""
    try:
        return [
            folder
            for folder in sorted(place.packs.iterdir())
            if folder.name != NAME
            and not folder.name.endswith(".disabled")  # ComfyUI passes over these
            and folder.is_dir()
            and (is_clone(folder) or (folder / MARKER).is_file())
        ]
    except OSError:  # told when something is to be written there
        return []


# ---- what is there -------------------------------------------------------------------------------


def _old_install(target: Path) -> State | None:
    """What we wrote there before; None where the way is free.

    Raises OutputError where something else is in the way.
    """
    if not os.path.lexists(target):
        return None
    if target.is_symlink() or not target.is_dir():
        what = "a link" if target.is_symlink() else "a file"
        raise OutputError(f"{target}: is {what} that mematte did not make; remove it first")
    if _read_marker(target):
        return inspect(target)
    if is_clone(target):
        raise OutputError(
            f"{target}: is a clone of the pack, which works as it is; remove it first to use the"
            " installed package instead"
        )
    found = sorted(path.relative_to(target).as_posix() for path in _walk(target))
    if found:
        raise OutputError(
            f"{target}: holds files that mematte did not write ({_listed(found)}); move them away"
        )
    return None


def _refuse_loss(target: Path, old: State, force: bool) -> None:
    if old.foreign:
        raise OutputError(
            f"{target}: holds files that mematte did not write ({_listed(sorted(old.foreign))});"
            " move them away"
        )
    if old.changed and not force:
        raise OutputError(
            f"{target}: files were changed since they were installed"
            f" ({_listed(sorted(old.changed))}); move them away, or pass --force to replace them"
        )


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _walk(folder: Path) -> Iterator[Path]:
    """Files and links, without what Python compiles by itself."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_dir():
            yield path
        elif path.name != "__pycache__":
            yield from _walk(path)


def _read_marker(folder: Path) -> dict[str, str]:
    """Path -> checksum of what was written; empty without a marker.

    Raises OutputError for one that cannot be understood.
    """
    path = folder / MARKER
    if not path.is_file():
        return {}
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): str(checksum) for name, checksum in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            f"{path}: is damaged, so that nobody can tell what was installed; remove {folder} by"
            " hand"
        ) from error


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ---- writing and removing ------------------------------------------------------------------------


def _replace(target: Path, files: Mapping[str, bytes]) -> None:
    """All files into a folder aside, which then takes the target's place."""
    new, old = _aside(target), _aside(target)
    target.parent.mkdir(exist_ok=True)
    try:
        for name, content in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _write_marker(new, {name: _checksum(content) for name, content in files.items()})
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:  # also after KeyboardInterrupt
        if old.exists() and not target.exists():
            old.rename(target)
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _remove_folder(target: Path) -> None:
    """Out of ComfyUI's sight in one step."""
    aside = _aside(target)
    target.rename(aside)
    shutil.rmtree(aside)


def _aside(target: Path) -> Path:
    # ComfyUI passes over names with this ending, should it start just now.
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.disabled")


def _write_marker(folder: Path, files: Mapping[str, str]) -> None:
    """Say what was written; without anything, take the marker away."""
    path = folder / MARKER
    if files:
        content = {"version": __version__, "files": dict(sorted(files.items()))}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    else:
        path.unlink()


def _remove_leftovers(target: Path) -> None:
    """Folders that hold nothing any more, and what Python compiled."""
    for cache in list(target.rglob("__pycache__")):
        shutil.rmtree(cache, ignore_errors=True)
    for parent, _, _ in os.walk(target, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(parent)


@contextlib.contextmanager
def _reported(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = error.filename or target
        raise OutputError(
            f"{name}: {error.strerror or error}; check permissions and space on the disk, and that"
            " ComfyUI is not running"
        ) from error
