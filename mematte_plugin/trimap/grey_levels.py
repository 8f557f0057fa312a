"""Black, white and noise of masks and trimaps: levels are relative where they say so clearly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import warn_user

KNOWN = 0.02
"""How near to 0 or 1 a value counts as known: JPEG noise and rounding do."""

WEAK = 0.15
"""How far from black or white noise, and the ringing of JPEG, may take a value."""

BESIDE = 3
"""Pixels around an edge within which weak greys belong to it."""

_BINS, _FINER = 256, 16
_WINDOW = 5  # bins on either side that count for a peak
_REACH = 12  # bins on either side that a noisy peak takes up
_LEAST = 0.002  # share of the pixels that makes a peak
_OF_REST, _FEWEST = 0.1, 8  # or share of what is not in the largest one, and pixels
_AT_LEAST = 0.1  # of its half's largest peak, that a peak beyond it has if it is no overshoot
_BARS = 0.1  # of the contrast, between the black of bars and that of the mask
_CLEAR = 0.6  # share of the pixels in the peaks, from which on levels are clear
_EXACT = 0.6  # share of the cleaner peak that has exactly one value, where there is no noise
_PLAIN = 0.01  # share of black, and of white, that is no overshoot beside an edge
_CONTRAST = 0.012  # between black and white at least; 10 bits of 16 are 0.0156

# Where the grey is that stands for unknown, in a trimap without white or without black.
_BESIDE_BLACK = (0.19, 0.65)  # linear mid-grey is 0.214
_BESIDE_WHITE = (0.35, 0.65)
_NEAR = 0.15  # what counts for black or white then


@dataclass(frozen=True)
class Peak:
    """A value that many pixels have, more or less."""

    at: float
    """The value."""
    share: float
    """Of the pixels, near to it."""
    exact: float
    """Of these, that have just this value (to 1/4096 of the range)."""


def find_peaks(values: np.ndarray) -> list[Peak]:
    """The peaks of the histogram of (H, W) float32 values, darkest first."""
    import cv2

    low, high = float(values.min()), float(values.max())
    if not low < high:
        return [Peak(low, 1.0, 1.0)]
    above = float(np.nextafter(np.float32(high), np.float32(np.inf)))  # the limit is exclusive
    fine = cv2.calcHist([values], [0], None, [_BINS * _FINER], [low, above])
    fine = fine.astype(np.float64).ravel() / values.size
    shares = fine.reshape(_BINS, _FINER).sum(axis=1)
    smooth = np.convolve(shares, np.ones(2 * _WINDOW + 1), "same")
    # Of a plateau of the smoothed histogram, the middle is where the values are.
    rank = smooth + shares * 1e-3
    free = np.ones(_BINS, bool)
    found: list[Peak] = []
    least = 0.0
    for bin_ in np.argsort(-rank, kind="stable"):
        if smooth[bin_] < least:
            break
        if not free[bin_]:
            continue
        near = slice(max(0, bin_ - _REACH), bin_ + _REACH + 1)
        share = float(shares[near][free[near]].sum())
        free[near] = False
        core = slice(max(0, bin_ - _WINDOW) * _FINER, (bin_ + _WINDOW + 1) * _FINER)
        mode = core.start + int(fine[core].argmax())
        at = low + (high - low) * _centre(mode, _BINS * _FINER)
        found.append(Peak(at, share, float(fine[core].max()) / share if share else 0.0))
        if not least:  # beside a small subject nearly everything is in the first peak
            least = max(min(_LEAST, _OF_REST * (1 - share)), _FEWEST / values.size)
    return sorted(found, key=lambda peak: peak.at)


def _centre(bin_: int, bins: int) -> float:
    """Those at the ends stand for the ends: the darkest value is black to the last digit."""
    return 0.0 if bin_ == 0 else 1.0 if bin_ == bins - 1 else (bin_ + 0.5) / bins


def settle_mask(values: np.ndarray, name: str, top: float, *, lossy: bool = False) -> np.ndarray:
    """A mask with its black at 0 and its white at 1, as far as its histogram shows them.

    values: (H, W) float32, of any range.
    top: what 1 stands for in messages: 255 for 8 bit.
    lossy: it comes from a JPEG or the like.

    Greys that differ from black or white by noise only are soft beside an edge alone. Masks with
    values near 0 and near 1, and soft ones without clear levels, come back as they are.
    """
    peaks = find_peaks(values)
    if len(peaks) < 2:
        return values
    half = (peaks[0].at + peaks[-1].at) / 2
    dark = [peak for peak in peaks if peak.at <= half]
    black = next(peak for peak in dark if peak.share >= _AT_LEAST * max(p.share for p in dark))
    light = [peak for peak in peaks[::-1] if peak.at > half]
    white = next(peak for peak in light if peak.share >= _AT_LEAST * max(p.share for p in light))
    # Bars of another black (letterboxes, padding) are beside the mask's own, and smaller.
    bars = _BARS * (white.at - black.at)
    black = max((p for p in dark if p.at - black.at <= bars), key=lambda peak: peak.share)
    white = max((p for p in light if white.at - p.at <= bars), key=lambda peak: peak.share)
    if not (_is_clear(values, black, white) and black.share + white.share >= _CLEAR):
        return values
    noisy = lossy or max(black.exact, white.exact) < _EXACT
    return _stretched(values, (black.at, white.at), name, top, noisy=noisy)


def _is_clear(values: np.ndarray, black: Peak, white: Peak) -> bool:
    """Whether most of what is about as dark as black, and about as light as white, is in the peak.

    In a soft mask without plateaus, light values are spread.
    """
    quarter = (white.at - black.at) / 4
    dark = float((values < black.at + quarter).mean())
    light = float((values > white.at - quarter).mean())
    return 2 * black.share >= dark and 2 * white.share >= light


def _is_plain(values: np.ndarray) -> bool:
    """Whether there is black as well as white, so that no other level is either of them."""
    black = np.count_nonzero(values <= KNOWN)
    white = np.count_nonzero(values >= 1 - KNOWN)
    return bool(min(black, white) >= _PLAIN * values.size)


def settle_trimap(values: np.ndarray, name: str, top: float, *, lossy: bool = False) -> np.ndarray:
    """A trimap with its black at 0 and its white at 1; see `settle_mask`."""
    if _is_plain(values):
        return without_specks(values) if lossy else values
    peaks = find_peaks(values)
    main: list[Peak] = []
    bars = _BARS * (peaks[-1].at - peaks[0].at) if peaks else 0.0
    for peak in peaks:  # bars of another black are beside the trimap's own
        if main and peak.at - main[-1].at <= bars:
            main[-1] = max(main[-1], peak, key=lambda one: one.share)
        elif peak.share >= _LEAST:
            main.append(peak)
    if len(main) < 2 or sum(sorted(peak.share for peak in main)[-3:]) < _CLEAR:
        return values
    low, high = main[0].at, main[-1].at
    if len(main) == 2 and low <= _NEAR and _BESIDE_BLACK[0] <= high <= _BESIDE_BLACK[1]:
        high = 1.0 if low <= KNOWN else 1 - low  # there is no white
    elif len(main) == 2 and _BESIDE_WHITE[0] <= low <= _BESIDE_WHITE[1] and high >= 1 - _NEAR:
        low = 0.0 if high >= 1 - KNOWN else 1 - high  # there is no black
    noisy = lossy or max(main[0].exact, main[-1].exact) < _EXACT
    return _stretched(values, (low, high), name, top, noisy=noisy)


def _stretched(
    values: np.ndarray, ends: tuple[float, float], name: str, top: float, *, noisy: bool
) -> np.ndarray:
    """Values with these ends at 0 and 1, unless they are that already, and without noise."""
    black, white = ends
    if white - black < _CONTRAST:
        return values
    low, high = float(values.min()), float(values.max())
    off = abs(black) > KNOWN or abs(1 - white) > KNOWN
    if off:
        # Of a trimap without white, or black, that end is not in the picture.
        seen = [one for one in (black, white) if low - KNOWN <= one <= high + KNOWN]
        at, full = " to ".join(_shown(one, top) for one in seen), _shown(1, top)
        if len(seen) > 1:
            told = f"its levels run from {at}, not from 0 to {full}, and are stretched to that"
        else:
            told = f"its levels end at {at}, not at 0 and {full}, and are stretched to that"
        warn_user(f"{name}: {told}")
        values = ((values - np.float32(black)) / np.float32(white - black)).clip(0, 1)
    return without_specks(values) if noisy else values


def without_specks(values: np.ndarray) -> np.ndarray:
    """Weak greys that no edge and no stronger grey is beside become 0 or 1.

    values: (H, W) float32 in [0, 1]; returned as they are where there are none.
    """
    import cv2

    dark = (values > KNOWN) & (values <= WEAK)
    light = (values < 1 - KNOWN) & (values >= 1 - WEAK)
    if not (dark.any() or light.any()):
        return values
    kernel = np.ones((3, 3), np.uint8)
    subject = (values >= 0.5).view(np.uint8)
    edge = cv2.dilate(subject, kernel) != cv2.erode(subject, kernel)
    edge |= (values > WEAK) & (values < 1 - WEAK)
    reach = np.ones((2 * BESIDE + 1, 2 * BESIDE + 1), np.uint8)
    far = cv2.dilate(edge.view(np.uint8), reach) == 0
    if not (far & (dark | light)).any():
        return values
    values = values.copy()
    values[dark & far] = 0
    values[light & far] = 1
    return values


def _shown(value: float, top: float) -> str:
    return f"{value:.3g}" if top == 1 else f"{value * top:.0f}"
