"""Progress of a run: how it is reported, what share each stage has, and cancellable waiting."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

Progress = Callable[[int, int, str], None]
"""Called with (done, total, stage); what it raises ends the run and is passed on."""

STAGES = {
    "reading": (0.0, 0.03),
    "subject": (0.03, 0.15),
    "model": (0.15, 0.2),
    "encoder": (0.2, 0.55),
    "decoder": (0.55, 0.82),
    "foreground": (0.82, 0.93),
    "writing": (0.93, 1.0),
}
"""The stages of a run in their order, and the part of a progress bar that each fills. Not a promise
of time: how long a stage takes differs from photo to photo."""

TICK = 0.2
"""Seconds between two checks whether a wait was cancelled."""

T = TypeVar("T")


def no_progress(done: int, total: int, stage: str) -> None:
    """No-op progress callback."""
    del done, total, stage


def overall_progress(done: int, total: int, stage: str) -> float:
    """How much of a whole run is done, 0 to 1, as a progress bar shows it.

    done, total: parts of this stage; total 0 where it is not known.
    stage: "reading", "subject", "model", "encoder", "decoder", "foreground" or "writing"; any other
        fills the whole bar.
    """
    start, end = STAGES.get(stage, (0.0, 1.0))
    return start + (end - start) * (min(1.0, done / total) if total > 0 else 0.0)


def watched(future: "Future[T]", tick: Callable[[], None]) -> T:
    """The future's result.

    tick: called about every 0.2 seconds while this waits, in the caller's thread. What it raises
        ends the wait at once. Work that has begun continues.
    """
    try:
        while not wait([future], TICK).done:
            tick()
    except BaseException:
        future.cancel()
        raise
    return future.result()


def in_thread(call: Callable[[], T]) -> "Future[T]":
    """Run the call in a daemon thread, which does not delay Python's exit."""
    future: Future[T] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
