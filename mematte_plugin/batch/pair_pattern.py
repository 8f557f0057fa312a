"""Patterns for names that belong together: "{name}_plate.{n}:{name}_matte.{n}"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import SettingError
from ..images.formats import READABLE
from .folder_scan import Named
from .name_words import composed, folded

EXAMPLE = "{name}_plate.{n}:{name}_matte.{n}"

Fields: TypeAlias = tuple[tuple[str, str | int], ...]
"""What the fields of a pattern stand for in one name, in the order of their names."""

_PART = re.compile(r"\{(?P<field>[A-Za-z_]\w*)(?P<offset>[+-]\d+)?\}|(?P<any>\*)|(?P<text>[^{}*]+)")
_NUMBER = re.compile(r"n\d*|frame|number")


@dataclass(frozen=True)
class Pattern:
    """One side of a pattern."""

    text: str
    """As the user wrote it."""
    regex: re.Pattern[str]
    """Matches a name, or a path inside the folder if `path` is set."""
    offsets: dict[str, int]
    """By numeric field, how much larger the number in a name is."""
    path: bool
    """It names folders."""
    suffix: bool
    """It names the suffix."""

    @property
    def fields(self) -> set[str]:
        """Names of its fields."""
        return set(self.regex.groupindex)

    def read(self, named: Named) -> Fields | None:
        """The fields of a name; None for a name of another form."""
        name = named.stem + (named.suffix if self.suffix else "")
        if self.path:
            name = "/".join((*named.place, name))
        found = self.regex.fullmatch(composed(name))
        if found is None:
            return None
        return tuple(
            (field, int(text) - self.offsets[field] if field in self.offsets else text)
            for field, text in sorted(found.groupdict().items())
        )


def parse_pair(pair: str) -> tuple[Pattern, Pattern]:
    """The patterns of photos and of guides.

    Fields are {n} (also n1, n2, frame, number: a number, whatever its padding; {n-1} one less) and
    any other name for a text; * stands for text that does not matter. The suffix may be left out; a
    pattern with / describes the path inside the folder. Raises SettingError for an invalid pattern.
    """
    sides = pair.split(":")
    if len(sides) != 2 or not all(sides):
        raise SettingError(f"pair {pair!r}: not a pair; write PHOTO:GUIDE, as '{EXAMPLE}'")
    photo, guide = (_parse(side.replace("\\", "/"), pair) for side in sides)
    if missing := guide.fields - photo.fields:
        names = ", ".join(f"{{{name}}}" for name in sorted(missing))
        raise SettingError(
            f"pair {pair!r}: the guide has {names}, which the photo has not; use the same fields on"
            f" both sides, as '{EXAMPLE}', and * for what does not matter"
        )
    if not photo.fields:
        raise SettingError(
            f"pair {pair!r}: has no field, so that all photos would be one; use {{name}} or {{n}},"
            f" as '{EXAMPLE}'"
        )
    return photo, guide


def projected(fields: Fields, names: set[str], *, fold: bool) -> Fields:
    """Only the fields of those names, to compare with another's."""
    return tuple(
        (name, folded(value) if fold and isinstance(value, str) else value)
        for name, value in fields
        if name in names
    )


def _parse(side: str, pair: str) -> Pattern:
    regex, at = "", 0
    offsets: dict[str, int] = {}
    seen: set[str] = set()
    while at < len(side):
        part = _PART.match(side, at)
        if part is None:
            raise SettingError(
                f"pair {pair!r}: {side[at:]!r} is not a field; write {{name}} or {{n}}, as"
                f" '{EXAMPLE}'"
            )
        at = part.end()
        field, offset = part["field"], part["offset"]
        if part["any"]:
            regex += "[^/]*?"
        elif not field:
            regex += re.escape(composed(part["text"]))
        elif field in seen:
            if offset:
                raise SettingError(f"pair {pair!r}: {{{field}}} is there twice; name it once")
            regex += f"(?P={field})"
        elif _NUMBER.fullmatch(field):
            offsets[field] = int(offset or 0)
            regex += rf"(?<!\d)(?P<{field}>\d+)(?!\d)"
        elif offset:
            raise SettingError(f"pair {pair!r}: only numbers take an offset; write {{n{offset}}}")
        else:
            regex += f"(?P<{field}>[^/]+?)"
        if field:
            seen.add(field)
    suffix = "." + side.rpartition(".")[2].lower() in READABLE
    return Pattern(side, re.compile(regex, re.IGNORECASE), offsets, "/" in side, suffix)
