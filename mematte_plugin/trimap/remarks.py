"""What is odd about a trimap or a mask, said: no grey, no foreground, inverted, grey all over."""

import numpy as np

from ..errors import warn_user
from .grey_levels import KNOWN

LEAST_SURE = 0.1
"""Share of the pixels that a trimap from a mask should leave sure; below that it is said."""

LEAST_KNOWN = 0.005
"""The same of a trimap that is handed in; a few strokes are a trimap, too."""

ANTIALIASED = 0.05
"""Standard deviation that its greys have at least; those of a narrow band are one grey."""

HAIRLINE = 2
"""Pixels of grey that an antialiased mask has along its edge."""

# When a trimap looks inverted: white's share of the known pixels is above one half along the border
# and below it in the middle, by this much, and this much of border and of middle is known at all.
_INVERTED_DROP, _KNOWN_BORDER, _KNOWN_MIDDLE = 0.25, 0.25, 0.1


def empty_or_full(soft: np.ndarray) -> str:
    """What a mask is that has nothing, or everything, at half and above."""
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


def say_unsure(trimap: np.ndarray, soft: np.ndarray, name: str) -> None:
    """Why a trimap from a mask has no sure foreground, or next to nothing sure at all."""
    grey = float(((soft > KNOWN) & (soft < 1 - KNOWN)).mean())
    unknown = float((trimap == 128).mean())
    if grey >= unknown / 2:
        warn_user(
            f"{name}: is grey over {grey:.0%} of the picture, so that {unknown:.0%} is unknown;"
            " make it black and white with greys only at the edge (raise its contrast, or take what"
            " is above half)"
        )
    elif not (trimap == 255).any():
        warn_user(f"{name}: the band leaves no sure foreground; make inside smaller")
    else:
        warn_user(
            f"{name}: the band leaves {1 - unknown:.1%} sure; make inside and outside smaller"
        )


def warn_if_odd(trimap: np.ndarray, name: str, soft: np.ndarray) -> None:
    """soft: what the trimap was before it had three values."""
    foreground, background = trimap == 1, trimap == 0
    known = int(np.count_nonzero(foreground)), int(np.count_nonzero(background))
    if sum(known) == trimap.size:
        if known[0] and known[1]:
            warn_user(
                f"{name}: has no grey: nothing is unknown, and it becomes the alpha itself, with"
                " its hard edge; if it is a mask, give it as one (--mask, mask=, in ComfyUI Trimap"
                " from Mask), and a band along its edge is found out"
            )
        elif known[0]:
            warn_user(f"{name}: is all foreground (white); nothing is cut away")
        else:
            warn_user(f"{name}: has no foreground (white); the result may well be empty")
    elif not known[0]:
        if not known[1]:
            warn_user(f"{name}: is all unknown; works, but mark a sure foreground and background")
        else:
            warn_user(f"{name}: has no foreground (white); the result may well be empty")
    elif not known[1]:
        warn_user(f"{name}: has no background (black); mark what is sure to be none of the subject")
    elif sum(known) < LEAST_KNOWN * trimap.size:
        warn_user(
            f"{name}: is unknown but for {sum(known) / trimap.size:.2%}; mark more of the subject"
            " white and of the background black"
        )
    elif looks_inverted(foreground, background):
        warn_user(
            f"{name}: looks inverted: white along the border and black in the middle; foreground"
            " is white"
        )
    elif _is_hairline(trimap, soft):
        warn_user(
            f"{name}: has grey only along edges, {HAIRLINE} pixels wide at most, as a mask has; if"
            " it is one, give it as one (--mask, mask=, in ComfyUI Trimap from Mask), and a wider"
            " band is found out"
        )


def _is_hairline(trimap: np.ndarray, soft: np.ndarray) -> bool:
    """Whether what is unknown is many greys, and nowhere wider than antialiasing."""
    import cv2

    if min(trimap.shape) < 20 * HAIRLINE:
        return False
    unknown = (trimap == 0.5).view(np.uint8)
    wider = cv2.erode(unknown, np.ones((HAIRLINE + 1, HAIRLINE + 1), np.uint8))
    if int(np.count_nonzero(wider)) * 100 >= int(np.count_nonzero(unknown)):
        return False
    return float(soft[unknown.view(bool)].std()) > ANTIALIASED


def looks_inverted(foreground: np.ndarray, background: np.ndarray) -> bool:
    """Mostly foreground along the outermost pixels, and mostly background in the middle third.

    Subjects may touch the frame: of nineteen trimaps of people and animals all were called
    inverted as negatives and none upright; of random crops of them 60% and 0.2%.
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
