"""The frames of sequences: which number counts, and whether equal numbers mean equal frames."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from ..errors import InputError, SettingError
from .folder_scan import Named
from .name_words import Tokens, composed, folder_tokens, stem_tokens
from .pair_pattern import parse_pair

_ENDS = 3
"""Numbers at either end of a sequence from which a shift is guessed."""

_DIGITS = re.compile(r"\d+")


class Side(NamedTuple):
    """Photos or guides whose names differ in one number."""

    names: Sequence[Named]
    """All photos or guides, others too."""
    by_number: dict[int, tuple[int, int]]
    """By number, the index of the name and which of its numbers, from the end, that is."""


@dataclass(frozen=True)
class NumberedNames:
    """Names of one folder that have the same words and differ in their numbers."""

    words: frozenset[str]
    numbers: dict[int, tuple[int, ...]]
    """By index of the name."""

    @property
    def width(self) -> int:
        """How many numbers a name has."""
        return len(next(iter(self.numbers.values())))

    def varying(self) -> list[int]:
        """Which numbers are not the same in all names."""
        columns = zip(*self.numbers.values(), strict=True)
        return [at for at, column in enumerate(columns) if len(set(column)) > 1]

    def constants(self, varying: list[int]) -> Counter[int]:
        """The other numbers."""
        row = next(iter(self.numbers.values()))
        return Counter(value for at, value in enumerate(row) if at not in varying)

    def by_numbers(self, columns: list[int]) -> dict[tuple[int, ...], int]:
        """Index by the values of those numbers."""
        return {tuple(row[at] for at in columns): i for i, row in self.numbers.items()}

    def side(self, names: Sequence[Named], column: int) -> Side:
        """By that number."""
        from_end = self.width - column
        return Side(names, {row[column]: (i, from_end) for i, row in self.numbers.items()})


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
    """Which numbers of photos and of guides must be equal; None if that is not plain."""
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


# ---- shifts --------------------------------------------------------------------------------------


def shift(photos: Collection[int], guides: Collection[int]) -> int:
    """By how much guides count lower than photos, if that matches more of them than equal numbers.

    0 if equal numbers match best, or none is equal, so that no wrong pair is made.
    """
    photos, guides = set(photos), set(guides)
    equal = len(photos & guides)
    alone, unused = sorted(photos - guides), sorted(guides - photos)
    if not (equal and alone and unused):
        return 0
    ends = [
        photo - guide
        for photo in {*alone[:_ENDS], *alone[-_ENDS:]}
        for guide in {*unused[:_ENDS], *unused[-_ENDS:]}
    ]
    candidates = {1, -1, min(photos) - min(guides), max(photos) - max(guides), *ends} - {0}
    matched = {by: sum(guide + by in photos for guide in guides) for by in candidates}
    best = max(candidates, key=lambda by: (matched[by], -abs(by), by))
    return best if matched[best] > equal else 0


def check_shifts(
    photos: Sequence[Named],
    guides: Sequence[Named],
    alone: Collection[int],
    unused: Collection[int],
    what: str,
) -> None:
    """Raises InputError if photos would be cut with the guides of other frames.

    alone, unused: indices of the photos without a guide, and of the guides without a photo. Only
    if both have names that differ in the same number, numbers can be shifted.
    """
    suspects = set(_columns(photos, alone, guide=False)) & set(_columns(guides, unused, guide=True))
    if not suspects:
        return
    ours = _columns(photos, range(len(photos)), guide=False, only=suspects)
    theirs = _columns(guides, range(len(guides)), guide=True, only=suspects)
    for column in sorted(suspects, key=repr):
        if by := shift(ours[column], theirs[column]):
            refuse_shift(Side(photos, ours[column]), Side(guides, theirs[column]), by, what)


def doubtful(photos: Sequence[Named], guides: Sequence[Named], unused: int) -> str:
    """The pattern by which every photo would have the next guide, if that leaves none over.

    unused: index of the only guide that no photo uses. Empty if there is no such pattern.
    """
    for key, theirs in _columns(guides, [unused], guide=True).items():
        ours = _columns(photos, range(len(photos)), guide=False, only={key}).get(key, {})
        all_theirs = _columns(guides, range(len(guides)), guide=True, only={key})[key]
        (number,) = theirs
        for by in (1, -1):
            if len(ours) > 1 and number + by in ours and all(n - by in all_theirs for n in ours):
                return suggestion(Side(photos, ours), Side(guides, all_theirs), by)
    return ""


def refuse_shift(photos: Side, guides: Side, by: int, what: str) -> None:
    """Raises InputError for guides whose numbers are lower by this much."""
    ours, theirs = photos.by_number, guides.by_number
    photo = photos.names[ours[min(ours.keys() & theirs.keys())][0]]
    right, as_named = suggestion(photos, guides, by), suggestion(photos, guides, 0)
    raise InputError(
        f"{photo.path}: would be cut with the {what} of another frame: the photos are"
        f" numbered {min(ours)} to {max(ours)}, the {what}s {min(theirs)} to {max(theirs)}; if the"
        f" {what}s count from another start, pass --pair '{right}', and if equal numbers belong"
        f" together, --pair '{as_named}'"
    )


def suggestion(photos: Side, guides: Side, by: int) -> str:
    """A pattern that pairs as many of them as possible, photos' numbers less guides' being `by`."""
    (before, after), (guide_before, guide_after) = (
        _around(side.names[index].stem, from_end)
        for side in (photos, guides)
        for index, from_end in [side.by_number[min(side.by_number)]]
    )
    number = f"{{n{-by:+d}}}" if by else "{n}"
    same = takewhile(lambda pair: pair[0] == pair[1], zip(before, guide_before, strict=False))
    common = "".join(letter for letter, _ in same)
    common = re.sub(r"[\W_]+$", "", common) if common not in (before, guide_before) else ""
    candidates = [f"{before}{{n}}{after}:{guide_before}{number}{guide_after}"]
    if common:
        candidates.append(
            f"{{name}}{before[len(common) :]}{{n}}{after}:"
            f"{{name}}{guide_before[len(common) :]}{number}{guide_after}"
        )
    best, most = f"{{n}}:{number}", 0
    for candidate in candidates:
        try:
            patterns = parse_pair(candidate)
        except SettingError:  # braces and colons in file names
            continue
        matched = sum(
            pattern.read(named) is not None
            for pattern, side in zip(patterns, (photos, guides), strict=True)
            for named in side.names
        )
        if matched > most:
            best, most = candidate, matched
    return best


def _columns(
    names: Sequence[Named],
    indices: Collection[int],
    *,
    guide: bool,
    only: Collection[Tokens] | None = None,
) -> dict[Tokens, dict[int, tuple[int, int]]]:
    """Names that differ in one number: by their common tokens, a `Side.by_number`."""
    found: dict[Tokens, dict[int, tuple[int, int]]] = defaultdict(dict)
    for index in indices:
        place = folder_tokens(names[index], guide=guide)
        parts = stem_tokens(names[index], guide=guide)
        from_end = 0
        for at in range(len(parts) - 1, -1, -1):
            value = parts[at]
            if isinstance(value, int):
                from_end += 1
                key = (*place, *parts[:at], "#", *parts[at + 1 :])
                if only is None or key in only:
                    found[key].setdefault(value, (index, from_end))
    return found


def _around(stem: str, from_end: int) -> tuple[str, str]:
    """The text before and after one of its numbers."""
    text = composed(stem)
    run = list(_DIGITS.finditer(text))[-from_end]
    return text[: run.start()], text[run.end() :]
