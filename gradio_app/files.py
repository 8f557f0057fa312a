"""The one folder in which a server keeps everything: uploads, results, and Gradio's own files.

Gradio reads its folder from GRADIO_TEMP_DIR, partly on import and partly when a component is made.
Its `delete_cache` would only find files that went through a component, and miss abandoned uploads
and empty folders. So the whole folder is swept here.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A new temporary folder for Gradio, deleted with all its files on leaving the context.

    It is made in GRADIO_TEMP_DIR if that is set, otherwise in the system's temporary folder.
    """
    before = os.environ.get("GRADIO_TEMP_DIR")
    if before:
        Path(before).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="mematte-demo-", dir=before or None, ignore_cleanup_errors=True
    ) as name:
        folder = Path(name).resolve()
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        try:
            yield folder
        finally:
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def current_folder() -> Path:
    """The folder in which Gradio keeps its files now."""
    folder = os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio"
    return Path(folder).resolve()


def job_folder() -> Path:
    """A new folder with an unguessable name for the files of one job.

    Because it is inside Gradio's folder, Gradio serves its files without copying them.
    """
    folder = current_folder() / "jobs" / secrets.token_urlsafe(16)
    folder.mkdir(parents=True)
    return folder


def files_in(folder: Path) -> frozenset[Path]:
    """Every file below a folder."""
    return frozenset(Path(where) / name for where, _, names in os.walk(folder) for name in names)


def sweep(folder: Path, seconds: float, keep: frozenset[Path] = frozenset()) -> None:
    """Delete files that were last written to this long ago, then the folders left empty.

    keep: files that stay, such as the page's examples.
    """
    latest = time.time() - seconds
    # Ages first: deleting a file makes its folder younger.
    for place, names, old in [
        (Path(where), names, _is_old(Path(where), latest))
        for where, _, names in os.walk(folder, topdown=False)
    ]:
        for path in (place / name for name in names):
            if path not in keep and _is_old(path, latest):
                with contextlib.suppress(OSError):  # gone already, or in use on Windows
                    path.unlink()
        if old and place != folder:
            with contextlib.suppress(OSError):  # not empty
                place.rmdir()


def _is_old(path: Path, latest: float) -> bool:
    """Whether it was last written to before `latest`; False if it is gone already."""
    try:
        return path.lstat().st_mtime <= latest
    except OSError:
        return False
