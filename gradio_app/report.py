"""A job in words: the line below the photo, stages of progress, and the report as a small table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from .engine import Step
from .previews import Shown

STAGES = {
    "reading": "Reading the photo",
    "model": "Loading the model",
    "encoder": "Looking at the picture",
    "decoder": "Computing the matte",
    "foreground": "Cleaning the edge colours",
    "writing": "Writing the files",
}
"""What the page says while a stage runs."""

SPAN = {
    "reading": (0.0, 0.05),
    "model": (0.05, 0.1),
    "encoder": (0.1, 0.4),
    "decoder": (0.4, 0.7),
    "foreground": (0.7, 0.85),
    "writing": (0.85, 1.0),
}
"""From where to where a stage moves the bar. No promise of time: stages differ from photo to photo,
but a bar that starts again with each of them tells less."""


CREEP, SLOW = 0.6, 30.0
"""How much of what a stage has left the bar takes by itself, and in about how many seconds: the
first steps of a large photo are long, and a bar that stands still looks dead."""


def progress_of(step: Step, seconds: float = 0.0) -> tuple[float, str]:
    """How full the bar is, 0 to 1, and what stands above it.

    seconds: since this stage began.
    """
    start, end = SPAN.get(step.stage, (0.0, 1.0))
    part = min(1.0, step.done / step.total) if step.total > 0 else 0.0
    part += (1 - part) * CREEP * (1 - math.exp(-seconds / SLOW))
    return start + (end - start) * part, STAGES.get(step.stage, step.stage.capitalize())


def photo_line(shown: Shown) -> str:
    """The line below the photo: name, size, depth and profile, as HTML."""
    height, width = shown.size
    depth = {8: "8 bit", 16: "16 bit"}.get(shown.bits, "float")
    facts = [
        f"<b>{escape(shown.photo.name)}</b>",
        f"{width} × {height} px ({_megapixels(width, height)})",
        depth,
        "with colour profile" if shown.profile else "no colour profile",
    ]
    return f'<p class="facts">{" · ".join(facts)}</p>'


def report_table(report: Mapping[str, Any]) -> str:
    """The report of a job as an HTML table of two columns."""
    width, height = report["width"], report["height"]
    plan = report.get("plan")
    rows = [
        ("Photo", f"{report['photo']}, {width} × {height} px ({_megapixels(width, height)})"),
        *((("Crop", _crop(crop)),) if (crop := report.get("crop")) else ()),
        ("Model", str(report["model"])),
        ("Unknown area", f"{report['unknown']:.0%} of the photo"),
        ("Tokens kept", _kept(report["kept"])),
        *(_plan_rows(plan) if plan else ()),
        ("Time", f"{report['seconds']:.1f} s"),
        *(("Note", note) for note in report["notes"]),
    ]
    return _table(rows)


# ---- helpers -------------------------------------------------------------------------------------


def _plan_rows(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    lost = "; ".join(plan["lost"])
    steps = "in smaller steps to fit" if plan["steps"] else "in one go"
    how = f"{steps}, {f'with losses: {lost}' if lost else 'nothing lost'}"
    predicted, measured = plan["predicted_peak"], plan["measured_peak"]
    memory = f"{_bytes(predicted)} predicted"
    if measured is not None:
        # A process has one memory: what else the server did meanwhile is in it.
        memory += f", {_bytes(measured)} measured, the whole server"
    return [
        ("Plan", f"{how[0].upper()}{how[1:]} ({plan['dtype']} on {plan['device']})"),
        ("Memory", memory),
    ]


def _crop(crop: Mapping[str, int]) -> str:
    whole = f"{crop['full_width']} × {crop['full_height']}"
    return f"{crop['left']}, {crop['top']} of {whole} px"


def _kept(shares: list[float]) -> str:
    if not shares:
        return "all: this model does not route"
    mean = sum(shares) / len(shares)
    each = ", ".join(f"{share:.0%}" for share in shares)
    return f"{mean:.0%}" + (f" (by block: {each})" if len(shares) > 1 else "")


def _megapixels(width: int, height: int) -> str:
    millions = width * height / 1e6
    return f"{millions:.0f} MP" if millions >= 10 else f"{max(millions, 0.01):.2g} MP"


def _bytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'
        for name, text in rows
    )
    return f'<table class="report"><tbody>{cells}</tbody></table>'
