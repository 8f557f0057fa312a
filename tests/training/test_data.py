"""Training data: licences, the bank, compositing and trimaps."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.errors import InputError
from mematte_plugin.training.data import Composer, build_bank, preview
from mematte_plugin.training.data.foregrounds import GENERATORS, WEIGHTS
from mematte_plugin.training.data.sources import Picture, lomiri_photos, permitted, skimage_photos
from mematte_plugin.training.data.strokes import straighten
from mematte_plugin.training.data.textures import PATTERN_WEIGHTS, PATTERNS, PhotoPool, pattern
from mematte_plugin.training.data.trimaps import random_trimap

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: 16.04/open_by_A.jpg
Copyright: A, 2018
License: CC-BY-4.0

Files: 16.04/shared_by_B.jpg
Copyright: B, 2018
License: CC-BY-SA-4.0

Files: debian/*
 README.md
Copyright: C
License: Expat
"""


def photo(path: Path, seed: int) -> Path:
    Image.fromarray(pattern(np.random.default_rng(seed), 300, 400)).save(path)
    return path


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    pictures = [
        Picture("test", photo(folder / f"p{i}.png", i), "someone", licence)
        for i, licence in enumerate(["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"])
    ]
    directory = folder / "bank"
    counts = build_bank(directory, count=6, size=200, photos=pictures)
    assert counts == {"backgrounds": 2, "foregrounds": 6}
    return directory


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


def test_share_alike_and_unlisted_wallpapers_stay_out(tmp_path: Path) -> None:
    copyright_file = tmp_path / "copyright"
    copyright_file.write_text(COPYRIGHT)
    for i, name in enumerate(["open_by_A.jpg", "shared_by_B.jpg", "unlisted.jpg"]):
        photo(tmp_path / name, i)
    found = lomiri_photos(tmp_path, copyright_file)
    assert [(p.path.name, p.author, p.licence) for p in found] == [
        ("open_by_A.jpg", "A, 2018", "CC-BY-4.0")
    ]
    assert lomiri_photos(tmp_path / "none", copyright_file) == []


def test_demonstration_pictures_are_not_trained_on(tmp_path: Path) -> None:
    for name in ("coffee.png", "astronaut.png", "chelsea.png", "motorcycle_left.png"):
        photo(tmp_path / name, 0)
    assert [p.path.name for p in skimage_photos(tmp_path)] == ["coffee.png"]


def test_bank_manifest_names_every_file(bank: Path) -> None:
    entries = json.loads((bank / "manifest.json").read_text())
    files = {str(p.relative_to(bank)) for p in bank.glob("*/*")}
    assert {entry["file"] for entry in entries} == files
    for entry in entries:
        assert permitted(entry["licence"])
        assert entry["author"]
        assert len(entry["sha256"]) == 64


def test_bank_resumes(bank: Path) -> None:
    first = bank / "foregrounds" / "rendered-000000.webp"
    second = bank / "foregrounds" / "rendered-000001.webp"
    kept, before = second.stat().st_mtime_ns, first.read_bytes()
    first.unlink()
    build_bank(bank, count=6, size=200, photos=[])
    assert first.read_bytes() == before  # the same number gives the same foreground
    assert second.stat().st_mtime_ns == kept


