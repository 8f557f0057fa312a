"""Ctrl-C and SIGTERM as a request to stop, so that a run can finish its step and save."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

logger = logging.getLogger(__name__)

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""Windows does not know the last."""


class StopRequest:
    """Whether a stop was requested, and by which signal."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """The first signal's number, if one arrived."""

    def __call__(self) -> bool:
        """Whether a stop was requested."""
        return self.signal is not None


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Within, the first signal only sets the request; a second one of its kind acts as before."""
    request = StopRequest()
    before: dict[int, Any] = {}

    def note(number: int, _: Any) -> None:
        request.signal = number
        signal.signal(number, before[number])
        logger.warning("finishing the step and saving; repeat to stop at once")

    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        for name in _NAMES:
            number: int = getattr(signal, name, 0)
            if number and signal.getsignal(number) not in (None, signal.SIG_IGN):
                before[number] = signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
