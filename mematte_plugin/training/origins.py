"""What a network was made from, and what follows for its licence.

A run records in `origin.json` whose pictures and weights it used, so that a card written later is
true even if the folders have changed.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..images.files import atomic_write
from ..weights.catalog import BUNDLE_ROOT, CATALOG, Entry, find
from ..weights.files import CONFIG, README, WEIGHT_NAMES
from ..weights.publish import UNKNOWN_TERMS
from .checkpoint import CHECKPOINT
from .data.licences import canonical, non_commercial
from .recipe import Recipe

ORIGIN = "origin.json"
"""File name, in the folder of a run."""
TERMS = "terms"
"""Entry of an exported model's config.json."""
OWN_LICENCE = "Apache-2.0"
"""Licence of weights, unless their origin forbids it."""
FREE, OTHER, UNKNOWN, FORBIDDEN = "free", "other", "unknown", "non-commercial"
_FREE_WEIGHTS = re.compile(r"(apache|mit|bsd|isc|cc0|unlicense)\b.*|cc-by-\d(\.\d)?", re.IGNORECASE)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
_NO_LICENCE = {"", "unknown", "other", "none", "n/a"}
_OFFICIAL = re.compile(r"mematte|vitmatte", re.IGNORECASE)
_OFFICIAL_TERMS = (FORBIDDEN, "unknown", "the official checkpoints' data are non-commercial")
_ROLES = {"init": "started from", "teacher": "learned from the teacher"}


@dataclass(frozen=True)
class Ingredient:
    """Pictures or weights that went into a network."""

    kind: str
    """FREE for any use; OTHER terms; UNKNOWN; or FORBIDDEN for commercial use."""
    licence: str
    """As stated."""
    words: str
    """Description for the card."""
    weights: bool = False
    """Whether these are weights rather than pictures."""


@dataclass(frozen=True)
class Terms:
    """What may be done with a network."""

    kind: str
    """The strictest kind of all ingredients."""
    licence: str
    """For the card: an SPDX name, or words."""
    words: str
    """The reasons, and what to do."""
    reasons: str = ""
    """The ingredients that are not free for any use."""


def ingredients_of_run(recipe: Recipe, entries: Iterable[Mapping[str, Any]]) -> list[Ingredient]:
    """What a run with these pictures and the recipe's weights uses."""
    named = {"init": recipe.init}
    if recipe.distillation:
        named["teacher"] = recipe.teacher
    weights = [_weights_ingredient(name, role) for role, name in named.items() if name]
    return [*ingredients_of_pictures(entries), *weights]


def ingredients_of_pictures(entries: Iterable[Mapping[str, Any]]) -> list[Ingredient]:
    """One for each licence in a bank's manifest."""
    authors: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        authors[canonical(entry["licence"]) or entry["licence"].strip()].add(entry["author"])
    return [
        Ingredient(
            _kind_of_pictures(licence),
            licence or "unknown",
            f"pictures of {_listed(names)} ({_stated(licence)})",
        )
        for licence, names in sorted(authors.items())
    ]


def terms_of(ingredients: Sequence[Ingredient]) -> Terms:
    """What follows from all ingredients: the strictest wins, and every reason is given."""
    strict = [one for one in dict.fromkeys(ingredients) if one.kind != FREE]
    weights = [one for one in dict.fromkeys(ingredients) if one.kind == FREE and one.weights]
    began = f" It {'; '.join(one.words for one in weights)}." if weights else ""
    if not strict:
        words = (
            "Trained with mematte-plugin on pictures that permit commercial use, which are listed"
            f" below.{began}"
        )
        return Terms(FREE, OWN_LICENCE, words)
    reasons = "; ".join(one.words for one in strict)
    kinds = {one.kind for one in strict}
    words = f"Trained with mematte-plugin. The licence follows from what was used: {reasons}."
    if FORBIDDEN in kinds:
        return Terms(FORBIDDEN, FORBIDDEN, f"{words}{began} Do not use it commercially.", reasons)
    if UNKNOWN in kinds:
        remedy = "Ask the owner of the unknown parts before you use or pass on these weights."
        return Terms(UNKNOWN, UNKNOWN, f"{words}{began} {remedy}", reasons)
    stated = ", ".join(sorted({one.licence for one in strict}))
    words += f"{began} Those terms apply to these weights too."
    return Terms(OTHER, stated, words, reasons)


# ---- records of a run ----------------------------------------------------------------------------


def record(run: Path, ingredients: Sequence[Ingredient], *, new: bool) -> None:
    """Add what a run uses to its record; a new run starts a new one. Raises OutputError."""
    before = [] if new else recorded(run) or []
    stored = [asdict(one) for one in dict.fromkeys([*before, *ingredients])]
    text = json.dumps({"version": 1, "parts": stored}, indent=1, ensure_ascii=False)
    with atomic_write(run / ORIGIN) as temporary:
        temporary.write_text(text, encoding="utf-8")


