"""Which trimap or mask belongs to which photo, by their names.

Rules go from strict to loose, and each only says what belongs together beyond doubt: what two
photos could claim, or of what a photo has two, is told and not chosen from. No rule goes by order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .batch_report import listed
from .folder_scan import Named
from .frame_numbers import Side, check_shifts, refuse_shift, shift, suggestion
from .name_words import (
    bases,
    composed,
    folded,
    folder_tokens,
    has_version,
    stem_tokens,
    without_version,
)
from .pair_pattern import parse_pair, projected

_HOW = {
    "affix": "by name",
    "case": "without regard to capitals",
    "flat": "by name across folders",
    "words": "by the words and numbers of their names",
    "version": "by name without the version",
    "number": "by number alone",
}
"""How a message says the rules other than the plain one."""


class _Claim(NamedTuple):
    """One name that a guide may be of."""

    key: Hashable
    rank: int  # the lowest counts
    plain: bool  # needs no mention


@dataclass
class Pairing:
    """Photos and guides, and what is known of how they belong together."""

    photos: Sequence[Named]
    guides: Sequence[Named]
    what: str
    """What messages call a guide."""
    where: Path
    """The folder of the guides."""
    shared: bool = False
    """It is the photos' folder, too."""
    guide_of: dict[int, int] = field(default_factory=dict)
    """Index of the guide, by index of the photo."""
    rule_of: dict[int, str] = field(default_factory=dict)
    """Rule by index of the photo, where it is not the plain one."""
    problem_of: dict[int, str] = field(default_factory=dict)
    """Why a photo has none, by index."""
    settled: set[int] = field(default_factory=set)
    """Guides that no further rule looks at: given to a photo, or worse than what it has."""
    used: set[int] = field(default_factory=set)
    """Guides that are given to a photo."""

    def open_photos(self) -> list[int]:
        """Those of which nothing is known yet."""
        return [
            index
            for index in range(len(self.photos))
            if index not in self.guide_of and index not in self.problem_of
        ]

    def open_guides(self) -> list[int]:
        """Those that are left."""
        return [index for index in range(len(self.guides)) if index not in self.settled]

    def give(self, photo: int, guide: int, rule: str) -> None:
        """A pair is found."""
        self.guide_of[photo] = guide
        self.settled.add(guide)
        self.used.add(guide)
        if rule:
            self.rule_of[photo] = rule

    def guide(self, photo: int) -> Path | None:
        """The guide's path; None where there is none."""
        index = self.guide_of.get(photo)
        return None if index is None else self.guides[index].path

    def problem(self, photo: int) -> str:
        """Why there is no guide; empty where there is."""
        if photo in self.guide_of:
            return ""
        named = self.photos[photo]
        place = self.where.joinpath(*named.place)
        return self.problem_of.get(photo) or (
            f"has no {self.what}: name it {self.usual_names(named.stem)} in {place}"
        )

    def usual_names(self, stem: str) -> str:
        """How the guide of a photo may be called."""
        ending = f"{stem}_{self.what}.png"
        return ending if self.shared else f"{stem}.png or {ending}"

    def suggestion(self) -> str:
        """A pattern for names that no rule pairs: for these, if they are two sequences."""
        ours = _by_folder(self.photos, self.open_photos(), (), guide=False)
        theirs = _by_folder(self.guides, self.open_guides(), (), guide=True)
        for place in sorted(ours.keys() & theirs.keys(), key=repr):
            varying = ours[place].varying(), theirs[place].varying()
            if len(varying[0]) == len(varying[1]) == 1:
                photos = Side(self.photos, _by_frame(ours[place], varying[0][0]))
                guides = Side(self.guides, _by_frame(theirs[place], varying[1][0]))
                equal = photos.by_number.keys() & guides.by_number.keys()
                by = 0 if equal else min(photos.by_number) - min(guides.by_number)
                return suggestion(photos, guides, by)
        return "{name}_plate.{n}:{name}_matte.{n}"

    def notes(self) -> list[str]:
        """What a user should know before the work."""
        lines = []
        for rule, count in Counter(self.rule_of.values()).items():
            photo = next(index for index, other in self.rule_of.items() if other == rule)
            names = f"{self.photos[photo].name} with {self.guides[self.guide_of[photo]].name}"
            many = f"{count} photos are" if count > 1 else "1 photo is"
            lines.append(f"{many} paired {_HOW[rule]}: {names}{', …' if count > 1 else ''}")
        unused = [self.guides[index].name for index in self.open_guides()]
        if unused:
            are = "is" if len(unused) == 1 else "are"
            many = f"{len(unused)} of {len(self.guides)} {self.what}s"
            lines.append(f"{self.where}: {many} {are} not used: {listed(unused)}")
        return lines

    def missing(self) -> tuple[str, ...]:
        """A sentence on the photos without a guide, if there are any."""
        alone = [named.name for i, named in enumerate(self.photos) if i not in self.guide_of]
        if not alone:
            return ()
        have = "has" if len(alone) == 1 else "have"
        return (
            f"{len(alone)} of {len(self.photos)} photos {have} no {self.what}: {listed(alone)}",
        )


