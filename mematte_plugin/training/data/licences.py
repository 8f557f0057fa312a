"""The licence gate that every collected photograph passes.

Only public domain, CC0, CC-BY, MIT and what this project renders passes; share-alike,
non-commercial and unknown licences stay out.
"""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from ...errors import InputError

KNOWN = Path(__file__).with_name("known_pictures.csv")
CREDITS = "credits.csv"
"""A file of that name in a folder says what the folder's pictures may be used for."""

_FORMS = (
    (re.compile(r"cc-?(0|zero)(-v?1(\.0)?)?(-universal)?"), "CC0-1.0"),
    (
        re.compile(r"cc-?by-?v?(\d)(?:\.(\d))?(-(international|unported|generic))?"),
        r"CC-BY-\1.\2",
    ),
    (re.compile(r"mit"), "MIT"),
    (re.compile(r"expat"), "Expat"),
    (re.compile(r"(public-domain|pd)"), "public domain"),
    (re.compile(r"rendered"), "rendered"),
)
"""How permitted licences are written, in lower case with dashes, and our name of each."""
_ACCEPTED = "CC0-1.0, CC-BY-4.0, MIT, public domain"


@dataclass(frozen=True)
class Credit:
    """What is known of a picture's origin."""

    source: str
    """Collection it belongs to."""
    author: str
    """Who made it."""
    licence: str
    """SPDX-like name."""
    url: str = ""
    """Where the collection is found."""


@dataclass(frozen=True)
class Rule:
    """One line of a folder's credits."""

    pattern: str
    """Path, file name or wildcards, in Unicode's composed form."""
    credit: Credit
    """Origin of the pictures that match."""


Rules = tuple[Rule, ...]
"""A folder's credits in the order of the file: the last rule that matches counts."""


# ---- names of licences ---------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def canonical(licence: str) -> str | None:
    """The usual name of a permitted licence however it is written; None of any other licence.

    `CC BY 4.0`, `cc-by-4.0` and `CC BY 4.0 International` are all `CC-BY-4.0`.
    """
    words = re.sub(r"-licen[cs]e$", "", _words(licence))
    for form, name in _FORMS:
        if match := form.fullmatch(words):
            expanded = match.expand(name)
            return f"{expanded}0" if expanded.endswith(".") else expanded
    return None


def permitted(licence: str) -> bool:
    """Whether a licence permits any use of weights trained on the picture."""
    return canonical(licence) is not None


def non_commercial(licence: str) -> bool:
    """Whether a licence's name says that it forbids commercial use."""
    return re.search(r"(^|-)nc(-|$)|non-?commercial|research", _words(licence)) is not None


def refusal(licence: str) -> str:
    """Why a licence is refused, and what to write if another one is meant."""
    words = _words(licence)
    if re.fullmatch(r"cc-?by|creative-commons(-attribution)?|cc|attribution", words):
        return f"licence {licence}: without its version; write CC-BY-4.0 if that is meant"
    closed = re.search(r"(^|-)(nd|sa|noderivatives|sharealike|noderivs)(-|$)", words)
    if closed or non_commercial(licence):
        return f"licence {licence}: does not permit every use of the weights"
    if words in {"", "unknown"}:
        return f"licence unknown; write one of {_ACCEPTED} if the author permits it"
    return f"licence {licence}: not one of {_ACCEPTED}; write it so if that is meant"


def _words(licence: str) -> str:
    return re.sub(r"[\s_-]+", "-", licence.strip().lower())


# ---- credits of pictures -------------------------------------------------------------------------


def sha256(data: bytes | Path) -> str:
    """Checksum of bytes or of a file."""
    return hashlib.sha256(data.read_bytes() if isinstance(data, Path) else data).hexdigest()


@cache
def known_pictures() -> dict[str, Credit]:
    """Credits of photographs in public collections, by checksum."""
    with KNOWN.open(encoding="utf-8", newline="") as file:
        return {row["sha256"]: _credit(row) for row in csv.DictReader(file)}


def folder_credits(folder: Path) -> Rules:
    """The rules of a folder's `credits.csv` (columns file, author, licence; also source, url).

    Empty if there is none. Raises InputError if columns are missing or it is not a text file.
    """
    table = folder / CREDITS
    if not table.is_file():
        return ()
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"file", "author", "licence"} - set(rows.fieldnames or ())
            if missing:
                raise InputError(
                    f"{table}: no column {', '.join(sorted(missing))}; its first line must be"
                    " file,author,licence"
                )
            named = [row for row in rows if (row["file"] or "").strip()]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not a table ({error}); save it as CSV in UTF-8") from None
    # Windows users write paths with backslashes.
    return tuple(
        Rule(_composed(row["file"].strip().replace("\\", "/")), _credit(row, folder.name))
        for row in named
    )


def _credit(row: dict[str, str], source: str = "") -> Credit:
    licence = (row["licence"] or "unknown").strip()
    return Credit(
        source=row.get("source") or source,
        author=(row["author"] or "unknown").strip(),
        licence=canonical(licence) or licence,
        url=row.get("url") or "",
    )


def credit_of(name: str, rules: Rules) -> Credit | None:
    """The credit of the picture at a path relative to the folder; None if no rule matches.

    A pattern without a slash is a file name in any folder; with one it is a path: `free/*` matches
    files in free/, `free/**` everything below. A rule that refuses also refuses everything below
    the folders it matches, and where names differ in case only, the stricter reading counts.
    """
    name = _composed(name)
    exact = _last(name, rules)
    folded = _last(name.lower(), [Rule(rule.pattern.lower(), rule.credit) for rule in rules])
    found = [credit for credit in (exact, folded) if credit is not None]
    refused = [credit for credit in found if not permitted(credit.licence)]
    return next(iter(refused or found), None)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)  # macOS stores letters and accents apart


def _last(name: str, rules: Sequence[Rule]) -> Credit | None:
    return next((rule.credit for rule in reversed(rules) if _matches(name, rule)), None)


def _matches(name: str, rule: Rule) -> bool:
    if _names(name, rule.pattern):
        return True
    if permitted(rule.credit.licence):
        return False
    # A rule that refuses a folder, or with `*` the files in it, refuses everything below.
    parts = name.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    crossing = "/" in rule.pattern and fnmatch.fnmatchcase(name, rule.pattern.lstrip("./"))
    return crossing or any(_names(folder, rule.pattern) for folder in above)


def _names(path: str, pattern: str) -> bool:
    if path == pattern:
        return True
    if "/" not in pattern:
        return _fits(path.rpartition("/")[2], pattern)
    pattern = re.sub(r"^(\./|/)+", "", pattern)
    if pattern.endswith("/"):
        pattern += "**"
    return _fits_path(path.split("/"), pattern.split("/"))


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatch.fnmatchcase(name, pattern)  # a name may contain brackets


def _fits_path(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Part by part; `**` matches any number of folders, or at the end everything below."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        least = 1 if len(patterns) == 1 else 0
        return any(
            _fits_path(parts[skipped:], patterns[1:]) for skipped in range(least, len(parts) + 1)
        )
    return bool(parts) and _fits(parts[0], patterns[0]) and _fits_path(parts[1:], patterns[1:])
