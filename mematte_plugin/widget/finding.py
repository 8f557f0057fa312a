"""A widget that finds the subject: by itself, by the wand's clicks and boxes, by a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from ..errors import InputError, MEMatteError, collect_notes
from ..guide import Guided
from ..images.photo import Photo
from ..jobs import Job, in_computing_thread
from ..matte import Matte
from ..subject.found import SubjectMask
from ..trimap.painting import paint_over
from ..trimap.soft import lay_soft_band
from ..trimap.trimap import BAND_INSIDE, BAND_OUTSIDE, three_valued
from .computing import COMPUTING, IDLE, WAITS_FOR_ITSELF
from .guided import NO_PHOTO, read_guide, sealed
from .session import CAN_RUN, MattingSession
from .wand import Finder, Step, check_models, steps_of

THEN_RUNS = "Finding the subject; the run begins when it is found."
HOW = {
    "segmentation": "by itself",
    "points": "by clicks",
    "box": "in a box",
    "text": "by a word",
}
"""How the subject was found, by `SubjectMask.source`."""


@dataclass(frozen=True, eq=False)
class _Wish:
    """What is to be found. mark: the page's name for it; empty for Python's."""

    steps: tuple[Step, ...]
    finder: Finder | None
    mark: str = ""


@dataclass(frozen=True, eq=False)
class _Found:
    """What a job has found, and the trimap that it makes with a band."""

    wish: _Wish
    subject: SubjectMask
    base: NDArray[np.uint8]
    band: dict[str, float]
    notes: list[str]


class FindingSession(MattingSession):
    """A `MattingSession` that also finds the subject. It takes the same arguments, and

    subject_model: the network that finds subjects, as the `model` of `find_subject`; or a
        dictionary with one for each of "subject" (where nothing is said), "clicks" (and boxes) and
        "words". None: the defaults.

    What is found takes the place of a trimap or mask that was given; strokes stay, painted over it.
    The band follows from the mask; `inside` and `outside`, once changed, are its least widths.
    """

    subject_model = traitlets.Any(None, help="name, Hub id or path, a dictionary, or None")

    def __init__(self, image: Any = None, *args: Any, **options: Any) -> None:
        self._given: tuple[Any, Any] | None = None  # trimap and mask, before anything was found
        self._wish = _Wish((), None)  # the one that `subject` belongs to
        self._wanted = self._wish  # the newest; another one while it is being looked for
        self._runs_next = False  # once the subject is found
        super().__init__(image, *args, **options)

    @traitlets.validate("subject_model")
    def _valid_model(self, proposal: Any) -> Any:
        with self._reporting():
            check_models(proposal["value"])
        return proposal["value"]

    def find(
        self,
        *,
        points: Any = None,
        box: Any = None,
        text: str | None = None,
        previous: SubjectMask | None = None,
    ) -> SubjectMask:
        """Find the subject, as `find_subject` does with these arguments, and wait for it.

        It becomes `subject` and `mask`, and `trimap` follows; the page's wand goes on from there.
        Cancels any other computation of this widget. Raises what `find_subject` raises, and
        MEMatteError as `run` does.
        """
        if in_computing_thread():
            raise MEMatteError(WAITS_FOR_ITSELF)
        with self._reporting():
            if self.photo is None:
                raise InputError(NO_PHOTO)
            steps = steps_of(points, box, text, self.photo.size)
        if previous is None and steps == (Step("alone"),):
            steps = (Step("anew"),)
        if self._wanted is not self._wish:
            self._give_up()
        self._wanted = _Wish(steps, self._finder(previous))
        job = self._begin("find")
        assert job is not None  # there is a photo
        found: _Found = self._outcome(job)
        return found.subject

    def clear(self) -> None:
        """Remove all strokes, and what was found."""
        super().clear()
        self._look_for(_Wish((), None))

    def start(self) -> None:
        if self.job == "find":
            self._runs_next = True
            self.set_trait("message", THEN_RUNS)
        else:
            super().start()

    def run(self) -> Matte:
        if self.job == "find" and not in_computing_thread():
            self.wait()
        return super().run()

    start.__doc__ = MattingSession.start.__doc__
    run.__doc__ = MattingSession.run.__doc__

    # ---- what is wanted --------------------------------------------------------------------------

    def _take_steps(self, steps: tuple[Step, ...], mark: str) -> None:
        """For subclasses: these are all the steps that the page's user has taken."""
        finder = self._wanted.finder or self._finder(self._given_mask())
        self._look_for(_Wish(steps, finder, mark))

    def _look_anew(self) -> None:
        """Find the subject where nothing is said."""
        self._look_for(_Wish((Step("anew"),), self._finder(None)))

    def _look_for(self, wish: _Wish) -> None:
        """Find it in the background, after what is being looked for now."""
        if not wish.steps:
            self._go_back(wish)
            return
        self._wanted = wish
        if self.job != "find" and self._begin("find") is None:
            self._give_up()

    def _go_back(self, wish: _Wish) -> None:
        """To what was given, at once."""
        self._stop_looking(wish)
        if self.subject is not None:
            trimap, mask = self._guides()
            self._given = None
            self.set_trait("subject", None)
            self._set_base(*read_guide(self.photo, trimap, mask, **self._band()))
        self._refresh()

    def _stop_looking(self, wish: _Wish) -> None:
        if self._wanted is not self._wish:
            self._give_up()
        if self.job == "find":
            self._replace_job(None)
            self._set(**IDLE)
        self._runs_next = False
        self._wish = self._wanted = wish
        self._show_steps(wish.steps, wish.mark, taken=True)

    def _on_given(self) -> None:
        self._stop_looking(_Wish((), None))
        self._given = None
        self.set_trait("subject", None)

    def _give_up(self) -> None:
        """What was wanted last was not found: what was found before it counts."""
        mark = self._wanted.mark
        self._wanted, self._runs_next = self._wish, False
        self._show_steps(self._wish.steps, mark, taken=False)

    def _show_steps(self, steps: tuple[Step, ...], mark: str, *, taken: bool) -> None:
        """For subclasses: show the steps that count.

        mark: of the steps that this answers. taken: whether it is those that count.
        """

    def _finder(self, start: SubjectMask | None) -> Finder:
        own = self._own_pipeline
        return Finder(self.photo, start, "auto" if own is None else str(own.device))

    def _guides(self) -> tuple[Any, Any]:
        """The trimap and the mask that were given; None for those that were not."""
        if self._given is not None:
            return self._given
        if self._base is None or self.mask is not None:
            return None, self.mask
        return self._base[1], None

    def _given_mask(self) -> SubjectMask | None:
        """What was given, for the wand to go on from."""
        trimap, mask = self._guides()
        soft = mask if trimap is None else np.float32(trimap) / 255
        if soft is None:
            return None
        return SubjectMask(soft, self.photo.size, confidence=1.0, source="points")

    def _banded(self) -> NDArray[np.uint8] | None:
        if self.subject is None:
            return super()._banded()
        return _trimap_of(self.subject, self._band())

    # ---- jobs ------------------------------------------------------------------------------------

    def _why_not_begin(self, kind: str) -> str:
        if kind == "find":
            return "" if self.photo is not None else NO_PHOTO
        return super()._why_not_begin(kind)

    def _compute(self, kind: str, job: Job) -> Any:
        return self._find(job) if kind == "find" else super()._compute(kind, job)

    def _matted(self, photo: Photo, trimap: Any, run: Callable[[Photo, Any], Matte]) -> Matte:
        """As `cut` does with what is found; strokes also count where it lays another band."""
        found, labels = self.subject, self.labels
        if found is None:
            return super()._matted(photo, trimap, run)
        soft = replace(found, size=photo.size).soft  # the photo may be its preview
        guided = Guided(three_valued(trimap), found, soft, _widths(self._band()))

        def painted(three: NDArray[np.float32]) -> Matte:
            return run(photo, paint_over(np.rint(three * 255).astype(np.uint8), labels))

        return guided.finish(painted)

    def _find(self, job: Job) -> _Found:
        """In the computing thread."""
        report = self._reporter(job, each=True)
        with self._exclusive():
            if self._running is job:
                self._set(status="running", message=COMPUTING["find"])
        while True:
            job.check()
            wish, band = self._wanted, self._band()
            assert wish.finder is not None
            try:
                with collect_notes() as notes:
                    models = check_models(self.subject_model)
                    subject = wish.finder.find(wish.steps, models, report)
                    found = _Found(wish, subject, _trimap_of(subject, band), band, notes)
                    _ = subject.mask  # made here, while nothing waits
            except MEMatteError:
                if wish is self._wanted:
                    raise
            else:
                if wish is self._wanted:
                    return found

    def _finish(self, job: Job) -> None:
        looked = self._running is job and self.job == "find"
        if looked and (job.stopped or job.fault is not None):
            with self._exclusive():
                self._give_up()
        super()._finish(job)

    def _deliver(self, job: Job, result: Any) -> None:
        if not isinstance(result, _Found):
            super()._deliver(job, result)
            return
        subject, base = result.subject, result.base
        if result.band != self._band():  # changed meanwhile
            base = _trimap_of(subject, self._band())
        with self._exclusive(), self.hold_trait_notifications(), self._swapping:
            if self._running is not job:
                return
            self._running = None
            if self.subject is None:
                self._given = self._guides()
            self._wish = result.wish
            self._set_base(base, sealed(subject.mask))
            self.set_trait("subject", subject)
            self._refresh()
            fault = self._why_not()
            self._set(
                **IDLE,
                status="empty" if fault else "ready",
                message=f"{_told(subject)} {fault or CAN_RUN}",
                notes=result.notes,
            )
            self._show_steps(result.wish.steps, result.wish.mark, taken=True)
        if self._wanted is not result.wish:
            self._begin("find")
        elif self._runs_next:
            self._runs_next = False
            self.start()


def _trimap_of(subject: SubjectMask, band: dict[str, float]) -> NDArray[np.uint8]:
    return lay_soft_band(subject.soft, **_widths(band))


def _widths(band: dict[str, float]) -> dict[str, Any]:
    """The band's least widths; None while they are the defaults."""
    return {
        name: band[name] if band[name] != default else None
        for name, default in (("inside", BAND_INSIDE), ("outside", BAND_OUTSIDE))
    }


def _told(subject: SubjectMask) -> str:
    model = f" ({subject.model})" if subject.model else ""
    return f"Found {HOW[subject.source]}{model}, {subject.confidence:.0%} sure."
