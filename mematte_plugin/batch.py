"""A folder of photos, each with its trimap or mask, cut one after the other.

Results appear whole or not at all, so that a batch that was killed goes on where it stopped.
"""

from __future__ import annotations

import logging
import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np

from .batch_report import BatchItem, BatchReport, Status
from .decoding import READABLE
from .edges import Edge
from .errors import BudgetError, InputError, MEMatteError, OutputError, SettingError
from .images import Layer, read_photo
from .labels import Objects, parse_objects
from .memory.units import parse_bytes
from .notes import collect_notes, warn_user
from .pipeline import Budget, MattingPipeline
from .retention import Retention
from .trimap import trimap_for
from .writing import FORMATS, check_writable, write_image

GUIDE_ENDINGS = ("", "_trimap", "_mask")
"""What may follow the photo's stem in the name of its trimap or mask; the first match counts."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchJob:
    """One photo of a batch, before it is looked at."""

    photo: Path
    """The photograph."""
    output: Path
    """Where its result goes."""
    guide: Path | None
    """Its trimap or mask; None where there is none."""
    problem: str
    """Why it cannot be cut, as far as the file names tell; empty where it can."""


@dataclass(frozen=True)
class BatchOptions:
    """How every photo of a batch is cut and saved."""

    masks: bool = False
    """The guides are rough masks, of which trimaps are made, and not trimaps."""
    objects: Objects = None
    """For masks that are label maps: the ids that are the subject; None for the only one."""
    inside: float | None = None
    """For masks: reach of the unknown band into the subject; None for `trimap.from_mask`'s own."""
    outside: float | None = None
    """For masks: reach of the unknown band out of the subject."""
    unit: Literal["%", "px"] = "%"
    """For masks: of inside and outside."""
    layer: str | None = None
    """Of EXR photos of several layers, the one to cut; see `images.Layer`."""
    guide_layer: str | None = None
    """Of EXR trimaps or masks of several layers, the layer or channel to take."""
    kind: Literal["cutout", "alpha"] = "cutout"
    """What is saved."""
    suffix: str = ".png"
    """Of the output files; decides their format."""
    bits: int | None = None
    """Depth of the output, as for `Matte.save`."""
    quality: int | None = None
    """Of JPEG and WebP, as for `Matte.save`."""
    edge: Edge = field(default_factory=Edge)
    """How every matte is shaped and cropped, as by `Matte.with_edge`."""
    retention: Retention = "auto"
    """As for `MattingPipeline`."""
    memory_budget: Budget = None
    """As for `MattingPipeline`; a photo for which it is too small fails."""
    overwrite: bool = False
    """Do photos again whose output is there already."""
    pair: str | None = None
    """How the names of photos and guides belong together, as "{name}_plate.{n}:{name}_matte.{n}";
    None finds out."""
    recursive: bool = False
    """Also the photos in folders inside the folder; the results are laid out in the same way."""

    def __post_init__(self) -> None:
        parse_objects(self.objects)
        if self.memory_budget is not None:
            parse_bytes(self.memory_budget)
        formats = {s: f for s, f in FORMATS.items() if self.kind == "alpha" or f != "jpeg"}
        if self.suffix not in formats:
            what = "cut-outs" if self.kind == "cutout" else "alphas"
            raise SettingError(f"suffix {self.suffix!r}: {what} are saved as {', '.join(formats)}")


def run_batch(
    folder: str | Path,
    guides: str | Path,
    output: str | Path,
    options: BatchOptions = BatchOptions(),
    *,
    load: Callable[[], MattingPipeline] = MattingPipeline.from_pretrained,
    on_item: Callable[[BatchItem], None] | None = None,
) -> BatchReport:
    """Cut all photos of a folder; one that fails does not stop the others.

    Args:
        folder: the photos (not those in folders inside it).
        guides: folder of trimaps, or with options.masks of masks, matched by name: of hair.jpg
            that is hair.png, hair_trimap.png or hair_mask.png, of any image suffix.
        output: folder for the results, made where it does not exist (but not the one around it).
        options: how each photo is cut and saved.
        load: makes the pipeline; called once, and only if there is something to do.
        on_item: told about every photo as soon as it is finished.

    Raises InputError, OutputError or SettingError for what concerns the batch as a whole, and
    WeightsError where the network cannot be loaded.
    """
    items = []
    for item in cut_all(plan_batch(folder, guides, output, options), options, load=load):
        items.append(item)
        if on_item is not None:
            on_item(item)
    report = BatchReport(tuple(items))
    for line in report.note_lines():
        warn_user(line)
    return report


