"""The detail-capture decoder of ViTMatte, in one piece; `pieces` runs it piece by piece."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import HEAD_CHANS, NetworkConfig
from .flow import CHANNELS, first_alpha
from .inputs import NetworkInput
from .tiling import OFFICIAL_OVERLAP, OFFICIAL_TILE

SUREST = 0.02
"""First alphas are clamped to this distance from 0 and 1 before the network corrects them."""
BEYOND = SUREST / (1 - 2 * SUREST)
"""Corrected flow alphas are stretched this far beyond 0 and 1 and then clamped, so that a first
alpha of 0 or 1 without a correction stays exactly 0 or 1."""
DISCORD = 0.15
"""Difference at which the flow and the known-to-unknown estimate no longer agree."""
CALM = 0.9
"""Share of the network's correction that is removed where they agree and are confident: it takes a
strong correction to contradict them."""


class ConvNormRelu(nn.Module):
    """3×3 convolution, batch norm, ReLU."""

    def __init__(self, in_chans: int, out_chans: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_chans, out_chans, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_chans)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) to (B, out_chans, H / stride, W / stride)."""
        return F.relu_(self.bn(self.conv(x)))


class DetailStream(nn.Module):
    """Details of the input at 1/2, 1/4 and 1/8 of its resolution."""

    def __init__(self, in_chans: int, chans: tuple[int, ...]) -> None:
        super().__init__()
        widths = (in_chans, *chans)
        self.convs = nn.ModuleList(
            ConvNormRelu(a, b, stride=2) for a, b in zip(widths, chans, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """The input (B, in_chans, H, W) and its details, finest first."""
        details = [x]
        for conv in self.convs:
            details.append(conv(details[-1]))
        return details


class Fusion(nn.Module):
    """Doubles the features' resolution and fuses them with the details found there."""

    def __init__(self, coarse_chans: int, detail_chans: int, out_chans: int) -> None:
        super().__init__()
        self.coarse = coarse_chans
        self.conv = ConvNormRelu(coarse_chans + detail_chans, out_chans, stride=1)

    def forward(self, features: Tensor, details: Tensor) -> Tensor:
        """(B, C, H, W) and (B, D, 2H, 2W) to (B, out_chans, 2H, 2W)."""
        up = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        return self.conv(torch.cat([details, up], dim=1))


class MattingHead(nn.Module):
    """3×3 and 1×1 convolutions down to one channel."""

    def __init__(self, in_chans: int) -> None:
        super().__init__()
        self.matting_convs = nn.Sequential(
            nn.Conv2d(in_chans, HEAD_CHANS, 3, 1, 1),
            nn.BatchNorm2d(HEAD_CHANS),
            nn.ReLU(),
            nn.Conv2d(HEAD_CHANS, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) to logits (B, 1, H, W)."""
        return self.matting_convs(x)


class Decoder(nn.Module):
    """Alpha from token features and the network input (ViTMatte's detail capture)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.convstream = DetailStream(config.in_chans, config.detail_chans)
        details = (*reversed(config.detail_chans), config.in_chans)
        widths = (config.embed_dim, *config.fusion_chans)
        self.fusion_blks = nn.ModuleList(
            Fusion(width, detail, out)
            for width, detail, out in zip(widths, details, config.fusion_chans, strict=False)
        )
        self.matting_head = MattingHead(config.fusion_chans[-1])
        self.corrects = config.guidance == "flow"

    def forward(self, features: Tensor, pixels: Tensor) -> Tensor:
        """Alpha (B, 1, H, W) float32 in [0, 1] from features (B, C, H/16, W/16) and the network
        input (B, in_chans, H, W). If that holds flow alphas, the network corrects them: its logits
        are added to theirs, damped where the flows agree and are confident."""
        # Channels-last convolutions are about 1.5 times as fast on CPUs.
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        features = features.contiguous(memory_format=torch.channels_last)
        details = self.convstream(pixels)
        for fusion in self.fusion_blks:
            features = fusion(features, details.pop())
        return self.alpha(self.matting_head(features), pixels)

    def alpha(self, logits: Tensor, pixels: Tensor) -> Tensor:
        """Alpha (B, 1, H, W) float32 in [0, 1] from the head's logits (B, 1, H, W) and the network
        input (B, in_chans, H, W) there."""
        logits = logits.float()
        if not self.corrects:
            return torch.sigmoid(logits)
        trimap = pixels[:, 3:4].float()
        channels = pixels[:, -len(CHANNELS) :]
        flow, estimate, confidence = (channels[:, k : k + 1].float() for k in (1, 3, 4))
        first = torch.where(trimap == 0.5, first_alpha(channels), trimap)
        agreement = torch.exp(-(((flow - estimate) / DISCORD) ** 2))
        logits = logits * (1 - CALM * confidence * agreement)
        alpha = torch.sigmoid(logits + torch.logit(first, eps=SUREST))
        alpha = alpha * (1 + 2 * BEYOND) - BEYOND
        if not alpha.requires_grad:
            return alpha.clamp_(0, 1)
        # With the gradient of the unclamped alpha, or an error beyond the ends would stay.
        return alpha + (alpha.clamp(0, 1) - alpha).detach()

    def decode_official(self, features: Tensor, inputs: NetworkInput) -> Tensor:
        """Alpha (B, 1, H, W) float32 decoded the way the official code does it, for comparisons.

        Picture and features are zero-padded to multiples of 512 pixels and decoded in tiles of 512
        with an overlap of 64, so that pixels near the right and bottom border see that padding.
        """
        height, width = inputs.padded
        full_h = height + -height % OFFICIAL_TILE
        full_w = width + -width % OFFICIAL_TILE
        size = self.patch_size
        features = F.pad(features, (0, (full_w - width) // size, 0, (full_h - height) // size))
        alpha = inputs.trimap.new_zeros(len(features), 1, full_h, full_w, dtype=torch.float32)
        for top in range(0, full_h, OFFICIAL_TILE):
            for left in range(0, full_w, OFFICIAL_TILE):
                (first_row, last_row), (first, last) = _reach(top, full_h), _reach(left, full_w)
                box = (
                    ...,
                    slice(first_row // size, last_row // size),
                    slice(first // size, last // size),
                )
                part = self(
                    features[box].to(inputs.device), inputs.crop(first_row, first, last_row, last)
                )
                part = part[:, :, top - first_row :, left - first :]
                tile = (..., slice(top, top + OFFICIAL_TILE), slice(left, left + OFFICIAL_TILE))
                alpha[tile] = part[:, :, :OFFICIAL_TILE, :OFFICIAL_TILE]
        return alpha[:, :, : inputs.size[0], : inputs.size[1]]


def _reach(start: int, size: int) -> tuple[int, int]:
    """The official tile from `start` on with its overlap, within `size`."""
    return max(0, start - OFFICIAL_OVERLAP), min(size, start + OFFICIAL_TILE + OFFICIAL_OVERLAP)
