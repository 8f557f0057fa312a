"""One job: from an uploaded photo and a rough subject to the files of its matte.

Everything that runs the network is here, in one function that a queue calls. It takes and gives
paths and plain values only, since on ZeroGPU it runs in a process of its own.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from threading import Event
from time import monotonic, perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mematte_plugin import (
    Edge,
    InputError,
    Matte,
    MattingPipeline,
    NetworkConfig,
    Photo,
    SettingError,
    collect_notes,
    from_mask,
    from_strokes,
    load_network,
    normalise_trimap,
    read_photo,
    trim_memory,
)

from .gpu import ZERO_GPU, gpu
from .models import Offer, chosen
from .settings import Settings
from .views import View, make_view

TICK = 0.1
"""Seconds between two looks at a running job."""
STILL_THERE = 1.0
"""Seconds after which a step is given again although nothing is new, so that a caller who has left
is noticed."""
WARM = 2
"""Models that are kept ready; of more, the one that was loaded first goes."""

logger = logging.getLogger(__name__)


class Stopped(BaseException):
    """The job is not wanted any more. No Exception, so that nobody takes it for a fault."""


@dataclass(frozen=True, eq=False)
class Guide:
    """Where the subject is, roughly."""

    kind: Literal["trimap", "mask", "strokes"]
    """What the source is."""
    source: Path | NDArray[np.uint8]
    """An uploaded file; or what was painted on a proxy of the photo: a mask (h, w) of 0, 255 and,
    for unknown, 127, or labels (h, w) of `Stroke`."""
    inside: float = 2.0
    """How far the band reaches into a mask, in % of the subject's size."""
    outside: float = 4.0
    """How far it reaches out of it."""


@dataclass(frozen=True)
class Task:
    """What is to be done."""

    photo: Path
    """The uploaded file, as it came."""
    guide: Guide
    """The rough subject."""
    folder: Path
    """Where the results go: an empty folder of the job's own, which goes with the job if that fails
    or is given up."""
    model: str | None = None
    """Name of an offered model; None for the operator's."""
    retention: float = 0.0
    """Share of tokens that each block may keep, 0 to 1; 0 leaves it to the router."""
    memory_budget_gb: float = 0.0
    """Memory that the run may take; 0 for what is free."""
    for_page: bool = False
    """Also make a TIFF, what the page shows, and what shapes the edge anew."""
    edge: Edge = field(default_factory=Edge)
    """How the edge is shaped; the page does that afterwards."""


@dataclass(frozen=True)
class Step:
    """How far a job is."""

    done: int
    """Parts of this stage that are done."""
    total: int
    """Parts of this stage, 0 where they are not known."""
    stage: str
    """reading, model, encoder, decoder, foreground or writing."""


@dataclass(frozen=True)
class Source:
    """What an edge is shaped from, again and again."""

    photo: Path
    """The uploaded file."""
    folder: Path
    """The job's own."""
    alpha: Path
    """The network's (H, W) float32, as numpy saves it."""
    trimap: Path
    """(H, W) uint8 of 0, 128 and 255."""


@dataclass(frozen=True)
class Result:
    """What a job has made."""

    cutout: Path
    """RGBA PNG with the subject's own colours, in the photo's depth."""
    alpha: Path
    """Grey PNG of 16 bits."""
    report: dict[str, Any] = field(default_factory=dict)
    """JSON-ready: `Matte.facts`, the seconds it took, the photo's name, and the notes."""
    notes: tuple[str, ...] = ()
    """What the user should know."""
    tiff: Path | None = None
    """The cut-out as TIFF, for the page."""
    view: View | None = None
    """What the page shows."""
    source: Source | None = None
    """For the page: what its edge is shaped from."""
    base: Result | None = None
    """Of a result whose edge was shaped, the one as the network left it."""
    edge: Edge = field(default_factory=Edge)
    """How it was shaped."""


