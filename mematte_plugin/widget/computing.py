"""A widget's computations: one job at a time, what it reports, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock, RLock
from typing import Any

import traitlets

from ..errors import MEMatteError
from ..jobs import Job, in_computing_thread, is_idle
from ..progress import Progress, overall_progress
from .guided import GuidedPhoto

IDLE = {"job": "", "stage": "", "progress": 0.0}
"""What these traits are while nothing is computed."""
SETTLE = 5.0
"""Seconds that an interrupted cell waits at most for the computing thread to let go."""

COMPUTING = {
    "full": "Computing the matte …",
    "preview": "Computing the preview …",
    "find": "Finding the subject …",
}
WAITING = "Waiting for another computation to end; this one is next."
WAITS_FOR_ITSELF = "called from the computation it would wait for: use start() in an observer"

logger = logging.getLogger(__name__)


class ComputingPhoto(GuidedPhoto):
    """A guided photo for which jobs are done in the computing thread, the newest one only."""

    status = traitlets.Enum(
        ("empty", "ready", "waiting", "running", "done", "stopped", "failed"),
        "empty",
        read_only=True,
        help="done: alpha belongs to the trimap as it is now",
    ).tag(sync=True)
    job = traitlets.Enum(
        ("", "preview", "full", "find"), "", read_only=True, help="what is being computed"
    ).tag(sync=True)
    progress = traitlets.Float(0.0, read_only=True, help="0 to 1").tag(sync=True)
    stage = traitlets.Unicode("", read_only=True, help="stage of the job").tag(sync=True)
    blocking = traitlets.Bool(False, read_only=True, help="a cell waits for the job").tag(sync=True)

    def __init__(self, *args: Any, **traits: Any) -> None:
        self._running: Job | None = None
        self._swapping = Lock()  # held for moments, around `_running`
        # Held while a message of the page is handled, and while the computing thread sets traits:
        # ipywidgets does not take both at once. Observers of either run with it.
        self._lock = RLock()
        super().__init__(*args, **traits)

    def cancel(self) -> None:
        """Cancel what is being computed or about to be."""
        job = self._running
        if job is not None:
            job.cancel()

    def wait(self, timeout: float | None = None) -> None:
        """Block until nothing is being computed.

        Raises TimeoutError after `timeout` seconds, and MEMatteError in an observer, as `run` does.
        """
        if in_computing_thread():
            raise MEMatteError(WAITS_FOR_ITSELF)
        job = self._running
        if job is not None and not job.wait(timeout):
            raise TimeoutError(f"still computing after {timeout} seconds")

    def _outcome(self, job: Job) -> Any:
        """Wait in a cell for a job that has begun; its result."""
        self.set_trait("blocking", True)
        try:
            job.wait()
        except BaseException:
            job.cancel()
            job.wait(SETTLE)
            raise
        finally:
            self.set_trait("blocking", False)
        if job.fault is not None:
            raise job.fault
        if job.stopped:
            raise MEMatteError("stopped before it was done: by Cancel, or by another run")
        return job.result

    def _begin(self, kind: str) -> Job | None:
        fault = self._why_not_begin(kind)
        if fault:
            self.set_trait("message", fault)
            return None
        job = Job(partial(self._compute, kind))
        job.when_done(self._finish)
        self._replace_job(job)
        status, message = ("running", COMPUTING[kind]) if is_idle() else ("waiting", WAITING)
        self._set(stage="", progress=0.0, job=kind, status=status, message=message)
        job.begin()
        return job

    def _why_not_begin(self, kind: str) -> str:
        """Why a job cannot begin, or ""."""
        return self._why_not()

    def _replace_job(self, job: Job | None) -> None:
        """Cancel the current job; no traits are set for it any more."""
        with self._swapping:
            old, self._running = self._running, job
        if old is not None:
            old.cancel()

    def _compute(self, kind: str, job: Job) -> Any:
        """In the computing thread: the result of a job of this kind."""
        raise NotImplementedError

    def _reporter(self, job: Job, *, each: bool = False) -> Progress:
        """each: every stage fills the whole bar, and not its share of a run."""
        reached = 0.0

        def report(done: int, total: int, stage: str) -> None:
            nonlocal reached
            job.check()
            if each:
                reached = min(1.0, done / total) if total > 0 else 0.0
            else:
                reached = max(reached, overall_progress(done, total, stage))
            with self._exclusive(patience=0) as alone:  # else skip this one: more will come
                if alone and self._running is job:
                    self._set(progress=reached, stage=stage)

        return report

    def _finish(self, job: Job) -> None:
        """Set the traits of a job that is over, however it ended."""
        if self._running is not job:
            return
        if job.stopped:
            self._end(job, "stopped", "Stopped. The trimap is kept.")
        elif isinstance(job.fault, MEMatteError):
            self._end(job, "failed", str(job.fault))
        elif job.fault is not None:
            logger.error("a widget's run failed", exc_info=job.fault)
            self._end(job, "failed", f"Unexpected: {type(job.fault).__name__}: {job.fault}")
        else:
            self._deliver(job, job.result)

    def _deliver(self, job: Job, result: Any) -> None:
        """Set the traits of a job that has a result."""
        raise NotImplementedError

    def _end(self, job: Job, status: str, message: str, **found: Any) -> None:
        """Observers are called once all of it is set, so that they can save or start again."""
        with self._exclusive(), self.hold_trait_notifications(), self._swapping:
            if self._running is job:
                self._running = None
                self._set(**IDLE, status=status, message=message, **found)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            self.set_trait(name, value)

    def notify_change(self, change: Any) -> None:
        """Call observers. Those that fail in the computing thread do not end the job."""
        try:
            super().notify_change(change)
        except Exception:
            if not in_computing_thread():
                raise
            logger.exception("an observer of %s failed", change["name"])

    @contextmanager
    def _exclusive(self, patience: float = 1.0) -> Iterator[bool]:
        """For the computing thread: keep messages of the page out. Yields whether it succeeded.

        patience: seconds to try. Not for ever, since the thread that handles a message may be
            waiting for this one, in an observer.
        """
        held = self._lock.acquire(timeout=patience)
        try:
            yield held
        finally:
            if held:
                self._lock.release()
