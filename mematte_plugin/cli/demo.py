"""`mematte demo`: serve the web page and its endpoints from this machine."""

from __future__ import annotations

import math
import os
import re
import socket
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, SettingError
from . import console
from .options import DEFAULT_MODEL, Device, Model
from .signals import import_torch

if TYPE_CHECKING:
    from ..weights.catalog import Purpose

PIP = 'pip install "mematte-plugin[gradio]"'
PIP_MCP = 'pip install "mematte-plugin[mcp]"'
OLDEST, TOO_NEW = (6, 31), (7,)
"""The range of Gradio versions, the same as in pyproject.toml."""


def demo(
    *,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on: 127.0.0.1 serves this machine only, 0.0.0.0 everyone who"
            " can reach it."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
    share: Annotated[
        bool,
        typer.Option(
            "--share",
            help="Also publish the page for a week under a gradio.live address; photographs then"
            " pass through Gradio's server.",
        ),
    ] = False,
    model: Model = DEFAULT_MODEL,
    find: Annotated[
        bool,
        typer.Option(
            "--find/--no-find",
            help="Find subjects; needs the extra `subject` and downloads a network at the first"
            " use.",
        ),
    ] = True,
    subject_model: Annotated[
        str | None,
        typer.Option(help="What finds a subject by itself; see `mematte models list`."),
    ] = None,
    clicks_model: Annotated[
        str | None, typer.Option(help="What finds it from clicks and in a box.")
    ] = None,
    words_model: Annotated[str | None, typer.Option(help="What finds it by a word.")] = None,
    device: Device = "auto",
    max_megapixels: Annotated[
        float, typer.Option(metavar="MEGAPIXELS", help="Largest picture accepted.")
    ] = 64,
    max_mb: Annotated[float, typer.Option(metavar="MB", help="Largest file accepted.")] = 200,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Also serve the endpoints as MCP tools for agents.")
    ] = False,
) -> None:
    """Serve a web page that cuts out photographs, with endpoints for programs.

    Photographs stay on this machine and are deleted after an hour. Ctrl-C stops the server.

    \b
    Examples:
      mematte demo
      mematte demo --port 8000 --model vitmatte-small-composition-1k

    "Use via API" at the bottom of the page describes the endpoints.
    """
    for option, value in (("--max-megapixels", max_megapixels), ("--max-mb", max_mb)):
        if not (math.isfinite(value) and value > 0):
            raise SettingError(f"{option} {value:g}: give a number above 0")
    _check_installed(mcp)
    _check_free(host, port)
    _check_model(model, device)
    own: dict[Purpose, str | None] = {
        "subject": subject_model,
        "clicks": clicks_model,
        "words": words_model,
    }
    _check_subject_models(own, find=find)
    try:
        from gradio_app.serving import serve
        from gradio_app.settings import Settings
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "gradio_app":
            raise
        raise InputError(
            "gradio_app: the page is not next to mematte_plugin, as in a clone that is not"
            f" installed; {PIP}"
        ) from None
    settings = Settings(
        model=model,
        device=device,
        find=find,
        subject_model=subject_model,
        clicks_model=clicks_model,
        words_model=words_model,
        max_megapixels=max_megapixels,
        max_mb=max_mb,
        mcp=mcp,
    )
    serve(settings, host=host, port=port, share=share, started=_say_address)


def _say_address(address: str) -> None:
    console.say(f"MEMatte is at {address}")
    console.flush()  # a log file must have it while the server runs


def _check_installed(mcp: bool) -> None:
    """Raises InputError if Gradio is missing or its version is out of range."""
    try:
        version = metadata.version("gradio")
    except metadata.PackageNotFoundError:
        raise InputError(f"the demo needs Gradio, which is not installed; {PIP}") from None
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if not OLDEST <= found < TOO_NEW:
        raise InputError(
            f"Gradio {version}: the demo needs {'.'.join(map(str, OLDEST))} or newer, below"
            f" {TOO_NEW[0]}; {PIP}"
        )
    if mcp and find_spec("mcp") is None:
        raise InputError(f"--mcp needs packages that are not installed; {PIP_MCP}")


def _check_free(host: str, port: int) -> None:
    """Raises SettingError for an address that is in use or cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise SettingError(
            f"--host {host}: is not an address ({_reason(error)}); use 127.0.0.1 or 0.0.0.0"
        ) from None
    with socket.socket(family, kind, protocol) as probe:
        if os.name == "posix":  # else a server that has just ended blocks the port for a minute
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise SettingError(
                f"{host}, port {port}: cannot be listened on ({_reason(error)}); choose another"
                " --port, or --host"
            ) from None


def _check_model(model: str, device: str) -> None:
    """Raises what loading the model would raise; downloads it if needed."""
    import_torch()
    from ..memory.free import resolve_device
    from ..weights.load import load_network

    resolve_device(device)
    with console.progress() as report:
        load_network(model, progress=report)


def _check_subject_models(own: dict[Purpose, str | None], *, find: bool) -> None:
    """Raises what looking for the operator's own would raise; downloads them if needed. The
    defaults wait for their first use."""
    from ..weights.subjects import subject_files

    for purpose, name in own.items():
        if name is None:
            continue
        if not find:
            raise SettingError(f"--{purpose}-model: finds nothing with --no-find; leave one out")
        with console.progress() as report:
            subject_files(name, purpose, progress=report)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
