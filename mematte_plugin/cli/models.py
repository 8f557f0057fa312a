"""`mematte models` and `mematte convert`: list, download, locate and convert networks."""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..errors import SettingError, WeightsError
from ..weights.catalog import USES
from . import console
from .options import AsJson
from .signals import import_torch

models = typer.Typer(
    help="List the networks, download them, or find them on this machine.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@models.callback()
def models_group(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_models(as_json)
    elif as_json:
        raise SettingError(
            f"--json: put it after the command: models {context.invoked_subcommand} --json"
        )


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the networks, what they are for, their licences, and whether they are on this machine.

    Matting networks are for --model. The others find the subject, by itself, by clicks or a box, or
    by words, and are for --subject-model.

    \b
    Example:
      mematte models list
    """
    import_torch()
    from ..weights.load import list_models as known_models

    known = known_models(purpose=None)
    if as_json:
        console.say_json([{**asdict(model.entry), "path": model.path} for model in known])
        return
    console.say_table(
        ("name", "for", "size", "licence", "commercial use", "on this machine", "trained on"),
        [
            (
                model.entry.name,
                model.entry.purpose,
                model.entry.variant,
                model.entry.licence,
                "yes" if model.entry.commercial else "no",
                "yes" if model.path is not None else "no",
                model.entry.trained_on,
            )
            for model in known
        ],
    )


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A name from the list, or a Hugging Face id.")
]


@models.command()
def download(
    name: Name,
    purpose: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="USE",
            help="What a Hugging Face id that is not in the list is for: matting (the default),"
            " subject, clicks or words.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download a network for offline use, with all that its use needs.

    \b
    Example:
      mematte models download vitmatte-small-composition-1k
      mematte models download onnx-community/ormbg-ONNX --for subject
    """
    use = next((one for one in USES if one == purpose), None)
    if use != purpose:
        raise SettingError(f"--for {purpose}: give one of {', '.join(USES)}")
    import_torch()
    from ..weights.load import resolve
    from ..weights.subjects import download_subject

    with console.progress() as report:
        found = download_subject(name, use, report) or resolve(name, progress=report)
    _tell_place(name, found.weights, as_json)


@models.command()
def where(name: Name, as_json: AsJson = False) -> None:
    """Print the path of a network's weights; fails if they are not on this machine.

    \b
    Example:
      mematte models where mematte-tiny
    """
    import_torch()
    from ..weights import catalog
    from ..weights.files import WEIGHT_NAMES
    from ..weights.hub import cached
    from ..weights.load import list_models as known_models, resolve
    from ..weights.subjects import ONNX_NAMES

    entry = catalog.find(name)
    path: Path | None = None
    if entry is not None:
        known = known_models(purpose=None)
        path = next(model.path for model in known if model.entry == entry)
    elif name.count("/") == 1 and not os.path.exists(name):
        repo_id, _, revision = name.partition("@")
        with contextlib.suppress(ValueError):  # not a Hub id
            names = (*WEIGHT_NAMES, *ONNX_NAMES)
            found = (cached(repo_id, file, revision or "main") for file in names)
            path = next((one for one in found if one), None)
    else:
        path = resolve(name).weights
    if path is None:
        raise WeightsError(
            f"{name}: is not on this machine; download it with `mematte models download {name}`"
        )
    _tell_place(name, path, as_json)


def _tell_place(name: str, path: Path, as_json: bool) -> None:
    if as_json:
        console.say_json({"name": name, "path": path})
    else:
        console.say(str(path))


def convert(
    *,
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A .pth of MEMatte or ViTMatte, a safetensors file, a folder, or a name or Hugging"
            " Face id.",
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder to write; created if missing.")
    ],
    licence: Annotated[
        str | None,
        typer.Option(
            help="The weights' licence for the model card, an SPDX identifier such as apache-2.0."
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Publish the result on the Hugging Face Hub."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of a model in that folder.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Convert a checkpoint into a folder that loads safely and fast, also from the Hub.

    The folder contains config.json, model.safetensors and README.md, the model card.

    \b
    Example:
      mematte convert MEMatte_ViTS_DIM.pth mematte-vits-dim
    """
    import_torch()
    from ..weights.publish import push_to_hub
    from ..weights.save import convert_weights

    written = convert_weights(checkpoint, folder, overwrite=overwrite, licence=licence)
    address = push_to_hub(written, push) if push is not None else None
    if as_json:
        console.say_json({"output": written, "address": address, "warnings": console.warned})
    else:
        console.say(f"{written}: converted" + (f", published as {address}" if address else ""))
