"""Printing: results to stdout, messages to stderr, progress to stderr if it is a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, OutputError, SettingError
from ..progress import Progress, no_progress

if TYPE_CHECKING:
    from rich.console import Console


PIPE = "-"
"""The file name for stdin or stdout."""


def say(text: str) -> None:
    """One line on stdout."""
    _write_text(_printable(text) + "\n")


def say_json(values: Any) -> None:
    """One JSON value on stdout. Paths become strings."""
    _write_text(json.dumps(values, indent=2, default=str) + "\n")


def say_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns on stdout, never wrapped, so that grep works."""
    table = [list(headers), *([_printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(headers))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        _write_text("  ".join(cells).rstrip() + "\n")


def say_facts(rows: Sequence[tuple[str, str]]) -> None:
    """Lines `name  value` on stdout."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:{width}}  {value}")


def tell(label: str, text: str, style: str = "") -> None:
    """One line `label: text` on stderr; the label is coloured on a terminal."""
    from rich.text import Text

    line = Text(_printable(" ".join(text.split())))
    if label:
        line = Text(f"{label}: ", style=style).append(line)
    # stderr may be closed.
    with contextlib.suppress(OSError):
        stderr().print(line, soft_wrap=True)


def warn(text: str) -> None:
    """One line `warning: text` on stderr, and an entry for `--json`."""
    warned.append(text)
    tell("warning", text, style="yellow")


warned: list[str] = []
"""The warnings of the current command, in order."""


def flush() -> None:
    """Flush stdout now: an error during Python's shutdown could not be reported."""
    if sys.stdout is not None:
        with _reported():
            sys.stdout.flush()


def read_stdin() -> bytes:
    """All bytes of stdin. Raises SettingError if it is a terminal."""
    if sys.stdin is None or sys.stdin.isatty():
        raise SettingError("'-' reads a picture from a pipe, but nothing is piped in; name a file")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(f"stdin: cannot be read ({error.strerror}); name a file") from error


def check_stdout() -> None:
    """Raises SettingError if stdout is a terminal."""
    if sys.stdout is None or sys.stdout.isatty():
        raise SettingError(
            "'-o -' writes a picture to a pipe, but stdout is not a pipe; name a file"
        )


def write_stdout(path: Path) -> None:
    """Copy a file's bytes to stdout."""
    with _reported(), path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A callback `(done, total, stage)` that draws a bar on a terminal and nothing elsewhere."""
    console = stderr()
    # Notebooks cannot redraw a line.
    in_notebook = "JPY_PARENT_PID" in os.environ
    if not console.is_terminal or console.is_dumb_terminal or in_notebook:
        yield no_progress
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def report(done: int, total: int, stage: str) -> None:
            # Without a total the bar pulses.
            bar.update(task, completed=done, total=total or None, description=_printable(stage))

        yield report


@cache
def stderr() -> Console:
    """The one console, so that warnings and the progress bar do not collide."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def _write_text(text: str) -> None:
    with _reported():
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:  # a code page without some letters
            encoding = sys.stdout.encoding or "ascii"
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """Turn errors of stdout into OutputError, except BrokenPipeError: the reader has closed it."""
    try:
        yield
    except OSError as error:
        # The rest of the buffer must not fail again when Python shuts down.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputError(
            f"stdout: cannot be written ({error.strerror}); write to a file on another disk"
        ) from error


def _printable(text: str) -> str:
    """Replaces line breaks, terminal commands and broken letters, as file names may hold them."""
    return "".join(c if c.isprintable() else "?" for c in text)
