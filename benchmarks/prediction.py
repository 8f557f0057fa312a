"""How well the peak memory is predicted: measured over predicted, for many combinations.

    python -m benchmarks.prediction

Networks with random weights that keep exactly the share asked for. The same command goes on where
it was stopped.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from mematte_plugin import SettingError
from mematte_plugin.images.files import write_text
from mematte_plugin.memory.free import cpu_count
from mematte_plugin.memory.law import LARGE, Job
from mematte_plugin.memory.request import config_of
from mematte_plugin.memory.units import show_bytes

from .command import main
from .peaks import Peak
from .store import Store, kind, machine, open_store
from .turns import ROOT, OutOfTime

RESULTS = ROOT / "benchmarks" / "results"
LOW, HIGH = 0.8, 1.0
"""Where measured over predicted shall lie for large pictures, and at most for small ones: there two
runs alike may differ by half, as the C library's heap happens to grow."""
VARIANTS = ("tiny", "small", "base")
SIZES = ((256, 256), (512, 512), (1024, 1024), (1600, 900), (2048, 2048), (3840, 2160))
"""(width, height) in pixels that every network is measured at."""
SETTINGS = (
    # unknown share, kept share, times the least budget, half precision
    (0.15, 0.25, None, False),
    (0.40, 0.50, 1.1, False),
    (0.05, 0.10, 1.6, False),
    (0.15, 0.25, None, True),
)
LARGEST = (
    Peak("tiny", 7680, 4320, 0.15, 0.25),
    Peak("tiny", 7680, 4320, 0.15, 0.25, 1.1),
    Peak("small", 7680, 4320, 0.15, 0.25),
)
QUICK_PIXELS = 2_500_000
TIMEOUT = 3600
"""Seconds that one process may take."""
Way = str
logger = logging.getLogger("benchmarks")


