"""The page: what happens when somebody does something on it. The controls' ids are in `layout`.

A session keeps what it was given and what came out as paths and small values (`Shown`, `Result`),
never as arrays; the files are swept by the server.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from mematte_plugin import InputError

from .engine import Guide, Result, Step, Task, carry_out
from .files import job_folder
from .layout import (
    CANCELLED,
    FAILED,
    NO_INFO,
    NO_PHOTO,
    READY,
    WORKING,
    Inputs,
    Outputs,
    brush,
    eraser,
    lay_out,
    model_note,
)
from .models import chosen
from .painting import guide_of, read_layers
from .previews import Shown, behind_of, compare, compare_edges, show, show_trimap
from .report import photo_line, progress_of, report_table
from .samples import Example, examples, guide_for
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
TICK = 0.5
"""Seconds between two signs of life to Gradio, which is when it finds that somebody has left."""

STARTING = 1.5
"""Seconds after which a painter has surely started."""

_TO_RESULTS = """() => {
    const right = document.getElementById("right");
    const top = right?.getBoundingClientRect().top;
    if (top < 0 || top > window.innerHeight / 2)
        right.scrollIntoView({behavior: "smooth", block: "start"});
}"""


def build_page(settings: Settings) -> None:
    """Lay the page out and wire it, within a gr.Blocks context."""
    inputs, outputs = lay_out(settings)
    shown = gr.State(None)  # Shown
    result = gr.State(None)  # Result
    painted = gr.State(None)  # Path, of the proxy that the painter has
    job = _Job(inputs, outputs, shown, result, painted, settings)
    running = _wire_jobs(job)
    _wire_photo(job, running)
    _wire_subject(job)
    _wire_background(job)


class _Job:
    """The page's parts, as the handlers need them."""

    def __init__(
        self,
        inputs: Inputs,
        outputs: Outputs,
        shown: gr.State,
        result: gr.State,
        painted: gr.State,
        settings: Settings,
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.shown, self.result, self.painted = shown, result, painted
        self.settings = settings

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


# ---- photo ---------------------------------------------------------------------------------------


def _wire_photo(job: _Job, running: list[Any]) -> None:
    inputs, settings = job.inputs, job.settings
    guides = [
        inputs.painter,
        inputs.painter_wait,
        job.painted,
        inputs.mask,
        inputs.trimap,
        inputs.trimap_preview,
    ]

    def forget(painter: Changes) -> Changes:
        return {
            **job.waiting(NO_PHOTO),
            job.shown: None,
            inputs.info: NO_INFO,
            **painter,
            inputs.trimap_preview: gr.update(value=None, visible=False),
        }

    def take(photo: Path | None, before: Shown | None, way: str) -> Iterator[Changes]:
        if photo is None:
            return
        _let_painter_start(before)
        yield forget(_no_painting(job))  # also where the new one turns out to be none
        try:
            shown = show(photo, settings)
        except Exception:
            yield {inputs.photo: None}
            raise
        for note in shown.notes:
            gr.Info(note)
        # Masks of another photo do not fit; those that were there before the first one do.
        old = {} if before is None else {inputs.mask: None, inputs.trimap: None}
        yield {**_photo_changes(job, shown, way), **old}

    inputs.photo.upload(
        take,
        [inputs.photo, job.shown, inputs.way],
        [*job.waiting_outputs, job.shown, inputs.photo, inputs.info, *guides],
        cancels=running,
        show_progress="minimal",
        show_progress_on=[inputs.photo],
        **LIGHT,
    )
    inputs.photo.clear(
        # It is also told of before there is any photo, when a way to give one is chosen.
        lambda before: (
            gr.skip() if before is None else forget({inputs.painter_wait: gr.update(visible=True)})
        ),
        job.shown,
        [*job.waiting_outputs, job.shown, inputs.info, *guides],
        cancels=running,
        show_progress="hidden",
        **LIGHT,
    )


def _photo_changes(job: _Job, shown: Shown, way: str) -> Changes:
    # The photo's own component shows the proxy: browsers show no TIFF and no EXR.
    return {
        **job.waiting(READY),
        job.shown: shown,
        job.inputs.photo: str(shown.proxy),
        job.inputs.info: photo_line(shown),
        **(_painting(job, shown) if way == "paint" else {}),
        job.inputs.trimap_preview: gr.update(value=None, visible=False),
    }


def _painting(job: _Job, shown: Shown) -> Changes:
    """A new painter with the photo."""
    height, width = shown.proxy_size
    painter = gr.update(
        value=_painted(shown),
        canvas_size=(width, height),
        brush=brush(shown.proxy_size),
        eraser=eraser(shown.proxy_size),
        visible=True,
    )
    return {
        job.inputs.painter: painter,
        job.inputs.painter_wait: gr.update(visible=False),
        job.painted: shown.proxy,
    }


def _painted(shown: Shown, *layers: Path) -> dict[str, Any]:
    """What the painter shows: the photo, and strokes on it."""
    paths = [str(layer) for layer in layers]
    return {"background": str(shown.proxy), "layers": paths, "composite": None}


def _no_painting(job: _Job) -> Changes:
    """No painter: one that is given another photo keeps layers of the first one's size."""
    return {
        job.inputs.painter: gr.update(value=None, visible=False),
        job.inputs.painter_wait: gr.update(visible=True),
        job.painted: None,
    }


def _let_painter_start(before: Shown | None) -> None:
    """Wait for the painter of a photo that came just before: taken off the page while it is still
    loading, it would break, and not come back."""
    if before is not None:
        time.sleep(max(0.0, STARTING - (time.monotonic() - before.taken)))


# ---- subject -------------------------------------------------------------------------------------


def _guide(
    way: str,
    layers: list[Path],
    mask: Path | None,
    trimap: Path | None,
    inside: float,
    outside: float,
    shown: Shown | None,
) -> Guide:
    """The rough subject, as the page's controls tell it."""
    if shown is None:
        raise InputError("photo: there is none yet; choose one first")
    if way == "paint":
        return guide_of(read_layers(layers, shown.proxy_size), inside, outside)
    file, kind = (mask, "mask") if way == "mask" else (trimap, "trimap")
    if file is None:
        raise InputError(f"{kind}: there is none yet; upload one")
    return Guide("mask" if way == "mask" else "trimap", file, inside, outside)


def _guide_inputs(job: _Job) -> list[Any]:
    inputs = job.inputs
    return [
        inputs.way,
        inputs.painter,
        inputs.mask,
        inputs.trimap,
        inputs.inside,
        inputs.outside,
        job.shown,
    ]


def _wire_subject(job: _Job) -> None:
    inputs, settings = job.inputs, job.settings

    def change_way(way: str, shown: Shown | None, painted: Path | None) -> Changes:
        changes: Changes = {inputs.trimap_preview: gr.update(value=None, visible=False)}
        if way == "paint" and shown is not None and painted != shown.proxy:
            changes |= _painting(job, shown)
        return changes

    def preview(*given: Any) -> Any:
        path = show_trimap(given[-1], _guide(*given), settings)
        return gr.update(value=str(path), visible=True)

    def preview_again(*given: Any) -> Any:
        """As `preview`, but of what there is, without complaint."""
        way, _, mask, trimap, *_, shown = given
        ready = shown is not None and {"mask": mask, "trimap": trimap}.get(way) is not None
        return preview(*given) if ready else gr.skip()

    inputs.way.change(
        change_way,
        [inputs.way, job.shown, job.painted],
        [inputs.trimap_preview, inputs.painter, inputs.painter_wait, job.painted],
        show_progress="hidden",
        **LIGHT,
    )
    outputs = inputs.trimap_preview
    inputs.trimap_show.click(preview, _guide_inputs(job), outputs, show_progress="minimal", **LIGHT)
    gr.on(
        [
            inputs.mask.upload,
            inputs.trimap.upload,
            inputs.inside.release,
            inputs.outside.release,
        ],
        preview_again,
        _guide_inputs(job),
        outputs,
        show_progress="hidden",
        trigger_mode="always_last",
        **LIGHT,
    )


# ---- jobs ----------------------------------------------------------------------------------------


def _wire_jobs(job: _Job) -> list[Any]:
    """Wire what runs the model. Returns those events, for whoever has to end them."""
    inputs, outputs = job.inputs, job.outputs
    options = [inputs.model, inputs.retention, inputs.budget]
    look = [outputs.kind, outputs.colour, outputs.picture, outputs.clean]
    results = _result_outputs(job)
    where = [outputs.stage]

    inputs.cut.click(None, None, None, js=_TO_RESULTS, api_visibility="private")
    events: list[Any] = [
        inputs.cut.click(
            _cutting(job),
            [*_guide_inputs(job), *options, *look],
            results,
            show_progress_on=where,
            **HEAVY,
        )
    ]
    starts = []
    for button, example in zip(inputs.examples, examples(), strict=True):
        button.click(None, None, None, js=_TO_RESULTS, api_visibility="private")
        start = button.click(
            _loading(job, example),
            job.shown,
            [
                *job.waiting_outputs,
                job.shown,
                job.painted,
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
                _cutting_example(job, example),
                [job.shown, inputs.inside, inputs.outside, *options, *look],
                results,
                show_progress_on=where,
                **HEAVY,
            )
        )
    inputs.cancel.click(
        lambda: job.waiting(CANCELLED),
        None,
        job.waiting_outputs,
        cancels=[*starts, *events],
        show_progress="hidden",
        **LIGHT,
    )
    return [*starts, *events]


def _cutting(job: _Job) -> Callable[..., Iterator[Changes]]:
    def cut(
        way: str,
        layers: list[Path],
        mask: Path | None,
        trimap: Path | None,
        inside: float,
        outside: float,
        shown: Shown | None,
        *rest: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # how Gradio is told
    ) -> Iterator[Changes]:
        guide = _guide(way, layers, mask, trimap, inside, outside, shown)
        assert shown is not None  # or there would be no guide
        yield from _carry_out(job, shown, guide, rest, progress)

    return cut


def _cutting_example(job: _Job, example: Example) -> Callable[..., Iterator[Changes]]:
    def cut_example(
        shown: Shown,
        inside: float,
        outside: float,
        *rest: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[Changes]:
        # Straight from the package: a painter that has just been given a picture has nothing yet.
        guide = guide_for(example, inside, outside)
        for changes in _carry_out(job, shown, guide, rest, progress):
            if example.way == "paint" and changes.get(job.result) is not None:
                # Not earlier: an editor that is still loading the photo would mislay them.
                strokes = shown.proxy.parent / example.guide.name
                changes[job.inputs.painter] = _painted(shown, strokes)
            yield changes

    return cut_example


def _loading(job: _Job, example: Example) -> Callable[..., Iterator[Changes]]:
    def load(before: Shown | None) -> Iterator[Changes]:
        yield job.waiting(WORKING)
        _let_painter_start(before)
        yield _no_painting(job)
        shown = show(example.photo, job.settings)
        # A copy: the server gives nothing away that lies outside its own folder.
        guide = str(shutil.copy(example.guide, shown.proxy.parent))
        changes = {
            **_photo_changes(job, shown, example.way),
            job.inputs.way: example.way,
            job.inputs.mask: guide if example.way == "mask" else None,
            job.inputs.trimap: guide if example.way == "trimap" else None,
        }
        yield changes

    return load


def _carry_out(
    job: _Job, shown: Shown, guide: Guide, rest: tuple[Any, ...], progress: gr.Progress
) -> Iterator[Changes]:
    """Do the job and show its result; ends with it when this generator is closed."""
    model, retention, budget, kind, colour, picture, clean = rest
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
    yield job.waiting(WORKING, running=True)
    told = since = time.monotonic()
    stage = ""
    try:
        with closing(carry_out(task, job.settings)) as steps:  # type: ignore[type-var]
            for step in steps:
                if isinstance(step, Step):
                    now = time.monotonic()
                    if step.stage != stage:
                        stage, since = step.stage, now
                    full, what = progress_of(step, now - since)
                    progress(full, desc=what)
                    if now - told >= TICK:
                        told = now
                        yield {job.inputs.cut: gr.skip()}
                else:
                    for note in step.notes:
                        gr.Info(note)
                    yield _result_changes(job, step, (kind, colour, picture), clean)
    except Exception:
        yield job.waiting(FAILED)
        raise


# ---- results -------------------------------------------------------------------------------------


def _result_outputs(job: _Job) -> list[Any]:
    outputs = job.outputs
    return [
        *job.waiting_outputs,
        job.inputs.cut,
        job.inputs.painter,
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


def _result_changes(job: _Job, result: Result, look: tuple[Any, Any, Any], clean: bool) -> Changes:
    view, outputs = result.view, job.outputs
    assert view is not None  # asked for
    behind = behind_of(*look)
    maps = zip(view.routing, view.captions, strict=True)
    return {
        **job.waiting(READY),
        job.result: result,
        outputs.stage: gr.update(visible=False),
        outputs.results: gr.update(visible=True),
        outputs.slider: _pair(compare(view, behind, clean, job.settings)),
        outputs.edges: _pair(compare_edges(view, behind, job.settings)),
        outputs.alpha: str(view.alpha),
        outputs.trimap: str(view.trimap),
        outputs.routing: [(str(path), caption) for path, caption in maps],
        outputs.cutout_file: str(result.cutout),
        outputs.alpha_file: str(result.alpha),
        outputs.tiff_file: str(result.tiff),
        outputs.report: report_table(result.report),
    }


def _pair(paths: tuple[Path, Path]) -> tuple[str, str]:
    return str(paths[0]), str(paths[1])


def _wire_background(job: _Job) -> None:
    outputs, inputs, settings = job.outputs, job.inputs, job.settings

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

    gr.on(
        [
            outputs.kind.input,
            outputs.colour.change,
            outputs.picture.upload,
            outputs.picture.clear,
            outputs.clean.input,
        ],
        again,
        [job.result, outputs.kind, outputs.colour, outputs.picture, outputs.clean],
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
