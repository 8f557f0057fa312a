"""How a photograph's numbers are meant: what its file and the user say becomes one statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, warn_user
from .colour_spaces import (
    INPUT_SPACES,
    LINEAR,
    REC709,
    ColourSpace,
    Primaries,
    convert,
    hdr_to_linear,
    matrix,
    srgb,
)
from .colour_tags import Told
from .decoded import Decoded, to_unit
from .encode import STRIP, to_steps
from .profiles import decoding_gamma, icc_profile, space_of

CLIPPED = 1.01
"""How many times white colours may be before it is said that they are clipped."""

_STRIP = 256
_SLACK = 1e-3  # resampling and half precision overshoot [0, 1] by this much
_LARGEST = 1e12  # of which float32 can still compute every curve
_BRIGHT = 10  # of 0 to 255 almost everything lies above; of HDR next to nothing


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a photo are; see `images.Photo` for the fields."""

    pixels: np.ndarray
    icc_profile: bytes | None
    linear: bool
    primaries: Primaries | None


def meaning_of(decoded: Decoded, pixels: np.ndarray, space: str | None, name: str) -> Meaning:
    """The colours of a decoded picture (H, W, 3), by the space it is said to be in, or its file.

    space: a name in `INPUT_SPACES`, or None.
    """
    told = decoded.told if space is None else Told(*INPUT_SPACES[space], space)
    if told is None:
        return Meaning(pixels, decoded.icc_profile, decoded.linear, None)
    if told.narrow:
        pixels = _full_range(pixels)
    if isinstance(told.transfer, str):
        warn_user(
            f"{name}: is an HDR picture ({told.transfer.upper()}); its colours become linear light"
            " with white at 203 cd/m²: save .exr or 32-bit .tif to keep what is brighter"
        )
        light = np.empty(pixels.shape, np.float32)
        for top in range(0, len(pixels), _STRIP):
            rows = slice(top, top + _STRIP)
            light[rows] = hdr_to_linear(to_unit(pixels[rows]), told.transfer, told.primaries)
        return Meaning(light, None, True, _other(told.primaries))
    if told.is_linear and (space is not None or decoded.linear):
        return Meaning(pixels, None, True, _other(told.primaries))
    icc = None if told.is_srgb else icc_profile(told.primaries, told.transfer, told.name)
    return Meaning(pixels, icc, False, None)


def _other(primaries: Primaries) -> Primaries | None:
    return None if primaries.close_to(REC709) else primaries


def _full_range(pixels: np.ndarray) -> np.ndarray:
    """Video levels, 16/255 to 235/255, spread to the full scale of the integers."""
    scale = (int(np.iinfo(pixels.dtype).max) + 1) // 256
    top = np.iinfo(pixels.dtype).max
    spread = (pixels.astype(np.float32) - 16 * scale) * (top / (219 * scale))
    return np.asarray(np.rint(spread.clip(0, top)).astype(pixels.dtype))


def space_of_photo(
    icc: bytes | None, linear: bool, primaries: Primaries | None
) -> ColourSpace | None:
    """What the numbers of a photo mean; None where its profile is more than a matrix."""
    if linear:
        return ColourSpace.of(primaries or REC709, LINEAR)
    return space_of(icc)


def to_display(
    icc: bytes | None, linear: bool, primaries: Primaries | None
) -> tuple[float, np.ndarray | None] | None:
    """The power to linear light, and (3, 3) from there to Rec. 709 or None; None if not needed.

    Display-encoded values of whatever space are left as they are.
    """
    if not linear:
        gamma = decoding_gamma(icc)
        return None if gamma is None else (gamma, None)
    if primaries is None:
        return 1.0, None
    return 1.0, matrix(ColourSpace.of(primaries, LINEAR), srgb())


@dataclass(frozen=True)
class Filed:
    """How a photo's colours go into a file.

    convert: (…, 3) float32 in the photo's encoding to what the format stores; beyond [0, 1] too.
    icc_profile, primaries: what the file says of them.
    """

    convert: Callable[[np.ndarray], np.ndarray]
    icc_profile: bytes | None
    primaries: Primaries | None

    def pixels(
        self, colours: np.ndarray, alpha: np.ndarray | None, bits: int | None, name: str
    ) -> np.ndarray:
        """(H, W, 3), or (H, W, 4) with an alpha, as the file stores them.

        bits: 8 or 16 for integers, any other for floats.

        Made strip by strip: as floats, a cut-out of 8K would take half a gigabyte.

        Warns (MEMatteWarning) where integers clip colours beyond white.
        """
        dtype = {8: np.uint8, 16: np.uint16}.get(bits or 0)
        out = np.empty((*colours.shape[:2], 3 if alpha is None else 4), dtype or np.float32)
        brightest = 0.0
        for top in range(0, len(out), STRIP):
            rows = slice(top, top + STRIP)
            part = to_unit(colours[rows])
            brightest = max(brightest, float(part.max()))
            part = self.convert(part)
            if alpha is not None:
                part = np.concatenate([part, alpha[rows, :, None]], axis=2, dtype=np.float32)
            out[rows] = part if dtype is None else to_steps(part, bits or 8)
        if dtype is not None:
            warn_if_clipped(brightest, name)
        return out


