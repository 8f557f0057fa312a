"""Despill: a screen's colour is found or named, and only that is taken out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mematte_plugin import collect_notes
from mematte_plugin.foreground.spill import key_for, named_key, take_out
from mematte_plugin.images.arrays import srgb_to_linear
from mematte_plugin.images.colour_spaces import convert, srgb
from mematte_plugin.images.photo import Photo
from mematte_plugin.images.read import read_photo
from mematte_plugin.matte import Matte

SUBJECT = np.float32([0.6, 0.5, 0.4])
SCREENS = {
    "chroma green": (0, 177, 64),
    "dim green": (28, 84, 36),
    "chroma blue": (0, 71, 187),
    "red": (200, 25, 20),
}
NO_SCREENS = {
    "grey": (120, 122, 118),
    "wood": (140, 95, 60),
    "brick": (150, 80, 62),
    "skin": (205, 150, 125),
    "pale sky": (190, 210, 235),
    "yellow": (230, 200, 20),
}


def before_screen(screen: Any, *, dtype: Any = np.uint8, linear: bool = False) -> Matte:
    """A disc of ochre whose rim the screen's light has tinted, before an uneven screen."""
    at = np.arange(160, dtype=np.float32) - 79.5
    distance = np.hypot(at[:, None], at[None, :])
    alpha = ((52 - distance) / 12).clip(0, 1)
    colour = np.float32(screen) / 255
    light = np.linspace(0.85, 1.05, 160, dtype=np.float32)[None, :, None]
    behind = (colour * light).clip(0, 1)
    spill = ((distance - 30) / 20).clip(0, 1)[..., None] * 0.5 * colour
    mixed = alpha[..., None] * (SUBJECT + spill) + (1 - alpha[..., None]) * behind
    noise = np.random.default_rng(0).normal(0, 0.01, mixed.shape).astype(np.float32)
    mixed = (mixed + noise).clip(0, 1)
    if linear:
        mixed = srgb_to_linear(mixed)
    pixels = mixed if dtype is np.float32 else np.rint(mixed * np.iinfo(dtype).max).astype(dtype)
    trimap = np.where(alpha <= 0, 0, np.where(alpha >= 1, 1, 0.5)).astype(np.float32)
    return Matte(alpha, Photo(pixels, linear=linear), trimap)


def excess(colours: np.ndarray, channel: int) -> np.ndarray:
    others = [i for i in range(3) if i != channel]
    return colours[..., channel] - colours[..., others].mean(axis=-1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_found_and_its_light_taken_out(name: str, dtype: Any) -> None:
    matte = before_screen(SCREENS[name], dtype=dtype)
    with collect_notes() as notes:
        clean = matte.shaped(despill="auto")
    assert notes == []
    assert clean.key is not None
    assert np.abs(clean.key * 255 - SCREENS[name]).max() < 20
    channel = int(np.argmax(SCREENS[name]))
    edge = (matte.alpha > 0.05) & (matte.alpha < 1)
    assert excess(matte.foreground, channel)[edge].mean() > 0.02
    assert excess(clean.foreground, channel)[edge].mean() < 0.01
    np.testing.assert_array_equal(clean.alpha, matte.alpha)
    far = np.zeros_like(edge)
    far[70:90, 70:90] = True
    np.testing.assert_array_equal(clean.foreground[far], matte.foreground[far])
    with collect_notes():
        named = matte.shaped(despill=SCREENS[name])
    assert excess(named.foreground, channel)[edge].mean() < 0.02


@pytest.mark.parametrize("name", NO_SCREENS)
def test_without_a_screen_nothing_is_taken_out_and_that_is_reported(name: str) -> None:
    matte = before_screen(NO_SCREENS[name])
    with collect_notes() as notes:
        same = matte.shaped(despill="auto")
    assert len(notes) == 1
    assert "finds no green, blue or red screen" in notes[0]
    np.testing.assert_array_equal(same.foreground, matte.foreground)


def test_a_picture_of_many_colours_is_no_screen() -> None:
    matte = before_screen(SCREENS["chroma green"])
    many = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
    many = many.repeat(8, axis=0).repeat(8, axis=1)
    pixels = np.where(matte.trimap[..., None] == 0, many, matte.photo.pixels)
    with collect_notes() as notes:
        shaped = Matte(matte.alpha, Photo(pixels), matte.trimap).shaped(despill="auto")
    assert shaped.key is None
    assert len(notes) == 1


def test_scene_linear_colours_keep_their_range() -> None:
    matte = before_screen(SCREENS["chroma green"], dtype=np.float32, linear=True)
    clean = matte.shaped(despill="auto")
    edge = (matte.alpha > 0.05) & (matte.alpha < 1)
    assert excess(clean.foreground, 1)[edge].mean() < 0.01
    bright = np.float32([[[3.0, 6.5, 2.0]]]).repeat(4, axis=1)
    take_out(bright, np.zeros((1, 4), np.float32), np.float32([0, 1, 0]))
    np.testing.assert_allclose(bright, [[[3.0, 2.5, 2.0]] * 4])


def test_a_matte_without_background_has_no_screen() -> None:
    alpha = np.full((32, 32), 0.5, np.float32)
    photo = Photo(np.full((32, 32, 3), (0, 177, 64), np.uint8))
    with collect_notes() as notes:
        assert Matte(alpha, photo, alpha).shaped(despill="auto").key is None
    assert len(notes) == 1


@pytest.mark.parametrize(
    "given", ["green", "#00b140", "hsl(142, 100%, 35%)", (0, 177, 64), (0.0, 0.7, 0.25)]
)
def test_a_screen_is_named_in_every_way(given: Any) -> None:
    assert int(np.argmax(named_key(given))) == 1


def test_despill_stays_when_the_edge_is_shaped_further() -> None:
    clean = before_screen(SCREENS["chroma green"]).shaped(despill="auto")
    further = clean.shaped(choke=1, feather=1)
    np.testing.assert_array_equal(further.key, clean.key)
    np.testing.assert_array_equal(further.foreground, clean.foreground)
    off = further.shaped(despill="off")
    assert off.key is None


@pytest.mark.parametrize("space", ["srgb", "display-p3", "linear-srgb", "acescg"])
def test_a_named_screen_is_the_same_colour_in_every_space(space: str) -> None:
    photo = read_photo(np.full((8, 8, 3), 0.5, np.float32), input_space=space)
    named = key_for(photo, np.zeros((8, 8), np.float32), "#00b040")
    assert named is not None
    assert photo.space is not None
    shown = convert(named, photo.space, srgb())
    np.testing.assert_allclose(shown, np.array([0x00, 0xB0, 0x40]) / 255, atol=2e-3)
