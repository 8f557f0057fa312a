"""SIGTERM and SIGHUP end a command as Ctrl-C does: by a KeyboardInterrupt, which cleans up."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_NAMES = ("SIGTERM", "SIGHUP")
"""Windows has no SIGHUP."""


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP was received."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number
        """The exit code that shells report for a process ended by this signal."""


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Raise Stopped on these signals. One that is ignored, as under nohup, stays ignored."""
    with _handled(_NAMES, _stop, only_default=True):
        yield


def import_torch() -> None:
    """Import torch, holding back signals, since one during the import aborts the process."""
    held: list[int] = []
    with _handled(("SIGINT", *_NAMES), lambda number, _: held.append(number)):
        import torch  # noqa: F401
    if held:
        signal.raise_signal(held[0])


def _stop(number: int, _: Any) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    raise Stopped(number)


@contextlib.contextmanager
def _handled(names: tuple[str, ...], handler: Any, *, only_default: bool = False) -> Iterator[None]:
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        for name in names:
            number: int = getattr(signal, name, 0)
            now = signal.getsignal(number) if number else None
            if now in (None, signal.SIG_IGN) or (only_default and now != signal.SIG_DFL):
                continue
            previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
