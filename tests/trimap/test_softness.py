"""Which masks are soft, and which only have a smoothed edge."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mematte_plugin import InputError, is_soft

Plane = NDArray[np.float32]


def hard(side: int = 300) -> Plane:
    """A disc and a bar, 0 and 1."""
    values = np.zeros((side, side), np.float32)
    cv2.circle(values, (side // 2, side // 2), side // 4, 1, -1)
    cv2.line(values, (0, side // 8), (side, side // 5), 1, max(1, side // 40))
    return values


def resized(values: Plane, side: int, way: int) -> Plane:
    return np.asarray(cv2.resize(values, (side, side), interpolation=way)).clip(0, 1)


def jpeg(values: Plane, quality: int) -> Plane:
    file = io.BytesIO()
    Image.fromarray((values * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32) / 255


def with_region(values: Plane) -> Plane:
    """Part of the picture undecided."""
    values = values.copy()
    values[180:240, 60:120] = 0.5
    return values


HARD: dict[str, Callable[[], Plane]] = {
    "two values": hard,
    "drawn smoothly": lambda: resized(hard(1200), 300, cv2.INTER_AREA),
    "JPEG": lambda: jpeg(hard(), 75),
    "smooth, JPEG": lambda: jpeg(resized(hard(1200), 300, cv2.INTER_AREA), 85),
    "made smaller": lambda: resized(hard(), 210, cv2.INTER_LINEAR),
    "made a little larger": lambda: resized(hard(), 400, cv2.INTER_CUBIC),
    "dim": lambda: hard() * np.float32(0.15),
}
SOFT: dict[str, Callable[[], Plane]] = {
    "blurred": lambda: np.asarray(cv2.GaussianBlur(hard(), (0, 0), 1.5)),
    "made much larger": lambda: resized(hard(75), 300, cv2.INTER_LINEAR),
    "undecided": lambda: with_region(hard()),
    "undecided, JPEG": lambda: jpeg(with_region(hard()), 80),
}


@pytest.mark.parametrize("kind", HARD)
def test_smoothed_edges_are_hard(kind: str) -> None:
    assert not is_soft(HARD[kind]())


@pytest.mark.parametrize("kind", SOFT)
def test_soft_ones_are_soft(kind: str) -> None:
    values = SOFT[kind]()
    assert is_soft(values)
    assert is_soft((values * 255).astype(np.uint8))
    assert is_soft(Image.fromarray((values * 255).astype(np.uint8)))


def test_what_is_not_a_mask_is_refused() -> None:
    with pytest.raises(InputError, match="mask"):
        is_soft(np.full((4, 4), np.nan))
