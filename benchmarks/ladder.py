"""Random budgets, random sizes: no crash, no wrong alpha, no budget exceeded.

    python -m benchmarks.ladder

mematte-tiny, areas up to 8K, small ones mostly, any aspect. A third of the budgets lie within a
fifth of the least possible one, a third around it, a third between it and 8 GB. A budget that is
refused must name the least possible one, and that one is then tried. The same command goes on
where it was stopped.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from mematte_plugin.images.files import write_text
from mematte_plugin.memory.free import cpu_count
from mematte_plugin.memory.request import request_for
from mematte_plugin.memory.units import show_bytes

from .command import main
from .store import Store, kind, machine, open_store
from .turns import ROOT, OutOfTime

RESULTS = ROOT / "benchmarks" / "results"
MODEL = "mematte-tiny"
TIGHT, AROUND, LARGEST = (1.0, 1.2), (0.5, 2.0), 8e9
"""Two thirds of the budgets, over the least possible one; and the most of the others, in bytes."""
PIXELS = (200 * 200, 7680 * 4320)
ASPECTS = (1 / 3, 3.0)
UNKNOWN = (0.05, 0.4)
OVER = 1.05
"""Times the budget that a run may take."""
CLOSE = 1e-5
"""How far two alphas may lie apart that both count as exact."""
logger = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Fall:
    """One picture with one budget."""

    number: int
    """Of the case; the same number is the same case."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    unknown: float
    """Share of unknown pixels."""
    budget: int
    """Bytes."""
    refused: bool = False
    """Whether it was too small; then `least` was taken instead."""
    least: int = 0
    """The budget that the refusal named."""
    predicted: int = 0
    """Bytes that the plan promised."""
    measured: int = 0
    """Bytes that the run took."""
    difference: float | None = None
    """Largest difference of the alpha from that with all the memory; None where it was lossy."""
    lost: tuple[str, ...] = ()
    """What the plan gave up."""
    steps: tuple[str, ...] = ()
    """What the plan made smaller."""
    seconds: tuple[float, ...] = ()
    """Of the run with this budget."""
    failed: str = ""
    """Why there is no result."""

    @property
    def key(self) -> int:
        """What tells it from others."""
        return self.number

    @property
    def faults(self) -> list[str]:
        """What is wrong, in words."""
        found = [self.failed] if self.failed else []
        if self.measured > OVER * self.granted:
            found.append(f"budget exceeded {self.measured / self.granted:.2f} times")
        if self.difference is not None and not self.difference < CLOSE:
            found.append(f"alpha differs by {self.difference:.1e}")
        return found

    @property
    def granted(self) -> int:
        """The budget that counted."""
        return self.least or self.budget


