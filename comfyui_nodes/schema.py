"""What the nodes' declarations have in common."""

from __future__ import annotations

import inspect
from typing import Any

from comfy_api.latest import io

CATEGORY = "mask/matting"

ModelType = io.Custom("MEMATTE_MODEL")


def schema(**options: Any) -> io.Schema:
    """A node's declaration, without what this version of ComfyUI does not know yet."""
    known = inspect.signature(io.Schema).parameters
    options = {"category": CATEGORY, **options}
    return io.Schema(**{name: value for name, value in options.items() if name in known})


def retention() -> io.Float.Input:
    """The share of tokens that may go through attention."""
    return io.Float.Input(
        "retention",
        default=0.0,
        min=0.0,
        max=1.0,
        step=0.05,
        optional=True,
        tooltip="0 = automatic: the network decides which parts of the picture get full attention. "
        "From 0.05 to 1: at most this share of them in each block. Less is seldom better.",
    )


def memory_budget() -> io.Float.Input:
    """The memory that a picture may take."""
    return io.Float.Input(
        "memory_budget_gb",
        default=0.0,
        min=0.0,
        max=1024.0,
        step=0.1,
        optional=True,
        tooltip="0 = what ComfyUI has free. Otherwise the gigabytes that computing a picture may "
        "take beside the loaded model. Less memory takes more time; if ever the matte loses by "
        "it, the report says so.",
    )


def output(kind: Any, name: str, tooltip: str = "") -> Any:
    """An output that is shown by its name; ComfyUI 0.3 would show its type."""
    return kind.Output(name, display_name=name, tooltip=tooltip or None)


def results() -> list[Any]:
    """The outputs of the nodes that compute a matte."""
    return [
        output(io.Mask, "alpha", "Opacity of the subject, 0 to 1, of the picture's size."),
        *colours(),
        output(
            io.String,
            "report",
            "How it was computed: memory planned and measured, and everything to know.",
        ),
    ]


def colours() -> list[Any]:
    """The outputs of the nodes that estimate colours."""
    return [
        output(
            io.Image,
            "foreground",
            "The subject's own colours, without the old background's tint in hair and edges. Put "
            "it over a new background with the alpha.",
        ),
        output(io.Image, "cutout", "Foreground and alpha in one picture with transparency (RGBA)."),
    ]
