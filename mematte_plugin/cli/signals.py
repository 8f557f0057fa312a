"""Signals that ask the command line to stop: temporary files go, then the process.

Ctrl-C is Python's own business; SIGTERM and SIGHUP take the same way, as a KeyboardInterrupt.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_NAMES = ("SIGTERM", "SIGHUP")
"""The second is unknown to Windows."""


class Stopped(KeyboardInterrupt):
    """Another signal than Ctrl-C asks to stop."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number
        """What a shell reports for a process that this signal ended."""


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Within, the signals raise Stopped. One that is ignored, as under nohup, stays so."""
    with _handled(_NAMES, _stop, only_default=True):
        yield


def import_torch() -> None:
    """Import torch; a signal waits until that is done, because its C++ side aborts on one."""
    held: list[int] = []
    with _handled(("SIGINT", *_NAMES), lambda number, _: held.append(number)):
        import torch  # noqa: F401
    if held:
        signal.raise_signal(held[0])


def _stop(number: int, _: Any) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the tidying up
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
