"""A contact sheet of training samples, to look at before training on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from .compose import Composer


def preview(
    bank_dir: Path, out_png: Path, *, rows: int = 8, cols: int = 3, seed: int = 0, size: int = 224
) -> None:
    """Write rows × cols triples of image, trimap and alpha."""
    composer = Composer(bank_dir, size=size)
    lines = []
    for row in range(rows):
        line = []
        for column in range(cols):
            sample = composer.sample(np.random.default_rng([seed, row * cols + column]))
            alpha = np.rint(sample.alpha * 255).astype(np.uint8)
            line.append(sample.image)
            line += [np.repeat(grey[..., None], 3, 2) for grey in (sample.trimap, alpha)]
            line.append(np.full((size, 6, 3), 255, np.uint8))
        lines.append(np.concatenate(line[:-1], 1))
    Image.fromarray(np.concatenate(lines)).save(out_png)
