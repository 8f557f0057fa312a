"""What a first and a second click cost, with random weights of the real size of SAM 2.1 hiera-tiny.

    python -m benchmarks.clicks
    python -m benchmarks.clicks --device cuda --sizes 24

A first click looks at the whole photo; a second one uses what the first saw. Both are from a photo
in memory to the new mask at SAM's resolution, after the network is loaded; "at full size" adds the
mask in the photo's size. For comparison transformers' own forward, which keeps nothing. Times are
wall seconds, the fastest of the rounds. Use it on an idle machine.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer

from mematte_plugin import find_subject
from mematte_plugin.images.read import read_photo
from mematte_plugin.memory.free import cpu_count, resolve_device
from mematte_plugin.memory.meter import PeakMeter
from mematte_plugin.memory.units import show_bytes
from mematte_plugin.subject.found import SubjectMask
from mematte_plugin.subject.pixels import IMAGENET_MEAN, IMAGENET_STD, network_pixels
from mematte_plugin.subject.ready import release_subjects

from .command import Device, Threads, main
from .results import machine

HEAD = "megapixels  first s  second s  at full size s  transformers s  second / transformers  peak"


def clicks(
    device: Device = "cpu",
    sizes: Annotated[str, typer.Option(metavar="MEGAPIXELS,…")] = "1,12,24",
    threads: Threads = None,
    rounds: Annotated[int, typer.Option(min=1, help="The fastest counts.")] = 3,
) -> None:
    """Click, click again, and print a table."""
    import torch

    torch.set_num_threads(threads or cpu_count())
    with TemporaryDirectory() as folder:
        network = _network(Path(folder)).to(resolve_device(device))
        print(f"{machine(device)['processor']}, {device}, {torch.get_num_threads()} threads")
        print(HEAD)
        for size in map(float, sizes.split(",")):
            height = round((size * 1e6 * 3 / 4) ** 0.5)
            photo = read_photo(_picture(height, height * 4 // 3))

            def click(x: int, photo: Any = photo) -> SubjectMask:
                return find_subject(photo, points=(x, 10), model=folder, device=device)

            click(0)  # loads the network
            firsts, seconds, wholes, theirs, peaks = [], [], [], [], []
            for i in range(rounds):
                photo.pixels[0, 0] = i  # another photo
                with PeakMeter(resolve_device(device)) as meter:
                    firsts.append(_timed(lambda: click(10)))
                peaks.append(meter.peak or 0)
                seconds.append(_timed(lambda: click(20)))
                wholes.append(_timed(lambda: click(30).mask))
                theirs.append(_timed(lambda photo=photo: _forward(network, photo)))
            print(
                f"{size:10.0f} {min(firsts):8.2f} {min(seconds):9.3f} {min(wholes):15.3f}"
                f" {min(theirs):15.2f} {min(seconds) / min(theirs):22.3f}  {show_bytes(max(peaks))}"
            )
    release_subjects()


def _network(folder: Path) -> Any:
    """transformers' defaults are the sizes of hiera-tiny."""
    from transformers import Sam2Config, Sam2Model
    from transformers.utils import logging

    logging.disable_progress_bar()
    network = Sam2Model(Sam2Config())
    network.save_pretrained(folder)
    return network.eval()


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _forward(network: Any, photo: Any) -> None:
    import torch

    with torch.inference_mode():
        pixels = network_pixels(photo, (1024, 1024), IMAGENET_MEAN, IMAGENET_STD)
        network(
            pixel_values=pixels.to(network.device),
            input_points=torch.full((1, 1, 1, 2), 20.0, device=network.device),
            input_labels=torch.ones(1, 1, 1, dtype=torch.int64, device=network.device),
        ).iou_scores.cpu()


def _timed(call: Any) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


if __name__ == "__main__":
    main(clicks)
