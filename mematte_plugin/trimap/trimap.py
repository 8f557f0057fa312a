"""Trimaps from masks and alphas, and given ones normalised to exactly 0, 0.5 and 1."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SettingError, warn_user
from ..images.decoded import MAX_PIXELS
from ..images.read import ImageSource, grey_name, read_gray
from .bands import banded, cores
from .grey_levels import KNOWN
from .labels import Objects
from .masks import read_mask, read_trimap
from .remarks import LEAST_SURE, empty_or_full, looks_inverted, warn_if_odd, warn_if_unsure
from .thickness import distances

SAME_ASPECT = 0.01
"""Relative difference of aspect ratio up to which two sizes count as the same picture, scaled."""

BAND_INSIDE, BAND_OUTSIDE = 2.0, 4.0
"""Default band of `from_mask` in percent of the subject's size, inward and outward.

Measured with masks of 256 pixels a side (as SAM makes them) on nine photographs of hair and fur
with true alpha: on seven of them a band of 4% outward misses less than a tenth of the alpha that
such a mask misses (3%: on five). Wider bands cost time and certainty.
"""

WIDENED = 5.0
"""Default of `from_alpha` in pixels."""

MIN_BAND = 3.0
"""Least width in pixels of a band given in percent, which may be less than a pixel."""


def normalise_trimap(
    trimap: ImageSource,
    size: tuple[int, int],
    *,
    name: str = "trimap",
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """A trimap as the networks were trained on it: (H, W) float32 of exactly 0, 0.5 and 1.

    trimap: as for `read_photo`, of any integer type, bool or float. Values within 2% of black or
        white are known, all others unknown, so 128/255, 0.5 and linear mid-grey mean the same.
        Other levels of black and white (16 and 235) are found in the histogram, with a warning.
    size: (H, W) of the photo. A trimap of another size and the same aspect ratio (within 1%) is
        resized to the nearest pixel, with a warning.
    name: what messages call it, followed by its path.
    max_pixels: larger files are refused by their header, before decoding.

    Warns (MEMatteWarning) when nothing is unknown, as in a mask, when everything is, when there is
    no foreground or no background, or when they look swapped. Raises InputError for another aspect
    ratio, and where it cannot be read as a trimap.
    """
    grey = read_trimap(trimap, name=name, max_pixels=max_pixels)
    name = grey_name(trimap, name)
    if grey.shape != tuple(size):
        import cv2

        grey = _fitted(grey, size, name, cv2.INTER_NEAREST_EXACT)
    result = three_valued(grey, KNOWN, 1 - KNOWN)
    warn_if_odd(result, name, soft=grey)
    return result


def three_valued(values: np.ndarray, black: float = 0, white: float = 255) -> NDArray[np.float32]:
    """(H, W) float32: 0 up to black, 1 from white on, 0.5 between them."""
    result = np.full(values.shape, 0.5, np.float32)
    for row, line in zip(values, result, strict=True):  # by rows: no masks of the picture's size
        line[row <= black] = 0.0
        line[row >= white] = 1.0
    return result


def from_mask(
    mask: ImageSource,
    *,
    size: tuple[int, int] | None = None,
    objects: Objects = None,
    inside: float | None = None,
    outside: float | None = None,
    unit: Literal["%", "px"] = "%",
    keep_soft: bool = True,
    grain: float = 1,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """A trimap from a rough mask: a band along its edge becomes unknown.

    mask: (H, W) in [0, 1], or as for `read_photo`, of any integer type, bool or float; a
        transparent picture is read by its alpha, and two values are a mask whatever they are. The
        subject is where it is 0.5 and above.
    size: (H, W) of the photo, if known. A mask of another size and the same aspect ratio (within
        1%) is resized smoothly, with a warning.
    objects: the subject's ids in a label map, 1 or [1, 3], or its colours, "#ff0000". None takes
        the only object.
    inside, outside: the band's width inward and outward, 0 or more; None for the default. It is
        narrower on thin parts: inward at most a third of the half-thickness (but the edge pixel in
        any case), outward two thirds of a gap's half-width (but two pixels). So a part of 3 pixels
        keeps a core, and a gap of 5 its background. Where the edge is frayed, with strands and gaps
        of a pixel or two, the band keeps its width: hair stays unknown.
    unit: "px", or "%" of the subject's size, which is the square root of its area in pixels; a
        band in percent is at least 3 pixels wide, unless it is 0.
    keep_soft: pixels of a soft mask between 2% and 98% stay unknown, also outside the band.
    grain: how many times the mask was enlarged before, 1 or more: thin parts, narrow gaps and
        frayed edges are measured in its original pixels.
    max_pixels: larger files are refused by their header, before decoding.

    Returns (H, W) uint8: 0 background, 128 unknown, 255 foreground. Warns (MEMatteWarning) when
    the band leaves no sure foreground, or none of a separate part, when a mask that is grey all
    over leaves hardly anything known, when it looks inverted, and where a choice was made for the
    user. Raises InputError for an empty or full mask, for another aspect ratio than `size`, and
    where it cannot be read as a mask; SettingError for an invalid width, unit, grain or object.
    """
    inside = BAND_INSIDE if inside is None else inside
    outside = BAND_OUTSIDE if outside is None else outside
    if unit not in ("%", "px"):
        raise SettingError(f"unit {unit!r}: use '%' or 'px'")
    check_band(inside, outside)
    if not (math.isfinite(grain) and grain >= 1):
        raise SettingError(f"grain {grain!r}: give how many times the mask was enlarged, 1 or more")
    import cv2

    name = grey_name(mask, "mask")
    soft = read_mask(mask, objects=objects, max_pixels=max_pixels)
    if size is not None and soft.shape != tuple(size):
        grain = max(1.0, grain * math.sqrt(size[0] * size[1] / soft.size))
        soft = _fitted(soft, size, name, cv2.INTER_LINEAR)
    return lay_band(soft, name, inside, outside, unit=unit, keep_soft=keep_soft, grain=grain)


def check_band(inside: float, outside: float) -> None:
    """Raises SettingError unless both are widths, 0 or more."""
    for option, width in (("inside", inside), ("outside", outside)):
        if not (math.isfinite(width) and width >= 0):
            raise SettingError(f"{option} {width!r}: a band's width is 0 or more")


def lay_band(
    soft: NDArray[np.float32],
    name: str,
    inside: float,
    outside: float,
    *,
    unit: Literal["%", "px"] = "%",
    keep_soft: bool = True,
    grain: float = 1,
) -> NDArray[np.uint8]:
    """`from_mask` for a mask (H, W) in [0, 1] of the photo's size; raises InputError as it does."""
    subject = soft >= 0.5
    area = int(np.count_nonzero(subject))
    if area in (0, subject.size):
        raise InputError(f"{name}: is {empty_or_full(soft)}; paint the subject white on black")
    if looks_inverted(subject, ~subject):
        warn_user(
            f"{name}: looks inverted: white along the border and black in the middle; the subject"
            " is white"
        )
    inward, outward = (_pixels(width, unit, area) for width in (inside, outside))
    trimap, lost = banded(subject, inward, outward, grain=grain)
    if keep_soft:
        trimap[(soft > KNOWN) & (soft < 1 - KNOWN)] = 128
    if not (trimap == 255).any() or np.count_nonzero(trimap != 128) < LEAST_SURE * trimap.size:
        warn_if_unsure(trimap, soft, name)
    elif lost:
        warn_user(f"{name}: {lost}; inside 0 keeps all of the mask")
    return trimap


