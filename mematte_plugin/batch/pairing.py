"""Which trimap or mask belongs to which photo, by their names.

Rules go from strict to loose, and each pairs only what belongs together beyond doubt: a guide that
two photos could claim, or several guides for one photo, are reported and not chosen from. No rule
goes by order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from .folder_scan import Named
from .frame_numbers import (
    check_shifts,
    columns_that_count,
    doubtful,
    refuse_shift,
    sequences,
    shift,
    suggestion,
)
from .name_words import all_tokens, bases, composed, folded, without_version
from .pair_pattern import EXAMPLE, Pattern, projected
from .report import listed

_HOW = {
    "affix": "by name",
    "case": "without regard to capitals",
    "flat": "by name across folders",
    "words": "by the words and numbers of their names",
    "version": "by name without the version",
    "number": "by number alone",
}
"""How a message names the rules other than the plain one."""


class _Claim(NamedTuple):
    """A guide that may be of the photo of a name."""

    rank: int  # the lowest counts
    guide: int
    plain: bool  # needs no mention


_Keys: TypeAlias = dict[int, list[Hashable]]
"""By index of a photo, what a guide's name may have in common with its name."""

_Claims: TypeAlias = dict[Hashable, list[_Claim]]


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
    """Rule by index of the photo, unless it is the plain one."""
    problem_of: dict[int, str] = field(default_factory=dict)
    """Why a photo has none, by index."""
    settled: set[int] = field(default_factory=set)
    """Guides that no further rule looks at: given to a photo, or worse than the one it has."""

    def open_photos(self) -> list[int]:
        """Photos with neither a guide nor a problem."""
        known = self.guide_of.keys() | self.problem_of.keys()
        return [index for index in range(len(self.photos)) if index not in known]

    def open_guides(self) -> list[int]:
        """Guides that are left."""
        return [index for index in range(len(self.guides)) if index not in self.settled]

    def give(self, photo: int, guide: int, rule: str) -> None:
        """Record a pair."""
        self.guide_of[photo] = guide
        self.settled.add(guide)
        if rule:
            self.rule_of[photo] = rule

    def guide(self, photo: int) -> Path | None:
        """The guide's path; None without one."""
        index = self.guide_of.get(photo)
        return None if index is None else self.guides[index].path

    def problem(self, photo: int) -> str:
        """Why there is no guide; empty if there is one."""
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
            mine, yours = ours[place].varying(), theirs[place].varying()
            if len(mine) == len(yours) == 1:
                photos = ours[place].side(self.photos, mine[0])
                guides = theirs[place].side(self.guides, yours[0])
                equal = photos.by_number.keys() & guides.by_number.keys()
                by = 0 if equal else min(photos.by_number) - min(guides.by_number)
                return suggestion(photos, guides, by)
        return EXAMPLE

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

    def several(self, found: Sequence[int]) -> str:
        """The problem of a photo that has several guides."""
        names = listed(self.guides[index].name for index in found)
        return f"has {len(found)} {self.what}s ({names} in {self.where}); keep one of them"


def pair_by_names(
    photos: Sequence[Named],
    guides: Sequence[Named],
    what: str,
    where: Path,
    *,
    shared: bool = False,
) -> Pairing:
    """Pairs by what is usual: equal stems, endings, capitals, words and numbers.

    shared: photos and guides are in one folder, where only an ending makes a guide.

    Raises InputError if the numbers of photos and guides are shifted against each other.
    """
    pairing = Pairing(photos, guides, what, where, shared)
    _by_affixes(pairing, lambda named: named.place, composed, "")
    _by_affixes(pairing, _folded_place, folded, "case")
    if not shared:
        if not any(named.place for named in guides) or not any(named.place for named in photos):
            _by_affixes(pairing, lambda named: (), folded, "flat")
        _by_words(pairing)
        _by_words(pairing, without_versions=True)
        _by_numbers(pairing)
    used = set(pairing.guide_of.values())
    alone = [i for i in range(len(photos)) if i not in pairing.guide_of]
    unused = [i for i in range(len(guides)) if i not in used]
    check_shifts(photos, guides, alone, unused, what)
    return pairing