def test_bank_skips_unreadable_photographs(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    counts = build_bank(
        tmp_path / "bank", count=0, photos=[Picture("test", broken, "someone", "CC0-1.0")]
    )
    assert counts == {"backgrounds": 0, "foregrounds": 0}


def test_bank_takes_emoji_from_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "emoji.tgz"
    disc = np.zeros((64, 64, 4), np.uint8)
    disc[16:48, 16:48] = (250, 180, 20, 255)
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("1f600.webp", "1f1e9-1f1ea.webp"):  # a face, and a flag that is left out
            data = io.BytesIO()
            Image.fromarray(disc).save(data, "WEBP", lossless=True)
            entry = tarfile.TarInfo(f"package/assets/{name}")
            entry.size = data.tell()
            data.seek(0)
            tar.addfile(entry, data)
    counts = build_bank(tmp_path / "bank", count=0, photos=[], emoji_archive=archive)
    assert counts["foregrounds"] == 1
    with Image.open(next((tmp_path / "bank" / "foregrounds").iterdir())) as image:
        rgba = np.asarray(image)
    assert rgba.shape == (448, 448, 4)
    assert rgba[224, 224, 3] == 255
    assert rgba[0, 0, 3] == 0
    assert abs(int(rgba[90, 224, 0]) - 250) < 12  # colour goes on beyond the edge


@pytest.mark.parametrize("name", list(GENERATORS))
def test_generators_draw_a_cutout(name: str) -> None:
    pool = PhotoPool([])
    foreground = GENERATORS[name](np.random.default_rng(3), 128, pool)
    assert foreground.colour.shape == (128, 128, 3)
    assert foreground.colour.dtype == foreground.alpha.dtype == np.uint8
    assert foreground.alpha.shape == (128, 128)
    assert 0.002 < (foreground.alpha > 20).mean() < 0.999
    again = GENERATORS[name](np.random.default_rng(3), 128, pool)
    np.testing.assert_array_equal(again.colour, foreground.colour)
    np.testing.assert_array_equal(again.alpha, foreground.alpha)


def test_tables_fit() -> None:
    assert set(WEIGHTS) == set(GENERATORS)
    assert len(PATTERN_WEIGHTS) == len(PATTERNS)
    assert sum(PATTERN_WEIGHTS) == pytest.approx(1)


def test_straighten_divides_out_and_extends() -> None:
    premultiplied = np.zeros((32, 32, 4), np.float32)
    premultiplied[:, :10] = (200, 100, 50, 255)
    premultiplied[:, 10:12] = (100, 50, 25, 127.5)
    foreground = straighten(premultiplied)
    assert np.abs(foreground.colour[:, 11].astype(int) - (200, 100, 50)).max() <= 1
    assert np.abs(foreground.colour[:, 31].astype(int) - (200, 100, 50)).max() <= 2
    assert foreground.alpha[0, 11] == 128
    assert foreground.alpha[0, 31] == 0


def test_samples_are_deterministic(bank: Path) -> None:
    one, other = Composer(bank, size=96), Composer(bank, size=96, cache_mb=0)
    other.sample(np.random.default_rng(99))  # what was drawn before must not matter
    for seed in range(4):
        a, b = one.sample(np.random.default_rng(seed)), other.sample(np.random.default_rng(seed))
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.trimap, b.trimap)
        np.testing.assert_array_equal(a.alpha, b.alpha)


def test_samples_have_the_promised_form_and_never_contradict_themselves(bank: Path) -> None:
    composer = Composer(bank, size=112)
    both = 0
    for seed in range(25):
        sample = composer.sample(np.random.default_rng(seed))
        assert sample.image.shape == (112, 112, 3)
        assert sample.image.dtype == sample.trimap.dtype == np.uint8
        assert sample.alpha.dtype == np.float32
        assert 0 <= sample.alpha.min() <= sample.alpha.max() <= 1
        assert set(np.unique(sample.trimap)) <= {0, 128, 255}
        assert (sample.trimap == 128).any()
        assert (sample.alpha[sample.trimap == 255] >= 0.95).all()
        assert (sample.alpha[sample.trimap == 0] <= 0.05).all()
        both += (sample.trimap == 0).any() and (sample.trimap == 255).any()
    assert both >= 13


def test_alpha_explains_the_composite(bank: Path) -> None:
    layers, _ = Composer(bank, size=96).layers(np.random.default_rng(5))
    picture = layers.composite()
    gap = layers.foreground - layers.background
    clear = np.abs(gap).max(2) > 8
    solved = (gap * (picture - layers.background)).sum(2)[clear] / (gap**2).sum(2)[clear]
    np.testing.assert_allclose(solved, layers.alpha[clear], atol=1e-3)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_trimap_of_a_flat_alpha(level: float) -> None:
    alpha = np.full((40, 50), level, np.float32)
    trimap = random_trimap(np.random.default_rng(1), alpha)
    assert (trimap == {0.0: 0, 0.5: 128, 1.0: 255}[level]).all()


def test_missing_bank_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Build the bank first"):
        Composer(tmp_path)


def test_preview_writes_a_sheet(bank: Path, tmp_path: Path) -> None:
    preview(bank, tmp_path / "sheet.png", rows=2, cols=1, size=64)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (3 * 64, 2 * 64)
