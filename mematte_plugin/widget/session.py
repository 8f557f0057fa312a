"""A widget's jobs and results: what the notebook's front ends have in common.

`painter.MatteWidget` and `panel.MattePanel` add what is seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Timer
from time import perf_counter
from typing import Any

import traitlets

from ..errors import InputError, MEMatteError, OutputError, SettingError, collect_notes, warn_user
from ..images.photo import Photo
from ..jobs import Job, in_computing_thread, is_idle
from ..matte import Matte
from ..memory.retention import Retention
from ..pipeline import DEFAULT_MODEL, MattingPipeline, ready_pipeline
from ..trimap.trimap import BAND_INSIDE, BAND_OUTSIDE
from .edges import EDGES, Edges
from .sketch import NOTHING_YET
from .traits import Array

IDLE = {"job": "", "stage": "", "progress": 0.0}
"""What these traits are while nothing is computed."""
DEBOUNCE = 0.3
"""Seconds without a change after which a live preview begins."""
SETTLE = 5.0
"""Seconds that an interrupted cell waits at most for the computing thread to let go."""
SPANS = {
    "reading": (0.0, 0.02),
    "model": (0.02, 0.06),
    "encoder": (0.06, 0.8),
    "decoder": (0.8, 0.96),
    "foreground": (0.96, 1.0),
}
"""Which part of the progress bar a stage has."""
WAITS_FOR_ITSELF = (
    "this is called by the computation itself, which it would wait for: use start() in an observer"
)
OTHERS = "Waiting for another computation to end; this one is next."
UNNAMED = "own"
"""What a pipeline without a name is called."""
CAN_RUN = "Run computes the matte."
CHANGED = "Changed since the last run; run again."

OLDER = "The trimap or an option was changed after it was computed."

logger = logging.getLogger(__name__)


class MattingSession(Edges):
    """A photo whose trimap is painted, and the mattes that are computed from it.

    Args:
        image: the photo, in any form that `MattingPipeline` takes; None for none yet, see
            `change_photo`.
        trimap: (H, W), as `trimap.normalise_trimap` takes it. Strokes are painted over it.
        mask: instead of a trimap, a rough mask, as `trimap.from_mask` takes it; a band of unknown
            is laid around it. The photo's own transparency, if it has some, is the default.
        pipeline: a `MattingPipeline`, or the name, Hub id or path of a model.
        retention: "auto", a share of tokens from 0 to 1, or a number of tokens.
        inside, outside: the band, in % of the subject's size.
        memory_budget: as for `MattingPipeline`.
        live: compute a preview after each change.
        levels_black, levels_white, choke, feather, despill, colors: what is done to the finished
            matte's edge, as for `Matte.shaped`; set later, it changes the matte at once.

    What is computed runs in a thread of its own, one job at a time for all widgets of the process;
    observers of results are called there. Raises InputError for a photo, trimap or mask that cannot
    be used, SettingError for an option.
    """

    matte = Array(None, allow_none=True, read_only=True, help="the last `Matte` of full size")
    alpha = Array(None, allow_none=True, read_only=True, help="(H, W) float32: its alpha")
    shown = Array(None, allow_none=True, read_only=True, help="the newest Matte or preview")
    status = traitlets.Enum(
        ("empty", "ready", "waiting", "running", "done", "stopped", "failed"),
        "empty",
        read_only=True,
        help="done: alpha belongs to the trimap as it is now",
    ).tag(sync=True)
    job = traitlets.Enum(
        ("", "preview", "full"), "", read_only=True, help="what is being computed"
    ).tag(sync=True)
    progress = traitlets.Float(0.0, read_only=True, help="0 to 1").tag(sync=True)
    stage = traitlets.Unicode("", read_only=True, help="what the job does").tag(sync=True)
    blocking = traitlets.Bool(False, read_only=True, help="a cell waits in `run`").tag(sync=True)

    def __init__(
        self,
        image: Any = None,
        trimap: Any = None,
        mask: Any = None,
        pipeline: MattingPipeline | str | None = None,
        *,
        retention: Retention = "auto",
        inside: float = BAND_INSIDE,
        outside: float = BAND_OUTSIDE,
        memory_budget: int | float | str | None = None,
        live: bool = False,
        **traits: Any,
    ) -> None:
        self._running: Job | None = None
        self._timer: Timer | None = None
        self._unshaped: dict[str, Matte] = {}  # the network's own: "full", and the one "shown"
        self._own = pipeline if isinstance(pipeline, MattingPipeline) else None
        super().__init__(
            image,
            trimap,
            mask,
            model=_name_of(pipeline),
            inside=inside,
            outside=outside,
            retention=retention,
            memory_budget=memory_budget,
            live=live,
            **traits,
        )
        options = ["retention", "model", "memory_budget", "live"]
        self.observe(lambda _: self._refresh(), options)
        self.observe(lambda _: self._reshape(), list(EDGES))
        self._refresh()

    def _opened(self) -> None:
        self._drop()
        self._unshaped = {}
        for name in ("matte", "alpha", "shown"):
            self.set_trait(name, None)

    def _changed(self, fault: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.job != "full":
            self._drop()  # a preview of what is not any more
            self.set_trait("status", "empty" if fault else "ready")
            self.set_trait("message", fault or (CAN_RUN if self.matte is None else CHANGED))
        if self.live and not fault:
            self._timer = Timer(DEBOUNCE, self.preview)
            self._timer.daemon = True
            self._timer.start()

    def _drop(self) -> None:
        """Give up the job without a word about it."""
        with self._state:
            job, self._running = self._running, None
        if job is not None:
            job.cancel()
            for name, value in IDLE.items():
                self.set_trait(name, value)

    def run(self) -> Matte:
        """Compute the matte at the photo's full size and wait for it.

        What else is being computed for this widget is given up. KeyboardInterrupt ends the
        computation. Raises MEMatteError where there is no trimap yet, where the run fails or is
        cancelled, and in an observer of a result, which would wait for itself: use `start` there.
        """
        if in_computing_thread():
            raise MEMatteError(WAITS_FOR_ITSELF)
        job = self._begin("full")
        if job is None:
            raise InputError(self._why_not())
        self.set_trait("blocking", True)
        try:
            job.wait()
        except BaseException:
            job.cancel()
            job.wait(SETTLE)  # let go of what the run holds
            raise
        finally:
            self.set_trait("blocking", False)
        if job.fault is not None:
            raise job.fault
        if job.result is None:
            raise MEMatteError("stopped before the matte was done: by Cancel, or by another run")
        return job.result

    def start(self) -> None:
        """Compute the matte at the photo's full size, beside the notebook; see `status`."""
        if self.job == "full":
            self.set_trait("message", "Already computing; cancel it first to begin again.")
            return
        self._begin("full")

    def preview(self) -> None:
        """Compute a small matte, of the proxy's size, beside the notebook; see `shown`."""
        if self.job != "full":
            self._begin("preview")

    def cancel(self) -> None:
        """Give up what is being computed, or was about to be."""
        if self._timer is not None:
            self._timer.cancel()
        job = self._running
        if job is not None:
            job.cancel()

    def wait(self, timeout: float | None = None) -> None:
        """Until nothing is being computed any more. Raises TimeoutError after so many seconds, and
        MEMatteError in an observer of a result, which would wait for itself."""
        if in_computing_thread():
            raise MEMatteError(WAITS_FOR_ITSELF)
        job = self._running
        if job is not None and not job.wait(timeout):
            raise TimeoutError(f"still computing after {timeout} seconds")

    def save(self, path: Any, *, crop: bool = False, margin: int = 0, **options: Any) -> None:
        """Write the last matte of full size to a file; see `Matte.save`, also for the options.

        crop, margin: only the box around the subject, see `Matte.cropped`.

        Warns (MEMatteWarning) where the trimap was changed since. Raises OutputError before the
        first run, and as `Matte.save` does.
        """
        with self._reporting():
            if self.matte is None:
                raise OutputError(f"{path}: there is no matte yet; run first")
            matte = self.matte.cropped(margin) if crop else self.matte
            matte.save(path, **options)
        older = "" if self.status == "done" else OLDER
        self.set_trait("message", f"Saved {path}. {older}".strip())
        if older:
            warn_user(f"{path}: {older}")

    def _begin(self, kind: str) -> Job | None:
        fault = self._why_not()
        if fault:
            self.set_trait("message", fault)
            return None
        with self._state:
            if self._running is not None:
                self._running.cancel()
            job = self._running = Job(partial(self._compute, kind))
        for name, value in IDLE.items():
            self.set_trait(name, value)
        free = is_idle()
        self.set_trait("job", kind)
        self.set_trait("status", "running" if free else "waiting")
        self.set_trait("message", _DOING[kind] if free else OTHERS)
        job.when_done(self._on_done)
        job.begin()
        return job

    def _on_done(self, job: Job) -> None:
        if job.stopped:
            self._end(job, "stopped", "Stopped. The trimap is kept.")

    def _compute(self, kind: str, job: Job) -> Matte | None:
        """In the computing thread: from start to end, whatever happens."""
        began = perf_counter()
        try:
            with collect_notes() as notes:
                job.check()
                with self._calm():
                    self._show(job, status="running", message=_DOING[kind])
                version, unshaped = self._matte(kind, job)
                edge = self._edge()
                matte = self._shaped(unshaped, edge)
                prepared = self._prepare(matte, self._report(job, 0.0))
            job.result = matte
            self._deliver(job, prepared, version, notes, perf_counter() - began, unshaped)
            if self._edge() != edge:  # changed meanwhile
                self._reshape()
            return matte
        except MEMatteError as error:
            job.fault = error
            self._end(job, "failed", str(error))
        except Exception as error:
            job.fault = error
            logger.exception("a widget's run failed")
            self._end(job, "failed", f"Unexpected: {type(error).__name__}: {error}")
        return None

    def _matte(self, kind: str, job: Job) -> tuple[int, Matte]:
        """The version of the trimap, and its matte."""
        with self._state:
            version, photo = self._version, self.photo
            trimap, small = self.trimap, self.small_trimap
            model, retention, budget = self.model, self.retention, self.memory_budget
        if trimap is None:
            raise InputError(NOTHING_YET)
        if kind == "preview" and small.shape != photo.size:
            name = f"{photo.name} (preview)"
            photo, trimap = Photo(pixels=self.proxy, name=name), small
        report = self._report(job, 0.0)
        if self._own is not None and model == (self._own.model or UNNAMED):
            pipeline = self._own
        else:
            pipeline = ready_pipeline(
                model, progress=lambda done, total, _what: report(done, total, "model")
            )
        job.check()
        return version, pipeline(
            photo, trimap, retention=retention, memory_budget=budget, progress=report
        )

    def _report(self, job: Job, told: float) -> Any:
        def report(done: int, total: int, stage: str) -> None:
            nonlocal told
            job.check()
            low, high = SPANS.get(stage, (told, told))
            told = max(told, low + (high - low) * (done / total if total else 0.0))
            # A tick that finds the page busy is left out; there will be another.
            if self._lock.acquire(blocking=False):
                try:
                    self._show(job, progress=told, stage=stage)
                finally:
                    self._lock.release()

        return report

    def _prepare(self, matte: Matte, progress: Any) -> Any:
        """For front ends: make pictures of a result, in the computing thread.

        progress: to be handed on to what takes long; raises where the job has been given up.

        What is returned comes to `_present` when the result is shown.
        """
        del matte, progress

    def _present(self, matte: Matte, prepared: Any) -> None:
        """For front ends: show the pictures, before `shown` changes."""

    def _reshape(self) -> None:
        """Give the mattes that are there the edge as it is now."""
        unshaped = self._unshaped
        if not unshaped:
            return
        edge = self._edge()
        with self._reporting(), collect_notes() as notes:
            shown = self._shaped(unshaped["shown"], edge)
            full = shown
            if unshaped.get("full", unshaped["shown"]) is not unshaped["shown"]:
                full = self._shaped(unshaped["full"], edge)
            prepared = self._prepare(shown, lambda *_: None)
        if unshaped is not self._unshaped:  # a newer one has come
            return
        self._present(shown, prepared)
        self.set_trait("notes", notes)
        if "full" in unshaped:
            self.set_trait("matte", full)
            self.set_trait("alpha", full.alpha)
        self.set_trait("shown", shown)

    def _deliver(  # noqa: PLR0917  # all that there is of a result
        self,
        job: Job,
        prepared: Any,
        version: int,
        notes: list[str],
        seconds: float,
        unshaped: Matte,
    ) -> None:
        if self._running is not job:
            return
        matte: Matte = job.result
        height, width = matte.photo.size
        full = matte.photo is self.photo
        kept = {} if full else {n: m for n, m in self._unshaped.items() if n == "full"}
        self._unshaped = {**kept, "shown": unshaped, **({"full": unshaped} if full else {})}
        self._present(matte, prepared)
        found = {"notes": notes, "shown": matte}
        if full:
            found |= {"matte": matte, "alpha": matte.alpha}
        what = f"{width}×{height} in {seconds:.1f} s"
        if full:
            self._end(job, "done", f"Done: {what}.", version, **found)
        else:
            high, wide = self.photo.size
            message = f"Preview: {what}. Run computes all {wide}×{high}."
            self._end(job, "ready", message, **found)
        if self.live and full and version != self._version:
            self.preview()

    def _end(
        self, job: Job, status: str, message: str, version: int | None = None, /, **found: Any
    ) -> None:
        """The job is over. Observers are told when all of it is there, so that they can start the
        next one, or save.

        version: the trimap's, where the status holds for no other.
        """
        with self._state:
            if self._running is not job:  # another one has taken its place, and tells for itself
                return
            self._running = None
            if version not in (None, self._version):
                status, message = "ready", f"{message} {OLDER}"
            values = {**found, "status": status, "message": message, **IDLE}
            before = {name: getattr(self, name) for name in values}
            self._trait_values.update(values)
        with self._calm():
            for name, value in values.items():
                # An observer before may have changed it again, and has told so.
                if value is not before[name] and self._trait_values[name] is value:
                    self._tell(partial(self._notify_trait, name, before[name], value))

    @contextmanager
    def _calm(self) -> Iterator[None]:
        """For the computing thread: while no message of the page is being handled.

        That thread may be waiting for this one, in somebody's observer: so not for ever.
        """
        held = self._lock.acquire(timeout=1.0)
        try:
            yield
        finally:
            if held:
                self._lock.release()

    def _show(self, job: Job, /, **values: Any) -> None:
        """Set traits from the computing thread, unless the job has been given up."""
        for name, value in values.items():
            if self._running is job:
                self._tell(partial(self.set_trait, name, value))

    @staticmethod
    def _tell(call: Callable[[], None]) -> None:
        """What calls observers; the job is not to die of theirs."""
        try:
            call()
        except Exception:
            logger.exception("an observer failed")


def _name_of(pipeline: Any) -> str:
    if isinstance(pipeline, MattingPipeline):
        return pipeline.model or UNNAMED
    if pipeline is None or isinstance(pipeline, str):
        return pipeline or DEFAULT_MODEL
    raise SettingError(
        f"pipeline {type(pipeline).__name__}: give a MattingPipeline or a model's name"
    )


_DOING = {"full": "Computing the matte …", "preview": "Computing the preview …"}
