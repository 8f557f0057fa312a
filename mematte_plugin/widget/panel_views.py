"""The panel's pictures: what each view shows of a session, as a file small enough to be sent."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..compositing import composite
from ..images import scaled_down
from ..views import on_checkerboard, routing_overlay, trimap_overlay

if TYPE_CHECKING:
    from ..matte import Matte
    from .session import MattingSession

LONGEST = 1024
"""Longer side of a view in pixels, at most."""
PATCH = 16
"""Side of a token in pixels of the photo."""
VIEWS = {
    "photo": "Photo",
    "trimap": "Trimap",
    "alpha": "Alpha",
    "cutout": "Cut-out",
    "routing": "Routing",
}
"""Names of the views, and what their buttons say."""


@dataclass(frozen=True)
class Shown:
    """A view's picture.

    data: the file.
    fmt: "jpeg" or "png".
    caption: what is seen, in a sentence.
    """

    data: bytes
    fmt: str
    caption: str


def show(session: MattingSession, view: str, *, block: int = 0, behind: str = "") -> Shown | None:
    """The picture of a view; None where there is no photo yet.

    view: one of `VIEWS`. Where what it shows is still to be computed, the photo.
    block: which routed block's map, counted from 0.
    behind: colour behind the cut-out; a checkerboard if empty.
    """
    if session.photo is None:
        return None
    matte = session.shown
    if view in ("photo", "trimap") or matte is None:
        return _before(session, view)
    if view == "alpha":
        alpha = np.rint(scaled_down(matte.alpha, LONGEST) * 255).astype(np.uint8)  # (h, w)
        return Shown(_png(alpha), "png", f"Alpha, {_of(session, matte)}")
    if view == "routing":
        return _routing(session, matte, block)
    cutout = matte.cutout_proxy(LONGEST)  # (h, w, 4)
    if behind:
        colours = composite(cutout[..., :3], cutout[..., 3], behind)
        pixels = np.rint(colours * 255).astype(np.uint8)
    else:
        pixels = on_checkerboard(cutout)
    return Shown(_jpeg(session, pixels), "jpeg", f"Cut-out, {_of(session, matte)}")


def _before(session: MattingSession, view: str) -> Shown:
    """What can be seen before anything has been computed."""
    photo = session.proxy  # (h, w, 3)
    height, width = session.photo.size
    if view == "photo":
        return Shown(_jpeg(session, photo), "jpeg", f"Photo, {width}×{height}")
    if view != "trimap":
        return Shown(_jpeg(session, photo), "jpeg", "Photo; nothing has been computed yet")
    if session.small_trimap is None:
        return Shown(_jpeg(session, photo), "jpeg", "Photo; there is no trimap yet")
    laid = trimap_overlay(photo, session.small_trimap)
    return Shown(_jpeg(session, laid), "jpeg", "Trimap: background dark, unknown band grey")


def _routing(session: MattingSession, matte: Matte, block: int) -> Shown:
    photo = scaled_down(session.proxy, max(matte.photo.size))
    if not matte.routing:
        why = (
            "Photo; nothing was routed: the trimap left nothing unknown, or the model has no router"
        )
        return Shown(_jpeg(session, photo), "jpeg", why)
    block = min(block, len(matte.routing) - 1)
    keep = matte.routing[block]
    # The larger factor, so that the last row and column stay inside of the grid after rounding.
    scale = max(a / b for a, b in zip(photo.shape[:2], matte.photo.size, strict=True))
    laid = routing_overlay(photo, keep, patch=PATCH * scale)
    caption = (
        f"Routed block {block + 1} of {len(matte.routing)}: {keep.mean():.0%} of the tokens"
        f" (tinted) took the exact path, {_of(session, matte)}"
    )
    return Shown(_jpeg(session, laid), "jpeg", caption)


def _of(session: MattingSession, matte: Matte) -> str:
    """Which matte it is, and whether it still belongs to the trimap."""
    height, width = matte.photo.size
    if matte is not session.matte:
        return f"a preview of {width}×{height}; Run computes it in full size"
    if session.status in ("done", "running", "waiting"):
        return f"{width}×{height}"
    return f"{width}×{height}; of the settings before the last change, Run computes it anew"


def _jpeg(session: MattingSession, pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, "JPEG", quality=90, subsampling=0, icc_profile=session.photo.icc_profile
    )
    return file.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
