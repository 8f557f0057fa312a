"""The routed plain vision transformer, and its unrouted ViTMatte form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..progress import Progress
from .attention import Attention, windowed
from .config import Chunking, NetworkConfig
from .inputs import NetworkInput
from .routing import LTRM, Router, keep_largest, margin_of
from .rows import Tick, idle, rows_in, sliding, strips
from .streaming import add_dense, add_mlp, add_routed, add_windows, route, rows_of

NORM_EPS = 1e-6


@dataclass(frozen=True)
class Encoded:
    """The encoder's result for a batch."""

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


class Residual(nn.Module):
    """Residual bottleneck after a global block: 1×1, 3×3, 1×1, with norms over the channels."""

    HALO = 1

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim // 2, 1, bias=False)
        self.norm1 = nn.LayerNorm(dim // 2, eps=NORM_EPS)
        self.conv2 = nn.Conv2d(dim // 2, dim // 2, 3, padding=1, bias=False)
        self.norm2 = nn.LayerNorm(dim // 2, eps=NORM_EPS)
        self.conv3 = nn.Conv2d(dim // 2, dim, 1, bias=False)
        self.norm3 = nn.LayerNorm(dim, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) to the same shape."""
        edge = (0, 0, 0, 0, self.HALO, self.HALO)
        return x + self.widen(F.pad(self.narrow(x), edge))

    def narrow(self, x: Tensor) -> Tensor:
        """(B, r, w, C) to (B, r, w, C/2), token by token."""
        # The 1×1 convolutions are Linear layers over channels-last tokens.
        return F.gelu(self.norm1(F.linear(x, self.conv1.weight.flatten(1))))

    def widen(self, hidden: Tensor) -> Tensor:
        """The residual (B, r, w, C), from `narrow` of those r rows and HALO more on both sides."""
        y = F.conv2d(hidden.permute(0, 3, 1, 2), self.conv2.weight, padding=(0, self.HALO))
        y = F.gelu(self.norm2(y.permute(0, 2, 3, 1)))
        return self.norm3(F.linear(y, self.conv3.weight.flatten(1)))


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

    def forward(self, x: Tensor, keep: Tensor | None) -> Tensor:
        """(B, h, w, C) to the same shape, in one piece.

        Args:
            keep: routed blocks only: (B, N, 1) of 0 and 1, which may carry a gradient.
        """
        x = x + self._attended(x, keep)
        x = x + self.mlp(self.norm2(x))
        return self.residual(x) if self.is_global else x

    def _attended(self, x: Tensor, keep: Tensor | None) -> Tensor:
        if not self.is_global:
            return windowed(self.attn, self.norm1(x), self.window)
        B, h, w, C = x.shape
        tokens = x.reshape(B, h * w, C)
        if keep is None:
            return self.attn(self.norm1(tokens), (h, w)).view(B, h, w, C)
        # Both branches, blended so that gradients flow into the decision.
        attended = self.attn(self.norm1(tokens), keep=keep)
        refined = self.efficient_block(x).view(B, h * w, C)
        return (attended * keep + refined * (1 - keep)).view(B, h, w, C)

    def stream(self, x: Tensor, keep: Tensor | None, chunking: Chunking, tick: Tick = idle) -> None:
        """`forward` in place, in strips, without gradient.

        Args:
            x: (B, h, w, C), overwritten.
            keep: routed blocks only: bool (B, N).
            chunking: how much is held at once.
            tick: called before each strip.
        """
        rows = rows_of(chunking, x.shape[2])
        attn, norm = self.attn, self.norm1
        if not self.is_global:
            add_windows(attn, norm, x, self.window, tokens=chunking.tokens, tick=tick)
        elif keep is None:
            add_dense(attn, norm, x, chunking, tick)
        else:
            ltrm = self.efficient_block
            add_routed(attn, norm, ltrm, x, keep=keep, chunking=chunking, tick=tick)
        add_mlp(self.mlp, self.norm2, x, rows, tick)
        if self.is_global:
            residual = self.residual
            for top, bottom, hidden in sliding(residual.narrow, x, rows, Residual.HALO, tick):
                part = rows_in(x, top, bottom)
                part += residual.widen(hidden)


class PatchEmbed(nn.Module):
    """Projects patches of the network input to tokens."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        size = config.patch_size
        self.patch_size = size
        self.proj = nn.Conv2d(config.in_chans, config.embed_dim, size, size)

    def forward(self, inputs: NetworkInput, tokens: int | None = None, tick: Tick = idle) -> Tensor:
        """Tokens (B, h, w, C); embeds at most `tokens` patches at a time, or all of them."""
        h, w = inputs.grid
        size = self.patch_size
        rows = None if tokens is None else max(1, tokens // w)
        if rows is None or rows >= h:
            return self.proj(inputs.crop(0, 0, h * size, w * size)).permute(0, 2, 3, 1).contiguous()
        out: Tensor | None = None
        for top, bottom in strips(h, rows, tick):
            part = self.proj(inputs.crop(top * size, 0, bottom * size, w * size))
            if out is None:
                out = part.new_empty(part.shape[0], h, w, part.shape[1])
            out[:, top:bottom] = part.permute(0, 2, 3, 1)
            del part  # before the next strip is made
        assert out is not None
        return out


class Encoder(nn.Module):
    """Plain ViT with windowed blocks and a few global, routed ones."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        if config.abs_pos:
            places = config.pos_grid**2 + 1  # the first is the class token of pretraining
            self.pos_embed = nn.Parameter(torch.zeros(1, places, config.embed_dim))
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.depth))
        tables: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}  # shared by all blocks
        for block in self.blocks:
            cast(Block, block).attn.places = tables
        if config.routed:
            self.routers = nn.ModuleList(Router(config.embed_dim) for _ in config.global_blocks)

    def forward(self, inputs: NetworkInput, *, decisions_learn: bool = True) -> Encoded:
        """Encode a batch in one piece, with gradients where they are recorded.

        In training mode the decisions are drawn with the Gumbel-softmax trick and carry a
        gradient, as in the paper; otherwise they are the argmax.

        Args:
            inputs: the padded network input.
            decisions_learn: whether gradients flow from the result into the decisions.
        """
        x = self.patch_embed(inputs)
        _, h, w, _ = x.shape
        if self.config.abs_pos:
            x = x + self._positions(h, w)(0, h).to(x.dtype)
        keeps: list[Tensor] = []
        margins: list[Tensor] = []
        for block, router in self._steps():
            keep: Tensor | None = None
            if router is not None:
                logits = router(x)
                if self.training:
                    keep = F.gumbel_softmax(logits, hard=True)[..., :1].to(x.dtype)
                else:
                    keep = keep_largest(margin_of(logits))[..., None].to(x.dtype)
                keeps.append(keep.view(-1, h, w))
                margins.append(margin_of(logits).view(-1, h, w))
                if not decisions_learn:
                    keep = keep.detach()
            x = block(x, keep)
        return Encoded(x.permute(0, 3, 1, 2), tuple(keeps), tuple(margins))

    def stream(
        self,
        inputs: NetworkInput,
        chunking: Chunking,
        *,
        max_tokens: int | None = None,
        progress: Progress | None = None,
    ) -> Encoded:
        """Encode a batch in strips, without gradient; decisions are the argmax.

        Args:
            inputs: the padded network input.
            chunking: how much is held at once; the result does not depend on it.
            max_tokens: cap on kept tokens, per image and block.
            progress: called with (blocks done, blocks, "encoder"), before every strip.
        """
        depth = self.config.depth
        tick = ticking(progress, 0, depth)
        x = self.patch_embed(inputs, chunking.patches, tick)
        _, h, w, _ = x.shape
        rows = rows_of(chunking, w)
        if self.config.abs_pos:
            positions = self._positions(h, w)
            for top, bottom in strips(h, rows):
                part = rows_in(x, top, bottom)
                part += positions(top, bottom).to(x.dtype)
            del positions  # a wide picture's are large
        keeps: list[Tensor] = []
        margins: list[Tensor] = []
        for i, (block, router) in enumerate(self._steps()):
            keep: Tensor | None = None
            if router is not None:
                logits = route(router, x, rows, tick)
                margin = margin_of(logits)
                del logits
                keep = keep_largest(margin, max_tokens)
                keeps.append(keep.view(-1, h, w))
                margins.append(margin.view(-1, h, w))
            block.stream(x, keep, chunking, tick)
            tick = ticking(progress, i + 1, depth)
            tick()
        return Encoded(x.permute(0, 3, 1, 2), tuple(keeps), tuple(margins))

    def _steps(self) -> Iterator[tuple[Block, Router | None]]:
        """Every block with its router, if it has one."""
        routers = iter(self.routers) if self.config.routed else None
        for i, block in enumerate(self.blocks):
            decides = routers is not None and i in self.config.global_blocks
            yield cast(Block, block), cast(Router, next(routers)) if decides and routers else None

    def _positions(self, h: int, w: int) -> Callable[[int, int], Tensor]:
        """A function of (top, bottom) that gives the position embedding (1, rows, w, C) float32 of
        those rows, resized bicubically from its own grid."""
        side = self.config.pos_grid
        grid = self.pos_embed[0, 1:].view(side, side, -1).float()
        # Bicubic resizing is linear and separable: two small matrices.
        resizing = torch.cat([_resizing(side, n, grid) for n in (h, w)])  # to the device at once
        resizing = resizing.to(grid.device)
        to_h, to_w = resizing[:h], resizing[h:]
        wide = torch.einsum("wx,yxc->ywc", to_w, grid)
        return lambda top, bottom: torch.einsum("hy,ywc->hwc", to_h[top:bottom], wide)[None]


def ticking(progress: Progress | None, done: int, total: int) -> Tick:
    """A tick that reports `done` of `total` blocks."""
    return idle if progress is None else partial(progress, done, total, "encoder")


def _resizing(side: int, size: int, like: Tensor) -> Tensor:
    """Matrix (size, side) on the CPU that resizes a line of `side` values bicubically."""
    unit = torch.eye(side, dtype=like.dtype, device="cpu")[None, None]  # MPS lacks bicubic
    return F.interpolate(unit, size=(size, side), mode="bicubic", align_corners=False)[0, 0]