def filed(
    icc: bytes | None, linear: bool, primaries: Primaries | None, *, light: bool, name: str = ""
) -> Filed:
    """For a format that holds linear light (EXR), or for the others, which are display-encoded.

    Light stays in its primaries; what has an ICC profile becomes light of Rec. 709, which every
    reader assumes. Display-encoded files of light are sRGB.
    """
    if linear == light:
        return Filed(_as_it_is, icc, primaries)
    space = space_of_photo(icc, linear, primaries)
    if not light:
        source = ColourSpace.of(primaries or REC709, LINEAR)
        return Filed(lambda values: convert(values, source, srgb()), None, None)
    if space is None:
        warn_user(
            f"{name}: its ICC profile is more than a matrix, and EXR cannot hold it; its colours"
            " are written as if they were sRGB"
        )
        space = srgb()
    own, target = space, ColourSpace.of(REC709, LINEAR)
    return Filed(lambda values: convert(values, own, target), None, None)


def _as_it_is(values: np.ndarray) -> np.ndarray:
    return values


def warn_if_clipped(brightest: float, name: str) -> None:
    """For files of 8 and 16 bits: brightest is how many times white, in the photo's encoding."""
    if brightest > CLIPPED:
        warn_user(
            f"{name}: colours up to {brightest:.3g} times white are clipped; save .exr or a .tif of"
            " 32 bits to keep them"
        )


# ---- range ---------------------------------------------------------------------------------------


def check_range(pixels: np.ndarray, name: str, *, light: bool) -> np.ndarray:
    """Float colours (H, W) or (H, W, C) as float32: HDR stays, what is a mistake is refused.

    light: they are known to be scene-linear light, which may have any range.

    Raises InputError for NaN, infinity, and for what looks like 0 to 255 or normalised numbers.
    """
    # min and max of an array with NaN are NaN: one pass each, no temporary of the array's size.
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(pixels.size - np.count_nonzero(np.isfinite(pixels)))
        raise InputError(f"{name}: holds {bad} NaN or infinite values; repair or replace them")
    if max(-low, high) > _LARGEST:
        raise InputError(
            f"{name}: holds values from {low:.4g} to {high:.4g}, which no light has; is it damaged?"
            " Export it again"
        )
    values = pixels.astype(np.float32, copy=False)
    if low >= 0 and high <= 1:
        return values
    if not light and low >= -_SLACK and high <= 1 + _SLACK:
        return values.clip(0.0, 1.0)
    remedy = None if light else _mistake(values, low, high)
    if remedy is not None:
        raise InputError(f"{name}: float values run from {low:.4g} to {high:.4g}, {remedy}")
    if values.ndim == 3 and values.shape[2] == 4:
        values = values.copy() if values is pixels else values
        values[..., 3].clip(0, 1, out=values[..., 3])
    return values


def _mistake(values: np.ndarray, low: float, high: float) -> str | None:
    """What is wrong with values beyond [0, 1] and what to do; None for an HDR picture."""
    step = max(1, int((values.size / 1_000_000) ** 0.5))
    some = values[::step, ::step]
    lit = some[some != 0]
    above = float((some > 1).sum()) / max(1, lit.size)
    hdr = 'if they are light, say so: --input-space linear-srgb, input_space="linear-srgb"'
    # A colour outside the gamut has negative parts, but is not darker than black as a whole.
    most = some[..., :3].max(axis=2) if some.ndim == 3 else some
    if low < 0 and float((most < 0).mean()) > 0.05:
        return (
            "and many are darker than black; undo a normalisation by mean and deviation and give 0"
            f" to 1 (or {hdr})"
        )
    whole = bool((some == np.rint(some)).all())
    if high > 1 and (whole or above > 0.5):
        if high <= 255 * 1.05 and (whole or high > _BRIGHT):
            return f"not 0 to 1; divide by 255 ({hdr})"
        if 255 < high <= 65535 * 1.05 and whole:
            return f"not 0 to 1; divide by 65535 ({hdr})"
        return f"most of them above 1; scale them so that white is 1, or clip them ({hdr})"
    return None
