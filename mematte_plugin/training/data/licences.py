"""Whose picture it is and what it may be used for: the gate that every real picture passes.

Only public domain, CC0, CC-BY, MIT and what this project renders goes in; share-alike,
non-commercial and unknown licences stay out, whatever the picture.
"""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
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
"""How the permitted licences are written, in small letters with dashes for spaces, and the name
that this project uses of each."""
_WILD = re.compile(r"[*?[]")
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
    kind: str = "photo"
    """`photo`, or `panorama`: an equirectangular view of everything around."""
    url: str = ""
    """Where the collection is found."""


@dataclass(frozen=True)
class Rule:
    """One line of what a folder says of its pictures."""

    pattern: str
    """Path, file name or wildcards, in Unicode's composed form."""
    credit: Credit
    """What is said of the pictures that it matches."""


@dataclass(frozen=True)
class Credits:
    """What a folder says of its pictures: the last rule that matches counts (see `credit_of`)."""

    rules: tuple[Rule, ...] = ()
    """In the order of the file."""
    debian: bool = False
    """Rules of a Debian package, whose pictures may be installed all in one folder."""

    @cached_property
    def folded(self) -> tuple[Rule, ...]:
        """The rules in small letters."""
        return tuple(Rule(rule.pattern.lower(), rule.credit) for rule in self.rules)


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
    """Whether a licence lets anyone use the trained weights for anything."""
    return canonical(licence) is not None


def non_commercial(licence: str) -> bool:
    """Whether the name of a licence says that it forbids commercial use."""
    return re.search(r"(^|-)nc(-|$)|non-?commercial|research", _words(licence)) is not None


def _words(licence: str) -> str:
    return re.sub(r"[\s_-]+", "-", licence.strip().lower())


def refusal(licence: str) -> str:
    """Why a licence that is not permitted keeps a picture out, with what to write if it is meant
    otherwise."""
    words = _words(licence)
    if re.fullmatch(r"cc-?by|creative-commons(-attribution)?|cc|attribution", words):
        return f"licence {licence}: without its version; write CC-BY-4.0 if that is meant"
    closed = re.search(r"(^|-)(nd|sa|noderivatives|sharealike|noderivs)(-|$)", words)
    if closed or non_commercial(licence):
        return f"licence {licence}: does not permit every use of the weights"
    if words in {"", "unknown"}:
        return f"licence unknown; write one of {_ACCEPTED} if the author permits it"
    return f"licence {licence}: not one of {_ACCEPTED}; write it so if that is meant"


def sha256(data: bytes | Path) -> str:
    """Checksum of bytes or of a file's bytes."""
    return hashlib.sha256(data.read_bytes() if isinstance(data, Path) else data).hexdigest()


@cache
def known_pictures() -> dict[str, Credit]:
    """Credits of pictures in public collections, by checksum.

    The checksum makes them certain: whatever folder a file lies in, it is that very picture.
    """
    with KNOWN.open(encoding="utf-8", newline="") as file:
        return {row["sha256"]: _credit(row) for row in csv.DictReader(file)}


def folder_credits(folder: Path) -> Credits:
    """What a folder says of its own pictures, in its order.

    Read from `credits.csv` (columns file, author, licence; also source, kind, url) or from Debian's
    machine-readable `copyright`. Empty if there is neither. Raises InputError for a credits.csv
    without these columns, or that is no text.
    """
    table = folder / CREDITS
    if table.is_file():
        try:
            with table.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.DictReader(file)
                lacking = {"file", "author", "licence"} - set(rows.fieldnames or ())
                if lacking:
                    raise InputError(
                        f"{table}: no column {', '.join(sorted(lacking))}; its first line must be"
                        " file,author,licence"
                    )
                named = [row for row in rows if (row["file"] or "").strip()]
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{table}: not a table ({error}); save it as CSV in UTF-8") from None
        # People on Windows write paths with backslashes.
        return Credits(
            tuple(
                Rule(_composed(row["file"].strip().replace("\\", "/")), _credit(row, folder.name))
                for row in named
            )
        )
    debian = folder / "copyright"
    if debian.is_file():
        return debian_credits(debian.read_text(encoding="utf-8", errors="replace"), folder.name)
    return Credits()


def credit_of(name: str, credits: Credits) -> Credit | None:
    """What is said of the picture at a path relative to the folder; None if nothing is.

    The last rule that matches counts. A pattern with a slash is compared with the whole relative
    path, one without with the file name in any folder, as in a .gitignore; `*` stays within a
    folder and `**` does not. In doubt a picture is not free: in a rule that refuses, `*` goes on
    into sub-folders, and where letters differ in case only, the stricter reading counts.
    """
    name = _composed(name)
    find = _last_of_debian if credits.debian else _last
    exact = find(name, credits.rules)
    folded = find(name.lower(), credits.folded)
    return _strictest([credit for credit in (folded, exact) if credit is not None])


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)  # macOS stores letters and accents apart


def _strictest(credits: Sequence[Credit]) -> Credit | None:
    """The first that does not permit the use, else the last."""
    refused = [credit for credit in credits if not permitted(credit.licence)]
    return next(iter(refused or reversed(credits)), None)


