"""Names of one folder that differ in nothing but their numbers: the frames of a sequence."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from .folder_scan import Named
from .name_words import folder_tokens, stem_tokens


@dataclass(frozen=True)
class NumberedNames:
    """Names that have the same words and differ in their numbers."""

    words: frozenset[str]
    numbers: dict[int, tuple[int, ...]]
    """By index of the name."""

    @property
    def width(self) -> int:
        """How many numbers a name has."""
        return len(next(iter(self.numbers.values())))

    def varying(self) -> list[int]:
        """Which numbers are not the same in all names."""
        rows = list(self.numbers.values())
        return [at for at, column in enumerate(zip(*rows, strict=True)) if len(set(column)) > 1]

    def constants(self, varying: list[int]) -> Counter[int]:
        """The other numbers."""
        row = next(iter(self.numbers.values()))
        return Counter(value for at, value in enumerate(row) if at not in varying)

    def by_numbers(self, columns: list[int]) -> dict[tuple[int, ...], int]:
        """Index by what those numbers are."""
        return {tuple(row[at] for at in columns): i for i, row in self.numbers.items()}


def by_frame(sequence: NumberedNames, column: int) -> dict[int, tuple[int, int]]:
    """By that number, the index, and which number from the end it is."""
    from_end = sequence.width - column
    return {row[column]: (index, from_end) for index, row in sequence.numbers.items()}


def sequences(
    names: Sequence[Named], indices: Iterable[int], paired: Iterable[int], *, guide: bool
) -> dict[Hashable, NumberedNames]:
    """The sequences of folders that hold one, and nothing that is paired."""
    taken = {folder_tokens(names[index], guide=guide) for index in paired}
    folders: dict[Hashable, list[int]] = defaultdict(list)
    for index in indices:
        folders[folder_tokens(names[index], guide=guide)].append(index)
    found: dict[Hashable, NumberedNames] = {}
    for place, members in folders.items():
        rows = {index: stem_tokens(names[index], guide=guide) for index in members}
        texts = {tuple(t if isinstance(t, str) else "#" for t in row) for row in rows.values()}
        if place not in taken and len(texts) == 1 and "#" in (text := texts.pop()):
            numbers = {i: tuple(t for t in row if isinstance(t, int)) for i, row in rows.items()}
            found[place] = NumberedNames(frozenset(text) - {"#"}, numbers)
    return found


def columns_that_count(
    ours: NumberedNames, theirs: NumberedNames
) -> tuple[list[int], list[int]] | None:
    """Which numbers of photos and of guides are to be equal; None where that is not plain."""
    if ours.width == theirs.width:
        mine = yours = sorted({*ours.varying(), *theirs.varying()}) or [ours.width - 1]
    else:
        mine, yours = ours.varying(), theirs.varying()
        if len(mine) < len(yours) == ours.width:
            mine = list(range(ours.width))
        elif len(yours) < len(mine) == theirs.width:
            yours = list(range(theirs.width))
    if not mine or len(mine) != len(yours):
        return None
    # A folder of shot 1 and one of shot 2 have nothing to do with each other.
    rest, other = ours.constants(mine), theirs.constants(yours)
    return (mine, yours) if rest <= other or other <= rest else None
