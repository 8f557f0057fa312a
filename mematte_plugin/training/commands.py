"""`run` and `export` as plain functions, for both command lines."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import InputError, SettingError
from ..progress import Progress
from .checkpoint import CHECKPOINT
from .data.storing import bank_entries
from .export import export
from .habits import Habits, Outcome
from .options import DEFAULT_RECIPE
from .origins import note, parts_of_run, terms_of
from .recipe import Recipe
from .stopping import asked_to_stop
from .trainer import Trainer


@dataclass(frozen=True)
class Report:
    """What a call of `run` did."""

    outcome: Outcome
    """How far the run has come, and how fast."""
    stopped_by: int | None
    """The signal that stopped it, if one did."""
    limits: str = ""
    """Why its weights are not free for every use; empty where they are."""

    def lines(self, folder: Path) -> list[str]:
        """The outcome in words."""
        done = self.outcome
        if done.skipped:
            skipped = f"; {done.skipped} unreadable pictures were left out, see the warnings"
        else:
            skipped = ""
        speed = (
            f"trained on {done.crops_per_second:.1f} crops/s and waited {done.waited:.0%} of the "
            f"time for them; the generator can make {done.generator_per_second:.1f} samples/s"
        )
        left = done.steps - done.step
        rest = f"; {left} steps are left: the same command goes on" if left else ""
        return [
            f"{folder}: step {done.step} of {done.steps}{rest}",
            *([speed + skipped] if done.crops_per_second else []),
            *([f"its weights are not free for every use: {self.limits}"] if self.limits else []),
        ]


def run(
    directory: Path,
    *,
    data: Path,
    recipe: str = DEFAULT_RECIPE,
    minutes: float | None = None,
    workers: int | None = None,
    device: str = "auto",
    precision: str | None = None,
    teacher: str | None = None,
    init: str | None = None,
    init_backbone: str | None = None,
    validate: Path | None = None,
    validate_every: int = 2000,
    preview_every: int = 1000,
    threads: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Train, or go on with the run in `directory`; the arguments are those of options.RUN.

    Whose pictures and weights it uses is noted in the folder, for the card (see `origins`).

    Raises MEMatteError for whatever cannot be used, and where training fails.
    """
    _check(minutes=minutes, workers=workers, threads=threads, every=validate_every)
    if threads:
        torch.set_num_threads(threads)
    given = {
        "precision": precision,
        "teacher": teacher,
        "init": init,
        "init_backbone": init_backbone,
    }
    plan = replace(
        Recipe.read(recipe),
        **{k: v for k, v in given.items() if v is not None},  # type: ignore[arg-type]
    )
    entries = bank_entries(data).values()
    if validate is not None and not validate.is_dir():
        raise InputError(f"{validate}: not a folder; give one of photographs with true alpha")
    habits = Habits(validate=validate, validate_every=validate_every, preview_every=preview_every)
    anew = not (directory / CHECKPOINT).exists()
    with asked_to_stop() as wish:
        trainer = Trainer(
            plan,
            data,
            directory,
            device=device,
            workers=_workers(device) if workers is None else workers,
            habits=habits,
        )
        parts = parts_of_run(plan, entries)
        if trainer.accelerator.is_main_process:
            note(directory, parts, anew=anew)
        outcome = trainer.run(
            minutes=math.inf if minutes is None else minutes, progress=progress, should_stop=wish
        )
    return Report(outcome, wish.signal, terms_of(parts).reasons)


def ship(
    run_directory: Path,
    directory: Path,
    *,
    data: Path,
    scores: Path | None = None,
    limits: Path | None = None,
) -> Path:
    """Write a run's averaged weights with a model card; the arguments are those of options.EXPORT.

    Raises MEMatteError for whatever cannot be read or written.
    """
    try:
        figures = None if scores is None else json.loads(scores.read_text(encoding="utf-8"))
        words = None if limits is None else limits.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"model card: {error}; correct or leave out the file") from None
    return export(run_directory, directory, data, figures, limits=words)


def _check(*, minutes: float | None, workers: int | None, threads: int, every: int) -> None:
    for name, value, least in (
        ("minutes", minutes, 0.0),
        ("workers", workers, 0),
        ("threads", threads, 0),
        ("validate-every", every, 1),
    ):
        if value is not None and not value >= least:
            raise SettingError(f"--{name} {value}: give {least:g} or more")


def _workers(device: str) -> int:
    """One beside a training on the CPU, else this process's share of the cores."""
    if device == "cpu" or not torch.cuda.is_available():
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 2) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