def from_alpha(
    alpha: ImageSource, *, width: float = WIDENED, keep_cores: bool = True
) -> np.ndarray:
    """A trimap from an alpha matte: unknown where 0 < alpha < 1, widened by `width` pixels.

    With a width above 0, hard edges, where alpha jumps from 0 to 1, are widened as well.

    alpha: (H, W) in [0, 1], or a picture as for `read_photo`; a transparent one is read by its
        alpha.
    width: pixels, 0 or more, in every direction.
    keep_cores: widen less on opaque parts and in gaps that are thinner than that, as `from_mask`
        does; without, one width everywhere, as for trimaps that methods are compared on.

    Returns (H, W) uint8: 0, 128, 255. Raises SettingError for a negative width.
    """
    if not (math.isfinite(width) and width >= 0):
        raise SettingError(f"width {width!r}: give 0 pixels or more")
    values = read_gray(alpha, name="alpha", use_alpha=True)
    full = values >= 1
    unknown = (values > 0) & ~full
    if width > 0:
        unknown |= _hard_edge(full, values <= 0)  # widened too: there may be no soft pixel at all
        if unknown.any():
            unknown = distances(~unknown) <= width
            if keep_cores:
                unknown &= ~cores(full, values <= 0, width)
    trimap: np.ndarray = np.where(full, np.uint8(255), np.uint8(0))
    trimap[unknown] = 128
    return trimap


# ---- helpers -------------------------------------------------------------------------------------


def _pixels(width: float, unit: str, area: int) -> float:
    if unit == "px" or width == 0:
        return width
    return max(MIN_BAND, width / 100 * math.sqrt(area))


def _hard_edge(full: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Pixels on both sides of an edge where alpha jumps from 0 to 1."""
    edge = np.zeros_like(full)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        jump = (full[one] & empty[other]) | (empty[one] & full[other])
        edge[one] |= jump
        edge[other] |= jump
    return edge


def check_aspect(found: tuple[int, ...], size: tuple[int, int], name: str) -> None:
    aspect = (found[1] / found[0]) / (size[1] / size[0])
    # One pixel of rounding is more than 1% on small pictures.
    rounding = 1 / min(*found, *size)
    if abs(math.log(aspect)) > max(SAME_ASPECT, rounding if min(found) < 100 else 0):
        raise InputError(
            f"{name}: is {_wxh(found)}, but the photo is {_wxh(size)}; make it from the same,"
            " uncropped and equally turned picture"
        )


def _fitted(values: np.ndarray, size: tuple[int, int], name: str, interpolation: int) -> np.ndarray:
    """Values resized to the photo's size, with a warning."""
    import cv2

    check_aspect(values.shape, size, name)
    warn_user(f"{name}: is {_wxh(values.shape)} and is resized to the photo's {_wxh(size)}")
    return np.asarray(cv2.resize(values, size[::-1], interpolation=interpolation))


def resize_nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT))


def _wxh(size: tuple[int, ...]) -> str:
    return f"{size[1]}×{size[0]}"
