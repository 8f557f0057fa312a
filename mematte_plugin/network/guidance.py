"""Guidance: information about an unknown pixel from the known regions, as extra input channels.

The nearest known foreground and background colours, the position of the pixel's colour on the line
between the two, and the distances. This is not part of MEMatte; it lets a small network trained on
little data work on real photographs. The search runs on a grid of cells of 4×4 pixels, so its cost
hardly grows with the resolution and its maps are 1/16 of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .config import CELL, STRIP_PIXELS, STRIP_PIXELS_ELSEWHERE
from .rows import Tick, idle

FARTHEST = 512.0
"""Pixels at which distances saturate; also the distance to a region that does not exist."""
Strip = Callable[[int, int], tuple[Tensor, Tensor]]
_LOG_SCALE = 5.0  # log1p of the distances becomes 0 to about 1.25
FARTHEST_LOG = math.log1p(FARTHEST) / _LOG_SCALE
"""The log distance at saturation."""
_SMOOTH = 5  # side of the box that smooths the nearest colours, in cells


class NearestColours:
    """Nearest known colours of a batch, upsampled to full resolution piece by piece.

    Args:
        strip: gives RGB (B, 3, r, W) float in [0, 1] and trimap (B, 1, r, W) float (0 background,
            1 foreground, anything between unknown) of the rows [first, last).
        size: (H, W) of the picture.
        tick: called often while the grid is computed.
    """

    def __init__(self, strip: Strip, size: tuple[int, int], tick: Tick = idle) -> None:
        # Colour and log distance of either side, with one replicated cell around, so that cutting
        # and upsampling commute at the border. At first it holds the pooled maps.
        self.cells = pool_strips(_pooled, strip, size, CELL, border=1, tick=tick)
        self.present: list[Tensor] = []
        inner = self.cells[:, :, 1:-1, 1:-1]
        for maps in (inner[:, :4], inner[:, 4:]):
            known = maps[:, 3] > 0
            self.present.append(known.flatten(1).any(1))
            for image, where in zip(maps, known, strict=True):
                tick()
                index, distance = _nearest_index(where)
                for channel in image[:3]:
                    tick()
                    mean = (channel / image[3].clamp_min(1e-6)).view(-1)
                    nearest = mean[index].view(1, 1, *channel.shape)
                    channel.copy_(
                        F.avg_pool2d(nearest, _SMOOTH, 1, _SMOOTH // 2, count_include_pad=False)[
                            0, 0
                        ]
                    )
                image[3] = distance
        self.cells[:, :, 0], self.cells[:, :, -1] = self.cells[:, :, 1], self.cells[:, :, -2]
        self.cells[..., 0], self.cells[..., -1] = self.cells[..., 1], self.cells[..., -2]

    def to(self, device: torch.device) -> NearestColours:
        """Move the maps to a device. Returns: self."""
        self.cells = self.cells.to(device)
        self.present = [one.to(device) for one in self.present]
        return self

    def crop(self, rgb: Tensor, top: int, left: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Guidance for the piece `rgb` (B, 3, r, c) of the image that starts at (top, left).

        Returns: nearest foreground colour (B, 3, r, c) and background colour (B, 3, r, c) in
        [0, 1]; alpha on the line between them (B, 1, r, c) in [0, 1], 0.5 if either does not
        exist; log distances (B, 2, r, c).
        """
        r, c = rgb.shape[2:]
        first_row, first_col = top // CELL, left // CELL
        last_row, last_col = (top + r - 1) // CELL, (left + c - 1) // CELL
        # Cells are shifted by the replicated one, and one more is needed on either side.
        cells = self.cells[:, :, first_row : last_row + 3, first_col : last_col + 3]
        full = F.interpolate(cells, scale_factor=CELL, mode="bilinear", align_corners=False)
        y, x = top - first_row * CELL + CELL, left - first_col * CELL + CELL
        full = full[:, :, y : y + r, x : x + c]
        fore, back = full[:, 0:3], full[:, 4:7]
        across = fore - back
        line = ((rgb - back) * across).sum(1, keepdim=True)
        line = (line / ((across * across).sum(1, keepdim=True) + 1e-3)).clamp(0, 1)
        both = (self.present[0] & self.present[1]).view(-1, 1, 1, 1)
        line = torch.where(both, line, torch.full_like(line, 0.5))
        return fore, back, line, full[:, 3::4]


def strips_of(image: Tensor, trimap: Tensor) -> Strip:
    """Strips of a picture (B, 3, H, W) float in [0, 1] and a trimap (B, 1, H, W) in memory."""
    return lambda top, bottom: (image[:, :, top:bottom], trimap[:, :, top:bottom])


def pool_strips(
    pool: Callable[[Tensor, Tensor], Tensor],
    strip: Strip,
    size: tuple[int, int],
    cell: int,
    *,
    border: int = 0,
    tick: Tick = idle,
) -> Tensor:
    """The results (B, n, r / cell, w) of `pool` for a few rows (RGB, trimap) at a time, joined to
    (B, n, h, w) with `border` empty cells around. The last strip need not be a multiple of the
    cell."""
    height, width = size
    at_once = STRIP_PIXELS
    out: Tensor | None = None
    bottom = 0
    while bottom < height:
        tick()
        top, bottom = bottom, bottom + max(1, at_once // (width * cell)) * cell
        part = pool(*strip(top, min(bottom, height)))
        if part.device.type != "cpu":
            at_once = STRIP_PIXELS_ELSEWHERE
        if out is None:
            rows, columns = -(-height // cell) + 2 * border, part.shape[3] + 2 * border
            out = part.new_empty(*part.shape[:2], rows, columns)
        first = top // cell + border
        out[:, :, first : first + part.shape[2], border : border + part.shape[3]] = part
    assert out is not None  # a picture has at least one row
    return out


def _pooled(rgb: Tensor, trimap: Tensor) -> Tensor:
    """For foreground and background, the cell means of the known pixels' colours (the others count
    as zero) and the share of known pixels: (B, 8, r / CELL, w)."""
    pad = (0, -rgb.shape[3] % CELL, 0, -rgb.shape[2] % CELL)
    maps = []
    for known in (trimap >= 1, trimap <= 0):
        known = known.to(rgb.dtype)  # noqa: PLW2901
        maps.append(F.avg_pool2d(F.pad(torch.cat([rgb * known, known], 1), pad), CELL))
    return torch.cat(maps, 1)


def _nearest_index(known: Tensor) -> tuple[Tensor, Tensor]:
    """Flat index (h·w,) int64 of the nearest True cell of (h, w), and log distance (h, w) to it."""
    import cv2

    mask = known.cpu().numpy()
    if not mask.any():
        index = torch.zeros(mask.size, dtype=torch.int64, device=known.device)
        return index, torch.full(mask.shape, FARTHEST_LOG, dtype=torch.float32, device=known.device)
    distance, labels = cv2.distanceTransformWithLabels(
        (~mask).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Labels number the known cells; look up the cell of each label.
    cell_of_label = np.zeros(labels.max() + 1, np.int64)
    cell_of_label[labels[mask]] = np.flatnonzero(mask)
    index = torch.from_numpy(cell_of_label[labels].ravel()).to(known.device)
    pixels = torch.from_numpy(distance).mul_(CELL).clamp_(max=FARTHEST).to(known.device)
    return index, pixels.log1p_() / _LOG_SCALE
