"""A widget's options, computations and results: what `MatteWidget` and `MattePanel` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Timer
from time import perf_counter
from typing import Any

import traitlets

from ..errors import InputError, MEMatteError, OutputError, collect_notes, warn_user
from ..foreground.edges import Edge
from ..images.photo import Photo
from ..jobs import Job, in_computing_thread
from ..matte import Matte
from ..memory.retention import Retention
from ..pipeline import MattingPipeline, ready_pipeline
from ..progress import Progress, no_progress
from ..trimap.trimap import BAND_INSIDE, BAND_OUTSIDE
from .computing import COMPUTING, IDLE, WAITS_FOR_ITSELF, ComputingPhoto
from .guided import NO_TRIMAP
from .options import EDGES, model_name
from .traits import Array

LASTING = ("full", "find")
"""The jobs that a change of the trimap does not end."""
DEBOUNCE = 0.3
"""Seconds without a change after which a live preview begins."""
CAN_RUN = "Run computes the matte."
CHANGED = "Changed since the last run; run again."
OLDER = "The trimap or an option has changed since it was computed."


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


class MattingSession(ComputingPhoto):
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
    subject = Array(read_only=True, help="the `SubjectMask` that was found, or None")
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
        self._version = object()  # of the trimap and options; every change makes another
        self._newest: Matte | None = None  # the one shown, as the network left it
        self._full: Matte | None = None  # the last one of full size, likewise
        self._full_version: object = None
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
        return self._outcome(job).matte

    def start(self) -> None:
        """Compute the matte at the photo's full size in the background; see `status`."""
        if self.job == "full":
            self.set_trait("message", "Already computing; cancel it first to begin again.")
            return
        self._begin("full")

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().cancel()

    cancel.__doc__ = ComputingPhoto.cancel.__doc__

    def preview(self) -> None:
        """Compute a small matte, of the proxy's size, in the background; see `shown`."""
        if self.job not in LASTING:
            self._begin("preview")

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
        older = "" if self._full_version is self._version else OLDER
        self.set_trait("message", f"Saved {path}. {older}".strip())
        if older:
            warn_user(f"{path}: {older}")

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

            def run(photo: Photo, trimap: Any) -> Matte:
                return pipeline(photo, trimap, progress=report, **limits)

            unshaped = self._matted(photo, trimap, run)
            edge = self._edge()
            matte = self._shaped(unshaped, edge)
            pictures = self._draw(matte, report)
        seconds = perf_counter() - began
        return _Result(version, unshaped, matte, edge, pictures, notes, seconds)

    def _matted(self, photo: Photo, trimap: Any, run: Callable[[Photo, Any], Matte]) -> Matte:
        """The matte of a trimap; `run` computes one."""
        return run(photo, trimap)

    def _deliver(self, job: Job, result: _Result) -> None:
        matte, current = result.matte, result.version is self._version
        full = matte.photo is self.photo
        self._newest = result.unshaped
        if full:
            self._full, self._full_version = result.unshaped, result.version
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

    def _on_opened(self) -> None:
        self._replace_job(None)
        self._newest = self._full = None
        self._set(**IDLE, matte=None, alpha=None, shown=None)

    def _on_changed(self, fault: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._version = object()
        self.set_trait("current", False)
        if self.job not in LASTING:
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
