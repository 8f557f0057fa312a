"""The panel's pictures: what each view shows of a session, as a file small enough to be sent."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..images.arrays import scaled_down
from ..show.composite import composite
from ..show.overlays import on_checkerboard, routing_overlay, trimap_overlay

if TYPE_CHECKING:
    from ..matte import Matte
    from .session import MattingSession

LONGEST = 1024
"""Longer side of a view in pixels, at most."""
PATCH = 16
"""Side of a token in pixels of the photo."""
CHECKERBOARD = "checkerboard"
VIEWS = {
    "photo": "Photo",
    "trimap": "Trimap",
    "alpha": "Alpha",
    "cutout": "Cut-out",
    "routing": "Routing",
}
"""Names of the views, and what their buttons say."""


def picture(
    session: MattingSession,
    view: str,
    cutout: np.ndarray,
    *,
    block: int = 0,
    backdrop: str = CHECKERBOARD,
) -> tuple[str, bytes]:
    """What a view shows, as a file: ("jpeg" or "png", bytes).

    session: with a photo. Where what the view shows is still to be computed, it is the photo.
    view: one of `VIEWS`.
    cutout: (h, w, 4) uint8, `Matte.cutout_proxy` of `session.shown`; unused while that is None.
    block: which routed block's map, counted from 0.
    backdrop: "checkerboard", or the colour behind the cut-out.
    """
    matte, photo = session.shown, session.proxy  # (h, w, 3)
    if view == "trimap" and session.small_trimap is not None:
        return _jpeg(session, trimap_overlay(photo, session.small_trimap))
    if matte is None or view in ("photo", "trimap"):
        return _jpeg(session, photo)
    if view == "alpha":
        return "png", _png(np.rint(scaled_down(matte.alpha, LONGEST) * 255).astype(np.uint8))
    if view == "routing":
        return _jpeg(session, _routed(photo, matte, block))
    if backdrop == CHECKERBOARD:
        return _jpeg(session, on_checkerboard(cutout))
    profile = matte.photo.icc_profile
    colours = composite(cutout[..., :3], cutout[..., 3], backdrop, icc_profile=profile)
    shown = np.rint(colours * 255).astype(np.uint8)
    # Of a colour that is transparent itself, what is behind is seen.
    return _jpeg(session, on_checkerboard(shown) if shown.shape[2] == 4 else shown)


def caption(session: MattingSession, view: str, *, block: int = 0) -> str:
    """What is seen in a view, in a sentence."""
    matte = session.shown
    if view == "trimap" and session.small_trimap is not None:
        return "Trimap: background dark, unknown band grey"
    if matte is None or view in ("photo", "trimap"):
        height, width = session.photo.size
        missing = {"photo": "", "trimap": "; there is no trimap yet"}
        return f"Photo, {width}×{height}" + missing.get(view, "; nothing has been computed yet")
    if view != "routing":
        return f"{VIEWS[view]}, {_which(session, matte)}"
    if not matte.routing:
        return "Photo; nothing was routed: nothing was unknown, or the model has no router"
    keep = matte.routing[min(block, len(matte.routing) - 1)]
    return (
        f"Routed block {block + 1} of {len(matte.routing)}: {keep.mean():.0%} of the tokens"
        f" (tinted) took the exact path, {_which(session, matte)}"
    )


def _routed(photo: np.ndarray, matte: Matte, block: int) -> np.ndarray:
    if not matte.routing:
        return photo
    # The larger factor, so that the last row and column stay inside of the grid after rounding.
    scale = max(a / b for a, b in zip(photo.shape[:2], matte.photo.size, strict=True))
    keep = matte.routing[min(block, len(matte.routing) - 1)]
    return routing_overlay(photo, keep, patch=PATCH * scale)


def _which(session: MattingSession, matte: Matte) -> str:
    """Which matte it is, and whether it still belongs to the trimap."""
    height, width = matte.photo.size
    if matte is not session.matte:
        return f"a preview of {width}×{height}; Run computes it in full size"
    if session.status in ("done", "running", "waiting"):
        return f"{width}×{height}"
    return f"{width}×{height}, from before the last change"


def _jpeg(session: MattingSession, pixels: np.ndarray) -> tuple[str, bytes]:
    file, profile = io.BytesIO(), session.photo.icc_profile
    Image.fromarray(pixels).save(file, "JPEG", quality=90, subsampling=0, icc_profile=profile)
    return "jpeg", file.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