def _last(name: str, rules: Sequence[Rule]) -> Credit | None:
    found = None
    for rule in rules:
        if _matches(name, rule):
            found = rule.credit
    return found


def _matches(name: str, rule: Rule) -> bool:
    if _names(name, rule.pattern):
        return True
    if permitted(rule.credit.licence):
        return False
    # What refuses a folder, or with `*` what lies in one, refuses all below.
    parts = name.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    pattern = rule.pattern.lstrip("./")
    crossing = "/" in rule.pattern and fnmatch.fnmatchcase(name, pattern)
    return crossing or any(_names(folder, rule.pattern) for folder in above)


def _names(path: str, pattern: str) -> bool:
    if path == pattern:
        return True
    if "/" not in pattern:
        return _fits(path.rpartition("/")[2], pattern)
    if pattern.startswith((".", "/")):
        pattern = re.sub(r"^(\./|/)+", "", pattern)
    if pattern.endswith("/"):
        pattern += "**"
    return _fits_path(path.split("/"), pattern.split("/"))


def _fits(name: str, pattern: str) -> bool:
    # The name itself first: it may have brackets.
    return name == pattern or (
        _WILD.search(pattern) is not None and fnmatch.fnmatchcase(name, pattern)
    )


def _fits_path(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Part by part; `**` stands for any number of folders, at the end for anything below."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        least = 1 if len(patterns) == 1 else 0
        return any(
            _fits_path(parts[skipped:], patterns[1:]) for skipped in range(least, len(parts) + 1)
        )
    return bool(parts) and _fits(parts[0], patterns[0]) and _fits_path(parts[1:], patterns[1:])


# ---- Debian packages -----------------------------------------------------------------------------


def debian_credits(text: str, source: str) -> Credits:
    """Credits by file pattern from a machine-readable Debian `copyright` file."""
    return Credits(
        tuple(
            Rule(
                _composed(pattern.removeprefix("./")),
                Credit(source, author, canonical(licence) or licence),
            )
            for patterns, author, licence in _stanzas(text)
            for pattern in patterns
        ),
        debian=True,
    )


def _last_of_debian(name: str, rules: Sequence[Rule]) -> Credit | None:
    """As Debian has it where the picture lies as in the package; by file name where it lies flat.

    The patterns tell of paths in the source package. `free/*` says nothing of a picture that lies
    flat, and what several patterns of that file name say differently is not free.
    """
    by_path = None
    if "/" in name:
        for rule in rules:
            if _fits_debian(name, rule.pattern):
                by_path = rule
        if by_path is not None and "/" in by_path.pattern:
            return by_path.credit
    by_name = _by_name(name.rpartition("/")[2], rules)
    told = [by_name, by_path.credit if by_path is not None else None]
    return _strictest([credit for credit in told if credit is not None])


def _by_name(name: str, rules: Sequence[Rule]) -> Credit | None:
    named = [(rule, rule.pattern.rpartition("/")[2]) for rule in rules]
    exact = [rule.credit for rule, pattern in named if _unescaped(pattern) == name]
    if exact:
        return _strictest(exact)
    matching = [
        (rule.credit, _specific(pattern))
        for rule, pattern in named
        # The package's own default and its packaging tell nothing of a picture.
        if _fits_debian(name, pattern) and not rule.pattern.startswith("debian/")
        if rule.pattern != "*"
    ]
    if not any(specific for _, specific in matching):
        return None
    # `other/*` may be this picture as well, so it counts if it refuses.
    return _strictest([c for c, specific in matching if specific or not permitted(c.licence)])


def _specific(pattern: str) -> bool:
    """Whether a file name's pattern tells more than a suffix."""
    return re.sub(r"[*?]", "", pattern.rpartition(".")[0] or pattern) != ""


def _unescaped(pattern: str) -> str | None:
    """The name that a pattern without wildcards stands for."""
    bare = re.sub(r"\\.", "", pattern)
    return None if "*" in bare or "?" in bare else re.sub(r"\\(.)", r"\1", pattern)


def _fits_debian(name: str, pattern: str) -> bool:
    """`*` is anything, slashes included, `?` one character; a backslash escapes them."""
    pieces = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    regex = "".join(wild.get(piece, re.escape(piece[-1])) for piece in pieces)
    return re.fullmatch(regex, name, re.DOTALL) is not None


def _stanzas(text: str) -> Iterator[tuple[list[str], str, str]]:
    """File patterns, author and licence of every `Files:` paragraph."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            head = re.match(r"^([A-Za-z-]+):\s*(.*)$", line)
            if head:
                key = head.group(1).lower()
                fields[key] = head.group(2)
            elif key:
                fields[key] += "\n" + line.strip()
        if "files" in fields:
            patterns = fields["files"].replace(",", " ").split()
            author = " ".join(fields.get("copyright", "unknown").split())
            lines = fields.get("license", "").splitlines() or [""]
            yield patterns, author, lines[0].strip() or "unknown"


def _credit(row: dict[str, str], source: str = "") -> Credit:
    licence = (row["licence"] or "unknown").strip()
    return Credit(
        source=row.get("source") or source,
        author=(row["author"] or "unknown").strip(),
        licence=canonical(licence) or licence,
        kind=row.get("kind") or "photo",
        url=row.get("url") or "",
    )
