"""`mematte train data`: pictures to train on: collected, drawn, brought in, looked at, packed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..training.data_options import BUILD, IMPORT, PACK, PREVIEW
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
    count: Annotated[int | None, typer.Option(min=0, help=BUILD["count"].help)] = None,
    figures: Annotated[int, typer.Option(min=0, help=BUILD["figures"].help)] = 0,
    blender: Annotated[int, typer.Option(min=0, help=BUILD["blender"].help)] = 0,
    blender_python: Annotated[
        Path | None, typer.Option(metavar="FILE", help=BUILD["blender_python"].help)
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help=BUILD["minutes"].help)] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PLACE",
            help="A folder or .tgz archive with more photographs; may be given several times. Used"
            " are those known to be free and those that the folder's credits.csv"
            " (file,author,licence) says may be used.",
        ),
    ] = None,
    installed: Annotated[
        bool, typer.Option(help="Use the free photographs of installed packages.")
    ] = True,
    emoji_archive: Annotated[
        Path | None, typer.Option(metavar="FILE", help=BUILD["emoji_archive"].help)
    ] = None,
    size: Annotated[int, typer.Option(min=64, max=2048, help=BUILD["size"].help)] = 1024,
    seed: Annotated[int, typer.Option(min=0, help=BUILD["seed"].help)] = 0,
    workers: Annotated[int, typer.Option(min=1, help=BUILD["workers"].help)] = 1,
    as_json: AsJson = False,
) -> None:
    """Collect photographs and draw subjects, into one folder.

    Only public domain, CC0, CC-BY and MIT pictures are taken; manifest.json says of each where it
    comes from, skipped.json what was left out and why. What exists is kept: the same command
    continues.

    \b
    Examples:
      mematte train data build bank --count 1400 --figures 600 --workers 4
      mematte train data build bank --photos ~/budgie-backgrounds --photos pmndrs-assets-1.7.0.tgz
    """
    from ..training.data.bank import build_bank

    with console.progress() as report:
        counts = build_bank(
            directory,
            count=count,
            figures=figures,
            blender=blender,
            blender_python=blender_python,
            minutes=minutes,
            photos=photos or (),
            installed=installed,
            emoji_archive=emoji_archive,
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
            "no backgrounds: patterns stand in for them; photographs come with"
            f" `mematte train data build {directory} --count 0`"
        )


@app.command("import")
def import_(
    *,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where pictures of your own are.")
    ],
    directory: Bank,
    licence: Annotated[str, typer.Option(help=IMPORT["licence"].help)] = "unknown",
    author: Annotated[str, typer.Option(help=IMPORT["author"].help)] = "unknown",
    as_json: AsJson = False,
) -> None:
    """Bring pictures of your own into a folder of training pictures.

    FOLDER holds fg/ and alpha/ (as Composition-1k), FG/ and GT/ (Distinctions-646), original/ and
    mask/ (AIM-500, AM-2k), or cut-outs as transparent PNG, WebP or TIFF; and backgrounds in bg/ or
    backgrounds/. They are trained on whatever their licence, which the model's card will state.
    What exists is kept: the same command continues. What cannot be used is in skipped.json.

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
    output: Annotated[Path, typer.Argument(metavar="PNG", help="The picture to write.")],
    rows: Annotated[int, typer.Option(min=1, max=100, help=PREVIEW["rows"].help)] = 8,
    cols: Annotated[int, typer.Option(min=1, max=20, help=PREVIEW["cols"].help)] = 3,
    size: Annotated[int, typer.Option(min=32, max=1024, help=PREVIEW["size"].help)] = 224,
    seed: Annotated[int, typer.Option(min=0, help=PREVIEW["seed"].help)] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write a sheet of training crops: picture, trimap over it, true alpha.

    Green is known foreground, red known background.

    \b
    Example:
      mematte train data preview bank sheet.png
    """
    from ..training.data import preview as write_sheet

    write_sheet(directory, output, rows=rows, cols=cols, size=size, seed=seed, overwrite=overwrite)
    console.say(f"{output}: written")


@app.command()
def pack(
    *,
    directory: Bank,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The new folder to write.")],
    max_mb: Annotated[float, typer.Option(min=1, help=PACK["max_mb"].help)] = 45.0,
    seed: Annotated[int, typer.Option(min=0, help=PACK["seed"].help)] = 0,
    quality: Annotated[int, typer.Option(min=1, max=100, help=PACK["quality"].help)] = 82,
    as_json: AsJson = False,
) -> None:
    """Make a small copy of the training pictures that travels to another machine.

    \b
    Example:
      mematte train data pack bank packed --max-mb 45
    """
    from ..training.data import pack as write_pack

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
        console.say(f"no room for {packed.left_out}, {packed.unreadable} unreadable")
