"""What happens when the user says where the subject is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from mematte_plugin import InputError

from .finding import LONGEST_WORD, Asked, Found, Search
from .inputs import Guide
from .page_state import LIGHT, Changes, Known, Page, file_in, latest
from .painting import read_painting
from .photo_events import new_painting
from .pictures import PagePhoto, show_trimap


@dataclass(frozen=True)
class Subject:
    """The values of the subject's controls, in the order of `subject_inputs`."""

    way: Literal["find", "paint", "mask", "trimap"]
    painting: Any
    mask: Any
    trimap: Any
    inside: float
    outside: float
    word: str | None
    asked: Asked | None
    known: Known
    photo: PagePhoto | None

    @property
    def file(self) -> Path | None:
        """The uploaded guide."""
        return file_in({"mask": self.mask, "trimap": self.trimap}.get(str(self.way)))

    def guide(self) -> tuple[PagePhoto, Guide | Found | Search]:
        """The photo and its guide. Raises InputError if one is missing or does not fit."""
        if self.photo is None:
            raise InputError("photo: there is none yet; choose one first")
        if self.way == "find":
            return self.photo, self._search(self.photo)
        if self.way == "paint":
            layers = [file_in(layer) for layer in (self.painting or {}).get("layers", ())]
            painted = filter(None, (self.photo.strokes, *layers))
            labels = read_painting(painted, self.photo.proxy_size)
            return self.photo, Guide("painting", labels, self.inside, self.outside)
        if self.file is None:
            raise InputError(f"{self.way}: there is none yet; upload one")
        return self.photo, Guide(self.way, self.file, self.inside, self.outside)

    @property
    def wanted(self) -> Asked:
        """What is found if nothing was asked yet: the word, or else the subject by itself."""
        word = " ".join((self.word or "").split())[:LONGEST_WORD]
        return Asked("word", word) if word else Asked("itself")

    @property
    def steps(self) -> tuple[Asked, ...]:
        """What has still to be found, step by step."""
        steps = (self.asked or self.wanted).steps()
        done = [number for number, step in enumerate(steps, 1) if step in self.known]
        return steps[max(done, default=0) :]

    def _search(self, photo: PagePhoto) -> Found | Search:
        before = latest(self.asked or self.wanted, self.known)
        if before is not None and not self.steps:
            return before
        queries = tuple(step.query(photo.size) for step in self.steps)
        return Search(queries, before, photo.proxy.parent, photo.proxy_size)


def subject_inputs(page: Page) -> list[Any]:
    """The components whose values make a `Subject`."""
    left = page.left
    guides = [left.way, left.painter, left.mask, left.trimap]
    return [*guides, left.inside, left.outside, left.word, page.asked, page.known, page.photo]


class SubjectEvents:
    """Choosing how to mark the subject, and the preview of the trimap."""

    def __init__(self, page: Page) -> None:
        self.page = page
        left, preview = page.left, page.left.trimap_preview
        left.way.input(
            self.change_way,
            [left.way, page.photo, page.painted],
            [preview, left.painter, left.painter_wait, page.painted],
            show_progress="hidden",
            trigger_mode="always_last",  # else a choice made during the last one's event is lost
            **LIGHT,
        )
        left.trimap_show.click(
            self.preview, subject_inputs(page), preview, show_progress="minimal", **LIGHT
        )
        gr.on(
            [left.mask.upload, left.trimap.upload, left.inside.release, left.outside.release],
            self.preview_upload,
            subject_inputs(page),
            preview,
            show_progress="hidden",
            trigger_mode="always_last",
            **LIGHT,
        )

    def change_way(self, way: str, shown: PagePhoto | None, painted: Path | None) -> Changes:
        """Hide the preview; show the painter if it does not have the photo yet."""
        changes: Changes = {self.page.left.trimap_preview: gr.update(value=None, visible=False)}
        if way == "paint" and shown is not None and painted != shown.proxy:
            changes |= new_painting(self.page, shown)
        return changes

    def preview(self, *values: Any) -> Any:
        """Show the trimap that the guide stands for."""
        photo, guide = Subject(*values).guide()
        if isinstance(guide, Search):
            raise InputError("subject: is not found yet; press Find the subject, or click on it")
        if isinstance(guide, Found):
            guide = guide.guide()
        return gr.update(value=str(show_trimap(photo, guide, self.page.settings)), visible=True)

    def preview_upload(self, *values: Any) -> Any:
        """As `preview`, but nothing without a photo and an uploaded guide."""
        subject = Subject(*values)
        ready = subject.file is not None and subject.photo is not None
        return self.preview(*values) if ready else gr.skip()
