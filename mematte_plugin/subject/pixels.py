"""A photo as the networks that find subjects take it, and how it is recognised again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..images.arrays import to_steps
from ..images.photo import Photo

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF_MEAN, HALF_STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def network_pixels(
    photo: Photo, size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """(1, 3, h, w) float32 on the CPU: stretched to `size`, (h, w), and normalised.

    Equal to what transformers' image processors make, which need torchvision.
    """
    pixels = torch.from_numpy(_display(photo, (2 * size[0], 2 * size[1]))).permute(2, 0, 1)[None]
    small = F.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    statistics = torch.tensor([mean, std], dtype=torch.float32)[..., None, None]
    return (small.float() / 255 - statistics[0]) / statistics[1]


def fingerprint(photo: Photo) -> bytes:
    """Tells photos apart by their pixels and what these mean, not by where they are stored."""
    facts = repr((photo.pixels.shape, photo.pixels.dtype.str, photo.to_display))
    digest = hashlib.sha1(facts.encode(), usedforsecurity=False)  # the fastest: 1 GB/s
    digest.update(photo.pixels.data)
    return digest.digest()


def _display(photo: Photo, most: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8, display-encoded; deep photos and those of light at most this large."""
    if photo.pixels.dtype == np.uint8 and photo.to_display is None:
        return photo.pixels
    import cv2

    height, width = photo.size
    size = min(width, most[1]), min(height, most[0])
    small = np.asarray(cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA))
    return to_steps(replace(photo, pixels=small, alpha=None).for_network(), 8)
