"""What happens when somebody presses Cut, starts an example or looks at a result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from mematte_plugin import Edge, InputError

from .edges import edge_of, reshape
from .engine import Guide, Result, Step, Task, carry_out
from .files import job_folder
from .models import chosen
from .parts import HEAVY, LIGHT, SHAPING, Changes, Parts
from .previews import Shown, behind_of, compare, compare_edges, show, with_strokes
from .report import progress_of, report_table
from .samples import Example, examples, guide_for
from .taking import (
    Said,
    guide_inputs,
    let_painter_start,
    no_painting,
    photo_changes,
)
from .texts import CANCELLED, FAILED, READY, WORKING, model_note

TICK = 0.5
"""Seconds between two signs of life to Gradio, which is when it finds that somebody has left."""

_TO_RESULTS = """() => {
    const right = document.getElementById("right");
    const top = right?.getBoundingClientRect().top;
    if (top < 0 || top > window.innerHeight / 2)
        right.scrollIntoView({behavior: "smooth", block: "start"});
}"""

# ---- jobs ----------------------------------------------------------------------------------------


def wire_jobs(parts: Parts) -> list[Any]:
    """Wire what runs the model. Returns those events, for whoever has to end them."""
    inputs, outputs = parts.inputs, parts.outputs
    options = [inputs.model, inputs.retention, inputs.budget]
    look = [outputs.kind, outputs.colour, outputs.picture, outputs.clean, *edge_inputs(parts)]
    results = _result_outputs(parts)
    where = [outputs.stage]

    inputs.cut.click(None, None, None, js=_TO_RESULTS, api_visibility="private")
    events: list[Any] = [
        inputs.cut.click(
            _cutting(parts),
            [*guide_inputs(parts), *options, *look],
            results,
            show_progress_on=where,
            **HEAVY,
        )
    ]
    starts = []
    for button, example in zip(inputs.examples, examples(), strict=True):
        button.click(None, None, None, js=_TO_RESULTS, api_visibility="private")
        start = button.click(
            _loading(parts, example),
            parts.shown,
            [
                *parts.waiting_outputs,
                parts.shown,
                parts.painted,
                inputs.photo,
                inputs.info,
                inputs.way,
                inputs.trimap_preview,
                inputs.painter,
                inputs.painter_wait,
                inputs.mask,
                inputs.trimap,
            ],
            cancels=events[:1],
            show_progress="hidden",
            **LIGHT,
        )
        starts.append(start)
        events.append(
            start.success(
                _cutting_example(parts, example),
                [parts.shown, inputs.inside, inputs.outside, *options, *look],
                results,
                show_progress_on=where,
                **HEAVY,
            )
        )
    inputs.cancel.click(
        lambda: parts.waiting(CANCELLED),
        None,
        parts.waiting_outputs,
        cancels=[*starts, *events],
        show_progress="hidden",
        **LIGHT,
    )
    return [*starts, *events]


def _cutting(parts: Parts) -> Callable[..., Iterator[Changes]]:
    def cut(
        *given: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # how Gradio is told
    ) -> Iterator[Changes]:
        count = len(guide_inputs(parts))
        said, rest = Said(*given[:count]), given[count:]
        guide = said.guide()
        assert said.shown is not None  # or there would be no guide
        yield from _carry_out(parts, said.shown, guide, rest, progress)

    return cut


def _cutting_example(parts: Parts, example: Example) -> Callable[..., Iterator[Changes]]:
    def cut_example(
        shown: Shown | None,
        inside: float,
        outside: float,
        *rest: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[Changes]:
        if shown is None:  # taken away again meanwhile
            return
        # Straight from the package: nothing has to come back from the page first.
        guide = guide_for(example, inside, outside)
        yield from _carry_out(parts, shown, guide, rest, progress)

    return cut_example


def _loading(parts: Parts, example: Example) -> Callable[..., Iterator[Changes]]:
    def load(before: Shown | None) -> Iterator[Changes]:
        yield parts.waiting(WORKING)
        let_painter_start(before)
        yield no_painting(parts)
        shown = show(example.photo, parts.settings)
        # A copy: the server gives nothing away that lies outside its own folder.
        guide = str(shutil.copy(example.guide, shown.proxy.parent))
        if example.way == "paint":
            shown = with_strokes(shown, Path(guide))
        changes = {
            **photo_changes(parts, shown, example.way),
            parts.inputs.way: example.way,
            parts.inputs.mask: guide if example.way == "mask" else None,
            parts.inputs.trimap: guide if example.way == "trimap" else None,
        }
        yield changes

    return load


def _carry_out(
    parts: Parts, shown: Shown, guide: Guide, rest: tuple[Any, ...], progress: gr.Progress
) -> Iterator[Changes]:
    """Do the job and show its result; ends with it when this generator is closed."""
    model, retention, budget, kind, colour, picture, clean, *shape = rest
    task = Task(
        photo=shown.photo,
        guide=guide,
        folder=job_folder(),
        model=model,
        retention=retention or 0.0,
        memory_budget_gb=budget or 0.0,
        for_page=True,
    )
    progress(0.0, desc="Starting")
    yield parts.waiting(WORKING, running=True)
    told = since = time.monotonic()
    stage = ""
    try:
        with closing(carry_out(task, parts.settings)) as steps:  # type: ignore[type-var]
            for step in steps:
                if isinstance(step, Step):
                    now = time.monotonic()
                    if step.stage != stage:
                        stage, since = step.stage, now
                    full, what = progress_of(step, now - since)
                    progress(full, desc=what)
                    if now - told >= TICK:
                        told = now
                        yield {parts.inputs.cut: gr.skip()}
                else:
                    # What does not go as asked is said; the matte is there all the same.
                    for note in step.notes:
                        gr.Info(note)
                    made = _reshaped(step, edge_of(*shape, colors=_colors(clean)), parts)
                    yield _result_changes(parts, made, (kind, colour, picture), clean)
    except Exception:
        yield parts.waiting(FAILED)
        raise


# ---- results -------------------------------------------------------------------------------------


def _result_outputs(parts: Parts) -> list[Any]:
    outputs = parts.outputs
    return [
        *parts.waiting_outputs,
        parts.inputs.cut,
        outputs.slider,
        outputs.edges,
        outputs.alpha,
        outputs.trimap,
        outputs.routing,
        outputs.cutout_file,
        outputs.alpha_file,
        outputs.tiff_file,
        outputs.report,
    ]


def _result_changes(
    parts: Parts, result: Result, look: tuple[Any, Any, Any], clean: bool
) -> Changes:
    view, outputs = result.view, parts.outputs
    assert view is not None  # asked for
    behind = behind_of(*look)
    maps = zip(view.routing, view.captions, strict=True)
    return {
        **parts.waiting(READY),
        parts.result: result,
        outputs.stage: gr.update(visible=False),
        outputs.results: gr.update(visible=True),
        outputs.slider: _pair(compare(view, behind, clean, parts.settings)),
        outputs.edges: _pair(compare_edges(view, behind, parts.settings)),
        outputs.alpha: str(view.alpha),
        outputs.trimap: str(view.trimap),
        outputs.routing: [(str(path), caption) for path, caption in maps],
        outputs.cutout_file: str(result.cutout),
        outputs.alpha_file: str(result.alpha),
        outputs.tiff_file: str(result.tiff),
        outputs.report: report_table(result.report),
    }


def edge_inputs(parts: Parts) -> list[Any]:
    """The controls of the edge, in the order of `edges.edge_of`."""
    edge = parts.outputs.edge
    shape = [edge.black, edge.white, edge.choke, edge.feather, edge.despill]
    return [*shape, edge.crop, edge.margin]


def _colors(clean: bool) -> str:
    return "foreground" if clean else "photo"


def _reshaped(result: Result, edge: Edge, parts: Parts) -> Result:
    made = reshape(result, edge, parts.settings)
    if made is not result:
        for note in made.notes:
            gr.Info(note)
    return made


def wire_edges(parts: Parts) -> None:
    """Wire what shapes a result's edge: the network does not run again."""
    outputs = parts.outputs

    def files(made: Result) -> Changes:
        return {
            parts.result: made,
            outputs.cutout_file: str(made.cutout),
            outputs.alpha_file: str(made.alpha),
            outputs.tiff_file: str(made.tiff),
            outputs.report: report_table(made.report),
        }

    def shape(
        result: Result | None, kind: str, colour: str, picture: Path | None, *rest: Any
    ) -> Changes:
        if result is None:
            return {parts.result: result}
        clean, *values = rest
        if edge_of(*values, colors=_colors(clean)) == result.edge:  # the same, said twice
            return {parts.result: result}
        made = _reshaped(result, edge_of(*values, colors=_colors(clean)), parts)
        assert made.view is not None  # the page asks for one
        behind = behind_of(kind, colour, picture)
        return {
            **files(made),
            outputs.slider: _pair(compare(made.view, behind, clean, parts.settings)),
            outputs.edges: _pair(compare_edges(made.view, behind, parts.settings)),
            outputs.alpha: str(made.view.alpha),
            outputs.trimap: str(made.view.trimap),
        }

    def colours(result: Result | None, clean: bool, *values: Any) -> Changes:
        if result is None:
            return {parts.result: result}
        return files(_reshaped(result, edge_of(*values, colors=_colors(clean)), parts))

    edge = outputs.edge
    taken = [
        parts.result,
        outputs.cutout_file,
        outputs.alpha_file,
        outputs.tiff_file,
        outputs.report,
    ]
    sliders = (edge.black, edge.white, edge.choke, edge.feather)
    gr.on(
        [
            *(slider.release for slider in sliders),
            *(slider.input for slider in sliders),
            edge.despill.input,
            edge.crop.input,
            edge.margin.submit,
            edge.margin.blur,
        ],
        shape,
        [
            parts.result,
            outputs.kind,
            outputs.colour,
            outputs.picture,
            outputs.clean,
            *edge_inputs(parts),
        ],
        [*taken, outputs.slider, outputs.edges, outputs.alpha, outputs.trimap],
        show_progress_on=[outputs.slider],
        trigger_mode="always_last",
        **SHAPING,
    )
    # What is seen of the colours changes at once, in `wire_background`.
    outputs.clean.input(
        colours,
        [parts.result, outputs.clean, *edge_inputs(parts)],
        taken,
        show_progress="hidden",
        trigger_mode="always_last",
        **SHAPING,
    )


