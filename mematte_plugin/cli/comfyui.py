"""`mematte comfyui`: this installation's nodes for a ComfyUI on this machine, and away again."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from . import console
from .comfyui_pack import DOOR, NAME, other_copies
from .comfyui_pack import install as install_pack
from .comfyui_pack import uninstall as uninstall_pack
from .comfyui_places import Place, find_interpreter, find_nodes, find_place
from .options import AsJson

comfyui = typer.Typer(
    help="Bring the nodes of this installation into a ComfyUI, or take them out again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Target = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="ComfyUI's folder, which holds main.py; also its custom_nodes, a base directory, or"
        " the folder of the portable Windows edition.",
    ),
]


@comfyui.command()
def install(
    path: Target,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files of an earlier install that were changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a small pack into ComfyUI's custom_nodes that takes the nodes from this package.

    Again after an update of mematte-plugin, it brings the translations and example workflows up to
    date. Files that it did not write are never touched. A clone of the repository in custom_nodes
    needs none of this.

    \b
    Example:
      mematte comfyui install ComfyUI
    """
    place = find_place(path)
    action, files = install_pack(place, force=force)
    folder = place.packs / NAME
    for other in other_copies(place):
        console.warn(
            f"{other}: is another copy of the pack, and both define the same nodes; keep one, the"
            f" other may be renamed to {other.name}.disabled"
        )
    python = _check_python(place)
    if as_json:
        console.say_json(
            {
                "action": action,
                "folder": folder,
                "version": __version__,
                "files": files,
                "nodes": find_nodes(),
                "python": python,
                "warnings": console.warned,
            }
        )
        return
    if action == "unchanged":
        console.say(f"{folder}: is up to date, nothing was written")
        return
    console.say(f"{folder}: {action}, version {__version__}")
    console.say(f"  {DOOR} takes the nodes from {find_nodes()}")
    for name in sorted({file.split("/")[0] for file in files} - {DOOR}):
        count = sum(file.startswith(f"{name}/") for file in files)
        console.say(f"  {name}: {count} files copied")
    console.say("Start ComfyUI again; the nodes are under mask/matting.")


@comfyui.command()
def uninstall(
    path: Target,
    force: Annotated[
        bool, typer.Option("--force", help="Remove files too that were changed since.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what `mematte comfyui install` wrote, and nothing else.

    Changed files and those of others stay and are named. The package mematte-plugin itself stays.

    \b
    Example:
      mematte comfyui uninstall ComfyUI
    """
    place = find_place(path)
    removed, kept, foreign = uninstall_pack(place, force=force)
    folder = place.packs / NAME
    for name in kept:
        console.warn(f"{folder / name}: was changed and stays; --force removes it too")
    for name in foreign:
        console.warn(f"{folder / name}: was not written by mematte and stays")
    if as_json:
        console.say_json(
            {
                "action": "removed",
                "folder": folder,
                "removed": removed,
                "kept": [*kept, *foreign],
                "warnings": console.warned,
            }
        )
        return
    rest = "" if folder.exists() else " and the folder"
    console.say(f"{folder}: {len(removed)} files{rest} removed")


def _check_python(place: Place) -> str | None:
    """Warn where the Python that runs ComfyUI lacks this package; its path, None if unknown."""
    found = find_interpreter(place)
    if found is None:
        console.tell(
            "note",
            f"the Python that runs ComfyUI must have mematte-plugin; if that is not"
            f" {sys.executable}, run there: python -m pip install {NAME}",
        )
        return None
    if found.version is None:
        console.warn(
            f"the Python beside ComfyUI does not have mematte-plugin yet; run:"
            f" {_command(found.python, 'install')}"
        )
    elif not found.running and found.version != __version__:
        console.warn(
            f"the Python beside ComfyUI has mematte-plugin {found.version}, this is {__version__};"
            f" run: {_command(found.python, 'install', '--upgrade')}"
        )
    return str(found.python)


def _command(python: Path, *words: str) -> str:
    command = [str(python), "-m", "pip", *words, NAME]
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)
