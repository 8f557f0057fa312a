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

from .config import WIDTH_STEP

# Largest grid in tokens whose tables are kept: those of a window take some ten kilobytes.
_KEPT_GRID = 1024


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
        # Filled by `_places_of`; an encoder shares one among all its blocks.
        self.places: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}

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
        if keep is not None:
            q, k, v = self._heads(x)
            out = self._masked(q, k, v, keep)
        elif self.has_rel_pos:
            if grid is None:
                raise ValueError("attention with relative position needs the token grid")
            out = self._with_rel_pos(self._heads(x), grid)
        else:
            q, k, v = self._heads(x)
            out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(B, N, C))

    def _heads(self, x: Tensor) -> list[Tensor]:
        """Queries, keys and values (B, heads, N, d) of x (B, N, C)."""
        B, N, _ = x.shape
        return list(self.qkv(x).view(B, N, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4))

    def _with_rel_pos(self, qkv: list[Tensor], grid: tuple[int, int]) -> Tensor:
        q, k, v = qkv
        qkv.clear()  # so that they are freed once there are wider ones
        if q.device.type == "cpu" and not torch.is_grad_enabled():
            # For windows a bias is faster there, and the kernel takes one (without gradient).
            return F.scaled_dot_product_attention(q, k, v, attn_mask=self.position_bias(q, grid))
        B, heads, _, d = q.shape
        h, w = grid
        offsets, onehot = self._places_of(grid, q)
        # The products with every offset first, then a lookup of the offsets that occur: instead of
        # a small product for every row and column.
        table = torch.cat([_resized(self.rel_pos_h, h), _resized(self.rel_pos_w, w)])
        position = (q.reshape(-1, d) @ table.t()).view(B, heads, q.shape[2], -1)
        position = position.gather(3, offsets.expand(B, heads, -1, -1))
        q = torch.cat([q, position], dim=3)
        del position
        k = torch.cat([k, onehot.expand(B, heads, -1, -1)], dim=3)
        v = F.pad(v, (0, onehot.shape[1]))
        return F.scaled_dot_product_attention(q, k, v, scale=self.scale)[..., :d]

    def _places_of(self, grid: tuple[int, int], q: Tensor) -> tuple[Tensor, Tensor]:
        """For every token of a grid, its offsets to all rows and columns, as indices into a table
        of both (N, h + w + padding) int64; and its own row and column (N, h + w + padding),
        one-hot, over the logits' scale. Cached for small grids."""
        key = (grid, q.device, q.dtype, q.shape[3])
        found = self.places.get(key)
        if found is None:
            with torch.inference_mode(False):  # training may reuse it
                found = _places(grid, q, 1 / self.scale)
            if len(found[0]) <= _KEPT_GRID:
                self.places[key] = found
        return found

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
        # From the largest offset to the smallest: the entries for keys 0, 1, 2, … are then a run of
        # the table, which starts one place earlier for each next query.
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
        # The decisions multiply the exponentials, so that they receive a gradient; every token
        # still sees itself, or a row without kept tokens would divide by zero.
        logits = (q * self.scale) @ k.transpose(-2, -1)  # (B, heads, N, N)
        N = logits.shape[-1]
        eye = torch.eye(N, dtype=keep.dtype, device=keep.device)
        allowed = keep.view(-1, 1, 1, N)
        allowed = allowed + (1 - allowed) * eye
        weights = (logits - logits.amax(-1, keepdim=True)).float().exp() * allowed.float()
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-6)
        return weights.to(v.dtype) @ v


def _places(grid: tuple[int, int], q: Tensor, one: float) -> tuple[Tensor, Tensor]:
    h, w = grid
    pad = -(q.shape[3] + h + w) % WIDTH_STEP
    rows, columns = torch.arange(h, device=q.device), torch.arange(w, device=q.device)
    token = torch.arange(h * w, device=q.device)[:, None]
    row, column = token // w, token % w
    offsets = torch.cat([row - rows + h - 1, column - columns + (2 * h - 1) + w - 1], 1)
    onehot = torch.cat([row == rows, column == columns], 1).to(q.dtype) * one
    return F.pad(offsets, (0, pad)), F.pad(onehot, (0, pad))


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
    x = x.reshape(-1, window * window, C)  # under the same name, so that the padded map is freed
    x = attention(x, (window, window))
    x = x.view(B, rows, cols, window, window, C).transpose(2, 3)
    return x.reshape(B, rows * window, cols * window, C)[:, :h, :w]
