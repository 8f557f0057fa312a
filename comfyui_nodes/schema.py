"""Inputs and outputs that several nodes share."""

from __future__ import annotations

import inspect
from typing import Any

from comfy_api.latest import io

from .core import core

CATEGORY = "mask/matting"

ModelType = io.Custom("MEMATTE_MODEL")

EDGE_NUMBERS = (
    ("levels_black", 0.0, 0.0, 0.99, 0.01, "Opacity up to this becomes 0: removes haze."),
    ("levels_white", 1.0, 0.01, 1.0, 0.01, "Opacity from this up becomes 1."),
    ("choke", 0.0, -100.0, 100.0, 0.25, "Pixels that the edge moves inward; negative, outward."),
    ("feather", 0.0, 0.0, 250.0, 0.25, "Gaussian blur of the edge, in pixels."),
)
"""Of `edges`: name, default, lowest, highest, step, tooltip."""


def schema(**options: Any) -> io.Schema:
    """A node's declaration, without options that this version of ComfyUI does not know."""
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
        "0.05 to 1: at most this share of them in each block. Lower is seldom better.",
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
        tooltip="0 = what ComfyUI has free. Otherwise, gigabytes that a picture may take besides "
        "the loaded model. Less memory takes more time; the report tells you if quality was "
        "reduced.",
    )


def soft_masks() -> io.Boolean.Input:
    """What soft masks are used for. Keep it last: graphs store values by position."""
    return io.Boolean.Input(
        "soft",
        default=True,
        optional=True,
        tooltip="With a soft mask, or one smaller than the picture, the unknown band becomes as "
        "wide as the mask is unsure, and specks go. Off: one width everywhere. Hard masks are not "
        "affected.",
    )


def edges() -> list[Any]:
    """How the finished edge is shaped. Keep their order: graphs store values by position."""
    return [
        *(
            _advanced(
                io.Float, name, default=default, min=low, max=high, step=step, tooltip=tooltip
            )
            for name, default, low, high, step, tooltip in EDGE_NUMBERS
        ),
        despill(),
        _advanced(
            io.Combo,
            "colors",
            options=["foreground", "photo"],
            default="foreground",
            tooltip="foreground: the subject's own colours. photo: the picture's pixels unchanged, "
            "including the old background's tint.",
        ),
        _advanced(
            io.Boolean,
            "crop",
            default=False,
            tooltip="Keep only the box around the subject; for a batch, one box around all of "
            "them. The report says where it is.",
        ),
        _advanced(
            io.Int,
            "crop_margin",
            default=0,
            min=0,
            max=8192,
            tooltip="Pixels to keep around the subject when cropping.",
        ),
    ]


def despill() -> Any:
    """The screen whose light is removed from the colours."""
    return _advanced(
        io.Combo,
        "despill",
        options=["off", "auto", "green", "blue", "red"],
        default="off",
        tooltip="Removes a screen's light from the edge colours. auto finds a green, blue or red "
        "screen behind the subject.",
    )


def linear_light() -> Any:
    """How a background is blended."""
    return _advanced(
        io.Boolean,
        "linear_light",
        default=False,
        tooltip="Blends light, as lenses and renderers do, instead of colour values, as image "
        "editors do: soft edges between bright and dark become brighter.",
    )


def edge_of(
    *,
    levels_black: float = 0.0,
    levels_white: float = 1.0,
    crop: bool = False,
    crop_margin: int = 0,
    **others: Any,
) -> core.Edge:
    """The inputs of `edges` as the core takes them.

    Raises core.SettingError if they contradict each other.
    """
    levels = (levels_black, levels_white)
    return core.Edge(
        levels=None if levels == (0, 1) else levels,
        crop=crop,
        margin=crop_margin if crop else 0,
        **others,
    )


def output(kind: Any, name: str, tooltip: str = "") -> Any:
    """An output that shows its name; ComfyUI 0.3 would show its type."""
    return kind.Output(name, display_name=name, tooltip=tooltip or None)


def results() -> list[Any]:
    """The outputs of the nodes that compute a matte."""
    return [
        output(io.Mask, "alpha", "Opacity of the subject, 0 to 1, at the picture's size."),
        *colours(),
        output(
            io.String,
            "report",
            "How it was computed: memory planned and measured, and notes.",
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


def _advanced(kind: Any, name: str, **options: Any) -> Any:
    """An optional input that newer versions of ComfyUI show on request."""
    if "advanced" in inspect.signature(kind.Input).parameters:
        options["advanced"] = True
    return kind.Input(name, optional=True, **options)
