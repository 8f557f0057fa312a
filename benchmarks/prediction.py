"""How well peak memory is predicted, and whether budgets are kept without changing the alpha.

    python -m benchmarks.prediction
    python -m benchmarks.prediction --random 100

Small, base and tiny networks with random weights keep exactly the share asked for. `--random`
draws sizes and budgets for mematte-tiny instead: areas up to 8K, budgets around the least possible.
The same command goes on where it was stopped. Exit code 1 if a run fails, exceeds its budget, or
differs from the run without one although the plan calls it exact.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer

from mematte_plugin import MattingPipeline, load_network
from mematte_plugin.errors import BudgetError
from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.memory.law import LARGE
from mematte_plugin.memory.plan import least_budget
from mematte_plugin.memory.request import request_for
from mematte_plugin.memory.units import show_bytes
from mematte_plugin.network import VARIANTS

from .command import Again, Device, Minutes, Out, Quick, Threads, limits_of, main, write_report
from .methods import cap_of, forced_network
from .results import Record, Store, file_of, machine
from .runner import Task, run
from .scenes import make_scene

LOW, HIGH = 0.8, 1.0
"""Where measured over predicted should lie for large pictures, and at most for small ones: there
two equal runs may differ by half, as the C library's heap happens to grow."""
SIZES = ((256, 256), (512, 512), (1024, 1024), (1600, 900), (2048, 2048), (3840, 2160))
"""(width, height) in pixels that every network is measured at."""
SETTINGS = (
    # unknown share, kept share, times the least budget, half precision
    (0.15, 0.25, None, False),
    (0.40, 0.50, 1.1, False),
    (0.05, 0.10, 1.6, False),
    (0.15, 0.25, None, True),
)
LARGEST = (("tiny", None), ("tiny", 1.1), ("small", None))
"""What is measured at 8K: network, times the least budget."""
OVER = 1.05
"""Times the budget that a run may take."""
CLOSE = 1e-5
"""How far two alphas may differ that both count as exact."""

Case = dict[str, Any]


def prediction(
    *,
    device: Device = "cpu",
    random: Annotated[
        int | None, typer.Option(min=1, help="This many random sizes and budgets instead.")
    ] = None,
    threads: Threads = None,
    minutes: Minutes = None,
    out: Out = None,
    again: Again = False,
    quick: Quick = False,
) -> None:
    """Measure peak memory against what the plan predicted."""
    cases = combinations(device) if random is None else drawn(random)
    if quick:
        cases = cases[:2]
    here, limits = machine(device), limits_of(threads, minutes, timeout=3600)
    path = out or file_of(here, "prediction-" if random is None else "budgets-")
    store = Store(path, here, {"threads": limits.threads})
    run(groups(cases, device), store, limits, again=again)
    write_report(store, as_markdown)
    if any(faults(one) for one in store.records):
        raise typer.Exit(1)


def case_of(
    network: str,
    size: tuple[int, int],
    *,
    unknown: float = 0.15,
    retention: float | None = 0.25,
    budget: float | None = None,
    dtype: str = "float32",
) -> Case:
    """One combination.

    Args:
        network: tiny, small or base with random weights, or a model's name.
        size: (width, height) in pixels.
        unknown: share of unknown pixels, raised where the scene's strands alone take more.
        retention: share of tokens kept in each routed block; None leaves it to the router.
        budget: times the least possible budget; None gives what is free.
        dtype: precision of the network.
    """
    width, height = size
    unknown = max(unknown, 0.2 if min(size) < 400 else 0)
    return {
        "network": network,
        "width": width,
        "height": height,
        "unknown": unknown,
        "retention": retention,
        "budget": budget,
        "dtype": dtype,
    }


