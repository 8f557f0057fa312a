"""The exceptions and warnings of the package, and the notes that front ends collect.

Every message names the input, the fault and the remedy, so that a front end can show it as it is:

    MEMatteError            any error that this package raises on purpose
    ├── InputError          a photo, trimap, mask or background that cannot be used
    ├── SettingError        an option that is out of range or unknown
    │   └── BudgetError     a memory budget that is too small
    ├── DeviceLostError     a device that stopped working in this process
    ├── WeightsError        a checkpoint that cannot be found, read, trusted or matched
    └── OutputError         a result that cannot be written
    MEMatteWarning          the result is usable, but the user should know something about it
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_PACKAGE = str(Path(__file__).parent) + os.sep
_collected: ContextVar[list[str] | None] = ContextVar("mematte_notes", default=None)


class MEMatteError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(MEMatteError):
    """A photo, trimap, mask or background that cannot be used as given."""


class SettingError(MEMatteError):
    """An option that is unknown or out of its range (retention, device, dtype, unit, ...)."""


class BudgetError(SettingError):
    """A memory budget that is too small for what is asked.

    least: bytes of the smallest budget that works.
    """

    def __init__(self, message: str, least: int = 0) -> None:
        super().__init__(message)
        self.least = least


class DeviceLostError(MEMatteError):
    """A device that has stopped working in this process: nothing more can be computed there."""


class WeightsError(MEMatteError):
    """A checkpoint that cannot be found, read, trusted or matched to a network."""


class OutputError(MEMatteError):
    """A result that cannot be written where it was asked for."""


class MEMatteWarning(UserWarning):
    """Something was done for the user that they should know about: a first frame, a resized trimap.

    The result is usable. Front ends show the message as one line; `warnings.filterwarnings` can
    turn it off or into an error.
    """


def warn_user(message: str) -> None:
    """Add a note to those being collected, or else warn with a MEMatteWarning.

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


def first_line(error: BaseException) -> str:
    """The first line of an error's message, for one of our own."""
    return str(error).strip().partition("\n")[0]


@contextmanager
def collect_notes() -> Iterator[list[str]]:
    """Collect what would be MEMatteWarnings in a list of sentences, each once.

    For front ends: unlike `warnings.catch_warnings` it affects this thread (or task) alone, so that
    jobs that run side by side do not get each other's notes.

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
