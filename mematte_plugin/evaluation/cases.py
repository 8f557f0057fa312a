"""The cases of an evaluation: choosing them from a data set, and reading their files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..images.photo import Photo
from ..images.read import read_gray, read_photo
from ..trimap.trimap import from_alpha, normalise_trimap
from .layouts import Case, Dataset


@dataclass(frozen=True)
class Inputs:
    """A case in memory; all of one size (H, W)."""

    photo: Photo
    """The photograph."""
    truth: NDArray[np.float32]
    """(H, W) in [0, 1], the true alpha."""
    trimap: NDArray[np.float32]
    """(H, W) of exactly 0, 0.5 and 1."""


def cases_of(
    dataset: Dataset, widths: Sequence[float] = (), limit: int | None = None
) -> list[Case]:
    """The cases of a data set, set of trimaps by set of trimaps.

    widths: instead of the data set's own trimaps, make some from the alpha, widened by these many
        pixels.
    limit: take only the first photographs, by name.

    Raises InputError where there are neither trimaps nor widths.
    """
    pictures = dataset.pictures[:limit]
    if widths:
        return [
            replace(one, trimap_name=f"{width:g} px", width=width)
            for width in widths
            for one in pictures
        ]
    wanted = {one.name for one in pictures}
    items = [item for item in dataset.items if item.name in wanted]
    if not items:
        raise InputError(
            f"{pictures[0].image.parent.parent}: holds no trimaps for its photographs; pass"
            " --widths 10 to have them made from the true alpha"
        )
    return sorted(items, key=lambda item: item.trimap_name)


def checksum(case: Case) -> str:
    """SHA-256 over the contents of the case's files. Raises InputError for one it cannot read."""
    digest = hashlib.sha256()
    for path in (case.image, case.alpha, case.trimap):
        if path is not None:
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()


def read(case: Case) -> Inputs:
    """Read a case's files.

    Nothing is resized: errors over resized pictures cannot be compared with published ones. Raises
    InputError for a file that cannot be read, for sizes that differ, and where nothing is unknown.
    """
    photo = read_photo(case.image)
    truth = read_gray(case.alpha, name="alpha")
    _check_size(case.alpha, truth, photo)
    drawn: NDArray[Any]
    if case.trimap is None:
        drawn = from_alpha(truth, width=case.width, keep_cores=False)
    else:
        drawn = read_gray(case.trimap, name="trimap")
        _check_size(case.trimap, drawn, photo)
    name = f"trimap of {case.name} ({case.trimap_name})"
    trimap = normalise_trimap(drawn, photo.size, name=name)
    if not (trimap == 0.5).any():
        raise InputError(f"{name}: leaves nothing unknown to measure over")
    return Inputs(photo, truth, trimap)


def _check_size(path: Path, found: NDArray[Any], photo: Photo) -> None:
    if found.shape != photo.size:
        height, width = photo.size
        raise InputError(
            f"{path}: is {found.shape[1]}×{found.shape[0]}, but the photograph is {width}×{height};"
            " replace it by one of that size"
        )
