"""What keeping fewer tokens costs and saves: error, time and memory against retention.

    python -m benchmarks.retention PHOTOS

PHOTOS is a data set with true alphas, as `mematte eval` takes it. Every share is measured in a
process of its own; the shares take turns. The same command goes on where it was stopped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import typer

from mematte_plugin.evaluation.cases import cases_of, read
from mematte_plugin.evaluation.layouts import Case, scan
from mematte_plugin.evaluation.metrics import errors
from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.memory.units import show_bytes

from .command import Again, Device, Minutes, Out, Threads, limits_of, main, write_report
from .figures import Panel, write_figure
from .methods import Method, measure, share_of
from .results import Store, file_of, machine
from .runner import Task, run

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
    """The tasks case by case; its files are there until the next group is asked for.

    methods: by share.
    """
    for case in cases:
        inputs = read(case)
        arrays = {
            "image": inputs.photo.pixels,
            "trimap": np.where(inputs.trimap == 0.5, 128, inputs.trimap * 255).astype(np.uint8),
            "truth": inputs.truth,
        }
        with tempfile.TemporaryDirectory() as folder:
            files = {name: f"{folder}/{name}.npy" for name in arrays}
            for name, array in arrays.items():
                np.save(files[name], array)
            yield [
                Task(
                    {"picture": case.name, "trimap": case.trimap_name, "share": share},
                    "benchmarks.retention:scored",
                    {"method": method, "device": device, **files},
                    f"{case.name} {case.trimap_name} {share}",
                )
                for share, method in methods.items()
            ]


def scored(truth: str, trimap: str, **arguments: Any) -> dict[str, Any]:
    """`methods.measure`, and the errors of the alpha; called in a worker."""
    with tempfile.TemporaryDirectory() as folder:
        save = f"{folder}/alpha.npy"
        values = measure(trimap=trimap, save=save, **arguments)
        three = np.load(trimap)
        found = errors(np.load(save), np.load(truth), np.where(three == 128, 0.5, three / 255))
    return {**values, "sad": found.sad, "mse": found.mse}


# ---- tables --------------------------------------------------------------------------------------


def as_markdown(store: Store) -> str:
    """A table for each set of trimaps, and curves."""
    parts = ["# Retention", store.about, LEGEND]
    panels = [Panel(title, "tokens kept, %") for title in ("MSE × 10⁻³", "seconds", "peak, MB")]
    done = [one for one in store.records if one.runs]
    for trimap in dict.fromkeys(one.case["trimap"] for one in done):
        some = [one for one in done if one.case["trimap"] == trimap]
        count = len({one.case["picture"] for one in some})
        rows = []
        for panel in panels:
            panel.curves[trimap] = []
        for share in dict.fromkeys(one.case["share"] for one in some):
            few = [one for one in some if one.case["share"] == share]
            kept, sad, mse, seconds, peak = (
                mean(one.get(name) for one in few)
                for name in ("kept", "sad", "mse", "seconds", "peak")
            )
            errors_, cost = (f"{sad:.2f}", f"{mse:.2f}"), (f"{seconds:.3g}", show_bytes(int(peak)))
            rows.append([share, f"{kept:.1%}", *errors_, *cost])
            for panel, value in zip(panels, (mse, seconds, peak / 1e6), strict=True):
                if share == AUTO:
                    panel.stars[trimap] = (100 * kept, value)
                else:
                    panel.curves[trimap].append((100 * kept, value))
        table = markdown_table(HEADERS, rows)
        parts.append(f"## Trimap: {trimap}, {count} photograph(s)\n\n{table}")
    parts += [
        f"- {' '.join(one.case.values())}: {one.failed or one.skipped}"
        for one in store.records
        if not one.runs
    ]
    title = "Retention; stars: the router's own choice"
    parts.append(write_figure(store.path.with_suffix(".png"), panels, title))
    return "\n\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    main(retention)