def ladder(
    *,
    cases: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(help="Another seed, other cases.")] = 0,
    largest: Annotated[
        float | None, typer.Option(help="Leave out pictures of more megapixels.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Default: the usable cores.")] = None,
    minutes: Annotated[float | None, typer.Option(help="End after so long.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON file; a table is written beside it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Random budgets and sizes, small pictures first; exit code 1 where anything is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    here = machine(device)
    settings = {"threads": threads or cpu_count(), "seed": seed}
    path = out or RESULTS / f"ladder-{kind(here)}.json"
    store = open_store(path, Fall, here, settings)
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    most = (largest or 1e9) * 1e6
    todo = [
        case
        for case in drawn(cases, seed)
        if case.width * case.height <= most and not store.done(case.key, 1)
    ]
    try:
        _run(todo, device, settings["threads"], store, deadline)
    except OutOfTime as over:
        logger.info("%s", over)
    finally:
        if store.results:
            write_text(path.with_suffix(".md"), as_markdown(store), overwrite=True)
            logger.info("written: %s", path.with_suffix(".md"))
    results = list(store.results.values())
    if as_json:
        print(json.dumps([asdict(one) for one in results]))
    if any(one.faults for one in results):
        raise typer.Exit(1)


def drawn(cases: int, seed: int) -> list[Fall]:
    """The cases of a seed, small pictures first."""
    rng = np.random.default_rng(seed)

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def budget(number: int, least: int) -> float:
        if number % 3 == 0:
            return least * rng.uniform(*TIGHT)
        return least * between(*AROUND) if number % 3 == 1 else between(least, LARGEST)

    found = []
    for number in range(cases):
        pixels, aspect = min(between(*PIXELS), between(*PIXELS)), between(*ASPECTS)
        height, width = round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)
        least = 0.35 if min(height, width) < 400 else UNKNOWN[0]  # the scenes' own hair
        unknown = round(rng.uniform(least, max(least, UNKNOWN[1])), 2)
        request = request_for((height, width), MODEL, "cpu", "float32", unknown=unknown)
        granted = int(budget(number, request.least()))
        found.append(Fall(number, width, height, unknown, granted))
    return sorted(found, key=lambda case: case.width * case.height)


def _run(
    cases: list[Fall], device: str, threads: int, store: Store[Fall], deadline: float | None
) -> None:
    """All cases in one process with one warm pipeline, as a program would have it."""
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    os.environ.update(dict.fromkeys(names, str(threads)))  # for the process below
    left = list(cases)
    while left:
        with ProcessPoolExecutor(
            1, get_context("spawn"), initializer=_load, initargs=(device, threads)
        ) as pool:
            while left:
                if deadline is not None and time.monotonic() > deadline:
                    raise OutOfTime("the time is over; the same command goes on")
                case = left.pop(0)
                try:
                    one = pool.submit(_fall, case).result()
                except BrokenProcessPool:
                    one = replace(case, failed="the process died")
                store.put(one)
                logger.info("%s", " ".join(_cells(one)))
                if one.failed:
                    break  # a fresh process for the rest


# ---- in the process ------------------------------------------------------------------------------


class _Loaded:
    pipe: Any = None


def _load(device: str, threads: int) -> None:
    import torch

    from mematte_plugin import MattingPipeline

    from .scenes import make_scene

    torch.set_num_threads(threads)
    _Loaded.pipe = MattingPipeline.from_pretrained(MODEL, device=device, dtype="float32")
    scene = make_scene(256, 256, 0.4)
    _Loaded.pipe(scene.image, scene.trimap)


def _fall(case: Fall) -> Fall:
    from mematte_plugin import MEMatteError
    from mematte_plugin.errors import BudgetError

    from .scenes import make_scene

    pipe = _Loaded.pipe
    scene = make_scene(case.height, case.width, case.unknown)
    try:
        whole = pipe(scene.image, scene.trimap).alpha
        begin = time.perf_counter()
        try:
            matte = pipe(scene.image, scene.trimap, memory_budget=case.budget)
        except BudgetError as error:
            case = replace(case, refused=True, least=error.least)
            begin = time.perf_counter()
            matte = pipe(scene.image, scene.trimap, memory_budget=error.least)
    except (MEMatteError, RuntimeError, MemoryError) as error:
        return replace(case, failed=" ".join(f"{type(error).__name__}: {error}".split())[:300])
    seconds = time.perf_counter() - begin
    plan = matte.plan
    exact = not plan.lost
    return replace(
        case,
        predicted=plan.predicted_peak,
        measured=plan.measured_peak or 0,
        difference=float(np.abs(matte.alpha - whole).max()) if exact else None,
        lost=plan.lost,
        steps=plan.steps,
        seconds=(seconds,),
    )


# ---- table ---------------------------------------------------------------------------------------

COLUMNS = (
    *("case", "size", "unknown", "budget", "least", "predicted", "measured", "of budget"),
    *("alpha", "seconds", "made smaller", "wrong"),
)


def as_markdown(store: Store[Fall]) -> str:
    """What went wrong altogether, then a line for each case."""
    results = sorted(store.results.values(), key=lambda one: one.width * one.height)
    faults = [one for one in results if one.faults]
    differences = [one.difference for one in results if one.difference is not None]
    text = [
        "# Random budgets",
        "",
        f"{store.machine['processor']}, {store.machine['device']}, {store.settings['threads']} "
        f"threads, torch {store.machine['torch']}. mematte-tiny, float32.",
        "",
        f"- {len(results)} cases, {len(faults)} with a fault",
        f"- {sum(one.refused for one in results)} budgets refused; the least one that was named "
        "was then taken",
        f"- {sum(bool(one.lost) for one in results)} plans lost something; of the others the "
        f"alpha differs by at most {max(differences, default=0):.1e}",
        "- most of a budget that was taken: "
        f"{max((one.measured / one.granted for one in results), default=0):.2f}",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * len(COLUMNS) + "|",
    ]
    return "\n".join([*text, *(f"| {' | '.join(_cells(one))} |" for one in results)]) + "\n"


def _cells(one: Fall) -> list[str]:
    alpha = "" if one.difference is None else f"{one.difference:.1e}"
    return [
        str(one.number),
        f"{one.width}×{one.height}",
        f"{one.unknown:.0%}",
        show_bytes(one.budget),
        show_bytes(one.least) if one.refused else "",
        show_bytes(one.predicted),
        show_bytes(one.measured),
        f"{one.measured / one.granted:.2f}",
        "lossy" if one.lost else alpha,
        f"{sum(one.seconds):.1f}",
        "; ".join(one.steps),
        "; ".join(one.faults),
    ]


if __name__ == "__main__":
    main(ladder)
