"""Compositing over a colour or a picture, without a Matte."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from mematte_plugin import composite
from mematte_plugin.errors import InputError
from mematte_plugin.images.arrays import linear_to_srgb, srgb_to_linear
from mematte_plugin.images.photo import Photo

RNG = np.random.default_rng(0)
FOREGROUND = RNG.random((700, 30, 3), np.float32)  # more rows than are blended at a time
ALPHA = RNG.random((700, 30), np.float32)
BEHIND = RNG.random((700, 30, 3), np.float32)


def test_it_is_the_compositing_equation() -> None:
    foreground, alpha, behind = FOREGROUND.copy(), ALPHA.copy(), BEHIND.copy()
    mixed = composite(foreground, alpha, behind)
    assert (mixed.dtype, mixed.shape) == (np.float32, FOREGROUND.shape)
    share = ALPHA[..., None]
    np.testing.assert_allclose(mixed, share * FOREGROUND + (1 - share) * BEHIND, atol=1e-6)
    for given, before in ((foreground, FOREGROUND), (alpha, ALPHA), (behind, BEHIND)):
        np.testing.assert_array_equal(given, before)  # the caller's arrays are untouched


@pytest.mark.parametrize("colour", ["#3366cc", "#36c", (51, 102, 204), (0.2, 0.4, 0.8)])
def test_a_colour_shows_where_alpha_is_zero(colour: Any) -> None:
    mixed = composite(FOREGROUND, 0 * ALPHA, colour)
    np.testing.assert_allclose(mixed, np.broadcast_to([0.2, 0.4, 0.8], mixed.shape), atol=1e-6)


def test_half_precision_and_integers_are_taken() -> None:
    mixed = composite(FOREGROUND.astype(np.float16), ALPHA.astype(np.float16), "black")
    np.testing.assert_allclose(mixed, FOREGROUND * ALPHA[..., None], atol=1e-3)
    deep = RNG.integers(0, 65536, FOREGROUND.shape, dtype=np.uint16)
    shown = composite(deep, np.ones_like(ALPHA), "black")
    np.testing.assert_array_equal(np.rint(shown * 65535), deep)
    behind = composite(FOREGROUND, 0 * ALPHA, deep)
    np.testing.assert_array_equal(np.rint(behind * 65535), deep)


def test_light_is_blended_in_the_foregrounds_encoding() -> None:
    clear = 0 * ALPHA
    np.testing.assert_allclose(
        composite(FOREGROUND, clear, BEHIND, linear=True), srgb_to_linear(BEHIND), atol=1e-6
    )
    light = Photo(BEHIND, linear=True)
    np.testing.assert_allclose(
        composite(FOREGROUND, clear, light), linear_to_srgb(BEHIND), atol=1e-6
    )
    np.testing.assert_allclose(composite(FOREGROUND, clear, light, linear=True), BEHIND, atol=1e-6)


def test_another_size_of_background_keeps_its_depth() -> None:
    deep = np.full((35, 9, 3), 30001, np.uint16)  # no step of 8 bits
    mixed = composite(FOREGROUND, 0 * ALPHA, deep)
    np.testing.assert_allclose(mixed * 65535, 30001, atol=1)


@pytest.mark.parametrize(
    ("foreground", "alpha"),
    [
        (FOREGROUND, ALPHA[:-1]),
        (FOREGROUND[..., 0], ALPHA),
        (np.dstack([FOREGROUND, ALPHA]), ALPHA),
    ],
)
def test_shapes_must_agree(foreground: np.ndarray, alpha: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"do not agree; give \(H, W, 3\)"):
        composite(foreground, alpha, "white")


def test_a_large_picture_takes_little_more_than_its_result() -> None:
    foreground = np.zeros((4000, 1000, 3), np.float32)
    alpha = np.zeros(foreground.shape[:2], np.float32)
    behind = Photo(np.zeros(foreground.shape, np.uint8))
    tracemalloc.start()
    try:
        mixed = composite(foreground, alpha, behind)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * mixed.nbytes
