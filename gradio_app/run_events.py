"""What happens when the user presses Cut, Cancel or an example."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from mematte_plugin import MEMatteError

from .arguments import UNEXPECTED
from .files import job_folder
from .finding import Asked, Found, Search
from .inputs import Guide
from .job import Result, Task, carry_out
from .page_state import HEAVY, LIGHT, Changes, Known, Page, answered
from .photo_events import let_painter_start, no_painting, photo_changes
from .pictures import PagePhoto, show_photo
from .result_events import ResultEvents
from .samples import PAINTED, Example, examples, guide_for
from .subject_events import Subject, subject_inputs
from .wording import CANCELLED, FAILED, LOOKING, WORKING, progress_of, said

KEPT = 100
"""Masks of a photo that a visitor can come back to."""
TO_RESULTS = """() => {
    const right = document.getElementById("right");
    const top = right?.getBoundingClientRect().top;
    if (top < 0 || top > window.innerHeight / 2)
        right.scrollIntoView({behavior: "smooth", block: "start"});
}"""


class RunEvents:
    """The events that run the model."""

    def __init__(self, page: Page, results: ResultEvents) -> None:
        self.page, self.results = page, results
        left = page.left
        options = [left.model, left.retention, left.budget, *results.look]
        outputs = [left.cut, *results.outputs, *page.finding_outputs]
        self.inputs, self.outputs = [*subject_inputs(page), *options], outputs
        """Of `cut`."""
        queue: dict[str, Any] = {"show_progress_on": [page.right.stage], **HEAVY}

        left.cut.click(None, None, None, js=TO_RESULTS, api_visibility="private")
        cut = left.cut.click(self.cut, self.inputs, outputs, **queue)
        self.events: list[Any] = [cut]
        """All of them, for those who have to cancel them."""
        loaded = [
            *page.no_result_outputs,
            *(page.photo, page.painted, left.photo, left.info, left.way, left.trimap_preview),
            *(left.painter, left.painter_wait, left.mask, left.trimap),
            *page.finding_outputs,
        ]
        for button, example in zip(left.examples, examples(), strict=True):
            button.click(None, None, None, js=TO_RESULTS, api_visibility="private")
            load = button.click(
                partial(self.load_example, example),
                page.photo,
                loaded,
                cancels=[cut],
                show_progress="hidden",
                **LIGHT,
            )
            run = load.success(
                partial(self.cut_example, example),
                [page.photo, left.inside, left.outside, *options],
                outputs,
                **queue,
            )
            self.events += [load, run]

    def let_cancel(self) -> None:
        """Make the button end all of them."""
        page = self.page
        page.left.cancel.click(
            self.cancel,
            [page.photo, page.asked, page.known],
            [*page.no_result_outputs, *page.finding_outputs],
            cancels=self.events,
            show_progress="hidden",
            **LIGHT,
        )

    def cancel(self, photo: PagePhoto | None, asked: Asked | None, known: Known) -> Changes:
        """Take the result away, and what was asked but not found."""
        asked = answered(asked, known)
        page = self.page
        return {
            **page.no_result(CANCELLED),
            **page.finding(photo, asked, known),
            page.asked: asked,
        }

    def cut(
        self,
        *values: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # Gradio replaces it
    ) -> Iterator[Changes]:
        """Cut the photo with the user's guide."""
        count = len(subject_inputs(self.page))
        subject = Subject(*values[:count])
        photo, guide = subject.guide()
        yield from self._run(photo, guide, values[count:], progress, subject)

    def load_example(self, example: Example, before: PagePhoto | None) -> Iterator[Changes]:
        """Show an example's photo and guide."""
        page = self.page
        yield page.no_result(WORKING)
        let_painter_start(before)
        yield no_painting(page)
        shown = show_photo(example.photo, page.settings)
        # Copies: the server serves no files outside its own folder.
        guide = shutil.copy(example.guide, shown.proxy.parent)
        if example.way == "paint":
            canvas = shutil.copy(PAINTED, shown.proxy.parent)
            shown = replace(shown, strokes=Path(guide), canvas=Path(canvas))
        yield {
            **photo_changes(page, shown, example.way),
            page.left.way: example.way,
            page.left.mask: str(guide) if example.way == "mask" else None,
            page.left.trimap: str(guide) if example.way == "trimap" else None,
        }

    def cut_example(
        self,
        example: Example,
        photo: PagePhoto | None,
        inside: float,
        outside: float,
        *options: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[Changes]:
        """Cut an example with the guide from the package: the page need not send it back."""
        if photo is not None:  # else the user has removed it again
            guide = guide_for(example, inside, outside)
            yield from self._run(photo, guide, options, progress)

    def _run(
        self,
        photo: PagePhoto,
        guide: Guide | Found | Search,
        options: tuple[Any, ...],
        progress: gr.Progress,
        subject: Subject | None = None,
    ) -> Iterator[Changes]:
        """Do the job and show its result. Closing this generator cancels the job.

        subject: what a guide that is found comes from.
        """
        page = self.page
        finding = Finding(page, subject) if subject and subject.way == "find" else None
        model, retention, budget, *look = options
        task = Task(
            photo=photo.photo,
            guide=guide,
            folder=job_folder(),
            model=model,
            retention=retention or 0.0,
            memory_budget_gb=budget or 0.0,
            for_page=True,
        )
        progress(0.0, desc="Starting")
        yield {
            **page.no_result(WORKING, running=True),
            **(finding.begin() if finding else {}),
        }
        stage, since = "", time.monotonic()
        try:
            with closing(carry_out(task, page.settings)) as steps:  # type: ignore[type-var]
                for step in steps:
                    if isinstance(step, Found):
                        assert finding is not None
                        yield finding.take(step)
                        continue
                    if isinstance(step, Result):
                        for note in step.notes:
                            gr.Info(note)
                        yield self.results.show(step, look)
                        return
                    if step.stage != stage:
                        stage, since = step.stage, time.monotonic()
                    full, text = progress_of(step, time.monotonic() - since)
                    progress(full, desc=text)
                    yield {page.left.cut: gr.skip()}
        except Exception as error:
            told = str(error) if isinstance(error, MEMatteError) else UNEXPECTED
            yield {**page.no_result(FAILED), **(finding.end(told) if finding else {})}
            raise


class Finding:
    """What the page shows while a subject is found."""

    def __init__(self, page: Page, subject: Subject) -> None:
        self.page, self.photo = page, subject.photo
        self.asked = subject.asked or subject.wanted
        self.known: Known = dict(subject.known)
        self.steps = list(subject.steps)

    def begin(self) -> Changes:
        """Say that it is looked for, or show what is known already."""
        if self.steps:
            changes = self.page.finding(self.photo, self.asked, self.known, said(LOOKING))
            return {**changes, self.page.asked: self.asked}
        return {**self._show(self.asked, self.known[self.asked]), self.page.asked: self.asked}

    def take(self, found: Found) -> Changes:
        """Show the mask of the next step."""
        return self._show(self.steps.pop(0), found)

    def _show(self, step: Asked, found: Found) -> Changes:
        self.known.pop(step, None)
        self.known[step] = found
        for oldest in [*self.known][:-KEPT]:
            del self.known[oldest]
        line = said(LOOKING) if self.steps else ""
        changes = self.page.finding(self.photo, self.asked, self.known, line)
        return {**changes, self.page.known: self.known}

    def end(self, told: str) -> Changes:
        """Say what went wrong; what was not found is not asked any more."""
        asked = answered(self.asked, self.known)
        changes = self.page.finding(self.photo, asked, self.known, said(told))
        return {**changes, self.page.asked: asked}
