"""The endpoints for programs: the same work as the page's, named and described for strangers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import gradio as gr

from mematte_plugin import Plan, SettingError, collect_notes, from_mask, plan_memory, write_image

from .arguments import may_be_missing
from .edges import COLORS, edge_of
from .engine import Guide, Result, Task, carry_out
from .files import job_folder
from .models import chosen, offered
from .settings import Settings

LONGEST_SIDE = 1_000_000
"""Pixels; plans for larger pictures mean nothing."""
HEARTBEAT = 1.0
"""Seconds between two yields of a running job: Gradio ends a job that nobody waits for any more at
its next yield."""


def add_endpoints(settings: Settings) -> None:
    """Add /matte, /trimap and /plan to the Blocks around this.

    They are events of components that no page shows. `gr.api` would do without those, but takes
    files without checking them.
    """

    def matte(  # noqa: PLR0917  # each is a component
        image: str | None,
        trimap: str | None,
        model: str | None = None,
        retention: float = 0,
        memory_budget_gb: float = 0,
        levels_black: float = 0,
        levels_white: float = 1,
        choke: float = 0,
        feather: float = 0,
        despill: str = "off",
        colors: str = "foreground",
        crop: bool = False,
        margin: float = 0,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # how Gradio is told to give one
    ) -> Iterator[Any]:
        """Cut the subject out of a photograph, with a soft edge in hair, fur and everything else.

        Only what the trimap leaves grey is computed, at the photograph's full resolution; jobs
        wait in one queue.

        Parameters:
            image: the photograph: PNG, JPEG, TIFF, WebP, EXR and others, 8 or 16 bits or float.
            trimap: a picture of the same size or shape: white is surely subject, black surely background, any grey is to be found out. Make one from a mask with /trimap.
            model: which network; their licences are on the page.
            retention: share of the tokens that every block may keep, above 0 to 1, less being faster and softer; 0 is automatic.
            memory_budget_gb: gigabytes that the computation may take; 0 is what is free.
            levels_black: opacity up to here becomes 0, which takes haze out of what should be empty.
            levels_white: opacity from here on becomes 1.
            choke: pixels by which the edge moves inward, also fractions; a negative number moves it outward.
            feather: pixels of a Gaussian blur of the edge.
            despill: takes a screen's light out of the edge's colours: off, auto, or the screen's colour, as green or #00b140.
            colors: foreground for the subject's own, photo for the photograph's pixels as they are.
            crop: only the box around the subject; files and report tell where in the photograph it lay.
            margin: whole pixels that a crop leaves around it.
        Returns:
            the cut-out: an RGBA PNG in the photograph's depth, with the subject's own colours
            the alpha: a grey PNG of 16 bits
            the report: sizes, predicted and measured memory, seconds, notes
        """  # noqa: E501  # Gradio reads one line for each
        photo, guide = _path(image, "image"), Guide("trimap", _path(trimap, "trimap"))
        task = Task(
            photo=photo,
            guide=guide,
            folder=job_folder(),
            model=model,
            retention=_number(retention, "retention"),
            memory_budget_gb=_number(memory_budget_gb, "memory_budget_gb"),
            edge=edge_of(
                _number(levels_black, "levels_black"),
                1.0 if levels_white is None else _number(levels_white, "levels_white"),
                _number(choke, "choke"),
                _number(feather, "feather"),
                despill,
                crop,
                _number(margin, "margin"),
                colors=colors,
            ),
        )
        heard = -math.inf
        for step in carry_out(task, settings):
            if isinstance(step, Result):
                yield str(step.cutout), str(step.alpha), step.report
                return
            progress((step.done, step.total or None), desc=step.stage)
            if monotonic() - heard >= HEARTBEAT:
                heard = monotonic()
                yield gr.skip(), gr.skip(), gr.skip()

    def trimap(mask: str | None, inside: float = 2, outside: float = 4) -> str:
        """Make a trimap from a rough mask: a band along its edge becomes unknown, grey.

        Parameters:
            mask: a picture with the subject white on black, or a transparent one, which counts by its alpha; at half and above is the subject.
            inside: how far the band reaches into the subject, in % of the subject's size.
            outside: how far it reaches out of it, in % too.
        Returns:
            the trimap: a grey PNG of 0, 128 and 255
        """  # noqa: E501
        source = _path(mask, "mask")
        with collect_notes() as notes:
            made = from_mask(
                source.read_bytes(),
                inside=_number(inside, "inside"),
                outside=_number(outside, "outside"),
                max_pixels=settings.max_pixels,
            )
        for note in notes:
            gr.Warning(note)
        target = job_folder() / f"{source.stem or 'mask'}_trimap.png"
        write_image(target, made)
        return str(target)

    def plan(
        width: float, height: float, model: str | None = None, budget_gb: float = 0
    ) -> dict[str, Any]:
        """Predict the memory that a picture takes here, and what is made smaller to fit it in. Nothing is computed.

        Parameters:
            width: the picture's width in pixels.
            height: its height.
            model: which network.
            budget_gb: gigabytes that the computation may take; 0 is what is free here now.
        Returns:
            the plan: "summary" says it in a sentence; sizes are in bytes
        """  # noqa: E501
        size = (_side(height, "height"), _side(width, "width"))
        budget = _number(budget_gb, "budget_gb")
        if not 0 <= budget <= 1e6:
            raise SettingError(f"budget_gb {budget_gb!r}: give gigabytes, or 0 for what is free")
        offer = chosen(model, settings)
        made = plan_memory(
            size, offer.source, f"{budget:.6f}GB" if budget else None, settings.device
        )
        return {"summary": _summary(made), **made.to_dict(), "model": offer.name}

    models = list(offered(settings))
    with gr.Column(visible=False):
        nothing = gr.Button()
        image, rough, mask = (gr.File(label=name) for name in ("image", "trimap", "mask"))
        # A name that is not among the choices is refused by `chosen`, in its own words.
        model = gr.Dropdown(models, value=models[0], label="model", allow_custom_value=True)
        retention, gigabytes, inside, outside, width, height, budget = (
            gr.Number(value, label=name)
            for name, value in (
                ("retention", 0),
                ("memory_budget_gb", 0),
                ("inside", 2),
                ("outside", 4),
                ("width", None),
                ("height", None),
                ("budget_gb", 0),
            )
        )
        black, white, choke, feather, margin = (
            gr.Number(value, label=name)
            for name, value in (
                ("levels_black", 0),
                ("levels_white", 1),
                ("choke", 0),
                ("feather", 0),
                ("margin", 0),
            )
        )
        despill, colors = gr.Textbox("off", label="despill"), gr.Textbox(COLORS, label="colors")
        crop = gr.Checkbox(False, label="crop")
        for component in (black, white, choke, feather, despill, colors, crop, margin):
            may_be_missing(component)
        cutout, alpha, made = (gr.File(label=name) for name in ("cut-out", "alpha", "trimap"))
        report, planned = gr.JSON(label="report"), gr.JSON(label="plan")
    gr.on(
        [nothing.click],
        matte,
        [
            *(image, rough, model, retention, gigabytes),
            *(black, white, choke, feather, despill, colors, crop, margin),
        ],
        [cutout, alpha, report],
        api_name="matte",
        concurrency_id="model",
        concurrency_limit=1,
    )
    for function, inputs, output in (
        (trimap, [mask, inside, outside], made),
        (plan, [width, height, model, budget], planned),
    ):
        gr.on(
            [nothing.click],
            function,
            inputs,
            [output],
            api_name=function.__name__,
            concurrency_id="light",
            concurrency_limit=2,
        )


def _path(given: str | None, name: str) -> Path:
    """Raises gr.Error where a file is missing."""
    if given is None:
        raise gr.Error(f"{name}: is missing; upload a picture and give its path")
    return Path(given)


def _number(given: object, name: str) -> float:
    """Nothing counts as 0. Raises SettingError for what is no finite number."""
    if given is None:
        return 0.0
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise SettingError(f"{name} {_short(given)}: is no number")
    return float(given)


def _side(given: object, name: str) -> int:
    """Raises SettingError for what is no number of pixels."""
    pixels = _number(given, name)
    if given is None or pixels != int(pixels) or not 1 <= pixels <= LONGEST_SIDE:
        raise SettingError(
            f"{name} {_short(given)}: give pixels, a whole number from 1 to {LONGEST_SIDE}"
        )
    return int(pixels)


def _short(given: object) -> str:
    return repr(given) if len(repr(given)) <= 80 else f"{repr(given)[:77]}…"


def _summary(plan: Plan) -> str:
    """A plan in a sentence."""
    rows = dict(plan.rows())
    return (
        f"{rows['picture']}: predicted peak {rows['predicted peak']} of {rows['budget']} on"
        f" {plan.device}; reduced: {rows['reduced']}; lost: {rows['lost']}"
    )
