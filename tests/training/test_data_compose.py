"""Composing training crops: generators, compositing, trimaps."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.errors import InputError
from mematte_plugin.training.data import compose, light
from mematte_plugin.training.data.compose import Composer, Layers
from mematte_plugin.training.data.foregrounds import GENERATORS
from mematte_plugin.training.data.preview import preview
from mematte_plugin.training.data.strokes import straighten
from mematte_plugin.training.data.textures import PATTERNS, PhotoPool
from mematte_plugin.training.data.trimaps import ASTRAY, astray, random_trimap

from .banks import make_bank


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bank(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("name", list(GENERATORS))
def test_generators_draw_a_cutout(name: str) -> None:
    pool = PhotoPool([])
    _, draw = GENERATORS[name]
    foreground = draw(np.random.default_rng(3), 128, pool)
    assert foreground.colour.shape == (128, 128, 3)
    assert foreground.colour.dtype == foreground.alpha.dtype == np.uint8
    assert foreground.alpha.shape == (128, 128)
    assert 0.002 < (foreground.alpha > 20).mean() < 0.999
    again = draw(np.random.default_rng(3), 128, pool)
    np.testing.assert_array_equal(again.colour, foreground.colour)
    np.testing.assert_array_equal(again.alpha, foreground.alpha)


def test_shares_sum_to_one() -> None:
    assert sum(share for share, _ in GENERATORS.values()) == pytest.approx(1)
    assert sum(PATTERNS.values()) == pytest.approx(1)


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


def test_samples_have_the_promised_form_and_hardly_contradict_themselves(bank: Path) -> None:
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
        assert astray(sample.trimap, sample.alpha) <= ASTRAY
        both += (sample.trimap == 0).any() and (sample.trimap == 255).any()
    assert both >= 13


@pytest.mark.parametrize("exponent", [1.0, 2.2])
def test_the_truth_is_as_blurred_as_the_picture(
    bank: Path, monkeypatch: pytest.MonkeyPatch, exponent: float
) -> None:
    front, behind = np.array([220, 180, 40], np.float32), np.array([30, 60, 120], np.float32)

    def flat(_: Composer, *given: np.ndarray) -> tuple[Layers, float]:
        alpha = given[2]
        plane = np.ones((*alpha.shape, 1), np.float32)
        return Layers(plane * front, plane * behind, alpha), 0.0

    monkeypatch.setattr(Composer, "_setting", flat)
    monkeypatch.setattr(compose, "photographed", lambda rng, picture: picture)
    for name, value in (("TONED", 0.0), ("LENS", 1.0), ("EXPONENTS", (exponent, exponent))):
        monkeypatch.setattr(compose, name, value)
    composer = Composer(bank, size=96)
    for seed in range(6):
        sample = composer.sample(np.random.default_rng(seed))
        share = sample.alpha[..., None]
        wanted = (front**exponent * share + behind**exponent * (1 - share)) ** (1 / exponent)
        off = np.abs(sample.image - wanted).max(2)
        mixed = (sample.alpha > 0) & (sample.alpha < 1)
        assert mixed.any()
        assert off[mixed].max() < 0.5
        assert off.max() < 3  # where less than 1/510 was rounded to nothing


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_trimap_of_a_flat_alpha(level: float) -> None:
    alpha = np.full((40, 50), level, np.float32)
    trimap = random_trimap(np.random.default_rng(1), alpha)
    assert (trimap == {0.0: 0, 0.5: 128, 1.0: 255}[level]).all()


def test_missing_bank_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train data build"):
        Composer(tmp_path)


def test_preview_writes_a_sheet(bank: Path, tmp_path: Path) -> None:
    preview(bank, tmp_path / "sheet.png", rows=2, cols=1, size=64)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (3 * 64 + 4 * 6, 2 * 64 + 3 * 6)


def test_unreadable_pictures_are_skipped_and_named(bank: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bank, tmp_path / "bank"))
    broken = ["foregrounds/rendered-000002.webp", "backgrounds/" + next(
        p.name for p in sorted((copy / "backgrounds").iterdir())
    )]  # fmt: skip
    for name in broken:
        (copy / name).write_bytes(b"RIFF")
    composer = Composer(copy, size=64)
    for seed in range(30):
        composer.sample(np.random.default_rng(seed))
    assert sorted(composer.skipped) == sorted(Path(name).name for name in broken)
    for path in (copy / "foregrounds").iterdir():
        path.write_bytes(b"RIFF")
    with pytest.raises(InputError, match="no readable foreground"):
        Composer(copy, size=64).sample(np.random.default_rng(0))


def test_hard_backgrounds_take_the_subjects_colours(bank: Path) -> None:
    rng = np.random.default_rng(0)
    background = rng.uniform(0, 80, (32, 32, 3)).astype(np.float32)
    subject = rng.normal((180, 120, 90), 15, (500, 3)).astype(np.float32)
    nearer = light.likened(rng, background, subject)
    before = np.abs(background.mean((0, 1)) - subject.mean(0)).mean()
    assert np.abs(nearer.mean((0, 1)) - subject.mean(0)).mean() < 0.7 * before
    assert nearer.std() > 3  # its texture stays
