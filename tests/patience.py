"""How long tests wait, at most, for what takes seconds on a quiet machine."""

import time
from collections.abc import Callable

PATIENCE = 600.0
"""Seconds. A wait ends as soon as what it waits for is there: only a failure takes all of them, and
a machine with other work to do may take its time."""


def until(come: Callable[[], object], tell: Callable[[], str] = str) -> None:
    """Wait until something is true; `tell` says what there is instead."""
    deadline = time.monotonic() + PATIENCE
    while not come():
        assert time.monotonic() < deadline, f"it did not come to that {tell()}"
        time.sleep(0.05)
