"""Files that say which results a run is at work on, so that two runs share a folder.

A claim is held by a lock of the operating system, which ends with the process whatever ends that.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ATTEMPTS = 20
"""How often a claim is tried while another run removes the folder it had made."""

logger = logging.getLogger(__name__)


def claim_file(output: Path) -> Path:
    """The file that claims a result, beside it."""
    return output.with_name(f".{output.name}.claim")


@contextmanager
def claimed(output: Path, make_folder: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold the claim on a result; False where another run has it. The file goes with the claim.

    make_folder: makes the folder that the result goes into. Another run may remove it again, as
        long as it is empty.

    Where the file system knows no locks, all claims are granted.
    """
    from filelock import FileLock, Timeout

    path = claim_file(output)
    lock = FileLock(path, timeout=0, mode=0o666)
    for _ in range(_ATTEMPTS):
        make_folder()
        try:
            lock.acquire()
            break
        except Timeout:
            yield False
            return
        except FileNotFoundError:
            continue
        except (OSError, NotImplementedError) as error:
            logger.debug("%s: no claim (%s)", output, error)
            break
    held = lock.is_locked
    try:
        yield True
    finally:
        if held:
            # While it is held, or another run might claim a file that is about to go. Windows
            # removes no file that is open.
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
