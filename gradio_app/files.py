"""The one folder in which a server keeps everything: uploads, results, and what Gradio makes.

Gradio looks it up in GRADIO_TEMP_DIR, partly when it is imported and partly when a component is
made. Its own `delete_cache` knows only of files that went through a component: abandoned uploads,
halves of uploads and empty folders would stay. So the folder is swept whole.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

VARIABLES = {"GRADIO_TEMP_DIR": "", "GRADIO_EXAMPLES_CACHE": "examples"}
"""What Gradio reads, and the part of the folder that it is given."""


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A new temporary folder as Gradio's, removed with all that is in it.

    It lies in GRADIO_TEMP_DIR where that is set, else where temporary files belong.
    """
    before = {name: os.environ.get(name) for name in VARIABLES}
    parent = before["GRADIO_TEMP_DIR"] or None
    if parent:
        Path(parent).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="mematte-demo-", dir=parent)).resolve()
    for name, part in VARIABLES.items():
        os.environ[name] = str(folder / part)
    try:
        yield folder
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def current_folder() -> Path:
    """Where Gradio keeps files now."""
    folder = os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio"
    return Path(folder).resolve()


def job_folder() -> Path:
    """A new folder for the files of one job, whose name cannot be guessed.

    Being within Gradio's folder, they are served from there and not copied.
    """
    folder = current_folder() / "jobs" / secrets.token_urlsafe(16)
    folder.mkdir(parents=True)
    return folder


def files_in(folder: Path) -> frozenset[Path]:
    """Every file below a folder."""
    return frozenset(Path(where) / name for where, _, names in os.walk(folder) for name in names)


def sweep(folder: Path, seconds: float, keep: frozenset[Path] = frozenset()) -> None:
    """Delete what nobody has written to for so long: files, then folders left empty.

    keep: files that stay, such as the page's examples.
    """
    latest = time.time() - seconds
    # Looked at first, since deleting makes folders younger.
    for place, names, old in [
        (Path(where), names, _written_at(Path(where)) <= latest)
        for where, _, names in os.walk(folder, topdown=False)
    ]:
        for name in names:
            path = place / name
            if path not in keep and _written_at(path) <= latest:
                # It may be gone already: files of jobs that are given up, and of uploads.
                with contextlib.suppress(OSError):
                    path.unlink()
        if old and place != folder:
            with contextlib.suppress(OSError):  # not empty
                place.rmdir()


def _written_at(path: Path) -> float:
    """When somebody last wrote to it; never, for what is gone."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return math.inf
