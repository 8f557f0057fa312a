"""The page's controls and the state of a session, as the event handlers need them.

A session keeps paths and small values only, never arrays; the server sweeps the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from .click_photo import clickable
from .finding import Asked, Found, missing
from .layout import LeftSide, RightSide
from .pictures import PagePhoto
from .settings import Settings
from .wording import FIND_FIRST, found_line, said

HEADING = (
    "<h1>Cut out hair, fur and soft edges</h1><p>Choose a photo and have its subject found, or mark"
    " it roughly; get a cut-out at full resolution, without the old background's colours in its"
    " edges.</p>"
)
Changes = dict[Any, Any]
"""What a handler returns: new values or updates by component."""


Known = dict[Asked, Found]
"""The masks of a photo, by what was asked; the one shown last at the end."""


def _queue(name: str, limit: int) -> dict[str, Any]:
    # Without preprocessing, handlers get uploads as files: Gradio's decoding would lose 16 bits,
    # profile and EXIF, and refuse EXR.
    return {
        "concurrency_id": name,
        "concurrency_limit": limit,
        "api_visibility": "private",
        "preprocess": False,
    }


LIGHT, HEAVY, SHAPING = _queue("light", 2), _queue("model", 1), _queue("edges", 1)
NOTING = _queue("clicks", 1)
"""One after the other: each adds to what the one before noted."""


class Page:
    """Everything on a page."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.photo = gr.State(None)
        """Per session: a `PagePhoto`, or None."""
        self.result = gr.State(None)
        """Per session: the latest `Result`, or None."""
        self.painted = gr.State(None)
        """Per session: the path of the picture in the painter, or None."""
        self.asked = gr.State(None)
        """Per session: what is `Asked` of the photo's subject, or None."""
        self.known = gr.State({})
        """Per session: what was `Found` for each `Asked` of this photo."""
        self.noted = gr.State("")
        """Per session: changes whenever something is asked that a job has to find."""
        gr.HTML(HEADING, elem_id="head", padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=340):
                self.left = LeftSide(settings)
            with gr.Column(scale=7, min_width=340, elem_id="right"):
                self.right = RightSide()

    def no_result(self, stage: str, *, running: bool = False) -> Changes:
        """Take the result away; `stage` is the HTML in its place."""
        return {
            self.result: None,
            self.right.stage: gr.update(value=stage, visible=True),
            self.right.results: gr.update(visible=False),
            self.left.cancel: gr.update(interactive=running),
        }

    def finding(
        self, photo: PagePhoto | None, asked: Asked | None, known: Known, line: str = ""
    ) -> Changes:
        """Show what was asked and found of a photo's subject.

        line: HTML in place of the sentence about the mask.
        """
        found = latest(asked, known)
        if not line:
            reason = missing(self.settings) or FIND_FIRST
            line = said(reason) if asked is None or found is None else found_line(asked, found)
        clicks = asked.clicks if asked else ()
        return {
            self.left.canvas: clickable(photo, found, clicks),
            self.left.found: line,
            self.left.undo: gr.update(interactive=bool(clicks)),
        }

    def nothing_found(self, photo: PagePhoto | None) -> Changes:
        """Begin with a photo of which nothing was asked yet."""
        return {**self.finding(photo, None, {}), self.asked: None, self.known: {}}

    @property
    def finding_outputs(self) -> list[Any]:
        """The components that `nothing_found` changes."""
        return [*self.nothing_found(None)]

    @property
    def no_result_outputs(self) -> list[Any]:
        """The components that `no_result` changes."""
        return [*self.no_result("")]


def latest(asked: Asked | None, known: Known) -> Found | None:
    """The mask of the last step that has one."""
    steps = asked.steps() if asked else ()
    return next((known[step] for step in reversed(steps) if step in known), None)


def answered(asked: Asked | None, known: Known) -> Asked | None:
    """What was asked up to the last step that has a mask; if none has, what was shown before."""
    steps = asked.steps() if asked else ()
    return next((step for step in [*reversed(steps), *reversed(known)] if step in known), None)


def file_in(value: Any) -> Path | None:
    """The uploaded file that a picture's value stands for. Its path has been checked."""
    path = value.get("path") if isinstance(value, dict) else None
    return Path(path) if path else None
