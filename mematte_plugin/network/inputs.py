"""The network's input, prepared piece by piece: normalised, with guidance, padded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .abilities import carries
from .config import NetworkConfig, padded_size
from .flow import FlowAlpha
from .guidance import NearestColours
from .rows import Tick, idle

_AT_ONCE = 1 << 17
"""Pixels that are display-encoded at a time."""


@dataclass(frozen=True)
class Light:
    """How stored values become the display-encoded sRGB that networks are trained with.

    gamma: values to this power are linear light.
    matrix: rows of (3, 3) from there to linear Rec. 709; None leaves the primaries as they are.
    """

    gamma: float = 1.0
    matrix: tuple[tuple[float, ...], ...] | None = None


class NetworkInput:
    """RGB, trimap and guidance channels of a batch, cropped on demand.

    Picture and trimap keep their device and depth; only crops become float, on the network's
    device.

    Args:
        image: (B, 3, H, W) uint8, uint16 or float; floats are clamped to [0, 1].
        trimap: (B, 1, H, W) float; 0 background, 1 foreground, 0.5 unknown.
        config: the network's shape.
        dtype: of the crops; they are prepared in float32 (in float64 for an image in float64, if
            the device has that).
        device: of the crops; by default the image's.
        light: how the image becomes display-encoded; None if it is.
        cell: side of the grid cells of the flow alphas in pixels; by default it follows from the
            size. Training crops stand for pieces of larger pictures and vary it.
        tick: called often while the guidance is computed.
    """

    def __init__(
        self,
        image: Tensor,
        trimap: Tensor,
        config: NetworkConfig,
        dtype: torch.dtype,
        *,
        device: torch.device | None = None,
        light: Light | None = None,
        cell: int | None = None,
        tick: Tick = idle,
    ) -> None:
        tick()
        self.dtype = dtype
        self.image = image
        self.trimap = trimap
        self.config = config
        self.device = image.device if device is None else device
        self.light = light
        self.size: tuple[int, int] = (image.shape[2], image.shape[3])
        self.padded = padded_size(*self.size, config.padding)
        self.grid = (self.padded[0] // config.patch_size, self.padded[1] // config.patch_size)
        wide = image.dtype == torch.float64 and carries(self.device, torch.float64)
        unit = torch.float64 if wide else torch.float32
        scale = torch.tensor((config.pixel_mean, config.pixel_std), dtype=unit, device=self.device)
        self._mean, self._std = scale.view(2, 1, 3, 1, 1)
        self._nearest: NearestColours | None = None
        self._flow: FlowAlpha | None = None
        if config.guidance != "none":
            self._nearest = NearestColours(self.strip, self.size, tick).to(self.device)
        if config.guidance == "flow":
            self._flow = FlowAlpha(self.strip, self.size, device=self.device, cell=cell, tick=tick)

    def strip(self, top: int, bottom: int) -> tuple[Tensor, Tensor]:
        """RGB (B, 3, r, W) in [0, 1] and trimap (B, 1, r, W) of some rows, where the image is."""
        rows = slice(top, bottom)
        return self._unit(self.image[:, :, rows]), self.trimap[:, :, rows]

    def _unit(self, pixels: Tensor) -> Tensor:
        """Display-encoded floats in [0, 1]."""
        if not pixels.is_floating_point():
            pixels = pixels.float() / (255 if pixels.dtype == torch.uint8 else 65535)
            return pixels if self.light is None else _display(pixels, self.light)
        if pixels.dtype != torch.float64 or not carries(self.device, torch.float64):
            pixels = pixels.float()  # half precision is not enough for the next steps
        # The networks were not trained with HDR colours.
        return pixels.clamp(0, 1) if self.light is None else _display(pixels, self.light)

    def crop(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        """(B, in_chans, bottom - top, right - left) of the padded input; zero outside the image."""
        height, width = self.size
        inner_bottom, inner_right = min(bottom, height), min(right, width)
        if inner_bottom <= top or inner_right <= left:
            shape = (len(self.image), self.config.in_chans, bottom - top, right - left)
            return torch.zeros(shape, dtype=self.dtype, device=self.device)
        box = (..., slice(top, inner_bottom), slice(left, inner_right))
        pixels, trimap = self.image[box], self.trimap[box]
        if carries(self.device, pixels.dtype):
            rgb = self._unit(pixels.to(self.device))
        else:
            rgb = self._unit(pixels).to(self.device)
        if not carries(self.device, trimap.dtype):
            trimap = trimap.float()
        channels = [(rgb - self._mean) / self._std, trimap.to(self.device)]
        if self._nearest is not None:
            fore, back, line, distances = self._nearest.crop(rgb, top, left)
            channels += [
                (fore - self._mean) / self._std,
                (back - self._mean) / self._std,
                line,
                distances,
            ]
        if self._flow is not None:
            channels.append(self._flow.crop(rgb, top, left))
        # The padding is zero after normalisation, as in the official code.
        whole = torch.cat(channels, dim=1).to(self.dtype)
        if (inner_bottom, inner_right) == (bottom, right):
            return whole
        del channels, rgb  # before another copy is made
        return F.pad(whole, (0, right - inner_right, 0, bottom - inner_bottom))


def _display(pixels: Tensor, light: Light) -> Tensor:
    """Values (B, 3, r, W) encoded as sRGB in [0, 1] (IEC 61966-2-1)."""
    out = torch.empty_like(pixels)
    rows = max(1, _AT_ONCE // pixels.shape[3])
    for top in range(0, pixels.shape[2], rows):  # intermediates take several times as much
        part = (..., slice(top, top + rows), slice(None))
        out[part] = _encoded(pixels[part], light)
    return out


def _encoded(pixels: Tensor, light: Light) -> Tensor:
    linear = pixels if light.gamma == 1 else pixels.clamp_min(0) ** light.gamma
    if light.matrix is not None:
        matrix = torch.tensor(light.matrix, dtype=linear.dtype, device=linear.device)
        linear = torch.einsum("ij,bjrw->birw", matrix, linear)
    linear = linear.clamp(0, 1)
    curve = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curve)