def plan_batch(
    folder: str | Path, guides: str | Path, output: str | Path, options: BatchOptions
) -> list[BatchJob]:
    """The jobs of a batch, sorted by name. Nothing is read but the names, nothing is written.

    Raises InputError where a folder is missing or holds no photo, OutputError where results would
    end up among the photos or guides or cannot be written at all, SettingError for a depth that
    the format lacks.
    """
    _check_format(options)
    folder, guides, output = Path(folder), Path(guides), Path(output)
    shared = _same(folder, guides)
    photos = [p for p in _images(folder, "photos") if not (shared and _is_guide(p))]
    if not photos:
        raise InputError(
            f"{folder}: holds no photos; give a folder of {', '.join(sorted(READABLE))} files"
        )
    by_stem: dict[str, list[Path]] = {}
    for path in _images(guides, "masks" if options.masks else "trimaps"):
        if not shared or _is_guide(path):
            by_stem.setdefault(_key(path.stem), []).append(path)
    if _same(output, folder) or _same(output, guides):
        raise OutputError(
            f"{output}: is a folder of the inputs; results of the same name would be taken for"
            " them: choose another one"
        )
    ending = "_alpha" if options.kind == "alpha" else ""
    first_of: dict[str, Path] = {}
    jobs = []
    for photo in photos:
        guide, problem = _guide_of(photo, by_stem, guides, options)
        twin = first_of.setdefault(_key(photo.stem), photo)
        if twin != photo:
            problem = f"has the same name as {twin.name}, and so the same output; rename one"
        jobs.append(
            BatchJob(photo, output / f"{photo.stem}{ending}{options.suffix}", guide, problem)
        )
    _check_folder(output, to_write=any(_is_open(job, options) for job in jobs))
    return jobs


def cut_all(
    jobs: Iterable[BatchJob],
    options: BatchOptions,
    *,
    load: Callable[[], MattingPipeline] = MattingPipeline.from_pretrained,
) -> Iterator[BatchItem]:
    """Do the jobs one by one, yielding each as it is finished; see `run_batch`."""
    pipeline: MattingPipeline | None = None
    began = time.time()
    for job in jobs:
        start = perf_counter()
        status: Status = "failed"
        reason = job.problem
        notes: list[str] = []
        if _is_open(job, options):
            # What is wrong with the network, an option or the output folder is wrong for every
            # photo: it passes through and ends the batch.
            if pipeline is None:
                pipeline = load()
            with collect_notes() as notes:
                reason = _attempt(pipeline, job, options, began)
            status = "failed" if reason else "done"
        elif not reason:
            status = "skipped"
        seconds = perf_counter() - start
        yield BatchItem(
            job.photo, job.output, status, reason, seconds, guide=job.guide, notes=tuple(notes)
        )


class _FolderError(OutputError):
    """The output folder cannot be made."""


def _is_open(job: BatchJob, options: BatchOptions) -> bool:
    """There is something to do, as far as the names tell."""
    return not job.problem and (options.overwrite or not os.path.isfile(job.output))


def _attempt(pipeline: MattingPipeline, job: BatchJob, options: BatchOptions, began: float) -> str:
    """Why the photo could not be cut; empty when its result has been written."""
    try:
        _cut_one(pipeline, job, options, began)
    except BudgetError as error:  # the next photo may be smaller
        return str(error)
    except (SettingError, _FolderError):
        raise
    except MEMatteError as error:
        return str(error).removeprefix(f"{job.photo}: ")
    except MemoryError:
        return "not enough memory; use a smaller copy or a lower retention"
    except Exception as error:
        logger.debug("%s failed", job.photo, exc_info=True)
        return f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def _cut_one(pipeline: MattingPipeline, job: BatchJob, options: BatchOptions, began: float) -> None:
    photo = read_photo(job.photo, layer=options.layer)
    guide: object = job.guide
    if options.guide_layer is not None:
        guide = Layer(job.guide, options.guide_layer)
    if options.masks:
        guide = trimap_for(
            photo,
            guide,
            objects=options.objects,
            inside=options.inside,
            outside=options.outside,
            unit=options.unit,
        )
    if job.output.parent.exists():
        check_writable(job.output, overwrite=options.overwrite)
    matte = pipeline(photo, guide, retention=options.retention, memory_budget=options.memory_budget)
    # Only now, so that a batch of which nothing comes leaves no empty folder.
    try:
        job.output.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise _cannot_be_made(job.output.parent, error) from error
    _remove_leftovers(job.output, began)
    matte.with_edge(options.edge).save(
        job.output,
        kind=options.kind,
        bits=options.bits,
        quality=options.quality,
        overwrite=options.overwrite,
    )