@gpu
def carry_out(task: Task, settings: Settings) -> Iterator[Step | Result]:
    """Do a job: steps several times a second, at least one a second, and at last the result.

    Whoever closes the iterator ends the job, within some tenths of a second where the network runs.

    Raises MEMatteError for input, options, a model or memory that will not do.
    """
    now: list[Step] = [Step(0, 1, "reading")]
    stop = Event()

    def report(done: int, total: int, stage: str) -> None:
        if stop.is_set() or _closing.is_set():
            raise Stopped
        now[0] = Step(done, total, stage)

    future = _worker(os.getpid()).submit(_work, task, settings, report)
    delivered = False
    try:
        last, told = None, -math.inf
        while not wait([future], TICK).done:
            step = now[0]
            if step != last or monotonic() - told >= STILL_THERE:
                last, told = step, monotonic()
                yield step
        result = future.result()
        delivered = True
        yield result
    finally:
        if not delivered:
            stop.set()
            future.cancel()
            # Now, or as soon as the thread has let go of it.
            future.add_done_callback(lambda _: shutil.rmtree(task.folder, ignore_errors=True))


def warm_up(settings: Settings) -> Future[None] | None:
    """Have the first job find its model loaded. Does not wait for it.

    Not on ZeroGPU: there each job runs in a fork, and OpenMP that began before it cannot go on.
    """
    if ZERO_GPU:
        return None
    return _worker(os.getpid()).submit(_prepare, settings)


def shut_down() -> None:
    """End what is running, for good: the process is about to end."""
    _closing.set()


def read_upload(path: Path, settings: Settings) -> Photo:
    """An uploaded photograph; messages call it by its file name.

    Raises InputError for what is no picture or larger than the settings allow.
    """
    return read_photo(_bytes(path, path.name), name=path.name, max_pixels=settings.max_pixels)


def trimap_of(guide: Guide, size: tuple[int, int], settings: Settings) -> NDArray[np.uint8]:
    """The trimap (H, W) uint8 of 0, 128 and 255 that a rough subject stands for.

    size: (H, W) of the photo.

    Raises InputError for a guide that does not fit the photo or says nothing.
    """
    source = guide.source
    given = _bytes(source, guide.kind) if isinstance(source, Path) else source
    if guide.kind == "strokes":
        if isinstance(given, bytes):
            raise InputError("strokes: are a file; hand in labels, or a trimap instead")
        return from_strokes(given, size)
    if guide.kind == "mask":
        grain, unsure = 1.0, None
        if not isinstance(given, bytes):
            grain = max(1.0, size[0] / given.shape[0])  # gaps between strokes are no background
            # Painted as unsure: no level of a mask, and no object of a map.
            unsure = _grown(np.where((given > 0) & (given < 255), given, 0), size) > 0
            given = _grown(np.where(given < 255, 0, given), size)
        made = from_mask(
            given,
            size=size,
            inside=guide.inside,
            outside=guide.outside,
            grain=grain,
            max_pixels=settings.max_pixels,
        )
        if unsure is not None:
            made[unsure] = 128
        return made
    three = normalise_trimap(given, size, max_pixels=settings.max_pixels)
    return np.rint(three * 255).astype(np.uint8)  # 0.5 becomes 128


