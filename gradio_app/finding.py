"""Finds subjects: what a visitor asks, the package's answer to each step, and its files."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path, PurePath
from secrets import token_hex
from typing import Any, Literal

import numpy as np

from mematte_plugin import (
    InputError,
    MEMatteError,
    Photo,
    Progress,
    SubjectMask,
    WeightsError,
    find_subject,
    write_image,
)

from .inputs import Guide
from .settings import Settings

PIP = 'pip install "mematte-plugin[subject]"'
MODULES = ("onnxruntime", "transformers")
"""What finding needs: the first for subjects by themselves, the second for clicks and words."""
LONGEST_WORD = 200
"""Characters of the words that name a subject."""
CLICKS = 50
"""How many clicks may correct one subject."""
SAME_PLACE = 0.01
"""Share of the photo's longer side within which the later of two contrary clicks counts alone."""
TINT = (30, 136, 255)
"""The mask over the photo: the colour of the brush for subjects."""
TINT_SHARE = 0.55
OPTIONS = re.compile(r" \([a-z_]+=, --[a-z-]+\)|, --[a-z-]+(?=\))")
GONE = "subject: was kept for a while and has been deleted; find it again"

logger = logging.getLogger(__name__)

Click = tuple[int, int, int]
"""(x, y, label): a pixel of the upright photo; label 1 is in the subject, 0 outside."""


@dataclass(frozen=True)
class Query:
    """One question to `find_subject`, as its arguments."""

    points: Any = None
    box: Any = None
    text: str | None = None


@dataclass(frozen=True)
class Asked:
    """What a visitor has asked so far: how the subject is found, and clicks that correct it."""

    start: Literal["clicks", "itself", "word"] = "clicks"
    word: str = ""
    clicks: tuple[Click, ...] = ()

    def steps(self) -> tuple[Asked, ...]:
        """What was asked after each step, this one last."""
        first = 1 if self.start == "clicks" else 0
        counts = range(first, len(self.clicks) + 1)
        return tuple(replace(self, clicks=self.clicks[:count]) for count in counts)

    def query(self, size: tuple[int, int]) -> Query:
        """The question of the last step; size: (H, W) of the photo.

        A click is one object's: contrary clicks say where that ends, all others are objects of
        their own.
        """
        if not self.clicks:
            return Query(text=self.word if self.start == "word" else None)
        newest, near = self.clicks[-1], SAME_PLACE * max(size)
        others = [
            click
            for click in self.clicks[:-1]
            if click[2] != newest[2] and math.dist(click[:2], newest[:2]) > near
        ]
        return Query(points=[newest, *others])


@dataclass(frozen=True)
class Found:
    """The files of a mask, and what is known of it. `SubjectMask` explains the other fields."""

    native: Path | None
    """For the page, numpy's file of the mask at the network's resolution."""
    picture: Path
    """For the page, a layer to lie over the photo, RGBA; for programs, the mask in grey."""
    size: tuple[int, int]
    confidence: float
    source: Literal["segmentation", "points", "box", "text"]
    model: str
    licence: str
    prompt: str
    facts: dict[str, Any]

    def read(self) -> SubjectMask:
        """The mask. Raises InputError if its file has been swept."""
        assert self.native is not None  # asked for by the page only
        try:
            native = np.load(self.native)
        except OSError as error:
            raise InputError(GONE) from error
        described = (self.confidence, self.source, self.model, self.licence, self.prompt)
        return SubjectMask(native, self.size, *described)

    def guide(self) -> Guide:
        """The guide of a job. Raises InputError as `read` does."""
        return Guide("alpha", self.read())


@dataclass(frozen=True)
class Search:
    """How a job finds its subject: step by step, from what was found before."""

    queries: tuple[Query, ...]
    before: Found | None = None
    folder: Path | None = None
    """For the page's masks: jobs that end before their time keep them."""
    view: tuple[int, int] = (1, 1)
    """(h, w) of the layer for the page."""


def missing(settings: Settings) -> str:
    """Why nothing is found here, in a sentence; empty if it is."""
    if not settings.find:
        return "Subjects are not found here; mark yours."
    if any(find_spec(module) for module in MODULES):
        return ""
    return f"Subjects cannot be found here yet: that needs {PIP}. Mark yours in another way."


def search(
    photo: Photo, wanted: Search, settings: Settings, progress: Progress
) -> Iterator[SubjectMask]:
    """Find the subject, step by step.

    Raises what `find_subject` raises, and InputError if a click leaves nothing.
    """
    mask = None if wanted.before is None else wanted.before.read()
    for query in wanted.queries:
        mask = _find(photo, query, mask, settings, progress)
        yield mask


def stored(found: SubjectMask, wanted: Search, alone: Path) -> Found:
    """A mask's files: for the page in the search's folder, else the mask itself in grey.

    alone: the mask's path if it is not for the page.
    """
    native: Path | None = None
    picture = alone
    if wanted.folder is None:
        write_image(picture, found.mask, bits=16)
    else:
        wanted.folder.mkdir(parents=True, exist_ok=True)  # the sweep may have deleted it
        stem = f"subject-{token_hex(6)}"
        native, picture = (wanted.folder / f"{stem}{end}" for end in (".npy", ".png"))
        np.save(native, found.native)
        write_image(picture, _layer(replace(found, size=wanted.view).mask))
    facts = found.facts()
    described = (found.size, found.confidence, found.source, found.model, found.licence)
    return Found(native, picture, *described, found.prompt, facts)


def _find(
    photo: Photo,
    query: Query,
    before: SubjectMask | None,
    settings: Settings,
    progress: Progress,
) -> SubjectMask:
    if query.text is not None:
        model = settings.words_model
    else:
        asked = query.points is not None or query.box is not None
        model = settings.clicks_model if asked else settings.subject_model
    with _for_visitors(model):
        found = find_subject(
            photo,
            points=query.points,
            box=query.box,
            text=query.text,
            previous=before,
            model=model,
            device=settings.device,
            progress=lambda done, total, stage: progress(done, total, "subject"),
        )
    if model is not None:
        found = replace(found, model=_name(model))
    if before is not None:  # a click does what it says and no more, whatever the others show
        found = found | before if query.points[0][2] else found & before
        if not (found.native >= 0.5).any():
            raise InputError("subject: nothing would be left of it; click beside it")
    return found


@contextmanager
def _for_visitors(model: str | None) -> Iterator[None]:
    """Errors name the operator's model without its path, no options of Python and the shell, and a
    remedy that a visitor has."""
    try:
        yield
    except MEMatteError as error:
        text = OPTIONS.sub("", str(error))
        if model is not None:
            text = text.replace(model, _name(model))
        if isinstance(error, WeightsError):  # its remedy is the operator's
            logger.error("%s", error)
            text = text.partition("; ")[0] + "; mark the subject in another way"
        error.args = (text, *error.args[1:])
        raise


def _name(model: str) -> str:
    """The last part of a path tells visitors enough, and nothing about the machine."""
    return PurePath(model.replace("\\", "/")).name or "own"


def _layer(mask: np.ndarray) -> np.ndarray:
    """(h, w, 4) uint8: the tint where the mask (h, w) is."""
    layer = np.empty((*mask.shape, 4), np.uint8)
    layer[..., :3] = TINT
    layer[..., 3] = np.rint(mask * np.float32(255 * TINT_SHARE))
    return layer


Tell = Callable[[Found], object]
"""Called with each mask as soon as it is there."""
