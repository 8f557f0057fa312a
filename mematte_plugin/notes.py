"""What a user should know of a result that is usable: warnings, or notes that a front end shows."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from .errors import MEMatteWarning

_PACKAGE = str(Path(__file__).parent) + os.sep
_collected: ContextVar[list[str] | None] = ContextVar("mematte_notes", default=None)


def warn_user(message: str) -> None:
    """A note for whoever collects them here, else a MEMatteWarning.

    The warning points at the line outside this package that led here.
    """
    found = _collected.get()
    if found is not None:
        if message not in found:
            found.append(message)
        return
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, MEMatteWarning, stacklevel=level)


@contextmanager
def collect_notes() -> Iterator[list[str]]:
    """Have what would be MEMatteWarnings as a list of sentences, each of them once.

    For front ends: unlike `warnings.catch_warnings` it is about this thread (or task) alone, so
    that jobs that run beside one another do not get each other's.

    Example:
        >>> with collect_notes() as notes:  # doctest: +SKIP
        ...     matte = pipe("photo.jpg", "small_trimap.png")
        >>> notes  # doctest: +SKIP
        ["trimap small_trimap.png: is 100×100 and is resized to the photo's 400×400"]
    """
    found: list[str] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)
