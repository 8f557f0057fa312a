"""Speed and memory side by side: ours, the official code, transformers' VitMatte, closed-form.

    python -m benchmarks.compare --official /path/to/checkout
    python -m benchmarks.compare --device cuda --minutes 9

Methods take turns on each picture, each in a process of its own. Every run is written down at once:
the program can be stopped at any time, and the same command goes on.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from mematte_plugin import SettingError
from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.memory.units import show_bytes

from .command import Again, Device, Minutes, Out, Quick, Threads, limits_of, main, write_report
from .figures import Panel, write_figure
from .methods import parse_method, share_of
from .results import Record, Store, file_of, machine
from .runner import Task, run
from .scenes import make_scene

SIZES = {
    "2048": (2048, 2048),
    "1024": (1024, 1024),
    "4k": (3840, 2160),
    "8k": (7680, 4320),
    "512": (512, 512),
}
"""(width, height) in pixels; the most wanted first, in case the run is stopped before its end."""
SHARES = "0.15,0.05,0.4"
"""Unknown shares, the most wanted first."""
CPU_METHODS = (
    "ours:small:fp32:0.25",
    "transformers:small:fp32",
    "official:small:fp32:0.25",
    "ours:small:bf16:0.25",
    "ours:small:fp32:1",
    "ours:tiny:fp32:0.25",
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
    " × ours: relative to the method in bold; above 1 is worse. Random weights of equal size,"
    " synthetic pictures."
)


def compare(
    *,
    official: Annotated[
        Path | None, typer.Option(help="A checkout of the official code; skipped without it.")
    ] = None,
    device: Device = "cpu",
    sizes: Annotated[
        str, typer.Option(metavar="SIZE,…", help=f"Of {', '.join(SIZES)}, or as 1920x1080.")
    ] = ",".join(SIZES),
    unknown: Annotated[
        str, typer.Option(metavar="SHARE,…", help="Unknown shares of the trimap.")
    ] = SHARES,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="As ours:small:fp32:0.25 (size, precision, kept share), transformers:base:fp16,"
            " official:small:fp32:0.25, model:mematte-tiny:fp32, closed-form. The others are"
            " compared with the first of ours.",
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
    if quick:
        sizes, unknown, repeats = "512,1024", "0.15", 1
    default = CUDA_METHODS if device.startswith("cuda") else CPU_METHODS
    chosen = methods.split(",") if methods else list(default)
    cases = make_cases(sizes, unknown, chosen)
    here, limits = machine(device), limits_of(threads, minutes)
    context = {"device": device, "memory_budget": memory_budget}
    context["official"] = str(official.resolve()) if official else None
    path = out or file_of(here, "quick-" if quick else "")
    settings = {"threads": limits.threads, "memory_budget": memory_budget}
    store = Store(path, here, settings)
    todo = [one for one in cases if again or not store.done(one, repeats)]
    run(groups(todo, context), store, limits, repeats=repeats, again=again)
    write_report(store, lambda store: as_markdown(store, chosen))


def make_cases(sizes: str, shares: str, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Every method at all sizes of the first share, then of the next: the order of measuring.

    Args:
        sizes: names in `SIZES`, or as 1920x1080, separated by commas.
        shares: unknown shares, likewise.
        methods: see `parse_method`.

    Raises SettingError for anything that is none of these.
    """
    names = [parse_method(name).name for name in methods]
    pixels = [_size(size.strip()) for size in sizes.split(",")]
    unknown = [share_of(share, f"--unknown {shares}") for share in shares.split(",")]
    return [
        {"method": name, "width": width, "height": height, "unknown": share}
        for share in unknown
        for width, height in pixels
        for name in names
        if name != "closed-form" or width * height <= CLOSED_FORM_PIXELS
    ]


def _size(text: str) -> tuple[int, int]:
    if text.lower() in SIZES:
        return SIZES[text.lower()]
    match = re.fullmatch(r"(\d{2,5})[x×](\d{2,5})", text)
    if not match:
        raise SettingError(f"size {text!r}: choose {', '.join(SIZES)}, or write it as 1920x1080")
    return int(match[1]), int(match[2])


