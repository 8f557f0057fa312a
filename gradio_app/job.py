"""One job: from an uploaded photo to the files of its matte, or of its subject alone.

Everything that runs the network is in `carry_out`. It takes and yields paths and plain values only,
because on ZeroGPU it runs in a process of its own.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mematte_plugin import (
    Edge,
    InputError,
    Job,
    Matte,
    MattingPipeline,
    Photo,
    Progress,
    SettingError,
    Stopped,
    SubjectMask,
    collect_notes,
    cut,
    overall_progress,
    ready_pipeline,
    trim_memory,
)

from .finding import Found, Search, Tell, search, stored
from .gpu import ZERO_GPU, gpu
from .inputs import Guide, read_upload, soft_mask, trimap_of
from .models import chosen
from .pictures import ResultPictures, write_pictures
from .settings import Settings

TICK = 0.5
"""Seconds between two steps. At each, Gradio may find that the client has left."""
SETTLE = 10.0
"""Seconds to wait at exit for a running job to stop."""

KEPT_BYTES = 150_000_000
"""Largest photo that is kept for the next click."""

_closing = Event()
_photos: dict[tuple[Path, int], tuple[Photo, list[str]]] = {}
"""The photo of the latest search and the notes on it; of the computing thread."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """The input and the options of a job."""

    photo: Path
    guide: Guide | Found | Search
    folder: Path
    """Where the results go: an empty folder, deleted if the job fails or is cancelled."""
    model: str | None = None
    """Name of an offered model; None for the operator's."""
    retention: float = 0.0
    """Share of tokens that each block may keep, 0 to 1; 0 is automatic."""
    memory_budget_gb: float = 0.0
    """Memory that the run may use; 0 for what is free."""
    only_subject: bool = False
    """Find the subject, and do not cut it out."""
    for_page: bool = False
    """Also make a TIFF, the pictures that the page shows, and what its edge controls need."""
    edge: Edge = field(default_factory=Edge)
    """How the edge is shaped; the page shapes it afterwards."""


@dataclass(frozen=True)
class Step:
    """How far a job is: `done` of the `total` parts of a stage; a total of 0 is unknown."""

    done: int
    total: int
    stage: str


@dataclass(frozen=True)
class Result:
    """The files of a job, and what its edge can be shaped from again."""

    photo: Path
    folder: Path
    """The job's own."""
    cutout: Path
    """RGBA PNG with the subject's own colours, in the photo's depth."""
    alpha: Path
    """Grey PNG of 16 bits."""
    tiff: Path | None = None
    """The cut-out as TIFF, for the page."""
    pictures: ResultPictures | None = None
    """For the page."""
    report: dict[str, Any] = field(default_factory=dict)
    """JSON-ready: `Matte.facts`, the seconds it took, the photo's name, and the notes."""
    notes: tuple[str, ...] = ()
    """Notes about the matte or, with a base, about its edge alone."""
    base: Result | None = None
    """Of a result with a shaped edge, the one as the network left it."""
    edge: Edge = field(default_factory=Edge)
    """How the edge was shaped."""

    @property
    def saved(self) -> Path:
        """For the page, numpy's archive of the network's alpha (H, W) float32 and the trimap (H, W)
        uint8."""
        return self.folder / "matte.npz"


@gpu
def carry_out(task: Task, settings: Settings) -> Iterator[Step | Found | Result]:
    """Do a job: yields the step it is at twice a second, what was found as soon as it is there, and
    finally the result.

    Closing the iterator cancels the job, within tenths of a second while the network runs.

    Raises MEMatteError for an unusable input, option or model, and for too little memory.
    """
    latest = Step(0, 1, "reading")
    news: SimpleQueue[Found | None] = SimpleQueue()

    def work(job: Job) -> Result | None:
        def progress(done: int, total: int, stage: str) -> None:
            nonlocal latest
            _check(job)
            latest = Step(done, total, stage)

        return _compute(task, settings, progress, news.put)

    job = Job(work)
    job.begin()
    job.when_done(lambda _: news.put(None))
    try:
        while True:
            try:
                found = news.get(timeout=TICK)
            except Empty:
                yield latest
                continue
            if found is None:
                break
            yield found
        result: Result | None = job.outcome()
    except BaseException:
        job.cancel()
        # Now, or as soon as the computing thread no longer writes there.
        job.when_done(lambda _: shutil.rmtree(task.folder, ignore_errors=True))
        raise
    if result is not None:
        yield result


