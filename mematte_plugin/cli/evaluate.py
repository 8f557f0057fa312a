"""`mematte eval`: how good mattes are, on photographs whose true alpha is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SettingError
from . import console
from .options import (
    DEFAULT_MODEL,
    AsJson,
    Device,
    Dtype,
    MemoryBudget,
    Overwrite,
    budget_of,
    retention_of,
)
from .signals import import_torch

if TYPE_CHECKING:
    from ..evaluation.methods import Method
    from ..evaluation.report import Report
    from ..evaluation.runner import Failure, Result

REPORTS = (".json", ".md")


def evaluate(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a data set.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="A network, as in other commands; repeatable. Default: mematte-tiny, unless a"
            " --method is given.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME",
            help="A method without a network: closed-form, knn, distance-ratio, or flow"
            " (what mematte-tiny starts from); repeatable.",
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="auto recognises composition-1k, aim-500, distinctions-646, uhr-395, alphamatting,"
            " alphamatting-highres, and any folder with image/, alpha/ and trimap/ or trimap_*/."
        ),
    ] = "auto",
    widths: Annotated[
        str | None,
        typer.Option(
            metavar="PX,PX,…",
            help="Make trimaps from the true alpha, widened by these many pixels, instead of using"
            " the data set's: 5,10,20,40.",
        ),
    ] = None,
    retention: Annotated[
        str,
        typer.Option(
            metavar="auto|SHARE|TOKENS,…",
            help="Share or count of the tokens kept, one row for each; see `mematte cut --help`.",
        ),
    ] = "auto",
    shortcuts: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            help="Add two rows for each network: +D shrinks the photo to this longest side, +P cuts"
            " it into tiles of this side.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only the first photographs, by name.")
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a report: .md for people, .json for programs; repeatable.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep every result in this file (JSON lines) and compute none twice, to resume a"
            " stopped run.",
        ),
    ] = None,
    save_alphas: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the alphas to DIR/METHOD/TRIMAP/PHOTO.png, replacing older ones.",
        ),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    memory_budget: MemoryBudget = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Measure mattes against the true alpha, several methods in one table.

    \b
    Examples:
      mematte eval photos --model mematte-tiny --method knn -o report.md
      mematte eval AIM-500 --model runs/mine --limit 50 --resume aim.jsonl

    The errors are those of the papers: SAD, MSE, Gradient, Connectivity over the unknown region.
    Missing or mismatched files are reported, the rest is evaluated, and the exit code is 1.
    """
    pixels = _numbers(widths)
    retentions = [retention_of(one.strip()) for one in retention.split(",")]
    budget = budget_of(memory_budget)
    if shortcuts is not None and shortcuts < 32:
        raise SettingError(f"--shortcuts {shortcuts}: give 32 pixels or more")
    outputs = output or []
    _check_outputs(outputs, overwrite)
    import_torch()
    from ..evaluation import cases, layouts, methods, report, runner

    dataset = layouts.scan(folder, layout)
    listed = cases.cases_of(dataset, pixels, limit)
    cache = runner.ResultCache(resume)
    outcomes: list[Result | Failure] = []
    with console.progress() as show:
        rows: list[Method] = [methods.classical(name) for name in method or []]
        for name in model or ([] if rows else [DEFAULT_MODEL]):
            rows += methods.networks(
                name,
                retentions=retentions,
                shortcut=shortcuts,
                device=device,
                dtype=dtype,
                memory_budget=budget,
                progress=show,
            )
        rows = list({row.name: row for row in rows}.values())
        try:
            for outcome in runner.run(listed, rows, cache=cache, save=save_alphas, progress=show):
                outcomes.append(outcome)
        except KeyboardInterrupt as stop:
            remedy = "the same command resumes" if resume else "use --resume FILE to resume"
            stop.args = (
                f"stopped after {len(outcomes)} of {len(rows) * len(listed)} mattes; {remedy}",
            )
            raise
    done = report.make_report(str(folder), dataset.layout, outcomes, dataset.problems)
    _write(done, outputs, overwrite)
    _print(done, as_json)
    if done.problems:
        raise typer.Exit(1)


def _numbers(text: str | None) -> list[float]:
    numbers = []
    for part in text.split(",") if text is not None else []:
        try:
            number = float(part)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise SettingError(f"--widths {text}: give pixels, 0 or more, as in 5,10,20")
        numbers.append(number)
    return list(dict.fromkeys(numbers))


def _check_outputs(outputs: list[Path], overwrite: bool) -> None:
    from ..images.files import check_file

    for path in outputs:
        if path.suffix.lower() not in REPORTS:
            raise SettingError(f"{path}: unknown suffix {path.suffix!r}; use .json or .md")
        check_file(path, overwrite=overwrite)


def _write(done: Report, outputs: list[Path], overwrite: bool) -> None:
    from ..evaluation.report import as_json, as_markdown
    from ..images.files import write_text

    for path in outputs:
        text = as_json(done) if path.suffix.lower() == ".json" else as_markdown(done)
        write_text(path, text, overwrite=overwrite)


def _print(done: Report, as_json: bool) -> None:
    from ..evaluation.report import HEADERS, as_dict, cells

    if as_json:
        console.say_json({**as_dict(done), "warnings": console.warned})
        return
    for problem in done.problems:
        console.tell("problem", problem, style="red")
    if done.summaries:
        rows = [(row.trimap, *cells(row)) for row in done.summaries]
        console.say_table(("trimap", *HEADERS), rows)
