"""Speed and memory side by side: ours, the official code, transformers' VitMatte, closed-form.

    python -m benchmarks.compare --official /path/to/checkout
    python -m benchmarks.compare --device cuda --minutes 9

Methods take turns on each picture, each in a process of its own. Every run is written down at once:
the program can be stopped at any time, and the same command goes on. First it checks that the
official code and ours compute the same alpha from the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mematte_plugin import SettingError
from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.memory.units import show_bytes

from .command import Again, Device, Minutes, Out, Quick, Threads, limits_of, main, write_report
from .methods import EXAMPLES, check_official, measure, parse_method, share_of
from .results import Record, Store, file_of, machine
from .runner import Task, logger, run
from .scenes import make_scene

SIZES = "2048x2048,1024x1024,3840x2160,7680x4320,512x512"
"""The most wanted first, in case the run is stopped before its end."""
SHARES = "0.15,0.05,0.4"
"""Unknown shares, the most wanted first."""
CPU_METHODS = (
    "ours:small:fp32:0.25",
    "transformers:small:fp32",
    "official:small:fp32:0.25",
    "ours:small:bf16:0.25",
    "ours:small:fp32:1",
    "model:mematte-tiny:fp32",
    "ours:base:fp32:0.25",
    "closed-form",
)
CUDA_METHODS = (
    "ours:small:fp16:0.25",
    "official:small:fp32:0.25",
    "transformers:small:fp16",
    "ours:small:fp32:0.25",
    "transformers:small:fp32",
    "ours:base:fp16:0.25",
    "ours:small:fp16:1",
    "ours:base:fp32:0.25",
    "official:base:fp32:0.25",
)
CLOSED_FORM_PIXELS = 1024 * 1024
"""Beyond this size closed-form matting takes minutes to hours, and is left out."""
HEADERS = ("size", "method", "seconds", "× ours", "peak above idle", "× ours", "tokens kept")
LEGEND = (
    "seconds: median of the runs, from pictures in memory to a result on the host. Peak: the"
    " process's highest memory above its loaded, idle state (on a GPU: tensors above the model)."
    " × ours: relative to the method in bold; above 1 is worse. Methods are named by kind, size,"
    " precision and kept share of the tokens. Random weights of equal size, synthetic pictures."
)


def compare(
    *,
    official: Annotated[
        Path | None, typer.Option(help="A checkout of the official code; skipped without it.")
    ] = None,
    device: Device = "cpu",
    sizes: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT,…", help="Of the pictures, in pixels.")
    ] = SIZES,
    unknown: Annotated[
        str, typer.Option(metavar="SHARE,…", help="Unknown shares of the trimap.")
    ] = SHARES,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help=f"{EXAMPLES}. The others are compared with the first of ours.",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each, after a warm-up.")] = 3,
    threads: Threads = None,
    memory_budget: Annotated[
        str | None, typer.Option(help="For ours, as in 2GB. Default: the pipeline's own choice.")
    ] = None,
    minutes: Minutes = None,
    out: Out = None,
    again: Again = False,
    quick: Quick = False,
) -> None:
    """Measure seconds and peak memory of matting methods, side by side."""
    default: Sequence[str] = CUDA_METHODS if device.startswith("cuda") else CPU_METHODS
    if quick:
        sizes, unknown, repeats, default = "128x128", "0.4", 1, default[:2]
    chosen = methods.split(",") if methods else list(default)
    cases = make_cases(sizes, unknown, chosen)
    here, limits = machine(device), limits_of(threads, minutes)
    context = {"device": device, "memory_budget": memory_budget}
    context["official"] = str(official.resolve()) if official else None
    path = out or file_of(here, "quick-" if quick else "")
    settings = {"threads": limits.threads, "memory_budget": memory_budget}
    store = Store(path, here, settings)
    todo = [one for one in cases if again or not store.done(one, repeats)]
    if official is not None and any(one["method"].startswith("official") for one in todo):
        largest = check_official(str(official.resolve()))
        logger.info("the official code computes the same alpha within %.1e", largest)
    run(groups(todo, context), store, limits, repeats=repeats, again=again)
    write_report(store, lambda store: as_markdown(store, chosen))


def make_cases(sizes: str, shares: str, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Every method at all sizes of the first share, then of the next: the order of measuring.

    Args:
        sizes: as in `SIZES`.
        shares: unknown shares, likewise.
        methods: see `parse_method`.

    Raises SettingError for anything that is none of these.
    """
    names = [parse_method(name).name for name in methods]
    pixels = [_size(size) for size in sizes.split(",")]
    unknown = [share_of(share, f"--unknown {shares}") for share in shares.split(",")]
    return [
        {"method": name, "width": width, "height": height, "unknown": share}
        for share in unknown
        for width, height in pixels
        for name in names
        if name != "closed-form" or width * height <= CLOSED_FORM_PIXELS
    ]


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.strip().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise SettingError(f"size {text!r}: write it as 1920x1080")
    return int(width), int(height)


def groups(cases: Sequence[dict[str, Any]], context: dict[str, Any]) -> Iterator[list[Task]]:
    """The tasks picture by picture.

    context: see `methods.Context`.
    """
    pictures = dict.fromkeys((one["height"], one["width"], one["unknown"]) for one in cases)
    for number, picture in enumerate(pictures):
        scene = make_scene(*picture)
        arrays = {"image": scene.image, "trimap": scene.trimap}
        # The CPU's memory is the process's: a fresh process for each picture.
        suffix = str(number) if context["device"] == "cpu" else ""
        yield [
            Task(
                one,
                measure,
                {"method": one["method"], **arrays, **context},
                f"{one['method']} {suffix}",
            )
            for one in cases
            if (one["height"], one["width"], one["unknown"]) == picture
        ]


# ---- tables --------------------------------------------------------------------------------------


def as_markdown(store: Store, order: Sequence[str]) -> str:
    """A table for each unknown share.

    order: names of the methods; all are compared with the first of ours.
    """
    places = {name: place for place, name in enumerate(order)}
    records = sorted(
        store.records,
        key=lambda one: (_pixels(one), places.get(one.case["method"], len(places))),
    )
    shares = {one.case["unknown"] for one in store.records}
    ours = next((name for name in order if name.startswith("ours:")), order[0])
    parts = ["# Speed and memory", store.about, LEGEND]
    for share in sorted(shares):
        some = [one for one in records if one.case["unknown"] == share]
        best = {_size_of(one): one for one in some if one.case["method"] == ours}
        table = markdown_table(HEADERS, [_cells(one, best.get(_size_of(one))) for one in some])
        parts.append(f"## {share:.0%} of the pixels unknown\n\n{table}")
    return "\n\n".join(parts) + "\n"


def _cells(one: Record, ours: Record | None) -> list[str]:
    name = one.case["method"]
    if one.seconds is None or one.peak is None:
        return [_size_of(one), name, one.failed or f"skipped: {one.skipped}", "", "", "", ""]
    time, peak = ("", "")
    if ours is not None and ours.seconds and ours.peak:
        time, peak = f"{one.seconds / ours.seconds:.2f}", f"{one.peak / ours.peak:.2f}"
    kept = one.get("kept")
    return [
        _size_of(one),
        f"**{name}**" if one is ours else name,
        f"{one.seconds:.4g}",
        time,
        show_bytes(one.peak),
        peak,
        "" if kept is None else f"{kept:.0%}",
    ]


def _pixels(one: Record) -> int:
    return one.case["width"] * one.case["height"]


def _size_of(one: Record) -> str:
    return f"{one.case['width']}×{one.case['height']}"


if __name__ == "__main__":
    main(compare)
