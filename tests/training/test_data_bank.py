"""The bank: licences, sources, resuming, what is skipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mematte_plugin.errors import InputError, OutputError
from mematte_plugin.training.data.bank import build_bank
from mematte_plugin.training.data.licences import (
    known_pictures,
    permitted,
    sha256,
)
from mematte_plugin.training.data.sources import Picture, given
from mematte_plugin.training.data.storing import bank_entries

from .banks import make_bank, photo, pictures_of


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bank(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("licence", "ok"),
    [
        ("CC0-1.0", True),
        ("CC-BY-4.0", True),
        ("MIT", True),
        ("public domain", True),
        ("rendered", True),
        ("CC-BY-SA-4.0", False),
        ("CC-BY-NC-4.0", False),
        ("CC-BY-ND-4.0", False),
        ("GPL-3.0", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_only_free_licences_pass(licence: str, ok: bool) -> None:
    assert permitted(licence) is ok


def test_every_known_picture_is_permitted_and_credited() -> None:
    known = known_pictures()
    assert len(known) > 60
    for checksum, credit in known.items():
        assert len(checksum) == 64
        assert permitted(credit.licence), credit
        assert credit.author
        assert credit.url.startswith("https://")


def test_credits_csv_says_what_is_free(tmp_path: Path) -> None:
    for i, name in enumerate(["a.png", "b.png", "stranger.png"]):
        photo(tmp_path / name, i)
    (tmp_path / "credits.csv").write_text(
        "file,author,licence\na.png,Ann,CC-BY-4.0\nb.png,Bob,CC-BY-NC-4.0\n"
    )
    found = list(given(tmp_path))
    assert [(p.name, p.credit.author) for p in found if isinstance(p, Picture)] == [
        ("a.png", "Ann")
    ]
    reasons = {Path(s.file).name: s.reason for s in found if not isinstance(s, Picture)}
    assert "CC-BY-NC-4.0" in reasons["b.png"]
    assert "credits.csv" in reasons["stranger.png"]


def test_subjects_and_their_alphas_are_not_backgrounds(tmp_path: Path) -> None:
    for i, name in enumerate(["Train/fg/a.png", "Train/Alpha/a.png", "Train/trimaps/a.png"]):
        (tmp_path / name).parent.mkdir(parents=True)
        photo(tmp_path / name, i)
    (tmp_path / "images").mkdir()
    photo(tmp_path / "images/hill.png", 4)  # no alphas next to it
    (tmp_path / "credits.csv").write_text("file,author,licence\n*,Ann,CC0-1.0\n")
    found = list(given(tmp_path))
    assert [one.name for one in found if isinstance(one, Picture)] == ["images/hill.png"]
    reasons = [one.reason for one in found if not isinstance(one, Picture)]
    assert len(reasons) == 3
    assert all("data import" in reason for reason in reasons)


def test_a_table_without_its_columns_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "credits.csv").write_text("name;licence\n")
    with pytest.raises(InputError, match="file,author,licence"):
        list(given(tmp_path))


def test_a_place_that_is_not_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        list(given(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="not a folder"):
        list(given(photo(tmp_path / "one.png", 0)))


def test_a_picture_is_known_by_its_bytes_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = photo(tmp_path / "renamed.png", 4).read_bytes()
    credit = next(iter(known_pictures().values()))
    monkeypatch.setitem(known_pictures(), sha256(data), credit)
    (found,) = given(tmp_path)
    assert isinstance(found, Picture)
    assert found.credit is credit


def test_bank_manifest_names_every_file(bank: Path) -> None:
    entries = pictures_of(bank)
    files = {str(p.relative_to(bank)) for p in bank.glob("*/*")}
    assert {entry["file"] for entry in entries} == files
    for entry in entries:
        assert permitted(entry["licence"])
        assert entry["author"]
        assert len(entry["sha256"]) == 64


def test_bank_lists_what_it_left_out(bank: Path) -> None:
    skipped = json.loads((bank / "skipped.json").read_text())
    reasons = {Path(one["file"]).name: one["reason"] for one in skipped}
    assert set(reasons) == {"p2.png", "broken.png", "tiny.png"}
    assert reasons["p2.png"].startswith("licence CC-BY-SA-4.0")
    assert reasons["tiny.png"] == "too small (20 x 20)"


def test_pictures_left_out_earlier_stay_listed_until_fixed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        photo(tmp_path / name / "p.png", 0)
    first, second = tmp_path / "one", tmp_path / "two"
    build_bank(tmp_path / "bank", count=0, size=64, photos=[first])
    build_bank(tmp_path / "bank", count=0, size=64, photos=[second])
    listed = json.loads((tmp_path / "bank/skipped.json").read_text())
    assert [one["file"] for one in listed] == [str(first / "p.png"), str(second / "p.png")]
    (first / "credits.csv").write_text("file,author,licence\np.png,Ann,CC BY 4.0\n")
    build_bank(tmp_path / "bank", count=0, size=64, photos=[first])
    listed = json.loads((tmp_path / "bank/skipped.json").read_text())
    assert [one["file"] for one in listed] == [str(second / "p.png")]
    (entry,) = pictures_of(tmp_path / "bank")
    assert entry["licence"] == "CC-BY-4.0"  # and so it is credited


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ('{"version": 99, "pictures": []}', "newer"),
        ('{"pictures": []}', "build the bank again"),
        ('{"version": "new", "pictures": []}', "build the bank again"),
        ('[{"file": "foregrounds/a.webp"}]', "without 'source'"),
        ("[1, 2]", "build the bank again"),
        ("[]", "data import"),
        (None, "data import"),
    ],
)
def test_a_folder_that_is_not_a_bank_of_this_version_says_what_to_do(
    manifest: str | None, words: str, tmp_path: Path
) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=words) as caught:
        bank_entries(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_bank_of_the_first_version_is_read(bank: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(pictures_of(bank)))
    assert bank_entries(tmp_path) == bank_entries(bank)


def test_bank_resumes(tmp_path: Path) -> None:
    bank = make_bank(tmp_path)
    first = bank / "foregrounds" / "rendered-000000.webp"
    second = bank / "foregrounds" / "rendered-000001.webp"
    kept, before = second.stat().st_mtime_ns, first.read_bytes()
    manifest = (bank / "manifest.json").read_text()
    first.unlink()
    # As after a kill: pictures stored, the manifest not yet.
    entries = [e for e in pictures_of(bank) if "rendered" not in e["file"]]
    (bank / "manifest.json").write_text(json.dumps(entries))
    build_bank(bank, count=6, size=200, photos=[])
    assert first.read_bytes() == before  # the same number gives the same foreground
    assert second.stat().st_mtime_ns == kept
    assert json.loads((bank / "manifest.json").read_text()) == json.loads(manifest)


def test_broken_manifest_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="delete it"):
        build_bank(tmp_path, count=0, size=64, photos=[])


def test_bank_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        build_bank(tmp_path / "file" / "bank", count=0, size=64, photos=[])
