"""A mask that somebody enlarged is brought back to the grid that it was computed on."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mematte_plugin import from_soft
from mematte_plugin.trimap.grid import own_grid

SIZE = (300, 420)
Plane = NDArray[np.float32]


def in_bytes(values: Plane) -> Plane:
    return (np.rint(values * 255).clip(0, 255) / 255).astype(np.float32)


def answer_of(slope: float = 12) -> Plane:
    """A soft mask of 160×160 such as networks give: blobs whose edges are soft or crisp."""
    noise = np.random.default_rng(0).normal(size=(160, 160)).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return in_bytes(1 / (1 + np.exp(-slope * field / field.std())))


def by_opencv(way: int) -> Callable[[Plane], Plane]:
    return lambda mask: cv2.resize(mask, SIZE[::-1], interpolation=way).clip(0, 1)


def by_pillow(way: Image.Resampling) -> Callable[[Plane], Plane]:
    def enlarged(mask: Plane) -> Plane:
        picture = Image.fromarray(np.rint(mask * 255).astype(np.uint8))
        return np.asarray(picture.resize(SIZE[::-1], way), np.float32) / 255

    return enlarged


def as_logits(mask: Plane) -> Plane:
    kept = mask.clip(1 / 510, 1 - 1 / 510)
    logits = cv2.resize(np.log(kept / (1 - kept)), SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


WAYS = {
    "OpenCV, linear": by_opencv(cv2.INTER_LINEAR),
    "OpenCV, cubic": by_opencv(cv2.INTER_CUBIC),
    "Pillow, bilinear": by_pillow(Image.Resampling.BILINEAR),
    "Pillow, bicubic": by_pillow(Image.Resampling.BICUBIC),
    "Pillow, Lanczos": by_pillow(Image.Resampling.LANCZOS),
    "logits, linear": as_logits,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("depth", ["8 bit", "float"])
def test_the_grid_is_found_whatever_enlarged_the_mask(way: str, depth: str) -> None:
    # Logits beyond what 8 bits show are lost.
    answer = answer_of(4 if "logits" in way else 12)
    large = WAYS[way](answer)
    found = own_grid(in_bytes(large) if depth == "8 bit" else large)
    assert found.shape == answer.shape
    assert np.abs(found - answer).mean() < 0.01


def test_a_trimap_is_the_same_before_and_after_enlarging() -> None:
    answer = answer_of()
    native = from_soft(answer, size=SIZE, stretched=True)
    enlarged = from_soft(in_bytes(WAYS["OpenCV, linear"](answer)), size=SIZE)
    assert (native == enlarged).mean() > 0.995


def hair() -> Plane:
    strands = np.zeros((4 * SIZE[0], 4 * SIZE[1]), np.float32)
    for x in np.random.default_rng(1).integers(0, strands.shape[1], 300):
        cv2.line(strands, (int(x), 0), (int(x) + 200, strands.shape[0]), 1.0, 3)
    return cv2.resize(strands, SIZE[::-1], interpolation=cv2.INTER_AREA)


def disc(blur: float) -> Plane:
    mask = np.zeros(SIZE, np.float32)
    cv2.circle(mask, (200, 150), 90, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), blur) if blur else mask


@pytest.mark.parametrize("mask", [hair(), disc(0), disc(1), disc(4)], ids=["hair", "0", "1", "4"])
def test_a_mask_of_its_own_resolution_stays_as_it_is(mask: Plane) -> None:
    assert own_grid(mask) is mask
    assert own_grid(eight := in_bytes(mask)) is eight


@pytest.mark.parametrize("corner", [(100, 100), (12, 12)])
def test_a_speck_that_was_drawn_later_is_not_lost(corner: tuple[int, int]) -> None:
    mask = in_bytes(WAYS["OpenCV, linear"](answer_of()))
    top, left = corner
    y, x = (int(one[0]) for one in np.nonzero(mask[top : top + 100, left : left + 200] == 0))
    mask[top + y, left + x] = 1
    assert own_grid(mask) is mask
