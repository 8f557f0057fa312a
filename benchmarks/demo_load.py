"""The demo under load: are all answers right, which errors come, what becomes of memory and disk.

A server of its own is asked from several clients at once, each for one picture after another.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from gradio_client import Client, handle_file
from PIL import Image

import mematte_plugin
from gradio_app.files import files_in
from gradio_app.settings import Settings
from mematte_plugin import MattingPipeline, from_mask, read_photo
from tests.gradio_app.harness import Service, running

from .command import main

EXAMPLES = Path(mematte_plugin.__file__).parent / "examples"
SIDES = (256, 384, 512, 768, 1024)
"""Pixels; the clients' photographs differ, so that answers cannot be mixed up unseen."""
SETTLE, PATIENCE = 20.0, 300.0
"""Seconds of rest before memory is looked at again, and to wait until files are swept, at most."""


@dataclass(frozen=True)
class Case:
    """A photograph, its trimap, and what comes of them."""

    photo: Path
    trimap: Path
    cutout: np.ndarray
    """(H, W, 4) uint8, by the package itself."""
    alpha: np.ndarray
    """(H, W) uint16."""


@dataclass
class Load:
    """What the clients ask, and what came back of all of them."""

    service: Service
    """Whom they ask."""
    cases: list[Case]
    """What for."""
    folder: Path
    """Where they put the answers."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Of what follows."""
    seconds: list[float] = field(default_factory=list)
    """Of right answers, the waiting included."""
    wrong: int = 0
    """Answers that differ from the package's."""
    errors: Counter[str] = field(default_factory=Counter)
    """By their message."""


def load(
    minutes: Annotated[float, typer.Option(help="How long the clients ask.")] = 3,
    clients: Annotated[int, typer.Option(help="How many of them.")] = 8,
    queue: Annotated[int, typer.Option(help="How many jobs may wait.")] = 16,
) -> None:
    """Count right and wrong answers, errors, memory and files of the demo under load, as JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = make_cases(folder)
        with running(folder, Settings(queue_size=queue, keep_minutes=1)) as service:
            found = measure(Load(service, cases, folder), clients, minutes * 60)
        found["files left at the end"] = sum(1 for _ in service.temporary.rglob("*"))
    print(json.dumps(found, indent=1))


def make_cases(folder: Path) -> list[Case]:
    """One case for each size, mirrored at every other."""
    pipeline = MattingPipeline.from_pretrained("mematte-tiny")
    cases = []
    with (
        Image.open(EXAMPLES / "astronaut.jpg") as photo,
        Image.open(EXAMPLES / "astronaut_mask.png") as mask,
    ):
        for i, side in enumerate(SIDES):
            paths = folder / f"photo{side}.png", folder / f"trimap{side}.png"
            sized = photo.resize((side, side)), mask.resize((side, side), Image.Resampling.NEAREST)
            if i % 2:
                sized = tuple(one.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for one in sized)
            sized[0].save(paths[0])
            Image.fromarray(from_mask(np.asarray(sized[1].convert("L")))).save(paths[1])
            matte = pipeline(read_photo(paths[0]), paths[1])
            for kind in ("cutout", "alpha"):
                matte.save(
                    folder / f"{kind}{side}.png", kind=kind, bits=16 if kind == "alpha" else 8
                )
            pixels = (
                np.asarray(Image.open(folder / f"{k}{side}.png")) for k in ("cutout", "alpha")
            )
            cases.append(Case(*paths, *pixels))
    return cases


def measure(load: Load, clients: int, seconds: float) -> dict[str, Any]:
    """Let the clients ask for so long."""
    service = load.service
    process = psutil.Process(service.server.process.pid)
    first = Client(service.url, verbose=False, download_files=str(load.folder / "first"))
    for case in load.cases:  # everything loaded, compiled, and each size seen
        ask(first, case)
    before = rss(process)
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=work, args=(load, i, end)) for i in range(clients)]
    for thread in threads:
        thread.start()
    during = [before]
    while any(thread.is_alive() for thread in threads):
        during.append(rss(process))
        time.sleep(1)
    files = len(files_in(service.folder))
    time.sleep(SETTLE)
    after = rss(process)
    until = time.monotonic() + PATIENCE
    while any((service.folder / "jobs").glob("*")) and time.monotonic() < until:
        time.sleep(1)
    quarter = max(1, len(during) // 4)
    return {
        "clients": clients,
        "seconds": seconds,
        "right answers": len(load.seconds),
        "wrong answers": load.wrong,
        "errors": dict(load.errors),
        "median seconds of an answer": round(statistics.median(load.seconds), 2),
        "longest": round(max(load.seconds), 2),
        "MB before": before,
        "MB at most": max(during),
        "MB in the second quarter": round(statistics.mean(during[quarter : 2 * quarter])),
        "MB in the last quarter": round(statistics.mean(during[-quarter:])),
        "MB after": after,
        "files after the load": files,
        "files when swept": len(files_in(service.folder)),
    }


def work(load: Load, number: int, end: float) -> None:
    """One client, until the end."""
    folder = load.folder / f"client{number}"
    client = Client(load.service.url, verbose=False, download_files=str(folder))
    turn = number
    while time.monotonic() < end:
        case = load.cases[turn % len(load.cases)]
        turn += 1
        start = time.monotonic()
        try:
            right = ask(client, case)
        except Exception as error:  # counted by what a user would read
            with load.lock:
                load.errors[str(error)[:200]] += 1
            time.sleep(0.5)
            continue
        with load.lock:
            if right:
                load.seconds.append(time.monotonic() - start)
            else:
                load.wrong += 1


def ask(client: Client, case: Case) -> bool:
    """Whether the answer is the package's own."""
    cutout, alpha, report = client.predict(
        handle_file(str(case.photo)), handle_file(str(case.trimap)), api_name="/matte"
    )
    same = report["photo"] == case.photo.name
    for path, expected in ((cutout, case.cutout), (alpha, case.alpha)):
        with Image.open(path) as image:
            same &= bool(np.array_equal(np.asarray(image), expected))
        Path(path).unlink()
    return same


def rss(process: psutil.Process) -> int:
    """Resident memory of a process and its children, in MB."""
    everyone = [process, *process.children(recursive=True)]
    return round(sum(one.memory_info().rss for one in everyone) / 1e6)


if __name__ == "__main__":
    main(load)
