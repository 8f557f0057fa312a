"""Shapes the edge of a result from what its job saved, without running the network."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mematte_plugin import Edge, InputError, Matte, collect_notes, normalise_trimap, trim_memory

from .inputs import read_upload
from .job import Result, save_matte
from .pictures import write_pictures
from .settings import Settings

GONE = "result: was kept for a while and has been deleted; press Cut again"
KEPT_PIXELS = 12_000_000
"""Up to this size the latest matte's colours stay in memory, so that the next move of a slider is
quick; for larger ones they are estimated each time."""


def edge_from(controls: Sequence[Any], colors: Any) -> Edge:
    """The edge for the values of the controls: the two levels, choke, feather, despill, crop and
    margin. None is the default of each.

    Raises SettingError for values out of their range.
    """
    black, white, choke, feather, despill, crop, margin = controls
    levels = (black or 0, 1 if white is None else white)
    return Edge(
        levels=None if levels == (0, 1) else levels,
        choke=choke or 0,
        feather=feather or 0,
        despill=despill or "off",
        colors=colors or "foreground",
        crop=bool(crop),
        margin=(margin or 0) if crop else 0,
    )


def reshape(result: Result, edge: Edge, settings: Settings) -> Result:
    """A result with another edge, from the same run of the network.

    Raises InputError if its files have been swept.
    """
    base = result.base or result
    if edge == result.edge:
        return result
    if edge == Edge():
        return base
    assert base.pictures is not None  # the page's results have them
    with collect_notes() as notes:
        matte = _matte(base, settings).with_edge(edge)
    folder = base.folder / f"edge_{secrets.token_hex(4)}"
    folder.mkdir()
    cutout, alpha, tiff = save_matte(matte, folder, base.photo.stem or "photo", tiff=True)
    # The page itself chooses between both colours.
    pictures = write_pictures(matte.shaped(colors="foreground"), None, folder / "pictures")
    facts = {key: matte.facts()[key] for key in ("width", "height", "crop")}
    trim_memory()
    return replace(
        base,
        cutout=cutout,
        alpha=alpha,
        tiff=tiff,
        report={**base.report, **facts, "notes": [*base.report["notes"], *notes]},
        notes=tuple(notes),
        pictures=replace(pictures, routing=base.pictures.routing),
        base=base,
        edge=edge,
    )


def _matte(base: Result, settings: Settings) -> Matte:
    try:
        made = _read(base.saved, base.photo, settings)
    except OSError as error:
        raise InputError(GONE) from error
    if made.alpha.size > KEPT_PIXELS:
        _read.cache_clear()
    else:
        made.compute_foreground()
    return made


@lru_cache(maxsize=1)
def _read(saved: Path, photo: Path, settings: Settings) -> Matte:
    with np.load(saved) as values, collect_notes():  # the job has shown them
        read = read_upload(photo, settings)
        return Matte(values["alpha"], read, normalise_trimap(values["trimap"], read.size))
