"""How a photo is made fit for a segmentation network: its size there, and its normalisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import WeightsError
from ..images.photo import Photo
from ..memory.free import cpu_count
from ..torch_state import own_state
from ..weights.files import PREPROCESSOR, read_json
from .pixels import IMAGENET_MEAN, IMAGENET_STD, network_pixels

SIDE = 1024
"""Pixels of both sides where neither the network nor its configuration says."""
LONGEST = 2048
"""Pixels of the longer side where the network keeps the photo's shape."""
LARGEST = 8192
"""Pixels; no network is made for more."""
DIVISOR = 32
"""Sides are multiples of it where the network keeps the photo's shape."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preparation:
    """What a network wants of a photo.

    size: (h, w) that the photo is stretched to; None where its shape is kept.
    edge: (pixels, whether of the shorter side) where the shape is kept.
    divisor: what the sides are multiples of where the shape is kept.
    mean, std: of each channel, taken from values in [0, 1] and divided by.
    bgr: whether blue comes first.
    """

    size: tuple[int, int] | None = (SIDE, SIDE)
    edge: tuple[int, bool] = (SIDE, True)
    divisor: int = DIVISOR
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    bgr: bool = False

    def size_for(
        self, photo: tuple[int, int], fixed: tuple[int | None, int | None]
    ) -> tuple[int, int]:
        """(h, w) in the network.

        photo: its (H, W).
        fixed: the (h, w) that the network insists on; None where it takes any.
        """
        wanted = self.size or self._kept(photo)
        return fixed[0] or wanted[0], fixed[1] or wanted[1]

    def pixels(self, photo: Photo, size: tuple[int, int]) -> NDArray[np.float32]:
        """(1, 3, h, w) float32, normalised."""
        with own_state(threads=cpu_count()):
            pixels: NDArray[np.float32] = network_pixels(photo, size, self.mean, self.std).numpy()
        return pixels[:, ::-1] if self.bgr else pixels

    def _kept(self, photo: tuple[int, int]) -> tuple[int, int]:
        pixels, shorter = self.edge
        scale = pixels / (min(photo) if shorter else max(photo))
        scale = min(scale, max(LONGEST, pixels) / max(photo))  # a narrow strip has a huge long side
        height, width = (
            self.divisor * max(1, round(side * scale / self.divisor)) for side in photo
        )
        return height, width


def preparation_in(folder: Path) -> Preparation:
    """What preprocessor_config.json in this folder says; ImageNet's statistics without one.

    Raises WeightsError if the file is not one.
    """
    path = folder / PREPROCESSOR
    if not path.is_file():
        return Preparation()
    values = read_json(path)
    try:
        return _read(values)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise WeightsError(
            f"{path} does not say how photos are prepared ({error}); take the file that came with"
            " the network"
        ) from None


def _read(values: Mapping[str, Any]) -> Preparation:
    scale = 1.0
    if values.get("do_rescale", True):
        scale = _positive(values.get("rescale_factor", 1 / 255))
    scale *= 255  # of values in [0, 1]
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if values.get("do_normalize", True):
        mean = _triple(values.get("image_mean", IMAGENET_MEAN))
        std = _triple(values.get("image_std", IMAGENET_STD))
        if min(std) <= 0:
            raise ValueError("image_std is not positive")
    first, second, third = (value / scale for value in mean)
    spread, spread2, spread3 = (value / scale for value in std)
    size, edge = _size(values)
    return Preparation(
        size=size,
        edge=edge,
        divisor=_pixels(values.get("size_divisor", values.get("size_divisibility", DIVISOR))),
        mean=(first, second, third),
        std=(spread, spread2, spread3),
        bgr=bool(values.get("do_flip_channel_order", False)),
    )


def _size(values: Mapping[str, Any]) -> tuple[tuple[int, int] | None, tuple[int, bool]]:
    size = values.get("crop_size") if values.get("do_center_crop") else None
    size = size or values.get("size") or SIDE
    if not isinstance(size, Mapping):
        one = size if isinstance(size, list) else [size]
        height, width = _pixels(one[0]), _pixels(one[-1])
        return (height, width), (SIDE, True)
    if "height" in size and "width" in size:
        return (_pixels(size["height"]), _pixels(size["width"])), (SIDE, True)
    if "shortest_edge" in size:
        return None, (_pixels(size["shortest_edge"]), True)
    return None, (_pixels(size["longest_edge"]), False)


def _pixels(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST:
        raise ValueError(f"{value!r} is not a number of pixels")
    return value


def _positive(value: Any) -> float:
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{value!r} is not a positive number")
    return number


def _triple(values: Any) -> Triple:
    numbers = [float(value) for value in (values if isinstance(values, list | tuple) else [values])]
    numbers *= 3 if len(numbers) == 1 else 1
    if len(numbers) != 3 or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{values!r} are not three numbers")
    return numbers[0], numbers[1], numbers[2]
