"""Trimaps in any form: labels, levels, colours, and masks given instead."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mematte_plugin.errors import InputError, MEMatteWarning
from mematte_plugin.trimap.masks import read_trimap
from mematte_plugin.trimap.trimap import normalise_trimap

from ..mask_cases import (
    AWAY,
    DISC,
    GRADIENT,
    HALVES,
    RINGS,
    SIZE,
    SOFT,
    VOC,
    Y,
    jpeg,
    levels,
    noisy,
    palette,
    quietly,
    three,
)

SAME = {
    "0, 128, 255": three(0, 128, 255),
    "linear grey": three(0, 55, 255),
    "light grey": three(3, 240, 252),
    "noise of JPEG": three(4, 127, 251),
    "a Pillow image in colour": Image.fromarray(three(0, 128, 255)).convert("RGB"),
    "a tensor": torch.from_numpy(three(0, 0.214, 1, dtype=np.float32)),
    "uint16": three(0, 32768, 65535, dtype=np.uint16),
    "0 to 255 in uint16": three(0, 128, 255, dtype=np.uint16),
    "0 to 255 in int64": three(0, 128, 255, dtype=np.int64),
    "0 to 255 in float": three(0, 128, 255, dtype=np.float32),
    "0 to 1": three(0, 0.5, 1, dtype=np.float64),
    "(H, W, 3)": three(0, 128, 255)[..., None].repeat(3, axis=2),
    "(1, H, W)": three(0, 128, 255)[None],
    "(3, H, W)": np.stack([three(0, 128, 255)] * 3),
    "palette of greys": palette(RINGS, [(0, 0, 0), (128, 128, 128), (255, 255, 255)]),
    "white and grey on transparent": np.dstack([three(0, 128, 255)] * 3 + [three(0, 255, 255)]),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_trimap_in_every_form(name: str) -> None:
    found, notes = quietly(lambda: normalise_trimap(SAME[name], SIZE))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, RINGS / 2)
    assert notes == []


STRETCHED = {
    "video range": (three(16, 126, 235), "from 16 to 235, not from 0 to 255"),
    "video range, linear grey": (three(16, 60, 235), "from 16 to 235"),
    "8, 128, 248": (three(8, 128, 248), "from 8 to 248"),
    "video range, with a bar of black": (
        np.where(Y < 9, 0, three(16, 126, 235)).astype(np.uint8),
        "from 16 to 235",
    ),
    "low contrast": (three(60, 110, 180), "from 60 to 180"),
    "dim": (three(0, 60, 120), "from 0 to 120"),
    "12 bits of 16": (three(0, 2048, 4095, dtype=np.uint16), "from 0 to 4095, not from 0 to 65535"),
    "0, 1 and 2": (RINGS, "labels 0, 1, 2; 0 is taken for the background, 1 for unknown and 2"),
    "0, 1 and 2, float": (RINGS * 1.0, "labels 0, 1, 2"),
    "0, 1 and 2, grey ramp": (palette(RINGS, [(i, i, i) for i in range(256)]), "labels 0, 1, 2"),
    "0, 1 and 2, palette": (palette(RINGS, VOC), "labels 0, 1, 2"),
    "1, 2 and 3": (three(1, 2, 3), "1 is taken for the background, 2 for unknown and 3"),
    "pets": (three(2, 3, 1), "2 is taken for the background, 3 for unknown and 1"),
    "black, red, white": (
        np.uint8([(0, 0, 0), (255, 0, 0), (255, 255, 255)])[RINGS],
        "a colour, which is taken for unknown",
    ),
    "strokes on transparent": (
        np.dstack([three(0, 0, 255)] * 3 + [three(255, 0, 255)]),
        "transparent in parts, which are taken for unknown",
    ),
    "a warm lamp": (
        np.uint8([(20, 15, 10), (140, 120, 100), (235, 225, 210)])[RINGS],
        "its levels run from|taken for unknown",
    ),
}


@pytest.mark.parametrize("name", STRETCHED)
def test_levels_and_labels_are_reported(name: str) -> None:
    source, remark = STRETCHED[name]
    with pytest.warns(MEMatteWarning, match=remark) as caught:
        found = normalise_trimap(source, SIZE)
    np.testing.assert_array_equal(found, RINGS / 2)
    assert len(caught) == 1


@pytest.mark.parametrize(
    "trimap",
    [
        noisy(three(16, 126, 235), 2),
        *(
            jpeg(three(*values), quality)
            for values in ((0, 128, 255), (16, 126, 235))
            for quality in (20, 40, 75)
        ),
    ],
)
def test_noise_of_a_trimap_is_unknown_beside_its_band_alone(trimap: Any) -> None:
    found, _ = quietly(lambda: normalise_trimap(trimap, SIZE))
    beside = (AWAY > 27) & (AWAY < 53)
    np.testing.assert_array_equal(found[~beside], (RINGS / 2)[~beside])
    assert (found[RINGS == 1] == 0.5).mean() > 0.97
    assert (found != RINGS / 2).mean() < 0.05


NO_GREY = {
    "0 and 255": levels(0, 255),
    "bool": DISC,
    "labels 0 and 2": levels(0, 2),
    "one object": palette(DISC, VOC),
}


@pytest.mark.parametrize("name", NO_GREY)
def test_a_mask_given_as_a_trimap_is_reported(name: str) -> None:
    with pytest.warns(MEMatteWarning, match=r"has no grey.*give it as one \(--mask") as caught:
        found = normalise_trimap(NO_GREY[name], SIZE)
    np.testing.assert_array_equal(found, DISC)
    assert len(caught) == 1


@pytest.mark.parametrize("mask", [levels(16, 235), levels(0, 38), noisy(levels(16, 235), 1)])
def test_a_mask_of_odd_levels_given_as_a_trimap_is_reported(mask: np.ndarray) -> None:
    found, notes = quietly(lambda: normalise_trimap(mask, SIZE))
    np.testing.assert_array_equal(found, DISC)
    assert "its levels run from" in notes[0]
    assert "has no grey" in notes[1]


def test_the_hairline_of_an_antialiased_mask_is_no_band() -> None:
    large = cv2.resize(levels(0, 255), (640, 480), interpolation=cv2.INTER_NEAREST)
    mask = cv2.resize(large, (150, 112), interpolation=cv2.INTER_AREA)
    with pytest.warns(MEMatteWarning, match="grey only along edges, 2 pixels wide"):
        normalise_trimap(mask, mask.shape)
    with pytest.warns(MEMatteWarning, match="grey only along edges"):
        normalise_trimap(jpeg(levels(0, 255), 90), SIZE)


ODD = {
    "no foreground": (three(0, 128, 128), "no foreground"),
    "no foreground, video range": (three(16, 126, 126), "no foreground"),
    "no background": (three(128, 128, 255), "no background"),
    "no background, video range": (three(126, 126, 235), "no background"),
    "all foreground": (three(255, 255, 255), "all foreground"),
    "all background": (three(0, 0, 0), "no foreground"),
    "all unknown": (three(128, 128, 128), "all unknown"),
    "inverted": (three(255, 128, 0), "looks inverted"),
    "next to nothing known": (
        np.where(AWAY < 3, 255, np.where(AWAY > 99, 0, 128)).astype(np.uint8),
        "is unknown but for 0.",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_trimaps_are_reported(name: str) -> None:
    source, remark = ODD[name]
    _, notes = quietly(lambda: normalise_trimap(source, SIZE))
    assert remark in notes[-1]
    assert "239" not in notes[0], "no level that is not in the picture"
    assert len([one for one in notes if "levels" not in one]) == 1


@pytest.mark.parametrize(
    ("trimap", "fault"),
    [
        (HALVES, "holds the labels 0, 1, 2; give 0, 128 and 255, or a mask"),
        (np.where(Y < 9, 3, RINGS), "holds the labels 0, 1, 2, 3"),
        (np.uint8([(255, 0, 0), (0, 0, 255), (0, 255, 0)])[RINGS], "colour picture"),
        (np.stack([RINGS / 2] * 2), r"a stack of 2: choose one, as in trimap\[0\]"),
    ],
)
def test_trimaps_that_may_mean_several_things_are_refused(trimap: np.ndarray, fault: str) -> None:
    with pytest.raises(InputError, match=f"^trimap: .*{fault}"):
        normalise_trimap(trimap, SIZE)


def test_a_soft_trimap_is_read_to_the_last_bit() -> None:
    np.testing.assert_array_equal(read_trimap(SOFT), SOFT)
    np.testing.assert_array_equal(read_trimap(GRADIENT.copy()), GRADIENT)
