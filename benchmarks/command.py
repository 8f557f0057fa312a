"""From a function to a command line program: errors as one line, 0 done, 1 failed, 2 usage."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from mematte_plugin import MEMatteError, SettingError


def main(command: Callable[..., Any]) -> None:
    """Run a command with this process's arguments and end the process."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except MEMatteError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2 if isinstance(error, SettingError) else 1) from None
