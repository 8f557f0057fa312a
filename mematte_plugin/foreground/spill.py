"""Despill: finding a screen's colour, and taking its light out of the subject's edge."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np

from ..errors import InputError, SettingError, warn_user
from ..images.arrays import scaled_down, to_unit
from ..images.colour_names import colour_of, parse_colour
from ..images.colour_spaces import convert, srgb
from ..images.photo import Photo
from ..notebook import LONGEST

Despill: TypeAlias = str | tuple[float, ...]
""""off", "auto", or the screen's colour: a name, "#rrggbb", 0–255 or floats in [0, 1]."""

SAMPLES = 40_000
"""Most pixels of the known background that are examined for its colour."""
NEAR = 0.15
"""How far around the unknown band the background is examined, as a share of the longer side."""
CHROMA, SATURATION, PRIMARY = 0.2, 0.5, 0.65
"""Least chroma and saturation of a green or blue screen, display-encoded, and how far at most its
middle channel lies from its least towards its greatest."""
RED_CHROMA, RED_SATURATION, RED_PRIMARY = 0.4, 0.75, 0.3
"""The same of a red one: wood, brick and skin are red too, and red taken out of skin leaves it
grey."""
ALIKE, ALIKE_SHARE = 0.24, 0.6
"""A screen has one colour: this share of its pixels differs by at most this much in hue."""
RIM = 0.012
"""How far into the subject a screen's light reaches, fading, as a share of the longer side."""
LEAST_CHROMA = 0.08
"""A colour with less is a grey, without a hue to take out."""
STRIP = 256


def check_despill(given: Any) -> None:
    """Raises SettingError unless it is off, auto, or a colour with a hue."""
    if given not in ("off", "auto"):
        named_key(given)


def named_key(given: Any) -> np.ndarray:
    """(3,) float32 in [0, 1], display-encoded: the screen's colour.

    Raises SettingError unless it is a colour with a hue.
    """
    remedy = "give off, auto, or the screen's colour, as green or #00b140"
    found = None
    if isinstance(given, str):
        found = parse_colour(given)
    elif isinstance(given, tuple | list | np.ndarray):
        with suppress(InputError):
            found = tuple(colour_of(tuple(given)))
    if found is None or found[3] != 1:
        raise SettingError(f"despill {given!r}: is not a colour; {remedy}")
    key = np.array(found[:3], np.float32)
    if float(key.max() - key.min()) < LEAST_CHROMA:
        raise SettingError(f"despill {given!r}: is a grey, without a hue to take out; {remedy}")
    return np.asarray(key)


