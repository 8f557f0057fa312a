"""A small data set on disk: discs with soft edges over noise."""

from pathlib import Path

import numpy as np
from PIL import Image

from mematte_plugin.trimap.trimap import from_alpha

HEIGHT, WIDTH = 48, 64


def alpha_of(seed: int) -> np.ndarray:
    """(H, W) uint8: a disc whose edge is six pixels wide."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - 22 - seed, x - 30 + seed)
    return np.rint(np.clip((15 - distance) / 6, 0, 1) * 255).astype(np.uint8)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def photographs(root: Path, *names: str, widths: tuple[int, ...] = (2, 6)) -> Path:
    """A folder with image/, alpha/ and one trimap_WIDTH/ for each width."""
    for seed, name in enumerate(names):
        rng = np.random.default_rng(seed)
        alpha = alpha_of(seed)
        share = alpha[..., None] / 255
        fore, back = rng.integers(150, 256, (HEIGHT, WIDTH, 3)), rng.integers(0, 110, 3)
        save(root / "image" / f"{name}.png", (share * fore + (1 - share) * back).astype(np.uint8))
        save(root / "alpha" / f"{name}.png", alpha)
        for width in widths:
            save(
                root / f"trimap_{width}" / f"{name}.png",
                from_alpha(alpha, width=width, keep_cores=False),
            )
    return root
