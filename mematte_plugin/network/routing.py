"""Token routing, the paper's contribution: the router, its keep decision, and the LTRM.

Before each global-attention block the router scores every token: some go through attention, all
others through the cheap lightweight token refinement module (LTRM).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .rows import sum_dtype


class Router(nn.Module):
    """Scores tokens from their own features and the mean over the image.

    The Sequentials give the parameters the names of official checkpoints.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.in_conv = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU())
        self.out_conv = nn.Sequential(
            nn.Linear(dim, dim // 2),
            nn.GELU(),
            nn.Linear(dim // 2, dim // 4),
            nn.GELU(),
            nn.Linear(dim // 4, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (keep, skip) of every token.

        Args:
            x: (B, h, w, C).

        Returns: (B, h·w, 2), float32. Their softmax is the paper's decision probability.
        """
        B, h, w, C = x.shape
        half = C // 2
        local = self.in_conv(x)
        mean = local[..., half:].mean((1, 2), dtype=sum_dtype(x)).to(x.dtype)
        return self.score(local[..., :half], mean).view(B, h * w, 2)

    def local(self, x: Tensor, channels: slice) -> Tensor:
        """Some channels (B, r, w, n) of every token's own features. The first half is scored as it
        is, the second as its mean over the image."""
        norm, linear = self.in_conv[0], self.in_conv[1]
        assert isinstance(linear, nn.Linear)
        return F.gelu(F.linear(norm(x), linear.weight[channels], linear.bias[channels]))

    def score(self, local: Tensor, mean: Tensor) -> Tensor:
        """Logits (B, r, w, 2) float32 from the local half (B, r, w, C/2) and the mean (B, C/2)."""
        first = self.out_conv[0]
        assert isinstance(first, nn.Linear)
        half = local.shape[-1]
        of_mean = F.linear(mean, first.weight[:, half:], first.bias)[:, None, None]
        hidden = F.linear(local, first.weight[:, :half]) + of_mean
        for layer in list(self.out_conv)[1:]:
            hidden = layer(hidden)
        return hidden.float()


def margin_of(logits: Tensor) -> Tensor:
    """score(keep) - score(skip), (B, N) float32, from the router's logits (B, N, 2)."""
    return logits[..., 0] - logits[..., 1]


def keep_largest(margin: Tensor, max_tokens: int | None = None) -> Tensor:
    """Which tokens go through attention: those with a positive margin, at most `max_tokens`.

    Above the cap, those with the largest margin stay, as in the official inference.

    Args:
        margin: (B, N), see `margin_of`.
        max_tokens: cap per image and block, None for none.

    Returns: bool (B, N).
    """
    keep = margin > 0
    if max_tokens is None or max_tokens >= margin.shape[1]:
        return keep
    best = margin.topk(max_tokens, dim=1).indices
    return torch.zeros_like(keep).scatter_(1, best, keep.gather(1, best))


class ChannelAttention(nn.Module):
    """Efficient channel attention (Wang et al. 2020): the gate of the LTRM."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        size = int(abs((math.log2(dim) + 1) / 2))
        size += 1 - size % 2
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, mean: Tensor) -> Tensor:
        """Gate (B, C) in (0, 1) from the channel means (B, C)."""
        return torch.sigmoid(self.conv(mean[:, None])[:, 0])


class LTRM(nn.Module):
    """Lightweight token refinement module: Linear, 5×5 depthwise, Linear, channel attention."""

    HALO = 2  # rows of context that the 5×5 convolution needs

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 2 * dim)
        self.dwconv = nn.Conv2d(2 * dim, 2 * dim, 5, padding=2, groups=2 * dim)
        self.fc2 = nn.Linear(2 * dim, dim)
        self.eca = ChannelAttention(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Refine all tokens; x is the block's un-normalised input (B, h, w, C), same shape out."""
        edge = (0, 0, 0, 0, self.HALO, self.HALO)
        out = self.narrow(F.pad(self.widen(x), edge))
        return out * self.gate(out.mean((1, 2), dtype=sum_dtype(out)).to(out.dtype))

    def widen(self, x: Tensor) -> Tensor:
        """(B, r, w, C) to (B, r, w, 2C), token by token."""
        return F.gelu(self.fc1(x))

    def narrow(self, hidden: Tensor) -> Tensor:
        """(B, r, w, C) from `widen` of those r rows and HALO more above and below."""
        conv = self.dwconv
        y = hidden.permute(0, 3, 1, 2)
        y = F.conv2d(y, conv.weight, conv.bias, padding=(0, self.HALO), groups=conv.groups)
        return self.fc2(F.gelu(y).permute(0, 2, 3, 1))

    def gate(self, mean: Tensor) -> Tensor:
        """The factor of the refined tokens (B, 1, 1, C), from their mean (B, C)."""
        return 1 + self.eca(mean)[:, None, None]
