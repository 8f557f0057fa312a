"""`mematte demo`: the page for hands and the service for programs, from this machine."""

from __future__ import annotations

import math
import os
import re
import socket
from importlib import metadata
from importlib.util import find_spec
from typing import Annotated

import typer

from ..errors import InputError, SettingError
from . import console
from .options import DEFAULT_MODEL, Device, Model
from .signals import import_torch

PIP = 'pip install "mematte-plugin[gradio]"'
PIP_MCP = 'pip install "mematte-plugin[mcp]"'
OLDEST, TOO_NEW = (6, 31), (7,)
"""The versions of Gradio that the page was made for; the same in pyproject.toml."""


def demo(
    *,
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen on. 127.0.0.1 is for this machine alone, 0.0.0.0 for"
            " everybody who can reach it."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 7860,
    share: Annotated[
        bool,
        typer.Option(
            "--share",
            help="Also make it public for a week under an address of gradio.live; photographs then"
            " travel through Gradio's server.",
        ),
    ] = False,
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    max_megapixels: Annotated[
        float, typer.Option(metavar="MEGAPIXELS", help="The largest picture that is taken.")
    ] = 64,
    max_mb: Annotated[
        float, typer.Option(metavar="MB", help="The largest file that is taken.")
    ] = 200,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Serve the same as tools for agents, by MCP.")
    ] = False,
) -> None:
    """Serve a web page that cuts out photographs, and the same for programs.

    Photographs stay on this machine and are deleted after an hour. Ctrl-C ends it.

    \b
    Examples:
      mematte demo
      mematte demo --port 8000 --model vitmatte-small-composition-1k

    Programs find the endpoints under "Use via API" at the page's foot.
    """
    for option, value in (("--max-megapixels", max_megapixels), ("--max-mb", max_mb)):
        if not (math.isfinite(value) and value > 0):
            raise SettingError(f"{option} {value:g}: give a number above 0")
    _check_installed(mcp)
    _check_free(host, port)
    _check_model(model, device)
    try:
        from gradio_app.serving import serve
        from gradio_app.settings import Settings
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "gradio_app":
            raise
        raise InputError(
            "gradio_app: the page is missing beside mematte_plugin, as in a clone that is not"
            f" installed; {PIP}"
        ) from None
    settings = Settings(
        model=model, device=device, max_megapixels=max_megapixels, max_mb=max_mb, mcp=mcp
    )
    serve(settings, host=host, port=port, share=share, started=_tell)


def _tell(address: str) -> None:
    console.say(f"MEMatte is at {address}")
    console.flush()  # to a log file, too, while the server runs


def _check_installed(mcp: bool) -> None:
    """Raises InputError where Gradio is missing, or another one than the page was made for."""
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
    """Raises SettingError for an address where nobody can listen, or somebody does already."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise SettingError(
            f"--host {host}: is no address ({_reason(error)}); use 127.0.0.1 or 0.0.0.0"
        ) from None
    with socket.socket(family, kind, protocol) as probe:
        if os.name == "posix":  # else a server that has just ended holds the port for a minute
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise SettingError(
                f"{host}, port {port}: cannot be listened on ({_reason(error)}); choose another"
                " --port, or --host"
            ) from None


def _check_model(model: str, device: str) -> None:
    """Raises what loading the model would raise; fetches it where it is not here yet."""
    import_torch()
    from ..memory.free import resolve_device
    from ..weights.load import load_network

    resolve_device(device)
    with console.progress() as report:
        load_network(model, progress=report)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
