"""Runs Blender beside us: batches of pictures in processes of their own.

A crash within Blender costs the picture at hand; what a batch has finished is kept.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import SettingError
from .storing import Entry, write_foreground
from .strokes import straighten

log = logging.getLogger(__name__)

BATCH = 4
"""Pictures a process; starting Blender takes seconds, a leak or crash must not cost many."""
MINUTES = 30
"""The longest that one picture may take."""
INSTALL = "pip install bpy (Python 3.11), or name a Python that has it by blender_python"


def check(python: Path | None) -> None:
    """Raises SettingError if that Python (default: this one) cannot import bpy."""
    try:
        done = subprocess.run(
            [str(python or sys.executable), "-c", "import bpy"], capture_output=True, check=False
        )
    except OSError as error:
        raise SettingError(f"blender_python {python}: cannot be run ({error.strerror})") from error
    if done.returncode:
        raise SettingError(
            f"Blender's module bpy cannot be imported by {python or 'this Python'}; {INSTALL}"
        )


def rendered(
    directory: Path,
    entries: dict[str, Entry],
    count: int,
    *,
    seed: int,
    size: int = 384,
    samples: int = 64,
    python: Path | None = None,
    until: float = float("inf"),
) -> Iterator[tuple[Entry, int]]:
    """Render the pictures that a bank lacks; yields (manifest entry, how many were lacking).

    Raises SettingError if bpy cannot be imported.
    """
    lacking = [i for i in range(count) if not (directory / name_of(i)).exists()]
    for index in set(range(count)) - set(lacking):
        if name_of(index) not in entries:  # stored just before a kill
            entries[name_of(index)] = _entry(directory, index, "subject", seed)
    if lacking:
        check(python)
    for start in range(0, len(lacking), BATCH):
        batch = lacking[start : start + BATCH]
        with tempfile.TemporaryDirectory(prefix="mematte-blender-") as folder:
            job = {
                "out": folder,
                "indices": batch,
                "seed": seed,
                "size": size,
                "samples": samples,
                "textures": [str(p.resolve()) for p in sorted(directory.glob("backgrounds/*.jpg"))],
            }
            for index in _watched(job, Path(folder), python, until):
                with np.load(Path(folder) / f"{index}.npz") as stored:
                    pixels, kind = stored["premultiplied"], str(stored["kind"])
                write_foreground(
                    directory / name_of(index), straighten(pixels.astype(np.float32) / 257)
                )
                yield _entry(directory, index, kind, seed), len(lacking)
        if time.monotonic() > until:
            return


def name_of(index: int) -> str:
    """File of picture `index` within a bank."""
    return f"foregrounds/blender-{index:06d}.webp"


def _entry(directory: Path, index: int, kind: str, seed: int) -> Entry:
    from .bank import rendered_entry

    return rendered_entry(directory, name_of(index), f"blender {kind} seed={seed} index={index}")


def _watched(
    job: dict[str, object], folder: Path, python: Path | None, until: float
) -> Iterator[int]:
    """Run a job; the pictures as they come."""
    file = folder / "job.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    waiting = [int(str(i)) for i in job["indices"]]  # type: ignore[attr-defined]
    # One thread: rendering is meant to run for hours beside other work.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [str(python or sys.executable), "-m", "blender", str(file)],
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
        )
        last = time.monotonic()
        try:
            while waiting:
                ended = process.poll() is not None
                done = [i for i in waiting if (folder / f"{i}.npz").exists()]
                for index in done:
                    waiting.remove(index)
                    last = time.monotonic()
                    yield index
                if ended and not done:
                    break
                if time.monotonic() > min(until, last + 60 * MINUTES):
                    break
                time.sleep(0.5)
        finally:
            process.kill()
            process.wait()
    if waiting and time.monotonic() <= until:
        words = (folder / "log").read_text(encoding="utf-8", errors="replace").strip()
        last_line = words.splitlines()[-1] if words else f"exit code {process.returncode}"
        log.warning("Blender: %d pictures not rendered (%s)", len(waiting), last_line)
