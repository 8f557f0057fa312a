"""Small pictures of photos and mattes, and files that are refused by their size."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mematte_plugin import (
    InputError,
    Matte,
    Photo,
    from_mask,
    normalise_trimap,
    read_photo,
    scaled_down,
)


def test_scaling_takes_means_and_never_enlarges() -> None:
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert scaled_down(values, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert scaled_down(values, 9) is values


@pytest.mark.parametrize(
    ("pixels", "linear", "shown"),
    [
        (np.full((6, 12, 3), 51, np.uint8), False, 51),
        (np.full((6, 12, 3), 51 * 257, np.uint16), False, 51),
        (np.full((6, 12, 3), 0.2, np.float32), False, 51),
        (np.full((6, 12, 3), 0.2, np.float32), True, 124),  # sRGB: 1.055 * 0.2 ** (1/2.4) - 0.055
    ],
)
def test_photo_of_any_depth_is_shown_in_eight_bits(pixels: Any, linear: bool, shown: int) -> None:
    proxy = Photo(pixels, linear=linear).proxy(4)
    assert proxy.dtype == np.uint8
    assert proxy.shape == (2, 4, 3)
    assert (proxy == shown).all()


def test_cutout_is_shown_with_its_own_colours() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = (0, 200, 0)
    alpha = np.zeros((8, 8), np.float32)
    alpha[:, 4:] = 1
    proxy = Matte(alpha=alpha, photo=Photo(pixels), trimap=alpha).cutout_proxy(4)
    assert proxy.shape == (4, 4, 4)
    assert (proxy[:, 2:] == (0, 200, 0, 255)).all()
    assert (proxy[:, :2, 3] == 0).all()


def test_large_trimaps_and_masks_are_refused_by_their_header() -> None:
    file = io.BytesIO()
    Image.fromarray(np.tile(np.array([0, 128, 255], np.uint8), (40, 10))).save(file, "PNG")
    data = file.getvalue()
    assert read_photo(data, max_pixels=1200).size == (40, 30)
    for read in (
        lambda: normalise_trimap(data, (40, 30), max_pixels=1199),
        lambda: from_mask(data, size=(40, 30), max_pixels=1199),
    ):
        with pytest.raises(InputError, match=r"^(trimap|mask): claims 30×40 pixels"):
            read()
