"""What a run leaves to look at: figures as CSV and for TensorBoard, and pictures."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import OutputError
from .checkpoint import write_atomically

LOG = "log.csv"
VALIDATION = "validation.csv"
PREVIEWS = "previews"
SHOWN = 8
"""Samples on a preview."""

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

    A run that goes on from step n drops the rows behind n first: they will come again.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], step: int) -> None:
        self.path = path
        self.columns = columns
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
        write_atomically(path, buffer.getvalue().encode())

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row; numbers are rounded. Raises OutputError where it cannot be written."""
        rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self.columns, restval="", extrasaction="ignore")
                writer.writerow(rounded)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror}); the last checkpoint is valid: "
                "free some space and run the same command again"
            ) from error


def tensorboard(directory: Path, step: int) -> Any | None:
    """A TensorBoard writer, or None where that is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)


def write_preview(path: Path, columns: Sequence[Tensor]) -> None:
    """Write a PNG with a row of pictures (image, trimap, true alpha, matte) per sample.

    Args:
        path: the PNG.
        columns: each (B, 1 or 3, S, S) in [0, 1].
    """
    import cv2

    planes = [c.detach().float().cpu().expand(-1, 3, -1, -1) for c in columns]
    samples = torch.cat(planes, dim=3)  # (B, 3, S, n·S)
    count, _, height, width = samples.shape
    half = -(-count // 2)  # two samples side by side
    samples = torch.cat([samples, samples.new_ones(half * 2 - count, 3, height, width)])
    grid = samples.view(half, 2, 3, height, width).permute(0, 3, 1, 4, 2)
    pixels = (grid.reshape(half * height, 2 * width, 3).clamp(0, 1) * 255).round()
    done, png = cv2.imencode(".png", pixels.numpy().astype(np.uint8)[..., ::-1])
    if not done:
        raise OutputError(f"{path}: the preview cannot be encoded; use smaller crops")
    write_atomically(path, png.tobytes())
