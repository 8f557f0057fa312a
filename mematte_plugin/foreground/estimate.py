"""Colour decontamination: the subject's own colours where it is partly transparent.

The estimate itself is in multilevel.py. Here it is computed in tiles around the unknown band, so
that memory stays bounded, and used only there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, MEMatteError
from ..images.arrays import to_unit
from ..memory.exhaustion import is_out_of_memory, release
from ..memory.free import resolve_device
from ..progress import TICK, Progress

if TYPE_CHECKING:
    import torch

WHOLE_PIXELS = 8_000_000
"""Up to this size the picture is one tile."""

TILE, OVERLAP = 1024, 128
"""Side of a tile and how far it looks beyond; over that overlap neighbours are faded together."""

SMALLEST_TILE = 128
"""Where tiles stop becoming smaller when memory is short."""

TILE_BYTES, PIXEL_BYTES = 64, 32
"""Memory for a pixel of a tile (what is given to the estimate and what it makes of it), and for one
of the picture."""

STRIP = 256
"""Rows of the picture that are finished at a time."""

BLEED = 16
"""Pixels beyond the subject's edge that still get its colour, for those who scale a cut-out."""

STAGE = "foreground"
"""What this is called in reports of progress."""


logger = logging.getLogger(__name__)


def estimate_foreground(
    image: np.ndarray,
    alpha: np.ndarray,
    *,
    trimap: np.ndarray | None = None,
    whole_pixels: int = WHOLE_PIXELS,
    tile: int = TILE,
    overlap: int = OVERLAP,
    room: int | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> np.ndarray:
    """The colours of the foreground alone, F in image = alpha * F + (1 - alpha) * B.

    image: (H, W, 3) uint8, uint16 or float, 0 to 1; brighter or negative light of an HDR picture is
        kept.
    alpha: (H, W) float in [0, 1].
    trimap: (H, W) of 0, 0.5 and 1; pixels of 1 count as opaque and pixels of 0 as empty, whatever
        alpha says.
    whole_pixels, tile, overlap: a larger picture is computed in tiles of this side in pixels, each
        with so much around it; only tiles that hold partly transparent pixels are computed.
    room: bytes that this may take; where they are few, tiles are smaller, down to 128 pixels. They
        also get smaller each time that memory runs out.
    device: "cpu", "auto", or a torch device; where that fails, or has no memory even for small
        tiles, the CPU is used.
    progress: called with (tiles done, tiles, "foreground") before (with 0 of 1, until they are
        counted), between and after the tiles, and about every 0.2 seconds during one. What it
        raises ends the computation at once and is passed on.

    Returns (H, W, 3) float32 in the image's own encoding and range: exactly the image where alpha
    is 1; the estimate where it is between 0 and 1 and up to 16 pixels beyond, so that scaling a
    cut-out drags in no background; black elsewhere, so that no file hands on what was cut away.

    Raises InputError when the shapes do not agree, SettingError for a device that is not there,
    MEMatteError where memory runs out even with the smallest tiles.
    """
    image = np.asarray(image)
    alpha = np.asarray(alpha, np.float32)
    if image.ndim != 3 or image.shape[2] != 3 or alpha.shape != image.shape[:2]:
        raise InputError(
            f"foreground: image {image.shape} and alpha {alpha.shape} do not agree; give (H, W, 3)"
            " and (H, W) of one size"
        )
    if trimap is not None and trimap.shape != alpha.shape:
        raise InputError(
            f"foreground: trimap {trimap.shape} and alpha {alpha.shape} do not agree; give both"
            " in one size"
        )
    height, width = alpha.shape
    if trimap is not None:
        alpha = np.where(trimap >= 1, np.float32(1), np.where(trimap <= 0, np.float32(0), alpha))
    hear = _Hearing(progress)
    for place in _places(device):
        for side in _sides(alpha.shape, whole_pixels, tile, overlap, room):
            try:
                return _in_tiles(image, alpha, (side, overlap), place, hear)
            except Exception as error:
                if error is hear.raised:
                    raise
                smaller = is_out_of_memory(error)
                if not smaller and place == "cpu":
                    raise
                logger.warning("foreground in tiles of %d pixels on %s: %s", side, place, error)
            release(place)  # not in the except: there the error still holds its arrays
            if not smaller:
                break
    raise MEMatteError(
        f"foreground of {width}×{height}: out of memory even in small tiles; close other programs, "
        "or keep the old background's tint in the colours (decontaminate off), or save the alpha"
    )


class _Hearing:
    """The progress callback, and what it raised: that is no fault of the computation."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.raised: BaseException | None = None

    def __call__(self, done: int, total: int) -> None:
        if self.progress is not None:
            try:
                self.progress(done, total, STAGE)
            except BaseException as error:
                self.raised = error
                raise


def _places(device: torch.device | str) -> Iterator[str]:
    """Where to try."""
    if str(device) != "cpu":
        place = str(resolve_device(device))
        if place != "cpu":
            yield place
    yield "cpu"


def _sides(
    size: tuple[int, int], whole_pixels: int, tile: int, overlap: int, room: int | None
) -> Iterator[int]:
    """Sides of tiles to try, the largest that there is room for first."""
    height, width = size
    side = max(height, width) if height * width <= whole_pixels else tile
    if room is not None:
        left = max(0, room - PIXEL_BYTES * height * width) // TILE_BYTES
        fits = int(left**0.5) - 2 * overlap
        if min(height, side + 2 * overlap) * min(width, side + 2 * overlap) > left:
            side = min(side, max(SMALLEST_TILE, fits))
    yield side
    while side > SMALLEST_TILE:
        side = max(SMALLEST_TILE, min(side, TILE * 2) // 2)
        yield side


def _in_tiles(
    image: np.ndarray,
    alpha: np.ndarray,
    tile: tuple[int, int],
    device: str,
    say: _Hearing,
) -> np.ndarray:
    height, width = alpha.shape
    opaque = alpha >= 1
    wanted = np.empty(alpha.shape, np.bool_)
    for top in range(0, height, STRIP):
        say(0, 1)
        _wanted(alpha, top, out=wanted[top : top + STRIP])
    result = np.zeros(image.shape, np.float32)
    weight = np.zeros(alpha.shape, np.float32)
    tiles = [both for both in _tiles(height, width, *tile) if wanted[both[1]].any()]
    for done, (core, box) in enumerate(tiles):
        tick = _now_and_then(partial(say, done, len(tiles)))
        colours = _estimated(image[box], alpha[box], device, tick)
        share, inside = _fade(core, box), wanted[box]
        result[box][inside] += (colours * share[..., None])[inside]
        weight[box] += share
    for top in range(0, height, STRIP):
        say(len(tiles), len(tiles))
        rows = slice(top, top + STRIP)
        here, made, solid = wanted[rows], result[rows], opaque[rows]
        made[here] /= weight[rows][here][:, None]
        made[solid] = to_unit(image[rows][solid])
    say(len(tiles), len(tiles))
    return result


def _wanted(alpha: np.ndarray, top: int, out: np.ndarray) -> None:
    """Which pixels of a strip from this row on get an estimate: partly transparent, or near."""
    above = max(0, top - BLEED)
    strip = alpha[above : top + len(out) + BLEED]
    grown = _near(strip > 0, BLEED)[top - above :][: len(out)]
    np.logical_and(grown, alpha[top : top + len(out)] < 1, out=out)


def _estimated(
    image: np.ndarray, alpha: np.ndarray, device: str, tick: Callable[[], None]
) -> np.ndarray:
    """(H, W, 3) float32: the estimate for all pixels."""
    if max(alpha.shape) < 2:  # the pyramid of a single pixel has no levels
        return to_unit(image)
    import torch

    from ..torch_state import own_state
    from .multilevel import foreground_colours

    planes = to_unit(np.ascontiguousarray(np.moveaxis(image, 2, 0)))
    with own_state(device):
        opacity = torch.from_numpy(np.array(alpha)).to(device)
        colours = foreground_colours(torch.from_numpy(planes).to(device), opacity, tick)
        return np.asarray(colours.permute(1, 2, 0).cpu().numpy())


def _now_and_then(report: Callable[[], None]) -> Callable[[], None]:
    """To be called often: the report is made at the first time, and every `TICK` seconds."""
    due = 0.0

    def tick() -> None:
        nonlocal due
        if (now := monotonic()) >= due:
            due = now + TICK
            report()

    return tick


_Box = tuple[slice, slice]


def _tiles(height: int, width: int, tile: int, overlap: int) -> Iterator[tuple[_Box, _Box]]:
    """Each tile's core and the box that is computed for it: the core and its surroundings."""
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            yield (
                (slice(top, bottom), slice(left, right)),
                (
                    slice(max(0, top - overlap), min(height, bottom + overlap)),
                    slice(max(0, left - overlap), min(width, right + overlap)),
                ),
            )


def _fade(core: _Box, box: _Box) -> np.ndarray:
    """Weights over a box: across each inner edge of the core they fall linearly from 1 to 0.

    They reach 0 half way through the overlap: further out a tile knows too little around it.
    """
    sides: list[np.ndarray] = []
    for inner, outer in zip(core, box, strict=True):
        at = np.arange(outer.start, outer.stop, dtype=np.float32)
        before, after = inner.start - outer.start, outer.stop - inner.stop
        ramp = np.ones_like(at)
        if before:
            ramp = np.minimum(ramp, 0.5 + (at - inner.start + 0.5) / before)
        if after:
            ramp = np.minimum(ramp, 0.5 - (at - inner.stop + 0.5) / after)
        sides.append(ramp.clip(0, 1))
    return np.outer(*sides)


def _near(region: np.ndarray, pixels: int) -> np.ndarray:
    """The region grown by so many pixels."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(region.view(np.uint8), kernel)).view(np.bool_)
