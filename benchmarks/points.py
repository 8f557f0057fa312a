"""The points of the retention curve: kept in a file, put into a table and a figure."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

from .plots import save_figure
from .report import megabytes, row, seconds
from .store import Store

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AUTO = "auto"
HEADERS = ("share", "tokens kept", "SAD", "MSE", "seconds", "peak", "seconds ×{0}", "peak ×{0}")
LEGEND = (
    "Means over the photographs. SAD in thousands and MSE × 10⁻³ over the unknown region; peak: the"
    " process's highest memory above what it holds loaded and idle (on a GPU: tensors above the"
    " model). Columns ×{0}: photographs enlarged so many times per side, for time and memory only."
    " {1}."
)
logger = logging.getLogger("benchmarks")

Key = tuple[str, str, int, str]


@dataclass(frozen=True)
class Point:
    """One share on one photograph with one trimap."""

    picture: str
    """The photograph's name."""
    trimap: str
    """Which trimaps."""
    scale: int
    """How many times per side it was enlarged."""
    share: str
    """The share of kept tokens as text, or `AUTO`: the router as it is."""
    kept: float | None = None
    """Mean share of tokens that was kept."""
    sad: float | None = None
    """Sum of absolute differences over the unknown region, in thousands."""
    mse: float | None = None
    """Mean squared error there, times 1000."""
    seconds: tuple[float, ...] = ()
    """Of each run."""
    peak: int = 0
    """Bytes above idle, the highest of the runs."""
    failed: str = ""
    """Why there is no result."""

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.picture, self.trimap, self.scale, self.share

    @property
    def summary(self) -> str:
        """One line for a log."""
        if self.failed:
            return self.failed
        error = "" if self.mse is None else f"MSE {self.mse:.2f}, "
        return f"{error}{seconds(self.seconds[-1])} s, {megabytes(self.peak)}"


# ---- for people ----------------------------------------------------------------------------------


def as_markdown(store: Store[Point], figure: Path | None) -> str:
    """A table for each set of trimaps."""
    done = [one for one in store.results.values() if not one.failed]
    scales = [one.scale for one in done if one.scale > 1]
    scale = max(scales, default=1)
    way = (
        "Shares are the most that the router may keep"
        if store.settings.get("capped")
        else "Exactly the share is kept, the router's best scores first; auto: what it wants itself"
    )
    about = {**store.machine, **store.settings}
    parts = ["# Retention", "; ".join(f"{key}: {value}" for key, value in about.items()) + "."]
    parts.append(LEGEND.format(scale, way))
    for trimap in dict.fromkeys(one.trimap for one in done):
        here = [one for one in done if one.trimap == trimap]
        count = len({one.picture for one in here if one.scale == 1})
        lines = [row([name.format(scale) for name in HEADERS]), row(["---:"] * len(HEADERS))]
        for share in dict.fromkeys(one.share for one in here):
            small, large = (
                [one for one in here if one.share == share and one.scale == size]
                for size in (1, scale)
            )
            lines.append(row(_cells(share, small, large if scale > 1 else [])))
        parts.append(f"## Trimap: {trimap}, {count} photograph(s)\n\n" + "\n".join(lines))
    failed = [one for one in store.results.values() if one.failed]
    parts += [f"- {one.picture} {one.trimap} {one.share}: {one.failed}" for one in failed]
    if figure is not None:
        parts.append(f"![Error, time and memory against retention]({figure.name})")
    return "\n\n".join(parts) + "\n"


def _cells(share: str, small: Sequence[Point], large: Sequence[Point]) -> list[str]:
    return [
        share,
        _mean(small, lambda one: one.kept, "{:.1%}"),
        _mean(small, lambda one: one.sad, "{:.2f}"),
        _mean(small, lambda one: one.mse, "{:.2f}"),
        *_costs(small),
        *_costs(large),
    ]


def _costs(found: Sequence[Point]) -> list[str]:
    if not found:
        return ["", ""]
    spent = mean(median(one.seconds) for one in found)
    return [seconds(spent), megabytes(round(mean(one.peak for one in found)))]


def _mean(found: Sequence[Point], of: Callable[[Point], float | None], form: str) -> str:
    values = [value for one in found if (value := of(one)) is not None]
    return form.format(mean(values)) if values else ""


# ---- figure --------------------------------------------------------------------------------------


def write_figure(store: Store[Point]) -> Path | None:
    """Three panels, error, seconds and memory against the kept share; None without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        logger.info("no figure: pip install 'mematte-plugin[bench]' for matplotlib")
        return None
    from matplotlib.figure import Figure

    done = [one for one in store.results.values() if not one.failed and one.kept is not None]
    if not done:
        return None
    figure = Figure(figsize=(12, 4), dpi=130, layout="constrained")
    panels = figure.subplots(1, 3)
    trimaps = list(dict.fromkeys(one.trimap for one in done))
    scales = sorted({one.scale for one in done})
    for trimap in trimaps:
        here = [one for one in done if one.trimap == trimap and one.scale == 1]
        _curve(panels[0], here, lambda one: one.mse or 0, f"trimap: {trimap}")
    for scale in scales:
        here = [one for one in done if one.scale == scale]
        name = "photographs" if scale == 1 else f"enlarged ×{scale}"
        _curve(panels[1], here, lambda one: median(one.seconds), name)
        _curve(panels[2], here, lambda one: one.peak / 1e6, name)
    for panel, title in zip(panels, ("MSE × 10⁻³", "seconds", "peak above idle, MB"), strict=True):
        panel.set_xlabel("tokens kept, %")
        panel.set_title(title)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    path = store.path.with_suffix(".png")
    save_figure(figure, path)
    return path


def _curve(panel: Axes, found: Sequence[Point], of: Callable[[Point], float], name: str) -> None:
    """A line through the shares and a star where the router goes by itself."""
    shares = list(dict.fromkeys(one.share for one in found))
    means = {
        share: (
            100 * mean(one.kept or 0 for one in found if one.share == share),
            mean(of(one) for one in found if one.share == share),
        )
        for share in shares
    }
    auto = means.pop(AUTO, None)
    line = sorted(means.values())
    colour = None
    if line:
        colour = panel.plot(*zip(*line, strict=True), "-o", label=name)[0].get_color()
    if auto is not None:
        panel.plot(*auto, "*", markersize=14, color=colour, label=f"{name}, router's own choice")
