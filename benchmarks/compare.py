"""Speed and memory side by side: ours, the official code, transformers' VitMatte, closed-form.

    python -m benchmarks.compare --official /path/to/checkout
    python -m benchmarks.compare --device cuda --minutes 9

Methods take turns on each picture, each in a process of its own. Every run is written down at once:
the program may be stopped at any time, and the same command goes on.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mematte_plugin.images.files import write_text
from mematte_plugin.memory.free import cpu_count

from .cases import CLOSED_FORM_PIXELS, QUICK_SIZES, SHARES, SIZES, Case, make_cases
from .command import main
from .names import CPU_METHODS, CUDA_METHODS, Method, parse_method
from .store import Measurement, Store, kind, machine, open_store
from .turns import ROOT, OutOfTime, Player, Setup, Turn

RESULTS = ROOT / "benchmarks" / "results"
DEFAULT_SHARES = ",".join(f"{share:g}" for share in SHARES)
logger = logging.getLogger("benchmarks")


def compare(
    *,
    official: Annotated[
        Path | None, typer.Option(help="A checkout of the official code; without it, it is left.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    sizes: Annotated[
        str, typer.Option(metavar="SIZE,…", help=f"Of {', '.join(SIZES)}, or as 1920x1080.")
    ] = ",".join(SIZES),
    unknown: Annotated[
        str, typer.Option(metavar="SHARE,…", help="Unknown shares of the trimap.")
    ] = DEFAULT_SHARES,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="As ours:small:fp32:0.25 (size, precision, kept share), transformers:base:fp16,"
            " official:small:fp32:0.25, model:mematte-tiny:fp32, closed-form. The first of ours is"
            " what the others are compared with.",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each, after a warm-up.")] = 3,
    threads: Annotated[
        int | None, typer.Option(min=1, help="For every method. Default: the usable cores.")
    ] = None,
    memory_budget: Annotated[
        str | None, typer.Option(help="For ours, as in 2GB. Default: the pipeline's own choice.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="End after so long; what is done is kept.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that one run may take.")] = 1800,
    out: Annotated[
        Path | None, typer.Option(help="JSON file; tables and plots are written beside it.")
    ] = None,
    again: Annotated[bool, typer.Option(help="Measure anew what the file holds already.")] = False,
    quick: Annotated[bool, typer.Option(help="512 and 1024 at 15 %, one run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure seconds and peak memory of matting methods, side by side."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if quick:
        sizes, unknown, repeats = ",".join(QUICK_SIZES), f"{SHARES[0]:g}", 1
    cases = make_cases(sizes, unknown)
    default = CUDA_METHODS if device.startswith("cuda") else CPU_METHODS
    chosen = [parse_method(name) for name in (methods.split(",") if methods else default)]
    here = machine(device)
    setup = Setup(
        device=device,
        threads=threads or cpu_count(),
        official=official.resolve() if official else None,
        memory_budget=memory_budget,
        timeout=timeout,
        deadline=time.monotonic() + 60 * minutes if minutes is not None else None,
    )
    path = out or RESULTS / f"{kind(here)}{'-quick' if quick else ''}.json"
    store = open_store(
        path, Measurement, here, {"threads": setup.threads, "memory_budget": memory_budget}
    )
    try:
        measure(cases, chosen, setup, store, repeats=repeats, again=again)
    except OutOfTime as over:
        logger.info("%s", over)
    finally:
        write_report(store, [method.name for method in chosen])
    if as_json:
        print(json.dumps(json.loads(path.read_text()) if path.exists() else {}))


def measure(
    cases: Sequence[Case],
    methods: Sequence[Method],
    setup: Setup,
    store: Store[Measurement],
    *,
    repeats: int,
    again: bool = False,
) -> None:
    """Fill the store, case by case, in rounds over the methods.

    Raises OutOfTime at the setup's deadline.
    """
    players: dict[str, Player] = {}
    try:
        for case in cases:
            todo = []
            for method in methods:
                empty = Measurement(method.name, case.width, case.height, case.unknown)
                if store.done(empty.key, repeats) and not again:
                    continue
                if method.kind == "closed-form" and case.pixels > CLOSED_FORM_PIXELS:
                    store.put(replace(empty, skipped="beyond 1024² it takes minutes to hours"))
                    continue
                todo.append(empty)
            if todo:
                _rounds(case, todo, players, setup, store, repeats=repeats)
            if setup.device == "cpu":  # its memory is the process's: a fresh one for each case
                _close(players)
    finally:
        _close(players)


def _rounds(
    case: Case,
    todo: Sequence[Measurement],
    players: dict[str, Player],
    setup: Setup,
    store: Store[Measurement],
    *,
    repeats: int,
) -> None:
    for one in todo:  # they load side by side; nothing is measured before all have
        if one.method not in players or players[one.method].broken:
            players[one.method] = Player(one.method, setup)
    for one in todo:
        players[one.method].ready()
    results = {one.method: one for one in todo}
    with _pictures(case) as (image, trimap):
        for _ in range(repeats):
            for name, one in results.items():
                if one.failed or one.skipped:
                    continue
                turn = players[name].play(image, trimap)
                results[name] = _with(one, turn)
                store.put(results[name])
                _tell(case, name, turn)


def _with(one: Measurement, turn: Turn) -> Measurement:
    if turn.failed or turn.skipped:
        return replace(one, seconds=(), peaks=(), failed=turn.failed, skipped=turn.skipped)
    return replace(
        one,
        seconds=(*one.seconds, turn.seconds),
        peaks=(*one.peaks, turn.peak),
        total=max(one.total, turn.total),
        kept=turn.kept,
        predicted=turn.predicted,
    )


def _tell(case: Case, name: str, turn: Turn) -> None:
    what = turn.failed or turn.skipped or f"{turn.seconds:.3f} s, {turn.peak / 1e6:.0f} MB"
    logger.info("%s, %g %% unknown, %s: %s", case.size, 100 * case.unknown, name, what)


@contextmanager
def _pictures(case: Case) -> Iterator[tuple[Path, Path]]:
    """The case's picture and trimap as .npy files: making them costs the methods nothing."""
    from .scenes import make_scene

    scene = make_scene(case.height, case.width, case.unknown)
    with tempfile.TemporaryDirectory() as folder:
        image, trimap = Path(folder, "image.npy"), Path(folder, "trimap.npy")
        np.save(image, scene.image)
        np.save(trimap, scene.trimap)
        del scene
        yield image, trimap


def _close(players: dict[str, Player]) -> None:
    for player in players.values():
        player.close()
    players.clear()


def write_report(store: Store[Measurement], order: Sequence[str]) -> None:
    """Markdown and plots beside the JSON file; methods in this order."""
    from .plots import write_plots
    from .report import as_markdown

    if not store.results:
        return
    figures = write_plots(store, order)
    text = as_markdown(store, order, figures)
    write_text(store.path.with_suffix(".md"), text, overwrite=True)
    logger.info("written: %s", store.path.with_suffix(".md"))


if __name__ == "__main__":
    main(compare)
