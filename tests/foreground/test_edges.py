"""Shaping a matte's edge: levels, choke, feather, and what they leave unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mematte_plugin import Edge, SettingError
from mematte_plugin.foreground.edges import shape_alpha
from mematte_plugin.images.photo import Photo
from mematte_plugin.matte import Matte


def choke(alpha: np.ndarray, pixels: float) -> np.ndarray:
    return shape_alpha(alpha, Edge(choke=pixels))


def half_plane(degrees: float, *, size: int = 64, hard: bool = False) -> np.ndarray:
    """What lies left of a slanting line: the share of each pixel that it covers."""
    fine = 8
    at = (np.arange(size * fine) + 0.5) / fine - size / 2
    angle = np.radians(degrees)
    covered = at[None, :] * np.cos(angle) + at[:, None] * np.sin(angle) < 0.3
    share = covered.reshape(size, fine, size, fine).mean(axis=(1, 3)).astype(np.float32)
    return (share >= 0.5).astype(np.float32) if hard else share


def lost_along(before: np.ndarray, after: np.ndarray, degrees: float) -> float:
    """By how many pixels the edge has moved in, measured by area around the picture's middle."""
    at = np.arange(len(before)) + 0.5 - len(before) / 2
    angle = np.radians(degrees)
    along = -at[None, :] * np.sin(angle) + at[:, None] * np.cos(angle)
    inside = np.abs(along) < 15
    return float((before - after)[inside].sum()) / 30


@pytest.mark.parametrize("pixels", [-3.0, -0.5, -0.25, 0.1, 0.25, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("degrees", [0, 10, 26.6, 45, 90])
def test_choke_moves_a_soft_edge_by_fractions_of_a_pixel(pixels: float, degrees: float) -> None:
    before = half_plane(degrees)
    moved = lost_along(before, choke(before, pixels), degrees)
    assert moved == pytest.approx(pixels, abs=0.02 if abs(pixels) <= 0.5 else 0.12)


@pytest.mark.parametrize("pixels", [-0.5, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("degrees", [0, 26.6, 45])
def test_choke_moves_a_hard_edge_as_far(pixels: float, degrees: float) -> None:
    before = half_plane(degrees, hard=True)
    assert lost_along(before, choke(before, pixels), degrees) == pytest.approx(pixels, abs=0.15)


def test_choke_thins_hair_and_does_not_delete_it() -> None:
    hair = np.zeros((48, 48), np.float32)
    hair[:, 20] = 0.6
    hair[np.arange(48), np.arange(48)] = 0.8
    half = choke(hair, 0.5)
    assert 0.25 <= half[5, 20] <= 0.35
    assert 0.3 <= half[40, 40] <= 0.5
    assert choke(hair, 1)[5, 20] > 0.1
    assert choke(hair, 6).max() < 1 / 255  # a strong choke removes it


def test_choke_leaves_what_touches_the_frame_and_what_is_far_from_edges() -> None:
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, 20:] = 1
    inner = choke(alpha, 3)
    np.testing.assert_array_equal(inner[:, 30:], 1)
    np.testing.assert_allclose(inner[:, 20:23], 0, atol=1e-6)
    outer = choke(alpha, -3)
    np.testing.assert_array_equal(outer[:, 17:], 1)
    np.testing.assert_array_equal(outer[:, :16], 0)


def test_choke_is_the_same_in_tiles_and_in_one_piece() -> None:
    rng = np.random.default_rng(3)
    import cv2

    alpha = cv2.GaussianBlur(rng.random((300, 600), np.float32), (0, 0), 6)
    alpha = ((alpha - 0.48) / 0.04).clip(0, 1)
    for edge in (Edge(choke=1.7), Edge(choke=-2.2), Edge(feather=2.5)):
        whole = shape_alpha(alpha, edge)
        part = shape_alpha(alpha[:, 100:500], edge)
        np.testing.assert_allclose(whole[:, 130:470], part[:, 30:370], atol=1e-6)


def test_levels_reach_exactly_0_and_1() -> None:
    alpha = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, -1)
    shaped = shape_alpha(alpha, Edge(levels=(0.1, 0.9)))
    np.testing.assert_array_equal(shaped[alpha <= np.float32(0.1)], 0)
    np.testing.assert_array_equal(shaped[alpha >= np.float32(0.9)], 1)
    between = (alpha > 0.1) & (alpha < 0.9)
    np.testing.assert_allclose(shaped[between], (alpha[between] - 0.1) / 0.8, atol=1e-6)
    np.testing.assert_array_equal(shape_alpha(alpha, Edge(levels=(0, 1))), alpha)


def test_feather_blurs_the_edge_and_keeps_0_and_1_elsewhere() -> None:
    alpha = half_plane(30, size=96)
    soft = shape_alpha(alpha, Edge(feather=2))
    assert soft.min() == 0
    assert soft.max() == 1
    assert float(soft.mean()) == pytest.approx(float(alpha.mean()), abs=1e-3)
    ramp = soft[48]
    middle = int(np.argmin(np.abs(ramp - 0.5)))
    slope = (ramp[middle - 1] - ramp[middle + 1]) / 2 / np.cos(np.radians(30))
    assert slope == pytest.approx(1 / (2 * np.sqrt(2 * np.pi)), rel=0.1)  # of a Gaussian of 2


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"levels": (0.9, 0.1)}, r"levels .*0 to 1, black below white"),
        ({"levels": (13, 242)}, r"levels .*of 255: 0.051, 0.949"),
        ({"levels": 0.5}, r"levels 0.5.*two alphas"),
        ({"levels": (0.1, float("nan"))}, "levels"),
        ({"choke": 101}, "choke 101.*-100 to 100"),
        ({"choke": "1"}, "choke '1'"),
        ({"feather": -1}, "feather -1.*0 to 250"),
        ({"feather": float("inf")}, "feather inf"),
        ({"crop": True, "margin": 1.5}, "margin 1.5.*whole"),
        ({"margin": 4}, "margin 4.*crop"),
        ({"colors": "own"}, "colors 'own'.*foreground or photo"),
        ({"despill": "gren"}, "despill 'gren'.*not a colour"),
        ({"despill": (300, 0, 0)}, "despill"),
        ({"despill": "white"}, "despill 'white'.*grey"),
    ],
)
def test_values_out_of_range_are_named(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingError, match=fault):
        Edge(**options)


