"""What the programs' command lines have in common."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mematte_plugin import MEMatteError, SettingError
from mematte_plugin.images.files import write_text
from mematte_plugin.memory.free import cpu_count

from .results import Store
from .runner import Limits, logger

Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Default: the usable cores.")]
Minutes = Annotated[float | None, typer.Option(help="Stop after this time; results are kept.")]
Out = Annotated[Path | None, typer.Option(help="JSON file; the tables go next to it.")]
Again = Annotated[bool, typer.Option("--again", help="Measure again what the file holds.")]
Quick = Annotated[bool, typer.Option("--quick", help="Only a few small measurements.")]


def main(command: Callable[..., Any]) -> None:
    """Run a command with this process's arguments and exit: 0 done, 1 failed, 2 usage."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except MEMatteError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2 if isinstance(error, SettingError) else 1) from None


def limits_of(threads: int | None, minutes: float | None, timeout: float = 1800) -> Limits:
    """The options as limits."""
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    return Limits(threads or cpu_count(), timeout, deadline)


def write_report(store: Store, as_markdown: Callable[[Store], str]) -> None:
    """Put the tables next to the results, where there are any."""
    if store.records:
        path = store.path.with_suffix(".md")
        write_text(path, as_markdown(store), overwrite=True)
        logger.info("written: %s", path)
