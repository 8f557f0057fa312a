"""A folder of photos, each with its trimap or mask, cut one after the other.

Results appear whole or not at all, so that a batch that was killed goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING

from ..errors import (
    BudgetError,
    DeviceLostError,
    MEMatteError,
    SettingError,
    collect_notes,
    warn_user,
)
from ..images.crops import Crop
from ..images.encode import check_writable
from ..images.read import Layer, read_photo
from ..trimap.trimap import from_mask
from .claims import claimed
from .listing import BatchJob, BatchPlan, FolderError, is_open, plan_batch, stamp
from .options import BatchOptions
from .places import Places
from .report import BatchItem, BatchReport, Status

if TYPE_CHECKING:
    from ..pipeline import MattingPipeline

POLL = 0.2
"""Seconds between looks at the photos that other runs are at work on."""

logger = logging.getLogger(__name__)


def run_batch(
    folder: str | Path,
    guides: str | Path,
    output: str | Path,
    options: BatchOptions | None = None,
    *,
    load: Callable[[], MattingPipeline] | None = None,
    on_item: Callable[[BatchItem], None] | None = None,
) -> BatchReport:
    """Cut all photos of a folder; one that fails does not stop the others.

    Several runs, in several processes or on several machines, may work on one folder; each photo is
    done by one of them, and each run ends when all photos are done.

    Args:
        folder: the photos (with options.recursive also those in folders inside it).
        guides: folder of trimaps, or with options.masks of masks, matched by name: of hair.jpg
            that is hair.png, hair_trimap.png, hair_mask.png or mask-hair.png, of any image suffix,
            or another name with the same words and numbers; or as options.pair says. May be the
            same folder, where hair_mask is a mask if there is a photo hair.
        output: folder for the results, made where it does not exist (but not the one around it).
        options: how each photo is cut and saved.
        load: makes the pipeline; called once, and only if there is something to do. None loads the
            built-in model.
        on_item: told about every photo as soon as it is finished.

    Raises InputError, OutputError or SettingError for what concerns the batch as a whole, as names
    that do not belong together, and WeightsError where the network cannot be loaded.
    """
    options = options or BatchOptions()
    plan = plan_batch(folder, guides, output, options)
    for note in plan.notes:
        warn_user(note)
    items = []
    for item in cut_all(plan, options, load=load):
        items.append(item)
        if on_item is not None:
            on_item(item)
    report = BatchReport(tuple(items), plan.notes)
    for line in report.note_lines():
        warn_user(line)
    return report


def cut_all(
    plan: BatchPlan,
    options: BatchOptions,
    *,
    load: Callable[[], MattingPipeline] | None = None,
    on_wait: Callable[[Sequence[BatchJob]], None] | None = None,
) -> Iterator[BatchItem]:
    """Do the jobs one by one, yielding each as it is finished; see `run_batch`.

    on_wait: told once which photos other runs are at work on, when nothing else is left.
    """
    with Places(plan.output) as places:
        work = _Work(options, places, load)
        later = []
        for job in plan.jobs:
            item = work.try_one(job)
            if item is None:
                later.append(job)
            else:
                yield item
        told = on_wait is None
        while later:
            places.forget()  # what is left of a run that has died meanwhile
            waiting = []
            for job in later:
                item = work.try_one(job)
                if item is None:
                    waiting.append(job)
                else:
                    yield item
            if len(waiting) == len(later):
                if on_wait is not None and not told:
                    on_wait(tuple(waiting))
                    told = True
                sleep(POLL)
            later = waiting
        places.remove_stale_claims(job.output for job in plan.jobs)


@dataclass
class _Work:
    """What the photos of a run have in common."""

    options: BatchOptions
    places: Places
    load: Callable[[], MattingPipeline] | None
    pipeline: MattingPipeline | None = None
    crop: Crop | None = None
    """Where the latest result lay in its photo."""

    def try_one(self, job: BatchJob) -> BatchItem | None:
        """Do a photo; None where another run is at work on it."""
        start = perf_counter()
        self.crop = None
        status: Status = "failed"
        reason = job.problem
        notes: list[str] = []
        if is_open(job, self.options):
            if _done_elsewhere(job):
                status = "elsewhere"
            else:
                with claimed(job.output, lambda: self.places.make(job.output.parent)) as ours:
                    if _done_elsewhere(job):
                        status = "elsewhere"
                    elif not ours:
                        return None
                    else:
                        status, reason, notes = self._do(job)
        elif not reason:
            status = "skipped"
        seconds = perf_counter() - start
        return BatchItem(
            job.photo,
            job.output,
            status,
            reason,
            seconds,
            guide=job.guide,
            notes=tuple(notes),
            crop=self.crop if status == "done" else None,
        )

    def _do(self, job: BatchJob) -> tuple[Status, str, list[str]]:
        # What is wrong with the network, an option or the output folder is wrong for every photo:
        # it passes through and ends the batch.
        if self.pipeline is None:
            if self.load is None:
                from ..pipeline import MattingPipeline

                self.load = MattingPipeline.from_pretrained
            self.pipeline = self.load()
        self.places.remove_leftovers(job.output)
        with collect_notes() as notes:
            reason = self._attempt(self.pipeline, job)
        if reason and _done_elsewhere(job):  # where the file system knows no claims
            return "elsewhere", "", []
        return "failed" if reason else "done", reason, notes

    def _attempt(self, pipeline: MattingPipeline, job: BatchJob) -> str:
        """Why the photo could not be cut; empty when its result has been written."""
        try:
            self.crop = _cut_one(pipeline, job, self.options)
        except BudgetError as error:  # the next photo may be smaller
            return str(error)
        except (SettingError, FolderError, DeviceLostError):  # so would all the others
            raise
        except MEMatteError as error:
            return str(error).removeprefix(f"{job.photo}: ")
        except MemoryError:
            return "not enough memory; use a smaller copy or a lower retention"
        except Exception as error:
            logger.debug("%s failed", job.photo, exc_info=True)
            return f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        return ""


def _done_elsewhere(job: BatchJob) -> bool:
    """Another run has written the result since this one was planned."""
    return stamp(job.output) not in (None, job.before)


def _cut_one(pipeline: MattingPipeline, job: BatchJob, options: BatchOptions) -> Crop | None:
    """Where the result lay in the photo, if it was cropped."""
    photo = read_photo(job.photo, layer=options.layer, input_space=options.input_space)
    guide: object = job.guide
    if options.guide_layer is not None:
        guide = Layer(job.guide, options.guide_layer)
    if options.masks:
        guide = from_mask(
            guide,
            size=photo.size,
            objects=options.objects,
            inside=options.inside,
            outside=options.outside,
            unit=options.unit,
        )
    check_writable(job.output, overwrite=options.overwrite)
    matte = pipeline(photo, guide, retention=options.retention, memory_budget=options.memory_budget)
    shaped = matte.with_edge(options.edge)
    shaped.save(
        job.output,
        kind=options.kind,
        bits=options.bits,
        quality=options.quality,
        overwrite=options.overwrite,
        premultiplied=options.premultiplied,
    )
    return shaped.crop
