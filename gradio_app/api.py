"""The endpoints for programs: /matte, /subject, /trimap and /plan."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio import FileData

from mematte_plugin import (
    BAND_INSIDE,
    BAND_OUTSIDE,
    Plan,
    SettingError,
    collect_notes,
    from_mask,
    plan_memory,
    write_image,
)

from .arguments import uploaded_file
from .edges import edge_from
from .files import job_folder
from .finding import LONGEST_WORD, Found, Query, Search, missing
from .inputs import Guide
from .job import Result, Step, Task, budget_of, carry_out
from .models import chosen, offered, short
from .settings import Settings

POINTS = 100
"""How many points may say where a subject is."""
LONGEST_SIDE = 1_000_000
"""Pixels; plans for larger pictures mean nothing."""


def add_endpoints(blocks: gr.Blocks, settings: Settings) -> None:
    """Add the endpoints to these Blocks, within their context.

    Gradio takes names, types, defaults and descriptions from the functions.
    """
    made = _Endpoints(settings)
    json = dict[str, Any]
    names = tuple(offered(settings))
    endpoints: tuple[tuple[Any, str, int, dict[str, Any]], ...] = (
        (made.matte, "model", 1, {"cut-out": FileData, "alpha": FileData, "report": json}),
        (made.subject, "model", 1, {"mask": FileData, "facts": json}),
        (made.trimap, "light", 2, {"trimap": FileData}),
        (made.plan, "light", 2, {"plan": json}),
    )
    for function, queue, limit, returns in endpoints:
        # Gradio wants a type, not its name, and not that of a generator.
        types = function.__func__.__annotations__
        types["return"] = tuple[tuple(returns.values())]  # type: ignore[misc]
        if "model" in types:
            types["model"] = Literal[names] | None  # so that callers see which there are
        event = gr.api(function, concurrency_id=queue, concurrency_limit=limit)  # type: ignore[attr-defined]
        fn = blocks.fns[event["id"]]
        labels = [*inspect.signature(function).parameters, *returns]
        for block, label in zip([*fn.inputs, *fn.outputs], labels, strict=True):
            block.label = label  # type: ignore[union-attr]  # else "1st", "2nd", …


class _Endpoints:
    """The functions that the endpoints call. A value may be of any type that JSON has."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def matte(  # noqa: PLR0917  # each is a parameter of the endpoint
        self,
        image: FileData,
        trimap: FileData = None,  # type: ignore[assignment]  # Gradio finds files by this type
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
        alpha: FileData = None,  # type: ignore[assignment]
        points: list[list[float]] | None = None,
        box: list[float] | None = None,
        text: str | None = None,
    ) -> Iterator[Any]:
        """Cut the subject out of a photograph, with a soft edge in hair, fur and everything else.

        Say where the subject is in one way: a trimap, a soft mask (alpha), points or a box, or
        words. With none of them it is found. Only what is unknown is computed, at the photograph's
        full resolution. Jobs wait in one queue.

        Parameters:
            image: the photograph: PNG, JPEG, TIFF, WebP, EXR and others, 8 or 16 bits or float.
            trimap: a picture of the same size or shape: white is certain subject, black certain background, grey is computed. Make one from a mask with /trimap.
            model: name of the network; an unknown one is answered with the list. The page shows the licences.
            retention: share of the tokens that each block may keep, above 0 to 1; fewer are faster and softer. 0 is automatic.
            memory_budget_gb: gigabytes that the computation may use; 0 uses what is free.
            levels_black: opacity up to this becomes 0, which removes haze from empty areas.
            levels_white: opacity from this on becomes 1.
            choke: pixels by which the edge moves inward, fractions included; negative numbers move it outward.
            feather: pixels of a Gaussian blur of the edge.
            despill: removes a screen's light from the edge's colours: off, auto, or the screen's colour, such as green or #00b140.
            colors: foreground for the subject's own colours, photo for the photograph's pixels unchanged.
            crop: keep only the box around the subject; files and report say where in the photograph it was.
            margin: whole pixels that a crop leaves around the subject.
            alpha: a soft mask or an alpha of any resolution and the same shape, such as another model's answer: it is finished at full size.
            points: as /subject takes them.
            box: as /subject takes it.
            text: as /subject takes it.
        Returns:
            the cut-out: an RGBA PNG in the photograph's depth, with the subject's own colours
            the alpha: a grey PNG of 16 bits
            the report: sizes, predicted and measured memory, seconds, notes
        """  # noqa: E501  # Gradio reads one line for each
        levels = (
            _number(levels_black, "levels_black"),
            1.0 if levels_white is None else _number(levels_white, "levels_white"),
        )
        shape = (_number(choke, "choke"), _number(feather, "feather"), despill)
        task = Task(
            photo=_file(image, "image"),
            guide=self._guide(trimap=trimap, alpha=alpha, points=points, box=box, text=text),
            folder=job_folder(),
            model=model,
            retention=_number(retention, "retention"),
            memory_budget_gb=_number(memory_budget_gb, "memory_budget_gb"),
            edge=edge_from([*levels, *shape, crop, _number(margin, "margin")], colors),
        )
        progress = gr.Progress()
        for step in carry_out(task, self.settings):
            if isinstance(step, Result):
                yield _served(step.cutout), _served(step.alpha), step.report
            elif isinstance(step, Step):
                progress((step.done, step.total or None), desc=step.stage)
                yield None, None, None

    def subject(
        self,
        image: FileData,
        points: list[list[float]] | None = None,
        box: list[float] | None = None,
        text: str | None = None,
    ) -> Iterator[Any]:
        """Find the subject of a photograph: by itself, from points, in a box or by a word.

        The answer is a soft mask, which /matte takes as its alpha. /matte also finds the subject
        itself. Jobs wait in one queue.

        Parameters:
            image: the photograph: PNG, JPEG, TIFF, WebP, EXR and others, 8 or 16 bits or float.
            points: a JSON list of [x, y] or [x, y, label] in pixels of the upright photograph; label 1, the default, is in the subject, 0 is outside.
            box: a JSON list [left, top, right, bottom] in pixels, around the subject.
            text: a word or a few in English, such as dog or the red chair; not with points or a box.
        Returns:
            the mask: a grey PNG of 16 bits in the photograph's size
            the facts: source, confidence from 0 to 1, model, licence, prompt, and share, the part of the picture that it covers
        """  # noqa: E501
        task = Task(
            photo=_file(image, "image"),
            guide=self._guide(points=points, box=box, text=text),
            folder=job_folder(),
            only_subject=True,
        )
        progress = gr.Progress()
        for step in carry_out(task, self.settings):
            if isinstance(step, Found):
                yield _served(step.picture), step.facts
            elif isinstance(step, Step):
                progress((step.done, step.total or None), desc=step.stage)
                yield None, None

    def _guide(self, **values: Any) -> Guide | Search:
        """The one guide that is given; a search without one.

        Raises SettingError for two of them and for what is not searched here.
        """
        files = ("trimap", "alpha")
        given = {
            name: value
            for name, value in values.items()
            if value is not None and (name in files or value not in ("", []))
        }
        names = list(given)
        if len(given) > 1 and set(given) != {"points", "box"}:
            raise SettingError(
                f"both {names[0]} and {names[1]} are given, and each says where the subject is;"
                " leave one of them out"
            )
        if "trimap" in given:
            return Guide("trimap", _file(given["trimap"], "trimap"))
        if "alpha" in given:
            return Guide("alpha", _file(given["alpha"], "alpha"))
        reason = missing(self.settings)
        if reason and not given:
            raise SettingError(f"trimap: is missing; upload a picture and pass its path. {reason}")
        if reason:
            raise SettingError(f"{names[0]}: {reason}")
        points = given.get("points")
        if isinstance(points, list) and len(points) > POINTS:
            raise SettingError(f"points: are {len(points)}; give at most {POINTS}")
        if isinstance(text := given.get("text"), str) and len(text) > LONGEST_WORD:
            raise SettingError(
                f"text: has {len(text)} characters; give a few words, at most {LONGEST_WORD}"
            )
        return Search((Query(**given),))

    def trimap(
        self, mask: FileData, inside: float = BAND_INSIDE, outside: float = BAND_OUTSIDE
    ) -> FileData:
        """Make a trimap from a rough mask: a band along its edge becomes unknown, grey.

        Parameters:
            mask: a picture with the subject white on black, or a transparent one, whose alpha counts; half and above is the subject.
            inside: how far the band reaches into the subject, in % of the subject's size.
            outside: how far it reaches outward, in % too.
        Returns:
            the trimap: a grey PNG of 0, 128 and 255
        """  # noqa: E501
        source = _file(mask, "mask")
        with collect_notes() as notes:
            made = from_mask(
                source.read_bytes(),
                inside=_number(inside, "inside"),
                outside=_number(outside, "outside"),
                max_pixels=self.settings.max_pixels,
            )
        for note in notes:
            gr.Warning(note)
        target = job_folder() / f"{source.stem or 'mask'}_trimap.png"
        write_image(target, made)
        return _served(target)

    def plan(
        self, width: float, height: float, model: str | None = None, budget_gb: float = 0
    ) -> dict[str, Any]:
        """Predict the memory that a picture takes here, and what is reduced to fit. Computes nothing.

        Parameters:
            width: the picture's width in pixels.
            height: its height in pixels.
            model: name of the network.
            budget_gb: gigabytes that the computation may use; 0 uses what is free here now.
        Returns:
            the plan: "summary" is one sentence; sizes are in bytes
        """  # noqa: E501
        size = (_side(height, "height"), _side(width, "width"))
        budget = budget_of(_number(budget_gb, "budget_gb"), "budget_gb")
        offer = chosen(model, self.settings)
        made = plan_memory(size, offer.source, budget, self.settings.device)
        return {"summary": _summary(made), **made.to_dict(), "model": offer.name}


