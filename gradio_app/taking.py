"""What happens when somebody gives a photo, or says where its subject is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from mematte_plugin import InputError

from .engine import Guide
from .layout import brush, eraser
from .painting import guide_of, read_layers
from .parts import LIGHT, Changes, Parts
from .previews import Shown, show, show_trimap
from .report import photo_line
from .texts import NO_INFO, NO_PHOTO, READY

STARTING = 1.5
"""Seconds after which a painter has surely started."""

# ---- photo ---------------------------------------------------------------------------------------


def wire_photo(parts: Parts, running: list[Any]) -> None:
    inputs, settings = parts.inputs, parts.settings
    guides = [
        inputs.painter,
        inputs.painter_wait,
        parts.painted,
        inputs.mask,
        inputs.trimap,
        inputs.trimap_preview,
    ]

    def forget(painter: Changes) -> Changes:
        return {
            **parts.waiting(NO_PHOTO),
            parts.shown: None,
            inputs.info: NO_INFO,
            **painter,
            inputs.trimap_preview: gr.update(value=None, visible=False),
        }

    def take(photo: Path | None, before: Shown | None, way: str) -> Iterator[Changes]:
        if photo is None:
            return
        let_painter_start(before)
        yield forget(no_painting(parts))  # also where the new one turns out to be none
        try:
            shown = show(photo, settings)
        except Exception:
            yield {inputs.photo: None}
            raise
        for note in shown.notes:
            gr.Info(note)
        # Masks of another photo do not fit; those that were there before the first one do.
        old = {} if before is None else {inputs.mask: None, inputs.trimap: None}
        yield {**photo_changes(parts, shown, way), **old}

    inputs.photo.upload(
        take,
        [inputs.photo, parts.shown, inputs.way],
        [*parts.waiting_outputs, parts.shown, inputs.photo, inputs.info, *guides],
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
        parts.shown,
        [*parts.waiting_outputs, parts.shown, inputs.info, *guides],
        cancels=running,
        show_progress="hidden",
        **LIGHT,
    )


def photo_changes(parts: Parts, shown: Shown, way: str) -> Changes:
    # The photo's own component shows the proxy: browsers show no TIFF and no EXR.
    return {
        **parts.waiting(READY),
        parts.shown: shown,
        parts.inputs.photo: str(shown.proxy),
        parts.inputs.info: photo_line(shown),
        **(_painting(parts, shown) if way == "paint" else {}),
        parts.inputs.trimap_preview: gr.update(value=None, visible=False),
    }


def _painting(parts: Parts, shown: Shown) -> Changes:
    """A new painter with the photo."""
    height, width = shown.proxy_size
    # Strokes of an example are part of the picture: as a layer, the editor loses or mislays them.
    background = str(shown.canvas or shown.proxy)
    painter = gr.update(
        value={"background": background, "layers": [], "composite": None},
        canvas_size=(width, height),
        brush=brush(shown.proxy_size),
        eraser=eraser(shown.proxy_size),
        visible=True,
    )
    return {
        parts.inputs.painter: painter,
        parts.inputs.painter_wait: gr.update(visible=False),
        parts.painted: shown.proxy,
    }


def no_painting(parts: Parts) -> Changes:
    """No painter: one that is given another photo keeps layers of the first one's size."""
    return {
        parts.inputs.painter: gr.update(value=None, visible=False),
        parts.inputs.painter_wait: gr.update(visible=True),
        parts.painted: None,
    }


def let_painter_start(before: Shown | None) -> None:
    """Wait for the painter of a photo that came just before: taken off the page while it is still
    loading, it would break, and not come back."""
    if before is not None:
        time.sleep(max(0.0, STARTING - (time.monotonic() - before.taken)))


# ---- subject -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What the controls of the subject say."""

    way: str
    """paint, mask or trimap."""
    layers: list[Path]
    """What is painted."""
    mask: Path | None
    """The uploaded mask."""
    trimap: Path | None
    """The uploaded trimap."""
    inside: float
    """The band inwards, in %."""
    outside: float
    """The band outwards, in %."""
    shown: Shown | None
    """The photo."""

    def guide(self) -> Guide:
        """The rough subject. Raises InputError where something is missing or does not fit."""
        if self.shown is None:
            raise InputError("photo: there is none yet; choose one first")
        if self.way == "paint":
            old = [self.shown.strokes] if self.shown.strokes else []
            labels = read_layers([*old, *self.layers], self.shown.proxy_size)
            return guide_of(labels, self.inside, self.outside)
        kind: Literal["mask", "trimap"] = "mask" if self.way == "mask" else "trimap"
        file = self.mask if kind == "mask" else self.trimap
        if file is None:
            raise InputError(f"{kind}: there is none yet; upload one")
        return Guide(kind, file, self.inside, self.outside)


def guide_inputs(parts: Parts) -> list[Any]:
    inputs = parts.inputs
    return [
        inputs.way,
        inputs.painter,
        inputs.mask,
        inputs.trimap,
        inputs.inside,
        inputs.outside,
        parts.shown,
    ]


def wire_subject(parts: Parts) -> None:
    inputs, settings = parts.inputs, parts.settings

    def change_way(way: str, shown: Shown | None, painted: Path | None) -> Changes:
        changes: Changes = {inputs.trimap_preview: gr.update(value=None, visible=False)}
        if way == "paint" and shown is not None and painted != shown.proxy:
            changes |= _painting(parts, shown)
        return changes

    def preview(*given: Any) -> Any:
        said = Said(*given)
        guide = said.guide()
        assert said.shown is not None  # or there would be no guide
        return gr.update(value=str(show_trimap(said.shown, guide, settings)), visible=True)

    def preview_again(*given: Any) -> Any:
        """As `preview`, but of what there is, without complaint."""
        said = Said(*given)
        ready = {"mask": said.mask, "trimap": said.trimap}.get(said.way) is not None
        return preview(*given) if ready and said.shown is not None else gr.skip()

    inputs.way.input(
        change_way,
        [inputs.way, parts.shown, parts.painted],
        [inputs.trimap_preview, inputs.painter, inputs.painter_wait, parts.painted],
        show_progress="hidden",
        **LIGHT,
    )
    outputs = inputs.trimap_preview
    inputs.trimap_show.click(
        preview, guide_inputs(parts), outputs, show_progress="minimal", **LIGHT
    )
    gr.on(
        [
            inputs.mask.upload,
            inputs.trimap.upload,
            inputs.inside.release,
            inputs.outside.release,
        ],
        preview_again,
        guide_inputs(parts),
        outputs,
        show_progress="hidden",
        trigger_mode="always_last",
        **LIGHT,
    )
