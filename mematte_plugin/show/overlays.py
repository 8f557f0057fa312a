"""Pictures to look at: checkerboards, trimap and routing overlays, contact sheets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from ..images.arrays import STRIP, full_scale, scaled_down, to_unit
from .composite import composite

KEPT_TINT, TINT_SHARE = (255, 150, 30), 0.22
"""Colour over the tokens that took the exact path, and its opacity."""
SKIPPED_LIGHT = 0.45
"""Brightness of the tokens that took the short cut; they also become grey."""
SHEET_COLOUR = 24
"""Grey of a contact sheet between and below its panels."""
LUMA = (0.299, 0.587, 0.114)

BACKGROUND_LIGHT = 0.3
"""Brightness of a trimap's background."""
WASH, WASH_SHARE = 128, 0.65
"""Grey over a trimap's unknown band, and its opacity."""
OUTLINE = 240
"""Grey of the band's edges: lighter than anything under the wash."""
OUTLINE_SIDE = 1000
"""Pixels of a picture's shorter side to each pixel of the outline's width."""


def checkerboard(
    size: tuple[int, int], *, square: int = 16, light: int = 204, dark: int = 153
) -> np.ndarray:
    """The pattern for transparency: (H, W, 3) uint8.

    size: (H, W) in pixels.
    square: side of a square in pixels.
    light, dark: the two greys; the upper left square is light.
    """
    rows, columns = (np.arange(side) // square for side in size)
    odd = (rows[:, None] + columns[None, :]) % 2 == 1
    grey = np.where(odd, np.uint8(dark), np.uint8(light))
    return np.repeat(grey[..., None], 3, axis=2)


def on_checkerboard(cutout: np.ndarray, *, square: int | None = None) -> np.ndarray:
    """A cut-out over the pattern for transparency: (H, W, 3) uint8.

    cutout: (H, W, 4) uint8, uint16 or float in [0, 1], straight alpha.
    square: side of a square in pixels; default, a 32nd of the longer side.
    """
    size = (int(cutout.shape[0]), int(cutout.shape[1]))
    board = checkerboard(size, square=square or max(4, max(size) // 32))
    return np.rint(composite(cutout[..., :3], cutout[..., 3], board) * 255).astype(np.uint8)


def trimap_overlay(pixels: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """A photo with its trimap: the subject unchanged, the background dark, the unknown band grey.

    The photo shows through the band, and a thin light line runs along both its edges, so that it
    stands out from a grey photo too.

    pixels: (H, W, 3) uint8, uint16 or float in [0, 1].
    trimap: (H, W) float of 0, 0.5 and 1, or uint8 of 0, 128 and 255; values between are unknown.

    Returns (H, W, 3) uint8. Raises InputError where the shapes do not agree.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or trimap.shape != pixels.shape[:2]:
        raise InputError(
            f"trimap overlay: photo {pixels.shape} and trimap {trimap.shape} do not agree; give"
            " (H, W, 3) and (H, W) of one size"
        )
    background = trimap <= 0
    unknown = ~background & (trimap < full_scale(trimap.dtype))
    outline = _inner_edge(unknown, max(1, round(min(trimap.shape) / OUTLINE_SIDE)))
    overlay = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(overlay), STRIP):  # no floats of a large picture
        rows = slice(start, start + STRIP)
        colour = to_unit(pixels[rows]) * np.float32(255)
        colour[background[rows]] *= np.float32(BACKGROUND_LIGHT)
        colour[unknown[rows]] *= np.float32(1 - WASH_SHARE)
        colour[unknown[rows]] += np.float32(WASH_SHARE * WASH)
        colour[outline[rows]] = OUTLINE
        overlay[rows] = np.rint(colour)
    return overlay


def _inner_edge(region: np.ndarray, width: int) -> np.ndarray:
    """A region's pixels within a width of its edge; the picture's border is not an edge."""
    import cv2

    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(region.view(np.uint8), cross, iterations=width)
    return region & ~np.asarray(inner).view(np.bool_)


def routing_overlay(pixels: np.ndarray, keep: np.ndarray, *, patch: float = 16) -> np.ndarray:
    """A photo with its routing: kept tokens tinted, skipped ones dark and grey.

    pixels: (H, W, 3) uint8, uint16 or float in [0, 1].
    keep: (h, w) bool over the token grid, from the upper left corner; it may reach beyond the
        picture, where the photo was padded.
    patch: side of a token in pixels of `pixels`; may be a fraction for a photo that was scaled.

    Returns (H, W, 3) uint8. Raises InputError where the grid is too small for the picture.
    """
    height, width = pixels.shape[:2]
    rows, columns = (((np.arange(side) + 0.5) / patch).astype(np.intp) for side in (height, width))
    if keep.ndim != 2 or rows[-1] >= keep.shape[0] or columns[-1] >= keep.shape[1]:
        raise InputError(
            f"routing map of shape {keep.shape} does not cover {width}×{height} pixels with tokens"
            f" of {patch:g}; give the map and the patch size of this picture"
        )
    kept = keep[rows[:, None], columns[None, :]][..., None].astype(bool)
    colour = to_unit(pixels) * np.float32(255)
    grey = (colour @ np.array(LUMA, np.float32))[..., None] * np.float32(SKIPPED_LIGHT)
    tint = np.array(KEPT_TINT, np.float32) * np.float32(TINT_SHARE)
    mixed = np.where(kept, colour * np.float32(1 - TINT_SHARE) + tint, grey)
    overlay: np.ndarray = np.rint(mixed).astype(np.uint8)
    return overlay


def contact_sheet(
    panels: Sequence[np.ndarray],
    captions: Sequence[str] = (),
    *,
    columns: int | None = None,
    gap: int = 12,
) -> np.ndarray:
    """Pictures side by side, each with a caption below it: (H, W, 3) uint8.

    panels: (H, W, 3) or (H, W) uint8; the largest sets the size of a cell.
    captions: one per panel, or none at all.
    columns: by default as many as make the sheet about square.
    gap: pixels between the cells and around them.

    Raises InputError without panels, or if the number of captions differs.
    """
    if not panels or len(captions) not in (0, len(panels)):
        raise InputError(
            f"contact sheet of {len(panels)} panel(s) and {len(captions)} caption(s): give at"
            " least one panel, and a caption for each or none"
        )
    cell_width = max(panel.shape[1] for panel in panels)
    cell_height = max(panel.shape[0] for panel in panels)
    if columns is None:
        columns = math.ceil(math.sqrt(len(panels) * cell_height / cell_width))
    columns = max(1, min(columns, len(panels)))
    # Height of the letters: readable when the whole sheet has the width of a page.
    text = max(10, min(cell_width // 16, cell_width * columns // 64)) if captions else 0
    line = round(1.6 * text)
    rows = math.ceil(len(panels) / columns)
    sheet = Image.new(
        "RGB",
        (columns * (cell_width + gap) + gap, rows * (cell_height + line + gap) + gap),
        (SHEET_COLOUR,) * 3,
    )
    draw = ImageDraw.Draw(sheet)
    for i, panel in enumerate(panels):
        left = gap + i % columns * (cell_width + gap)
        top = gap + i // columns * (cell_height + line + gap)
        sheet.paste(Image.fromarray(np.ascontiguousarray(panel)).convert("RGB"), (left, top))
        if captions:
            font = ImageFont.load_default(size=text)
            draw.text((left, top + cell_height + text // 4), captions[i], (235,) * 3, font=font)
    return np.asarray(sheet)


def routing_sheet(
    pixels: np.ndarray,
    routing: Sequence[np.ndarray],
    captions: Sequence[str],
    *,
    patch: int = 16,
    longest: int = 1024,
) -> np.ndarray:
    """The routing overlays of all blocks on one sheet: (H, W, 3) uint8.

    pixels: (H, W, 3) uint8, uint16 or float in [0, 1], the photo.
    routing: one (h, w) bool map per block, as in `Matte.routing`.
    captions: one per block.
    patch: side of a token in pixels of the photo.
    longest: longer side of a panel in pixels; larger photos are scaled down to it.
    """
    height, width = pixels.shape[:2]
    small = scaled_down(pixels, longest)
    # The larger factor keeps the last row and column inside the grid after rounding.
    patch_here = patch * max(small.shape[0] / height, small.shape[1] / width)
    panels = [routing_overlay(small, keep, patch=patch_here) for keep in routing]
    return contact_sheet(panels, captions)
