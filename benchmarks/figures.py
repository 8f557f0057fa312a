"""Curves in a PNG file next to the results."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mematte_plugin.images.encode import write_image

from .runner import logger


@dataclass
class Panel:
    """One diagram."""

    title: str
    """What is measured, with its unit."""
    axis: str
    """What it is measured against."""
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Points (x, y) by label."""
    stars: dict[str, tuple[float, float]] = field(default_factory=dict)
    """One more point of a curve, by the curve's label."""


def write_figure(path: Path, panels: Sequence[Panel], title: str) -> str:
    """Write the panels side by side. Returns the Markdown that shows them: "" without matplotlib
    or anything to draw."""
    if importlib.util.find_spec("matplotlib") is None:
        logger.info("no figure: pip install 'mematte-plugin[bench]' for matplotlib")
        return ""
    if not any(points for panel in panels for points in panel.curves.values()):
        return ""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(panels), 5), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=10)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    write_image(path, np.asarray(canvas.buffer_rgba())[..., :3], bits=8, overwrite=True)
    return f"![{title}]({path.name})"


def _draw(axes: Any, panel: Panel) -> None:
    for label, points in panel.curves.items():
        if not points:
            continue
        (line,) = axes.plot(*zip(*sorted(points), strict=True), "-o", label=label)
        if label in panel.stars:
            axes.plot(*panel.stars[label], "*", markersize=14, color=line.get_color())
    axes.set_ylim(bottom=0)
    axes.set_xlabel(panel.axis)
    axes.set_title(panel.title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
