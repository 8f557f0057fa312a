"""Peak memory of a cut that finds its subject, next to that of the search and the cut alone.

    python -m benchmarks.subject NETWORK

NETWORK is what `--subject-model` takes: a name, a Hub id or an ONNX file. The photograph is the
package's example, enlarged. Each of the three runs in a fresh process that has loaded torch and
onnxruntime but no network, in turn in each of the rounds; the medians are printed. Afterwards the
memory that is left says what the process keeps.
"""

from __future__ import annotations

import gc
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated

import cv2
import numpy as np
import psutil
import typer

import mematte_plugin
from mematte_plugin import Photo, cut, find_subject, read_photo, release_pipelines, show_bytes
from mematte_plugin.memory.meter import PeakMeter
from mematte_plugin.subject.onnx_network import silent_runtime

from .command import main

PHOTO = Path(mematte_plugin.__file__).parent / "examples" / "astronaut.jpg"
WAYS = {
    "the search alone": "find",
    "the cut alone, from its mask": "cut",
    "the cut that finds its subject": "both",
}


def subject(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="An ONNX network.")],
    side: Annotated[int, typer.Option(min=64, help="Of the photograph, in pixels.")] = 3000,
    rounds: Annotated[int, typer.Option(min=1, help="The medians count.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="For torch and onnxruntime.")] = 2,
) -> None:
    """Measure the three and print a table."""
    rows: dict[str, list[tuple[float, ...]]] = {title: [] for title in WAYS}
    for _ in range(rounds):
        for title, way in WAYS.items():
            with get_context("spawn").Pool(1) as pool:
                rows[title].append(pool.apply(measure, (way, network, side, threads)))
    print(f"{side}×{side} pixels{'':19} seconds       peak  kept after it")
    peaks = {}
    for title, runs in rows.items():
        seconds, peak, kept = (median(values) for values in zip(*runs, strict=True))
        peaks[title] = peak
        print(f"{title:32} {seconds:7.1f} {show_bytes(int(peak)):>10} {show_bytes(int(kept)):>10}")
    *alone, both = peaks.values()
    print(f"both take {both / max(alone):.2f} times the larger, {both / sum(alone):.2f} of the sum")


def measure(way: str, network: str, side: int, threads: int) -> tuple[float, float, float]:
    """In a process of its own: seconds, and bytes at the peak and afterwards, above the start."""
    import torch

    torch.set_num_threads(threads)
    silent_runtime()
    photo = example(side)
    mask = None if way != "cut" else find_subject(photo, model=network).native
    half = np.pad(np.full((16, 64), 0.5, np.float32), ((0, 24), (0, 0)))
    half = np.pad(half, ((24, 0), (0, 0)), constant_values=1)
    cut(example(64), half)  # imports, and what torch keeps of its first run
    release_pipelines()
    before = psutil.Process().memory_info().rss
    begin = perf_counter()
    with PeakMeter("cpu") as meter:
        if way == "find":
            find_subject(photo, model=network)
        elif way == "cut":
            cut(photo, alpha=mask)
        else:
            cut(photo, subject_model=network)
    seconds = perf_counter() - begin
    release_pipelines()
    gc.collect()
    return seconds, float(meter.peak or 0), float(psutil.Process().memory_info().rss - before)


def example(side: int) -> Photo:
    """The package's photograph, side × side pixels."""
    pixels = read_photo(PHOTO).pixels
    return Photo(np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC)))


if __name__ == "__main__":
    main(subject)
