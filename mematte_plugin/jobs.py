"""Background jobs: one computing thread for the whole process, one job at a time, cancellable."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Lock, Thread, current_thread
from time import monotonic
from typing import Any

from .progress import TICK

logger = logging.getLogger(__name__)


class Stopped(BaseException):
    """Raised inside a cancelled job. Not an Exception, so that no handler takes it for a fault."""


class Job:
    """One cancellable computation in the computing thread.

    work: called with the job in the computing thread. It calls `check` regularly; what it returns
        becomes `result`.

    result: what the work returned; None until then.
    fault: the Exception that the work raised, or None.
    stopped: whether it was cancelled before it had a result.

    Example:
        >>> job = Job(lambda job: pipe(photo, trimap, progress=lambda *_: job.check()))
        ... # doctest: +SKIP
        >>> job.begin()  # doctest: +SKIP
        >>> while not job.wait(0.1): ...  # poll, and job.cancel() if need be  # doctest: +SKIP
        >>> matte = job.outcome()  # doctest: +SKIP
    """

    def __init__(self, work: Callable[[Job], Any]) -> None:
        self.result: Any = None
        self.fault: Exception | None = None
        self.stopped = False
        self._work = work
        self._lock = Lock()
        self._taken = False
        self._followers: list[Callable[[Job], object]] = []
        self._cancelled = Event()
        self._ended = Event()

    def begin(self) -> None:
        """Queue the job behind those that began earlier. Call it once."""
        _worker.put(self)

    def cancel(self) -> None:
        """Stop the job: at its next `check`, or at once if it is still waiting to run."""
        self._cancelled.set()
        if self._claim():
            self.stopped = True
            self._end()

    def check(self) -> None:
        """Raise Stopped if the job was cancelled."""
        if self._cancelled.is_set():
            raise Stopped

    def when_done(self, call: Callable[[Job], object]) -> None:
        """Call this with the job once the job is over, however it ended; now if it already is.

        It runs in the computing thread, before `wait` returns; for a job cancelled before it ran,
        in the thread that cancelled it. What it raises is logged.
        """
        with self._lock:
            if not self._ended.is_set():
                self._followers.append(call)
                return
        self._follow(call)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job is over, for at most `timeout` seconds; whether it is over."""
        end = None if timeout is None else monotonic() + timeout
        while True:  # in short waits: on Windows a long one would not notice Ctrl-C
            left = TICK if end is None else min(TICK, end - monotonic())
            if self._ended.wait(max(0.0, left)):
                return True
            if end is not None and monotonic() >= end:
                return False

    def outcome(self) -> Any:
        """The result of a job that is over.

        Raises what the work raised, and Stopped if the job was stopped.
        """
        if self.fault is not None:
            raise self.fault
        if self.stopped:
            raise Stopped
        return self.result

    def run(self) -> None:
        """Do the work in this thread; the computing thread calls this."""
        if not self._claim():
            return  # cancelled while it waited
        try:
            self.result = self._work(self)
        except Stopped:
            self.stopped = True
        except Exception as error:
            self.fault = error
        except BaseException as error:  # such as SystemExit, which would end the thread
            logger.exception("a job raised %s", type(error).__name__)
            self.fault = RuntimeError(f"the job raised {type(error).__name__}")
        self._end()

    def _claim(self) -> bool:
        """Take a job that has neither run nor been cancelled yet; False if it has."""
        with self._lock:
            taken, self._taken = self._taken, True
        return not taken

    def _end(self) -> None:
        while True:
            with self._lock:
                if not self._followers:
                    self._ended.set()
                    return
                call = self._followers.pop(0)
            self._follow(call)

    def _follow(self, call: Callable[[Job], object]) -> None:
        try:
            call(self)
        except Exception:
            logger.exception("what follows a job failed")


def is_idle() -> bool:
    """Whether a job that began now would run at once."""
    return _worker.queue.empty() and (not _worker.busy or in_computing_thread())


def in_computing_thread() -> bool:
    """Whether the caller runs inside a job."""
    return current_thread() is _worker.thread


class _Worker:
    """The computing thread. Python's exit does not wait for it, as it would for an executor's, so
    that a kernel can restart in the middle of a job. It is never replaced: torch would start its
    own threads again for each new one."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Job] = SimpleQueue()
        self.busy = False
        self.thread = Thread(target=self._serve, name="mematte-jobs", daemon=True)
        self._starting = Lock()

    def put(self, job: Job) -> None:
        self.queue.put(job)
        with self._starting:
            if self.thread.ident is None:
                self.thread.start()

    def _serve(self) -> None:
        while True:
            job = self.queue.get()
            self.busy = True
            job.run()
            self.busy = False
            del job  # and all that it holds, while this waits for the next one


_worker = _Worker()


def _replace_worker() -> None:
    """In a forked process, which has none of its parent's threads."""
    global _worker  # noqa: PLW0603
    _worker = _Worker()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_worker)
