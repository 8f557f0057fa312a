"""A screen's colour that its light has left on the subject's edge, and taking it out."""

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
"""Pixels of the known background that are looked at for its colour, at most."""
NEAR = 0.15
"""How far around the unknown the background is looked at, of the picture's longer side."""
CHROMA, SATURATION, PRIMARY = 0.2, 0.5, 0.65
"""A green or blue screen has at least so much of the first two, display-encoded; its middle channel
reaches at most so far from its least to its greatest."""
RED_CHROMA, RED_SATURATION, RED_PRIMARY = 0.4, 0.75, 0.3
"""A red one: wood, brick and skin are red as well, and red taken out of skin leaves it grey."""
ALIKE, ALIKE_SHARE = 0.12, 0.6
"""A screen has one colour: so many of its pixels have about the same hue."""
RIM = 0.012
"""How far into the subject a screen's light is looked for, as a share of the picture's longer
side; fading out to there."""
LEAST_CHROMA = 0.08
"""A colour with less is a grey, of which nothing can be taken out."""
STRIP = 256


def check_despill(given: Any) -> None:
    """Raises SettingError for what is neither off, nor auto, nor a colour with a hue."""
    if given not in ("off", "auto"):
        named_key(given)


def named_key(given: Any) -> np.ndarray:
    """(3,) float32 in [0, 1], display-encoded, of a screen's colour.

    Raises SettingError for what is no colour, or one without a hue.
    """
    remedy = "give off, auto, or the screen's colour, as green or #00b140"
    found = None
    if isinstance(given, str):
        found = parse_colour(given)
    elif isinstance(given, tuple | list | np.ndarray):
        with suppress(InputError):
            found = tuple(colour_of(tuple(given)))
    if found is None or found[3] != 1:
        raise SettingError(f"despill {given!r}: is no colour; {remedy}")
    key = np.array(found[:3], np.float32)
    if float(key.max() - key.min()) < LEAST_CHROMA:
        raise SettingError(f"despill {given!r}: is a grey, which has no hue to take out; {remedy}")
    return np.asarray(key)


def found_key(shown: np.ndarray, background: np.ndarray, unknown: np.ndarray) -> np.ndarray | None:
    """The colour (3,) of the screen behind the subject; None where there is no green, blue or red
    one.

    shown: (h, w, 3) float in [0, 1], display-encoded; a small copy of the photo will do.
    background, unknown: (h, w) bool, the known background, and what is unknown.
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
    # Light falls off across a screen, its hue stays.
    weights = _weights(key)
    hues = (colours - colours.min(axis=1, keepdims=True)) / np.maximum(
        colours.max(axis=1, keepdims=True) - colours.min(axis=1, keepdims=True), 1e-3
    )
    tinted = np.ptp(colours, axis=1) >= CHROMA / 2
    alike = tinted & (np.abs(hues - weights).mean(axis=1) <= ALIKE * 2)
    return key if float(alike.mean()) >= ALIKE_SHARE else None


def key_for(photo: Photo, trimap: np.ndarray, despill: Despill) -> np.ndarray | None:
    """(3,) float32: the screen's colour in the photo's encoding; None where nothing is taken out.

    A MEMatteWarning tells where "auto" finds no screen.
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
    colours: np.ndarray, alpha: np.ndarray, key: np.ndarray | None, *, own: bool = False
) -> np.ndarray:
    """The colours without the key's hue, see `take_out`; own: they may be changed in place."""
    if key is None:
        return colours
    if not own:
        colours = np.array(colours, np.float32)
    take_out(colours, alpha, key)
    return colours


def take_out(colours: np.ndarray, alpha: np.ndarray, key: np.ndarray) -> None:
    """Take the key's hue out of colours at and near a soft edge, in place.

    colours: (H, W, 3) float32, of any range.
    alpha: (H, W) float32 in [0, 1], as the light fell: before levels or choke.
    key: (3,) the screen's colour in the colours' own encoding.

    What the key's first channel has more than the mean of the other two is spill: all of it goes
    where alpha is below 1, and less and less towards the inside of the subject. Of the key's second
    channel as much goes as came with it.
    """
    weights = _weights(key).astype(np.float32)
    over = np.full(3, -0.5, np.float32)
    over[np.argmax(weights)] = 1
    unit = float(over @ weights)  # of spill, in so much of the key's hue
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
    """1 for the channel that the key has most of, 0 for the one it has least of."""
    key = np.asarray(key, np.float64)
    return np.asarray((key - key.min()) / (key.max() - key.min()))


def _share(alpha: np.ndarray, rows: slice, rim: int) -> np.ndarray:
    """How much of the spill goes: 1 where alpha is below 1, falling to 0 so far inside."""
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
