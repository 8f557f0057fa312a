"""Our foreground colours beside pymatting's: how far apart they are, and how long both take.

Usage: python -m benchmarks.foreground PHOTOS [--threads 2] [--rounds 3]

PHOTOS holds image/NAME.* and alpha/NAME.*, and trimap_*/NAME.* where there are some. Differences are
means over the band that a trimap leaves unknown (without trimaps: where alpha is neither 0 nor 1), in
steps of 255. Times are wall seconds, the fastest of the rounds, which alternate; both programs are warm.
Use it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mematte_plugin import estimate_foreground
from mematte_plugin.images import read_gray, read_photo

Array = NDArray[Any]


def main() -> None:
    """Measure every photograph of the folder and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()

    import torch
    from pymatting import estimate_foreground_ml

    torch.set_num_threads(given.threads)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {given.threads} threads, torch {torch.__version__}"
    )
    images = sorted((given.photos / "image").iterdir())
    if not images:
        sys.exit(f"{given.photos}/image: holds no photographs")
    rows = []
    for path in images:
        image = read_photo(path).as_float()
        alpha = read_gray(beside(given.photos / "alpha", path))
        theirs, slow = fastest(lambda i=image, a=alpha: estimate_foreground_ml(i, a), given.rounds)
        ours, quick = fastest(lambda i=image, a=alpha: estimate_foreground(i, a), given.rounds)
        apart = [
            255 * float(np.abs(ours - theirs)[band].mean())
            for band in bands(given.photos, path, alpha)
        ]
        rows.append((mean(apart), quick, slow))
        print(
            f"{path.stem:12} {rows[-1][0]:5.2f} of 255 apart, {quick:.3f} s, pymatting {slow:.3f} s"
        )
    apart, quick, slow = (mean(column) for column in zip(*rows, strict=True))
    print(
        f"{'mean':12} {apart:5.2f} of 255 apart, {quick:.3f} s, pymatting {slow:.3f} s: {quick / slow:.2f} ×"
    )


def fastest(call: Callable[[], Array], rounds: int) -> tuple[Array, float]:
    """What a call returns, and the seconds of the fastest of so many after a first one."""
    found, times = call(), []
    for _ in range(rounds):
        start = perf_counter()
        found = call()
        times.append(perf_counter() - start)
    return found, min(times)


def bands(photos: Path, image: Path, alpha: Array) -> list[Array]:
    """Where a photograph's pixels are compared: (H, W) bool, one for each trimap."""
    trimaps = [read_gray(beside(folder, image)) for folder in sorted(photos.glob("trimap*"))]
    # Outside of what is estimated ours is black, and where alpha is 1 the photo.
    shown = [(trimap > 0.02) & (trimap < 0.98) for trimap in trimaps] or [(alpha > 0) & (alpha < 1)]
    return [band for band in shown if band.any()]


def beside(folder: Path, image: Path) -> Path:
    """The file of the same name in another folder, whatever its suffix."""
    found = sorted(folder.glob(f"{image.stem}.*"))
    if not found:
        sys.exit(f"{folder}: holds nothing for {image.name}")
    return found[0]


if __name__ == "__main__":
    main()
