"""Waiting for another thread without going deaf to whoever wants to stop."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

TICK = 0.2
"""Seconds between two looks at whether somebody wants the wait to end."""

T = TypeVar("T")


def watched(future: "Future[T]", tick: Callable[[], None]) -> T:
    """The future's result.

    tick: called about every 0.2 seconds while this waits, in the caller's thread. What it raises
        ends the wait at once, not the work: that goes on, unless it has not begun.
    """
    try:
        while not wait([future], TICK).done:
            tick()
    except BaseException:
        future.cancel()
        raise
    return future.result()


def in_thread(call: Callable[[], T]) -> "Future[T]":
    """The call's result to be, made in a thread of its own, for which no exit of Python waits."""
    future: Future[T] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