def _grown(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask painted on the page's proxy at the photo's size: of that nobody need be told."""
    if mask.shape == size:
        return mask
    from PIL import Image

    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.BILINEAR))


# ---- the job -------------------------------------------------------------------------------------

Report = Callable[[int, int, str], None]
_closing = Event()


@lru_cache(maxsize=1)
def _worker(process: int) -> ThreadPoolExecutor:
    """The one thread that computes: one job at a time, and torch's threads are made once.

    process: its id; a fork has none of its parent's threads.
    """
    del process
    return ThreadPoolExecutor(1, thread_name_prefix="mematte")


_pipelines: dict[tuple[Offer, str], MattingPipeline] = {}
"""Kept ready by model and device, for the one thread that computes."""


def _ready(name: str | None, settings: Settings, report: Report) -> MattingPipeline:
    offer = chosen(name, settings)
    report(0, 1, "model")
    key = (offer, settings.device)
    if key not in _pipelines:
        while len(_pipelines) >= WARM:  # before the next one takes memory, too
            del _pipelines[next(iter(_pipelines))]
        network = load_network(
            offer.source, progress=lambda done, total, what: report(done, total, "model")
        )
        _pipelines[key] = MattingPipeline(network, device=settings.device, model=offer.name)
    return _pipelines[key]


def _prepare(settings: Settings) -> None:
    try:
        _ready(None, settings, lambda done, total, stage: None)
    except Exception:
        if _closing.is_set():  # what can no longer be loaded is not needed either
            return
        logger.exception("the demo could not be prepared; the first job will say why")


def _work(task: Task, settings: Settings, report: Report) -> Result:
    start = perf_counter()
    retention = _retention(task.retention)
    budget = _budget(task.memory_budget_gb)
    try:
        with collect_notes() as notes:
            report(0, 1, "reading")
            photo = read_upload(task.photo, settings)
            report(0, 1, "reading")
            trimap = trimap_of(task.guide, photo.size, settings)
            if not ((trimap > 0) & (trimap < 255)).any():
                remedy = (
                    "hand it in as a mask, or mark the subject's edge grey"
                    if task.guide.kind == "trimap"
                    else "mark the subject's edge grey, or widen the band"
                )
                raise InputError(
                    f"{task.guide.kind}: leaves nothing unknown, so that there is nothing to "
                    f"compute; {remedy}"
                )
            pipeline = _ready(task.model, settings, report)

            def computing(done: int, total: int, stage: str) -> None:
                # What the pipeline calls reading is done by now: no step back.
                report(done, total, "encoder" if stage == "reading" else stage)

            matte = pipeline(
                photo, trimap, retention=retention, memory_budget=budget, progress=computing
            )
            matte.compute_foreground(progress=report)
            matte = matte.with_edge(task.edge)
            result = _written(task, matte, pipeline.network.config, report)
        facts = {
            "photo": photo.name,
            **matte.facts(),
            "seconds": round(perf_counter() - start, 3),
            "notes": notes,
        }
        return replace(result, report=facts, notes=tuple(notes))
    finally:
        trim_memory()


def _written(task: Task, matte: Matte, config: NetworkConfig, report: Report) -> Result:
    task.folder.mkdir(parents=True, exist_ok=True)  # the sweep takes empty folders after a while
    parts = 4 if task.for_page else 2

    def told(done: int) -> None:
        report(done, parts, "writing")

    stem = task.photo.stem or "photo"
    cutout, alpha, tiff = save_matte(matte, task.folder, stem, tiff=task.for_page, told=told)
    view = source = None
    if task.for_page:
        told(3)
        view = make_view(matte, config, task.folder / "view")
        source = _source(task, matte)
    told(parts)
    return Result(cutout=cutout, alpha=alpha, tiff=tiff, view=view, source=source)


def save_matte(
    matte: Matte,
    folder: Path,
    stem: str,
    *,
    tiff: bool,
    told: Callable[[int], None] = lambda done: None,
) -> tuple[Path, Path, Path | None]:
    """Write the files that people take home; told: how many of them are done."""
    cutout, alpha = folder / f"{stem}_cutout.png", folder / f"{stem}_alpha.png"
    told(0)
    matte.save(cutout, kind="cutout")
    told(1)
    matte.save(alpha, kind="alpha", bits=16)
    if not tiff:
        return cutout, alpha, None
    told(2)
    matte.save(folder / f"{stem}_cutout.tif", kind="cutout")
    return cutout, alpha, folder / f"{stem}_cutout.tif"


def _source(task: Task, matte: Matte) -> Source:
    source = Source(task.photo, task.folder, task.folder / "alpha.npy", task.folder / "trimap.npy")
    np.save(source.alpha, matte.alpha)
    np.save(source.trimap, np.rint(matte.trimap * 255).astype(np.uint8))
    return source


def _bytes(path: Path, name: str) -> bytes:
    """A file's content, so that messages do not show where uploads lie."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{name}: the uploaded file is not there any more; upload it again"
        ) from error


def _retention(share: float) -> float | Literal["auto"]:
    if not _is_number(share) or not 0 <= share <= 1:
        raise SettingError(f"retention {share!r}: give a share from 0 to 1, or 0 for automatic")
    return "auto" if share == 0 else float(share)


def _budget(gigabytes: float) -> str | None:
    if not _is_number(gigabytes) or not (gigabytes == 0 or 1e-3 <= gigabytes <= 1e6):
        raise SettingError(
            f"memory_budget_gb {gigabytes!r}: give gigabytes such as 2.5, or 0 for what is free"
        )
    return None if gigabytes == 0 else f"{gigabytes:.6f}GB"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