def recorded(run: Path) -> list[Ingredient] | None:
    """What a run has used; None if it has no record."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads((run / ORIGIN).read_text(encoding="utf-8"))
        return [Ingredient(**one) for one in stored["parts"]]
    return None


# ---- pictures ------------------------------------------------------------------------------------


def _kind_of_pictures(licence: str) -> str:
    if canonical(licence):
        return FREE
    if non_commercial(licence):
        return FORBIDDEN
    return UNKNOWN if licence.lower() in _NO_LICENCE else OTHER


def _stated(licence: str) -> str:
    return "licence unknown" if licence.lower() in _NO_LICENCE else licence


def _listed(names: Iterable[str], most: int = 3) -> str:
    known = sorted(names)
    more = f" and {len(known) - most} others" if len(known) > most else ""
    return ", ".join(known[:most]) + more


# ---- weights -------------------------------------------------------------------------------------


def _weights_ingredient(source: str, role: str) -> Ingredient:
    kind, licence, why = _weights(source)
    name = source if _is_hub_id(source) else Path(source).name
    reason = f"; {why}" if why else ""
    return Ingredient(
        kind, licence, f"{_ROLES[role]} {name} ({_stated(licence)}{reason})", weights=True
    )


def _weights(source: str) -> tuple[str, str, str]:
    """(kind, licence, why) of what `--init` and `--teacher` take."""
    path = Path(source).expanduser()
    entry = find(source.partition("@")[0])
    if entry is not None:  # as when loading, a catalog name wins over a folder
        return _of_entry(entry)
    if not path.exists():
        gone = (UNKNOWN, "unknown", "no longer there")
        return _of_hub(source) if _is_hub_id(source) else gone
    run = path.parent if path.name == CHECKPOINT else path
    if (run / CHECKPOINT).is_file():
        return _of_run(run)
    if path.is_dir() or path.name in WEIGHT_NAMES:
        folder = path if path.is_dir() else path.parent
        if (folder / CONFIG).is_file() or (folder / README).is_file():
            return _of_folder(folder)
    if _OFFICIAL.search(path.name):
        return _OFFICIAL_TERMS
    return UNKNOWN, "unknown", "the file has no model card"


def _is_hub_id(source: str) -> bool:
    return not Path(source).exists() and _HUB_ID.fullmatch(source) is not None


def _of_entry(entry: Entry) -> tuple[str, str, str]:
    if entry.commercial:
        return FREE, entry.licence, ""
    return FORBIDDEN, entry.licence, f"trained on {entry.trained_on}"


def _of_run(run: Path) -> tuple[str, str, str]:
    used = recorded(run)
    if used is None:
        return UNKNOWN, "unknown", f"no {ORIGIN} says what that run was trained on"
    return _of_terms(terms_of(used))


def _of_terms(terms: Terms) -> tuple[str, str, str]:
    return terms.kind, terms.licence, terms.reasons


def _of_folder(folder: Path) -> tuple[str, str, str]:
    bundled = CATALOG.get(folder.name)
    if bundled is not None and folder.resolve() == (BUNDLE_ROOT / folder.name).resolve():
        return _of_entry(bundled)
    return _of_model(folder / CONFIG, folder / README)


def _of_hub(name: str) -> tuple[str, str, str]:
    from ..weights.hub import cached, download_card

    repo, _, revision = name.partition("@")
    card = download_card(repo, revision=revision or "main")
    return _of_model(cached(repo, CONFIG, revision or "main"), card)


def _of_model(config_file: Path | None, card_file: Path | None) -> tuple[str, str, str]:
    """By config.json if it records the origin, else by the model card."""
    config: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        loaded = json.loads(config_file.read_text(encoding="utf-8")) if config_file else {}
        config = loaded if isinstance(loaded, dict) else {}
    with suppress(KeyError, TypeError):
        return _of_terms(Terms(**config[TERMS]))
    converted = str(config.get("converted_from", ""))
    origin = find(converted)
    if origin is not None:
        return _of_entry(origin)
    if _OFFICIAL.search(converted):
        return _OFFICIAL_TERMS
    try:
        card = card_file.read_text(encoding="utf-8") if card_file else ""
    except (OSError, ValueError):
        card = ""
    if not card:
        return UNKNOWN, "unknown", "no model card can be read"
    return of_card(card)


def of_card(text: str) -> tuple[str, str, str]:
    """(kind, licence, why) by a model card's front matter and its section on terms."""
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    fields = (
        dict(re.findall(r"^(license(?:_name)?):[ \t]*(.*?)\s*$", front[1], re.M)) if front else {}
    )
    licence = fields.get("license", "").strip("\"'[] ")
    if licence.lower() in _NO_LICENCE:
        licence = fields.get("license_name", "").strip("\"' ") or "unknown"
    section = re.search(r"^## Terms\s*\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.M)
    stated = section[1].replace(UNKNOWN_TERMS, "") if section else ""
    if non_commercial(licence) or re.search(r"non-?commercial", stated, re.IGNORECASE):
        return FORBIDDEN, licence, "" if non_commercial(licence) else "by its model card"
    if licence.lower() in _NO_LICENCE:
        return UNKNOWN, "unknown", "its model card states none"
    if "**Not permitted for every use" in text:
        return UNKNOWN, licence, "its model card names pictures that are not free for every use"
    return (FREE if _FREE_WEIGHTS.fullmatch(licence) else OTHER), licence, ""
