"""Masks and trimaps in any form that people have them, read as (H, W) from 0 to 1.

Two values are a mask, whatever they are. Label maps, palettes, brushes and odd levels are read
where they can mean one thing only, and otherwise refused with a list of their contents.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from ..errors import InputError, warn_user
from ..images.arrays import full_scale, to_unit
from ..images.decoded import MAX_PIXELS, Decoded
from ..images.read import ImageSource, grey_name, of_layer, opened
from . import mask_colours
from .grey_levels import KNOWN
from .labels import Objects, count_values, flatness, mask_of_objects, parse_objects, strips
from .mask_shapes import as_picture
from .mask_values import FEW_LABELS, Reading, Role, is_whole, read_values

_GREY_SLACK = 2 / 255 + 1e-6  # between the channels of a grey picture after JPEG or conversion
_TINT = 0.2  # between the channels of a photographed trimap, under a warm lamp
_FLAT = 0.5  # least share of a label map that is in flat areas
_PART = 0.01  # least share of the pixels that is no accident


def read_mask(
    source: ImageSource,
    *,
    name: str = "mask",
    objects: Objects = None,
    max_pixels: int = MAX_PIXELS,
    layer: str | None = None,
    soft: bool = False,
) -> np.ndarray:
    """Read a mask of a subject as (H, W) float32: 0 background, 1 subject, softly between.

    source: as for `read_photo`, of any integer type, bool or float, also with axes of length 1. A
        transparent picture is read by its alpha, a coloured one if it holds two colours and their
        mixtures.
    name: what messages call it, followed by its path.
    objects: the subject's ids in a label map, 1 or [1, 3], or its colours in a coloured one,
        "#ff0000". None takes the only object.
    max_pixels: larger files are refused by their header, before decoding.
    layer: of an EXR with several layers or parts, the one to take; see `Layer`.
    soft: its greys mean something: levels far from black and white are not stretched.

    Warns (MEMatteWarning) where levels are stretched or a choice was made for the user. Raises
    InputError like `read_photo`, and for photographs, stacks of masks, and label maps of several
    objects without a choice; SettingError for objects that are not ids.
    """
    ids = parse_objects(objects)
    decoded, picture, name = _opened(source, name, "mask", max_pixels, layer=layer)
    if decoded.indices is not None and (ids is not None or _is_label_palette(decoded)):
        counts = count_values(decoded.indices) or {}
        if ids is not None or len(counts) > 2 or 0 in counts:
            return mask_of_objects(decoded.indices, counts, ids, name)
        picture = decoded.indices
    if picture.ndim == 3 and picture.shape[2] == 4:
        picture = _mask_or_colours(picture, name)
    if picture.ndim == 3:
        picture, grey = _grey_of_mask(picture, ids, name)
        ids = ids if grey else None
    return read_values(picture, Reading("mask", name, ids, decoded.lossy, soft))


def read_trimap(
    source: ImageSource,
    *,
    name: str = "trimap",
    max_pixels: int = MAX_PIXELS,
    layer: str | None = None,
) -> np.ndarray:
    """Read a trimap as (H, W) float32: 0 background, 1 foreground, unknown between.

    source: as for `read_mask`; also the labels 0, 1 and 2 where 1 separates the others, and black,
        white and one colour, which is unknown. Of a trimap painted in black and white, transparent
        parts are unknown.
    name, max_pixels, layer: as for `read_mask`.

    Warns and raises as `read_mask` does.
    """
    decoded, picture, name = _opened(source, name, "trimap", max_pixels, layer=layer)
    if decoded.indices is not None and _is_label_palette(decoded):
        counts = count_values(decoded.indices) or {}
        if max(counts, default=0) <= FEW_LABELS and 1 < len(counts) <= 3:
            return read_values(decoded.indices, Reading("trimap", name))
    if picture.ndim == 3 and picture.shape[2] == 4:
        painted = _painted_on_transparent(picture, name)
        if painted is not None:
            return painted
        picture = picture[..., :3]
    if picture.ndim == 3:
        picture = _grey_of_trimap(picture, name)
    return read_values(picture, Reading("trimap", name, lossy=decoded.lossy))


def _opened(
    source: ImageSource, name: str, role: Role, max_pixels: int, *, layer: str | None
) -> tuple[Decoded, np.ndarray, str]:
    """The decoded source, its pixels as (H, W), (H, W, 3) or (H, W, 4), and its name."""
    source, layer = of_layer(source, layer)
    name = grey_name(source, name)
    decoded = opened(source, name, max_pixels, role, layer)
    pixels = as_picture(decoded.pixels, source, name)
    if decoded.linear and pixels.dtype.kind == "f":
        low, high = float(pixels.min()), float(pixels.max())
        if (low < 0 or high > 1) and not is_whole(pixels):
            warn_user(f"{name}: values from {low:.3g} to {high:.3g} are clipped to [0, 1]")
            pixels = pixels.clip(0.0, 1.0)
    return decoded, pixels, name


# ---- colours -------------------------------------------------------------------------------------


def _is_label_palette(decoded: Decoded) -> bool:
    """Whether a palette's indices are labels: its colours are neither greys nor shades of one."""
    pixels, indices = decoded.pixels, decoded.indices
    if indices is None or pixels.ndim == 2:
        return False
    if pixels.shape[2] == 4 and (pixels[..., 3] < 255).any():
        return False
    pixels = pixels[..., :3]
    index, first = np.unique(indices, return_index=True)
    used = pixels.reshape(-1, 3)[first]
    if int(np.ptp(used, axis=1).max()) <= round(255 * _GREY_SLACK):
        return False
    if _is_common_colour_map(index, used):
        return True
    # Two colours and their mixtures are a painting that was saved with a palette.
    if mask_colours.two_colours(*mask_colours.find_colours(pixels)) is not None:
        return False
    return len(index) <= mask_colours.MOST and flatness(indices) >= _FLAT


