"""Multi-head attention: global over any tokens, and windowed with decomposed relative position.

Decomposed relative position (Li et al. 2022, MViTv2; used by ViTDet and ViTMatte) adds
``q·Rh[y_q - y_k] + q·Rw[x_q - x_k]`` to every attention logit. Written as extra channels of the
query (its products with all rows' and columns' embeddings) against one-hot rows and columns of
the key, that sum is part of the dot product, so a fused kernel computes it and no tokens × tokens
bias is ever held.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Fused kernels want all of q, k and v equally wide, and a multiple of this.
_WIDTH_STEP = 8


class Attention(nn.Module):
    """Multi-head self-attention with optional decomposed relative position.

    Args:
        dim: channels C of a token.
        num_heads: heads; C must be a multiple of it.
        rel_pos_grid: side in tokens of the grid that the relative positions cover, or None.
    """

    def __init__(self, dim: int, num_heads: int, rel_pos_grid: int | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.has_rel_pos = rel_pos_grid is not None
        if rel_pos_grid is not None:
            shape = (2 * rel_pos_grid - 1, dim // num_heads)
            self.rel_pos_h = nn.Parameter(torch.zeros(shape))
            self.rel_pos_w = nn.Parameter(torch.zeros(shape))

    def forward(
        self, x: Tensor, grid: tuple[int, int] | None = None, keep: Tensor | None = None
    ) -> Tensor:
        """Attend among the N tokens of each of B sequences.

        Args:
            x: (B, N, C).
            grid: (h, w) with h·w = N; needed for relative position only.
            keep: (B, N, 1) of 0 and 1, training only: tokens that may be attended to. Gradients
                flow into it (Rao et al. 2021, DynamicViT).

        Returns: (B, N, C).
        """
        B, N, C = x.shape
        qkv = self.qkv(x).view(B, N, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)  # each (B, heads, N, d)
        if keep is not None:
            out = self._masked(q, k, v, keep)
        elif self.has_rel_pos:
            if grid is None:
                raise ValueError("attention with relative position needs the token grid")
            out = self._with_rel_pos(q, k, v, grid)
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(B, N, C))

    def _with_rel_pos(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        if q.device.type == "cpu" and not torch.is_grad_enabled():
            # For windows a bias is faster there, and the kernel takes one (without its gradient).
            return F.scaled_dot_product_attention(q, k, v, attn_mask=self.position_bias(q, grid))
        B, heads, N, d = q.shape
        h, w = grid
        rows = q.view(B, heads, h, w, d)
        rel_h = torch.einsum("bnhwd,hkd->bnhwk", rows, _relative(self.rel_pos_h, h))
        rel_w = torch.einsum("bnhwd,wkd->bnhwk", rows, _relative(self.rel_pos_w, w))
        pad = -(d + h + w) % _WIDTH_STEP
        q = torch.cat(
            [
                q * self.scale,
                rel_h.reshape(B, heads, N, h),
                rel_w.reshape(B, heads, N, w),
                q.new_zeros(B, heads, N, pad),
            ],
            dim=-1,
        )
        place = torch.arange(N, device=q.device)
        onehot = k.new_zeros(N, h + w + pad)
        onehot[place, place // w] = 1
        onehot[place, h + place % w] = 1
        k = torch.cat([k, onehot.expand(B, heads, -1, -1)], dim=-1)
        v = F.pad(v, (0, h + w + pad))
        return F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :d]

    def position_bias(self, q: Tensor, grid: tuple[int, int], top: int = 0) -> Tensor:
        """Relative position of some rows of queries, as a bias of their logits.

        Args:
            q: (B, heads, r·w, d), the queries of whole rows from `top` on.
            grid: (h, w) of all tokens.
            top: first row of the queries.

        Returns: (B, heads, r·w, h·w).
        """
        B, heads, n, d = q.shape
        h, w = grid
        # From the largest offset to the smallest: what a query needs for keys 0, 1, 2, … is then a
        # run of the table, which starts one place earlier for each query further on.
        table = torch.cat([_resized(self.rel_pos_h, h), _resized(self.rel_pos_w, w)]).flip(0)
        runs = (q.reshape(-1, d) @ table.t()).view(B, heads, n // w, w, -1)
        b, head, row, column, _ = runs.stride()
        first = runs.storage_offset()
        of_rows = runs.as_strided(
            (B, heads, n // w, w, h),
            (b, head, row - 1, column, 1),
            first + 2 * w - 1 + h - 1 - top,
        )
        of_columns = runs.as_strided(
            (B, heads, n // w, w, w), (b, head, row, column - 1, 1), first + w - 1
        )
        return (of_rows[..., None] + of_columns[..., None, :]).view(B, heads, n, h * w)

    def _masked(self, q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
        # Training only. The decisions multiply the exponentials, so that they receive a gradient;
        # every token still sees itself, or a row without kept tokens would divide by zero.
        logits = (q * self.scale) @ k.transpose(-2, -1)  # (B, heads, N, N)
        N = logits.shape[-1]
        eye = torch.eye(N, dtype=keep.dtype, device=keep.device)
        allowed = keep.view(-1, 1, 1, N)
        allowed = allowed + (1 - allowed) * eye
        weights = (logits - logits.amax(-1, keepdim=True)).float().exp() * allowed.float()
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-6)
        return weights.to(v.dtype) @ v


def _relative(table: Tensor, size: int) -> Tensor:
    """Embeddings (size, size, d) of the offsets query - key, from a table of (2g-1, d)."""
    place = torch.arange(size, device=table.device)
    return _resized(table, size)[place[:, None] - place[None, :] + size - 1]


def _resized(table: Tensor, size: int) -> Tensor:
    """Embeddings (2·size-1, d) of the offsets 1 - size to size - 1. A table (2g-1, d) learned on
    another grid is resized linearly, as ViTDet does."""
    offsets = 2 * size - 1
    if table.shape[0] == offsets:
        return table
    return F.interpolate(table.t()[None].float(), size=offsets, mode="linear")[0].t().to(table)


def windowed(attention: Attention, x: Tensor, window: int) -> Tensor:
    """Attend within non-overlapping square windows.

    Rows and columns that do not fill a window are padded with zero tokens, which take part in the
    attention as in ViTDet.

    Args:
        x: (B, h, w, C), already normalised.
        window: side of a window, in tokens.

    Returns: (B, h, w, C).
    """
    B, h, w, C = x.shape
    x = F.pad(x, (0, 0, 0, -w % window, 0, -h % window))
    rows, cols = x.shape[1] // window, x.shape[2] // window
    x = x.view(B, rows, window, cols, window, C).transpose(2, 3)
    x = attention(x.reshape(-1, window * window, C), (window, window))
    x = x.view(B, rows, cols, window, window, C).transpose(2, 3)
    return x.reshape(B, rows * window, cols * window, C)[:, :h, :w]
