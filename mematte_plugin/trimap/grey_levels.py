"""Levels of masks and trimaps: black and white stretched to 0 and 1, and noise removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import warn_user

KNOWN = 0.02
"""How near to 0 or 1 a value counts as known: as near as JPEG noise and rounding leave it."""

WEAK = 0.15
"""How far from black or white noise, and the ringing of JPEG, may move a value."""

EDGE_REACH = 3
"""Pixels around an edge within which weak greys belong to it."""

_BINS, _FINER = 256, 16
_WINDOW = 5  # bins on either side that count towards a peak
_REACH = 12  # bins on either side that a noisy peak takes up
_LEAST = 0.002  # share of the pixels that makes a peak,
_OF_REST, _FEWEST = 0.1, 8  # or share of those outside the largest peak, and number of pixels
_AT_LEAST = 0.1  # of its half's largest peak: a smaller one beyond it is an overshoot
_BARS = 0.1  # of the contrast, between the black of bars and the mask's own
_CLEAR = 0.6  # least share of the pixels in the peaks of clear levels
_EXACT = 0.6  # least share of a peak with exactly one value, where there is no noise
_PLAIN = 0.01  # least share of black, and of white, that is more than an overshoot at an edge
_CONTRAST = 0.012  # least difference of black and white; 10 bits of 16 are 0.0156

# Where the grey for unknown is in a trimap without white or without black.
_BESIDE_BLACK = (0.19, 0.65)  # linear mid-grey is 0.214
_BESIDE_WHITE = (0.35, 0.65)
_NEAR = 0.15  # how near to 0 or 1 the other level lies then


@dataclass(frozen=True)
class Peak:
    """A value that many pixels have, about."""

    at: float
    """The value."""
    share: float
    """Share of the pixels near it."""
    exact: float
    """Share of these with exactly this value (to 1/4096 of the range)."""


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
    # On a plateau of the smoothed histogram, the bin with the values ranks first.
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
        if not least:  # with a small subject, nearly everything is in the first peak
            least = max(min(_LEAST, _OF_REST * (1 - share)), _FEWEST / values.size)
    return sorted(found, key=lambda peak: peak.at)


def _centre(bin_: int, bins: int) -> float:
    """A bin's value in [0, 1]; the outermost bins are exactly 0 and 1."""
    return 0.0 if bin_ == 0 else 1.0 if bin_ == bins - 1 else (bin_ + 0.5) / bins


def stretch_mask(
    values: np.ndarray, name: str, top: float, *, lossy: bool = False, most: float = 1.0
) -> np.ndarray:
    """A mask with its black at 0 and its white at 1, where its histogram shows them clearly.

    values: (H, W) float32, of any range.
    top: the value of 1 in messages: 255 for 8 bit.
    lossy: the mask comes from a JPEG or the like.
    most: how far from 0 and 1 its black and white may be; farther ones are greys.

    Greys that differ from black or white by noise only stay soft only near an edge. Masks with
    values near 0 and near 1, and soft ones without clear levels, are returned unchanged.
    """
    peaks = find_peaks(values)
    if len(peaks) < 2:
        return values
    half = (peaks[0].at + peaks[-1].at) / 2
    dark = [peak for peak in peaks if peak.at <= half]
    black = next(peak for peak in dark if peak.share >= _AT_LEAST * max(p.share for p in dark))
    light = [peak for peak in peaks[::-1] if peak.at > half]
    white = next(peak for peak in light if peak.share >= _AT_LEAST * max(p.share for p in light))
    # Bars of another black (letterboxes, padding) have a smaller peak near the mask's own.
    bars = _BARS * (white.at - black.at)
    black = max((p for p in dark if p.at - black.at <= bars), key=lambda peak: peak.share)
    white = max((p for p in light if white.at - p.at <= bars), key=lambda peak: peak.share)
    if not (_is_clear(values, black, white) and black.share + white.share >= _CLEAR):
        return values
    if max(black.at, 1 - white.at) > most:
        return values
    noisy = lossy or max(black.exact, white.exact) < _EXACT
    return _stretched(values, black.at, white.at, name, top, noisy=noisy)


def _is_clear(values: np.ndarray, black: Peak, white: Peak) -> bool:
    """Whether most dark values are in black's peak, and most light ones in white's.

    In a soft mask without plateaus they are spread out.
    """
    quarter = (white.at - black.at) / 4
    dark = float((values < black.at + quarter).mean())
    light = float((values > white.at - quarter).mean())
    return 2 * black.share >= dark and 2 * white.share >= light


def _is_plain(values: np.ndarray) -> bool:
    """Whether there are black and white, so that no other level stands for them."""
    black = np.count_nonzero(values <= KNOWN)
    white = np.count_nonzero(values >= 1 - KNOWN)
    return bool(min(black, white) >= _PLAIN * values.size)


def stretch_trimap(values: np.ndarray, name: str, top: float, *, lossy: bool = False) -> np.ndarray:
    """A trimap with its black at 0 and its white at 1; see `stretch_mask`."""
    if _is_plain(values):
        return _without_specks(values) if lossy else values
    peaks = find_peaks(values)
    main: list[Peak] = []
    bars = _BARS * (peaks[-1].at - peaks[0].at) if peaks else 0.0
    for peak in peaks:  # bars of another black have a peak near the trimap's own
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
    return _stretched(values, low, high, name, top, noisy=noisy)


def _stretched(
    values: np.ndarray, black: float, white: float, name: str, top: float, *, noisy: bool
) -> np.ndarray:
    """Values with black at 0 and white at 1, unless they are there already, and without noise."""
    if white - black < _CONTRAST:
        return values
    low, high = float(values.min()), float(values.max())
    if abs(black) > KNOWN or abs(1 - white) > KNOWN:
        # A trimap without white, or without black, does not hold that end itself.
        ends = [_shown(one, top) for one in (black, white) if low - KNOWN <= one <= high + KNOWN]
        found, expected = (
            (f"run from {ends[0]} to {ends[1]}", f"from 0 to {_shown(1, top)}")
            if len(ends) > 1
            else (f"end at {''.join(ends)}", f"at 0 and {_shown(1, top)}")
        )
        warn_user(f"{name}: its levels {found}, not {expected}, and are stretched to that")
        values = ((values - np.float32(black)) / np.float32(white - black)).clip(0, 1)
    return _without_specks(values) if noisy else values


def _without_specks(values: np.ndarray) -> np.ndarray:
    """Weak greys become 0 or 1 unless an edge or a stronger grey is near.

    values: (H, W) float32 in [0, 1]; the array itself is returned where there are none.
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
    reach = np.ones((2 * EDGE_REACH + 1, 2 * EDGE_REACH + 1), np.uint8)
    far = cv2.dilate(edge.view(np.uint8), reach) == 0
    if not (far & (dark | light)).any():
        return values
    values = values.copy()
    values[dark & far] = 0
    values[light & far] = 1
    return values


def _shown(value: float, top: float) -> str:
    return f"{value:.3g}" if top == 1 else f"{value * top:.0f}"
