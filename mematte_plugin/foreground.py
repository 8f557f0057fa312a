"""Colour decontamination: the subject's own colours where it is partly transparent.

Multi-level foreground estimation (Germer, Uelwer, Conrad, Harmeling: "Fast Multi-Level Foreground
Estimation", ICPR 2020), as in pymatting, computed in tiles around the unknown band so that memory
stays bounded, and used only there.
"""

import gc
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np

from .errors import InputError, MEMatteError
from .images import to_unit
from .waiting import watched

WHOLE_PIXELS = 8_000_000
"""Up to this size the picture is one tile."""

TILE, OVERLAP = 1024, 128
"""Side of a tile and how far it looks beyond; over that overlap neighbours are faded together."""

SMALLEST_TILE = 128
"""Where tiles stop becoming smaller when memory is short."""

TILE_BYTES, PIXEL_BYTES = 64, 32
"""Memory for a pixel of a tile (pymatting and what it is given), and for one of the picture."""

STRIP = 256
"""Rows of the picture that are finished at a time."""

BLEED = 16
"""Pixels beyond the subject's edge that still get its colour, for those who scale a cut-out."""

ESTIMATOR = "pymatting.foreground.estimate_foreground_ml"

STAGE = "foreground"
"""What this is called in reports of progress."""

Progress = Callable[[int, int, str], None]
"""progress(done, total, stage)"""

T = TypeVar("T")

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
    progress: Progress | None = None,
) -> np.ndarray:
    """The colours of the foreground alone, F in image = alpha * F + (1 - alpha) * B.

    image: (H, W, 3) uint8, uint16 or float in [0, 1].
    alpha: (H, W) float in [0, 1].
    trimap: (H, W) of 0, 0.5 and 1; pixels of 1 count as opaque and pixels of 0 as empty, whatever
        alpha says.
    whole_pixels, tile, overlap: a larger picture is computed in tiles of this side in pixels, each
        with so much around it; only tiles that hold partly transparent pixels are computed.
    room: bytes that this may take; where they are few, tiles are smaller, down to 128 pixels. They
        also get smaller each time that memory runs out.
    progress: called with (tiles done, tiles, "foreground") before (with 0 of 1, until they are
        counted), between and after the tiles, and about every 0.2 seconds during one. What it
        raises ends the wait at once and is passed on; the tile is finished by the thread that
        computes it, and its result thrown away.

    Returns (H, W, 3) float32 in [0, 1] in the image's own encoding: exactly the image where alpha
    is 1; the estimate where it is between 0 and 1 and up to 16 pixels beyond, so that scaling a
    cut-out drags in no background; black elsewhere, so that no file hands on what was cut away.

    Raises InputError when the shapes do not agree, MEMatteError where memory runs out even with
    the smallest tiles.
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
    for side in _sides(alpha.shape, whole_pixels, tile, overlap, room):
        try:
            return _in_tiles(image, alpha, trimap, side, overlap, progress=progress)
        except MemoryError:
            logger.warning("foreground: out of memory in tiles of %d pixels", side)
        gc.collect()  # not in the except: there the error still holds its arrays
    raise MEMatteError(
        f"foreground of {width}×{height}: out of memory even in small tiles; close other programs, "
        "or keep the old background's tint in the colours (decontaminate off), or save the alpha"
    )


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
    trimap: np.ndarray | None,
    tile: int,
    overlap: int,
    *,
    progress: Progress | None,
) -> np.ndarray:
    if trimap is not None:
        alpha = np.where(trimap >= 1, np.float32(1), np.where(trimap <= 0, np.float32(0), alpha))
    height, width = alpha.shape
    say = progress or _silence
    opaque = alpha >= 1
    wanted = np.empty(alpha.shape, np.bool_)
    for top in range(0, height, STRIP):
        say(0, 1, STAGE)
        _wanted(alpha, top, out=wanted[top : top + STRIP])
    result = np.zeros(image.shape, np.float32)
    weight = np.zeros(alpha.shape, np.float32)
    tiles = [both for both in _tiles(height, width, tile, overlap) if wanted[both[1]].any()]
    for done, (core, box) in enumerate(tiles):
        tick = None if progress is None else partial(progress, done, len(tiles), STAGE)
        colours = _estimated(to_unit(image[box]), alpha[box], tick)
        share, inside = _fade(core, box), wanted[box]
        result[box][inside] += (colours * share[..., None])[inside]
        weight[box] += share
    for top in range(0, height, STRIP):
        say(len(tiles), len(tiles), STAGE)
        rows = slice(top, top + STRIP)
        here, made, solid = wanted[rows], result[rows], opaque[rows]
        made[here] /= weight[rows][here][:, None]
        made[solid] = to_unit(image[rows][solid])
    say(len(tiles), len(tiles), STAGE)
    return result


def _silence(done: int, total: int, stage: str) -> None:
    """Progress that nobody wants to hear of."""


def _wanted(alpha: np.ndarray, top: int, out: np.ndarray) -> None:
    """Which pixels of a strip from this row on get an estimate: partly transparent, or near."""
    above = max(0, top - BLEED)
    strip = alpha[above : top + len(out) + BLEED]
    grown = _near(strip > 0, BLEED)[top - above :][: len(out)]
    np.logical_and(grown, alpha[top : top + len(out)] < 1, out=out)


def _estimated(image: np.ndarray, alpha: np.ndarray, tick: Callable[[], None] | None) -> np.ndarray:
    if max(alpha.shape) < 2:  # the pyramid of a single pixel has no levels
        return image
    result = in_worker(lambda: _estimator()(image, np.ascontiguousarray(alpha)), tick)
    return np.asarray(result, np.float32)


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


# ---- pymatting -----------------------------------------------------------------------------------


def in_worker(call: Callable[[], T], tick: Callable[[], None] | None = None) -> T:
    """What the call returns, made in the one thread of this process that may run numba's code.

    tick: called before and about every 0.2 seconds while this waits, in the caller's thread. What
        it raises ends the wait at once. A call that runs already cannot be stopped: it goes on in
        its thread, and the next one waits until it is done; one that has not begun never will.
    """
    if tick is None:
        return _worker().submit(call).result()
    tick()
    return watched(_worker().submit(call), tick)


@lru_cache(maxsize=1)
def _worker() -> ThreadPoolExecutor:
    """The one thread that numba runs in.

    Only one, because numba's plain thread pool aborts the process when two threads enter it. Not
    the caller's, because an interrupt inside compiled code crashes the process, and because
    numba's OpenMP layer changes the thread count, torch's too, of the thread that it starts in.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="mematte-foreground")


