"""What a batch has to do, as far as the names of files tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..errors import InputError, OutputError, SettingError
from ..images.encode import write_image
from ..images.formats import PICTURE_FORMATS
from .folder_scan import Named, developed, has_folders, same_folder, scan
from .name_words import composed, folded
from .pair_pattern import parse_pair
from .pairing import Pairing, pair_by_names, pair_by_pattern
from .report import listed
from .shared_folder import named_like_guides, split_by_pattern, split_shared

if TYPE_CHECKING:
    from .options import BatchOptions

Stamp: TypeAlias = tuple[int, int, int]
"""What changes when a file is written anew."""


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
    before: Stamp | None = None
    """The output that was there when the batch was planned; None without one."""


@dataclass(frozen=True)
class BatchPlan:
    """The jobs of a batch, and what a user should know before they are done."""

    jobs: tuple[BatchJob, ...]
    """One per photo, sorted by name."""
    output: Path
    """The folder for the results."""
    notes: tuple[str, ...] = ()
    """One sentence each: how photos and guides were paired, which guides no photo uses."""
    missing: tuple[str, ...] = ()
    """One sentence on the photos that have no guide, if there are any; they will fail."""


class FolderError(OutputError):
    """The output folder cannot be made."""


def plan_batch(
    folder: str | Path, guides: str | Path, output: str | Path, options: BatchOptions
) -> BatchPlan:
    """The jobs of a batch. Nothing is read but the names, nothing is written.

    Raises InputError where a folder is missing or holds no photo, no photo has a guide, photos and
    guides are numbered from different starts or two photos would have one result; OutputError where
    results would end up among the photos or guides or cannot be written at all; SettingError for a
    depth that the format lacks and for a pattern that is none.
    """
    _check_format(options)
    folder, guides, output = Path(folder), Path(guides), Path(output)
    if options.pair is not None:
        _check_pair(options.pair, recursive=options.recursive)
    check_folder(output, to_write=False)
    pairing, notes = _paired(folder, guides, output, options)
    if same_folder(output, folder) or same_folder(output, guides):
        raise OutputError(
            f"{output}: is a folder of the inputs; results of the same name would be taken for"
            " them: choose another one"
        )
    outputs = [_output_of(photo, output, options) for photo in pairing.photos]
    _check_collisions(pairing, outputs, output)
    if not pairing.guide_of and not pairing.problem_of:
        raise _nothing_paired(pairing, folder, recursive=options.recursive)
    jobs = tuple(
        BatchJob(
            photo.path,
            outputs[index],
            pairing.guide(index),
            pairing.problem(index),
            stamp(outputs[index]),
        )
        for index, photo in enumerate(pairing.photos)
    )
    check_folder(output, to_write=any(is_open(job, options) for job in jobs))
    return BatchPlan(jobs, output, (*notes, *pairing.notes()), pairing.missing())


def is_open(job: BatchJob, options: BatchOptions) -> bool:
    """There is something to do, as far as the names tell."""
    return not job.problem and (options.overwrite or job.before is None)


def stamp(path: Path) -> Stamp | None:
    """The state of a file, to see whether it is written anew; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # A folder of that name is in the way, which writing will tell.
    regular = S_ISREG(found.st_mode)
    return (found.st_ino, found.st_mtime_ns, found.st_size) if regular else None


def cannot_be_made(output: Path, error: OSError) -> FolderError:
    """The error for a folder that cannot be made."""
    return FolderError(f"{output}: cannot be made ({error.strerror}); choose another folder")


def check_folder(output: Path, *, to_write: bool) -> None:
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
        raise cannot_be_made(output, error) from error


def _check_format(options: BatchOptions) -> None:
    """Write a pixel into memory. Raises SettingError for a depth that the format lacks."""
    pixel = np.zeros((1, 1) if options.kind == "alpha" else (1, 1, 4), np.float32)
    try:
        write_image(
            BytesIO(),
            pixel,
            bits=options.bits,
            quality=options.quality,
            fmt=options.suffix,
            premultiplied=options.premultiplied,
        )
    except OutputError as error:
        text = str(error).replace("the output", f"suffix {options.suffix}")
        if error.__cause__ is None:
            raise SettingError(text) from None
        raise OutputError(text) from error  # a library is missing


def _check_pair(pair: str, *, recursive: bool) -> None:
    if any(side.path for side in parse_pair(pair)) and not recursive:
        raise SettingError(
            f"pair {pair!r}: names folders inside the folder, which only --recursive looks into"
        )


# ---- photos and guides ---------------------------------------------------------------------------


