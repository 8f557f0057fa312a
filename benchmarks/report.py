"""From results to tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .names import parse_method
from .store import Measurement, Store

HEADERS = ("size", "method", "seconds", "× ours", "peak above idle", "× ours", "tokens kept")

LEGEND = (
    "seconds: median of the runs, pictures already in memory, result on the host. Peak: the highest"
    " memory of the process above what it holds loaded and idle (on a GPU: tensors above the"
    " model). × ours: how many times as much as the method in bold, so that more than 1 is worse."
    " Random weights of equal size, synthetic pictures."
)


def as_markdown(
    store: Store[Measurement], order: Sequence[str], figures: Sequence[Path] = ()
) -> str:
    """The tables, one for each unknown share.

    order: names of the methods; the first of ours is what all are compared with.
    """
    runs = max((len(one.seconds) for one in store.results.values()), default=0)
    about = [f"{name}: {value}" for name, value in {**store.machine, **store.settings}.items()]
    parts = ["# Speed and memory", "; ".join([*about, f"runs: {runs}"]) + ".", LEGEND]
    shares = sorted({one.unknown for one in store.results.values()})
    for share in shares:
        rows = [one for one in store.results.values() if one.unknown == share]
        parts.append(f"## {share:.0%} of the pixels unknown\n\n{_table(rows, order)}")
    parts += [f"![{path.stem}]({path.name})" for path in figures]
    return "\n\n".join(parts) + "\n"


def reference_of(order: Sequence[str]) -> str:
    """The method that others are compared with."""
    return next((name for name in order if name.startswith("ours:")), order[0] if order else "")


def ordered(found: Sequence[Measurement], order: Sequence[str]) -> list[Measurement]:
    """By size, then as the methods were given; those that were not come last."""
    places = {name: place for place, name in enumerate(order)}
    return sorted(found, key=lambda one: (one.pixels, places.get(one.method, len(places))))


def _table(found: Sequence[Measurement], order: Sequence[str]) -> str:
    reference = reference_of(order)
    best = {(one.width, one.height): one for one in found if one.method == reference}
    lines = [row(HEADERS), row(["---"] * 2 + ["---:"] * (len(HEADERS) - 2))]
    for one in ordered(found, order):
        lines.append(row(_cells(one, best.get((one.width, one.height)))))
    return "\n".join(lines)


def _cells(one: Measurement, ours: Measurement | None) -> list[str]:
    label = parse_method(one.method).label
    size = f"{one.width}×{one.height}"
    if one.time is None or one.peak is None:
        return [size, label, one.failed or f"skipped: {one.skipped}", "", "", "", ""]
    return [
        size,
        f"**{label}**" if ours is not None and one.method == ours.method else label,
        seconds(one.time),
        _ratio(one.time, ours.time if ours else None),
        megabytes(one.peak),
        _ratio(one.peak, ours.peak if ours else None),
        "" if one.kept is None else f"{one.kept:.0%}",
    ]


def row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _ratio(value: float, ours: float | None) -> str:
    return f"{value / ours:.2f}" if ours else ""


def seconds(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def megabytes(value: int) -> str:
    """From bytes."""
    return f"{value / 1e6:.0f} MB" if value < 1e9 else f"{value / 1e9:.2f} GB"
