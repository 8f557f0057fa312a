"""What a batch has to do, by the names of files alone."""

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
from .claims import cannot_be_made
from .folder_scan import Named, developed, has_folders, same_folder, scan
from .name_words import GUIDE_WORDS, composed, folded
from .pair_pattern import Pattern, parse_pair
from .pairing import Pairing, pair_by_names, pair_by_pattern
from .report import listed
from .shared_folder import named_like_guides, split_by_pattern, split_shared

if TYPE_CHECKING:
    from .options import BatchOptions

Stamp: TypeAlias = tuple[int, int, int]
"""Differs after a file has been rewritten."""


@dataclass(frozen=True)
class BatchEntry:
    """One photo of a batch, before it is looked at."""

    photo: Path
    """The photograph."""
    output: Path
    """Where its result goes."""
    guide: Path | None
    """Its trimap or mask; None if it has none."""
    problem: str
    """Why it cannot be cut, as far as the file names tell; empty if it can."""
    before: Stamp | None = None
    """The output that existed when the batch was listed; None without one."""


@dataclass(frozen=True)
class BatchListing:
    """The photos of a batch, and what a user should know before they are cut."""

    entries: tuple[BatchEntry, ...]
    """One per photo, sorted by name."""
    output: Path
    """The folder for the results."""
    notes: tuple[str, ...] = ()
    """One sentence each: how photos and guides were paired, which guides no photo uses."""
    missing: tuple[str, ...] = ()
    """One sentence on the photos that have no guide, if there are any; they will fail."""


def list_batch(
    folder: str | Path, guides: str | Path | None, output: str | Path, options: BatchOptions
) -> BatchListing:
    """The photos of a batch. Only names are read, and nothing is written.

    guides: the folder of the trimaps, masks or alphas; None where subjects are to be found.

    Raises InputError if a folder is missing or holds no photo, no photo has a guide, photos and
    guides are numbered from different starts or two photos would have one result; OutputError if
    results would end up among the photos or guides or cannot be written at all; SettingError for a
    depth that the format lacks and for an invalid pattern.
    """
    _check_format(options)
    folder, output = Path(folder), Path(output)
    guides = None if guides is None else Path(guides)
    pair = None if options.pair is None else parse_pair(options.pair)
    if pair is not None and (pair[0].path or pair[1].path) and not options.recursive:
        raise SettingError(
            f"pair {options.pair!r}: names folders inside the folder, which only --recursive looks"
            " into"
        )
    check_folder(output, to_write=False)
    if guides is not None and (options.places or options.text or options.subject_model):
        raise SettingError(
            f"guides {guides}: say where the subjects are, so nothing is searched for; leave them"
            " out, or the points, box, text and subject_model"
        )
    if guides is None:
        pairing, notes = _alone(folder, output, options)
    else:
        pairing, notes = _paired(folder, guides, output, options, pair)
    if any(same_folder(output, given) for given in (folder, guides) if given is not None):
        raise OutputError(
            f"{output}: is a folder of the inputs; results of the same name would be taken for"
            " them: choose another one"
        )
    ending = "_alpha" if options.kind == "alpha" else ""
    outputs = [
        output.joinpath(*photo.place, f"{photo.stem}{ending}{options.suffix}")
        for photo in pairing.photos
    ]
    _check_collisions(pairing, outputs, output)
    if guides is not None and not pairing.guide_of and not pairing.problem_of:
        raise _nothing_paired(pairing, folder, recursive=options.recursive)
    entries = tuple(
        BatchEntry(
            photo.path,
            path,
            pairing.guide(index),
            "" if guides is None else pairing.problem(index),
            stamp(path),
        )
        for index, (photo, path) in enumerate(zip(pairing.photos, outputs, strict=True))
    )
    check_folder(output, to_write=any(to_do(entry, options) for entry in entries))
    if guides is None:
        return BatchListing(entries, output, tuple(notes))
    return BatchListing(entries, output, (*notes, *pairing.notes()), pairing.missing())


def to_do(entry: BatchEntry, options: BatchOptions) -> bool:
    """The photo has to be cut, as far as the names tell."""
    return not entry.problem and (options.overwrite or entry.before is None)