def combinations(device: str) -> list[Case]:
    """The grid, small pictures first."""
    half = "bfloat16" if device == "cpu" else "float16"
    grid = [
        case_of(
            network,
            size,
            unknown=unknown,
            retention=kept,
            budget=budget,
            dtype=half if low else "float32",
        )
        for size in SIZES
        for network in VARIANTS
        for unknown, kept, budget, low in SETTINGS
    ]
    return grid + [case_of(name, (7680, 4320), budget=budget) for name, budget in LARGEST]


def drawn(count: int) -> list[Case]:
    """Random sizes and budgets for mematte-tiny, small pictures first.

    A third of the budgets is within a fifth of the least possible, a third between half and twice
    that, so that some are refused, and a third between that and a hundred times as much.
    """
    rng = np.random.default_rng(0)

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    cases = []
    for number in range(count):
        pixels = min(between(200**2, 7680 * 4320) for _ in range(2))
        aspect = between(1 / 3, 3)
        size = round((pixels / aspect) ** 0.5), round((pixels * aspect) ** 0.5)
        unknown = round(rng.uniform(0.35 if min(size) < 400 else 0.05, 0.4), 2)
        times = between(*((1, 1.2), (0.5, 2), (1, 100))[number % 3])
        budget = round(times, 3)
        cases.append(case_of("mematte-tiny", size, unknown=unknown, retention=None, budget=budget))
    return sorted(cases, key=lambda one: one["width"] * one["height"])


def groups(cases: Iterable[Case], device: str) -> list[list[Task]]:
    """The tasks: on the CPU a fresh process for each, whose memory then is the run's."""
    return [
        [
            Task(
                one,
                measure,
                {"device": device, **one},
                str(number) if device == "cpu" else "card",
            )
        ]
        for number, one in enumerate(cases)
    ]


# ---- in the worker -------------------------------------------------------------------------------


def measure(device: str, **case: Any) -> dict[str, Any]:
    """One run, its files included, against its plan."""
    pipe = pipeline(case["network"], device, case["dtype"])
    share = "auto" if case["retention"] is None else case["retention"]
    budget = _budget(pipe, case)
    card = device.startswith("cuda")
    if card:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        idle = torch.cuda.memory_reserved(device)
    with tempfile.TemporaryDirectory() as folder:
        files = _files(case, Path(folder))
        begin = time.perf_counter()
        try:
            matte = pipe(*files, retention=share, memory_budget=budget)
        except BudgetError as error:
            budget = error.least
            matte = pipe(*files, retention=share, memory_budget=budget)
        values = {
            "seconds": time.perf_counter() - begin,
            "peak": matte.plan.measured_peak or 0,
            "predicted": matte.plan.predicted_peak,
            "granted": budget,
            "phase": matte.plan.worst,
            "steps": [*matte.plan.steps, *matte.plan.lost],
        }
        if card:  # what torch took, and what the libraries and the context hold besides
            values["reserved"] = torch.cuda.max_memory_reserved(device) - idle
            free, total = torch.cuda.mem_get_info(device)
            values["outside"] = total - free - torch.cuda.memory_reserved(device)
        if budget is not None and not matte.plan.lost:
            free_matte = pipe(*files, retention=share)
            values["difference"] = float(np.abs(matte.alpha - free_matte.alpha).max())
    return values


@lru_cache(1)
def pipeline(network: str, device: str, dtype: str) -> MattingPipeline:
    """A warm pipeline; random networks keep exactly the share asked for."""
    loaded = forced_network(network) if network in VARIANTS else load_network(network)
    pipe = MattingPipeline(loaded, device=device, dtype=dtype)
    scene = make_scene(256, 256, 0.4)
    pipe(scene.image, scene.trimap)
    return pipe


def _budget(pipe: MattingPipeline, case: Case) -> int | None:
    if case["budget"] is None:
        return None
    size, share = (case["height"], case["width"]), case["retention"]
    request = request_for(
        size,
        pipe.network,
        str(pipe.device),
        case["dtype"],
        unknown=case["unknown"],
        max_tokens=None if share is None else cap_of(share, *size),
    )
    return int(case["budget"] * least_budget(request.workload, fused=request.fused))