def _remove_leftovers(output: Path, began: float) -> None:
    """What runs that were killed while they wrote this file left beside it; see `write_image`."""
    path = Path(os.path.realpath(output))
    ours = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{8}\.tmp")
    # Failures to tidy up are no failures of the photo.
    with suppress(OSError):
        for entry in list(os.scandir(path.parent)):
            if ours.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    if entry.stat().st_mtime < began:
                        os.unlink(entry.path)


# ---- what is wrong for every photo ---------------------------------------------------------------


def _check_format(options: BatchOptions) -> None:
    """Write a pixel into memory. Raises SettingError for a depth that the format lacks."""
    pixel = np.zeros((1, 1) if options.kind == "alpha" else (1, 1, 4), np.float32)
    try:
        write_image(
            BytesIO(), pixel, bits=options.bits, quality=options.quality, fmt=options.suffix
        )
    except OutputError as error:
        text = str(error).replace("the output", f"suffix {options.suffix}")
        if error.__cause__ is None:
            raise SettingError(text) from None
        raise OutputError(text) from error  # a library is missing


def _check_folder(output: Path, *, to_write: bool) -> None:
    """Raises OutputError where no results can be written, as far as that can be foreseen."""
    try:
        if output.is_dir():
            if to_write and not os.access(output, os.W_OK | os.X_OK):
                raise OutputError(f"{output}: is read-only; choose another folder")
        elif output.exists():
            raise OutputError(f"{output}: is a file; name a folder for the results")
        elif not output.parent.is_dir():
            raise OutputError(
                f"{output}: cannot be made, there is no folder {output.parent}; create it first"
            )
        elif not os.access(output.parent, os.W_OK | os.X_OK):
            raise OutputError(
                f"{output}: cannot be made, {output.parent} is read-only; choose another folder"
            )
    except OSError as error:  # a name too long, a folder not to be looked into
        raise _cannot_be_made(output, error) from error


def _cannot_be_made(output: Path, error: OSError) -> _FolderError:
    return _FolderError(f"{output}: cannot be made ({error.strerror}); choose another folder")


# ---- names ---------------------------------------------------------------------------------------


def _images(folder: Path, what: str) -> list[Path]:
    """The image files of a folder by name; hidden ones, unfinished outputs too, do not count."""
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
        )
    except FileNotFoundError:
        raise InputError(f"{folder}: there is no such folder; check the path") from None
    except NotADirectoryError:
        raise InputError(f"{folder}: is a file; give the folder of the {what}") from None
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be read ({error.strerror}); check the path and rights"
        ) from error


def _key(stem: str) -> str:
    # macOS hands out decomposed names: the same umlaut in two spellings.
    return unicodedata.normalize("NFC", stem)


def _is_guide(path: Path) -> bool:
    return path.stem.endswith(tuple(ending for ending in GUIDE_ENDINGS if ending))


def _guide_of(
    photo: Path, by_stem: dict[str, list[Path]], guides: Path, options: BatchOptions
) -> tuple[Path | None, str]:
    """The photo's trimap or mask, or None and why there is none."""
    what = "mask" if options.masks else "trimap"
    stem = _key(photo.stem)
    for ending in GUIDE_ENDINGS:
        found = by_stem.get(stem + ending, [])
        if len(found) == 1:
            return found[0], ""
        if found:
            names = ", ".join(path.name for path in found)
            return None, f"has {len(found)} {what}s ({names} in {guides}); keep one of them"
    return None, f"has no {what}: name it {photo.stem}.png or {photo.stem}_{what}.png in {guides}"


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
