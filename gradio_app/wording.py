"""The page's words: short pieces of HTML, the stages of progress, and the report as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from mematte_plugin import overall_progress, show_bytes

from .finding import Asked, Found
from .job import Step
from .painting import BRUSHES
from .pictures import PagePhoto

STAGES = {
    "reading": "Reading the photo",
    "subject": "Finding the subject",
    "model": "Loading the model",
    "encoder": "Looking at the picture",
    "decoder": "Computing the matte",
    "foreground": "Cleaning the edge colours",
    "writing": "Writing the files",
}
"""What the page says during a stage."""
CREEP, SLOW = 0.6, 30.0
"""The part of a stage's rest that the bar advances by itself, and in about how many seconds: single
steps of a large photo are long, and a bar that stands still looks dead."""


def _message(title: str, text: str) -> str:
    """HTML that takes the place of a result."""
    return f'<div class="empty"><b>{title}</b><p>{text}</p></div>'


NO_PHOTO = _message(
    "Your cut-out will appear here",
    "Choose a photo, find or mark the subject and press Cut. Or start one of the examples.",
)
READY = _message("Ready when you are", "Find or mark the subject, then press Cut.")
WORKING = _message("Working", "The first cut of a large photo takes a while.")
CANCELLED = _message("Cancelled", "Nothing was kept. Press Cut to start again.")
FAILED = _message("That did not work", "Change the input as the message says and press Cut again.")
NO_PAINTER = '<div class="empty"><p>Choose a photo first, then paint on it here.</p></div>'
NO_INFO = (
    '<p class="facts">JPEG, PNG, TIFF, WebP or EXR, 8 to 32 bit. Depth, colour profile and size'
    " are kept.</p>"
)


def hint(text: str) -> str:
    """A line of small print, as HTML."""
    return f'<p class="hint">{escape(text)}</p>'


def legend() -> str:
    """The brushes and how to use them, as HTML."""
    items = "".join(
        f'<li><i class="b{brush.stroke:d}"></i>{escape(brush.title)}</li>' for brush in BRUSHES
    )
    return f'<ul class="legend">{items}</ul>' + hint(
        "Cover the subject, and a band along its edge is computed. Or mark some subject and some"
        " background: all the rest is computed."
    )


def progress_of(step: Step, seconds: float = 0.0) -> tuple[float, str]:
    """How full the bar is, 0 to 1, and the text above it.

    seconds: since this stage began.
    """
    part = min(1.0, step.done / step.total) if step.total > 0 else 0.0
    part += (1 - part) * CREEP * (1 - math.exp(-seconds / SLOW))
    text = STAGES.get(step.stage, step.stage.capitalize())
    return overall_progress(round(part * 10_000), 10_000, step.stage), text


def photo_line(shown: PagePhoto) -> str:
    """The line below the photo: name, size, depth and profile, as HTML."""
    height, width = shown.size
    facts = [
        f"<b>{escape(shown.photo.name)}</b>",
        f"{width} × {height} px ({_megapixels(width, height)})",
        {8: "8 bit", 16: "16 bit"}.get(shown.bits, "float"),
        "with colour profile" if shown.profile else "no colour profile",
    ]
    return f'<p class="facts">{" · ".join(facts)}</p>'


FIND_FIRST = "Press the button, or click on the subject in the photo."
LOOKING = "Looking for the subject …"
UNSURE = 0.5
"""Confidence below which the page says that the mask should be looked at."""


def found_line(asked: Asked, found: Found) -> str:
    """How a mask was found, how sure that is, and by which network, as HTML."""
    clicks = len(asked.clicks)
    times = f"{clicks} click{'s' if clicks > 1 else ''}"
    how = {
        "clicks": f"From your {times}",
        "itself": "Found by itself",
        "word": f"Found “{found.prompt or asked.word}”",
    }[asked.start]
    if clicks and asked.start != "clicks":
        how += f", corrected by {times}"
    facts = [
        f"<b>{escape(how)}</b>",
        f"{found.confidence:.0%} sure",
        f"{found.facts['share']:.0%} of the photo",
        escape(found.model + (f" ({found.licence})" if found.licence else "")),
    ]
    line = " · ".join(fact for fact in facts if fact)
    if found.confidence < UNSURE:
        line += ". Look at the mask: it may be wrong."
    link = '<a class="to-result" href="#right">See the cut-out</a>'  # on narrow pages
    return f'<p class="facts" role="status">{line} {link}</p>'


def said(text: str) -> str:
    """A sentence about finding, as HTML."""
    return f'<p class="facts" role="status">{escape(text)}</p>'


def report_table(report: Mapping[str, Any]) -> str:
    """The report of a job as an HTML table of two columns."""
    width, height, crop = report["width"], report["height"], report["crop"]
    rows = [("Photo", f"{report['photo']}, {width} × {height} px ({_megapixels(width, height)})")]
    if crop:
        whole = f"{crop['full_width']} × {crop['full_height']}"
        rows.append(("Crop", f"{crop['left']}, {crop['top']} of {whole} px"))
    rows += [
        *_subject_row(report.get("subject")),
        ("Model", str(report["model"])),
        ("Unknown area", f"{report['unknown']:.0%} of the photo"),
        ("Tokens kept", _kept(report["kept"])),
        *_plan_rows(report["plan"]),
        ("Time", f"{report['seconds']:.1f} s"),
        *(("Note", note) for note in report["notes"]),
    ]
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'
        for name, text in rows
    )
    return f'<table class="report"><tbody>{cells}</tbody></table>'


def _subject_row(facts: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if facts is None:
        return []
    how = {
        "segmentation": "by itself",
        "points": "from clicks",
        "box": "in a box",
        "text": f"“{facts['prompt']}”",
    }[facts["source"]]
    return [("Subject", f"found {how}, {facts['confidence']:.0%} sure ({facts['model']})")]


def _plan_rows(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    lost = "; ".join(plan["lost"])
    steps = "In smaller steps to fit" if plan["steps"] else "In one go"
    memory = f"{show_bytes(plan['predicted_peak'])} predicted"
    if plan["measured_peak"] is not None:
        # A process has one memory, and the server did other things meanwhile.
        memory += f", {show_bytes(plan['measured_peak'])} measured, the whole server"
    loss = f"with losses: {lost}" if lost else "nothing lost"
    return [("Plan", f"{steps}, {loss} ({plan['dtype']} on {plan['device']})"), ("Memory", memory)]


def _kept(shares: list[float]) -> str:
    if not shares:
        return "all: this model does not route"
    each = ", ".join(f"{share:.0%}" for share in shares)
    mean = f"{sum(shares) / len(shares):.0%}"
    return f"{mean} (by block: {each})" if len(shares) > 1 else mean


def _megapixels(width: int, height: int) -> str:
    millions = width * height / 1e6
    return f"{millions:.0f} MP" if millions >= 10 else f"{max(millions, 0.01):.2g} MP"
