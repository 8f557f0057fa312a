"""Warnings about odd trimaps and masks: no grey, no foreground, inverted, grey all over."""

import numpy as np

from ..errors import warn_user
from .grey_levels import KNOWN

LEAST_SURE = 0.1
"""Share of the pixels that a trimap from a mask should leave known."""

LEAST_KNOWN = 0.005
"""The same for a given trimap, which may be a few strokes."""

ANTIALIASED = 0.05
"""Least standard deviation of an antialiased edge's greys; a narrow band has one grey."""

HAIRLINE = 2
"""Pixels of grey along the edge of an antialiased mask."""

# When a trimap looks inverted: white's share of the known pixels is above one half along the border
# and below it in the middle, by this much, and this much of border and of middle is known at all.
_INVERTED_DROP, _KNOWN_BORDER, _KNOWN_MIDDLE = 0.25, 0.25, 0.1

_GIVE_AS_MASK = "give it as one (--mask, mask=, in ComfyUI Trimap from Mask)"


def empty_or_full(soft: np.ndarray) -> str:
    """Describes a mask with nothing, or everything, at half of white and above."""
    low, high = float(soft.min()), float(soft.max())
    if KNOWN < low == high < 1 - KNOWN:
        return f"one even grey ({low:.0%} of white)"
    if high <= KNOWN:
        return "empty: nothing is white"
    if low >= 1 - KNOWN:
        return "full: everything is white"
    if high < 0.5:
        return f"empty: nothing reaches half of white (the lightest is {high:.0%})"
    return f"full: everything is above half of white (the darkest is {low:.0%})"


def warn_if_unsure(trimap: np.ndarray, soft: np.ndarray, name: str) -> None:
    """Why a trimap from a mask has no sure foreground, or hardly anything known."""
    grey = float(((soft > KNOWN) & (soft < 1 - KNOWN)).mean())
    unknown = float((trimap == 128).mean())
    if grey >= unknown / 2:
        warn_user(
            f"{name}: is grey over {grey:.0%} of the picture, which leaves {unknown:.0%} unknown;"
            " make it black and white with greys only at the edge (raise its contrast, or threshold"
            " it at half)"
        )
    elif not (trimap == 255).any():
        warn_user(f"{name}: the band leaves no sure foreground; make inside smaller")
    else:
        warn_user(
            f"{name}: the band leaves {1 - unknown:.1%} sure; make inside and outside smaller"
        )


def warn_if_odd(trimap: np.ndarray, name: str, soft: np.ndarray) -> None:
    """Warn about the oddest thing in a trimap of 0, 0.5 and 1; soft: its values before that."""
    foreground, background = trimap == 1, trimap == 0
    white, black = int(np.count_nonzero(foreground)), int(np.count_nonzero(background))
    odd = ""
    if white == trimap.size:
        odd = "is all foreground (white); nothing is cut away"
    elif not white and black:
        odd = "has no foreground (white); the result may well be empty"
    elif not white:
        odd = "is all unknown; works, but mark a sure foreground and background"
    elif white + black == trimap.size:
        odd = (
            "has no grey: nothing is unknown, and it becomes the alpha itself, with its hard edge;"
            f" if it is a mask, {_GIVE_AS_MASK}, and a band along its edge is computed"
        )
    elif not black:
        odd = "has no background (black); mark what surely is not the subject"
    elif white + black < LEAST_KNOWN * trimap.size:
        odd = (
            f"is unknown but for {(white + black) / trimap.size:.2%}; mark more of the subject"
            " white and of the background black"
        )
    elif looks_inverted(foreground, background):
        odd = "looks inverted: white along the border and black in the middle; foreground is white"
    elif _is_hairline(trimap, soft):
        odd = (
            f"has grey only along edges, {HAIRLINE} pixels wide at most, as a mask has; if it is a"
            f" mask, {_GIVE_AS_MASK}, and a wider band is computed"
        )
    if odd:
        warn_user(f"{name}: {odd}")


def _is_hairline(trimap: np.ndarray, soft: np.ndarray) -> bool:
    """Whether the unknown band has many greys, and is nowhere wider than antialiasing."""
    import cv2

    if min(trimap.shape) < 20 * HAIRLINE:
        return False
    unknown = (trimap == 0.5).view(np.uint8)
    wider = cv2.erode(unknown, np.ones((HAIRLINE + 1, HAIRLINE + 1), np.uint8))
    if int(np.count_nonzero(wider)) * 100 >= int(np.count_nonzero(unknown)):
        return False
    return float(soft[unknown.view(bool)].std()) > ANTIALIASED


def looks_inverted(foreground: np.ndarray, background: np.ndarray) -> bool:
    """Whether foreground dominates along the border, and background in the middle third.

    Subjects may touch the frame: of nineteen trimaps of people and animals all negatives looked
    inverted and none of the originals; of random crops of them 60% and 0.2%.
    """

    def around(known: np.ndarray) -> np.ndarray:
        return np.concatenate([known[0], known[-1], known[1:-1, 0], known[1:-1, -1]])

    height, width = foreground.shape
    top, left = height // 3, width // 3
    middle = np.s_[top : height - top, left : width - left]
    white, black = float(around(foreground).mean()), float(around(background).mean())
    inner, hollow = float(foreground[middle].mean()), float(background[middle].mean())
    if white + black < _KNOWN_BORDER or inner + hollow < _KNOWN_MIDDLE:
        return False
    outside, inside = white / (white + black), inner / (inner + hollow)
    return outside > 0.5 > inside and outside - inside > _INVERTED_DROP
