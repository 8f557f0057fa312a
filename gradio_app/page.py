"""The page as a whole. The controls' ids are in `layout`.

A session keeps what it was given and what came out as paths and small values (`Shown`, `Result`),
never as arrays; the files are swept by the server.
"""

from __future__ import annotations

import gradio as gr

from .cutting import wire_background, wire_edges, wire_jobs
from .layout import lay_out
from .parts import Parts
from .settings import Settings
from .taking import wire_photo, wire_subject


def build_page(settings: Settings) -> None:
    """Lay the page out and wire it, within a gr.Blocks context."""
    inputs, outputs = lay_out(settings)
    parts = Parts(
        inputs=inputs,
        outputs=outputs,
        shown=gr.State(None),
        result=gr.State(None),
        painted=gr.State(None),
        settings=settings,
    )
    running = wire_jobs(parts)
    wire_photo(parts, running)
    wire_subject(parts)
    wire_background(parts)
    wire_edges(parts)