def _files(case: Case, folder: Path) -> list[Path]:
    import cv2

    scene = make_scene(case["height"], case["width"], case["unknown"])
    paths = [folder / "image.png", folder / "trimap.png"]
    for path, pixels in zip(paths, (scene.image[..., ::-1], scene.trimap), strict=True):
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return paths


# ---- tables --------------------------------------------------------------------------------------

HEADERS = (
    *("network", "size", "unknown", "kept", "budget ÷ least", "dtype", "worst phase", "predicted"),
    *("measured", "ratio", "alpha", "seconds", "made smaller", "wrong"),
)


def ratio_of(record: Record) -> float:
    """Measured over predicted peak."""
    return (record.peak or 0) / record.get("predicted")


def faults(record: Record) -> list[str]:
    """What is wrong with a result, in words."""
    if not record.runs:  # nothing may be skipped here: the least budget must do
        return [record.failed or record.skipped]
    found = []
    granted, difference = record.get("granted"), record.get("difference")
    if granted is not None and (record.peak or 0) > OVER * granted:
        found.append(f"budget exceeded {(record.peak or 0) / granted:.2f} times")
    if difference is not None and not difference < CLOSE:
        found.append(f"alpha differs by {difference:.1e}")
    return found


def as_markdown(store: Store) -> str:
    """Summaries of the ratio, then a line for each combination."""
    records = [one for one in store.records if one.runs]
    named: dict[str, list[float]] = {}
    for one in records:
        case = one.case
        size = "large" if cap_of(1.0, case["height"], case["width"]) >= LARGE else "small"
        for name in ("all", size, case["network"], case["dtype"], f"phase {one.get('phase')}"):
            named.setdefault(name, []).append(ratio_of(one))
        if one.get("reserved"):
            ratio = one.get("reserved") / one.get("predicted")
            named.setdefault("reserved by torch", []).append(ratio)
    outside = max((one.get("outside") or 0 for one in records), default=0)
    context = (
        f" Context, libraries and other programs held up to {show_bytes(outside)} of the card."
    )
    return "\n\n".join(
        [
            "# Predicted peak memory",
            store.about,
            "Peak: above the loaded, idle process, the picture included. Ratio: measured over"
            f" predicted. Large: from {LARGE} tokens, about 2 megapixels. Alpha: the largest"
            f" difference from a run without a budget.{context if outside else ''}",
            markdown_table(SUMMARY, [summary_of(name, some) for name, some in named.items()]),
            markdown_table(HEADERS, map(cells, store.records)) + "\n",
        ]
    )


SUMMARY = ("", "cases", "least", "median", "most", f"in {LOW}–{HIGH}")


def summary_of(name: str, ratios: Sequence[float]) -> list[str]:
    """A row under `SUMMARY`."""
    good = sum(LOW <= ratio <= HIGH for ratio in ratios) / len(ratios)
    numbers = [f"{one:.2f}" for one in (min(ratios), median(ratios), max(ratios))]
    return [name, str(len(ratios)), *numbers, f"{good:.0%}"]


def cells(one: Record) -> list[str]:
    """A row under `HEADERS`."""
    case = one.case
    row = [
        case["network"],
        f"{case['width']}×{case['height']}",
        f"{case['unknown']:.0%}",
        "auto" if case["retention"] is None else f"{case['retention']:.0%}",
        "free" if case["budget"] is None else f"{case['budget']:g}",
        case["dtype"],
    ]
    wrong = "; ".join(faults(one))
    if not one.runs:
        return [*row, *[""] * 7, wrong]
    difference = one.get("difference")
    return [
        *row,
        one.get("phase"),
        show_bytes(one.get("predicted")),
        show_bytes(one.peak or 0),
        f"{ratio_of(one):.2f}",
        "" if difference is None else f"{difference:.1e}",
        f"{one.seconds:.1f}",
        "; ".join(one.get("steps") or ()),
        wrong,
    ]


if __name__ == "__main__":
    main(prediction)
