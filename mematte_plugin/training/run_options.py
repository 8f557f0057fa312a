"""How a run is carried out, as opposed to what it computes: device, reports, throughput."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import SettingError
from .batches import Feed
from .recipe import Recipe

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class RunOptions:
    """What a run does besides training; none of it changes what is learned."""

    log_every: int = 10
    """Steps between rows of the log."""
    save_every: int = 200
    """Steps between checkpoints."""
    save_minutes: float = 3.0
    """Minutes after which a checkpoint is written in any case."""
    preview_every: int = 1000
    """Steps between preview pictures; 0 for none."""
    validate_every: int = 2000
    """Steps between validations; another one follows the last step."""
    validate: Path | None = None
    """Folder of photos with true alpha to validate on."""


@dataclass(frozen=True)
class Outcome:
    """How far a run has come."""

    step: int
    """Steps done."""
    steps: int
    """Steps of the recipe."""
    crops_per_second: float
    """Crops that this call trained on per second; 0 if nothing was left to do."""
    generator_per_second: float
    """Crops per second that the workers can make."""
    waited: float
    """Share of the time that training waited for crops."""
    skipped: int
    """Pictures that could not be read and were left out."""


class Stopwatch:
    """Measures a run's speed, from `start` on."""

    def __init__(self, recipe: Recipe, feed: Feed, processes: int) -> None:
        self.recipe = recipe
        self.feed = feed
        self.processes = processes
        self._started: tuple[float, int] | None = None

    def start(self, step: int) -> None:
        """Start to measure, after step `step`."""
        self.feed.throughput.waited = 0.0
        self._started = (time.monotonic(), step)

    def figures(self, step: int) -> dict[str, Any]:
        """The fields of `Outcome` about speed and pictures, at step `step`."""
        made = self.feed.throughput
        elapsed = crops = 0.0
        if self._started is not None:
            began, first = self._started
            elapsed = time.monotonic() - began
            crops = self.recipe.crops_until(step) - self.recipe.crops_until(first)
        return {
            "crops_per_second": crops / elapsed if crops else 0.0,
            "generator_per_second": made.rate(self.feed.workers) * self.processes,
            "waited": min(1.0, made.waited / elapsed) if crops else 0.0,
            "skipped": len(made.skipped),
        }


def accelerator(device: str, precision: str) -> Any:
    """accelerate's view of device, precision and processes. Raises SettingError."""
    try:
        from accelerate import Accelerator
    except ImportError:
        raise SettingError(
            "training needs accelerate: pip install 'mematte-plugin[train]'"
        ) from None

    if device not in DEVICES:
        raise SettingError(f"device {device!r}: use {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingError("device cuda: torch sees no CUDA device here; use cpu")
    cuda = device != "cpu" and torch.cuda.is_available()
    chosen = mixed_precision(precision, cuda=cuda)
    try:
        return Accelerator(mixed_precision=chosen, cpu=not cuda)
    except ValueError as error:
        raise SettingError(f"precision {chosen}: {error}; use no") from error


def mixed_precision(precision: str, *, cuda: bool) -> str:
    """accelerate's name of the precision to train in.

    "auto" is bf16 on CUDA cards that support it, "no" elsewhere. Raises SettingError if the device
    does not support the precision.
    """
    if precision == "fp16" and not cuda:
        raise SettingError("precision fp16: needs a CUDA device; use no, or bf16")
    # Older cards only emulate it, slower than float32.
    able = not cuda or torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and not able:
        raise SettingError("precision bf16: this card does not compute in it; use fp16, or no")
    if precision == "auto":
        return "bf16" if cuda and able else "no"
    return precision
