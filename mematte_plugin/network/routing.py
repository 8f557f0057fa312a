"""Token routing, the paper's contribution: the router, its keep decision, and the LTRM.

Before each global-attention block the router scores every token; tokens that win go through
attention, all others through the cheap lightweight token refinement module (LTRM).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .rows import map_rows, strips, sum_dtype


class Router(nn.Module):
    """Scores tokens from their own features and the mean over the image.

    The Linear layers sit in Sequentials because official checkpoints name them so.
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

    def forward(self, x: Tensor, rows: int | None = None) -> Tensor:
        """Logits (keep, skip) of every token.

        Args:
            x: (B, h, w, C).
            rows: rows to work through at a time.

        Returns: (B, h·w, 2), float32. Their softmax is the paper's decision probability.
        """
        B, h, w, C = x.shape
        norm, linear = self.in_conv[0], self.in_conv[1]
        half = C // 2
        first = self.out_conv[0]
        assert isinstance(linear, nn.Linear)
        assert isinstance(first, nn.Linear)

        # The second half of the channels is only needed as a mean, so it is never held whole.
        total = torch.zeros(B, C - half, dtype=sum_dtype(x), device=x.device)
        for top, bottom in strips(h, rows):
            part = F.gelu(
                F.linear(norm(x[:, top:bottom]), linear.weight[half:], linear.bias[half:])
            )
            total = total + part.sum((1, 2), dtype=total.dtype)
        mean = (total / (h * w)).to(x.dtype)
        of_mean = F.linear(mean, first.weight[:, half:], first.bias)[:, None, None]

        def logits(part: Tensor) -> Tensor:
            local = F.gelu(F.linear(norm(part), linear.weight[:half], linear.bias[:half]))
            hidden = F.linear(local, first.weight[:, :half]) + of_mean
            for layer in list(self.out_conv)[1:]:
                hidden = layer(hidden)
            return hidden.float()

        return map_rows(logits, x, rows).view(B, h * w, 2)


def keep_decision(logits: Tensor, max_tokens: int | None = None) -> Tensor:
    """Which tokens go through attention: argmax, at most `max_tokens` of each image.

    Over the cap, those with the largest score difference stay, as in the official inference.

    Args:
        logits: (B, N, 2) from the router.
        max_tokens: cap per image and block, None for none.

    Returns: bool (B, N).
    """
    margin = logits[..., 0] - logits[..., 1]
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

    def forward(self, x: Tensor, rows: int | None = None) -> Tensor:
        """Refine all tokens; x is the block's un-normalised input (B, h, w, C), same shape out."""
        out = map_rows(self._refine, x, rows, halo=self.HALO)
        mean = out.mean((1, 2), dtype=sum_dtype(out)).to(out.dtype)
        gate = 1 + self.eca(mean)[:, None, None]
        return out * gate if torch.is_grad_enabled() else out.mul_(gate)

    def _refine(self, x: Tensor) -> Tensor:
        x = F.gelu(self.fc1(x)).permute(0, 3, 1, 2)
        x = F.gelu(self.dwconv(x)).permute(0, 2, 3, 1)
        return self.fc2(x)
