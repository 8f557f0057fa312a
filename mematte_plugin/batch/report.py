"""The outcome of a batch, photo by photo and summed up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..images.crops import Crop

Status = Literal["done", "skipped", "elsewhere", "failed"]
"""The outcome of a photo; "elsewhere": done by another run that worked on the folder meanwhile."""

_NAMED = 3
"""Names that a line about many of them gives."""


@dataclass(frozen=True)
class BatchItem:
    """The outcome of one photo."""

    photo: Path
    """The photograph."""
    output: Path
    """The result; written by this run only where the status is "done"."""
    status: Status
    """"done", "skipped" if the output existed already, "elsewhere" if another run made it
    meanwhile, or "failed"."""
    reason: str
    """Why it failed, in one line that follows the photo's name; empty otherwise."""
    seconds: float
    """Time spent on it."""
    guide: Path | None = None
    """The trimap, mask or alpha that it was cut with; None without one."""
    notes: tuple[str, ...] = ()
    """What a user should know about the result, in one sentence each."""
    crop: Crop | None = None
    """Where the result was in the photo; None if it was not cropped."""
    subject: dict[str, Any] | None = None
    """What was found in it, as `SubjectMask.facts` gives it; None with a guide."""


@dataclass(frozen=True)
class BatchReport:
    """The outcome of all photos, in the order in which they were finished."""

    items: tuple[BatchItem, ...]
    """One per photo."""
    notes: tuple[str, ...] = ()
    """Notes on the folders from before the work, such as guides that no photo uses."""

    def count(self, status: Status) -> int:
        """How many have that status."""
        return sum(item.status == status for item in self.items)

    @property
    def failed(self) -> tuple[BatchItem, ...]:
        """Those that failed."""
        return tuple(item for item in self.items if item.status == "failed")

    def note_lines(self) -> list[str]:
        """The notes of all photos; equal ones are one line."""
        texts = [
            (item, note if item.photo.name in note else f"{item.photo.name}: {note}")
            for item in self.items
            for note in item.notes
        ]
        return _lines(texts, at_most=1)

    def failure_lines(self) -> list[str]:
        """Why photos failed, each with its name; equal reasons of many are one line."""
        texts = [(item, f"{item.photo.name}: {item.reason}") for item in self.failed]
        return _lines(texts, at_most=_NAMED)


def listed(names: Iterable[str]) -> str:
    """The first few names, and whether there are more."""
    names = list(names)
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _lines(texts: Iterable[tuple[BatchItem, str]], *, at_most: int) -> list[str]:
    """One line for each sentence, or one together if more than `at_most` are equal."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for item, text in texts:
        # 40×30 of one photo and 41×30 of the next are the same news.
        kind = re.sub(r"\d+(\.\d+)?", "0", _without_names(text, item))
        groups.setdefault(kind, []).append((item.photo.name, text))
    lines = []
    for found in groups.values():
        if len(found) > at_most:
            names, text = listed(name for name, _ in found), found[0][1]
            lines.append(f"{len(found)} photos ({names}), the first: {text}")
        else:
            lines += [text for _, text in found]
    return lines


def _without_names(text: str, item: BatchItem) -> str:
    for path in (item.guide, item.photo, item.output):
        if path is not None:
            for name in (str(path), path.name, path.stem):
                text = text.replace(name, "")
    return text
