"""Files of a training run that survive a kill and a full disk."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from ..errors import OutputError, WeightsError

CHECKPOINT = "checkpoint.pt"
FORMER = "checkpoint.former.pt"
"""The one before, where the file system can keep it."""
VERSION = 2
"""Of the checkpoint's layout."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole; whatever goes wrong, the former one stays as it was.

    Raises OutputError where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a power cut after the rename must not leave an empty file
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); what was there before is still valid. "
            "Free some space or choose another folder, and run the same command again"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state; the one that it replaces stays as FORMER beside it. Raises
    OutputError as `write_atomically`."""
    # Through memory: torch's own writer does not tell a full disk from a defect.
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **state}, buffer)
    if path.exists():
        former = path.with_name(FORMER)
        with contextlib.suppress(OSError):  # no hard links there
            former.unlink(missing_ok=True)
            os.link(path, former)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a training state, of this version or an older one.

    Raises WeightsError where the file is missing, damaged or something else.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise WeightsError(
            f"{path.parent}: no {path.name} there; give the folder of a training run"
        ) from None
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        raise WeightsError(
            f"{path}: not a whole checkpoint ({type(error).__name__}); delete it to start the run "
            f"anew, or put {FORMER} in its place"
        ) from error
    if not isinstance(state, dict) or not {"step", "recipe", "average"} <= set(state):
        raise WeightsError(f"{path}: not the checkpoint of a training run; give another folder")
    return state
