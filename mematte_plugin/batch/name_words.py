"""The words and numbers of file names, without the words for a role rather than a subject."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import TypeAlias

from .folder_scan import Named

Token: TypeAlias = str | int
"""A run of letters, or a number."""

Tokens: TypeAlias = tuple[Token, ...]

GUIDE_WORDS = ("mask", "matte", "alpha", "trimap")
"""Words that make hair_mask.png, mask_hair.png or hair-mask.png a guide of hair.jpg."""

_PHOTO_WORDS = (
    "photo photos image images img im pic picture frame frames fr plate plates rgb rgba color"
    " colour src source input in orig original raw comp beauty shot jpg jpeg png tif exr"
)
_MORE_GUIDE_WORDS = (
    "msk pha seg segmentation roto silhouette label labels gt annotation annotations cutout key"
    " out output pred prediction result binary holdout"
)

_PHOTO_ROLES = frozenset(_PHOTO_WORDS.split())
"""Words that say nothing of a photo's subject."""

_GUIDE_ROLES = _PHOTO_ROLES | {*GUIDE_WORDS, "masks", "mattes", "alphas", "trimaps"}
"""Words that say nothing of a guide's subject."""

_MORE_GUIDE_ROLES = _GUIDE_ROLES | set(_MORE_GUIDE_WORDS.split())
"""Words that may name a guide's role, or its subject."""

_END = re.compile(rf"(.+?)[_\-. ]+({'|'.join(GUIDE_WORDS)})", re.IGNORECASE | re.DOTALL)
_START = re.compile(rf"({'|'.join(GUIDE_WORDS)})[_\-. ]+(.+)", re.IGNORECASE | re.DOTALL)
_ANY = re.compile("|".join(GUIDE_WORDS), re.IGNORECASE)
_RUNS = re.compile(r"\d+|[^\W\d_]+")
_VERSION = re.compile(r"(?:^|(?<=[_\-. ]))v\d+(?=$|[_\-. ])", re.IGNORECASE)


def composed(text: str) -> str:
    """One spelling for each accent: macOS gives decomposed names."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Composed, and without difference between capitals and small letters."""
    if text.isascii():
        return text.lower()
    return composed(composed(text).casefold())


def bases(stem: str, *, masks: bool) -> Iterator[tuple[str, int, bool]]:
    """Stems of photos that a guide of this stem may belong to.

    Each with its rank, of which the lowest counts, and whether it needs no mention.

    masks: hair_mask.png is better than hair_trimap.png, and not the other way round.
    """
    if not _ANY.search(stem):  # true of most of a hundred thousand names
        return
    first, second = ("mask", "trimap") if masks else ("trimap", "mask")
    ranks = {first: 1, second: 2, "matte": 3, "alpha": 3}
    if found := _END.fullmatch(stem):
        base, word = found[1], found[2].lower()
        plain = word in (first, second) and stem[len(base) :] == f"_{word}"
        yield base, ranks[word], plain
    if found := _START.fullmatch(stem):
        yield found[2], ranks[found[1].lower()], False


def stem_tokens(named: Named, *, guide: bool) -> Tokens:
    """Words and numbers of a name, except words for the role of a photo or a guide."""
    return _tokens([named.stem], _MORE_GUIDE_ROLES if guide else _PHOTO_ROLES)


def folder_tokens(named: Named, *, guide: bool) -> Tokens:
    """The same of the folders it is in."""
    return _tokens(named.place, _MORE_GUIDE_ROLES if guide else _PHOTO_ROLES)


def all_tokens(named: Named, *, guide: bool) -> list[Tokens]:
    """Words and numbers of the folders and the name, in one or two readings, the likelier first.

    In label_mask_1.png label may be the subject's word, or the guide's.
    """
    parts = (*named.place, named.stem)
    readings = (_GUIDE_ROLES, _MORE_GUIDE_ROLES) if guide else (_PHOTO_ROLES,)
    return list(dict.fromkeys(_tokens(parts, roles) for roles in readings))


def _tokens(parts: tuple[str, ...] | list[str], without: frozenset[str]) -> Tokens:
    return tuple(
        int(run) if run.isdecimal() else run
        for part in parts
        for run in _RUNS.findall(folded(part))
        if run not in without
    )


def without_version(text: str) -> str:
    """The name without its v2."""
    return _VERSION.sub("", text)