def _paired(
    folder: Path, guides: Path, output: Path, options: BatchOptions
) -> tuple[Pairing, list[str]]:
    what = "mask" if options.masks else "trimap"
    notes: list[str] = []
    shared = same_folder(folder, guides)
    photos = scan(
        folder,
        "photos",
        recursive=options.recursive,
        without=[output] if shared else [output, guides],
    )
    if shared:
        images = photos
        if options.pair is None:
            photos, found = split_shared(images, masks=options.masks)
        else:
            photos, found = split_by_pattern(images, options.pair)
        if odd := named_like_guides(photos, masks=options.masks):
            many = (
                "1 file is taken for a photo" if len(odd) == 1 else f"{len(odd)} files are photos"
            )
            names = listed(photo.name for photo in odd)
            notes.append(f"{folder}: {many}, though named as a {what} is: {names}")
    else:
        found = scan(guides, f"{what}s", recursive=options.recursive, without=[output, folder])
        if options.pair is not None:
            side = parse_pair(options.pair)[0]
            left_out = [photo.name for photo in photos if side.read(photo) is None]
            photos = [photo for photo in photos if side.read(photo) is not None]
            if left_out and photos:
                are = "is" if len(left_out) == 1 else "are"
                notes.append(
                    f"{folder}: {len(left_out)} {are} left out, not named as --pair '{side.text}':"
                    f" {listed(left_out)}"
                )
            elif left_out:
                raise InputError(
                    f"{folder}: no photo is named as --pair '{side.text}' says, as {left_out[0]} is"
                    " not; write the pattern after the names"
                )
    photos, undeveloped = developed(photos)
    if undeveloped:
        names = listed(photo.name for photo in undeveloped)
        notes.append(f"{folder}: camera raw files are left out beside the same photo: {names}")
    if not photos:
        deeper = not options.recursive and has_folders(folder)
        more = ", or pass --recursive for the folders inside it" if deeper else ""
        raise InputError(
            f"{folder}: holds no photos; give a folder of {PICTURE_FORMATS} files{more}"
        )
    if options.pair is None:
        return pair_by_names(photos, found, what, guides, shared=shared), notes
    return pair_by_pattern(photos, found, what, guides, options.pair), notes


def _nothing_paired(pairing: Pairing, folder: Path, *, recursive: bool) -> InputError:
    what, photo = pairing.what, pairing.photos[0]
    where = "" if pairing.shared else f" in {pairing.where}"
    if len(pairing.photos) == 1:
        none = f"{photo.path}: has no {what}{where}"
    else:
        none = f"{folder}: none of the {len(pairing.photos)} photos has a {what}{where}"
    is_not = f", and {pairing.guides[0].name} is not" if pairing.guides else ""
    if not pairing.guides and not recursive and has_folders(pairing.where):
        is_not = f"; {pairing.where} holds folders, which only --recursive looks into"
    return InputError(
        f"{none}: of {photo.name} that is {pairing.usual_names(photo.stem)}{is_not}; rename them,"
        f" or say what belongs together, as by --pair '{pairing.suggestion()}'"
    )


def _output_of(photo: Named, output: Path, options: BatchOptions) -> Path:
    ending = "_alpha" if options.kind == "alpha" else ""
    return output.joinpath(*photo.place, f"{photo.stem}{ending}{options.suffix}")


def _check_collisions(pairing: Pairing, outputs: Sequence[Path], output: Path) -> None:
    """Raises InputError where a result would take another's place."""
    first: dict[str, int] = {}
    for index, path in enumerate(outputs):
        other = first.setdefault(folded(str(path)), index)
        if other == index:
            continue
        if composed(str(path)) != composed(str(outputs[other])) and not _ignores_case(output):
            continue
        one, two = pairing.photos[other], pairing.photos[index]
        remedy = "rename one"
        if one.stem == two.stem:
            names = (guide.stem for guide in pairing.guides if one.stem in guide.stem)
            guide = next(names, one.stem).replace(one.stem, "{name}", 1)
            if pairing.shared and not pairing.guides:
                guide += two.suffix
            remedy += f", or name a suffix as in --pair '{{name}}{one.suffix}:{guide}'"
        raise InputError(
            f"{two.path}: would have the same result as {one.name}, {outputs[other].name}; {remedy}"
        )


def _ignores_case(folder: Path) -> bool:
    """The disk takes A.png for a.png, as far as the folder's own name tells."""
    for place in (folder, *folder.absolute().parents):
        swapped = place.with_name(place.name.swapcase()) if place.name else place
        if swapped != place and place.exists():
            return same_folder(place, swapped)
    return sys.platform in ("win32", "darwin")