def warm_up(settings: Settings) -> Job | None:
    """Start loading the model for the first job.

    Not on ZeroGPU, where each job runs in a fork: OpenMP started before it could not go on.
    """
    if ZERO_GPU:
        return None

    job = Job(lambda job: _pipeline(None, settings, lambda *_: _check(job)))
    job.when_done(_log_fault)
    job.begin()
    return job


def _log_fault(job: Job) -> None:
    if job.fault is not None:
        logger.error("the model cannot be loaded: %s", job.fault)


def shut_down() -> None:
    """Stop the running job for good, because the process is about to end."""
    _closing.set()
    last = Job(lambda job: None)
    last.begin()
    last.wait(SETTLE)


def save_matte(
    matte: Matte, folder: Path, stem: str, *, tiff: bool, progress: Progress | None = None
) -> list[Path]:
    """Write the files to download: cut-out, alpha and, if wanted, the cut-out as TIFF."""
    ends = ["cutout.png", "alpha.png", *(["cutout.tif"] if tiff else [])]
    files = [folder / f"{stem}_{end}" for end in ends]
    for done, path in enumerate(files):
        if progress is not None:
            progress(done, len(files) + 1, "writing")
        if path.stem.endswith("_alpha"):
            matte.save(path, kind="alpha", bits=16)
        else:
            matte.save(path, kind="cutout")
    return files


def budget_of(gigabytes: float, name: str) -> str | None:
    """A memory budget for the core; None for 0.

    Raises SettingError for a number out of range, under this name.
    """
    if not (gigabytes == 0 or 1e-3 <= gigabytes <= 1e6):
        raise SettingError(
            f"{name} {gigabytes!r}: give gigabytes such as 2.5, or 0 for what is free"
        )
    return None if gigabytes == 0 else f"{gigabytes:.6f}GB"


# ---- in the computing thread ---------------------------------------------------------------------


def _check(job: Job) -> None:
    job.check()
    if _closing.is_set():
        raise Stopped


def _pipeline(name: str | None, settings: Settings, progress: Progress) -> MattingPipeline:
    progress(0, 1, "model")
    return ready_pipeline(
        chosen(name, settings).source,
        device=settings.device,
        progress=lambda done, total, what: progress(done, total, "model"),
    )


def _compute(task: Task, settings: Settings, progress: Progress, tell: Tell) -> Result | None:
    start = perf_counter()
    budget = budget_of(task.memory_budget_gb, "memory_budget_gb")
    if not 0 <= task.retention <= 1:  # the core would take a larger number for a count of tokens
        raise SettingError(
            f"retention {task.retention!r}: give a share from 0 to 1, or 0 for automatic"
        )
    model = chosen(task.model, settings).name
    try:
        with collect_notes() as notes:
            progress(0, 1, "reading")
            photo, earlier = _read(task, settings)
            notes.extend(earlier)
            progress(0, 1, "reading")
            guide = _guide_of(task, photo, settings, progress, tell)
            if task.only_subject:
                return None
            trimap = None
            if guide.kind != "alpha":
                trimap = trimap_of(guide, photo.size, settings)
                _check_unknown(trimap, guide)
            pipeline = _pipeline(task.model, settings, progress)
            options: dict[str, Any] = {
                "retention": float(task.retention) or "auto",
                "memory_budget": budget,
                "progress": _forward(progress),
            }
            if trimap is None:  # which is settled with the soft mask, and perhaps computed again
                options |= {"model": chosen(task.model, settings).source, "device": settings.device}
                matte = cut(photo, alpha=soft_mask(guide, settings), **options)
                _check_unknown(np.rint(matte.trimap * 255), guide)
            else:
                matte = pipeline(photo, trimap, **options)
            matte.compute_foreground(progress=progress)
            found = guide.source if isinstance(guide.source, SubjectMask) else None
            matte = replace(matte.with_edge(task.edge), subject=found)
            result = _written(task, matte, pipeline, progress)
        facts = matte.facts()
        facts["model"] = facts["plan"]["model"] = model  # the pipeline may know it as a path
        seconds = round(perf_counter() - start, 3)
        written = {"photo": photo.name, **facts, "seconds": seconds, "notes": notes}
        return replace(result, report=written, notes=tuple(notes))
    finally:
        trim_memory()