def prediction(
    *,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    way: Annotated[
        str,
        typer.Option(help="fresh: a process for each; shared: one for all of a network's; both."),
    ] = "fresh",
    quick: Annotated[bool, typer.Option("--quick", help="Only up to 2.5 megapixels.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many combinations.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: the usable cores.")] = None,
    minutes: Annotated[float | None, typer.Option(help="End after so long.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON file; a table is written beside it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Peak memory, measured against what the plan promised."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    ways = {"fresh": ("fresh",), "shared": ("shared",), "both": ("fresh", "shared")}.get(way)
    if ways is None:
        raise SettingError(f"--way {way}: choose fresh, shared or both")
    here = machine(device)
    settings = {"threads": threads or cpu_count()}
    path = out or RESULTS / f"prediction-{kind(here)}.json"
    store = open_store(path, Peak, here, settings)
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    cases = [
        replace(case, way=one)
        for one in ways
        for case in combinations(device)
        if not quick or case.width * case.height <= QUICK_PIXELS
    ][:limit]
    todo = [case for case in cases if not store.done(case.key, 1)]
    try:
        for batch in _processes(todo):
            _measure(batch, device, settings["threads"], store, deadline)
    except OutOfTime as over:
        logger.info("%s", over)
    finally:
        if store.results:
            write_text(path.with_suffix(".md"), as_markdown(store), overwrite=True)
            logger.info("written: %s", path.with_suffix(".md"))
    if as_json:
        print(json.dumps([asdict(one) for one in store.results.values()]))


def combinations(device: str) -> list[Peak]:
    """What is measured, small pictures first."""
    half = "bfloat16" if device == "cpu" else "float16"
    found = [
        Peak(
            variant,
            *size,
            max(unknown, _least_unknown(size)),
            kept,
            budget,
            half if low else "float32",
        )
        for size in SIZES
        for variant in VARIANTS
        for unknown, kept, budget, low in SETTINGS
    ]
    return [*found, *LARGEST]


def _least_unknown(size: tuple[int, int]) -> float:
    """The scenes' strands alone take so much of a small picture."""
    return 0.2 if min(size) < 400 else 0.0


def _processes(cases: list[Peak]) -> Iterator[list[Peak]]:
    """Which combinations one process measures."""
    for (way, *_), same in groupby(sorted(cases, key=_group), key=_group):
        if way == "shared":
            yield list(same)
        else:
            yield from ([case] for case in same)


def _group(case: Peak) -> tuple[str, ...]:
    return (case.way, case.variant, case.dtype) if case.way == "shared" else (case.way,)


def _measure(
    cases: list[Peak], device: str, threads: int, store: Store[Peak], deadline: float | None
) -> None:
    left = TIMEOUT if deadline is None else min(TIMEOUT, deadline - time.monotonic())
    if left <= 0:
        raise OutOfTime("the time is over; the same command goes on")
    job = {"device": device, "threads": threads, "cases": [asdict(case) for case in cases]}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peaks", json.dumps(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)},
    )
    try:
        lines, errors = process.communicate(timeout=left)
    except subprocess.TimeoutExpired:
        process.kill()
        lines, errors = process.communicate()
        if deadline is not None and time.monotonic() >= deadline:
            _keep(lines, store)
            raise OutOfTime("the time is over; the same command goes on") from None
        errors = f"took longer than {TIMEOUT} s"
    done = _keep(lines, store)
    if done < len(cases):
        last = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        store.put(replace(cases[done], failed=last[:300]))
        logger.info("%s: %s", cases[done].key, last)


def _keep(lines: str, store: Store[Peak]) -> int:
    done = 0
    for line in lines.splitlines():
        values = json.loads(line)
        one = Peak(**{**values, "seconds": tuple(values["seconds"])})
        store.put(one)
        done += 1
        logger.info("%s", " ".join(_cells(one)))
    return done


# ---- table ---------------------------------------------------------------------------------------


def as_markdown(store: Store[Peak]) -> str:
    """Summaries, then a line for each combination."""
    results = list(store.results.values())
    text = [
        "# Predicted peak memory",
        "",
        f"{store.machine['processor']}, {store.machine['device']}, {store.settings['threads']} "
        f"threads, torch {store.machine['torch']}. Peak: above the loaded, idle process, the "
        "picture included. Ratio: measured over predicted. Whole: with reading the files.",
        "",
        f"| | combinations | min | median | max | in {LOW}–{HIGH} |",
        "|---|---|---|---|---|---|",
    ]
    large, small = (
        [one for one in results if (_tokens(one) >= LARGE) == wanted] for wanted in (True, False)
    )
    groups = {
        "all": results,
        f"large: from {LARGE} tokens, about 2 megapixels": large,
        "small": small,
    }
    for name in ("way", "variant", "dtype", "phase"):
        for value in sorted({getattr(one, name) for one in results} - {""}):
            groups[f"{name} {value}"] = [one for one in results if getattr(one, name) == value]
    text += [line for name, some in groups.items() for line in _summary(name, some)]
    text += ["", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    text += [f"| {' | '.join(_cells(one))} |" for one in results]
    return "\n".join(text) + "\n"


COLUMNS = (
    "network",
    "size",
    "unknown",
    "kept",
    "budget / least",
    "dtype",
    "way",
    "worst phase",
    "predicted",
    "measured",
    "whole",
    "ratio",
    "seconds",
)


def _summary(name: str, results: list[Peak]) -> list[str]:
    ratios = sorted(one.ratio for one in results if one.ratio is not None)
    if not ratios:
        return []
    good = sum(LOW <= ratio <= HIGH for ratio in ratios) / len(ratios)
    numbers = " | ".join(f"{x:.2f}" for x in (ratios[0], median(ratios), ratios[-1]))
    return [f"| {name} | {len(ratios)} | {numbers} | {good:.0%} |"]


def _tokens(one: Peak) -> int:
    return Job(one.height, one.width, config_of(one.variant)[0]).tokens


def _cells(one: Peak) -> list[str]:
    asked = [
        one.variant,
        f"{one.width}×{one.height}",
        f"{one.unknown:.0%}",
        f"{one.retention:.0%}",
        "free" if one.budget is None else f"{one.budget:g}",
        one.dtype,
        one.way,
    ]
    if one.ratio is None:
        return [*asked, one.failed, "", "", "", "", ""]
    return [
        *asked,
        one.phase + (f" ({one.failed})" if one.failed else ""),
        show_bytes(one.predicted),
        show_bytes(one.measured),
        show_bytes(one.whole) if one.whole else "",
        f"{one.ratio:.2f}",
        f"{sum(one.seconds):.1f}",
    ]


if __name__ == "__main__":
    main(prediction)
