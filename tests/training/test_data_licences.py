"""The licence gate: credits.csv and spellings of licences."""

from __future__ import annotations

from pathlib import Path

import pytest

from mematte_plugin.errors import InputError
from mematte_plugin.training.data.licences import (
    Rules,
    canonical,
    credit_of,
    folder_credits,
    permitted,
    refusal,
)
from mematte_plugin.training.data.sources import Picture, given

from .banks import photo

FREE, NC = "CC0-1.0", "CC-BY-NC-4.0"


def table(folder: Path, *rows: tuple[str, str]) -> Rules:
    """A folder's credits.csv of (pattern, licence), as it is read."""
    lines = ["file,author,licence", *(f'"{pattern}",someone,{what}' for pattern, what in rows)]
    (folder / "credits.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder_credits(folder)


def licence(name: str, credits: Rules) -> str | None:
    credit = credit_of(name, credits)
    return None if credit is None else credit.licence


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("free/a.jpg", ["free/a.jpg"], ["a.jpg", "nc/a.jpg", "free/sub/a.jpg", "free/b.jpg"]),
        ("./a.jpg", ["a.jpg"], ["free/a.jpg"]),
        ("/a.jpg", ["a.jpg"], ["free/a.jpg"]),
        ("a.jpg", ["a.jpg", "free/a.jpg"], ["b.jpg", "ba.jpg", "a.jpg/b.jpg"]),
        ("*", ["a.jpg", "nc/a.jpg", "nc/sub/a.png"], []),
        ("*.jpg", ["a.jpg", "nc/a.jpg"], ["a.png", "a.jpg.png"]),
        ("?.jpg", ["a.jpg"], ["ab.jpg"]),
        ("[ab].jpg", ["a.jpg", "[ab].jpg"], ["c.jpg"]),
        ("free/*", ["free/a.jpg"], ["a.jpg", "nc/a.jpg", "free/sub/a.jpg", "x/free/a.jpg"]),
        ("free/**", ["free/a.jpg", "free/sub/a.jpg"], ["a.jpg", "nc/a.jpg", "freely/a.jpg"]),
        ("free/", ["free/a.jpg", "free/sub/a.jpg"], ["nc/a.jpg"]),
        ("**/a.jpg", ["a.jpg", "x/y/a.jpg"], ["b.jpg"]),
        ("free/**/a.jpg", ["free/a.jpg", "free/x/y/a.jpg"], ["nc/a.jpg"]),
        ("free/*.jpg", ["free/a.jpg"], ["a.jpg", "free/a.png", "free/sub/a.jpg", "nc/a.jpg"]),
        ("free/sub/*", ["free/sub/a.jpg"], ["free/a.jpg", "sub/a.jpg", "a.jpg"]),
        ("*/a.jpg", ["free/a.jpg"], ["a.jpg", "x/y/a.jpg"]),
        ("free\\*", ["free/a.jpg"], ["a.jpg", "nc/a.jpg"]),
        ("free\\sub\\a.jpg", ["free/sub/a.jpg"], ["a.jpg"]),
    ],
)
def test_a_pattern_permits_only_what_it_names(
    pattern: str, matching: list[str], others: list[str], tmp_path: Path
) -> None:
    credits = table(tmp_path, (pattern, FREE))
    assert {name: licence(name, credits) for name in matching} == dict.fromkeys(matching, FREE)
    assert {name: licence(name, credits) for name in others} == dict.fromkeys(others)


@pytest.mark.parametrize(
    "refusing",
    ["nc/a.jpg", "a.jpg", "nc/*", "nc/**", "nc/", "nc", "nc/*.jpg", "NC/A.JPG", "nc\\*", "*/a.jpg"],
)
@pytest.mark.parametrize("first", ["*", "*.jpg", "**", "nc/*", "free/*", "nc/a.jpg"])
def test_a_later_refusal_wins(first: str, refusing: str, tmp_path: Path) -> None:
    assert licence("nc/a.jpg", table(tmp_path, (first, FREE), (refusing, NC))) == NC