def _is_common_colour_map(index: np.ndarray, used: np.ndarray) -> bool:
    """Whether the labels have the colours of PASCAL VOC, DAVIS and YouTube-VOS."""
    red, green, blue = (np.zeros(len(index), int) for _ in range(3))
    rest = index.astype(int)
    for bit in range(7, -1, -1):
        red |= (rest & 1) << bit
        green |= (rest >> 1 & 1) << bit
        blue |= (rest >> 2 & 1) << bit
        rest >>= 3
    return bool((np.stack([red, green, blue], axis=1) == used).all())


def _mask_or_colours(picture: np.ndarray, name: str) -> np.ndarray:
    """Of (H, W, 4) the alpha, or the colours where the alpha says nothing."""
    alpha, colours = picture[..., 3], picture[..., :3]
    low, high = alpha.min(), alpha.max()
    if low == high:  # opaque, or as transparent everywhere
        if high == 0 and (colours == colours[:1, :1]).all():
            raise InputError(f"{name}: is empty: all of it is transparent; paint the subject")
        return colours
    visible = to_unit(alpha) >= 0.5
    grey = to_unit(colours)
    if visible.any() and float(_between_channels(grey)[visible].max()) <= _GREY_SLACK:
        shown = grey[..., 1][visible]
        black, white = (float(part.mean()) for part in (shown <= KNOWN, shown >= 1 - KNOWN))
        if min(black, white) >= _PART and black + white > 1 - 5 * _PART:
            # White on black, with a transparent margin.
            return np.where(visible, grey[..., 1], np.float32(0))
    return np.ascontiguousarray(alpha)


