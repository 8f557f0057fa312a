"""Which trimap or mask belongs to which photo, by their names.

Rules go from strict to loose, and each only says what belongs together beyond doubt: what two
photos could claim, or of what a photo has two, is told and not chosen from. No rule goes by order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

from .folder_scan import Named
from .frame_numbers import Side, check_shifts, doubtful, refuse_shift, shift, suggestion
from .name_words import all_tokens, bases, composed, folded, has_version, without_version
from .pair_pattern import parse_pair, projected
from .report import listed
from .sequences import by_frame, columns_that_count, sequences

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
    """A guide may be of the photo of a name."""

    rank: int  # the lowest counts
    guide: int
    plain: bool  # needs no mention


_Claims: TypeAlias = dict[Hashable, list[_Claim]]
"""By what the names of photo and guide have in common."""


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
        ours = sequences(self.photos, self.open_photos(), (), guide=False)
        theirs = sequences(self.guides, self.open_guides(), (), guide=True)
        for place in sorted(ours.keys() & theirs.keys(), key=repr):
            varying = ours[place].varying(), theirs[place].varying()
            if len(varying[0]) == len(varying[1]) == 1:
                photos = Side(self.photos, by_frame(ours[place], varying[0][0]))
                guides = Side(self.guides, by_frame(theirs[place], varying[1][0]))
                equal = photos.by_number.keys() & guides.by_number.keys()
                by = 0 if equal else min(photos.by_number) - min(guides.by_number)
                return suggestion(photos, guides, by)
        return "{name}_plate.{n}:{name}_matte.{n}"

    def notes(self) -> list[str]:
        """What a user should know before the work."""
        lines = []
        for rule, count in Counter(self.rule_of.values()).items():
            photo = next(index for index, other in self.rule_of.items() if other == rule)
            pair = f"{self.photos[photo].name} with {self.guides[self.guide_of[photo]].name}"
            many = f"{count} photos are" if count > 1 else "1 photo is"
            lines.append(f"{many} paired {_HOW[rule]}: {pair}{', …' if count > 1 else ''}")
        unused = self.open_guides()
        if unused:
            are = "is" if len(unused) == 1 else "are"
            many = f"{len(unused)} of {len(self.guides)} {self.what}s"
            names = listed(self.guides[i].name for i in unused)
            line = f"{self.where}: {many} {are} not used: {names}"
            if len(unused) == 1 and (other := doubtful(self.photos, self.guides, unused[0])):
                line += f"; if the {self.what}s count from another start, pass --pair '{other}'"
            lines.append(line)
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
    keys: dict[int, list[Hashable]] = {}
    everybody: Counter[Hashable] = Counter()
    for index, photo in enumerate(pairing.photos):
        at, stem = place(photo), spell(photo.stem)
        everybody[at, stem] += 1
        keys[index] = [(at, stem), (at, spell(photo.stem + photo.suffix))]
    keys = {index: keys[index] for index in open_photos}
    wanted = {key for both in keys.values() for key in both}
    claims: _Claims = defaultdict(list)
    for index in open_guides:
        guide = pairing.guides[index]
        at, stem = place(guide), spell(guide.stem)
        exact = (at, stem) in everybody
        if (at, stem) in wanted and not (exact and shared):
            claims[at, stem].append(_Claim(0, index, True))
        if shared or not exact:
            for base, rank, plain in bases(stem, masks=masks):
                if (key := (at, spell(base))) in wanted:
                    claims[key].append(_Claim(rank, index, plain))
    _match(pairing, keys, claims, rule, everybody)


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

    def keys(named: Named, *, guide: bool) -> Sequence[Hashable]:
        if rule == "version":
            named = named._replace(stem=without_version(named.stem))
        return all_tokens(named, guide=guide)

    claims: _Claims = defaultdict(list)
    for index in guides:
        for rank, key in enumerate(keys(pairing.guides[index], guide=True)):
            claims[key].append(_Claim(rank, index, True))
    _match(pairing, {i: list(keys(pairing.photos[i], guide=False)) for i in photos}, claims, rule)


def _match(
    pairing: Pairing,
    photos: dict[int, list[Hashable]],
    claims: _Claims,
    rule: str,
    everybody: Counter[Hashable] | None = None,
) -> None:
    """Give each photo the best guide that has one of its keys.

    everybody: how many photos have a key, those with a guide too; None counts those in question.
    """
    chosen: dict[int, list[tuple[int, bool, list[int]]]] = defaultdict(list)
    for photo, keys in photos.items():
        found = sorted({claim for key in keys for claim in claims.get(key, ())})
        if not found:
            continue
        best = sorted({claim.guide for claim in found if claim.rank == found[0].rank})
        everyone = [claim.guide for claim in found]
        if len(best) > 1:
            pairing.problem_of[photo] = _several(pairing, best)
            pairing.settled.update(everyone)
        elif everybody is not None and everybody[keys[0]] > 1 and rule == "flat":
            pairing.problem_of[photo] = (
                f"is not the only photo of its name, so that {pairing.guides[best[0]].name} may be"
                f" another one's; lay the {pairing.what}s out in the same folders as the photos"
            )
        else:
            chosen[best[0]].append((photo, found[0].plain, everyone))
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
    ours = sequences(pairing.photos, pairing.open_photos(), pairing.guide_of, guide=False)
    theirs = sequences(pairing.guides, pairing.open_guides(), pairing.used, guide=True)
    for place in sorted(ours.keys() & theirs.keys(), key=repr):
        columns = columns_that_count(ours[place], theirs[place])
        if columns is None:
            continue
        mine, yours = ours[place].by_numbers(columns[0]), theirs[place].by_numbers(columns[1])
        related = ours[place].words <= theirs[place].words
        related = related or theirs[place].words <= ours[place].words
        if len(mine) != len(ours[place].numbers) or len(yours) != len(theirs[place].numbers):
            continue  # two of one number
        if related and len(columns[0]) == 1:
            photos = Side(pairing.photos, by_frame(ours[place], columns[0][0]))
            guides = Side(pairing.guides, by_frame(theirs[place], columns[1][0]))
            if by := shift(photos.by_number, guides.by_number):
                refuse_shift(photos, guides, by, pairing.what)
        if related or (len(mine) > 1 and mine.keys() == yours.keys()):
            for number in mine.keys() & yours.keys():
                pairing.give(mine[number], yours[number], "number")
