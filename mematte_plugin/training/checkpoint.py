"""Files of a training run that survive a kill and a full disk."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from ..errors import WeightsError
from ..images.files import atomic_write

CHECKPOINT = "checkpoint.pt"
FORMER = "checkpoint.former.pt"
"""The checkpoint before the last, where the file system has hard links."""
VERSION = 2
"""Of the checkpoint's layout."""


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state; the one that it replaces is kept as FORMER. Raises OutputError."""
    # Through memory: torch's own writer reports a full disk as an internal error.
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **state}, buffer)
    if path.exists():
        former = path.with_name(FORMER)
        with contextlib.suppress(OSError):  # no hard links there
            former.unlink(missing_ok=True)
            os.link(path, former)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state. Raises WeightsError if it is missing, damaged or something else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(
            f"{path.parent}: no {path.name} there; give the folder of a training run"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        raise WeightsError(
            f"{path}: not a whole checkpoint ({type(error).__name__}); delete it to start "
            f"over, or put {FORMER} in its place"
        ) from error
    if not isinstance(state, dict) or not {"step", "recipe", "average"} <= set(state):
        raise WeightsError(f"{path}: not the checkpoint of a training run; give another folder")
    return state
