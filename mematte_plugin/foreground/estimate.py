"""Colour decontamination: the subject's own colours where it is partly transparent.

The estimate itself is in multilevel.py. Here it runs in tiles, only around the unknown band, so
that memory stays bounded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, MEMatteError, SettingError, warn_user
from ..images.arrays import to_unit
from ..images.photo import Photo
from ..memory.exhaustion import is_out_of_memory, release
from ..memory.free import resolve_device
from ..progress import TICK, Progress
from .tiles import Box, tiles

if TYPE_CHECKING:
    import torch

    from ..memory.plan import Plan

WHOLE_PIXELS = 8_000_000
"""A picture up to this size is one tile."""

TILE, OVERLAP = 1024, 128
"""Side of a tile, and the margin around it, over which neighbours are blended."""

SMALLEST_TILE = 128
"""Tiles get no smaller than this when memory is short."""

TILE_BYTES, PIXEL_BYTES = 64, 32
"""Memory for a pixel of a tile (input and result of the estimate), and for one of the picture."""

STRIP = 256
"""Rows of the picture that are finished at a time."""

BLEED = 16
"""Pixels beyond the subject's edge that still get its colour, for scaling a cut-out."""

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
    whole_pixels: a picture up to this many pixels is computed in one piece.
    tile, overlap: a larger one in tiles of this side in pixels, each with this margin; tiles
        without partly transparent pixels are skipped.
    room: bytes that this may take: tiles get smaller to fit, down to 128 pixels. They also get
        smaller each time that memory runs out.
    device: "cpu", "auto", or a torch device. Where the device fails, or has no memory even for
        small tiles, the CPU is used.
    progress: called with (tiles done, tiles, "foreground") before, between and after the tiles, and
        about every 0.2 seconds within one; (0, 1, …) until they are counted. What it raises ends
        the computation at once and is passed on.

    Returns (H, W, 3) float32 in the image's own encoding and range: exactly the image where alpha
    is 1; the estimate where it is between 0 and 1 and up to 16 pixels beyond, so that scaling a
    cut-out drags in no background; black elsewhere, so that no file reveals what was cut away.

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
    report = _Reporter(progress)
    for place in _places(device):
        for side in _sides(alpha.shape, whole_pixels, tile, overlap, room):
            try:
                return _in_tiles(image, alpha, (side, overlap), place, report)
            except Exception as error:
                if error is report.raised:
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


def estimate_or_keep(
    photo: Photo, alpha: np.ndarray, plan: Plan | None, progress: Progress | None = None
) -> np.ndarray:
    """The photo's `estimate_foreground` on the plan's device, on a CPU within its budget.

    Where memory does not allow it, the photo's own colours, with a MEMatteWarning.
    """
    device = "cpu" if plan is None else plan.device
    room = plan.budget if plan is not None and device == "cpu" else None
    try:
        return estimate_foreground(photo.pixels, alpha, room=room, device=device, progress=progress)
    except InputError:
        raise
    except SettingError:  # the matte was moved to a machine without that device
        return estimate_foreground(photo.pixels, alpha, progress=progress)
    except MEMatteError as error:
        reason = str(error)
    warn_user(f"{photo.name}: the old background's tint stays in the colours: {reason}")
    colours = photo.as_float()
    colours[alpha <= 0] = 0
    return colours


class _Reporter:
    """The progress callback; remembers what it raised, which is not a fault of the computation."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.raised: BaseException | None = None

    def __call__(self, done: int, total: int) -> None:
        if self.progress is not None:
            try:
                self.progress(done, total, "foreground")
            except BaseException as error:
                self.raised = error
                raise


def _places(device: torch.device | str) -> Iterator[str]:
    """The devices to try."""
    if str(device) != "cpu":
        place = str(resolve_device(device))
        if place != "cpu":
            yield place
    yield "cpu"


def _sides(
    size: tuple[int, int], whole_pixels: int, tile: int, overlap: int, room: int | None
) -> Iterator[int]:
    """Sides of tiles to try, from the largest that fits the room."""
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
    report: _Reporter,
) -> np.ndarray:
    """tile: side and margin."""
    opaque = alpha >= 1
    wanted = np.empty(alpha.shape, np.bool_)
    for top in range(0, len(alpha), STRIP):
        report(0, 1)
        _wanted(alpha, top, out=wanted[top : top + STRIP])
    result = np.zeros(image.shape, np.float32)
    weight = np.zeros(alpha.shape, np.float32)
    todo = [both for both in tiles(alpha.shape, *tile) if wanted[both[1]].any()]
    for done, (core, box) in enumerate(todo):
        tick = _throttled(partial(report, done, len(todo)))
        colours = _estimated(image[box], alpha[box], device, tick)
        share, inside = _fade(core, box), wanted[box]
        result[box][inside] += (colours * share[..., None])[inside]
        weight[box] += share
    for top in range(0, len(alpha), STRIP):
        report(len(todo), len(todo))
        rows = slice(top, top + STRIP)
        here, made, solid = wanted[rows], result[rows], opaque[rows]
        made[here] /= weight[rows][here][:, None]
        made[solid] = to_unit(image[rows][solid])
    report(len(todo), len(todo))
    return result


def _wanted(alpha: np.ndarray, top: int, out: np.ndarray) -> None:
    """Which pixels of a strip from this row on get an estimate: partly transparent, or near."""
    import cv2

    above = max(0, top - BLEED)
    strip = (alpha[above : top + len(out) + BLEED] > 0).view(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BLEED + 1, 2 * BLEED + 1))
    grown = np.asarray(cv2.dilate(strip, disc))[top - above :][: len(out)]
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


def _throttled(report: Callable[[], None]) -> Callable[[], None]:
    """The report, made at the first call and then at most once every `TICK` seconds."""
    due = 0.0

    def tick() -> None:
        nonlocal due
        if (now := monotonic()) >= due:
            due = now + TICK
            report()

    return tick


def _fade(core: Box, box: Box) -> np.ndarray:
    """Weights over a box: across each inner edge of the core they fall linearly from 1 to 0.

    They reach 0 half way through the margin: further out a tile knows too little around it.
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
