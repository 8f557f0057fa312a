"""Small pictures with everything in them: the example photograph, scaled."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

import mematte_plugin

EXAMPLES = Path(mematte_plugin.__file__).parent / "examples"


def photo(height: int, width: int, count: int = 1) -> Tensor:
    """(count, H, W, 3) float32 in [0, 1]; each frame a little darker than the one before."""
    bgr = cv2.imread(str(EXAMPLES / "astronaut.jpg"), cv2.IMREAD_COLOR)
    rgb = cv2.resize(bgr[..., ::-1], (width, height), interpolation=cv2.INTER_AREA)
    frame = torch.from_numpy(np.ascontiguousarray(rgb)).float() / 255
    return torch.stack([frame * (1 - 0.1 * i) for i in range(count)])


def trimap(height: int, width: int) -> Tensor:
    """(1, H, W) float32 of 0, 0.5 and 1."""
    grey = cv2.imread(str(EXAMPLES / "astronaut_trimap.png"), cv2.IMREAD_GRAYSCALE)
    scaled = cv2.resize(grey, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    three = np.select([scaled < 5, scaled > 250], [0.0, 1.0], 0.5).astype(np.float32)
    return torch.from_numpy(three)[None]


def mask(height: int, width: int) -> Tensor:
    """(1, H, W) float32 of 0 and 1: a rough selection of the subject."""
    return (trimap(height, width) > 0.4).float()
