"""Float values that people hand in: [0, 1], light beyond it, or a mistake."""

from __future__ import annotations

import numpy as np

from ..errors import InputError

SLACK = 1e-3
"""Resampling and half precision overshoot [0, 1] by this much."""

_LARGEST = 1e12  # float32 can still compute every curve of this
_BRIGHT = 10  # of 0 to 255 nearly all are above; of HDR next to none


def check_unit(pixels: np.ndarray, name: str) -> np.ndarray:
    """A mask or trimap as float32 within [0, 1]. Raises InputError for values far from it."""
    low, high = finite_range(pixels, name)
    if low < -SLACK or high > 1 + SLACK:
        eight_bit = _BRIGHT < high <= 255 and low >= 0
        remedy = "divide by 255" if eight_bit else "clip or scale them to [0, 1]"
        raise InputError(
            f"{name}: float values run from {low:.4g} to {high:.4g}, not 0 to 1; {remedy}"
        )
    pixels = pixels.astype(np.float32, copy=False)
    return pixels.clip(0.0, 1.0) if low < 0 or high > 1 else pixels


def check_colours(pixels: np.ndarray, name: str, *, light: bool) -> np.ndarray:
    """Float colours (H, W) or (H, W, C) as float32: HDR stays, a mistake is refused.

    light: they are known to be scene-linear light, which may have any range.

    Raises InputError for NaN, infinity, and for what looks like 0 to 255 or normalised numbers.
    """
    low, high = finite_range(pixels, name)
    if max(-low, high) > _LARGEST:
        raise InputError(
            f"{name}: holds values from {low:.4g} to {high:.4g}, which no light has; is it damaged?"
            " Export it again"
        )
    values = pixels.astype(np.float32, copy=False)
    if low >= 0 and high <= 1:
        return values
    if not light and low >= -SLACK and high <= 1 + SLACK:
        return values.clip(0.0, 1.0)
    remedy = None if light else _mistake(values, low, high)
    if remedy is not None:
        raise InputError(f"{name}: float values run from {low:.4g} to {high:.4g}, {remedy}")
    if values.ndim == 3 and values.shape[2] == 4:
        values = values.copy() if values is pixels else values
        values[..., 3].clip(0, 1, out=values[..., 3])
    return values


def finite_range(pixels: np.ndarray, name: str) -> tuple[float, float]:
    """The least and the greatest value. Raises InputError for NaN and infinity."""
    # min and max of an array with NaN are NaN: one pass each, no temporary of the array's size.
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(pixels.size - np.count_nonzero(np.isfinite(pixels)))
        raise InputError(f"{name}: holds {bad} NaN or infinite values; repair or replace them")
    return low, high


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
