"""The decoder piece by piece, exactly: the pieces around unknown pixels, with their context."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..progress import Progress
from .config import NetworkConfig, padded_size
from .decoder import ConvNormRelu, Decoder, Fusion
from .inputs import NetworkInput
from .tiling import LARGEST, Box, Span, boxes, groups, spans

TRIMAP_PIXELS = 2**21
"""Pixels of a trimap that are checked together, roughly."""

Folded = tuple[Tensor, Tensor]
"""Weight and bias of a convolution with its batch norm folded in."""


class Pieces:
    """A decoder prepared for decoding pieces: batch norms folded into the convolutions.

    Args:
        decoder: in evaluation mode.
        features: (B, C, h, w) from the encoder, on any device.
        inputs: the network input of the same batch.
    """

    def __init__(self, decoder: Decoder, features: Tensor, inputs: NetworkInput) -> None:
        self.decoder = decoder
        self.features = features
        self.inputs = inputs
        self.stages = len(decoder.fusion_blks)
        fusions = cast("list[Fusion]", list(decoder.fusion_blks))
        parts = [*cast("list[ConvNormRelu]", list(decoder.convstream.convs))]
        parts += [fusion.conv for fusion in fusions]
        first, norm, _, self.last = decoder.matting_head.matting_convs
        folded = _folded(
            [*(part.conv for part in parts), cast(nn.Conv2d, first)],
            [*(part.bn for part in parts), cast(nn.BatchNorm2d, norm)],
        )
        self.details = folded[: -1 - len(fusions)]
        self.fusions = folded[-1 - len(fusions) : -1]
        self.head = folded[-1]

    def __call__(self, group: list[Box]) -> Tensor:
        """Alpha (n·B, 1, r, c) float32 of n boxes of one group, box by box."""
        size = self.inputs.padded
        across = [
            (spans(top, low, size[0], self.stages), spans(left, right, size[1], self.stages))
            for top, left, low, right in group
        ]
        rows, columns = across[0]
        pixels = _together(
            [
                self.inputs.crop(v.inputs[0], h.inputs[0], v.inputs[1], h.inputs[1])
                for v, h in across
            ]
        )
        x = _together(
            [self.features[:, :, slice(*v.features), slice(*h.features)] for v, h in across]
        ).to(pixels.device)
        details = [pixels]
        at = rows.inputs, columns.inputs
        for (weight, bias), *to in zip(self.details, rows.details, columns.details, strict=True):
            fine = details[-1]
            # Zeros outside the picture; sides are even, so only above and left.
            if at[0][0] == 0 or at[1][0] == 0:
                fine = F.pad(fine, (int(at[1][0] == 0), 0, int(at[0][0] == 0), 0))
            details.append(F.relu_(F.conv2d(fine, weight, bias, stride=2)))
            at = to[0], to[1]
        come_from = rows.features, columns.features
        for stage in reversed(range(self.stages)):
            seen = rows.seen[stage], columns.seen[stage]
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            coarse = _cut(x, (2 * come_from[0][0], 2 * come_from[1][0]), seen)
            there = (
                (rows.inputs, columns.inputs)
                if stage == 0
                else (rows.details[stage - 1], columns.details[stage - 1])
            )
            fine = _cut(details[stage], (there[0][0], there[1][0]), seen)
            come_from = rows.fused[stage], columns.fused[stage]
            pad = _zeros_around(come_from, (size[0] >> stage, size[1] >> stage))
            both = _beside(fine, coarse, pad)
            del x, coarse, fine  # before the convolution makes more
            if stage:
                details.pop()
            x = F.relu_(F.conv2d(both, *self.fusions[self.stages - 1 - stage]))
            del both
        top, left, bottom, right = group[0]
        here = ((top, bottom), (left, right))
        x = _padded(x, _zeros_around(here, size))
        logits = self.last(F.relu_(F.conv2d(x, *self.head)))
        return self.decoder.alpha(logits, _cut(pixels, (rows.inputs[0], columns.inputs[0]), here))


def decode(
    decoder: Decoder,
    features: Tensor,
    inputs: NetworkInput,
    *,
    tile: int | None = None,
    wanted: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Alpha of the whole picture as if decoded in one piece.

    Args:
        decoder: in evaluation mode.
        features: (B, C, h, w) from the encoder, on any device.
        inputs: the network input of the same batch.
        tile: longest side of a piece in pixels, a multiple of 16; None sets no limit.
        wanted: the tokens (h, w) with unknown pixels, see `unknown_tokens`: only what they need is
            decoded, and known pixels are the trimap's. None decodes every pixel.
        progress: called with (pixels done, pixels, "decoder").

    Returns: (B, 1, H, W) float32 of the picture's size, where the trimap is.
    """
    pieces = Pieces(decoder, features, inputs)
    alpha = inputs.trimap.float().clone()
    if tile is None and wanted is None:
        parts: list[Box] = [(0, 0, *inputs.padded)]
    else:
        tokens = np.ones(inputs.grid, np.bool_) if wanted is None else wanted
        parts = boxes(tokens, inputs.config, tile, inputs.device.type)
    total = sum((low - top) * (right - left) for top, left, low, right in parts)
    done = 0
    for group in groups(parts, inputs.padded, pieces.stages, tile or LARGEST):
        for box, part in zip(group, pieces(group).chunk(len(group)), strict=True):
            top, left, bottom, right = box
            place = alpha[:, :, top:bottom, left:right]
            found = part[:, :, : place.shape[2], : place.shape[3]].to(place.device)
            if wanted is not None:
                found = torch.where((place > 0) & (place < 1), found, place)
            place.copy_(found)
            del part, found  # before the next ones are made
            done += (bottom - top) * (right - left)
        if progress is not None:
            progress(done, total, "decoder")
    return alpha


