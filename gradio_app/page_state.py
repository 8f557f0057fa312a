"""The page's controls and the state of a session, as the event handlers need them.

A session keeps paths and small values only, never arrays; the server sweeps the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from .layout import LeftSide, RightSide
from .settings import Settings

HEADING = (
    "<h1>Cut out hair, fur and soft edges</h1><p>Choose a photo and mark roughly where the subject"
    " is; get a cut-out at full resolution, without the old background's colours in its edges.</p>"
)
Changes = dict[Any, Any]
"""What a handler returns: new values or updates by component."""


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

    @property
    def no_result_outputs(self) -> list[Any]:
        """The components that `no_result` changes."""
        return [*self.no_result("")]


def file_in(value: Any) -> Path | None:
    """The uploaded file that a picture's value stands for. Its path has been checked."""
    path = value.get("path") if isinstance(value, dict) else None
    return Path(path) if path else None
