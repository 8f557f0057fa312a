"""The network's input, made piece by piece from the picture: normalised, guided and padded."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .config import NetworkConfig
from .guidance import NearestColours
from .propagation import PropagatedAlpha

MULTIPLE = 32  # sides of the padded input


def padded_size(height: int, width: int, padding: str) -> tuple[int, int]:
    """(H, W) after padding; see NetworkConfig.padding."""
    rest_h, rest_w = height % MULTIPLE, width % MULTIPLE
    if padding == "both" and (rest_h or rest_w):
        return height + MULTIPLE - rest_h, width + MULTIPLE - rest_w
    return height + -height % MULTIPLE, width + -width % MULTIPLE


class NetworkInput:
    """RGB, trimap and guidance channels of a batch, cut out where they are needed.

    Args:
        image: (B, 3, H, W) float in [0, 1].
        trimap: (B, 1, H, W) float; 0 background, 1 foreground, 0.5 unknown.
        config: the network's shape.
        dtype: what `crop` returns; the input itself is prepared in the image's own precision.
        cell: side of the grid cells of the propagated alphas, in pixels; by default what the size
            asks for. Training crops stand for pieces of larger pictures and vary it.
    """

    def __init__(
        self,
        image: Tensor,
        trimap: Tensor,
        config: NetworkConfig,
        dtype: torch.dtype,
        *,
        cell: int | None = None,
    ) -> None:
        self.dtype = dtype
        self.image = image
        self.trimap = trimap
        self.config = config
        self.size: tuple[int, int] = (image.shape[2], image.shape[3])
        self.padded = padded_size(*self.size, config.padding)
        self.grid = (self.padded[0] // config.patch_size, self.padded[1] // config.patch_size)
        self._mean = image.new_tensor(config.pixel_mean).view(1, 3, 1, 1)
        self._std = image.new_tensor(config.pixel_std).view(1, 3, 1, 1)
        guided, propagated = config.guidance != "none", config.guidance == "propagated"
        self._nearest = NearestColours(image, trimap) if guided else None
        self._propagated = PropagatedAlpha(image, trimap, cell) if propagated else None

    def crop(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        """(B, in_chans, bottom - top, right - left) of the padded input; zero outside the image."""
        height, width = self.size
        inner_bottom, inner_right = min(bottom, height), min(right, width)
        if inner_bottom <= top or inner_right <= left:
            shape = (len(self.image), self.config.in_chans, bottom - top, right - left)
            return self.image.new_zeros(shape, dtype=self.dtype)
        rgb = self.image[:, :, top:inner_bottom, left:inner_right]
        channels = [
            (rgb - self._mean) / self._std,
            self.trimap[:, :, top:inner_bottom, left:inner_right],
        ]
        if self._nearest is not None:
            fore, back, line, distances = self._nearest.crop(rgb, top, left)
            channels += [
                (fore - self._mean) / self._std,
                (back - self._mean) / self._std,
                line,
                distances,
            ]
        if self._propagated is not None:
            channels.append(self._propagated.crop(rgb, top, left))
        # The padding is zero after normalisation, as in the official code.
        whole = torch.cat(channels, dim=1).to(self.dtype)
        return F.pad(whole, (0, right - inner_right, 0, bottom - inner_bottom))
