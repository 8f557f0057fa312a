"""What file names say: their words and numbers, and the words that name a role and no subject."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import TypeAlias

from .folder_scan import Named

Token: TypeAlias = str | int
"""A run of letters, or a number."""

GUIDE_WORDS = ("mask", "matte", "alpha", "trimap")
"""Words that make hair_mask.png, mask_hair.png or hair-mask.png a guide of hair.jpg."""

_PHOTO_ROLES = frozenset(
    re.findall(
        r"\w+",
        "photo photos image images img im pic picture frame frames fr plate plates rgb rgba color"
        " colour src source input in orig original raw comp beauty shot jpg jpeg png tif exr",
    )
)
"""Words that tell nothing of a photo's subject."""

_GUIDE_ROLES = _PHOTO_ROLES | {*GUIDE_WORDS, "masks", "mattes", "alphas", "trimaps"}
"""Words that tell nothing of a guide's subject."""

_MORE_GUIDE_ROLES = _GUIDE_ROLES | set(
    re.findall(
        r"\w+",
        "msk pha seg segmentation roto silhouette label labels gt annotation annotations cutout key"
        " out output pred prediction result binary holdout",
    )
)
"""Words that may tell a guide's role, or its subject."""

_END = re.compile(rf"(.+?)[_\-. ]+({'|'.join(GUIDE_WORDS)})", re.IGNORECASE | re.DOTALL)
_START = re.compile(rf"({'|'.join(GUIDE_WORDS)})[_\-. ]+(.+)", re.IGNORECASE | re.DOTALL)
_ANY = re.compile("|".join(GUIDE_WORDS), re.IGNORECASE)
_RUNS = re.compile(r"\d+|[^\W\d_]+")
_VERSION = re.compile(r"(?:^|(?<=[_\-. ]))v\d+(?=$|[_\-. ])", re.IGNORECASE)


def composed(text: str) -> str:
    """One spelling for each accent: macOS hands out decomposed names."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Without difference between capitals and small letters, and as `composed`."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def bases(stem: str, *, masks: bool) -> Iterator[tuple[str, int, bool]]:
    """Photos' stems that a guide of this stem may belong to, each with its rank and whether that
    goes without saying; the lowest rank counts.

    masks: hair_mask.png is better than hair_trimap.png, and not the other way round.
    """
    if not _ANY.search(stem):  # of a hundred thousand names most say nothing
        return
    first, second = ("mask", "trimap") if masks else ("trimap", "mask")
    ranks = {first: 1, second: 2, "matte": 3, "alpha": 3}
    if found := _END.fullmatch(stem):
        base, word = found[1], found[2].lower()
        plain = word in (first, second) and stem[len(base) :] == f"_{word}"
        yield base, ranks[word], plain
    if found := _START.fullmatch(stem):
        yield found[2], ranks[found[1].lower()], False


def stem_tokens(named: Named, *, guide: bool) -> tuple[Token, ...]:
    """Words and numbers of a name, but those that only tell a photo's or a guide's role."""
    return _tokens(named.stem, _MORE_GUIDE_ROLES if guide else _PHOTO_ROLES)


def folder_tokens(named: Named, *, guide: bool) -> tuple[Token, ...]:
    """The same of the folders it lies in."""
    without = _MORE_GUIDE_ROLES if guide else _PHOTO_ROLES
    return tuple(token for part in named.place for token in _tokens(part, without))


def all_tokens(named: Named, *, guide: bool) -> list[tuple[Token, ...]]:
    """Words and numbers of the folders and the name, in one or two readings, the likelier first.

    In label_mask_1.png label may be the subject's word, or the guide's.
    """
    parts = (*named.place, named.stem)
    readings = (_GUIDE_ROLES, _MORE_GUIDE_ROLES) if guide else (_PHOTO_ROLES,)
    found = [
        tuple(token for part in parts for token in _tokens(part, without)) for without in readings
    ]
    return found if len(set(found)) > 1 else found[:1]


def _tokens(text: str, without: frozenset[str]) -> tuple[Token, ...]:
    return tuple(
        int(run) if run.isdecimal() else run
        for run in _RUNS.findall(folded(text))
        if run not in without
    )


def has_version(text: str) -> bool:
    """The name has a v2 in it."""
    return _VERSION.search(text) is not None


def without_version(text: str) -> str:
    """The name without its v2."""
    return _VERSION.sub("", text)
