"""Picture operations on whole batches, on any device, each sample with a strength of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_BLOCK = 8  # side of a JPEG block


def log_uniform(generator: torch.Generator, count: int, low: float, high: float) -> Tensor:
    """(count, 1, 1, 1) drawn from [low, high] with equal weight for every factor."""
    return uniform(generator, count, math.log(low), math.log(high)).exp()


def uniform(generator: torch.Generator, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """(count, 1, 1, 1) drawn from [low, high]."""
    drawn = torch.rand(count, 1, 1, 1, generator=generator, device=generator.device)
    return low + (high - low) * drawn


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal numbers of a shape."""
    return torch.randn(*shape, generator=generator, device=generator.device)


def gaussian_blur(x: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """Blur (B, C, H, W) by sigma (B, 1, 1, 1) pixels, with taps up to `reach`; 0 leaves it."""
    B, C, H, W = x.shape
    offsets = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    taps = (-0.5 * (offsets / sigma.view(B, 1).clamp_min(1e-3)) ** 2).exp()  # (B, 2·reach + 1)
    taps = taps / taps.sum(1, keepdim=True)
    kernels = taps.repeat_interleave(C, 0)  # (B·C, taps)
    flat = x.reshape(1, B * C, H, W)
    flat = F.pad(flat, (reach, reach, 0, 0), mode="reflect")
    flat = F.conv2d(flat, kernels[:, None, None, :], groups=B * C)
    flat = F.pad(flat, (0, 0, reach, reach), mode="reflect")
    return F.conv2d(flat, kernels[:, None, :, None], groups=B * C).view(B, C, H, W)


def smooth_noise(generator: torch.Generator, count: int, size: int, cells: int) -> Tensor:
    """Lumps, about `cells` to a side: (count, 1, size, size) in about [0, 1]."""
    grid = torch.rand(count, 1, cells + 1, cells + 1, generator=generator, device=generator.device)
    return F.interpolate(grid, size=(size, size), mode="bicubic", align_corners=True).clamp(0, 1)


def depth(region: Tensor, farthest: int) -> Tensor:
    """Distance to the outside of a region (B, 1, H, W) of 0 and 1, in pixels, up to `farthest`.

    0 outside and 1 on the region's rim, in octagonal steps; the picture's border is no outside.
    """
    total = region
    inside = region
    for step in range(1, farthest):
        outside = 1 - inside
        if step % 3 == 0:  # squares now and then make the diamonds octagons
            outside = F.max_pool2d(outside, 3, 1, 1)
        else:
            across = F.max_pool2d(outside, (1, 3), 1, (0, 1))
            outside = torch.maximum(across, F.max_pool2d(outside, (3, 1), 1, (1, 0)))
        inside = 1 - outside
        total = total + inside
    return total


def opened(region: Tensor, radius: Tensor, farthest: int) -> Tensor:
    """A region (B, 1, H, W) without the parts into which no disc of `radius` (B, 1, 1, 1) fits."""
    core = (depth(region, farthest) > radius).to(region.dtype)
    near = depth(1 - core, farthest) <= radius
    return region * near


def jpeg_like(image: Tensor, strength: Tensor) -> Tensor:
    """Blocking and ringing as of a JPEG: (B, 3, H, W) in 0..255, sides multiples of 8.

    Cosine coefficients of 8×8 blocks are rounded in steps that grow with the frequency.

    Args:
        image: RGB.
        strength: (B, 1, 1, 1), step of the lowest frequency; 0 leaves the sample as it is.
    """
    B, C, H, W = image.shape
    basis = _cosines(image)  # (8, 8): D x Dᵀ transforms a block
    to_ycc = image.new_tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
    ycc = torch.einsum("dc,bchw->bdhw", to_ycc, image)
    blocks = ycc.view(B, C, H // _BLOCK, _BLOCK, W // _BLOCK, _BLOCK).transpose(3, 4)
    coefficients = basis @ blocks @ basis.t()
    place = torch.arange(_BLOCK, device=image.device, dtype=image.dtype)
    rising = 1 + 0.5 * (place[:, None] + place[None, :])
    chroma = image.new_tensor([1.0, 2.0, 2.0]).view(1, 3, 1, 1, 1, 1)  # colour is kept less well
    step = strength.view(B, 1, 1, 1, 1, 1) * rising * chroma
    coarse = (coefficients / step.clamp_min(1e-6)).round() * step
    back = basis.t() @ torch.where(step > 0, coarse, coefficients) @ basis
    ycc = back.transpose(3, 4).reshape(B, C, H, W)
    return torch.einsum("dc,bchw->bdhw", torch.linalg.inv(to_ycc), ycc)


def _cosines(like: Tensor) -> Tensor:
    """Orthonormal DCT-II of length 8."""
    k = torch.arange(_BLOCK, device=like.device, dtype=like.dtype)
    table = torch.cos(math.pi / _BLOCK * (k[None, :] + 0.5) * k[:, None]) * math.sqrt(2 / _BLOCK)
    return torch.cat([table[:1] / math.sqrt(2), table[1:]])
