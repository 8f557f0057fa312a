"""A contact sheet of training crops, to look at before training on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...images.encode import write_image
from ...images.files import check_file
from ...show.overlays import contact_sheet, trimap_overlay
from .compose import Composer


def preview(
    bank_dir: Path,
    out_png: Path,
    *,
    rows: int,
    cols: int,
    seed: int = 0,
    size: int,
    overwrite: bool = True,
) -> None:
    """Write rows × cols crops, each as image, image with trimap overlay, and true alpha.

    Raises OutputError where the file cannot be written, InputError where there is no bank.
    """
    check_file(out_png, overwrite=overwrite)
    composer = Composer(bank_dir, size=size)
    panels = []
    for number in range(rows * cols):
        sample = composer.sample(np.random.default_rng([seed, number]))
        alpha = np.rint(sample.alpha * 255).astype(np.uint8)
        panels += [sample.image, trimap_overlay(sample.image, sample.trimap), alpha]
    write_image(out_png, contact_sheet(panels, columns=3 * cols, gap=6), overwrite=overwrite)
