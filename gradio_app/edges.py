"""The edge of a result: shaped anew from what its job left behind, without the network."""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mematte_plugin import Edge, InputError, Matte, collect_notes, normalise_trimap, trim_memory

from .engine import Result, read_upload, save_matte
from .settings import Settings
from .views import make_view

COLORS = "foreground"
"""What lies under the alpha, unless the photo's own colours are wanted."""
KEPT_PIXELS = 12_000_000
"""Up to this size the latest matte's colours stay in memory, so that a slider's next step is
quick; for larger ones they are estimated each time."""


def edge_of(  # noqa: PLR0917  # each is a control
    black: float | None = 0,
    white: float | None = 1,
    choke: float | None = 0,
    feather: float | None = 0,
    despill: str | None = "off",
    crop: bool | None = False,
    margin: float | None = 0,
    *,
    colors: Any = COLORS,
) -> Edge:
    """What the controls say. Raises SettingError for values out of their range."""
    lying: Any = colors or COLORS
    levels: Any = (0 if black is None else black, 1 if white is None else white)
    return Edge(
        levels=None if levels == (0, 1) else levels,
        choke=choke or 0,
        feather=feather or 0,
        despill=despill or "off",
        colors=lying,
        crop=bool(crop),
        margin=(margin or 0) if crop else 0,  # type: ignore[arg-type]  # it is checked there
    )


def reshape(result: Result, edge: Edge, settings: Settings) -> Result:
    """A result with another edge, from the same run of the network.

    Raises InputError where its files have been swept meanwhile.
    """
    base = result.base or result
    if edge in (result.edge, Edge()):
        return result if edge == result.edge else base
    assert base.source is not None  # the page's results have one
    assert base.view is not None
    with collect_notes() as notes:
        matte = _matte(base, settings).with_edge(edge)
    folder = base.source.folder / f"edge_{secrets.token_hex(4)}"
    folder.mkdir()
    cutout, alpha, tiff = save_matte(matte, folder, base.source.photo.stem or "photo", tiff=True)
    # The page itself chooses between both colours.
    shown = make_view(matte.shaped(colors="foreground"), None, folder / "view")
    facts = {key: matte.facts()[key] for key in ("width", "height", "crop")}
    trim_memory()
    return Result(
        cutout=cutout,
        alpha=alpha,
        tiff=tiff,
        report={**base.report, **facts, "notes": [*base.report["notes"], *notes]},
        notes=tuple(notes),
        view=replace(shown, routing=base.view.routing, captions=base.view.captions),
        base=base,
        edge=edge,
    )


def _matte(base: Result, settings: Settings) -> Matte:
    assert base.source is not None
    try:
        made = _read(base.source.alpha, base.source.trimap, base.source.photo, settings)
    except OSError as error:
        raise InputError("result: was kept for a while and is gone; press Cut again") from error
    if made.alpha.size > KEPT_PIXELS:
        _read.cache_clear()
    else:
        made.compute_foreground()
    return made


@lru_cache(maxsize=1)
def _read(alpha: Path, trimap: Path, photo: Path, settings: Settings) -> Matte:
    values = np.load(alpha)
    with collect_notes():  # they were told when the job ran
        taken = read_upload(photo, settings)
        three = normalise_trimap(np.load(trimap), taken.size)
    return Matte(values, taken, three)
