"""Ctrl-C and SIGTERM as a wish to stop, so that a run can finish its step and save."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

logger = logging.getLogger(__name__)

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""The last is unknown to Windows."""


class Wish:
    """Whether somebody asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """The first signal's number; None while nobody asked."""

    def __call__(self) -> bool:
        """Whether somebody asked."""
        return self.signal is not None


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Wish]:
    """Within, the first signal is only noted; a second one of its kind acts as before."""
    wish = Wish()
    before: dict[int, Any] = {}

    def note(number: int, _: Any) -> None:
        wish.signal = number
        signal.signal(number, before[number])
        logger.warning("finishing the step and saving; once more stops at once")

    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        for name in _NAMES:
            number: int = getattr(signal, name, 0)
            if number and signal.getsignal(number) not in (None, signal.SIG_IGN):
                before[number] = signal.signal(number, note)
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