def groups(
    cases: Sequence[dict[str, Any]], context: dict[str, Any], **more: Any
) -> Iterator[list[Task]]:
    """The tasks picture by picture; its files are there until the next group is asked for.

    context: see `methods.Context`.
    more: what else tells the cases apart.
    """
    pictures = dict.fromkeys((one["height"], one["width"], one["unknown"]) for one in cases)
    for number, (height, width, unknown) in enumerate(pictures):
        scene = make_scene(height, width, unknown)
        # The CPU's memory is the process's: a fresh process for each picture.
        suffix = str(number) if context["device"] == "cpu" else ""
        with tempfile.TemporaryDirectory() as folder:
            files = {"image": f"{folder}/image.npy", "trimap": f"{folder}/trimap.npy"}
            np.save(files["image"], scene.image)
            np.save(files["trimap"], scene.trimap)
            yield [
                Task(
                    {**more, **one},
                    "benchmarks.methods:measure",
                    {"method": one["method"], **files, **context},
                    f"{one['method']} {suffix}",
                )
                for one in cases
                if (one["height"], one["width"], one["unknown"]) == (height, width, unknown)
            ]


# ---- tables --------------------------------------------------------------------------------------


def as_markdown(store: Store, order: Sequence[str]) -> str:
    """A table for each unknown share, and curves.

    order: names of the methods; all are compared with the first of ours.
    """
    places = {name: place for place, name in enumerate(order)}
    records = sorted(
        store.records,
        key=lambda one: (_pixels(one), places.get(one.case["method"], len(places))),
    )
    shares = list(dict.fromkeys(one.case["unknown"] for one in store.records))
    ours = next((name for name in order if name.startswith("ours:")), order[0])
    parts = ["# Speed and memory", store.about, LEGEND]
    for share in sorted(shares):
        some = [one for one in records if one.case["unknown"] == share]
        best = {_size_of(one): one for one in some if one.case["method"] == ours}
        table = markdown_table(HEADERS, [_cells(one, best.get(_size_of(one))) for one in some])
        parts.append(f"## {share:.0%} of the pixels unknown\n\n{table}")
    drawn = [one for one in records if one.case["unknown"] == shares[0] and one.runs]
    figure = _figure(store, drawn, f"{shares[0]:.0%} of the pixels unknown")
    return "\n\n".join([*parts, figure]).rstrip() + "\n"


def _cells(one: Record, ours: Record | None) -> list[str]:
    label = parse_method(one.case["method"]).label
    if one.seconds is None or one.peak is None:
        return [_size_of(one), label, one.failed or f"skipped: {one.skipped}", "", "", "", ""]
    time, peak = ("", "")
    if ours is not None and ours.seconds and ours.peak:
        time, peak = f"{one.seconds / ours.seconds:.2f}", f"{one.peak / ours.peak:.2f}"
    kept = one.get("kept")
    return [
        _size_of(one),
        f"**{label}**" if one is ours else label,
        f"{one.seconds:.4g}",
        time,
        show_bytes(one.peak),
        peak,
        "" if kept is None else f"{kept:.0%}",
    ]


def _figure(store: Store, records: Sequence[Record], title: str) -> str:
    ticks = {float(_pixels(one)): _size_of(one) for one in records}
    panels = [Panel(name, "picture, pixels", ticks=ticks) for name in ("seconds", "peak, MB")]
    for method in dict.fromkeys(one.case["method"] for one in records):
        line = [one for one in records if one.case["method"] == method and one.seconds and one.peak]
        label = parse_method(method).label
        panels[0].curves[label] = [(_pixels(one), one.seconds or 0) for one in line]
        panels[1].curves[label] = [(_pixels(one), (one.peak or 0) / 1e6) for one in line]
    return write_figure(store.path.with_suffix(".png"), panels, title)


def _pixels(one: Record) -> int:
    return one.case["width"] * one.case["height"]


def _size_of(one: Record) -> str:
    return f"{one.case['width']}×{one.case['height']}"


if __name__ == "__main__":
    main(compare)
