"""Our foreground colours next to pymatting's: how far they differ, and how long both take.

    python -m benchmarks.foreground PHOTOS

PHOTOS holds image/NAME.* and alpha/NAME.*, as `mematte eval` takes it, and perhaps trimaps.
Differences are means over the unknown band (of each trimap, or where the alpha is soft), where
there is an estimate, in steps of 255. Times are wall seconds, the fastest of the rounds after a
first one; the two take turns. Use it on an idle machine.
"""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from mematte_plugin import estimate_foreground
from mematte_plugin.evaluation.layouts import Dataset, scan
from mematte_plugin.images.read import read_gray, read_photo

from .command import main

Array = NDArray[Any]


def foreground(
    folder: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A data set with alphas.")],
    threads: Annotated[int, typer.Option(min=1, help="For torch.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="The fastest counts.")] = 3,
) -> None:
    """Compare both on every photograph and print a table."""
    import torch
    from pymatting import estimate_foreground_ml

    torch.set_num_threads(threads)
    print("photo         width height  differ  ours s  pymatting s")
    rows = []
    dataset = scan(folder)
    for picture in dataset.pictures:
        image, alpha = read_photo(picture.image).as_float(), read_gray(picture.alpha)
        programs = (estimate_foreground, estimate_foreground_ml)
        ours, theirs = (program(image, alpha) for program in programs)
        times = np.zeros((rounds, 2))
        for row in times:
            for i, program in enumerate(programs):
                start = perf_counter()
                program(image, alpha)
                row[i] = perf_counter() - start
        estimated = ours.any(axis=2)  # ours is black away from the band
        differ = mean(
            255 * float(np.abs(ours - theirs)[estimated & band].mean())
            for band in _bands(dataset, picture.name, alpha)
        )
        rows.append((differ, *times.min(axis=0)))
        height, width = alpha.shape
        print(f"{picture.name:12} {width:6} {height:6} {_line(rows[-1])}")
    means = np.mean(rows, axis=0)
    print(f"{'mean':26} {_line(means)}, {means[1] / means[2]:.2f} times as long")


def _line(row: Any) -> str:
    return "{:7.2f} {:7.3f} {:8.3f}".format(*row)


def _bands(dataset: Dataset, name: str, alpha: Array) -> list[Array]:
    """Where a photograph is compared, (H, W) bool: in each trimap, else where alpha is soft."""
    trimaps = [read_gray(one.trimap) for one in dataset.items if one.name == name]
    return [(one > 0.02) & (one < 0.98) for one in trimaps] or [(alpha > 0) & (alpha < 1)]


if __name__ == "__main__":
    main(foreground)
