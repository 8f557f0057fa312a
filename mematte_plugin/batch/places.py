"""The folders that a batch writes into: made when needed, and left as if nothing had gone wrong."""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from .claims import remove_stale
from .listing import cannot_be_made

_UNFINISHED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.tmp", re.DOTALL)
"""What a run that was killed while it wrote leaves; see `writing.write_image`."""


class Places:
    """The output folder of a batch and the folders inside it.

    As a context manager it removes the folders that it made and nothing was put into.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._began = time.time()
        self._made: list[Path] = []
        self._unfinished: dict[Path, dict[str, list[Path]]] = {}

    def __enter__(self) -> Places:
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
        """Remove what runs that were killed while they wrote this result left beside it."""
        path = Path(os.path.realpath(output))
        if path.parent not in self._unfinished:
            self._unfinished[path.parent] = _unfinished(path.parent)
        # Failures to tidy up are no failures of the photo.
        for left in self._unfinished[path.parent].get(path.name, ()):
            with suppress(OSError):
                if left.stat().st_mtime < self._began:
                    left.unlink()

    def forget(self) -> None:
        """Look anew for what killed runs leave: one has died while this one waited."""
        self._began = time.time()
        self._unfinished.clear()

    def remove_stale_claims(self, outputs: Iterable[Path]) -> None:
        """Remove the claims on these results that runs which were killed have left."""
        names: dict[Path, set[str]] = defaultdict(set)
        for output in outputs:
            names[output.parent].add(output.name)
        for folder, found in names.items():
            remove_stale(folder, frozenset(found))


def _unfinished(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _UNFINISHED.fullmatch(entry.name)
            if match and entry.is_file(follow_symlinks=False):
                found[match["name"]].append(Path(entry.path))
    return found