def stamp(path: Path) -> Stamp | None:
    """The state of a file, to see whether it is rewritten; None without one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # A folder of that name is in the way; writing will report it.
    regular = S_ISREG(found.st_mode)
    return (found.st_ino, found.st_mtime_ns, found.st_size) if regular else None


def check_folder(output: Path, *, to_write: bool) -> None:
    """Raises OutputError if no results can be written, as far as that can be foreseen."""
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


# ---- photos and guides ---------------------------------------------------------------------------


def _alone(folder: Path, output: Path, options: BatchOptions) -> tuple[Pairing, list[str]]:
    """The photos of a batch without guides, and notes; raises if some look like guides."""
    if options.pair is not None:
        raise SettingError("pair: needs a folder of guides; add one, or leave it out")
    photos, notes = _developed(
        scan(folder, "photos", recursive=options.recursive, without=[output]), folder, options
    )
    odd = [photo for masks in (True, False) for photo in split_shared(photos, masks=masks)[1]]
    odd += [photo for photo in photos if photo.stem.lower() in GUIDE_WORDS]
    if odd:
        names = listed(dict.fromkeys(photo.name for photo in odd))
        raise InputError(
            f"{folder}: holds what may be masks or trimaps of its photos, and no guides are asked"
            f" for: {names}; pass the folder as the guides, too (--masks, --trimaps), or move them"
        )
    return Pairing(photos, (), options.role, folder), notes


def _paired(
    folder: Path,
    guides: Path,
    output: Path,
    options: BatchOptions,
    pair: tuple[Pattern, Pattern] | None,
) -> tuple[Pairing, list[str]]:
    what = options.role
    notes: list[str] = []
    shared = same_folder(folder, guides)
    without = [output] if shared else [output, guides]
    photos = scan(folder, "photos", recursive=options.recursive, without=without)
    if shared:
        if pair is None:
            photos, found = split_shared(photos, masks=options.role != "trimap")
        else:
            photos, found = split_by_pattern(photos, pair)
        if odd := named_like_guides(photos, masks=options.role != "trimap"):
            many = (
                "1 file is taken for a photo" if len(odd) == 1 else f"{len(odd)} files are photos"
            )
            names = listed(photo.name for photo in odd)
            notes.append(f"{folder}: {many}, though named as a {what} is: {names}")
    else:
        found = scan(guides, f"{what}s", recursive=options.recursive, without=[output, folder])
        if pair is not None:
            photos, left_out = _matching(photos, pair[0], folder)
            notes += left_out
    photos, left_raw = _developed(photos, folder, options)
    notes += left_raw
    if pair is None:
        return pair_by_names(photos, found, what, guides, shared=shared), notes
    return pair_by_pattern(photos, found, what, guides, pair), notes


def _developed(
    photos: list[Named], folder: Path, options: BatchOptions
) -> tuple[list[Named], list[str]]:
    """The photos without camera raw files next to the same photo; raises if none are left."""
    photos, undeveloped = developed(photos)
    if not photos:
        deeper = not options.recursive and has_folders(folder)
        more = ", or pass --recursive for the folders inside it" if deeper else ""
        raise InputError(
            f"{folder}: holds no photos; give a folder of {PICTURE_FORMATS} files{more}"
        )
    if not undeveloped:
        return photos, []
    names = listed(photo.name for photo in undeveloped)
    return photos, [f"{folder}: camera raw files are left out next to the same photo: {names}"]


def _matching(photos: list[Named], side: Pattern, folder: Path) -> tuple[list[Named], list[str]]:
    """The photos that a pattern describes, and a note on the others."""
    kept = [photo for photo in photos if side.read(photo) is not None]
    left_out = [photo.name for photo in photos if side.read(photo) is None]
    if not left_out:
        return kept, []
    if not kept:
        raise InputError(
            f"{folder}: no photo is named as --pair '{side.text}' says, as {left_out[0]} is"
            " not; write the pattern after the names"
        )
    are = "is" if len(left_out) == 1 else "are"
    return kept, [
        f"{folder}: {len(left_out)} {are} left out, not named as --pair '{side.text}':"
        f" {listed(left_out)}"
    ]


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


def _check_collisions(pairing: Pairing, outputs: Sequence[Path], output: Path) -> None:
    """Raises InputError if a result would take another's place."""
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
