"""A widget's options, computations and results: what `MatteWidget` and `MattePanel` share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock, RLock, Timer
from time import perf_counter
from typing import Any

import traitlets

from ..errors import InputError, MEMatteError, OutputError, collect_notes, warn_user
from ..foreground.edges import Edge
from ..images.photo import Photo
from ..jobs import Job, in_computing_thread, is_idle
from ..matte import Matte
from ..memory.retention import Retention
from ..pipeline import MattingPipeline, ready_pipeline
from ..progress import Progress, no_progress, overall_progress
from ..trimap.trimap import BAND_INSIDE, BAND_OUTSIDE
from .guided import NO_TRIMAP, GuidedPhoto
from .options import EDGES, model_name
from .traits import Array

IDLE = {"job": "", "stage": "", "progress": 0.0}
"""What these traits are while nothing is computed."""
DEBOUNCE = 0.3
"""Seconds without a change after which a live preview begins."""
SETTLE = 5.0
"""Seconds that an interrupted cell waits at most for the computing thread to let go."""

COMPUTING = {"full": "Computing the matte …", "preview": "Computing the preview …"}
WAITING = "Waiting for another computation to end; this one is next."
CAN_RUN = "Run computes the matte."
CHANGED = "Changed since the last run; run again."
OLDER = "The trimap or an option has changed since it was computed."
WAITS_FOR_ITSELF = "called from the computation it would wait for: use start() in an observer"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Result:
    """What a job has computed. unshaped: the matte as the network left it, before the edge."""

    version: object
    unshaped: Matte
    matte: Matte
    edge: Edge
    pictures: Any
    notes: list[str]
    seconds: float


class MattingSession(GuidedPhoto):
    """A photo whose trimap is painted, and the mattes that are computed from it.

    Args:
        image: the photo, in any form that `MattingPipeline` takes; None for none yet, see
            `change_photo`.
        trimap: (H, W), as `normalise_trimap` takes it. Strokes are painted over it.
        mask: instead of a trimap, a rough mask, as `from_mask` takes it; a band of unknown is laid
            around it. Default: the photo's own transparency, if it has any.
        pipeline: a `MattingPipeline`, or the name, Hub id or path of a model.
        retention: "auto", a share of tokens from 0 to 1, or a number of tokens.
        inside, outside: the band, in % of the subject's size.
        memory_budget: as for `MattingPipeline`.
        live: compute a preview after each change.
        levels_black, levels_white, choke, feather, despill, colors: the finished matte's edge, as
            for `Matte.shaped`; changing one changes the matte at once, without another run.

    Computations run in one thread for all widgets of the process, one after the other; observers of
    results are called there. Raises InputError for a photo, trimap or mask that cannot be used,
    SettingError for an option.
    """

    matte = Array(read_only=True, help="the last `Matte` of full size, or None")
    alpha = Array(read_only=True, help="its alpha, (H, W) float32, or None")
    shown = Array(read_only=True, help="the newest `Matte`, also of a preview, or None")
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
    stage = traitlets.Unicode("", read_only=True, help="stage of the job").tag(sync=True)
    blocking = traitlets.Bool(False, read_only=True, help="a cell waits in `run`").tag(sync=True)
    current = traitlets.Bool(False, read_only=True, help="`shown` is up to date").tag(sync=True)

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
        self._own_pipeline = pipeline if isinstance(pipeline, MattingPipeline) else None
        self._timer: Timer | None = None
        self._running: Job | None = None
        self._swapping = Lock()  # held for moments, around `_running`
        # Held while a message of the page is handled, and while the computing thread sets traits:
        # ipywidgets does not take both at once. Observers of either run with it.
        self._lock = RLock()
        self._version = object()  # of the trimap and options; every change makes another
        self._newest: Matte | None = None  # the one shown, as the network left it
        self._full: Matte | None = None  # the last one of full size, likewise
        traits.setdefault("model", model_name(pipeline))
        super().__init__(
            image,
            trimap,
            mask,
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

    # ---- computing -------------------------------------------------------------------------------

    def run(self) -> Matte:
        """Compute the matte at the photo's full size and wait for it.

        Cancels any other computation of this widget. KeyboardInterrupt ends this one. Raises
        MEMatteError if there is no trimap yet, if the run fails or is cancelled, and in an observer
        of a result, which would wait for itself: use `start` there.
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
            job.wait(SETTLE)
            raise
        finally:
            self.set_trait("blocking", False)
        if job.fault is not None:
            raise job.fault
        if job.stopped:
            raise MEMatteError("stopped before the matte was done: by Cancel, or by another run")
        return job.result.matte

    def start(self) -> None:
        """Compute the matte at the photo's full size in the background; see `status`."""
        if self.job == "full":
            self.set_trait("message", "Already computing; cancel it first to begin again.")
            return
        self._begin("full")

    def preview(self) -> None:
        """Compute a small matte, of the proxy's size, in the background; see `shown`."""
        if self.job != "full":
            self._begin("preview")

    def cancel(self) -> None:
        """Cancel what is being computed or about to be."""
        if self._timer is not None:
            self._timer.cancel()
        job = self._running
        if job is not None:
            job.cancel()

    def wait(self, timeout: float | None = None) -> None:
        """Block until nothing is being computed.

        Raises TimeoutError after `timeout` seconds, and MEMatteError in an observer, as `run` does.
        """
        if in_computing_thread():
            raise MEMatteError(WAITS_FOR_ITSELF)
        job = self._running
        if job is not None and not job.wait(timeout):
            raise TimeoutError(f"still computing after {timeout} seconds")

    def save(self, path: Any, *, crop: bool = False, margin: int = 0, **options: Any) -> None:
        """Write the last matte of full size to a file; see `Matte.save`, also for the options.

        crop, margin: only the box around the subject, see `Matte.cropped`.

        Warns (MEMatteWarning) if the trimap has changed since. Raises OutputError before any run.
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
        job = Job(partial(self._compute, kind))
        job.when_done(self._finish)
        self._replace_job(job)
        status, message = ("running", COMPUTING[kind]) if is_idle() else ("waiting", WAITING)
        self._set(stage="", progress=0.0, job=kind, status=status, message=message)
        job.begin()
        return job

    def _replace_job(self, job: Job | None) -> None:
        """Cancel the current job; no traits are set for it any more."""
        with self._swapping:
            old, self._running = self._running, job
        if old is not None:
            old.cancel()

    def _compute(self, kind: str, job: Job) -> _Result:
        """In the computing thread."""
        began = perf_counter()
        report = self._reporter(job)
        with collect_notes() as notes:
            job.check()
            with self._exclusive():
                if self._running is job:
                    self._set(status="running", message=COMPUTING[kind])
            version, photo, trimap = self._version, self.photo, self.trimap
            if trimap is None:
                raise InputError(NO_TRIMAP)
            if kind == "preview" and self.proxy.shape[:2] != photo.size:
                photo = Photo(pixels=self.proxy, name=f"{photo.name} (preview)")
                trimap = self.small_trimap
            own = self._own_pipeline
            if own is not None and self.model == model_name(own):
                pipeline = own
            else:
                pipeline = ready_pipeline(
                    self.model, progress=lambda done, total, _what: report(done, total, "model")
                )
            job.check()
            limits = {"retention": self.retention, "memory_budget": self.memory_budget}
            unshaped = pipeline(photo, trimap, progress=report, **limits)
            edge = self._edge()
            matte = self._shaped(unshaped, edge)
            pictures = self._draw(matte, report)
        seconds = perf_counter() - began
        return _Result(version, unshaped, matte, edge, pictures, notes, seconds)

    def _reporter(self, job: Job) -> Progress:
        reached = 0.0

        def report(done: int, total: int, stage: str) -> None:
            nonlocal reached
            job.check()
            reached = max(reached, overall_progress(done, total, stage))
            with self._exclusive(patience=0) as alone:  # else skip this one: more will come
                if alone and self._running is job:
                    self._set(progress=reached, stage=stage)

        return report

    def _finish(self, job: Job) -> None:
        """Set the traits of a job that is over, however it ended."""
        if self._running is not job:
            return
        if job.stopped:
            self._end(job, "stopped", "Stopped. The trimap is kept.")
        elif isinstance(job.fault, MEMatteError):
            self._end(job, "failed", str(job.fault))
        elif job.fault is not None:
            logger.error("a widget's run failed", exc_info=job.fault)
            self._end(job, "failed", f"Unexpected: {type(job.fault).__name__}: {job.fault}")
        else:
            self._deliver(job, job.result)

    def _deliver(self, job: Job, result: _Result) -> None:
        matte, current = result.matte, result.version is self._version
        full = matte.photo is self.photo
        self._newest = result.unshaped
        self._full = result.unshaped if full else self._full
        self._show_pictures(matte, result.pictures)
        found = {"notes": result.notes, "shown": matte, "current": current}
        height, width = matte.photo.size
        message = f"{width}×{height} in {result.seconds:.1f} s."
        if full:
            found |= {"matte": matte, "alpha": matte.alpha}
            message = f"Done: {message}" if current else f"Done: {message} {OLDER}"
        else:
            message = f"Preview: {message} Run computes the full size."
        self._end(job, "done" if full and current else "ready", message, **found)
        if self._edge() != result.edge:  # changed meanwhile
            self._reshape()
        if self.live and full and not current:
            self.preview()

    def _end(self, job: Job, status: str, message: str, **found: Any) -> None:
        """Observers are called once all of it is set, so that they can save or start again."""
        with self._exclusive(), self.hold_trait_notifications(), self._swapping:
            if self._running is job:
                self._running = None
                self._set(**IDLE, status=status, message=message, **found)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            self.set_trait(name, value)

    def notify_change(self, change: Any) -> None:
        """Call observers. Those that fail in the computing thread do not end the job."""
        try:
            super().notify_change(change)
        except Exception:
            if not in_computing_thread():
                raise
            logger.exception("an observer of %s failed", change["name"])

    @contextmanager
    def _exclusive(self, patience: float = 1.0) -> Iterator[bool]:
        """For the computing thread: keep messages of the page out. Yields whether it succeeded.

        patience: seconds to try. Not for ever, since the thread that handles a message may be
            waiting for this one, in an observer.
        """
        held = self._lock.acquire(timeout=patience)
        try:
            yield held
        finally:
            if held:
                self._lock.release()

    def _on_opened(self) -> None:
        self._replace_job(None)
        self._newest = self._full = None
        self._set(**IDLE, matte=None, alpha=None, shown=None)

    def _on_changed(self, fault: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._version = object()
        self.set_trait("current", False)
        if self.job != "full":
            self._replace_job(None)  # a stale preview
            self._set(
                **IDLE,
                status="empty" if fault else "ready",
                message=fault or (CAN_RUN if self.matte is None else CHANGED),
            )
        if self.live and not fault:
            self._timer = Timer(DEBOUNCE, self.preview)
            self._timer.daemon = True
            self._timer.start()

    def _reshape(self) -> None:
        """Give the mattes that are there the edge as it is now."""
        newest, full = self._newest, self._full
        if newest is None:
            return
        edge = self._edge()
        with self._reporting(), collect_notes() as notes:
            shown = self._shaped(newest, edge)
            matte = None
            if full is not None:
                matte = shown if full is newest else self._shaped(full, edge)
            pictures = self._draw(shown, no_progress)
        if newest is not self._newest:  # a newer one is there
            return
        self._show_pictures(shown, pictures)
        self.set_trait("notes", notes)
        if matte is not None:
            self._set(matte=matte, alpha=matte.alpha)
        self.set_trait("shown", shown)

    def _shaped(self, matte: Matte, edge: Edge) -> Matte:
        """The edge on a matte of the photo, or of its proxy."""
        scale = matte.photo.size[1] / self.photo.size[1]
        scaled = replace(edge, choke=edge.choke * scale, feather=edge.feather * scale)
        return matte.with_edge(scaled)

    def _draw(self, matte: Matte, progress: Progress) -> Any:
        """For subclasses: make what `_show_pictures` gets. `progress` raises on cancel."""

    def _show_pictures(self, matte: Matte, pictures: Any) -> None:
        """For subclasses: show what `_draw` made, before `shown` changes."""
