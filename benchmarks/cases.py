"""What is measured: sizes, unknown shares, and the order in which they are taken."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mematte_plugin import SettingError

SIZES = {
    "2048": (2048, 2048),
    "1024": (1024, 1024),
    "4k": (3840, 2160),
    "8k": (7680, 4320),
    "512": (512, 512),
}
"""(width, height) in pixels; the most wanted first, for a run that is stopped before its end."""

SHARES = (0.15, 0.05, 0.4)
"""Unknown shares, the most wanted first."""

QUICK_SIZES = ("512", "1024")
CLOSED_FORM_PIXELS = 1024 * 1024
"""Where closed-form matting ends: beyond it takes minutes to hours."""


@dataclass(frozen=True)
class Case:
    """One picture of the comparison."""

    width: int
    """In pixels."""
    height: int
    """In pixels."""
    unknown: float
    """Share of unknown pixels in the trimap."""

    @property
    def size(self) -> str:
        """As in 3840x2160."""
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """How many."""
        return self.width * self.height


def make_cases(sizes: str, shares: str) -> list[Case]:
    """All sizes of the first share, then all of the next: the order of measuring.

    sizes: names in `SIZES`, or as 1920x1080, with commas between.
    shares: numbers between 0 and 0.7, likewise.

    Raises SettingError for a size or share that is none.
    """
    chosen = [_share(share) for share in shares.split(",")]
    return [Case(*_size(size.strip()), share) for share in chosen for size in sizes.split(",")]


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0
    if not 0 < share < 0.7:
        raise SettingError(f"unknown share {text!r}: give a number above 0 and below 0.7")
    return share


def _size(text: str) -> tuple[int, int]:
    if text.lower() in SIZES:
        return SIZES[text.lower()]
    match = re.fullmatch(r"(\d{2,5})[x×](\d{2,5})", text)
    if not match:
        raise SettingError(f"size {text!r}: choose {', '.join(SIZES)}, or give 1920x1080")
    return int(match[1]), int(match[2])
