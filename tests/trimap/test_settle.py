"""A matte and the soft mask it came from: the mask corrects it where its greys are opacity."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mematte_plugin.trimap.settle import settle
from mematte_plugin.trimap.soft import SoftMask, lay_soft_band
from mematte_plugin.trimap.trimap import three_valued

SIZE = HEIGHT, WIDTH = 300, 400


def truth() -> np.ndarray:
    """A disc with soft spokes, like hair."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    radius, angle = np.hypot(x - 200, y - 150), np.arctan2(y - 150, x - 200)
    reach = 80 + 10 * np.sin(29 * angle)
    return ((reach - radius) / 12 + 0.5).clip(0, 1).astype(np.float32)


def guessed(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """What a network makes of it: right, but for a part that it cannot tell apart, and noise."""
    noise = np.random.default_rng(0).normal(0, 0.06, SIZE).astype(np.float32)
    grey = (alpha > 0.02) & (alpha < 0.98)
    found = (alpha + np.where(grey, cv2.GaussianBlur(noise, (0, 0), 1), 0)).clip(0, 1)
    found[130:170, 270:300] *= 0.5
    return np.where(trimap == 0.5, found, trimap).astype(np.float32)


def moved(alpha: np.ndarray) -> np.ndarray:
    return np.roll(alpha, (4, 4), (0, 1))


MASKS = {
    "half the size": lambda a: cv2.resize(a, (200, 150), interpolation=cv2.INTER_AREA),
    "stretched": lambda a: cv2.resize(a, (128, 128), interpolation=cv2.INTER_AREA),
    "blurred": lambda a: cv2.GaussianBlur(a, (0, 0), 4),
    "the alpha itself": lambda a: a,
}


def settled(mask: np.ndarray) -> tuple[float, float, bool]:
    """Errors of the matte before and after, and whether a better band is wanted."""
    soft = SoftMask(np.ascontiguousarray(mask, np.float32), SIZE)
    trimap = three_valued(lay_soft_band(soft))
    before = guessed(truth(), trimap)
    after = settle(before, trimap, soft)
    known = trimap != 0.5
    np.testing.assert_array_equal(after.alpha[known], trimap[known])
    assert 0 <= after.alpha.min() <= after.alpha.max() <= 1
    errors = [float(np.abs(one - truth()).mean()) for one in (before, after.alpha)]
    return errors[0], errors[1], after.again


@pytest.mark.parametrize("name", MASKS)
def test_greys_that_are_opacity_correct_the_matte(name: str) -> None:
    before, after, again = settled(MASKS[name](truth()))
    assert after < 0.6 * before
    assert not again


@pytest.mark.parametrize("name", ["moved", "eroded", "dilated"])
def test_a_displaced_mask_corrects_nothing_and_is_noticed(name: str) -> None:
    kernel = np.ones((9, 9), np.uint8)
    masks = {
        "moved": moved,
        "eroded": lambda a: cv2.erode(a, kernel),
        "dilated": lambda a: cv2.dilate(a, kernel),
    }
    before, after, again = settled(masks[name](truth()))
    assert after <= before * 1.02
    assert again


def test_hair_beyond_the_band_is_noticed() -> None:
    alpha = truth()
    hard = ((cv2.resize(alpha, (100, 75), interpolation=cv2.INTER_AREA)) >= 0.5).astype(np.float32)
    soft = SoftMask(hard, SIZE)
    trimap = three_valued(lay_soft_band(soft, inside=0, outside=0))
    long = np.maximum(alpha, np.where(np.indices(SIZE)[1] > 200, np.float32(0.6), np.float32(0)))
    matte = np.where(trimap == 0.5, long, trimap).astype(np.float32)
    assert settle(matte, trimap, soft).again
