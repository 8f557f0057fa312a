"""Backgrounds in the photo's colour space, and transparent ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import ImageCms

from mematte_plugin import composite
from mematte_plugin.errors import InputError, MEMatteWarning
from mematte_plugin.images.arrays import linear_to_srgb
from mematte_plugin.images.colour_spaces import ADOBE, ADOBE_CURVE, LINEAR, P3, REC709, SRGB_CURVE
from mematte_plugin.images.photo import Photo
from mematte_plugin.images.profiles import icc_profile, space_of
from mematte_plugin.show.composite import over_white

from ..colours import EIGHT, shown

WIDE = icc_profile(ADOBE, ADOBE_CURVE, "wide")
P3_PROFILE = icc_profile(P3, SRGB_CURVE, "p3")
GAMMA_ONE = icc_profile(REC709, LINEAR, "light")
CLEAR = np.zeros(EIGHT.shape[:2], np.float32)


@pytest.mark.parametrize(
    "profile",
    [WIDE, P3_PROFILE, None, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()],
)
@pytest.mark.parametrize(
    "colour",
    [
        "#c83c28",
        (200, 60, 40),
        (200 / 255, 60 / 255, 40 / 255),
        "rgb(200 60 40)",
        "hsl(8, 67%, 47%)",
    ],
)
def test_a_named_colour_is_shown_as_that_colour(profile: bytes | None, colour: Any) -> None:
    mixed = composite(EIGHT, CLEAR, colour, icc_profile=profile)
    seen = shown(np.rint(mixed * 255).astype(np.uint8), profile)
    np.testing.assert_allclose(seen, np.full(seen.shape, (200, 60, 40)), atol=1.5)


@pytest.mark.parametrize("own", [WIDE, P3_PROFILE, None, GAMMA_ONE])
@pytest.mark.parametrize("target", [WIDE, P3_PROFILE, None])
def test_a_picture_is_shown_as_it_was(own: bytes | None, target: bytes | None) -> None:
    """Behind a photo in another space, as far as that holds its colours."""
    muted = EIGHT // 4 + 90
    behind = Photo(muted, icc_profile=own)
    mixed = composite(muted, CLEAR, behind, icc_profile=target)
    seen = shown(np.rint(mixed * 255).astype(np.uint8), target)
    np.testing.assert_allclose(seen, shown(muted, own), atol=2)
    if own == target:
        np.testing.assert_array_equal(mixed, muted / np.float32(255))


def test_a_profile_of_tables_goes_through_littlecms() -> None:
    table = bytearray(P3_PROFILE)
    table[20:24] = b"Lab "  # for us no matrix profile any more
    assert space_of(bytes(table)) is None
    mixed = composite(EIGHT, CLEAR, "#c83c28", icc_profile=bytes(table))
    np.testing.assert_allclose(mixed[0, 0] * 255, (185, 71, 50), atol=1)  # in P3


def test_light_is_blended_as_light_when_asked() -> None:
    half = np.full(EIGHT.shape[:2], 0.5, np.float32)
    black = 0 * EIGHT
    plain = composite(black, half, "white")
    light = composite(black, half, "white", linear_light=True)
    np.testing.assert_allclose(plain, 0.5, atol=1e-6)
    np.testing.assert_allclose(light, linear_to_srgb(np.float32([0.5]))[0], atol=1e-5)
    wide = composite(black, half, "white", linear_light=True, icc_profile=WIDE)
    np.testing.assert_allclose(wide, 0.5 ** (256 / 563), atol=1e-3)
    already = composite(black, half, "white", linear=True, linear_light=True)
    np.testing.assert_allclose(already, 0.5, atol=1e-6)
    for whole in (0 * half, 0 * half + 1):  # what is not mixed stays as it is
        kept = composite(EIGHT, whole, EIGHT, linear_light=True)
        np.testing.assert_allclose(kept, EIGHT / 255, atol=1e-6)


COLOURS: dict[Any, tuple[float, float, float, float]] = {
    "transparent": (0, 0, 0, 0),
    "rgba(255, 0, 0, 0.5)": (1, 0, 0, 0.5),
    "rgba(255, 0, 0, 51)": (1, 0, 0, 0.2),
    "rgb(100% 0% 0% / 25%)": (1, 0, 0, 0.25),
    "hsla(120deg, 100%, 50%, 0.5)": (0, 1, 0, 0.5),
    "#ff000080": (1, 0, 0, 128 / 255),
    "#f008": (1, 0, 0, 136 / 255),
    (255, 0, 0, 51): (1, 0, 0, 0.2),
    (255, 0, 0, 0.2): (1, 0, 0, 0.2),
    (1.0, 0.0, 0.0, 0.2): (1, 0, 0, 0.2),
}


@pytest.mark.parametrize("colour", COLOURS)
def test_a_colour_may_be_transparent(colour: Any) -> None:
    mixed = composite(EIGHT, CLEAR, colour)
    red, green, blue, opacity = COLOURS[colour]
    assert mixed.shape == (*EIGHT.shape[:2], 4)
    np.testing.assert_allclose(mixed[0, 0, 3], opacity, atol=1e-6)
    if opacity:
        np.testing.assert_allclose(mixed[0, 0, :3], (red, green, blue), atol=1e-6)
    over = composite(EIGHT, CLEAR + 1, colour)
    np.testing.assert_allclose(over[..., :3], EIGHT / 255, atol=1e-6)
    np.testing.assert_array_equal(over[..., 3], 1)


@pytest.mark.parametrize("colour", ["rgb(300, 0, 0)", "rgba(1, 2)", "rgba(0, 0, 0, x)", "hsl(1)"])
def test_unknown_colours_are_refused(colour: str) -> None:
    with pytest.raises(InputError, match=r"neither a colour .* nor a file"):
        composite(EIGHT, CLEAR, colour)


@pytest.mark.parametrize("size", [(4, 4), (8, 8), (2, 2), (9, 5)])
def test_a_background_with_transparency_keeps_it(size: tuple[int, int]) -> None:
    behind = np.zeros((*size, 4), np.uint8)
    behind[..., 0] = 255  # magenta where nothing is seen of it
    behind[..., 2] = 255
    behind[: size[0] // 2] = (0, 200, 0, 255)
    alpha = CLEAR.copy()
    alpha[:, 0] = 1
    alpha[:, 1] = 0.5
    mixed = composite(EIGHT, alpha, behind)
    np.testing.assert_allclose(mixed[:, 0], np.dstack([EIGHT / 255, alpha + 1])[:, 0].clip(0, 1))
    np.testing.assert_allclose(mixed[3, :, 3], alpha[3], atol=0.35 if size == (9, 5) else 1e-6)
    np.testing.assert_allclose(mixed[0, 2:], [(0, 200 / 255, 0, 1)] * 2, atol=2e-2)
    half = EIGHT[0, 1] / 255 * 0.5 + np.array((0, 200, 0)) / 255 * 0.5
    np.testing.assert_allclose(mixed[0, 1], [*half, 1], atol=2e-2)
    seen = mixed[..., 3] > 0.02  # magenta never shows, neither at edges nor after scaling
    assert (mixed[..., 2][seen] <= EIGHT[..., 2].max() / 255 + 0.02).all()


def test_an_opaque_alpha_changes_nothing() -> None:
    behind = np.dstack([EIGHT, np.full(EIGHT.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(
        composite(EIGHT, CLEAR + 0.5, behind), composite(EIGHT, CLEAR + 0.5, EIGHT)
    )


def test_a_file_without_transparency_gets_white_behind() -> None:
    mixed = composite(EIGHT, CLEAR, "rgba(0, 0, 0, 0.25)")
    with pytest.warns(MEMatteWarning, match="a.jpg: cannot hold the background's transparency"):
        flat = over_white(mixed, "a.jpg")
    np.testing.assert_allclose(flat, np.full(EIGHT.shape, 0.75), atol=1e-6)
    assert over_white(flat, "b.jpg") is flat
