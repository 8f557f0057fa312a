"""Access to the numeric fixtures, which live beside the checkout and are not part of it."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(os.environ.get("MEMATTE_REFERENCE", Path(__file__).parents[2] / "shared" / "reference"))

needs_reference = pytest.mark.skipif(
    not ROOT.is_dir(), reason="reference fixtures absent; set MEMATTE_REFERENCE to their folder"
)


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
    return float(np.abs(a.detach().numpy() - b).max())
