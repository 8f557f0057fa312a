"""Locks that hold nobody up in a forked process."""

import os
from contextlib import suppress
from threading import RLock
from typing import Any
from weakref import WeakSet


class ForkSafeLock:
    """A lock that is free in a forked process, whichever thread of the parent held it: such threads
    do not exist there and could never release it."""

    def __init__(self) -> None:
        self._renew()
        _locks.add(self)

    def _renew(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: Any) -> None:
        with suppress(RuntimeError):  # a process that was forked in here holds a new one
            self._lock.release()


# Weakly, and with one handler for all: a handler cannot be taken back.
_locks: WeakSet[ForkSafeLock] = WeakSet()


def _renew_all() -> None:
    for lock in list(_locks):
        lock._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
