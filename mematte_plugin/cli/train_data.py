"""`mematte train data`: build, import, preview and pack training pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from . import console
from .options import AsJson, Overwrite

app = typer.Typer(
    help="Training pictures: build, import, preview, pack.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Bank = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of training pictures.")]


@app.command()
def build(
    *,
    directory: Bank,
    count: Annotated[
        int | None,
        typer.Option(min=0, help="Subjects to draw; 600 unless --minutes is given."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop drawing after this many minutes.")
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder with more photographs; repeat for several. Photographs are used if known"
            " to be free, or if the folder's credits.csv (file,author,licence) permits it.",
        ),
    ] = None,
    installed: Annotated[
        bool, typer.Option(help="Use the free photographs of installed Python packages.")
    ] = True,
    size: Annotated[
        int,
        typer.Option(min=64, max=2048, help="Side of a subject in pixels; large crops need more."),
    ] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Collect photographs and draw subjects into one folder.

    Only public domain, CC0, CC-BY and MIT pictures are used; manifest.json records the origin of
    each, skipped.json what was left out and why. Existing pictures are kept: the same command
    continues.

    \b
    Examples:
      mematte train data build bank --count 1400 --workers 4
      mematte train data build bank --photos ~/my-photos
    """
    from ..training.data.bank import build_bank

    with console.progress() as report:
        counts = build_bank(
            directory,
            count=count,
            minutes=minutes,
            photos=photos or (),
            installed=installed,
            size=size,
            seed=seed,
            workers=workers,
            progress=report,
        )
    if as_json:
        console.say_json({"output": directory, **counts})
        return
    _say_counts(directory, counts)


def _say_counts(directory: Path, counts: dict[str, int]) -> None:
    console.say(
        f"{directory}: {counts['backgrounds']} backgrounds, {counts['foregrounds']} foregrounds"
    )
    if counts["skipped"]:
        console.say(f"{counts['skipped']} pictures or packages left out: see skipped.json")
    if not counts["backgrounds"]:
        console.say(
            "no backgrounds: patterns take their place; add photographs with"
            f" `mematte train data build {directory} --count 0 --photos FOLDER`"
        )


@app.command("import")
def import_(
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your own pictures.")],
    directory: Bank,
    licence: Annotated[
        str,
        typer.Option(
            help="Licence of the pictures, for the card of models trained on them: CC-BY-4.0, or"
            " your own words."
        ),
    ] = "unknown",
    author: Annotated[str, typer.Option(help="Author of the pictures, for the card.")] = "unknown",
    as_json: AsJson = False,
) -> None:
    """Add your own pictures to a folder of training pictures.

    FOLDER holds fg/ and alpha/ (as Composition-1k), FG/ and GT/ (Distinctions-646), original/ and
    mask/ (AIM-500, AM-2k), or cut-outs as transparent PNG, WebP or TIFF; and backgrounds in bg/ or
    backgrounds/. Any licence is accepted, and the model's card will state it. Existing pictures
    are kept: the same command continues. Pictures that cannot be used are listed in skipped.json.

    \b
    Examples:
      mematte train data import Composition-1k/Training_set bank --licence non-commercial
      mematte train data import cutouts bank --licence CC-BY-4.0 --author "Ann Other"
    """
    from ..training.data.importing import import_pictures

    with console.progress() as report:
        counts = import_pictures(folder, directory, licence=licence, author=author, progress=report)
    if as_json:
        console.say_json({"output": directory, **counts})
        return
    _say_counts(directory, counts)


@app.command()
def preview(
    *,
    directory: Bank,
    output: Annotated[Path, typer.Argument(metavar="PNG", help="Image to write.")],
    rows: Annotated[int, typer.Option(min=1, max=100, help="Rows of crops.")] = 8,
    cols: Annotated[int, typer.Option(min=1, max=20, help="Crops in a row.")] = 3,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Side of a crop in pixels.")] = 224,
    seed: Annotated[int, typer.Option(min=0, help="Another seed shows other crops.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write a sheet of training crops: image, trimap overlay, true alpha.

    \b
    Example:
      mematte train data preview bank sheet.png
    """
    from ..training.data.preview import preview as write_sheet

    write_sheet(directory, output, rows=rows, cols=cols, size=size, seed=seed, overwrite=overwrite)
    console.say(f"{output}: written")


@app.command()
def pack(
    *,
    directory: Bank,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="New folder to write.")],
    max_mb: Annotated[float, typer.Option(min=1, help="Largest total size in megabytes.")] = 45.0,
    seed: Annotated[int, typer.Option(min=0, help="Decides which pictures are left out.")] = 0,
    quality: Annotated[
        int, typer.Option(min=1, max=100, help="Quality of colours; alpha is stored losslessly.")
    ] = 82,
    as_json: AsJson = False,
) -> None:
    """Make a small copy of the training pictures to take to another machine.

    \b
    Example:
      mematte train data pack bank packed --max-mb 45
    """
    from ..training.data.pack import pack as write_pack

    with console.progress() as report:
        packed = write_pack(
            directory, output, max_mb=max_mb, seed=seed, quality=quality, progress=report
        )
    if as_json:
        console.say_json({"output": output, **asdict(packed)})
        return
    console.say(
        f"{output}: {packed.backgrounds} backgrounds, {packed.foregrounds} foregrounds,"
        f" {packed.megabytes:.1f} MB"
    )
    if packed.left_out or packed.unreadable:
        console.say(f"{packed.left_out} left out for lack of room, {packed.unreadable} unreadable")
