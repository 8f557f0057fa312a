"""The output folders of a batch, which several runs may share: claims on results, and tidying up.

A claim is a file with a lock of the operating system, which ends with the process, even if that is
killed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from ..errors import OutputError
from ..images.files import leftovers, temporary_stem

_ATTEMPTS = 20
"""How often a claim is tried while another run removes the folder it had made."""

logger = logging.getLogger(__name__)


class FolderError(OutputError):
    """The output folder cannot be made."""


class OutputFolders:
    """The output folder of a batch and the folders inside it.

    As a context manager it removes the folders that it made and that are still empty.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._began = time.time()
        self._made: list[Path] = []
        self._leftovers: dict[Path, dict[str, list[Path]]] = {}

    def __enter__(self) -> OutputFolders:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for folder in reversed(self._made):
            with suppress(OSError):  # not empty
                folder.rmdir()

    def make(self, folder: Path) -> None:
        """Make the output folder and those inside it down to this one, but none around it.

        Raises FolderError.
        """
        if folder.is_dir():
            return
        if folder != self._output:
            self.make(folder.parent)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_be_made(folder, error) from error
        self._made.append(folder)

    def remove_leftovers(self, output: Path) -> None:
        """Remove temporary files of this result that killed runs have left."""
        path = Path(os.path.realpath(output))
        if path.parent not in self._leftovers:
            self._leftovers[path.parent] = leftovers(path.parent)
        for left in self._leftovers[path.parent].get(temporary_stem(path.name), ()):
            with suppress(OSError):  # the photo has not failed if this does
                if left.stat().st_mtime < self._began:
                    left.unlink()

    def look_again(self) -> None:
        """Forget which leftovers there are: another run may have died meanwhile."""
        self._began = time.time()
        self._leftovers.clear()

    @staticmethod
    def remove_stale_claims(outputs: Iterable[Path]) -> None:
        """Remove the claims on these results that killed runs have left."""
        claims = {claim_file(output): output for output in outputs}
        for folder in {claim.parent for claim in claims}:
            with suppress(OSError), os.scandir(folder) as entries:
                for path in [folder / entry.name for entry in entries]:
                    if path in claims:
                        with claimed(claims[path]):
                            pass


def cannot_be_made(folder: Path, error: OSError) -> FolderError:
    """The error for a folder that cannot be made."""
    return FolderError(f"{folder}: cannot be made ({error.strerror}); choose another folder")


def claim_file(output: Path) -> Path:
    """The file that claims a result, next to it."""
    return output.with_name(f".{output.name}.claim")


@contextmanager
def claimed(output: Path, make_folder: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold the claim on a result; False if another run has it. The file goes with the claim.

    make_folder: makes the folder that the result goes into. Another run may remove it again while
        it is empty.

    On a file system without locks, all claims are granted.
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


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