def pair_by_names(
    photos: Sequence[Named],
    guides: Sequence[Named],
    what: str,
    where: Path,
    *,
    shared: bool = False,
) -> Pairing:
    """Pairs by what is usual: equal stems, endings, capitals, words and numbers.

    shared: photos and guides lie in one folder, where only an ending makes a guide.

    Raises InputError where the numbers of photos and guides are shifted against each other.
    """
    pairing = Pairing(photos, guides, what, where, shared)
    exact = partial(_by_affixes, pairing, lambda named: named.place, composed, "")
    folded_too = partial(_by_affixes, pairing, _folded_place, folded, "case")
    for rule in (exact, folded_too):
        rule(masks=what == "mask", shared=shared)
    if not shared:
        if not any(named.place for named in guides) or not any(named.place for named in photos):
            _by_affixes(
                pairing, lambda named: (), folded, "flat", masks=what == "mask", shared=False
            )
        _by_words(pairing, "words")
        _by_words(pairing, "version")
        _by_numbers(pairing)
    check_shifts(
        photos,
        guides,
        [i for i in range(len(photos)) if i not in pairing.guide_of],
        [i for i in range(len(guides)) if i not in pairing.used],
        what,
    )
    return pairing


def pair_by_pattern(
    photos: Sequence[Named], guides: Sequence[Named], what: str, where: Path, pair: str
) -> Pairing:
    """Pairs as a pattern says; see `pair_pattern.parse_pair`.

    A guide may serve several photos, where its side has fewer fields. Raises SettingError for a
    pattern that is none.
    """
    photo_side, guide_side = parse_pair(pair)
    pairing = Pairing(photos, guides, what, where)
    names = guide_side.fields
    paths = photo_side.path or guide_side.path
    ours = [photo_side.read(named) for named in photos]
    theirs = [guide_side.read(named) for named in guides]
    flat = paths or not any(named.place for named in guides)
    for fold in (False, True):
        by_fields: dict[Hashable, list[int]] = defaultdict(list)
        for index, fields in enumerate(theirs):
            if fields is not None:
                place = () if flat else tuple(map(folded, guides[index].place))
                by_fields[place, projected(fields, names, fold=fold)].append(index)
        for index in pairing.open_photos():
            mine = ours[index]
            if mine is None:
                continue
            place = () if flat else tuple(map(folded, photos[index].place))
            found = by_fields.get((place, projected(mine, names, fold=fold)), [])
            if len(found) == 1:
                pairing.give(index, found[0], "")
            elif found:
                pairing.problem_of[index] = _several(pairing, found)
    for index in pairing.open_photos():
        pairing.problem_of[index] = f"has no {what} that is named as --pair '{pair}' says"
    if flat and not paths:
        _refuse_sharing(pairing)
    return pairing