def _pair(paths: tuple[Path, Path]) -> tuple[str, str]:
    return str(paths[0]), str(paths[1])


def wire_background(parts: Parts) -> None:
    """Wire what stands behind the cut-out, and the choice of the model."""
    outputs, inputs, settings = parts.outputs, parts.inputs, parts.settings

    def take(picture: Path) -> Iterator[Any]:
        try:
            # A small JPEG is enough for what is shown, and browsers show no TIFF and no EXR.
            yield str(show(picture, settings).proxy)
        except Exception:
            yield None
            raise

    def again(
        result: Result | None, kind: str, colour: str, picture: Path | None, clean: bool
    ) -> Changes:
        changes: Changes = {
            outputs.colour: gr.update(visible=kind == "colour"),
            outputs.picture: gr.update(visible=kind == "picture"),
        }
        if result is None or result.view is None:
            return changes
        if not result.view.photo.exists():
            raise InputError("result: was kept for a while and is gone; press Cut again")
        behind = behind_of(kind, colour, picture)
        changes[outputs.slider] = _pair(compare(result.view, behind, clean, settings))
        changes[outputs.edges] = _pair(compare_edges(result.view, behind, settings))
        return changes

    outputs.picture.upload(take, outputs.picture, outputs.picture, show_progress="minimal", **LIGHT)
    gr.on(
        [
            outputs.kind.input,
            outputs.colour.change,
            outputs.picture.change,
            outputs.clean.input,
        ],
        again,
        [parts.result, outputs.kind, outputs.colour, outputs.picture, outputs.clean],
        [outputs.colour, outputs.picture, outputs.slider, outputs.edges],
        show_progress="hidden",
        trigger_mode="always_last",
        **LIGHT,
    )
    inputs.model.change(
        lambda name: model_note(chosen(name, settings).note),
        inputs.model,
        inputs.model_note,
        show_progress="hidden",
        **LIGHT,
    )
