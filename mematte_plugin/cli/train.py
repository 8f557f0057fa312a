"""`mematte train`: training data, training and export, as thin shells of the library."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console
from .options import AsJson
from .signals import import_torch
from .train_data import app as data_app

if TYPE_CHECKING:
    from ..training.commands import RunResult

train = typer.Typer(
    help="Train your own networks on pictures whose licence permits it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
train.add_typer(data_app, name="data")

Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of the run; an existing run is continued.")
]


@train.command()
def run(
    *,
    directory: Run,
    data: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of training pictures: built, imported or packed."),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            help="What to compute: a JSON file, or a built-in recipe: mematte-tiny,"
            " mematte-tiny-finetune (continues from mematte-tiny) or paper-vits (the paper's"
            " network, for GPUs)."
        ),
    ] = "mematte-tiny",
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after this many minutes; the same command continues."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that make training crops. Default: 1 on a CPU, all cores with a GPU.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            help="no, bf16 or fp16; auto is bf16 on CUDA cards that support it, else no."
            " Default: the recipe's."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Frozen teacher for a recipe with distillation, such as paper-vits: the folder of"
            " a run, a model's folder or file, a model name or a Hub id."
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="Weights to start from, such as mematte-tiny; takes what --teacher takes."
            " Parts of the network that they lack start from random weights."
        ),
    ] = None,
    validate: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of photos with true alpha to validate on."),
    ] = None,
    validate_every: Annotated[int, typer.Option(min=1, help="Steps between validations.")] = 2000,
    preview_every: Annotated[
        int, typer.Option(min=0, help="Steps between preview pictures; 0 for none.")
    ] = 1000,
    threads: Annotated[
        int, typer.Option(min=0, help="CPU threads of the training; 0 leaves the choice to torch.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Train a network, or continue a run.

    The folder gets checkpoint.pt, log.csv, validation.csv, previews and, if tensorboard is
    installed, its files; crops/ holds about a gigabyte and is deleted when training is done.
    Ctrl-C saves first; the same command continues.

    \b
    Examples:
      mematte train run mine --data bank --recipe mematte-tiny-finetune
      mematte train run scratch --data bank --minutes 60 --validate photos-with-alpha
    """
    import_torch()
    from ..training.commands import run as train_run

    with console.progress() as report:
        done = train_run(
            directory,
            data=data,
            recipe=recipe,
            minutes=minutes,
            workers=workers,
            device=device,
            precision=precision,
            teacher=teacher,
            init=init,
            validate=validate,
            validate_every=validate_every,
            preview_every=preview_every,
            threads=threads,
            progress=report,
        )
    if as_json:
        console.say_json({"run": directory, **asdict(done.outcome)})
    else:
        _say_outcome(directory, done)
    if done.stopped_by is not None:
        raise typer.Exit(128 + done.stopped_by)


def _say_outcome(directory: Path, done: RunResult) -> None:
    outcome = done.outcome
    left = outcome.steps - outcome.step
    rest = f"; {left} steps left: the same command continues" if left else ""
    console.say(f"{directory}: step {outcome.step} of {outcome.steps}{rest}")
    if outcome.crops_per_second:
        speed = (
            f"trained on {outcome.crops_per_second:.1f} crops/s and waited for them"
            f" {outcome.waited:.0%} of the time; the workers can make"
            f" {outcome.generator_per_second:.1f} crops/s"
        )
        if outcome.skipped:
            speed += f"; {outcome.skipped} unreadable pictures were left out, see the warnings"
        console.say(speed)
    if done.limits:
        console.say(f"its weights are not free for every use: {done.limits}")


@train.command()
def export(
    *,
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    model: Annotated[Path, typer.Argument(metavar="DIR", help="Model folder to write.")],
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="The pictures it was trained on, for the model card and licence."
        ),
    ],
    scores: Annotated[
        Path | None,
        typer.Option(help="Report of `mematte eval -o report.json`, for the model card."),
    ] = None,
    limits: Annotated[
        Path | None,
        typer.Option(help="Markdown file for the model card: what the model does badly."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the averaged weights of a run with their model card.

    \b
    Example:
      mematte train export mine my-model --data bank
    """
    import_torch()
    from ..training.commands import ship

    written = ship(directory, model, data=data, scores=scores, limits=limits)
    if as_json:
        console.say_json({"output": written})
    else:
        console.say(f"{written}: written")
