"""Frames that count from another start than their guides, so that equal numbers are not equal."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import NamedTuple

from ..errors import InputError, SettingError
from .folder_scan import Named
from .name_words import Token, composed, folder_tokens, stem_tokens
from .pair_pattern import parse_pair

_ENDS = 3
"""Numbers at either end of a sequence from which a shift is guessed."""

_DIGITS = re.compile(r"\d+")


def shift(photos: Collection[int], guides: Collection[int]) -> int:
    """By how much guides count lower than photos, if that matches more of them than equal numbers.

    0 where equal numbers match best, or none is equal, so that no wrong pair is made.
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
    best = max(
        candidates,
        key=lambda by: (sum(guide + by in photos for guide in guides), -abs(by), by),
    )
    return best if sum(guide + best in photos for guide in guides) > equal else 0


def check_shifts(
    photos: Sequence[Named],
    guides: Sequence[Named],
    alone: Collection[int],
    unused: Collection[int],
    what: str,
) -> None:
    """Raises InputError where photos would be cut with the guides of other frames.

    alone, unused: indices of the photos without a guide, and of the guides without a photo. Only
    where names that differ in one number are among both, numbers can be shifted.
    """
    if not (alone and unused):
        return
    suspects = set(_columns(photos, alone, guide=False)) & set(_columns(guides, unused, guide=True))
    if not suspects:
        return
    ours = _columns(photos, range(len(photos)), guide=False, only=suspects)
    theirs = _columns(guides, range(len(guides)), guide=True, only=suspects)
    for column in sorted(suspects, key=repr):
        if by := shift(ours[column], theirs[column]):
            refuse_shift(Side(photos, ours[column]), Side(guides, theirs[column]), by, what)


def doubtful(photos: Sequence[Named], guides: Sequence[Named], unused: int) -> str:
    """The other pattern where a guide is left over that may be one frame's, and all others move.

    unused: index of the only guide that no photo uses. Empty where it stands for nothing of that.
    """
    for key, theirs in _columns(guides, [unused], guide=True).items():
        ours = _columns(photos, range(len(photos)), guide=False, only={key}).get(key, {})
        all_theirs = _columns(guides, range(len(guides)), guide=True, only={key})[key]
        (number,) = theirs
        for by in (1, -1):
            if len(ours) > 1 and number + by in ours and all(n - by in all_theirs for n in ours):
                return suggestion(Side(photos, ours), Side(guides, all_theirs), by)
    return ""


class Side(NamedTuple):
    """Photos or guides whose names differ in one number."""

    names: Sequence[Named]
    """All photos or guides, others too."""
    by_number: dict[int, tuple[int, int]]
    """By number, the index of the name and which of its numbers, from the end, that is."""


def refuse_shift(photos: Side, guides: Side, by: int, what: str) -> None:
    """Raises InputError for guides whose numbers are lower by so many."""
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
    candidates = [
        f"{before}{{n}}{after}:{guide_before}{number}{guide_after}",
        f"{{name}}{before[len(common) :]}{{n}}{after}:"
        f"{{name}}{guide_before[len(common) :]}{number}{guide_after}",
    ]
    if not common:
        candidates.pop()
    best, most = f"{{n}}:{number}", 0
    for candidate in candidates:
        try:
            sides = parse_pair(candidate)
        except SettingError:  # braces and colons in file names
            continue
        matched = sum(
            side.read(named) is not None
            for side, names in zip(sides, (photos, guides), strict=True)
            for named in names.names
        )
        if matched > most:
            best, most = candidate, matched
    return best


def _columns(
    names: Sequence[Named],
    indices: Collection[int],
    *,
    guide: bool,
    only: Collection[tuple[Token, ...]] | None = None,
) -> dict[tuple[Token, ...], dict[int, tuple[int, int]]]:
    """Names that differ in one number: what is the same, then index and position by number."""
    found: dict[tuple[Token, ...], dict[int, tuple[int, int]]] = defaultdict(dict)
    for index in indices:
        place = folder_tokens(names[index], guide=guide)
        parts = stem_tokens(names[index], guide=guide)
        later = 0
        for at in range(len(parts) - 1, -1, -1):
            value = parts[at]
            if isinstance(value, int):
                later += 1
                key = (*place, *parts[:at], "#", *parts[at + 1 :])
                if only is None or key in only:
                    found[key].setdefault(value, (index, later))
    return found


def _around(stem: str, number: int) -> tuple[str, str]:
    """The text before and after the number that is so many from the end."""
    run = list(_DIGITS.finditer(composed(stem)))[-number]
    return composed(stem)[: run.start()], composed(stem)[run.end() :]
