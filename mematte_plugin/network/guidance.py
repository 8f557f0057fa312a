"""Guidance: what the known regions say about an unknown pixel, as extra input channels.

The nearest known foreground and background colours, where the pixel's colour lies on the line
between the two, and how far away they are. This is not part of MEMatte; it is what lets a small
network trained on little data work on real photographs. The search runs on a grid of 4×4 cells,
so its cost hardly grows with the resolution and its maps are 1/16 of the picture.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CELL = 4
"""Side of a grid cell, in pixels."""
FARTHEST = 512.0
"""Distances saturate here, in pixels: also the distance to a region that does not exist."""
_LOG_SCALE = 5.0  # log1p of the distances ends up in 0 to about 1.25
_SMOOTH = 5  # side of the box that smooths the nearest colours, in cells


class NearestColours:
    """Nearest known colours of a batch, brought up to full resolution piece by piece.

    Args:
        image: (B, 3, H, W) float in [0, 1].
        trimap: (B, 1, H, W) float; 0 background, 1 foreground, anything between unknown.
    """

    def __init__(self, image: Tensor, trimap: Tensor) -> None:
        maps, self.present = [], []
        for known in (trimap >= 1, trimap <= 0):
            colours, distance, present = _nearest(image, known)
            maps += [colours, distance]
            self.present.append(present)
        # One replicated cell around, so that cutting and upsampling commute at the border.
        self.cells = F.pad(torch.cat(maps, dim=1), (1, 1, 1, 1), mode="replicate")

    def crop(self, rgb: Tensor, top: int, left: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Guidance for the piece `rgb` (B, 3, r, c) of the image that starts at (top, left).

        Returns: nearest foreground colour (B, 3, r, c) and background colour (B, 3, r, c) in
        [0, 1]; alpha on the line between them (B, 1, r, c) in [0, 1], 0.5 where either does not
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
        return fore, back, line, full[:, [3, 7]]


def _nearest(image: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Colour (B, 3, h, w) of and log distance (B, 1, h, w) to the nearest known cell, and
    whether an image has any known pixel (B,)."""
    height, width = image.shape[2:]
    pad = (0, -width % CELL, 0, -height % CELL)
    weight = F.avg_pool2d(F.pad(known.to(image.dtype), pad), CELL)
    colours = F.avg_pool2d(F.pad(image * known, pad), CELL) / weight.clamp_min(1e-6)
    present = (weight > 0).flatten(1).any(1)
    index, distance = _nearest_index((weight > 0)[:, 0])
    h, w = weight.shape[2:]
    colours = colours.flatten(2).gather(2, index.view(-1, 1, h * w).expand(-1, 3, -1))
    colours = F.avg_pool2d(
        colours.view(-1, 3, h, w), _SMOOTH, 1, _SMOOTH // 2, count_include_pad=False
    )
    return colours, distance[:, None].to(image.dtype), present


def _nearest_index(known: Tensor) -> tuple[Tensor, Tensor]:
    """Flat index (B, h·w) int64 of the nearest True cell, and log distance (B, h, w) to it."""
    import cv2

    indices, distances = [], []
    for mask in known.cpu().numpy():
        if not mask.any():
            indices.append(np.zeros(mask.size, np.int64))
            distances.append(np.full(mask.shape, FARTHEST, np.float32))
            continue
        distance, labels = cv2.distanceTransformWithLabels(
            np.where(mask, 0, 255).astype(np.uint8),
            cv2.DIST_L2,
            5,
            labelType=cv2.DIST_LABEL_PIXEL,
        )
        # Labels number the known cells; look up which cell each number stands for.
        cell_of_label = np.zeros(labels.max() + 1, np.int64)
        cell_of_label[labels[mask]] = np.flatnonzero(mask)
        indices.append(cell_of_label[labels].ravel())
        distances.append(np.minimum(distance * CELL, FARTHEST))
    index = torch.from_numpy(np.stack(indices)).to(known.device)
    pixels = torch.from_numpy(np.stack(distances)).to(known.device)
    return index, pixels.log1p() / _LOG_SCALE
