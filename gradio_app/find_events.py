"""What happens when the user has the subject found, and clicks on the photo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from secrets import token_hex
from typing import Any

import gradio as gr

from mematte_plugin import InputError

from .click_photo import click_at
from .finding import CLICKS, Asked
from .page_state import HEAVY, NOTING, Changes, Known, Page
from .pictures import PagePhoto
from .run_events import RunEvents
from .subject_events import Subject, subject_inputs
from .wording import LOOKING, READY, said


class FindEvents:
    """Each event ends the job before and notes what is asked; that starts the next job."""

    def __init__(self, page: Page, runs: RunEvents) -> None:
        self.page, self.runs = page, runs
        left = page.left
        inputs = subject_inputs(page)
        clicked = [left.click_kind, page.photo, page.asked, page.known]
        starts = (
            ([left.find.click, left.word.submit], self.begin, inputs),
            ([left.canvas.click], self.click, clicked),
            ([left.undo.click], self.undo, clicked[1:]),
        )
        run = page.noted.change(
            self.run,
            runs.inputs,
            runs.outputs,
            show_progress_on=[page.right.stage],
            trigger_mode="multiple",
            **HEAVY,
        )
        for triggers, note, given in starts:
            # As an event of its own, which the page handles before the next one, and with the job
            # in front: what that next one starts must not be ended.
            gr.on(triggers, None, None, None, cancels=[run, *runs.events], api_visibility="private")
            gr.on(
                triggers,
                note,
                given,
                [*page.no_result_outputs, *page.finding_outputs, page.noted],
                show_progress="hidden",
                trigger_mode="multiple",
                **NOTING,
            )
        runs.events.append(run)

    def begin(self, *values: Any) -> Changes:
        """Find the subject anew: by itself, or by the word."""
        subject = Subject(*values)
        return self._note(subject.photo, subject.wanted, subject.known)

    def click(
        self,
        kind: str,
        photo: PagePhoto | None,
        asked: Asked | None,
        known: Known,
        event: gr.EventData,
    ) -> Any:
        """Add what is shown by a click to the subject, or take it away."""
        if photo is None:
            return gr.skip()
        asked = asked or Asked()
        if len(asked.clicks) >= CLICKS:
            raise InputError(
                f"click: {CLICKS} are there already; undo some, or find the subject anew"
            )
        click = click_at(event._data, kind, photo.size)
        if not asked.clicks and asked.start == "clicks" and not click[2]:
            raise InputError("click: nothing can be taken away yet; click on the subject first")
        return self._note(photo, replace(asked, clicks=(*asked.clicks, click)), known)

    def undo(self, photo: PagePhoto | None, asked: Asked | None, known: Known) -> Any:
        """Forget the last click."""
        if asked is None or not asked.clicks:
            return gr.skip()
        left = replace(asked, clicks=asked.clicks[:-1])
        return self._note(photo, left if left.steps() else None, known)

    def _note(self, photo: PagePhoto | None, asked: Asked | None, known: Known) -> Changes:
        page = self.page
        if photo is None:
            raise InputError("photo: there is none yet; choose one first")
        new = asked is not None and asked not in known
        return {
            **page.no_result(READY),
            **page.finding(photo, asked, known, said(LOOKING) if new else ""),
            page.asked: asked,
            page.noted: token_hex(8),
        }

    def run(
        self,
        *values: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # Gradio replaces it
    ) -> Iterator[Changes]:
        """Find what was asked, and cut it out."""
        count = len(subject_inputs(self.page))
        subject = Subject(*values[:count])
        if subject.photo is not None and subject.asked is not None:  # else undone meanwhile
            yield from self.runs.cut("find", *values[1:], progress=progress)
