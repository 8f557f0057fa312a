"""From results to the tables of papers: means over pictures, each with the same weight."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np

from .. import __version__
from .metrics import Errors, mean_errors
from .runner import Failure, Kept, Result

HEADERS = ("method", "pictures", "SAD", "MSE", "MAD", "Grad", "Conn", "kept", "s")
"""Columns of the tables; see `cells`."""

UNITS = (
    "Errors over the unknown region (Rhemann et al. 2009), mean over the pictures, lower is better:"
    " SAD, Grad and Conn in thousands, MSE × 10⁻³, MAD the mean absolute difference. kept: share of"
    " the tokens kept; s: seconds per picture."
)


@dataclass(frozen=True)
class Summary:
    """One row: a method on one set of trimaps."""

    trimap: str
    """Which trimaps."""
    method: str
    """The method's name."""
    pictures: int
    """Number of pictures in the means."""
    errors: Errors
    """Mean errors."""
    seconds: float
    """Mean time of an estimate."""
    routing: tuple[Kept, ...]
    """Mean shares per routed block; empty for methods that do not route."""

    @property
    def kept(self) -> float | None:
        """Mean share of the tokens that were kept, over blocks and pictures."""
        return float(np.mean([one.overall for one in self.routing])) if self.routing else None


@dataclass(frozen=True)
class Report:
    """All of an evaluation."""

    folder: str
    """The data set's."""
    layout: str
    """A name in `layouts.LAYOUTS`."""
    summaries: tuple[Summary, ...]
    """Rows, set of trimaps by set of trimaps."""
    results: tuple[Result, ...]
    """The results behind the means."""
    problems: tuple[str, ...]
    """Faults of the data set and failures, one line each."""


def make_report(
    folder: str,
    layout: str,
    outcomes: Iterable[Result | Failure],
    problems: Sequence[str] = (),
) -> Report:
    """Put a run's outcomes together.

    problems: what is wrong with the data set itself.
    """
    outcomes = list(outcomes)
    results = tuple(one for one in outcomes if isinstance(one, Result))
    failures = (f"{one.what}: {one.reason}" for one in outcomes if isinstance(one, Failure))
    trimaps = list(dict.fromkeys(one.trimap for one in results))
    groups: dict[tuple[str, str], list[Result]] = {}
    for one in sorted(results, key=lambda one: trimaps.index(one.trimap)):
        groups.setdefault((one.trimap, one.method), []).append(one)
    summaries = tuple(
        Summary(
            trimap=trimap,
            method=method,
            pictures=len(group),
            errors=mean_errors([one.errors for one in group]),
            seconds=float(np.mean([one.seconds for one in group])),
            routing=_mean_routing(group),
        )
        for (trimap, method), group in groups.items()
    )
    return Report(folder, layout, summaries, results, tuple(dict.fromkeys([*problems, *failures])))


def _mean_routing(group: Sequence[Result]) -> tuple[Kept, ...]:
    return tuple(
        Kept(
            shares[0].block,
            float(np.mean([one.overall for one in shares])),
            float(np.mean([one.inside for one in shares])),
            _mean([one.outside for one in shares]),
        )
        for shares in zip(*(one.routing for one in group), strict=True)
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


# ---- for programs --------------------------------------------------------------------------------


def as_dict(report: Report) -> dict[str, Any]:
    """JSON-ready: `scores` and `routing` by trimap and method, every result, problems."""
    scores: dict[str, dict[str, dict[str, float]]] = {}
    routing: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in report.summaries:
        figures = {"pictures": row.pictures, **asdict(row.errors), "seconds": row.seconds}
        if row.kept is not None:
            figures["kept"] = row.kept
            blocks = [asdict(one) for one in row.routing]
            routing.setdefault(row.trimap, {})[row.method] = blocks
        scores.setdefault(row.trimap, {})[row.method] = figures
    return {
        "mematte-plugin": __version__,
        "folder": report.folder,
        "layout": report.layout,
        "scores": scores,
        "routing": routing,
        "results": [asdict(one) for one in report.results],
        "problems": list(report.problems),
    }


def as_json(report: Report) -> str:
    """`as_dict` as text."""
    return json.dumps(as_dict(report), indent=1) + "\n"


# ---- for people ----------------------------------------------------------------------------------


def cells(row: Summary) -> tuple[str, ...]:
    """A row under `HEADERS`."""
    e = row.errors
    measured = (f"{e.sad:.2f}", f"{e.mse:.2f}", f"{e.mad:.4f}", f"{e.grad:.2f}", f"{e.conn:.2f}")
    return (row.method, str(row.pictures), *measured, _share(row.kept), f"{row.seconds:.2f}")


def as_markdown(report: Report) -> str:
    """The tables as Markdown."""
    trimaps = list(dict.fromkeys(row.trimap for row in report.summaries))
    parts = [f"# Evaluation\n\n`{report.folder}` ({report.layout}), mematte-plugin {__version__}."]
    parts.append(UNITS)
    for trimap in trimaps:
        rows = [cells(row) for row in report.summaries if row.trimap == trimap]
        parts.append(f"## Trimap: {trimap}\n\n" + markdown_table(HEADERS, rows))
    if len(trimaps) > 1:
        parts.append(_by_trimap(report, trimaps))
    routed = [row for row in report.summaries if row.routing]
    if routed:
        parts.append(_routing(routed))
    if report.problems:
        parts.append("## Problems\n\n" + "\n".join(f"- {one}" for one in report.problems))
    return "\n\n".join(parts) + "\n"


def _by_trimap(report: Report, trimaps: Sequence[str]) -> str:
    found = {(row.method, row.trimap): row.errors for row in report.summaries}
    sad, mse = [], []
    for method in dict.fromkeys(row.method for row in report.summaries):
        errors = [found.get((method, trimap)) for trimap in trimaps]
        first, last = errors[0], errors[-1]
        growth = last.sad / first.sad if first and last and first.sad > 0 else None
        sads = [None if one is None else one.sad for one in errors]
        sad.append((method, *map(_number, [*sads, growth])))
        mse.append((method, *(_number(None if one is None else one.mse) for one in errors)))
    note = (
        "SAD is the whole error and can be compared across trimaps; MSE is a mean over a region"
        " that grows with them."
    )
    head = ("SAD", *trimaps, f"{trimaps[-1]} ÷ {trimaps[0]}")
    tables = [markdown_table(head, sad), markdown_table(("MSE", *trimaps), mse)]
    return "\n\n".join(["## From trimap to trimap", note, *tables])


def _routing(rows: Sequence[Summary]) -> str:
    lines = [
        (row.method, row.trimap, str(one.block), *map(_share, astuple(one)[1:]))
        for row in rows
        for one in row.routing
    ]
    head = ("method", "trimap", "block", "kept", "of unknown tokens", "of others")
    note = "Share of the tokens kept; a token is unknown if any pixel of it is."
    return f"## Routing\n\n{note}\n\n" + markdown_table(head, lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells may hold anything but line breaks."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
