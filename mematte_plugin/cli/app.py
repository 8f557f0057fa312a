"""The commands in one app."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from . import console
from .batch import batch
from .comfyui import comfyui
from .cut import CutCommand, cut
from .demo import demo
from .evaluate import evaluate
from .info import info
from .models import convert, models
from .pictures import routing, trimap
from .plan import plan
from .subject import subject
from .train import train

# Without rich markup the help is the same in a terminal and a pipe, and examples keep their lines.
app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.command(cls=CutCommand)(cut)
app.command()(subject)
app.command()(trimap)
app.command()(batch)
app.command()(routing)
app.command()(plan)
app.add_typer(models, name="models")
app.command()(convert)
app.command("eval")(evaluate)
app.add_typer(train, name="train")
app.add_typer(comfyui, name="comfyui")
app.command()(demo)
app.command()(info)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.say(f"mematte {__version__}")
        raise typer.Exit


@app.callback()
def mematte(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Cut subjects out of photographs, hair and fur included, at full resolution.

    \b
    Start here:
      mematte cut photo.jpg                        finds the subject, writes photo_cutout.png
      mematte cut photo.jpg --point 420,310        the subject is what is seen there
      mematte cut photo.jpg --mask mask.png        with a rough mask
      mematte cut photo.jpg trimap.png             with a trimap

    A trimap says what is known: white is the subject, black the background, grey is unknown.
    `mematte COMMAND --help` explains each command.
    """