def _refuse_sharing(pairing: Pairing) -> None:
    """Photos of several folders must not have one guide by chance."""
    places: dict[int, set[tuple[str, ...]]] = defaultdict(set)
    for photo, guide in pairing.guide_of.items():
        places[guide].add(pairing.photos[photo].place)
    for photo, guide in list(pairing.guide_of.items()):
        if len(places[guide]) > 1:
            del pairing.guide_of[photo]
            pairing.problem_of[photo] = (
                f"shares {pairing.guides[guide].name} with photos of other folders; lay the"
                f" {pairing.what}s out in the same folders, or name the folders in --pair"
            )


# ---- rules ---------------------------------------------------------------------------------------


def _by_affixes(
    pairing: Pairing,
    place: Callable[[Named], Hashable],
    spell: Callable[[str], str],
    rule: str,
    *,
    masks: bool,
    shared: bool,
) -> None:
    """hair.png, hair_mask.png, mask-hair.png and hair.jpg.png are of hair.jpg."""
    open_photos, open_guides = pairing.open_photos(), pairing.open_guides()
    if not (open_photos and open_guides):
        return
    claims: dict[int, list[_Claim]] = {}
    keys: dict[int, list[Hashable]] = {}
    everybody: Counter[Hashable] = Counter()
    for index, photo in enumerate(pairing.photos):
        at, stem = place(photo), spell(photo.stem)
        everybody[at, stem] += 1
        keys[index] = [(at, stem), (at, spell(photo.stem + photo.suffix))]
    for index in open_guides:
        guide = pairing.guides[index]
        at, stem = place(guide), spell(guide.stem)
        exact = (at, stem) in everybody
        claims[index] = [] if exact and shared else [_Claim((at, stem), 0, True)]
        if shared or not exact:
            claims[index] += [
                _Claim((at, spell(base)), rank, plain)
                for base, rank, plain in bases(stem, masks=masks)
            ]
    _match(pairing, {i: keys[i] for i in open_photos}, claims, rule, everybody)


def _folded_place(named: Named) -> Hashable:
    return tuple(map(folded, named.place))


def _by_words(pairing: Pairing, rule: str) -> None:
    """shot_plate.0001 and shot-matte-1: the same words, but those of the role, and numbers."""

    photos, guides = pairing.open_photos(), pairing.open_guides()
    if not (photos and guides):
        return
    if rule == "version":
        stems = [pairing.photos[i].stem for i in photos] + [pairing.guides[i].stem for i in guides]
        if not any(map(has_version, stems)):
            return

    def key(named: Named, *, guide: bool) -> Hashable:
        if rule == "version":
            named = named._replace(stem=without_version(named.stem))
        return (*folder_tokens(named, guide=guide), *stem_tokens(named, guide=guide))

    _match(
        pairing,
        {i: [key(pairing.photos[i], guide=False)] for i in photos},
        {i: [_Claim(key(pairing.guides[i], guide=True), 0, True)] for i in guides},
        rule,
    )


def _match(
    pairing: Pairing,
    photos: dict[int, list[Hashable]],
    guides: dict[int, list[_Claim]],
    rule: str,
    everybody: Counter[Hashable] | None = None,
) -> None:
    """Give each photo the best guide that has one of its keys.

    everybody: how many photos have a key, those with a guide too; None counts those in question.
    """
    by_key: dict[Hashable, list[tuple[int, int, bool]]] = defaultdict(list)
    for index, claims in guides.items():
        for key, rank, plain in claims:
            by_key[key].append((rank, index, plain))
    chosen: dict[int, list[tuple[int, bool, list[int]]]] = defaultdict(list)
    for photo, keys in photos.items():
        found = sorted({claim for key in keys for claim in by_key.get(key, ())})
        best = sorted({index for rank, index, _ in found if rank == found[0][0]})
        everyone = [index for _, index, _ in found]
        if len(best) > 1:
            pairing.problem_of[photo] = _several(pairing, best)
            pairing.settled.update(everyone)
        elif best and everybody is not None and everybody[keys[0]] > 1 and rule == "flat":
            pairing.problem_of[photo] = (
                f"is not the only photo of its name, so that {pairing.guides[best[0]].name} may be"
                f" another one's; lay the {pairing.what}s out in the same folders as the photos"
            )
        elif best:
            chosen[best[0]].append((photo, found[0][2], everyone))
    for guide, claimants in chosen.items():
        if len(claimants) > 1:
            for photo, _, _ in claimants:
                others = listed(
                    pairing.photos[other].name for other, _, _ in claimants if other != photo
                )
                pairing.problem_of[photo] = (
                    f"may have {pairing.guides[guide].name} for its {pairing.what}, but so may"
                    f" {others}; rename it, or say which by --pair"
                )
            pairing.settled.add(guide)
            continue
        ((photo, plain, everyone),) = claimants
        pairing.settled.update(everyone)
        pairing.give(photo, guide, rule or ("" if plain else "affix"))


