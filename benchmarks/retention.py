"""What keeping fewer tokens costs and saves: error, time and memory against retention.

    python -m benchmarks.retention PHOTOS

PHOTOS is a data set with true alphas, as `mematte eval` takes it. Every share is measured in a
process of its own; the shares take turns. The same command goes on where it was stopped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
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
from .results import Record, Store, file_of, machine
from .runner import Task, run

SHARES = "1,0.75,0.5,0.35,0.25,0.15,0.1,0.05,0"
AUTO = "auto"
HEADERS = ("share", "tokens kept", "SAD", "MSE", "seconds", "peak")
LEGEND = (
    "Means over the photographs. SAD in thousands and MSE × 10⁻³ over the unknown region. Peak: the"
    " process's highest memory above its loaded, idle state (on a GPU: tensors above the model)."
)


def retention(
    folder: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A data set with alphas.")],
    *,
    model: Annotated[str, typer.Option(help="As for `mematte cut`.")] = "mematte-tiny",
    shares: Annotated[
        str, typer.Option(metavar="SHARE,…", help="Kept shares, besides the router's own choice.")
    ] = SHARES,
    capped: Annotated[
        bool,
        typer.Option(
            "--capped",
            help="Let the router keep fewer than the share, as `--retention` does. Without it"
            " exactly the share is kept, the best scores first.",
        ),
    ] = False,
    enlarge: Annotated[
        int, typer.Option(min=1, help="Also measure the first photograph this many times as large.")
    ] = 3,
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
        kind = "model" if capped else "forced"
        methods[f"{share:g}"] = Method(kind, name, dtype, share).name
    here, limits = machine(device), limits_of(threads, minutes)
    path = out or file_of(here, "retention-")
    settings = {"threads": limits.threads, "model": model, "dtype": dtype, "capped": capped}
    store = Store(path, here, settings)
    cases = cases_of(scan(folder), limit=limit)
    large = [(one, enlarge) for one in cases if one.name == cases[0].name and enlarge > 1]
    run(groups([*((one, 1) for one in cases), *large], methods, device), store, limits, again=again)
    write_report(store, as_markdown)


def groups(
    cases: Sequence[tuple[Case, int]], methods: dict[str, str], device: str
) -> Iterator[list[Task]]:
    """The tasks by photograph and scale; files are there until the next group is asked for."""
    for case, scale in cases:
        with tempfile.TemporaryDirectory() as folder:
            files = _save(case, scale, folder)
            yield [
                Task(
                    {
                        "picture": case.name,
                        "trimap": case.trimap_name,
                        "scale": scale,
                        "share": share,
                    },
                    "benchmarks.retention:scored",
                    {"method": method, "device": device, **files},
                    f"{case.name} {case.trimap_name} {scale} {share}",
                )
                for share, method in methods.items()
            ]


def _save(case: Case, scale: int, folder: str) -> dict[str, str]:
    """The case as .npy files of `scale` times its size, with the true alpha if that is 1."""
    import cv2

    inputs = read(case)
    arrays = {
        "image": inputs.photo.pixels,
        "trimap": np.where(inputs.trimap == 0.5, 128, inputs.trimap * 255).astype(np.uint8),
    }
    if scale == 1:
        arrays["truth"] = inputs.truth
    else:
        height, width = inputs.trimap.shape
        ways = {"image": cv2.INTER_CUBIC, "trimap": cv2.INTER_NEAREST}
        for name, way in ways.items():
            size = (scale * width, scale * height)
            arrays[name] = np.asarray(cv2.resize(arrays[name], size, interpolation=way))
    for name, array in arrays.items():
        np.save(f"{folder}/{name}.npy", array)
    return {name: f"{folder}/{name}.npy" for name in arrays}


def scored(truth: str | None = None, **arguments: Any) -> dict[str, Any]:
    """`methods.measure`, and the errors of the alpha; called in a worker."""
    with tempfile.TemporaryDirectory() as folder:
        save = f"{folder}/alpha.npy"
        values = measure(save=save, **arguments)
        if truth is None:
            return values
        three = np.load(arguments["trimap"])
        found = errors(np.load(save), np.load(truth), np.where(three == 128, 0.5, three / 255))
    return {**values, "sad": found.sad, "mse": found.mse}


# ---- tables --------------------------------------------------------------------------------------


def as_markdown(store: Store) -> str:
    """A table for each set of trimaps and each scale, and curves."""
    parts = ["# Retention", store.about, LEGEND]
    done = [one for one in store.records if one.runs]
    for trimap, scale in dict.fromkeys((one.case["trimap"], one.case["scale"]) for one in done):
        some = [one for one in done if (one.case["trimap"], one.case["scale"]) == (trimap, scale)]
        count = len({one.case["picture"] for one in some})
        title = f"## Trimap: {trimap}, {count} photograph(s)"
        title += "" if scale == 1 else f", enlarged ×{scale}"
        rows = [
            _cells(share, [one for one in some if one.case["share"] == share])
            for share in dict.fromkeys(one.case["share"] for one in some)
        ]
        parts.append(f"{title}\n\n{markdown_table(HEADERS, rows)}")
    parts += [
        f"- {' '.join(map(str, one.case.values()))}: {one.failed or one.skipped}"
        for one in store.records
        if not one.runs
    ]
    parts.append(_figure(store, done))
    return "\n\n".join(parts).rstrip() + "\n"


def _cells(share: str, records: Sequence[Record]) -> list[str]:
    values = {name: _mean(records, name) for name in ("kept", "sad", "mse", "seconds", "peak")}
    forms = {"kept": "{:.1%}", "sad": "{:.2f}", "mse": "{:.2f}", "seconds": "{:.3g}"}
    row = [
        "" if values[name] is None else form.format(values[name]) for name, form in forms.items()
    ]
    return [share, *row, show_bytes(round(values["peak"] or 0))]


def _mean(records: Sequence[Record], name: str) -> float | None:
    values = [value for one in records if (value := one.get(name)) is not None]
    return mean(values) if values else None


def _figure(store: Store, records: Sequence[Record]) -> str:
    axis = "tokens kept, %"
    panels = [Panel(title, axis) for title in ("MSE × 10⁻³", "seconds", "peak, MB")]
    for trimap, scale in dict.fromkeys((one.case["trimap"], one.case["scale"]) for one in records):
        some = [
            one for one in records if (one.case["trimap"], one.case["scale"]) == (trimap, scale)
        ]
        label = f"{trimap}" if scale == 1 else f"{trimap}, enlarged ×{scale}"
        _curve(panels[1], label, some, lambda few: _mean(few, "seconds") or 0)
        _curve(panels[2], label, some, lambda few: (_mean(few, "peak") or 0) / 1e6)
        if scale == 1:
            _curve(panels[0], label, some, lambda few: _mean(few, "mse") or 0)
    title = "Retention; stars: the router's own choice"
    return write_figure(store.path.with_suffix(".png"), panels, title)


def _curve(
    panel: Panel, label: str, records: Sequence[Record], of: Callable[[list[Record]], float]
) -> None:
    points = {}
    for share in dict.fromkeys(one.case["share"] for one in records):
        few = [one for one in records if one.case["share"] == share]
        points[share] = (100 * (_mean(few, "kept") or 0), of(few))
    if AUTO in points:
        panel.stars[label] = points.pop(AUTO)
    if points:
        panel.curves[label] = list(points.values())


if __name__ == "__main__":
    main(retention)