def unknown_tokens(trimap: Tensor, config: NetworkConfig) -> NDArray[np.bool_]:
    """The tokens (h, w) of the padded picture with unknown pixels in any image of the batch
    (B, 1, H, W)."""
    step = config.patch_size
    height, width = trimap.shape[2:]
    padded = padded_size(height, width, config.padding)
    rows = max(1, TRIMAP_PIXELS // (width * step)) * step
    found = []
    for top in range(0, padded[0], rows):
        bottom = min(top + rows, padded[0])
        strip = trimap[:, 0, top:bottom]
        unknown = ((strip > 0) & (strip < 1)).any(0)
        unknown = F.pad(unknown, (0, padded[1] - width, 0, bottom - top - len(unknown)))
        found.append(unknown.view(-1, step, padded[1] // step, step).any(3).any(1))
    return torch.cat(found).cpu().numpy()


def _folded(convs: list[nn.Conv2d], norms: list[nn.BatchNorm2d]) -> list[Folded]:
    """Convolutions with the batch norm after each folded in. The norms are computed together: one
    by one they would be many small operations."""
    weight, bias, variance = (
        torch.cat([getattr(norm, name) for norm in norms]).float()
        for name in ("weight", "bias", "running_var")
    )
    scale = weight / (variance + norms[0].eps).sqrt()
    means = [cast(Tensor, norm.running_mean).float() for norm in norms]
    mean = torch.cat(
        [
            value if conv.bias is None else value - conv.bias.float()
            for conv, value in zip(convs, means, strict=True)
        ]
    )
    shift = (bias - mean * scale).to(convs[0].weight.dtype)
    counts = [conv.out_channels for conv in convs]
    return [
        (_channels_last((conv.weight.float() * factor.view(-1, 1, 1, 1)).to(own.dtype)), own)
        for conv, factor, own in zip(
            convs, torch.split(scale, counts), torch.split(shift, counts), strict=True
        )
    ]


def _together(parts: list[Tensor]) -> Tensor:
    """Parts of several pieces as one batch; a single one is not copied for that."""
    return _channels_last(parts[0] if len(parts) == 1 else torch.cat(parts))


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _cut(x: Tensor, start: tuple[int, int], to: tuple[Span, Span]) -> Tensor:
    """The part `to` of a map whose upper left corner is at `start`."""
    (top, bottom), (left, right) = to
    if (bottom - top, right - left) == x.shape[2:]:
        return x
    return x[:, :, top - start[0] : bottom - start[0], left - start[1] : right - start[1]]


def _zeros_around(made: tuple[Span, Span], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The zeros around the input of a 3×3 convolution that makes this part (left, right, top,
    bottom)."""
    (top, bottom), (left, right) = made
    return int(left == 0), int(right == size[1]), int(top == 0), int(bottom == size[0])


def _beside(fine: Tensor, coarse: Tensor, pad: tuple[int, int, int, int]) -> Tensor:
    """The channels of both, with zeros around (left, right, top, bottom), in one dense copy: the
    convolution would otherwise make its own and keep the parts, too."""
    left, right, top, bottom = pad
    batch, first, height, width = fine.shape
    shape = (batch, first + coarse.shape[1], height + top + bottom, width + left + right)
    last = torch.channels_last
    out = torch.empty(shape, dtype=fine.dtype, device=fine.device, memory_format=last)
    if any(pad):
        out.zero_()
    inner = out[:, :, top : top + height, left : left + width] if any(pad) else out
    inner.narrow(1, 0, first).copy_(fine)
    inner.narrow(1, first, coarse.shape[1]).copy_(coarse)
    return out


def _padded(x: Tensor, pad: tuple[int, int, int, int]) -> Tensor:
    return F.pad(x, pad) if any(pad) else x
