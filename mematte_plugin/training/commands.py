"""`mematte train run` and `export` as plain functions."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import InputError
from ..progress import Progress, no_progress
from .checkpoint import CHECKPOINT
from .data.storing import bank_entries
from .export import export
from .origins import ingredients_of_run, record, terms_of
from .recipe import Recipe
from .run_options import Outcome, RunOptions
from .stopping import stop_requests
from .trainer import Trainer


@dataclass(frozen=True)
class RunResult:
    """What a call of `run` has done."""

    outcome: Outcome
    """How far the run has come, and how fast."""
    stopped_by: int | None
    """The signal that stopped it, if any."""
    limits: str = ""
    """Why the weights are not free for every use; empty if they are."""


def run(
    directory: Path,
    *,
    data: Path,
    recipe: str,
    minutes: float | None,
    workers: int | None,
    device: str,
    precision: str | None,
    teacher: str | None,
    init: str | None,
    validate: Path | None,
    validate_every: int,
    preview_every: int,
    threads: int,
    progress: Progress = no_progress,
) -> RunResult:
    """Train, or continue the run in `directory`; see `mematte train run --help`.

    `precision`, `teacher` and `init` override the recipe. The pictures and weights used are noted
    in the folder, for the model card (see `origins`).

    Raises MEMatteError for input that cannot be used, and where training fails.
    """
    if threads:
        torch.set_num_threads(threads)
    given = {"precision": precision, "teacher": teacher, "init": init}
    changes = {name: value for name, value in given.items() if value is not None}
    chosen = replace(Recipe.read(recipe), **changes)  # type: ignore[arg-type]
    entries = bank_entries(data).values()
    if validate is not None and not validate.is_dir():
        raise InputError(f"{validate}: not a folder; give one of photos with true alpha")
    options = RunOptions(
        validate=validate, validate_every=validate_every, preview_every=preview_every
    )
    is_new = not (directory / CHECKPOINT).exists()
    with stop_requests() as stop:
        trainer = Trainer(
            chosen,
            data,
            directory,
            device=device,
            workers=_workers(device) if workers is None else workers,
            options=options,
        )
        ingredients = ingredients_of_run(chosen, entries)
        if trainer.accelerator.is_main_process:
            record(directory, ingredients, new=is_new)
        outcome = trainer.run(
            minutes=math.inf if minutes is None else minutes, progress=progress, should_stop=stop
        )
    return RunResult(outcome, stop.signal, terms_of(ingredients).reasons)


def ship(
    run_directory: Path, directory: Path, *, data: Path, scores: Path | None, limits: Path | None
) -> Path:
    """Write a run's averaged weights with a model card; see `mematte train export --help`.

    Raises MEMatteError for what cannot be read or written.
    """
    try:
        report = None if scores is None else json.loads(scores.read_text(encoding="utf-8"))
        words = None if limits is None else limits.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"model card: {error}; correct or leave out the file") from None
    return export(run_directory, directory, data, report, limits=words)


def _workers(device: str) -> int:
    """One for training on the CPU, else this process's share of the cores."""
    if device == "cpu" or not torch.cuda.is_available():
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 2) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