def _file(given: Any, name: str) -> Path:
    """The uploaded file. Raises gr.Error if there is none."""
    if given is None:
        raise gr.Error(f"{name}: is missing; upload a picture and pass its path")
    if isinstance(given, str):
        return uploaded_file(given, name)
    if isinstance(given, dict) and "path" in given:
        return Path(given["path"])  # which the event has checked
    raise gr.Error(
        f'{name}: is not a file; upload it by /gradio_api/upload and pass {{"path": …}} with the'
        " path in the answer"
    )


def _served(path: Path) -> FileData:
    return FileData(path=str(path), orig_name=path.name)


def _number(given: object, name: str) -> float:
    """None counts as 0. Raises SettingError for anything but a finite number."""
    if given is None:
        return 0.0
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise SettingError(f"{name} {short(given)}: is not a number")
    return float(given)


def _side(given: object, name: str) -> int:
    """Raises SettingError for anything but a number of pixels."""
    pixels = _number(given, name)
    if pixels != int(pixels) or not 1 <= pixels <= LONGEST_SIDE:
        raise SettingError(
            f"{name} {short(given)}: give pixels, a whole number from 1 to {LONGEST_SIDE}"
        )
    return int(pixels)


def _summary(plan: Plan) -> str:
    """A plan in a sentence."""
    rows = dict(plan.rows())
    return (
        f"{rows['picture']}: predicted peak {rows['predicted peak']} of {rows['budget']} on"
        f" {plan.device}; reduced: {rows['reduced']}; lost: {rows['lost']}"
    )