def _several(pairing: Pairing, found: Sequence[int]) -> str:
    names = listed(pairing.guides[index].name for index in found)
    return f"has {len(found)} {pairing.what}s ({names} in {pairing.where}); keep one of them"


def _by_numbers(pairing: Pairing) -> None:
    """Folders of one sequence each, whose names differ in nothing but numbers.

    Either the words of one are among the other's, or the numbers are the same altogether. A folder
    of which something is paired by name is left alone.
    """
    ours = _by_folder(pairing.photos, pairing.open_photos(), pairing.guide_of, guide=False)
    theirs = _by_folder(pairing.guides, pairing.open_guides(), pairing.used, guide=True)
    for place in sorted(ours.keys() & theirs.keys(), key=repr):
        columns = _columns_that_count(ours[place], theirs[place])
        if columns is None:
            continue
        mine, yours = ours[place].by_numbers(columns[0]), theirs[place].by_numbers(columns[1])
        related = ours[place].words <= theirs[place].words
        related = related or theirs[place].words <= ours[place].words
        if len(mine) != len(ours[place].numbers) or len(yours) != len(theirs[place].numbers):
            continue  # two of one number
        if related and len(columns[0]) == 1:
            photos = Side(pairing.photos, _by_frame(ours[place], columns[0][0]))
            guides = Side(pairing.guides, _by_frame(theirs[place], columns[1][0]))
            if by := shift(photos.by_number, guides.by_number):
                refuse_shift(photos, guides, by, pairing.what)
        if related or (len(mine) > 1 and mine.keys() == yours.keys()):
            for number in mine.keys() & yours.keys():
                pairing.give(mine[number], yours[number], "number")


@dataclass(frozen=True)
class _Sequence:
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


def _by_frame(sequence: _Sequence, column: int) -> dict[int, tuple[int, int]]:
    """By that number, the index, and which number from the end it is."""
    from_end = sequence.width - column
    return {row[column]: (index, from_end) for index, row in sequence.numbers.items()}


def _by_folder(
    names: Sequence[Named], indices: Iterable[int], paired: Iterable[int], *, guide: bool
) -> dict[Hashable, _Sequence]:
    """The sequences of folders that hold one, and nothing that is paired."""
    taken = {folder_tokens(names[index], guide=guide) for index in paired}
    folders: dict[Hashable, list[int]] = defaultdict(list)
    for index in indices:
        folders[folder_tokens(names[index], guide=guide)].append(index)
    found: dict[Hashable, _Sequence] = {}
    for place, members in folders.items():
        rows = {index: stem_tokens(names[index], guide=guide) for index in members}
        texts = {tuple(t if isinstance(t, str) else "#" for t in row) for row in rows.values()}
        if place not in taken and len(texts) == 1 and "#" in (text := texts.pop()):
            numbers = {i: tuple(t for t in row if isinstance(t, int)) for i, row in rows.items()}
            found[place] = _Sequence(frozenset(text) - {"#"}, numbers)
    return found


def _columns_that_count(ours: _Sequence, theirs: _Sequence) -> tuple[list[int], list[int]] | None:
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