def found_key(shown: np.ndarray, background: np.ndarray, unknown: np.ndarray) -> np.ndarray | None:
    """The colour (3,) of a green, blue or red screen behind the subject; None without one.

    shown: (h, w, 3) float in [0, 1], display-encoded; a small copy of the photo will do.
    background, unknown: (h, w) bool, the known background and the unknown band.
    """
    near = background & _around(unknown, max(2, round(NEAR * max(background.shape))))
    colours = shown[near if near.any() else background]
    if not len(colours):
        return None
    colours = colours[:: max(1, len(colours) // SAMPLES)]
    key = np.asarray(np.median(colours, axis=0), np.float32)
    least, middle, most = np.sort(key)
    chroma = float(most - least)
    red = key[0] >= most
    least_chroma = RED_CHROMA if red else CHROMA
    saturation, primary = (RED_SATURATION, RED_PRIMARY) if red else (SATURATION, PRIMARY)
    if chroma < max(least_chroma, saturation * float(most)) or middle - least > primary * chroma:
        return None
    # Light falls off across a screen, but its hue stays.
    weights = _weights(key)
    hues = (colours - colours.min(axis=1, keepdims=True)) / np.maximum(
        colours.max(axis=1, keepdims=True) - colours.min(axis=1, keepdims=True), 1e-3
    )
    tinted = np.ptp(colours, axis=1) >= CHROMA / 2
    alike = tinted & (np.abs(hues - weights).mean(axis=1) <= ALIKE)
    return key if float(alike.mean()) >= ALIKE_SHARE else None


def key_for(photo: Photo, trimap: np.ndarray, despill: Despill) -> np.ndarray | None:
    """(3,) float32: the screen's colour in the photo's encoding; None to take nothing out.

    Warns (MEMatteWarning) where "auto" finds no screen.
    """
    if despill == "off":
        return None
    if despill == "auto":
        small = scaled_down(trimap, LONGEST)
        background = small == 0
        shown = to_unit(photo.proxy(LONGEST))
        key = found_key(shown, background, ~background & (small < 1))
        if key is None:
            warn_user(
                f"{photo.name}: despill auto finds no green, blue or red screen in the known"
                " background, and takes nothing out; name the colour, as despill green"
            )
            return None
        if not photo.linear:  # the proxy is in the photo's own encoding
            return key
    else:
        key = named_key(despill)
    # The proxy of scene-linear light is sRGB, and so is a named colour.
    return convert(key, srgb(), photo.space or srgb())


def despilled(
    colours: np.ndarray, alpha: np.ndarray, key: np.ndarray | None, *, in_place: bool = False
) -> np.ndarray:
    """The colours without the key's hue, see `take_out`; in_place: change this very array."""
    if key is None:
        return colours
    if not in_place:
        colours = np.array(colours, np.float32)
    take_out(colours, alpha, key)
    return colours


def take_out(colours: np.ndarray, alpha: np.ndarray, key: np.ndarray) -> None:
    """Take the key's hue out of colours at and near a soft edge, in place.

    colours: (H, W, 3) float32, of any range.
    alpha: (H, W) float32 in [0, 1], before levels or choke.
    key: (3,) the screen's colour in the colours' own encoding.

    Spill is the excess of the key's strongest channel over the mean of the other two. It is removed
    completely where alpha is below 1, and less and less towards the inside of the subject; the
    key's middle channel loses in proportion.
    """
    weights = _weights(key).astype(np.float32)
    over = np.full(3, -0.5, np.float32)
    over[np.argmax(weights)] = 1
    unit = float(over @ weights)  # the key's own spill
    rim = max(3, round(RIM * max(alpha.shape)))
    for top in range(0, len(alpha), STRIP):
        rows = slice(top, min(top + STRIP, len(alpha)))
        share = _share(alpha, rows, rim)
        if not share.any():
            continue
        part = colours[rows]
        spill = np.maximum(part @ over, 0)
        spill *= share / np.float32(unit)
        # A hue between two primaries may overshoot in the lesser one.
        floor = np.minimum(part, 0)
        part -= spill[..., None] * weights
        np.maximum(part, floor, out=part)


def _weights(key: np.ndarray) -> np.ndarray:
    """1 for the key's strongest channel, 0 for its weakest."""
    key = np.asarray(key, np.float64)
    return np.asarray((key - key.min()) / (key.max() - key.min()))


def _share(alpha: np.ndarray, rows: slice, rim: int) -> np.ndarray:
    """The share of spill to remove: 1 where alpha is below 1, falling to 0 `rim` pixels inside."""
    import cv2

    above = max(0, rows.start - rim)
    strip = alpha[above : rows.stop + rim]
    solid = (strip >= 1).view(np.uint8)
    height = rows.stop - rows.start
    if solid.all():
        return np.zeros((height, alpha.shape[1]), np.float32)
    distance = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inner = distance[rows.start - above :][:height]
    return np.asarray((1 - inner / np.float32(rim)).clip(0, 1), np.float32)


def _around(region: np.ndarray, pixels: int) -> np.ndarray:
    import cv2

    if not region.any():
        return region
    distance = cv2.distanceTransform((~region).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(distance <= pixels)
