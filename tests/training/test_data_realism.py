"""Realism of training crops: light, lens, views, trimaps by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mematte_plugin.training.data import camera, compose, light, vapour
from mematte_plugin.training.data.compose import Composer, Layers
from mematte_plugin.training.data.cutouts import Cutout, view
from mematte_plugin.training.data.trimaps import ASTRAY, astray, random_trimap

from .banks import make_bank


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bank(tmp_path_factory.mktemp("data"))


def disc(side: int = 96, radius: float = 30.0, soft: float = 3.0) -> np.ndarray:
    """Alpha (side, side) of a disc with a soft edge."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) - side / 2
    return np.clip((radius - np.hypot(x, y)) / soft + 0.5, 0, 1).astype(np.float32)


def hairy(side: int = 160) -> np.ndarray:
    """A disc with hairs that stand 30 pixels off."""
    canvas = np.zeros((side * 4, side * 4), np.uint8)
    cv2.circle(canvas, (side * 2, side * 2), side, 255, -1)
    for angle in np.linspace(0, 2 * np.pi, 80, endpoint=False):
        tip = 2 * side + np.array([np.cos(angle), np.sin(angle)]) * (side + 120)
        cv2.line(canvas, (side * 2, side * 2), np.rint(tip).astype(int).tolist(), 255, 2)
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def test_a_view_never_shows_a_cut_off_subject_mirrored() -> None:
    y, x = np.mgrid[0:300, 0:360]
    ramp = np.dstack([x * 255 / 359, y * 255 / 299, x * 0, x * 0 + 255]).astype(np.uint8)
    half = np.asarray(cv2.resize(ramp, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    cutout = Cutout((ramp, half), np.array([[0, 0], [359, 299], [180, 150]], np.float32),
                    np.ones((2, 2), bool))  # fmt: skip
    grid = np.mgrid[0:256, 0:256].reshape(2, -1).T
    plane = np.c_[grid, np.ones(len(grid))]
    for seed in range(80):
        rng = np.random.default_rng(seed)
        colour, alpha = view(rng, cutout, 256)
        assert alpha.min() > 0.99
        for channel in (0, 1):  # a ramp stays a ramp however it is scaled and turned
            values = colour[..., channel].reshape(-1).astype(float)
            fitted = plane @ np.linalg.lstsq(plane, values, rcond=None)[0]
            assert np.abs(fitted - values).max() < 6


def test_trimaps_by_hand_miss_few_strands() -> None:
    alpha = hairy()
    missing = 0
    for seed in range(120):
        trimap = random_trimap(np.random.default_rng(seed), alpha, widest=60)
        share = astray(trimap, alpha)
        assert share <= ASTRAY
        missing += share > 0
    assert 5 < missing < 100  # both kinds are drawn


def test_smoke_is_never_known_by_a_mask() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        _, alpha = vapour.smoke(rng, 96)
        assert (alpha == 0).any()
        assert astray(random_trimap(rng, alpha), alpha) <= ASTRAY


def test_varying_focus_blurs_colour_and_alpha_together() -> None:
    alpha = disc(soft=1.0)
    colour = np.full((96, 96, 3), (210, 90, 30), np.float32)
    widths = []
    for seed in range(10):
        seen, spread = camera.partly_sharp(np.random.default_rng(seed), colour, alpha)
        assert np.abs(seen - colour).max() < 0.1  # a flat subject has its colour up to its edge
        assert 0 <= spread.min() <= spread.max() <= 1
        assert spread.sum() == pytest.approx(alpha.sum(), rel=0.03)
        widths.append(int(((spread > 0.05) & (spread < 0.95)).sum()))
    assert max(widths) > 2 * ((alpha > 0.05) & (alpha < 0.95)).sum()


def test_a_screen_is_saturated_and_shines_on_the_edge_of_the_subject() -> None:
    alpha = disc()
    grey = np.full((96, 96, 3), 120, np.float32)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        wall = light.screen(rng, 96, 96)
        high, low = wall.max(2), wall.min(2)
        assert ((high - low) > 0.45 * high - 2).all()
        assert wall.max(2).std() < 0.2 * wall.max(2).mean()
        lit = light.spilled(rng, grey, alpha, wall)
        tint = lit.max(2) - lit.min(2)
        assert tint[(alpha > 0) & (alpha < 1)].mean() > 4 * tint[48, 48]


def test_light_from_one_side_leaves_the_other_darker() -> None:
    alpha = disc()
    grey = np.full((96, 96, 3), 120, np.float32)
    ring = (alpha > 0.5) & (disc(radius=24) < 0.5)
    for draw in (light.directed, light.rim_lit):
        for seed in range(6):
            lit = draw(np.random.default_rng(seed), grey, alpha).mean(2)
            y, x = np.argwhere(ring).T - 48
            pull = np.array([(lit[ring] * x).mean(), (lit[ring] * y).mean()])
            facing = x * pull[0] + y * pull[1] > 0
            assert lit[ring][facing].mean() > lit[ring][~facing].mean() + 2


def test_a_tone_curve_never_swaps_light_and_dark() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.float32)[None, :, None], 3, 2)
    for seed in range(20):
        bent = light.toned(np.random.default_rng(seed), ramp)[0, :, 0]
        assert (np.diff(bent) >= 0).all()
        assert bent[0] == pytest.approx(0, abs=0.1)
        assert bent[-1] == pytest.approx(255, abs=0.1)


@pytest.mark.parametrize(("share", "gap"), [(1.0, 12), (0.0, 90)])
def test_some_crops_with_hardly_any_contrast_are_kept(
    bank: Path, monkeypatch: pytest.MonkeyPatch, share: float, gap: int
) -> None:
    gaps = [0, 12, *[90] * 9]  # of the backgrounds that are tried in turn; 0 cannot be learnt

    def flat(_: Composer, *given: np.ndarray) -> tuple[Layers, float]:
        plane = np.full((*given[2].shape, 3), 100, np.float32)
        return Layers(plane + gaps.pop(0), plane, given[2]), 30.0

    monkeypatch.setattr(Composer, "_setting", flat)
    monkeypatch.setattr(compose, "photographed", lambda rng, picture: picture)
    for name, value in (("TONED", 0.0), ("ALIKE", share), ("EXPONENTS", (1.0, 1.0))):
        monkeypatch.setattr(compose, name, value)
    sample = Composer(bank, size=96).sample(np.random.default_rng(2))
    assert sample.image.max() - 100 == pytest.approx(gap * sample.alpha.max(), rel=0.01)
