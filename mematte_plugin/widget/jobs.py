"""Computing beside the notebook: one thread for all widgets, one job after the other."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import lru_cache
from queue import SimpleQueue
from threading import Event, Thread, current_thread
from time import monotonic
from typing import Any

from ..progress import TICK

THREAD = "mematte-widget"
SETTLE = 5.0
"""Seconds that an interrupted cell waits at most for the computing thread to let go."""

logger = logging.getLogger(__name__)


class Stopped(BaseException):
    """The job is not wanted any more. No Exception, so that nobody takes it for a fault."""


class Job:
    """One computation, and how to give it up.

    kind: "full" or "preview".
    work: called in the computing thread with the job; calls `check` now and then. What it makes
        goes to `result`, or what went wrong to `fault`.
    """

    def __init__(self, kind: str, work: Callable[[Job], None]) -> None:
        self.kind = kind
        self.result: Any = None
        self.fault: Exception | None = None
        self._work = work
        self._stop = Event()
        self._ended = Event()

    @staticmethod
    def worker_is_idle() -> bool:
        """Whether a job that begins now would not have to wait for another one."""
        return _worker(os.getpid()).idle

    def begin(self) -> None:
        """Have it computed, after those that began before it."""
        _worker(os.getpid()).queue.put(self)

    def cancel(self) -> None:
        """Give it up: before it begins, or the next time it calls `check`."""
        self._stop.set()

    def check(self) -> None:
        """Raises Stopped where the job has been given up."""
        if self._stop.is_set():
            raise Stopped

    def watch(self, timeout: float | None = None) -> None:
        """Until it has ended, however it did. Raises TimeoutError after so many seconds."""
        end = None if timeout is None else monotonic() + timeout
        while not self._ended.wait(TICK):  # in pieces: on Windows a long wait hears no interrupt
            if end is not None and monotonic() > end:
                raise TimeoutError(f"still computing after {timeout} seconds")

    def settle(self) -> None:
        """Wait a moment for a job that was given up."""
        self._ended.wait(SETTLE)

    def run(self) -> None:
        """In the computing thread."""
        try:
            self._work(self)
        except BaseException:
            logger.exception("a job of a widget failed")
        self._ended.set()


class _Worker:
    """A thread that Python's exit does not wait for, unlike an executor's: a kernel is restarted in
    the middle of a job. Always the same one, because torch makes its threads anew for each."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Job] = SimpleQueue()
        self._busy = False
        Thread(target=self._serve, name=THREAD, daemon=True).start()

    @property
    def idle(self) -> bool:
        # What an observer of a result begins is next, whoever else has nothing begun.
        return self.queue.empty() and (not self._busy or in_computing_thread())

    def _serve(self) -> None:
        while True:
            job = self.queue.get()
            self._busy = True
            job.run()
            self._busy = False
            del job  # and with it the widget, while this waits for the next


def in_computing_thread() -> bool:
    """Whether this is called by a job, or by an observer of what it found."""
    return current_thread().name == THREAD


@lru_cache(maxsize=1)
def _worker(process: int) -> _Worker:
    """The computing thread. process: its id; a fork has none of its parent's threads."""
    del process
    return _Worker()
