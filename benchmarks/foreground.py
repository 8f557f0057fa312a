"""Our foreground colours beside pymatting's: how far apart they are, and how long both take.

Usage: python -m benchmarks.foreground PHOTOS [--threads 2] [--rounds 3]

PHOTOS holds image/NAME.* and alpha/NAME.*, and trimap_*/NAME.* where there are some. Differences
are means over the band that each trimap leaves unknown, as far as there is an estimate in it, in
steps of 255. Times are wall seconds, the fastest of the rounds after a first one; the two take
turns. Use it on a machine that does nothing else.
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
from mematte_plugin.images.read import read_gray, read_photo

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
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    print(f"{machine}, {given.threads} threads")
    print("photo         width height  apart   ours s  pymatting s")
    rows = []
    for path in sorted((given.photos / "image").iterdir()):
        image = read_photo(path).as_float()
        alpha = read_gray(beside(given.photos / "alpha", path))
        (ours, quick), (theirs, slow) = in_turns(
            (estimate_foreground, estimate_foreground_ml), image, alpha, given.rounds
        )
        estimated = ours.any(axis=2)  # black beyond what it is made for
        apart = [
            255 * float(np.abs(ours - theirs)[estimated & band].mean())
            for band in bands(given.photos, path, alpha)
        ]
        rows.append((mean(apart), quick, slow))
        height, width = alpha.shape
        print(f"{path.stem:12} {width:6} {height:6} {mean(apart):6.2f} {quick:8.3f} {slow:8.3f}")
    if not rows:
        sys.exit(f"{given.photos}/image: holds no photographs")
    apart, quick, slow = (mean(column) for column in zip(*rows, strict=True))
    print(f"{'mean':26} {apart:6.2f} {quick:8.3f} {slow:8.3f}, {quick / slow:.2f} times as long")


def in_turns(
    programs: tuple[Callable[[Array, Array], Array], ...], image: Array, alpha: Array, rounds: int
) -> list[tuple[Array, float]]:
    """For each program what it makes of the picture, and the seconds of its fastest round."""
    found = [program(image, alpha) for program in programs]
    least = [float("inf")] * len(programs)
    for _ in range(rounds):
        for i, program in enumerate(programs):
            start = perf_counter()
            program(image, alpha)
            least[i] = min(least[i], perf_counter() - start)
    return list(zip(found, least, strict=True))


def bands(photos: Path, image: Path, alpha: Array) -> list[Array]:
    """Where a photograph is compared, (H, W) bool: one for each trimap, else where it is soft."""
    trimaps = [read_gray(beside(folder, image)) for folder in sorted(photos.glob("trimap*"))]
    found = [(trimap > 0.02) & (trimap < 0.98) for trimap in trimaps]
    return found or [(alpha > 0) & (alpha < 1)]


def beside(folder: Path, image: Path) -> Path:
    """The file of the same name in another folder, whatever its suffix."""
    found = sorted(folder.glob(f"{image.stem}.*"))
    if not found:
        sys.exit(f"{folder}: holds nothing for {image.name}")
    return found[0]


if __name__ == "__main__":
    main()
