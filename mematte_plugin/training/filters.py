"""Picture operations on whole batches, on any device, each sample with a strength of its own.

Nothing here reads a number back from the device: strengths are tensors (B, 1, 1, 1), and what is
done to some samples only is done to all of them and kept where it is wanted.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_BLOCK = 8  # side of a JPEG block
_WIDE = 10  # px; blurs that are wider work on a smaller copy
_NEAR, _PART = 24, 4  # px; farther distances come from a copy that many times smaller
_FINE = 8  # samples per lump of noise, before it is zoomed


# ---- random numbers ------------------------------------------------------------------------------


def uniform(
    generator: torch.Generator, count: int, low: float | Tensor = 0.0, high: float | Tensor = 1.0
) -> Tensor:
    """(count, 1, 1, 1) drawn from [low, high]; bounds that are tensors have that shape."""
    drawn = torch.rand(count, 1, 1, 1, generator=generator, device=generator.device)
    return low + (high - low) * drawn


def log_uniform(generator: torch.Generator, count: int, low: float, high: float | Tensor) -> Tensor:
    """(count, 1, 1, 1) drawn from [low, high] with equal weight for every factor."""
    top = high.log() if isinstance(high, Tensor) else math.log(high)
    return uniform(generator, count, math.log(low), top).exp()


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal numbers of a shape."""
    return torch.randn(*shape, generator=generator, device=generator.device)


def chance(generator: torch.Generator, count: int, share: float) -> Tensor:
    """(count, 1, 1, 1) bool, True for about a share of the samples."""
    return uniform(generator, count) < share


def sometimes(generator: torch.Generator, count: int, share: float, value: Tensor) -> Tensor:
    """`value` (count, …) for about a share of the samples, 0 for the others."""
    return value * chance(generator, count, share)


def noise(
    generator: torch.Generator, count: int, size: int, cells: tuple[float, float], octaves: int = 1
) -> Tensor:
    """Smooth lumps: (count, 1, size, size), stretched to [0, 1].

    cells: the least and the most lumps to a side; each sample gets a number of its own.
    """
    most = math.ceil(cells[1]) + 1
    field = torch.zeros(1, device=generator.device)
    for octave in range(octaves):
        side = most * 2**octave + 1
        grid = torch.rand(count, 1, side, side, generator=generator, device=generator.device)
        whole = (most * _FINE * 2 ** (octaves - 1),) * 2
        drawn = F.interpolate(grid, size=whole, mode="bicubic", align_corners=True)
        field = field + drawn * 0.5**octave
    seen = log_uniform(generator, count, *cells).view(count) / most  # share of the field's side
    place = (1 - seen) * (2 * uniform(generator, count).view(count) - 1)
    none = torch.zeros_like(seen)
    rows = [torch.stack([seen, none, place], 1), torch.stack([none, seen, place], 1)]
    where = F.affine_grid(torch.stack(rows, 1), [count, 1, size, size], align_corners=False)
    window = F.grid_sample(field, where, padding_mode="border", align_corners=False)
    low, high = window.amin((2, 3), keepdim=True), window.amax((2, 3), keepdim=True)
    return (window - low) / (high - low).clamp_min(1e-6)


def places(like: Tensor) -> tuple[Tensor, Tensor]:
    """Where the pixels of (B, C, H, W) are: y (1, 1, H, 1) and x (1, 1, 1, W), in pixels."""
    height, width = like.shape[2:]
    y = torch.arange(height, device=like.device, dtype=like.dtype)
    x = torch.arange(width, device=like.device, dtype=like.dtype)
    return y.view(1, 1, -1, 1), x.view(1, 1, 1, -1)


# ---- blurs ---------------------------------------------------------------------------------------


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


