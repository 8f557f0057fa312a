"""The page's controls and what a session remembers, as the handlers need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from .layout import Inputs, Outputs
from .settings import Settings

Changes = dict[Any, Any]
"""What a handler gives: new values or updates by component."""

LIGHT: dict[str, Any] = {
    "concurrency_id": "light",
    "concurrency_limit": 2,
    "api_visibility": "private",
}
HEAVY: dict[str, Any] = {
    "concurrency_id": "model",
    "concurrency_limit": 1,
    "api_visibility": "private",
}
SHAPING: dict[str, Any] = {
    "concurrency_id": "edges",
    "concurrency_limit": 1,
    "api_visibility": "private",
}


@dataclass(frozen=True)
class Parts:
    """Everything on a page."""

    inputs: Inputs
    """The left side."""
    outputs: Outputs
    """The right side."""
    shown: gr.State
    """Per session: the photo, a `Shown`."""
    result: gr.State
    """Per session: the latest `Result`."""
    painted: gr.State
    """Per session: the path of the picture that the painter has."""
    settings: Settings
    """How the demo is run."""

    def waiting(self, stage: str, *, running: bool = False) -> Changes:
        """No result: the stage says why."""
        return {
            self.result: None,
            self.outputs.stage: gr.update(value=stage, visible=True),
            self.outputs.results: gr.update(visible=False),
            self.inputs.cancel: gr.update(interactive=running),
        }

    @property
    def waiting_outputs(self) -> list[Any]:
        """What `waiting` changes."""
        return [self.result, self.outputs.stage, self.outputs.results, self.inputs.cancel]