def _grey_of_mask(
    pixels: np.ndarray, ids: tuple[int, ...] | None, name: str
) -> tuple[np.ndarray, bool]:
    """(H, W) of a mask in colour: a channel if it is grey, else the subject's colour's share.

    Returns it, and whether it is grey, so that its values may still be labels.
    """
    if _spread(pixels) <= _GREY_SLACK:
        return np.ascontiguousarray(pixels[..., 1]), True
    colours, shares = mask_colours.find_colours(pixels)
    two = mask_colours.two_colours(colours, shares)
    if two is not None and ids is None:
        found = mask_colours.background_first(*two, pixels)
        if found is None:
            first, second = (f"#{colour.label:06x}" for colour in two)
            raise InputError(
                f"{name}: holds the colours {first} and {second}, and either may be the subject;"
                f" choose with --object '{first}' (in Python objects=…), or paint it white on black"
            )
        background, subject, by_border = found
        if by_border:
            warn_user(
                f"{name}: is painted in two colours; #{background.label:06x}, which lies along the"
                f" border, is taken for the background and #{subject.label:06x} for the subject"
            )
        return mask_colours.mixture(pixels, background, subject), False
    if mask_colours.are_flat(colours):
        labels = mask_colours.colour_labels(pixels)
        counts = count_values(labels)
        if counts is not None:
            main = {colour.label for colour in colours}
            counts = {label: count for label, count in counts.items() if label in main}
            return mask_of_objects(labels, counts, ids, name, colours=True), False
    _refuse_colours(name, "mask")


def _grey_of_trimap(pixels: np.ndarray, name: str) -> np.ndarray:
    """(H, W) of a trimap in colour: grey, with a colour for unknown, or photographed."""
    if _spread(pixels) <= _GREY_SLACK:
        return np.ascontiguousarray(pixels[..., 1])
    colours, shares = mask_colours.find_colours(pixels)
    painted = mask_colours.painted_trimap(pixels, colours)
    if painted is not None:
        warn_user(f"{name}: is painted in black, white and a colour, which is taken for unknown")
        return painted
    if len(colours) > 1 and max(colour.spread for colour in colours) <= _TINT:
        darkest = min(colours, key=lambda colour: sum(colour.rgb))
        lightest = max(colours, key=lambda colour: sum(colour.rgb))
        gathered = sum(sorted((colour.share for colour in colours), reverse=True)[:3])
        contrast = (sum(lightest.rgb) - sum(darkest.rgb)) / 3
        if gathered >= 0.8 and contrast > 0.5 and mask_colours.on_line(shares, darkest, lightest):
            unit: np.ndarray = to_unit(pixels).mean(axis=2)
            return unit
    _refuse_colours(name, "trimap")


def _refuse_colours(name: str, role: Role) -> NoReturn:
    expected = "a white subject on black" if role == "mask" else "black, white and grey"
    raise InputError(
        f"{name}: is a colour picture, not a trimap or mask; give one in {expected} (were photo and"
        f" {role} swapped?)"
    )


def _between_channels(pixels: np.ndarray) -> np.ndarray:
    """(H, W): the largest less the smallest channel of (H, W, 3)."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    # One channel after the other: numpy's reductions over a short axis are slow.
    most = np.maximum(np.maximum(red, green), blue)
    return np.asarray(most - np.minimum(np.minimum(red, green), blue))


def _spread(pixels: np.ndarray) -> float:
    """The largest difference between the channels of a pixel, in [0, 1]."""
    top = full_scale(pixels.dtype)
    return max(float(_between_channels(rows).max()) / top for rows in strips(pixels))


def _painted_on_transparent(picture: np.ndarray, name: str) -> np.ndarray | None:
    """A trimap of grey brush strokes on nothing; None for other pictures."""
    alpha = to_unit(picture[..., 3])
    visible = alpha >= 0.5
    if float(visible.mean()) > 1 - _PART or not visible.any():
        return None
    colours = to_unit(picture[..., :3])
    if float(_between_channels(colours)[visible].max()) > _GREY_SLACK:
        return None
    grey = colours[..., 1]
    shown = grey[visible]
    black, white = bool((shown <= KNOWN).any()), bool((shown >= 1 - KNOWN).any())
    if not white:
        return None
    if black:
        warn_user(f"{name}: is transparent in parts, which are taken for unknown")
        return np.where(visible, grey, np.float32(0.5))
    return np.where(visible, grey, np.float32(0))
