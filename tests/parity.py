"""Access to what the official code computes: the fixtures in reference/, which nobody edits."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).with_name("reference")

_TOLERANCES = {"mps": 1e-4}


def tolerance(device: str) -> float:
    """How far two ways of computing the same may lie apart in float32, by device."""
    return _TOLERANCES.get(device.partition(":")[0], 1e-5)


def read_pair(
    folder: str, name: str, unknown: float = 128 / 255
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image (1, 3, H, W) in [0, 1] and trimap (1, 1, H, W) of a fixture."""
    image = np.asarray(Image.open(ROOT / folder / f"{name}.image.png").convert("RGB"), np.float32)
    trimap = np.asarray(Image.open(ROOT / folder / f"{name}.trimap.png").convert("L"), np.float32)
    trimap = trimap / 255
    trimap[(trimap > 0) & (trimap < 1)] = unknown
    image_t = torch.from_numpy(image / 255).permute(2, 0, 1)[None]
    return image_t, torch.from_numpy(trimap)[None, None]


def difference(a: torch.Tensor, b: np.ndarray) -> float:
    """Largest absolute difference; shapes must agree."""
    assert tuple(a.shape) == b.shape
    return float(np.abs(a.detach().cpu().numpy() - b).max())