def blurred(x: Tensor, sigma: Tensor, widest: float) -> Tensor:
    """Gaussian blur of (B, C, H, W), sides multiples of 8, by sigma (B, 1, 1, 1) up to `widest`
    pixels; what is wide is done on a smaller copy."""
    part = 1
    while widest / part > _WIDE and part < 8:
        part *= 2
    reach = min(math.ceil(3 * widest / part), min(x.shape[2:]) // part - 1)
    if part == 1:
        return gaussian_blur(x, sigma, reach)
    # Shrinking and growing blur too: by the variance of a box and of a triangle.
    already = (part**2 - 1) / 12 + part**2 / 6
    rest = (sigma**2 - already).clamp_min(0).sqrt() / part
    small = gaussian_blur(F.avg_pool2d(x, part), rest, reach)
    return F.interpolate(small, size=x.shape[2:], mode="bilinear")


def disc_blur(x: Tensor, radius: Tensor, widest: int) -> Tensor:
    """Blur (B, C, H, W) by even discs of radius (B, 1, 1, 1) up to `widest` pixels; 0 leaves it."""
    B, C, H, W = x.shape
    step = torch.arange(-widest, widest + 1, device=x.device, dtype=x.dtype)
    apart = (step[:, None] ** 2 + step**2).sqrt()
    disc = (radius.view(B, 1, 1) + 0.5 - apart).clamp(0, 1)
    disc = disc / disc.sum((1, 2), keepdim=True)
    flat = F.pad(x.reshape(1, B * C, H, W), (widest,) * 4, mode="reflect")
    kernels = disc.repeat_interleave(C, 0)[:, None]
    return F.conv2d(flat, kernels, groups=B * C).view(B, C, H, W)


# ---- distances -----------------------------------------------------------------------------------


def depth(region: Tensor, farthest: int) -> Tensor:
    """Distance to the outside of a region (B, 1, H, W) of 0 and 1, in pixels, up to `farthest`.

    0 outside and 1 on the region's rim; the picture's border is no outside. Exact up to 24 px,
    beyond that within a few.
    """
    near = _distance(region, min(farthest, _NEAR))
    if farthest <= _NEAR:
        return near
    outside = F.max_pool2d(1 - region, _PART, ceil_mode=True)
    far = _distance(1 - outside, -(-farthest // _PART)) * _PART
    far = F.interpolate(far, scale_factor=_PART, mode="bilinear")
    far = far[..., : region.shape[2], : region.shape[3]]
    return torch.where(near < _NEAR, near, far.clamp(_NEAR, farthest))


def _distance(region: Tensor, farthest: int) -> Tensor:
    """As `depth`, exact however far: along the rows first, then down the columns."""
    along = region * farthest
    step = 1
    while step < farthest:
        left, right = (_moved(along, (0, shift), farthest) for shift in (-step, step))
        along = torch.minimum(along, torch.minimum(left, right) + step)
        step *= 2
    square = along**2
    best = square
    for step in range(1, farthest):
        up, down = (_moved(square, (shift, 0), farthest**2) for shift in (-step, step))
        best = torch.minimum(best, torch.minimum(up, down) + step**2)
    return best.sqrt()


def _moved(x: Tensor, by: tuple[int, int], beyond: float) -> Tensor:
    """(B, C, H, W) moved by some rows and columns; `beyond` comes in from outside."""
    y, x_ = by
    pad = (max(x_, 0), max(-x_, 0), max(y, 0), max(-y, 0))
    wide = F.pad(x, pad, value=beyond)
    top, left = max(-y, 0), max(-x_, 0)
    return wide[..., top : top + x.shape[2], left : left + x.shape[3]]


def opened(region: Tensor, radius: Tensor, farthest: int) -> Tensor:
    """A region (B, 1, H, W) without the parts into which no disc of `radius` (B, 1, 1, 1) fits."""
    core = (depth(region, farthest) > radius).to(region.dtype)
    near = depth(1 - core, farthest) <= radius
    return region * near


# ---- compression ---------------------------------------------------------------------------------


def jpeg_like(image: Tensor, strength: Tensor) -> Tensor:
    """Blocking and ringing as of a JPEG: (B, 3, H, W) in 0..255, sides multiples of 8.

    Cosine coefficients of 8×8 blocks are rounded in steps that grow with the frequency.

    Args:
        image: RGB.
        strength: (B, 1, 1, 1), step of the lowest frequency; 0 leaves the sample as it is.
    """
    B, C, H, W = image.shape
    basis = _cosines(image)  # (8, 8): D x Dᵀ transforms a block
    red, green, blue = image.unbind(1)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    ycc = torch.stack([grey, (blue - grey) / 1.772, (red - grey) / 1.402], 1)
    blocks = ycc.view(B, C, H // _BLOCK, _BLOCK, W // _BLOCK, _BLOCK).transpose(3, 4)
    coefficients = basis @ blocks @ basis.t()
    place = torch.arange(_BLOCK, device=image.device, dtype=image.dtype)
    rising = 1 + 0.5 * (place[:, None] + place[None, :])
    channel = torch.arange(C, device=image.device).view(1, C, 1, 1, 1, 1)
    chroma = 1.0 + (channel > 0)  # colour is kept less well
    step = strength.view(B, 1, 1, 1, 1, 1) * rising * chroma
    coarse = (coefficients / step.clamp_min(1e-6)).round() * step
    back = basis.t() @ torch.where(step > 0, coarse, coefficients) @ basis
    grey, cb, cr = back.transpose(3, 4).reshape(B, C, H, W).unbind(1)
    red, blue = grey + 1.402 * cr, grey + 1.772 * cb
    return torch.stack([red, (grey - 0.299 * red - 0.114 * blue) / 0.587, blue], 1)


def _cosines(like: Tensor) -> Tensor:
    """Orthonormal DCT-II of length 8."""
    k = torch.arange(_BLOCK, device=like.device, dtype=like.dtype)
    table = torch.cos(math.pi / _BLOCK * (k[None, :] + 0.5) * k[:, None]) * math.sqrt(2 / _BLOCK)
    return torch.cat([table[:1] / math.sqrt(2), table[1:]])
