"""What happens when the user gives a photo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from .layout import brush, eraser
from .page_state import LIGHT, Changes, Page, file_in
from .pictures import PagePhoto, show_photo
from .wording import NO_INFO, NO_PHOTO, READY, photo_line

STARTING = 1.5
"""Seconds after which a painter has surely started."""


class PhotoEvents:
    """Uploading and clearing the photo.

    running: the events of jobs, which either ends.
    """

    def __init__(self, page: Page, running: list[Any]) -> None:
        self.page = page
        left = page.left
        guides = [left.painter, left.painter_wait, page.painted, left.mask, left.trimap]
        changed = [*page.no_result_outputs, page.photo, left.info, *guides, left.trimap_preview]
        changed += page.finding_outputs
        left.photo.upload(
            self.take,
            [left.photo, page.photo, left.way],
            [*changed, left.photo],
            cancels=running,
            show_progress="minimal",
            show_progress_on=[left.photo],
            **LIGHT,
        )
        left.photo.clear(
            self.clear, page.photo, changed, cancels=running, show_progress="hidden", **LIGHT
        )

    def take(self, value: Any, before: PagePhoto | None, way: str) -> Iterator[Changes]:
        """Show an uploaded photo in the place of the one before."""
        photo, left = file_in(value), self.page.left
        if photo is None:
            return
        let_painter_start(before)
        yield {**self._no_photo(), **no_painting(self.page)}  # also if the new one is refused
        try:
            shown = show_photo(photo, self.page.settings)
        except Exception:
            yield {left.photo: None}
            raise
        for note in shown.notes:
            gr.Info(note)
        # Guides for another photo do not fit; those uploaded before the first one may.
        old = {} if before is None else {left.mask: None, left.trimap: None}
        yield {**photo_changes(self.page, shown, way), **old}

    def clear(self, before: PagePhoto | None) -> Any:
        """Take the photo away. Also called without one, when the user chooses how to give it."""
        wait = {self.page.left.painter_wait: gr.update(visible=True)}
        return gr.skip() if before is None else {**self._no_photo(), **wait}

    def _no_photo(self) -> Changes:
        return {
            **self.page.no_result(NO_PHOTO),
            self.page.photo: None,
            self.page.left.info: NO_INFO,
            **self.page.nothing_found(None),
            self.page.left.trimap_preview: gr.update(value=None, visible=False),
        }


def photo_changes(page: Page, shown: PagePhoto, way: str) -> Changes:
    """Show a photo; way: how its subject is marked."""
    # The photo's own component shows the proxy: browsers cannot show TIFF and EXR.
    return {
        **page.no_result(READY),
        page.photo: shown,
        page.left.photo: str(shown.proxy),
        page.left.info: photo_line(shown),
        **page.nothing_found(shown),
        **(new_painting(page, shown) if way == "paint" else {}),
        page.left.trimap_preview: gr.update(value=None, visible=False),
    }


def new_painting(page: Page, shown: PagePhoto) -> Changes:
    """Show a new painter with the photo."""
    height, width = shown.proxy_size
    # An example's strokes are part of the picture: as a layer, the editor loses or shifts them.
    background = str(shown.canvas or shown.proxy)
    painter = gr.update(
        value={"background": background, "layers": [], "composite": None},
        canvas_size=(width, height),
        brush=brush(shown.proxy_size),
        eraser=eraser(shown.proxy_size),
        visible=True,
    )
    return {
        page.left.painter: painter,
        page.left.painter_wait: gr.update(visible=False),
        page.painted: shown.proxy,
    }


def no_painting(page: Page) -> Changes:
    """Take the painter away: with another photo, it would keep layers of the first one's size."""
    return {
        page.left.painter: gr.update(value=None, visible=False),
        page.left.painter_wait: gr.update(visible=True),
        page.painted: None,
    }


def let_painter_start(before: PagePhoto | None) -> None:
    """Wait for the painter of a photo that came just before: taken off the page while it loads, it
    would break and not come back."""
    if before is not None:
        time.sleep(max(0.0, STARTING - (time.monotonic() - before.taken)))