def _read(task: Task, settings: Settings) -> tuple[Photo, list[str]]:
    """The photo, and notes of an earlier reading. One whose subject is being found stays in memory,
    so that the next click is quick."""
    if not (task.for_page and isinstance(task.guide, Search)):
        return read_upload(task.photo, settings), []
    key = (task.photo, settings.max_pixels)
    held = _photos.get(key)
    if held is None:
        _photos.clear()
        with collect_notes() as notes:
            held = (read_upload(task.photo, settings), notes)
        if held[0].pixels.nbytes <= KEPT_BYTES:
            _photos[key] = held
    return held


def _guide_of(
    task: Task, photo: Photo, settings: Settings, progress: Progress, tell: Tell
) -> Guide:
    """The job's guide, once the subject is found if need be."""
    given = task.guide
    if isinstance(given, Guide):
        return given
    if isinstance(given, Found):
        return given.guide()
    for mask in search(photo, given, settings, progress):
        if task.for_page or task.only_subject:
            alone = task.folder / f"{task.photo.stem or 'photo'}_mask.png"
            tell(stored(mask, given, alone))
    return Guide("alpha", mask)


def _forward(progress: Progress) -> Progress:
    """Progress that never steps back, as a pipeline's reading and its second run would."""
    best = (0.0, (0, 1, "encoder"))

    def forward(done: int, total: int, stage: str) -> None:
        nonlocal best
        stage = "encoder" if stage == "reading" else stage
        best = max(best, (overall_progress(done, total, stage), (done, total, stage)))
        progress(*best[1])

    return forward


def _check_unknown(trimap: NDArray[Any], guide: Guide) -> None:
    if not ((trimap > 0) & (trimap < 255)).any():
        remedy = {
            "trimap": "pass it as a mask, or mark the subject's edge grey",
            "alpha": "mark the subject in another way",
        }.get(guide.kind, "mark the subject's edge as unsure, or widen the band")
        raise InputError(
            f"{guide.kind}: leaves nothing unknown, so that there is nothing to compute; {remedy}"
        )


def _written(task: Task, matte: Matte, pipeline: MattingPipeline, progress: Progress) -> Result:
    task.folder.mkdir(parents=True, exist_ok=True)  # the sweep may have deleted it, being empty
    stem = task.photo.stem or "photo"
    cutout, alpha, *tiff = save_matte(
        matte, task.folder, stem, tiff=task.for_page, progress=progress
    )
    result = Result(task.photo, task.folder, cutout, alpha, tiff=next(iter(tiff), None))
    if task.for_page:
        progress(3, 4, "writing")
        pictures = write_pictures(matte, pipeline.network.config, task.folder / "pictures")
        result = replace(result, pictures=pictures)
        trimap = np.rint(matte.trimap * 255).astype(np.uint8)
        np.savez(result.saved, alpha=matte.alpha, trimap=trimap)
    progress(1, 1, "writing")
    return result
