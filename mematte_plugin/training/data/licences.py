"""Whose picture it is and what it may be used for: the gate that every real picture passes.

Only public domain, CC0, CC-BY, MIT and what this project renders goes in; share-alike,
non-commercial and unknown licences stay out, whatever the picture.
"""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...errors import InputError

KNOWN = Path(__file__).with_name("known_pictures.csv")
CREDITS = "credits.csv"
"""A file of that name in a folder says what the folder's pictures may be used for."""

_PERMITTED = re.compile(
    r"^(CC0([- ]1\.0)?|CC-BY-\d(\.\d)?|MIT|Expat|public[- ]domain|rendered)$", re.IGNORECASE
)


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


def permitted(licence: str) -> bool:
    """Whether a licence lets anyone use the trained weights for anything."""
    return _PERMITTED.match(licence.strip()) is not None


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


def folder_credits(folder: Path) -> dict[str, Credit]:
    """What a folder says of its own pictures, by path relative to it; shell wildcards allowed.

    Read from `credits.csv` (columns file, author, licence; also source, kind, url) or from Debian's
    machine-readable `copyright`. Empty if there is neither. Raises InputError for a credits.csv
    without these columns.
    """
    table = folder / CREDITS
    if table.is_file():
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            lacking = {"file", "author", "licence"} - set(rows.fieldnames or ())
            if lacking:
                raise InputError(
                    f"{table}: no column {', '.join(sorted(lacking))}; its first line must be"
                    " file,author,licence"
                )
            return {row["file"]: _credit(row, folder.name) for row in rows}
    debian = folder / "copyright"
    if debian.is_file():
        return debian_credits(debian.read_text(encoding="utf-8", errors="replace"), folder.name)
    return {}


def credit_of(name: str, credits: dict[str, Credit]) -> Credit | None:
    """The last entry that a relative path matches, whole or by its file name."""
    found = None
    for pattern, credit in credits.items():
        if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(Path(name).name, Path(pattern).name):
            found = credit
    return found


def debian_credits(text: str, source: str) -> dict[str, Credit]:
    """Credits by file pattern from a machine-readable Debian `copyright` file."""
    found = {}
    for patterns, author, licence in _stanzas(text):
        for pattern in patterns:
            found[pattern] = Credit(source, author, licence)
    return found


def _credit(row: dict[str, str], source: str = "") -> Credit:
    return Credit(
        source=row.get("source") or source,
        author=(row["author"] or "unknown").strip(),
        licence=(row["licence"] or "unknown").strip(),
        kind=row.get("kind") or "photo",
        url=row.get("url") or "",
    )


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
        if "files" in fields and "license" in fields:
            # A path pattern applies by its file name: installed files lie flat. Wildcards for
            # packaging files ("debian/*") would then match everything, so they are dropped.
            patterns = [p for p in fields["files"].split() if Path(p).name != "*"]
            author = " ".join(fields.get("copyright", "unknown").split())
            yield patterns, author, fields["license"].splitlines()[0].strip()