def make(size: int = 96) -> Matte:
    """A red disc with a soft edge before green."""
    at = np.arange(size, dtype=np.float32) - (size - 1) / 2
    distance = np.hypot(at[:, None], at[None, :])
    alpha = ((size / 4 + 4 - distance) / 8).clip(0, 1)
    red, green = np.float32([0.8, 0.2, 0.1]), np.float32([0.1, 0.7, 0.1])
    mixed = alpha[..., None] * red + (1 - alpha[..., None]) * green
    trimap = np.where(alpha <= 0, 0, np.where(alpha >= 1, 1, 0.5)).astype(np.float32)
    return Matte(alpha, Photo(np.rint(mixed * 255).astype(np.uint8)), trimap)


def test_a_matte_is_shaped_into_another_one() -> None:
    matte = make()
    before = matte.alpha.copy()
    assert matte.shaped() is matte
    shaped = matte.shaped(levels=(0.2, 0.8), choke=0.5)
    np.testing.assert_array_equal(matte.alpha, before)
    np.testing.assert_array_equal(
        shaped.alpha, shape_alpha(before, Edge(levels=(0.2, 0.8), choke=0.5))
    )
    further = shaped.shaped(feather=1)
    np.testing.assert_array_equal(further.alpha, shape_alpha(shaped.alpha, Edge(feather=1)))
    np.testing.assert_array_equal(shaped.foreground, matte.foreground)


@pytest.mark.parametrize("edge", [Edge(choke=-22), Edge(feather=8)])
def test_an_edge_that_was_moved_out_has_colours_there(edge: Edge) -> None:
    shaped = make().with_edge(edge)
    added = (shaped.alpha > 0) & (make().alpha == 0)
    assert added.sum() > 1000
    assert np.abs(shaped.foreground[added] - np.float32([0.8, 0.2, 0.1])).max() < 0.15
    over = np.asarray(shaped.composite("white"), np.float32) / 255
    assert over[added].min(axis=0)[0] > 0.6  # neither black nor green shines through


def test_the_photos_own_colours_are_kept_everywhere(tmp_path: Any) -> None:
    from PIL import Image

    matte = make()
    own = matte.shaped(colors="photo")
    own.save(tmp_path / "own.png")
    kept = np.asarray(Image.open(tmp_path / "own.png"))
    np.testing.assert_array_equal(kept[..., :3], matte.photo.pixels)
    np.testing.assert_array_equal(kept[..., 3], np.rint(matte.alpha * 255))
    np.testing.assert_array_equal(own.foreground, matte.photo.as_float())
    back = own.shaped(colors="foreground")
    np.testing.assert_array_equal(back.foreground, matte.foreground)
    own.save(tmp_path / "clean.png", colors="foreground")
    matte.save(tmp_path / "plain.png")
    assert (tmp_path / "clean.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    matte.save(tmp_path / "former.png", decontaminate=False)
    assert (tmp_path / "former.png").read_bytes() == (tmp_path / "own.png").read_bytes()
    with pytest.raises(SettingError, match=r"give one$"):
        matte.cutout(colors="photo", decontaminate=True)


def test_a_small_cutout_shows_the_shaped_edge() -> None:
    matte = make(192).shaped(choke=-24)
    small = matte.cutout_proxy(96)
    added = (small[..., 3] > 250) & (make(96).alpha == 0)
    assert added.any()
    assert small[added][:, 0].min() > 150
