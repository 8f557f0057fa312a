"""Files that say which results a run is at work on, so that two runs share a folder.

A claim is held by a lock of the operating system, which ends with the process whatever ends that.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ATTEMPTS = 20
"""How often a claim is tried while another run removes the folder it had made."""

logger = logging.getLogger(__name__)


def claim_file(output: Path) -> Path:
    """The file that claims a result, beside it."""
    return output.with_name(f".{output.name}.claim")


@contextmanager
def claimed(output: Path) -> Iterator[bool]:
    """Hold the claim on a result whose folder is there; False where another run has it.

    Where the file system knows no locks, all claims are granted. The file goes with the claim.
    """
    from filelock import FileLock, Timeout

    path = claim_file(output)
    lock = FileLock(path, timeout=0, mode=0o666)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        if not path.parent.is_dir():
            raise
        logger.debug("%s: no claim (%s)", output, error)
        yield True
        return
    try:
        yield True
    finally:
        # While it is held, or another run might claim a file that is about to go. Windows removes
        # no file that is open, and there is none in the way of one that is not.
        _remove(path)
        with suppress(OSError):
            lock.release()
        if os.name == "nt":
            _remove(path)


def remove_stale(folder: Path, outputs: frozenset[str]) -> None:
    """Remove the claims on results of those names that runs which were killed have left."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            name = entry.name[1:].removesuffix(".claim")
            if name in outputs and entry.name == claim_file(Path(name)).name:
                with claimed(folder / name):
                    pass


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
