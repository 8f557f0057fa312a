"""A matte made of another one: its edge shaped, its colours changed, or cropped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, MEMatteError, SettingError, warn_user
from ..images.arrays import scaled_down, to_unit
from ..images.crops import crop_around
from ..progress import Progress
from .bleed import reach_further
from .edges import Edge, shape_alpha
from .estimate import estimate_foreground
from .spill import despilled, key_for

if TYPE_CHECKING:
    from ..matte import Matte


def whole_of(matte: Matte) -> Matte:
    """The matte that this is a crop of, or itself."""
    return matte.made_from if matte.crop is not None and matte.made_from is not None else matte


def shape_matte(matte: Matte, edge: Edge) -> Matte:
    """See `Matte.with_edge`."""
    if edge == Edge() and edge == matte.edge:
        return matte
    whole = whole_of(matte)
    if edge.despill == matte.edge.despill:
        key = matte.key
    else:
        key = key_for(whole.photo, whole.trimap, edge.despill)
    made = replace(
        whole,
        alpha=shape_alpha(whole.alpha, edge) if edge.shapes_alpha else whole.alpha,
        edge=edge,
        made_from=whole.made_from or whole,
        key=key,
    )
    if edge.crop:
        return crop_matte(made, edge.margin)
    return made if matte.crop is None else crop_matte(made, matte.edge.margin)


def crop_matte(matte: Matte, margin: int) -> Matte:
    """See `Matte.cropped`."""
    edge = replace(matte.edge, crop=True, margin=margin)
    whole = whole_of(matte)
    least = 0.5 / (255 if whole.photo.bits == 8 else 65535)
    crop = crop_around(whole.alpha, int(edge.margin), least)
    if crop is None:
        warn_user(f"{whole.photo.name}: nothing of it is opaque, so that nothing is cropped")
        return whole
    box, own = crop.box, whole.photo.alpha
    photo = replace(
        whole.photo, pixels=whole.photo.pixels[box], alpha=None if own is None else own[box]
    )
    return replace(
        whole,
        alpha=whole.alpha[box],
        photo=photo,
        trimap=whole.trimap[box],
        edge=edge,
        crop=crop,
        made_from=whole,
    )


def compute_colours(matte: Matte, progress: Progress | None) -> np.ndarray:
    """(H, W, 3) float32, what `Matte.foreground` is; computed anew.

    They are estimated for the network's own alpha: that is how subject and background were mixed,
    whatever the edge has become.
    """
    origin = matte.made_from
    if origin is None:
        return _estimated(matte, matte.photo.pixels, matte.alpha, progress)
    if matte.crop is not None:
        return origin.compute_foreground(progress)[matte.crop.box]
    if matte.edge.colors == "photo":
        return despilled(matte.photo.as_float(), origin.alpha, matte.key)
    # Not kept there as well where nobody has asked for them: they are the largest array.
    known: np.ndarray | None = origin.__dict__.get("foreground")
    colours = compute_colours(origin, progress) if known is None else known
    further = reach_further(colours, origin.alpha, matte.alpha)
    return despilled(further, origin.alpha, matte.key, own=further is not known)


def small_colours(matte: Matte, alpha: np.ndarray, longest: int) -> np.ndarray:
    """The same of a small copy; alpha: the matte's, of that size."""
    pixels = scaled_down(matte.photo.pixels, longest)
    whole = whole_of(matte)
    origin = whole.made_from or whole
    before = alpha
    if origin is not matte:
        before = origin.alpha if matte.crop is None else origin.alpha[matte.crop.box]
        before = scaled_down(before, longest)
    if matte.edge.colors == "photo":
        return despilled(to_unit(pixels), before, matte.key)
    colours = _estimated(matte, pixels, before)
    return despilled(reach_further(colours, before, alpha), before, matte.key, own=True)


def _estimated(
    matte: Matte, pixels: np.ndarray, alpha: np.ndarray, progress: Progress | None = None
) -> np.ndarray:
    """The foreground's colours; the photo's own, with a warning, where they cannot be had."""
    device = "cpu" if matte.plan is None else matte.plan.device
    room = matte.plan.budget if matte.plan is not None and device == "cpu" else None
    try:
        return estimate_foreground(pixels, alpha, room=room, device=device, progress=progress)
    except InputError:
        raise
    except SettingError:  # the matte has come to a machine without that device
        return estimate_foreground(pixels, alpha, progress=progress)
    except MEMatteError as error:
        reason = str(error)
    warn_user(f"{matte.photo.name}: the old background's tint stays in the colours: {reason}")
    colours = to_unit(pixels)
    colours[alpha <= 0] = 0
    return colours