# A forked process inherits the executor but not its thread.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_worker.cache_clear)


@lru_cache(maxsize=1)
def _estimator() -> Callable[..., np.ndarray]:
    """pymatting's estimator; its first import compiles for some seconds, then it is cached."""
    logger.info("loading the foreground estimation; the very first time it is compiled")
    estimator: Callable[..., np.ndarray] = import_alone(ESTIMATOR).estimate_foreground_ml
    return estimator


def import_alone(name: str) -> ModuleType:
    """A module of pymatting, such as the one that holds the estimator, without the rest.

    ``import pymatting`` compiles every method it has, which takes a minute the first time; the
    estimator alone takes a few seconds. So its packages are entered as bare folders while it is
    imported, and forgotten afterwards: a later ``import pymatting`` finds nothing odd.

    To be called in the worker, see `in_worker`.
    """
    _ensure_numba_cache()
    spec = find_spec("pymatting")
    if "pymatting" in sys.modules or spec is None or not spec.submodule_search_locations:
        return import_module(name)  # loaded already, or missing: then this says so
    root = Path(spec.submodule_search_locations[0])
    try:
        for path in (root, *(below.parent for below in root.glob("*/__init__.py"))):
            package = ".".join(("pymatting", *path.relative_to(root).parts))
            folder = ModuleType(package)
            folder.__path__ = [str(path)]
            sys.modules[package] = folder
        return import_module(name)
    finally:
        for loaded in [n for n in sys.modules if n.split(".")[0] == "pymatting"]:
            del sys.modules[loaded]


def _ensure_numba_cache() -> None:
    """Give numba a cache folder where it would find none and refuse to import (read-only install).

    numba tries the package's own folder, then the user's cache folder. The last resort is a fresh
    private folder: the cache holds executable code, so a guessable name under /tmp would let other
    users of the machine plant theirs.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    spec = find_spec("pymatting")
    if spec is None or spec.origin is None:
        return  # the import itself will say that pymatting is missing
    package = Path(spec.origin).parent
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if _is_writable(package / "foreground") or _is_writable(user):
        return
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="mematte-numba-")


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
