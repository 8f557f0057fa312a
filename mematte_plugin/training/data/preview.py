"""A contact sheet of training samples, to look at before training on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .compose import Composer, Sample


def preview(
    bank_dir: Path,
    out_png: Path,
    *,
    rows: int = 8,
    cols: int = 3,
    seed: int = 0,
    size: int = 224,
    overwrite: bool = True,
) -> None:
    """Write rows × cols triples: the image, the image under its trimap, and the true alpha.

    In the second picture the known foreground is tinted green and the known background red.
    Raises OutputError where the file cannot be written, InputError where there is no bank.
    """
    from ...images.encode import check_writable, write_image

    check_writable(out_png, overwrite=overwrite)
    composer = Composer(bank_dir, size=size)
    lines = []
    for row in range(rows):
        line = []
        for column in range(cols):
            sample = composer.sample(np.random.default_rng([seed, row * cols + column]))
            alpha = np.rint(sample.alpha * 255).astype(np.uint8)
            line += [sample.image, overlay(sample), np.repeat(alpha[..., None], 3, 2)]
            line.append(np.full((size, 6, 3), 255, np.uint8))
        lines.append(np.concatenate(line[:-1], 1))
        lines.append(np.full((6, lines[-1].shape[1], 3), 255, np.uint8))
    write_image(out_png, np.concatenate(lines[:-1]), overwrite=overwrite)


def overlay(sample: Sample) -> np.ndarray:
    """The image with what the trimap knows tinted, (S, S, 3) uint8."""
    picture = sample.image.astype(np.float32)
    for value, tint in ((255, (40, 220, 60)), (0, (230, 40, 40))):
        known = sample.trimap == value
        picture[known] = picture[known] * 0.6 + np.array(tint, np.float32) * 0.4
    return np.rint(picture).astype(np.uint8)
