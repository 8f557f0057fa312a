"""Cutting a folder of photos one by one, each with its trimap or mask.

Results appear whole or not at all, so that a killed batch continues where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from ..errors import (
    BudgetError,
    DeviceLostError,
    MEMatteError,
    SettingError,
    WeightsError,
    collect_notes,
    warn_user,
)
from ..images.crops import Crop
from ..images.encode import check_writable
from ..images.read import Layer, read_photo
from ..memory.retention import check_retention
from ..memory.units import parse_bytes
from ..subject.ready import release_subjects
from .claims import FolderError, OutputFolders, claimed
from .listing import BatchEntry, BatchListing, list_batch, stamp, to_do
from .options import BatchOptions
from .report import BatchItem, BatchReport, Status

if TYPE_CHECKING:
    from ..matte import Matte
    from ..pipeline import MattingPipeline

POLL = 0.2
"""Seconds between looks at the photos that other runs are working on."""

logger = logging.getLogger(__name__)


def run_batch(
    folder: str | Path,
    guides: str | Path | None,
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
        guides: folder of trimaps, or with options.masks of masks, or with options.alphas of soft
            masks, matched by name: the guide of hair.jpg is hair.png, hair_trimap.png,
            hair_mask.png or mask-hair.png, of any image suffix, or another name with the same words
            and numbers; or as options.pair says. May be the same folder, where hair_mask is a mask
            if there is a photo hair. None finds the subject of each photo, as `find_subject` does;
            the own alpha of a transparent photo serves as its mask.
        output: folder for the results, created if it is missing (but not the one around it).
        options: how each photo is cut and saved.
        load: makes the pipeline; called once, and only if there is something to do. None loads the
            built-in model.
        on_item: called with every photo as soon as it is finished.

    Raises InputError, OutputError or SettingError for what concerns the batch as a whole, such as
    names that do not belong together, and WeightsError if the network cannot be loaded.
    """
    options = options or BatchOptions()
    listing = list_batch(folder, guides, output, options)
    for note in listing.notes:
        warn_user(note)
    items = []
    for item in cut_all(listing, options, load=load):
        items.append(item)
        if on_item is not None:
            on_item(item)
    report = BatchReport(tuple(items), listing.notes)
    for line in report.note_lines():
        warn_user(line)
    return report


def cut_all(
    listing: BatchListing,
    options: BatchOptions,
    *,
    load: Callable[[], MattingPipeline] | None = None,
    on_wait: Callable[[Sequence[BatchEntry]], None] | None = None,
) -> Iterator[BatchItem]:
    """Cut the photos one by one, yielding each as it is finished; see `run_batch`.

    on_wait: called once, with the photos that other runs are working on, when no others are left.
    """
    try:
        with OutputFolders(listing.output) as folders:
            run = _Run(options, folders, load)
            left: Sequence[BatchEntry] = listing.entries
            while left:
                claimed_elsewhere = []
                for entry in left:
                    item = run.try_one(entry)
                    if item is None:
                        claimed_elsewhere.append(entry)
                    else:
                        yield item
                if len(claimed_elsewhere) == len(left):
                    if on_wait is not None:
                        on_wait(tuple(left))
                        on_wait = None
                    sleep(POLL)
                left = claimed_elsewhere
                folders.look_again()
            folders.remove_stale_claims(entry.output for entry in listing.entries)
    finally:
        release_subjects()


@dataclass
class _Run:
    """What the photos of a run have in common."""

    options: BatchOptions
    folders: OutputFolders
    load: Callable[[], MattingPipeline] | None
    pipeline: MattingPipeline | None = None
    crop: Crop | None = None
    """Where the latest result was in its photo."""
    subject: dict[str, Any] | None = None
    """What was found in it, if that was asked."""

    def try_one(self, entry: BatchEntry) -> BatchItem | None:
        """Cut a photo; None if another run is working on it."""
        start = perf_counter()
        self.crop = self.subject = None
        status: Status = "failed"
        reason = entry.problem
        notes: list[str] = []
        if to_do(entry, self.options):
            status = "elsewhere"
            if not _done_elsewhere(entry):
                make = partial(self.folders.make, entry.output.parent)
                with claimed(entry.output, make) as ours:
                    if not _done_elsewhere(entry):
                        if not ours:
                            return None
                        status, reason, notes = self._cut(entry)
        elif not reason:
            status = "skipped"
        return BatchItem(
            entry.photo,
            entry.output,
            status,
            reason,
            perf_counter() - start,
            guide=entry.guide,
            notes=tuple(notes),
            crop=self.crop if status == "done" else None,
            subject=self.subject if status == "done" else None,
        )

    def _cut(self, entry: BatchEntry) -> tuple[Status, str, list[str]]:
        # Errors about the network, an option or the output folder hold for every photo: they pass
        # through and end the batch.
        if self.pipeline is None:
            if self.load is None:
                from ..pipeline import MattingPipeline

                self.load = MattingPipeline.from_pretrained
            self.pipeline = self.load()
            check_retention(self.options.retention, self.pipeline.network.config)
        self.folders.remove_leftovers(entry.output)
        with collect_notes() as notes:
            reason = self._attempt(self.pipeline, entry)
        if reason and _done_elsewhere(entry):  # on a file system without locks
            return "elsewhere", "", []
        return "failed" if reason else "done", reason, notes

    def _attempt(self, pipeline: MattingPipeline, entry: BatchEntry) -> str:
        """Why the photo could not be cut; empty when its result has been written."""
        try:
            matte = _cut_one(pipeline, entry, self.options)
            self.crop = matte.crop
            self.subject = None if matte.subject is None else matte.subject.facts()
        except BudgetError as error:  # the next photo may be smaller
            return str(error)
        except (SettingError, FolderError, DeviceLostError, WeightsError):  # the same for all
            raise
        except MEMatteError as error:
            return str(error).removeprefix(f"{entry.photo}: ")
        except MemoryError:
            return "not enough memory; use a smaller copy or a lower retention"
        except Exception as error:
            logger.debug("%s failed", entry.photo, exc_info=True)
            return f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        return ""


def _done_elsewhere(entry: BatchEntry) -> bool:
    """Another run has written the result since this one started."""
    return stamp(entry.output) not in (None, entry.before)


def _cut_one(pipeline: MattingPipeline, entry: BatchEntry, options: BatchOptions) -> Matte:
    """The matte, once its result has been written."""
    photo = read_photo(entry.photo, layer=options.layer, input_space=options.input_space)
    given: object = entry.guide
    if given is not None and options.guide_layer is not None:
        given = Layer(given, options.guide_layer)
    guide = options.guide(photo, given)
    device = str(pipeline.device)
    guided = guide.guided(photo, device=device, keep_networks=True)
    check_writable(entry.output, overwrite=options.overwrite)
    budget = None if options.memory_budget is None else parse_bytes(options.memory_budget)
    matte = pipeline.cut_guided(photo, guided, retention=options.retention, budget=budget)
    shaped = matte.with_edge(options.edge)
    shaped.save(
        entry.output,
        kind=options.kind,
        bits=options.bits,
        quality=options.quality,
        overwrite=options.overwrite,
        premultiplied=options.premultiplied,
    )
    return shaped
