"""Masks in any form: types, shapes, colours, levels, noise."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mematte_plugin.errors import InputError, MEMatteWarning
from mematte_plugin.trimap.masks import read_mask
from mematte_plugin.trimap.trimap import from_mask

from ..mask_cases import (
    AWAY,
    DISC,
    EXPECTED,
    GRADIENT,
    LEFT,
    RIGHT,
    SIZE,
    SOFT,
    VIGNETTE,
    VOC,
    X,
    Y,
    brush,
    colours,
    decoded,
    encoded,
    in_blocks,
    jpeg,
    levels,
    noisy,
    palette,
    quietly,
    sharpened,
)

SILENT = {
    "bool": DISC,
    "0 and 1": DISC.astype(np.uint8),
    "0 and 1, int64": DISC.astype(np.int64),
    "0 and 1, int32 tensor": torch.tensor(DISC.astype(np.int32)),
    "0 and 1 as a grey picture in colour": colours((0, 0, 0), (1, 1, 1)),
    "0 and 255": levels(0, 255),
    "4 and 251": levels(4, 251),
    "0 and 255, uint16": levels(0, 255).astype(np.uint16),
    "0 and 255, int64": levels(0, 255).astype(np.int64),
    "0 and 255, float": levels(0, 255).astype(np.float32),
    "0 and 65535, int32": levels(0, 1).astype(np.int32) * 65535,
    "one object": palette(DISC, VOC),
    "one object, number 3": palette(3 * DISC, VOC),
    "one object, number 7, no palette": levels(0, 7),
    "palette of black and white": palette(DISC, [(0, 0, 0), (255, 255, 255)]),
    "palette that begins with the subject": palette(~DISC, [(255, 0, 0), (0, 0, 0)]),
    "white on transparent": brush((255, 255, 255), 255 * DISC),
    "black on transparent": brush((0, 0, 0), 255 * DISC),
    "red on transparent": brush((255, 0, 0), 255 * DISC),
    "red on black": colours((0, 0, 0), (255, 0, 0)),
    "red on black, opaque": np.dstack([colours((0, 0, 0), (255, 0, 0)), levels(255, 255)]),
    "dark red on black": colours((0, 0, 0), (128, 0, 0)),
    "magenta on black": colours((0, 0, 0), (255, 0, 255)),
    "green on black, uint16": colours((0, 0, 0), (0, 255, 0)).astype(np.uint16) * 257,
    "cyan on black, float": colours((0, 0, 0), (0, 255, 255)) / 255,
    "blue on black, 0 and 1": colours((0, 0, 0), (0, 0, 1)),
    "white on black, a transparent margin": np.dstack(
        [colours((0, 0, 0), (255, 255, 255)), np.where((Y > 4) & (X > 4), 255, 0)]
    ).astype(np.uint8),
    "white on black, half opaque": np.dstack(
        [colours((0, 0, 0), (255, 255, 255)), levels(128, 128)]
    ),
    "white on black, wholly transparent": np.dstack(
        [colours((0, 0, 0), (255, 255, 255)), levels(0, 0)]
    ),
    "(1, H, W)": DISC[None],
    "(H, W, 1)": DISC[..., None],
    "(1, 1, H, W) tensor": torch.tensor(DISC)[None, None],
    "(3, H, W), thrice the same": np.stack([DISC] * 3).astype(np.float32),
    "(H, W, 3) bool, thrice the same": np.stack([DISC] * 3, axis=2),
}


@pytest.mark.parametrize("name", SILENT)
def test_the_same_subject_in_every_form(name: str) -> None:
    found, notes = quietly(lambda: from_mask(SILENT[name], size=SIZE))
    np.testing.assert_array_equal(found, EXPECTED)
    assert notes == []


REPORTED = {
    "0 and 38": (levels(0, 38), "holds the values 0 and 38; 38 is taken for the subject"),
    "15 and 200": (levels(15, 200), "holds the values 15 and 200"),
    "100 and 200": (levels(100, 200), "holds the values 100 and 200"),
    "8 and 248": (levels(8, 248), "holds the values 8 and 248"),
    "0 and 128": (levels(0, 128), "holds the values 0 and 128"),
    "labels 1 and 2": (levels(1, 2), "holds the values 1 and 2"),
    "-1 and 3": (np.where(DISC, 3, -1), "holds the values -1 and 3"),
    "-1 and 1, float": (np.where(DISC, 1.0, -1.0), "holds the values -1 and 1"),
    "0 and 0.15": (DISC * 0.15, r"its levels run from 0 to 0\.15, not from 0 to 1"),
    "half opaque brush": (brush((255, 0, 0), 128 * DISC), "holds the values 0 and 128"),
    "red on white": (colours((255, 255, 255), (255, 0, 0)), "#ffffff, which lies along the border"),
    "white on blue": (colours((0, 0, 255), (255, 255, 255)), "#ffffff for the subject"),
    "yellow on violet": (colours((68, 1, 84), (253, 231, 36)), "#fde724 for the subject"),
}


@pytest.mark.parametrize("name", REPORTED)
def test_choices_are_reported(name: str) -> None:
    source, remark = REPORTED[name]
    with pytest.warns(MEMatteWarning, match=remark) as caught:
        found = from_mask(source, size=SIZE)
    np.testing.assert_array_equal(found, EXPECTED)
    assert len(caught) == 1


# Name: the mask, how many warnings, and how many of the pixels may come out otherwise.
ALMOST: dict[str, tuple[Any, int, float]] = {
    "soft": (SOFT, 0, 0.006),
    "soft, 8 bit": (levels(0, 255, SOFT), 0, 0.006),
    "soft, 0 to 255 in uint16": (levels(0, 255, SOFT).astype(np.uint16), 0, 0.006),
    "soft, 0 to 255 in int32": (levels(0, 255, SOFT).astype(np.int32), 0, 0.006),
    "soft, 0 to 255 in float": (SOFT * 255, 0, 0.006),
    "soft, 12 bits of 16": ((SOFT * 4095).astype(np.uint16), 1, 0.006),
    "soft, 10 bits of 16": ((SOFT * 1023).astype(np.uint16), 1, 0.006),
    "soft, as bright as 0.7": (SOFT * 0.7, 1, 0.006),
    "soft, 8 to 248": (levels(8, 248, SOFT), 1, 0.006),
    "soft, 16 to 235": (levels(16, 235, SOFT), 1, 0.006),
    "soft, 30 to 220": (levels(30, 220, SOFT), 1, 0.006),
    "video range, noise": (noisy(levels(16, 235), 1), 1, 0.01),
    "video range, soft, noise": (noisy(levels(16, 235, SOFT), 2), 1, 0.01),
    "video range, soft, much noise": (noisy(levels(16, 235, SOFT), 5), 1, 0.025),
    "full range, soft, noise": (noisy(levels(0, 255, SOFT), 6), 0, 0.025),
    "JPEG 95": (jpeg(levels(0, 255), 95), 0, 0.01),
    "JPEG 75": (jpeg(levels(0, 255), 75), 0, 0.02),
    "JPEG 40": (jpeg(levels(0, 255), 40), 0, 0.02),
    "JPEG 20, soft": (jpeg(levels(0, 255, SOFT), 20), 0, 0.02),
    "JPEG 40, decoded": (decoded(jpeg(levels(0, 255), 40)), 0, 0.02),
    "JPEG 40 in colour": (jpeg(colours((0, 0, 0), (255, 255, 255)), 40), 0, 0.02),
    "JPEG 40, video range": (jpeg(levels(16, 235), 40), 1, 0.02),
    "JPEG 10, video range": (jpeg(levels(16, 235), 10), 1, 0.03),
    "sharpened, 8 to 248": (
        sharpened(levels(8, 248)),
        1,
        0.01,
    ),
    "soft red on black": (colours((0, 0, 0), (255, 0, 0), SOFT), 0, 0.006),
    "soft green on black, JPEG": (
        jpeg(colours((0, 0, 0), (0, 255, 0), SOFT), 60),
        0,
        0.03,
    ),
    "soft red on black, with a palette": (
        encoded(Image.fromarray(colours((0, 0, 0), (255, 0, 0), SOFT)).quantize(16)),
        0,
        0.01,
    ),
    "soft red on black, GIF": (
        encoded(Image.fromarray(colours((0, 0, 0), (255, 0, 0), SOFT)).quantize(64), "GIF"),
        0,
        0.01,
    ),
    "soft brush, half opaque": (brush((255, 0, 0), 128 * SOFT), 1, 0.01),
    "video range, with bars of black": (
        np.where((Y < 8) | (Y > 110), 0, levels(16, 235, SOFT)).astype(np.uint8),
        1,
        0.006,
    ),
    "soft, in blocks": (
        in_blocks(levels(0, 255, SOFT)),
        0,
        0.02,
    ),
}


@pytest.mark.parametrize("name", ALMOST)
def test_levels_and_noise(name: str) -> None:
    source, count, most = ALMOST[name]
    found, notes = quietly(lambda: from_mask(source, size=SIZE))
    assert (found != EXPECTED).mean() <= most
    assert len(notes) == count, notes
    assert all("its levels run from" in remark for remark in notes)
    far = (AWAY > 56) | (AWAY < 24)  # noise far from the edge is none of it
    np.testing.assert_array_equal(found[far], EXPECTED[far])


def test_half_beside_white_is_soft_and_no_object() -> None:
    half = np.where(RIGHT, 127, levels(0, 255, LEFT)).astype(np.uint8)
    grown = np.asarray(
        Image.fromarray(half[::4, ::4]).resize((640, 480), Image.Resampling.BILINEAR)
    )
    for mask in (half, grown):
        found, notes = quietly(lambda mask=mask: from_mask(mask, inside=0, outside=0))
        middle = mask.shape[0] // 2, mask.shape[1] // 8
        assert [found[middle[0], middle[1] * i] for i in (1, 3, 5, 7)] == [0, 255, 128, 0]
        assert notes == []


def with_hair() -> np.ndarray:
    """Soft, with faint strands far from the subject."""
    hair = SOFT.copy()
    for turn in np.linspace(0, 6, 40):
        end = (int(80 + 60 * np.cos(turn)), int(60 + 56 * np.sin(turn)))
        cv2.line(hair, (80, 60), end, float(turn % 1 * 0.3 + 0.03), 1)
    return hair


@pytest.mark.parametrize("noise", [0, 1])
def test_levels_of_a_small_subject(noise: float) -> None:
    small = np.where(AWAY < 4, np.float32(1), np.float32(0))
    soft = cv2.GaussianBlur(small, (0, 0), 0.6)
    found, notes = quietly(lambda: from_mask(noisy(levels(16, 235, soft), noise), inside=1))
    assert (found[AWAY < 1] == 255).all()
    assert (found[AWAY > 16] == 0).all()
    assert "levels run from 16" in notes[0]


@pytest.mark.parametrize(("low", "high"), [(16, 235), (8, 248), (0, 180), (40, 200)])
def test_stretched_masks_keep_what_is_soft(low: float, high: float) -> None:
    found, notes = quietly(lambda: read_mask(levels(low, high, with_hair())))
    assert np.abs(found - with_hair()).max() < 0.01
    assert len(notes) == 1


def test_masks_in_black_and_white_are_read_to_the_last_bit() -> None:
    hair = with_hair()
    for values in (hair, levels(0, 255, hair)):
        unit = values if values.dtype == np.float32 else values / np.float32(255)
        np.testing.assert_array_equal(read_mask(values), unit)
    deep = np.rint(hair * 65535).astype(np.uint16)
    np.testing.assert_array_equal(read_mask(deep), deep.astype(np.float32) / np.float32(65535))


@pytest.mark.parametrize(
    "source", [SOFT, levels(16, 235, SOFT), noisy(levels(16, 235), 2), levels(0, 38)]
)
def test_reading_a_mask_twice_changes_nothing(source: np.ndarray) -> None:
    first, _ = quietly(lambda: read_mask(source))
    again, notes = quietly(lambda: read_mask(first))
    np.testing.assert_array_equal(again, first)
    assert notes == []


@pytest.mark.parametrize(
    "mask", [GRADIENT, VIGNETTE, levels(0, 255, VIGNETTE), np.round(VIGNETTE * 7) / 7]
)
def test_a_mask_that_is_soft_all_over_stays_soft_and_says_so(mask: np.ndarray) -> None:
    with pytest.warns(MEMatteWarning, match=r"is grey over 9\d|is grey over 100%") as caught:
        found = from_mask(mask)
    assert (found == 128).mean() > 0.9
    assert "black and white" in str(caught[0].message)
    hard, _ = quietly(lambda: from_mask(mask, keep_soft=False))
    assert (hard == 128).mean() < 0.3


@pytest.mark.parametrize(
    ("mask", "fault"),
    [
        (levels(38, 38), r"is one even grey \(15% of white\)"),
        (levels(128, 128), "is one even grey"),
        (np.zeros(SIZE, np.int32), "is empty: nothing is white"),
        (levels(255, 255), "is full: everything is white"),
        (VIGNETTE * 0.4, "nothing reaches half of white"),
        (brush((255, 0, 0), 0 * DISC), "is empty: all of it is transparent"),
        (palette(0 * DISC, VOC), "is empty"),
        (np.where(DISC, 8.0, -8.0) + 3 * GRADIENT, "logits: apply a sigmoid, or give values > 0"),
        (np.where(DISC, 900.0, 0.0) + GRADIENT, "clip or scale them"),
        (np.where(DISC, np.nan, 0.0), "NaN"),
        (np.where(DISC, 70000, 0) + X, "is a map of|values from 0 to"),
    ],
)
def test_unusable_masks_are_refused(mask: Any, fault: str) -> None:
    with pytest.raises(InputError, match=f"^mask: .*({fault})"):
        from_mask(mask)


def test_an_inverted_mask_is_reported() -> None:
    for mask in (~DISC, levels(0, 255, ~DISC), colours((255, 255, 255), (0, 0, 0))):
        with pytest.warns(MEMatteWarning, match="mask: looks inverted"):
            from_mask(mask)


STACKS = {
    "(N, H, W)": (np.stack([LEFT, RIGHT]), r"a stack of 2: choose one, as in mask\[0\]"),
    "(3, H, W)": (np.stack([LEFT, RIGHT, DISC]), r"a stack of 3.* mask\[0\].* \.max\(0\)"),
    "(3, H, W) float": (np.stack([LEFT, RIGHT, DISC]) * 1.0, "a stack of 3"),
    "(3, H, W) tensor": (torch.tensor(np.stack([LEFT, RIGHT, DISC])), r"a stack of 3.* mask\[0\]"),
    "(3, H, W) bool": (np.stack([LEFT] * 3) > 0, "a stack of 3"),
    "(H, W, N)": (np.stack([LEFT] * 5, axis=2), r"a stack of 5.* mask\[\.\.\., 0\].* \.max\(2\)"),
    "(H, W, 3)": (np.stack([LEFT, RIGHT, DISC], axis=2), r"a stack of 3.* mask\[\.\.\., 0\]"),
    "(N, 1, H, W)": (np.stack([LEFT, RIGHT])[:, None], "a batch"),
}


@pytest.mark.parametrize("name", STACKS)
def test_stacks_of_masks_are_refused(name: str) -> None:
    source, fault = STACKS[name]
    with pytest.raises(InputError, match=fault) as caught:
        from_mask(source)
    assert str(tuple(source.shape)) in str(caught.value)


def test_a_photograph_is_no_mask() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    for source in (photo, encoded(Image.fromarray(photo).quantize(200))):
        with pytest.raises(InputError, match=r"is a colour picture.*photo and mask swapped"):
            from_mask(source)


def test_a_grey_photograph_is_no_label_map() -> None:
    grain = np.random.default_rng(0).normal(0, 40, SIZE).astype(np.float32)
    photo = 110 + cv2.GaussianBlur(grain, (0, 0), 3) - 40 * DISC
    with pytest.raises(InputError, match=r"is full|is empty"):
        from_mask(np.rint(photo * 0.6).clip(0, 255).astype(np.uint8))
    with pytest.warns(MEMatteWarning, match=r"is grey over \d\d"):
        from_mask(np.rint(photo + Y).clip(0, 255).astype(np.uint8))


def test_two_colours_that_say_nothing_are_not_guessed() -> None:
    halves = np.where((X < 80)[..., None], np.uint8([255, 0, 0]), np.uint8([255, 255, 0]))
    with pytest.raises(InputError, match=r"#ff0000 and #ffff00.*either may be the subject"):
        from_mask(halves)
    found = from_mask(halves, objects="#ffff00")
    assert (found[0, 0], found[0, -1]) == (0, 255)
