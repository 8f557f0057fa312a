"""What keeping fewer tokens costs and saves: error, time and memory against retention.

    python -m benchmarks.retention PHOTOS

PHOTOS is a data set with true alphas, as `mematte eval` takes it. Every share is measured in a
process of its own; the shares take turns. The same command goes on where it was stopped.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import typer

from mematte_plugin.evaluation.cases import cases_of, read
from mematte_plugin.evaluation.layouts import Case, scan
from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.images.encode import write_image
from mematte_plugin.memory.units import show_bytes

from .command import Again, Device, Minutes, Out, Threads, limits_of, main, write_report
from .methods import Method, measure, share_of
from .results import Record, Store, file_of, machine
from .runner import Task, logger, run

SHARES = "1,0.75,0.5,0.35,0.25,0.15,0.1,0.05,0"
AUTO = "auto"
HEADERS = ("share", "tokens kept", "SAD", "MSE", "seconds", "peak")
LEGEND = (
    "Exactly the share of the tokens is kept, the router's best scores first; auto: its own choice."
    " Means over the photographs. SAD in thousands and MSE × 10⁻³ over the unknown region. Peak:"
    " the process's highest memory above its loaded, idle state (on a GPU: tensors above the"
    " model)."
)


def retention(
    folder: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A data set with alphas.")],
    *,
    model: Annotated[str, typer.Option(help="As for `mematte cut`.")] = "mematte-tiny",
    shares: Annotated[
        str, typer.Option(metavar="SHARE,…", help="Kept shares, besides the router's own choice.")
    ] = SHARES,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first photographs, by name.")
    ] = None,
    device: Device = "cpu",
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    threads: Threads = None,
    minutes: Minutes = None,
    out: Out = None,
    again: Again = False,
) -> None:
    """Measure alpha error, seconds and peak memory of a model against the share of kept tokens."""
    name = str(Path(model).resolve()) if Path(model).exists() else model
    methods = {AUTO: Method("model", name, dtype).name}
    for text in shares.split(","):
        share = share_of(text, f"--shares {shares}")
        methods[f"{share:g}"] = Method("forced", name, dtype, share).name
    here, limits = machine(device), limits_of(threads, minutes)
    path = out or file_of(here, "retention-")
    settings = {"threads": limits.threads, "model": model, "dtype": dtype}
    store = Store(path, here, settings)
    cases = cases_of(scan(folder), limit=limit)
    run(groups(cases, methods, device), store, limits, again=again)
    write_report(store, as_markdown)


def groups(cases: Sequence[Case], methods: dict[str, str], device: str) -> Iterator[list[Task]]:
    """The tasks case by case.

    methods: by share.
    """
    for case in cases:
        inputs = read(case)
        arrays = {
            "image": inputs.photo.pixels,
            "trimap": np.where(inputs.trimap == 0.5, 128, inputs.trimap * 255).astype(np.uint8),
            "truth": inputs.truth,
        }
        yield [
            Task(
                {"picture": case.name, "trimap": case.trimap_name, "share": share},
                measure,
                {"method": method, "device": device, **arrays},
                f"{case.name} {case.trimap_name} {share}",
            )
            for share, method in methods.items()
        ]


# ---- tables --------------------------------------------------------------------------------------


def as_markdown(store: Store) -> str:
    """A table for each set of trimaps, and curves."""
    parts = ["# Retention", store.about, LEGEND]
    found = means(store)
    for trimap, by_share in found.items():
        rows = [
            (
                share,
                f"{one['kept']:.1%}",
                *(f"{one[name]:.2f}" for name in ("sad", "mse", "seconds")),
                show_bytes(int(one["peak"])),
            )
            for share, one in by_share.items()
        ]
        count = len({one.case["picture"] for one in store.records if one.case["trimap"] == trimap})
        title = f"## Trimap: {trimap}, {count} photograph(s)"
        parts.append(f"{title}\n\n{markdown_table(HEADERS, rows)}")
    parts += [
        f"- {' '.join(one.case.values())}: {one.failed or one.skipped}"
        for one in store.records
        if not one.runs
    ]
    if importlib.util.find_spec("matplotlib") is None:
        logger.info("no figure: pip install 'mematte-plugin[bench]' for matplotlib")
    elif any(by_share.keys() - {AUTO} for by_share in found.values()):
        path = store.path.with_suffix(".png")
        write_figure(path, found)
        parts.append(f"![Curves; stars: the router's own choice]({path.name})")
    return "\n\n".join(parts) + "\n"


def means(store: Store) -> dict[str, dict[str, dict[str, float]]]:
    """Means over the photographs by trimap and share: kept, sad, mse, seconds, peak."""
    groups: dict[str, dict[str, list[Record]]] = {}
    for one in store.records:
        if one.runs:
            shares = groups.setdefault(one.case["trimap"], {})
            shares.setdefault(one.case["share"], []).append(one)
    names = ("kept", "sad", "mse", "seconds", "peak")
    return {
        trimap: {
            share: {name: mean(one.get(name) for one in some) for name in names}
            for share, some in shares.items()
        }
        for trimap, shares in groups.items()
    }


def write_figure(path: Path, found: dict[str, dict[str, dict[str, float]]]) -> None:
    """A PNG file of curves: error, seconds and peak against the share of tokens kept."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.5), dpi=100, layout="constrained")
    panels = (("mse", "MSE × 10⁻³", 1), ("seconds", "seconds", 1), ("peak", "peak, MB", 1e6))
    for axes, (name, title, unit) in zip(figure.subplots(1, 3), panels, strict=True):
        for trimap, by_share in found.items():
            line = sorted(
                (one["kept"], one[name] / unit) for share, one in by_share.items() if share != AUTO
            )
            if not line:
                continue
            (curve,) = axes.plot(*zip(*line, strict=True), "-o", label=trimap)
            if AUTO in by_share:
                own = by_share[AUTO]
                axes.plot(
                    own["kept"], own[name] / unit, "*", markersize=14, color=curve.get_color()
                )
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.set_xlabel("share of tokens kept")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    write_image(path, np.asarray(canvas.buffer_rgba())[..., :3], bits=8, overwrite=True)


if __name__ == "__main__":
    main(retention)
