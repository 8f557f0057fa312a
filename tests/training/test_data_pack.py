"""Packing a bank, and the credits made from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mematte_plugin.errors import InputError, OutputError, SettingError
from mematte_plugin.training.data.compose import Composer
from mematte_plugin.training.data.credits import data_section
from mematte_plugin.training.data.pack import MARGIN, pack, trimmed

from .banks import make_bank, pictures_of


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bank(tmp_path_factory.mktemp("data"))


def test_a_packed_bank_is_a_bank(bank: Path, tmp_path: Path) -> None:
    packed = pack(bank, tmp_path / "out", max_mb=2)
    assert (packed.backgrounds, packed.foregrounds, packed.left_out) == (2, 6, 0)
    files = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").glob("*/*")}
    entries = pictures_of(tmp_path / "out")
    assert {entry["file"] for entry in entries} == files
    assert {e["author"] for e in entries} == {"someone", "the mematte-plugin authors"}
    sample = Composer(tmp_path / "out", size=64).sample(np.random.default_rng(0))
    assert sample.image.shape == (64, 64, 3)


def test_packing_keeps_alpha_exactly(bank: Path, tmp_path: Path) -> None:
    pack(bank, tmp_path / "out", max_mb=2)
    for path in (tmp_path / "out/foregrounds").iterdir():
        before = cv2.imread(str(bank / "foregrounds" / path.name), cv2.IMREAD_UNCHANGED)
        after = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert before is not None
        assert after is not None
        np.testing.assert_array_equal(after[..., 3], trimmed(np.asarray(before, np.uint8))[..., 3])


def test_a_pack_stays_below_its_limit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "bank/backgrounds").mkdir(parents=True)
    (tmp_path / "bank/foregrounds").mkdir()
    entries = []
    for i in range(8):
        name = f"backgrounds/p{i}.jpg"
        cv2.imwrite(str(tmp_path / "bank" / name), rng.integers(0, 255, (600, 600, 3), np.uint8))
        entries.append({"file": name, "source": "s", "original": f"p{i}", "author": "a",
                        "licence": "CC0-1.0", "use": "background"})  # fmt: skip
    for i in range(8):
        name = f"foregrounds/figure-{i}.webp"
        cv2.imwrite(str(tmp_path / "bank" / name), rng.integers(0, 255, (300, 300, 4), np.uint8))
        entries.append({"file": name, "source": "rendered", "original": f"animal index={i}",
                        "author": "a", "licence": "rendered", "use": "foreground"})  # fmt: skip
    (tmp_path / "bank/manifest.json").write_text(json.dumps(entries))
    packed = pack(tmp_path / "bank", tmp_path / "out", max_mb=1.0)
    size = sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert size <= 1.0e6
    assert packed.megabytes == pytest.approx(size / 1e6)
    assert packed.backgrounds >= 1
    assert packed.foregrounds >= 1
    assert packed.backgrounds + packed.foregrounds + packed.left_out == 16


def test_a_pack_fills_its_limit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "bank/backgrounds").mkdir(parents=True)
    (tmp_path / "bank/foregrounds").mkdir()
    entries = []
    for i in range(40):
        name = f"backgrounds/p{i}.jpg"
        cv2.imwrite(str(tmp_path / "bank" / name), rng.integers(0, 255, (250, 250, 3), np.uint8))
        entries.append({"file": name, "source": "s", "original": f"p{i}", "author": "a",
                        "licence": "CC0-1.0", "use": "background"})  # fmt: skip
    name = "foregrounds/own.webp"  # one small subject leaves most of its share
    cv2.imwrite(str(tmp_path / "bank" / name), rng.integers(0, 255, (60, 60, 4), np.uint8))
    entries.append({**entries[0], "file": name, "use": "foreground"})
    (tmp_path / "bank/manifest.json").write_text(json.dumps(entries))
    packed = pack(tmp_path / "bank", tmp_path / "out", max_mb=1.0)
    assert packed.foregrounds == 1
    assert packed.left_out == 41 - packed.backgrounds - packed.foregrounds > 0
    assert 0.9 < packed.megabytes <= 1.0


def test_a_pack_names_pictures_outside_the_manifest(
    bank: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(bank, tmp_path / "bank")
    cv2.imwrite(str(tmp_path / "bank/foregrounds/mine.png"), np.zeros((9, 9, 4), np.uint8))
    pack(tmp_path / "bank", tmp_path / "out", max_mb=2)
    assert "mine.png" in caplog.text
    assert "data import" in caplog.text


def test_trimming_leaves_sides_that_the_subject_reaches() -> None:
    rgba = np.zeros((100, 80, 4), np.uint8)
    rgba[60:, 30:40, 3] = 255
    small = trimmed(rgba)
    assert small.shape == (40 + MARGIN, 10 + 2 * MARGIN, 4)
    assert small[-1, MARGIN, 3] == 255


def test_packing_refuses_bad_input(bank: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data build"):
        pack(tmp_path, tmp_path / "out", max_mb=2)
    with pytest.raises(OutputError, match="exists"):
        pack(bank, bank, max_mb=2)
    with pytest.raises(SettingError, match="megabyte"):
        pack(bank, tmp_path / "out", max_mb=0)


def test_credits_name_works_that_require_attribution() -> None:
    entries = [
        {"source": "w", "author": "Ann", "licence": "CC-BY-4.0", "use": "background",
         "original": "hill.jpg", "url": "https://example.org", "file": "backgrounds/w-hill.jpg"},
        {"source": "w", "author": "Ann", "licence": "CC-BY-4.0", "use": "background",
         "original": "hill.jpg", "url": "https://example.org", "file": "backgrounds/w-hill-1.jpg"},
        {"source": "z", "author": "Bob", "licence": "CC0-1.0", "use": "background",
         "original": "sea.jpg", "file": "backgrounds/z-sea.jpg"},
        {"source": "rendered", "author": "the authors", "licence": "rendered", "use": "foreground",
         "original": "fur seed=0 index=1", "file": "foregrounds/rendered-000001.webp"},
        {"source": "rendered", "author": "the authors", "licence": "rendered", "use": "foreground",
         "original": "fur seed=0 index=2", "file": "foregrounds/rendered-000002.webp"},
    ]  # fmt: skip
    text = data_section(entries)
    assert "| w | Ann | CC-BY-4.0 | background | 1 |" in text  # one picture in two views
    assert "| rendered: fur | this project | rendered | foreground | 2 |" in text
    assert "hill.jpg by Ann (w, <https://example.org>), CC-BY-4.0" in text
    assert "sea.jpg" not in text
    assert "Not permitted" not in text
    assert "CC-BY-NC-4.0" in data_section([*entries, {**entries[0], "licence": "CC-BY-NC-4.0"}])
