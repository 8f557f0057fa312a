"""The routed plain vision transformer, and its unrouted ViTMatte form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention, windowed
from .config import NetworkConfig
from .inputs import NetworkInput
from .routing import LTRM, Router, keep_decision
from .rows import add_rows, map_rows

NORM_EPS = 1e-6
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Encoded:
    """What the encoder makes of an image."""

    features: Tensor
    """(B, C, h, w), one token per 16×16 pixels."""
    keep: tuple[Tensor, ...]
    """Per routed block, (B, h, w): bool decisions; in training 0/1 decisions with gradient."""
    margins: tuple[Tensor, ...]
    """Per routed block, (B, h, w) float32: score(keep) - score(skip)."""


class Mlp(nn.Module):
    """Two Linear layers with a GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a token map held channels-last."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, eps=NORM_EPS)


class Residual(nn.Module):
    """Residual bottleneck after a global block: 1×1, 3×3, 1×1, with norms over the channels."""

    HALO = 1

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim // 2, 1, bias=False)
        self.norm1 = ChannelNorm(dim // 2)
        self.conv2 = nn.Conv2d(dim // 2, dim // 2, 3, padding=1, bias=False)
        self.norm2 = ChannelNorm(dim // 2)
        self.conv3 = nn.Conv2d(dim // 2, dim, 1, bias=False)
        self.norm3 = ChannelNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) to the same shape."""
        # The 1×1 convolutions are Linear layers over channels-last tokens.
        y = F.gelu(self.norm1(F.linear(x, self.conv1.weight.flatten(1))))
        y = self.conv2(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = F.linear(F.gelu(self.norm2(y)), self.conv3.weight.flatten(1))
        return x + self.norm3(y)


class Block(nn.Module):
    """A transformer block: windowed, or global (routed or dense) and followed by the residual."""

    def __init__(self, config: NetworkConfig, index: int) -> None:
        super().__init__()
        dim = config.embed_dim
        self.is_global = index in config.global_blocks
        self.window = config.window_size
        rel_pos_grid: int | None = config.window_size
        if self.is_global:
            rel_pos_grid = config.rel_pos_grid if config.global_rel_pos else None
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = Attention(dim, config.num_heads, rel_pos_grid)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim, int(dim * config.mlp_ratio))
        if self.is_global:
            if config.routed:
                self.efficient_block = LTRM(dim)
            self.residual = Residual(dim)

    def forward(self, x: Tensor, keep: Tensor | None, rows: int | None) -> Tensor:
        """(B, h, w, C) to the same shape; x may be overwritten where no gradient is recorded.

        Args:
            keep: routed blocks only: bool (B, N), or in training (B, N, 1) of 0 and 1.
            rows: rows to work through at a time.
        """
        if not self.is_global:
            # Whole windows only: rows are rounded to rows of windows.
            step = None if rows is None else max(1, rows // self.window) * self.window
            return self._window_rows(x, step)
        attended = self._global_attention(x, keep, rows)
        x = x + attended if torch.is_grad_enabled() else attended.add_(x)
        x = add_rows(lambda part: self.mlp(self.norm2(part)), x, rows)
        return map_rows(self.residual, x, rows, halo=Residual.HALO)

    def _window_rows(self, x: Tensor, rows: int | None) -> Tensor:
        x = add_rows(lambda part: windowed(self.attn, self.norm1(part), self.window), x, rows)
        return add_rows(lambda part: self.mlp(self.norm2(part)), x, rows)

    def _global_attention(self, x: Tensor, keep: Tensor | None, rows: int | None) -> Tensor:
        B, h, w, C = x.shape
        tokens = x.view(B, h * w, C)
        if keep is None:
            return self.attn(self.norm1(tokens), (h, w)).view(B, h, w, C)
        refined: Tensor = self.efficient_block(x, rows).view(B, h * w, C)
        if keep.dtype != torch.bool:  # training: both branches, blended so that gradients flow
            attended = self.attn(self.norm1(tokens), keep=keep)
            return (attended * keep + refined * (1 - keep)).view(B, h, w, C)
        # One sequence per image: images of a batch must not attend to each other.
        for b in range(B):
            index = keep[b].nonzero()[:, 0]
            if len(index):
                kept = self.norm1(tokens[b].index_select(0, index))
                refined[b].index_copy_(0, index, self.attn(kept[None])[0])
        return refined.view(B, h, w, C)


class PatchEmbed(nn.Module):
    """Projects patches of the network input to tokens."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        size = config.patch_size
        self.patch_size = size
        self.proj = nn.Conv2d(config.in_chans, config.embed_dim, size, size)

    def forward(self, inputs: NetworkInput, rows: int | None) -> Tensor:
        """Tokens (B, h, w, C), the input made strip by strip."""
        h, w = inputs.grid
        size = self.patch_size
        if rows is None or rows >= h:
            return self.proj(inputs.crop(0, 0, h * size, w * size)).permute(0, 2, 3, 1).contiguous()
        out: Tensor | None = None
        for top in range(0, h, rows):
            bottom = min(top + rows, h)
            part = self.proj(inputs.crop(top * size, 0, bottom * size, w * size))
            if out is None:
                out = part.new_empty(part.shape[0], h, w, part.shape[1])
            out[:, top:bottom] = part.permute(0, 2, 3, 1)
        assert out is not None
        return out


class Encoder(nn.Module):
    """Plain ViT with windowed blocks and a few global, routed ones."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        if config.abs_pos:
            places = config.pos_grid**2 + 1  # the first belongs to the pretraining's class token
            self.pos_embed = nn.Parameter(torch.zeros(1, places, config.embed_dim))
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.depth))
        if config.routed:
            self.routers = nn.ModuleList(Router(config.embed_dim) for _ in config.global_blocks)

    def forward(
        self,
        inputs: NetworkInput,
        *,
        max_tokens: int | None = None,
        chunk_tokens: int | None = None,
        decisions_learn: bool = True,
        progress: Progress | None = None,
    ) -> Encoded:
        """Encode a batch.

        In training mode the decisions are drawn with the Gumbel-softmax trick and carry a
        gradient, as in the paper; otherwise they are the argmax.

        Args:
            inputs: the padded network input.
            max_tokens: cap on kept tokens, per image and block.
            chunk_tokens: tokens worked on at a time (see Chunking).
            decisions_learn: training only; whether the result sends gradient into the decisions.
            progress: called with (blocks done, blocks, "encoder").
        """
        h, w = inputs.grid
        rows = None if chunk_tokens is None else max(1, chunk_tokens // w)
        x = self.patch_embed(inputs, rows)
        if self.config.abs_pos:
            x = x + self._positions(h, w).to(x.dtype)
        keeps: list[Tensor] = []
        margins: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            keep: Tensor | None = None
            if self.config.routed and i in self.config.global_blocks:
                logits = self.routers[len(keeps)](x, rows)
                if self.training:
                    keep = F.gumbel_softmax(logits, hard=True)[..., :1].to(x.dtype)
                else:
                    keep = keep_decision(logits, max_tokens)
                keeps.append(keep.view(-1, h, w))
                margins.append((logits[..., 0] - logits[..., 1]).view(-1, h, w))
            if keep is not None and not decisions_learn:
                keep = keep.detach()
            x = block(x, keep, rows)
            if progress is not None:
                progress(i + 1, self.config.depth, "encoder")
        return Encoded(x.permute(0, 3, 1, 2), tuple(keeps), tuple(margins))

    def _positions(self, h: int, w: int) -> Tensor:
        side = self.config.pos_grid
        grid = self.pos_embed[:, 1:].view(1, side, side, -1)
        if (h, w) == (side, side):
            return grid
        resized = F.interpolate(
            grid.permute(0, 3, 1, 2).float(), size=(h, w), mode="bicubic", align_corners=False
        )
        return resized.permute(0, 2, 3, 1)
