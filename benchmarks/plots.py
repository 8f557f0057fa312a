"""Time and peak memory against the number of pixels, one line a method."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mematte_plugin.images.encode import write_image

from .cases import SHARES
from .names import parse_method
from .report import ordered
from .store import Measurement, Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger("benchmarks")


def write_plots(store: Store[Measurement], order: Sequence[str]) -> list[Path]:
    """Two PNG files beside the results, of the unknown share that is there first in `SHARES`.

    Without matplotlib, or with nothing to draw, none.
    """
    if importlib.util.find_spec("matplotlib") is None:
        logger.info("no plots: pip install 'mematte-plugin[bench]' for matplotlib")
        return []
    there = [one for one in store.results.values() if one.time is not None]
    if not there:
        return []
    shares = [share for share in SHARES if any(one.unknown == share for one in there)]
    share = shares[0] if shares else there[0].unknown
    drawn = ordered([one for one in there if one.unknown == share], order)
    measures: tuple[tuple[str, str, Callable[[Measurement], float]], ...] = (
        ("time", "seconds", lambda one: one.time or 0),
        ("memory", "peak above idle, MB", lambda one: (one.peak or 0) / 1e6),
    )
    return [
        _plot(store, drawn, name, f"{axis}; {share:.0%} unknown", of) for name, axis, of in measures
    ]


def _plot(
    store: Store[Measurement],
    drawn: Sequence[Measurement],
    name: str,
    axis: str,
    of: Callable[[Measurement], float],
) -> Path:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(8, 5), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    for method in dict.fromkeys(one.method for one in drawn):
        line = [one for one in drawn if one.method == method and of(one) > 0]
        ours = method.startswith(("ours", "model"))
        axes.plot(
            [one.pixels for one in line],
            [of(one) for one in line],
            "-o" if ours else "--s",
            linewidth=2 if ours else 1.2,
            label=parse_method(method).label,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = {one.pixels: f"{one.width}×{one.height}" for one in drawn}
    axes.set_xticks(list(ticks), list(ticks.values()), fontsize=8)
    axes.tick_params(axis="x", which="minor", bottom=False)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("picture, pixels")
    axes.set_ylabel(axis)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    device = store.machine["device"]
    axes.set_title(store.machine["processor"] if device == "cpu" else device, fontsize=10)
    path = store.path.with_name(f"{store.path.stem}-{name}.png")
    save_figure(figure, path)
    return path


def save_figure(figure: Figure, path: Path) -> None:
    """Write a matplotlib figure as a PNG file, all of it or nothing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    write_image(path, np.asarray(canvas.buffer_rgba())[..., :3], bits=8, overwrite=True)