def pair_by_pattern(
    photos: Sequence[Named],
    guides: Sequence[Named],
    what: str,
    where: Path,
    pair: tuple[Pattern, Pattern],
) -> Pairing:
    """Pairs as a pattern says; see `pair_pattern.parse_pair`.

    A guide may serve several photos, if its side has fewer fields.
    """
    photo_side, guide_side = pair
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
                place = () if flat else _folded_place(guides[index])
                by_fields[place, projected(fields, names, fold=fold)].append(index)
        for index in pairing.open_photos():
            mine = ours[index]
            if mine is None:
                continue
            place = () if flat else _folded_place(photos[index])
            found = by_fields.get((place, projected(mine, names, fold=fold)), [])
            if len(found) == 1:
                pairing.give(index, found[0], "")
            elif found:
                pairing.problem_of[index] = pairing.several(found)
    for index in pairing.open_photos():
        text = f"{photo_side.text}:{guide_side.text}"
        pairing.problem_of[index] = f"has no {what} that is named as --pair '{text}' says"
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
) -> None:
    """hair.png, hair_mask.png, mask-hair.png and hair.jpg.png are of hair.jpg."""
    open_photos, open_guides = pairing.open_photos(), pairing.open_guides()
    if not (open_photos and open_guides):
        return
    photos_of: Counter[Hashable] = Counter(
        (place(photo), spell(photo.stem)) for photo in pairing.photos
    )
    keys: _Keys = {}
    for index in open_photos:
        photo = pairing.photos[index]
        at = place(photo)
        keys[index] = [(at, spell(photo.stem)), (at, spell(photo.stem + photo.suffix))]
    wanted = {key for both in keys.values() for key in both}
    claims: _Claims = defaultdict(list)
    for index in open_guides:
        guide = pairing.guides[index]
        at, stem = place(guide), spell(guide.stem)
        exact = (at, stem) in photos_of
        if (at, stem) in wanted and not (exact and pairing.shared):
            claims[at, stem].append(_Claim(0, index, True))
        if pairing.shared or not exact:
            for base, rank, plain in bases(stem, masks=pairing.what == "mask"):
                if (key := (at, spell(base))) in wanted:
                    claims[key].append(_Claim(rank, index, plain))
    if rule == "flat":
        for index, both in keys.items():
            found = _best(both, claims)
            if len(found) == 1 and photos_of[both[0]] > 1:
                pairing.problem_of[index] = (
                    f"is not the only photo of its name, so that {pairing.guides[found[0]].name}"
                    f" may be another one's; lay the {pairing.what}s out in the same folders as the"
                    " photos"
                )
        keys = {index: both for index, both in keys.items() if index not in pairing.problem_of}
    _match(pairing, keys, claims, rule)


def _folded_place(named: Named) -> Hashable:
    return tuple(map(folded, named.place))


def _by_words(pairing: Pairing, *, without_versions: bool = False) -> None:
    """shot_plate.0001 and shot-matte-1: the same numbers and words, except those of the role."""

    def keys(named: Named, *, guide: bool) -> list[Hashable]:
        if without_versions:
            named = named._replace(stem=without_version(named.stem))
        return list(all_tokens(named, guide=guide))

    photos, guides = pairing.open_photos(), pairing.open_guides()
    if not (photos and guides):
        return
    claims: _Claims = defaultdict(list)
    for index in guides:
        for rank, key in enumerate(keys(pairing.guides[index], guide=True)):
            claims[key].append(_Claim(rank, index, True))
    photo_keys = {i: keys(pairing.photos[i], guide=False) for i in photos}
    _match(pairing, photo_keys, claims, "version" if without_versions else "words")


def _claims_on(keys: list[Hashable], claims: _Claims) -> list[_Claim]:
    """The best first."""
    return sorted({claim for key in keys for claim in claims.get(key, ())})


def _best(keys: list[Hashable], claims: _Claims) -> list[int]:
    """The guides of the lowest rank."""
    found = _claims_on(keys, claims)
    return sorted({claim.guide for claim in found if claim.rank == found[0].rank})


def _match(pairing: Pairing, photos: _Keys, claims: _Claims, rule: str) -> None:
    """Give each photo the best guide that has one of its keys."""
    claimants: dict[int, list[int]] = defaultdict(list)
    for photo, keys in photos.items():
        best = _best(keys, claims)
        if len(best) > 1:
            pairing.problem_of[photo] = pairing.several(best)
            pairing.settled.update(claim.guide for claim in _claims_on(keys, claims))
        elif best:
            claimants[best[0]].append(photo)
    for guide, rivals in claimants.items():
        for photo in rivals:
            if len(rivals) == 1:
                found = _claims_on(photos[photo], claims)
                pairing.settled.update(claim.guide for claim in found)
                pairing.give(photo, guide, rule or ("" if found[0].plain else "affix"))
            else:
                others = listed(pairing.photos[other].name for other in rivals if other != photo)
                pairing.problem_of[photo] = (
                    f"may have {pairing.guides[guide].name} for its {pairing.what}, but so may"
                    f" {others}; rename it, or say which by --pair"
                )
                pairing.settled.add(guide)


def _by_numbers(pairing: Pairing) -> None:
    """Folders of one sequence each, whose names differ in nothing but numbers.

    Either the words of one are among the other's, or the numbers are the same altogether. A folder
    of which something is paired by name is left alone.
    """
    used = set(pairing.guide_of.values())
    all_ours = sequences(pairing.photos, pairing.open_photos(), pairing.guide_of, guide=False)
    all_theirs = sequences(pairing.guides, pairing.open_guides(), used, guide=True)
    for place in sorted(all_ours.keys() & all_theirs.keys(), key=repr):
        ours, theirs = all_ours[place], all_theirs[place]
        columns = columns_that_count(ours, theirs)
        if columns is None:
            continue
        mine, yours = ours.by_numbers(columns[0]), theirs.by_numbers(columns[1])
        if len(mine) != len(ours.numbers) or len(yours) != len(theirs.numbers):
            continue  # two of one number
        related = ours.words <= theirs.words or theirs.words <= ours.words
        if related and len(columns[0]) == 1:
            photos = ours.side(pairing.photos, columns[0][0])
            guides = theirs.side(pairing.guides, columns[1][0])
            if by := shift(photos.by_number, guides.by_number):
                refuse_shift(photos, guides, by, pairing.what)
        if related or (len(mine) > 1 and mine.keys() == yours.keys()):
            for number in mine.keys() & yours.keys():
                pairing.give(mine[number], yours[number], "number")
