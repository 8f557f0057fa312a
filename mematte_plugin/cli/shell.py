"""Runs a command line: errors, warnings and interrupts become messages and an exit code.

0 success; 1 failure; 2 an unknown command, or an option with an invalid value; 130 stopped with
Ctrl-C. An error is one line on stderr; MEMATTE_DEBUG=1 adds the traceback and the library's log.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import typer

from ..errors import MEMatteError, MEMatteWarning, SettingError
from ..memory.exhaustion import is_out_of_memory
from . import console, signals
from .app import app

OK, FAILURE, USAGE, STOPPED = 0, 1, 2, 130


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    debug = os.environ.get("MEMATTE_DEBUG", "0") not in ("", "0")
    if debug:
        import logging

        logging.basicConfig(level=logging.INFO)
        logging.getLogger("mematte_plugin").setLevel(logging.DEBUG)
    with warnings.catch_warnings():
        warnings.simplefilter("always", MEMatteWarning)
        console.warned.clear()
        warnings.showwarning = _warner(debug)
        try:
            with signals.raised():
                code = _invoke(argv)
                console.flush()
        except BrokenPipeError:
            return FAILURE  # the reader closed the pipe and needs no message
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                traceback.print_exc()
            code, label, text = _explain(error, argv)
            console.tell(label, text, style="bold red")
    return code


def _invoke(argv: Sequence[str]) -> int:
    # Not app(): it would handle errors and interrupts itself, differently in each version of click.
    command = typer.main.get_command(app)
    try:
        with command.make_context("mematte", list(argv) or ["--help"]) as context:
            command.invoke(context)
    except typer.Exit as exit_:
        return exit_.exit_code
    return OK


def _explain(error: BaseException, argv: Sequence[str]) -> tuple[int, str, str]:
    """(exit code, label, message) of an exception."""
    if isinstance(error, KeyboardInterrupt):
        return getattr(error, "exit_code", STOPPED), "", str(error) or "stopped"
    if isinstance(error, SettingError):
        return USAGE, "error", str(error)
    if isinstance(error, MEMatteError):
        return FAILURE, "error", str(error)
    if hasattr(error, "format_message"):  # click's; typer may bundle a copy of click
        context: Any = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "mematte"
        remedy = f"see `{path} --help`"
        files = [a for a in argv if a.startswith("-") and a != "-" and os.path.exists(a)]
        if files and type(error).__name__ == "NoSuchOption":
            remedy = f"for the file of that name write ./{files[0]}"
        return USAGE, "error", f"{error.format_message().rstrip('.')}; {remedy}"
    if is_out_of_memory(error):
        return (
            FAILURE,
            "error",
            "not enough memory; close other programs or use a smaller picture",
        )
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return (
        FAILURE,
        "error",
        f"unexpected {what}; please report this with the output of `mematte info`"
        " (MEMATTE_DEBUG=1 shows where it happened)",
    )


def _warner(debug: bool) -> Callable[..., None]:
    """Shows each warning of this package once, as one line; others only in debug mode."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message)
        if text not in console.warned and (debug or issubclass(category, MEMatteWarning)):
            console.warn(text)

    return show
