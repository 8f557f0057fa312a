"""Records of a run: figures as CSV, in the log and for TensorBoard, and preview pictures."""

from __future__ import annotations

import csv
import importlib.util
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import OutputError
from ..images.encode import write_image
from ..images.files import atomic_write
from ..show.overlays import contact_sheet
from .data.storing import make_folder

logger = logging.getLogger(__name__)

LOG = "log.csv"
VALIDATION = "validation.csv"
PREVIEWS = "previews"
SHOWN = 8
"""Crops on a preview."""

TRAINING_COLUMNS = (
    "step",
    "loss",
    "unknown",
    "known",
    "laplacian",
    "gradient",
    "squared",
    "distillation",
    "retention",
    "hint",
    "kept",
    "lr",
    "gradient_norm",
    "router_norm",
    "crops_per_second",
    "generator_per_second",
    "waited",
    "skipped",
)
VALIDATION_COLUMNS = ("step", "trimap", "pictures", "sad", "mse", "mad", "grad", "conn", "kept")


class Table:
    """A CSV file that grows by rows.

    A run that continues from step n first drops the rows after n: they will come again.

    Args:
        path: the file.
        columns: their names, "step" first.
        step: where the run continues.
        board: a TensorBoard writer that gets the rows too, or None.
    """

    def __init__(
        self, path: Path, columns: tuple[str, ...], step: int, board: Any | None = None
    ) -> None:
        self.path = path
        self.columns = columns
        self.board = board
        kept: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                kept = [row for row in rows if (row.get("step") or "").isdigit()]
        kept = [row for row in kept if int(row["step"]) <= step]
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
        with atomic_write(path) as temporary:
            temporary.write_bytes(buffer.getvalue().encode())

    def add(self, step: int, row: Mapping[str, Any]) -> None:
        """Append a row, with numbers rounded. Raises OutputError if it cannot be written."""
        shown = {k: v if isinstance(v, str) else f"{v:.5g}" for k, v in row.items()}
        logger.info("step %d: %s", step, ", ".join(f"{k} {v}" for k, v in shown.items()))
        rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self.columns, restval="", extrasaction="ignore")
                writer.writerow({"step": step, **rounded})
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror}); the last checkpoint is valid: "
                "free some space and run the same command again"
            ) from error
        if self.board is not None:
            for name, value in row.items():
                self.board.add_scalar(name, value, step)


def tensorboard(directory: Path, step: int) -> Any | None:
    """A TensorBoard writer, or None if it is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)


def write_preview(path: Path, columns: Sequence[Tensor]) -> None:
    """Write a PNG that shows crops two to a row, each as image, trimap, true alpha and matte.

    Args:
        path: the PNG.
        columns: the pictures by kind, each (B, 1 or 3, S, S) in [0, 1].
    """
    planes = [c.detach().float().cpu().expand(-1, 3, -1, -1) for c in columns]
    panels = torch.stack(planes, 1).flatten(0, 1).permute(0, 2, 3, 1)  # (B·n, S, S, 3)
    pixels = (panels.clamp(0, 1) * 255).round().byte().numpy()
    make_folder(path.parent)
    write_image(path, contact_sheet(list(pixels), columns=2 * len(columns), gap=4), overwrite=True)
