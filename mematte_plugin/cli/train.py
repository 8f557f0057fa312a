"""`mematte train`: training data, training and export, as thin shells of the library."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..training.options import DEFAULT_RECIPE, EXPORT, RUN
from . import console
from .options import AsJson
from .signals import import_torch
from .train_data import app as data_app

train = typer.Typer(
    help="Train networks of your own, on pictures that may be used for it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
train.add_typer(data_app, name="data")


@train.command()
def run(
    *,
    directory: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Folder of the run; a run found there is continued."),
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help=RUN["data"].help)],
    recipe: Annotated[str, typer.Option(help=RUN["recipe"].help)] = DEFAULT_RECIPE,
    minutes: Annotated[float | None, typer.Option(help=RUN["minutes"].help)] = None,
    workers: Annotated[int | None, typer.Option(help=RUN["workers"].help)] = None,
    device: Annotated[str, typer.Option(help=RUN["device"].help)] = "auto",
    precision: Annotated[str | None, typer.Option(help=RUN["precision"].help)] = None,
    teacher: Annotated[str | None, typer.Option(help=RUN["teacher"].help)] = None,
    init: Annotated[str | None, typer.Option(help=RUN["init"].help)] = None,
    init_backbone: Annotated[str | None, typer.Option(help=RUN["init_backbone"].help)] = None,
    validate: Annotated[Path | None, typer.Option(metavar="DIR", help=RUN["validate"].help)] = None,
    validate_every: Annotated[int, typer.Option(help=RUN["validate_every"].help)] = 2000,
    preview_every: Annotated[int, typer.Option(help=RUN["preview_every"].help)] = 1000,
    threads: Annotated[int, typer.Option(help=RUN["threads"].help)] = 0,
    as_json: AsJson = False,
) -> None:
    """Train a network, or go on with a run.

    The folder gets checkpoint.pt, log.csv, validation.csv, previews and, where tensorboard is
    installed, its files; crops/ is a store of about a gigabyte that goes when training is done.
    Ctrl-C saves first; the same command goes on.

    \b
    Examples:
      mematte train run mine --data bank --recipe mematte-tiny-finetune
      mematte train run anew --data bank --minutes 60 --validate photos-with-alpha
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
            init_backbone=init_backbone,
            validate=validate,
            validate_every=validate_every,
            preview_every=preview_every,
            threads=threads,
            progress=report,
        )
    if as_json:
        console.say_json({"run": directory, **asdict(done.outcome)})
    else:
        for line in done.lines(directory):
            console.say(line)
    if done.stopped_by is not None:
        raise typer.Exit(128 + done.stopped_by)


@train.command()
def export(
    *,
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    model: Annotated[Path, typer.Argument(metavar="DIR", help="Model folder to write.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help=EXPORT["data"].help)],
    scores: Annotated[Path | None, typer.Option(help=EXPORT["scores"].help)] = None,
    limits: Annotated[Path | None, typer.Option(help=EXPORT["limits"].help)] = None,
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
