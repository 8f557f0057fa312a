"""`mematte batch`: cut a folder of photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SettingError
from . import console, guides, options
from .signals import import_torch

if TYPE_CHECKING:
    from ..batch.listing import BatchEntry
    from ..batch.report import BatchItem, BatchReport, Status
    from ..pipeline import MattingPipeline

_WORDS: dict[Status, str] = {
    "done": "done",
    "elsewhere": "done by another run",
    "skipped": "skipped",
    "failed": "failed",
}


def batch(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of photos.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Output folder; created if its parent exists.",
        ),
    ],
    trimaps: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of trimaps: hair.png or hair_trimap.png for hair.jpg, trimap.0001.png for"
            " plate.0001.exr.",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of trimaps, a folder of rough masks: hair.png or hair_mask.png for"
            " hair.jpg. It may be the photos' own folder: hair_mask is a mask if there is a photo"
            " hair.",
        ),
    ] = None,
    alphas: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of trimaps, a folder of soft masks or alphas, of any resolution.",
        ),
    ] = None,
    points: guides.Points = None,
    not_points: guides.NotPoints = None,
    box: guides.BoxText = None,
    words: guides.Words = None,
    subject_model: guides.SubjectModel = None,
    pair: Annotated[
        str | None,
        typer.Option(
            metavar="PHOTO:GUIDE",
            help="How names are paired, if they differ: '{name}_plate.{n}:{name}_matte.{n}'. {n} is"
            " a number with any padding, {n-1} one less, * anything.",
        ),
    ] = None,
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive",
            help="Include the folders inside DIR; the results get the same layout.",
        ),
    ] = False,
    alpha: Annotated[
        bool,
        typer.Option("--alpha-only", "--alpha", help="Write only the opacity, as hair_alpha.png."),
    ] = False,
    suffix: Annotated[
        str, typer.Option(help="Format of the results: png, tif, webp, exr; alphas also jpg.")
    ] = "png",
    objects: options.Object = None,
    inside: options.Inside = None,
    outside: options.Outside = None,
    unit: options.Unit = None,
    islands: options.Islands = None,
    layer: options.Layer = None,
    mask_layer: options.GuideLayer = None,
    input_space: options.InputSpace = None,
    levels: options.Levels = None,
    choke: options.Choke = 0.0,
    feather: options.Feather = 0.0,
    despill: options.Despill = "off",
    colors: options.Colors = "foreground",
    crop: options.Crop = False,
    margin: options.Margin = None,
    premultiplied: options.Premultiplied = None,
    bits: options.Bits = None,
    quality: options.Quality = None,
    model: options.Model = options.DEFAULT_MODEL,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    retention: options.RetentionText = "auto",
    memory_budget: options.MemoryBudget = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Redo photos whose result exists.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Cut all photos of a folder.

    Each photo is paired by name with its trimap, mask or soft mask; photos without one are
    listed before the work begins. Without such a folder the subject of each photo is found, by
    the same points, box or words in all of them, or by itself. Photos whose result exists are
    skipped: the same command resumes a stopped batch, and several batches may share one folder.
    A photo that fails does not stop the others; the exit code is then 1.

    \b
    Examples:
      mematte batch photos -o cutouts
      mematte batch photos --subject 'the shoe' -o cutouts
      mematte batch photos --trimaps trimaps -o cutouts
      mematte batch plates --masks mattes -o cutouts --pair '{n}:{n-1}'
    """
    start = perf_counter()
    places = guides.places_of(points, not_points, box, words)
    given = {"--trimaps": trimaps, "--masks": masks, "--alphas": alphas}
    prompts = {"points or a box": places, "--subject": words is not None}
    names = [name for name, value in {**given, **prompts}.items() if value]
    if len(names) > 1:
        raise SettingError(f"both {names[0]} and {names[1]} are given; drop one of them")
    folder_of_guides = trimaps or masks or alphas
    if folder_of_guides is not None and subject_model is not None:
        raise SettingError(f"--subject-model: nothing is searched for; drop it or {names[0]}")
    band = options.band_of(inside, outside, unit, objects, with_trimap=trimaps is not None)
    if objects is not None and masks is None:
        raise SettingError("--object: needs --masks; add it, or drop --object")
    options.check_islands(islands, names[0] if trimaps or masks else None)
    kept = options.retention_of(retention)
    budget = options.budget_of(memory_budget)
    # Names are checked before torch is imported, which takes seconds.
    from ..batch.listing import list_batch
    from ..batch.options import BatchOptions
    from ..batch.report import BatchReport, listed
    from ..batch.run import cut_all

    edge = options.edge_of(
        levels=levels,
        choke=choke,
        feather=feather,
        despill=despill,
        colors=colors,
        crop=crop,
        margin=margin,
        alpha_only=alpha,
    )
    chosen = BatchOptions(
        masks=masks is not None,
        alphas=alphas is not None,
        places=places,
        text=words,
        subject_model=subject_model,
        **band,
        islands=islands,
        layer=layer,
        guide_layer=mask_layer,
        input_space=input_space,
        premultiplied=premultiplied,
        kind="alpha" if alpha else "cutout",
        suffix="." + suffix.lower().lstrip("."),
        bits=bits,
        quality=quality,
        edge=edge,
        retention=kept,
        memory_budget=budget,
        overwrite=overwrite,
        pair=pair,
        recursive=recursive,
    )
    listing = list_batch(folder, folder_of_guides, output, chosen)
    for note in (*listing.notes, *listing.missing):
        console.warn(note)
    items: list[BatchItem] = []
    entries = listing.entries
    with console.progress() as report:

        def load() -> MattingPipeline:
            import_torch()
            from ..pipeline import ready_pipeline

            return ready_pipeline(model, device=device, dtype=dtype, progress=report)

        def wait(others: Sequence[BatchEntry]) -> None:
            report(len(items), len(entries), "waiting for another run")
            names = listed(entry.photo.name for entry in others)
            console.tell("waiting", f"another run is working on {names}")

        report(0, len(entries), entries[0].photo.name)
        try:
            for item in cut_all(listing, chosen, load=load, on_wait=wait):
                items.append(item)
                following = entries[len(items)].photo.name if len(items) < len(entries) else "done"
                report(len(items), len(entries), following)
        except KeyboardInterrupt as stop:
            stop.args = (
                f"stopped after {len(items)} of {len(entries)} photos; the same command resumes"
                " there",
            )
            raise
    _summarise(BatchReport(tuple(items), listing.notes), output, perf_counter() - start, as_json)


def _summarise(report: BatchReport, output: Path, seconds: float, as_json: bool) -> None:
    for line in report.note_lines():
        console.warn(line)
    counts: dict[str, int] = {status: report.count(status) for status in _WORDS}
    if as_json:
        listed = [
            {
                "photo": item.photo,
                "output": item.output,
                "status": item.status,
                "reason": item.reason,
                "seconds": round(item.seconds, 3),
                "guide": item.guide,
                "notes": item.notes,
                "crop": None if item.crop is None else item.crop.to_dict(),
                "subject": item.subject,
            }
            for item in report.items
        ]
        totals = {"output": output, **counts, "seconds": round(seconds, 3)}
        console.say_json({**totals, "items": listed, "warnings": console.warned})
    else:
        for line in report.failure_lines():
            console.tell("failed", line, style="red")
        summary = ", ".join(
            f"{counts[status]} {words}"
            for status, words in _WORDS.items()
            if counts[status] or status != "elsewhere"
        )
        console.say(f"{output}: {summary} in {seconds:.1f} s")
    if report.failed:
        raise typer.Exit(1)