@pytest.mark.parametrize("pattern", ["nc/*", "nc/**", "nc", "nc/", "nc/*.jpg"])
def test_a_refused_folder_is_refused_with_everything_below(pattern: str, tmp_path: Path) -> None:
    assert licence("nc/deep/er/a.jpg", table(tmp_path, ("*", FREE), (pattern, NC))) == NC


def test_the_last_line_counts(tmp_path: Path) -> None:
    credits = table(tmp_path, ("a.jpg", FREE), ("*", NC), ("a.jpg", "CC-BY-4.0"))
    assert licence("a.jpg", credits) == "CC-BY-4.0"
    assert licence("b.jpg", credits) == NC
    assert licence("a.jpg", table(tmp_path, ("a.jpg", FREE), ("*", NC))) == NC


def test_where_names_differ_in_case_only_the_refusal_counts(tmp_path: Path) -> None:
    credits = table(tmp_path, ("A.jpg", NC), ("a.jpg", FREE))
    assert licence("A.jpg", credits) == NC
    assert licence("a.jpg", credits) == FREE
    assert licence("Photo.JPG", table(tmp_path, ("photo.jpg", FREE))) == FREE


def test_accents_match_in_both_unicode_forms(tmp_path: Path) -> None:
    credits = table(tmp_path, ("*", FREE), ("caf\u00e9.jpg", NC))
    assert licence("cafe\u0301.jpg", credits) == NC


def test_a_line_without_licence_or_file_permits_nothing(tmp_path: Path) -> None:
    (tmp_path / "credits.csv").write_text("file,author,licence\na.jpg,Ann\n,Ann,CC0-1.0\n")
    credits = folder_credits(tmp_path)
    assert licence("a.jpg", credits) == "unknown"
    assert licence("b.jpg", credits) is None


def test_a_table_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "credits.csv").write_bytes("file,author,licence\n\xfc".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        folder_credits(tmp_path)


def test_only_permitted_pictures_of_a_folder_are_used(tmp_path: Path) -> None:
    for i, name in enumerate(["free/a.png", "nc/a.png", "other/b.png", "root.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        photo(tmp_path / name, i)
    table(tmp_path, ("nc/*", NC), ("free/*", FREE))
    assert [found.name for found in given(tmp_path) if isinstance(found, Picture)] == ["free/a.png"]


def test_the_nearest_credits_count(tmp_path: Path) -> None:
    for i, name in enumerate(["a.png", "nc/a.png", "nc/deep/b.png", "plain/c.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        photo(tmp_path / name, i)
    table(tmp_path, ("*", FREE))
    table(tmp_path / "nc", ("*", NC))
    free = [found.name for found in given(tmp_path) if isinstance(found, Picture)]
    assert free == ["a.png", "plain/c.png"]


# ---- names of licences ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("CC BY 4.0", "CC-BY-4.0"),
        ("cc-by-3.0", "CC-BY-3.0"),
        ("CC_BY_4.0", "CC-BY-4.0"),
        ("CC BY 4", "CC-BY-4.0"),
        ("CC BY 4.0 International", "CC-BY-4.0"),
        ("cc0", "CC0-1.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("CC Zero", "CC0-1.0"),
        ("Public Domain", "public domain"),
        ("MIT License", "MIT"),
        ("expat", "Expat"),
    ],
)
def test_spellings_of_permitted_licences(written: str, meant: str) -> None:
    assert canonical(written) == meant


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("CC BY", "CC-BY-4.0"),
        ("CC-BY", "CC-BY-4.0"),
        ("CC BY-SA", "every use"),
        ("CC BY-SA 4.0", "every use"),
        ("CC-BY-NC-4.0", "every use"),
        ("CC BY-ND 4.0", "every use"),
        ("CC-BY-4.0 or CC-BY-SA-4.0", "every use"),
        ("MIT and GPL-2", "CC0-1.0"),
        ("free", "CC0-1.0"),
        ("", "CC0-1.0"),
        ("unknown", "CC0-1.0"),
    ],
)
def test_other_licences_are_refused_with_a_remedy(written: str, hint: str) -> None:
    assert not permitted(written)
    assert hint in refusal(written)
