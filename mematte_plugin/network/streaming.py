"""The encoder's blocks computed in strips and in place: exact, with bounded memory.

Besides the tokens themselves (one map of them, two inside a routed block) only a strip of
intermediates lives, and the attention over the kept tokens is computed for as many heads at once
as its share of memory allows. Tests compare this with the plain forward of `encoder`, which
training uses. Each strip begins with a tick, which may raise an interrupt.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .attention import Attention, windowed
from .config import FEWEST_QUERIES, Chunking
from .routing import LTRM, Router
from .rows import Tick, idle, rows_in, sliding, strips, sum_dtype

Norm = torch.nn.LayerNorm


def rows_of(chunking: Chunking, width: int) -> int | None:
    """Rows of a strip of a map that is `width` tokens wide; None for all."""
    return None if chunking.tokens is None else max(1, chunking.tokens // width)


def add_windows(
    attn: Attention, norm: Norm, x: Tensor, window: int, *, tokens: int | None, tick: Tick = idle
) -> None:
    """x += windowed attention of norm(x), a few rows of windows or a part of one row at a time.

    Args:
        x: (B, h, w, C).
        window: side of a window, in tokens.
        tokens: the most that are processed together, at least one window; None for all.
    """
    _, h, w, _ = x.shape
    rows = columns = None
    if tokens is not None:
        of_row = -(-w // window)
        windows = max(1, tokens // window**2)
        rows = max(1, windows // of_row) * window
        columns = min(windows, of_row) * window
    for top, bottom in strips(h, rows):
        for left, right in strips(w, columns, tick):
            part = rows_in(x, top, bottom)
            if right - left < w:
                part = part[:, :, left:right]
            part += windowed(attn, norm(part), window)


def add_mlp(
    mlp: torch.nn.Module, norm: Norm, x: Tensor, rows: int | None, tick: Tick = idle
) -> None:
    """x += mlp(norm(x)); x (B, h, w, C)."""
    for top, bottom in strips(x.shape[1], rows, tick):
        part = rows_in(x, top, bottom)
        if part.is_contiguous():  # as one list of tokens: fewer operations
            part = part.view(-1, part.shape[3])
        part += mlp(norm(part))


def route(router: Router, x: Tensor, rows: int | None, tick: Tick = idle) -> Tensor:
    """`Router.forward` in strips: logits (B, h·w, 2) float32."""
    B, h, w, C = x.shape
    if rows is None or rows >= h:
        tick()
        return router(x)
    half = C // 2
    # The second half of the channels is only needed as a mean, so it is never held whole.
    total = torch.zeros(B, C - half, dtype=sum_dtype(x), device=x.device)
    for top, bottom in strips(h, rows, tick):
        part = router.local(x[:, top:bottom], slice(half, C))
        total += part.sum((1, 2), dtype=total.dtype)
    mean = (total / (h * w)).to(x.dtype)
    logits = [
        router.score(router.local(x[:, top:bottom], slice(0, half)), mean)
        for top, bottom in strips(h, rows, tick)
    ]
    return torch.cat(logits, dim=1).view(B, h * w, 2)


def add_routed(
    attn: Attention,
    norm: Norm,
    ltrm: LTRM,
    x: Tensor,
    *,
    keep: Tensor,
    chunking: Chunking,
    tick: Tick = idle,
) -> None:
    """x += attention over the kept tokens, and the LTRM of the others.

    Args:
        x: (B, h, w, C).
        keep: bool (B, h·w).
    """
    B, h, w, C = x.shape
    rows = rows_of(chunking, w)
    made = torch.empty_like(x)
    some_left = False
    # One sequence per image: images of a batch must not attend to each other.
    for b in range(B):
        index = keep[b].nonzero()[:, 0]  # waits for the device, once per block and image
        some_left |= len(index) < h * w
        if len(index):
            of_image = x[b].view(-1, C), index, made[b].view(-1, C)
            attend_kept(attn, norm, *of_image, chunking=chunking, tick=tick)
    if not some_left:
        x += made
        return
    kept = keep.view(B, h, w, 1)
    total = torch.zeros(B, C, dtype=sum_dtype(x), device=x.device)
    for top, bottom, hidden in sliding(ltrm.widen, x, rows, LTRM.HALO, tick):
        refined = ltrm.narrow(hidden)
        total += refined.sum((1, 2), dtype=total.dtype)
        part = rows_in(made, top, bottom)
        part.copy_(torch.where(rows_in(kept, top, bottom), part, refined))
        del refined, hidden  # before the next ones are made
    gate = ltrm.gate((total / (h * w)).to(x.dtype))
    for top, bottom in strips(h, rows, tick):
        part, into = rows_in(made, top, bottom), rows_in(x, top, bottom)
        into += torch.where(rows_in(kept, top, bottom), part, part * gate)


def attend_kept(
    attn: Attention,
    norm: Norm,
    tokens: Tensor,
    index: Tensor,
    out: Tensor,
    *,
    chunking: Chunking,
    tick: Tick = idle,
) -> None:
    """Attention among some tokens, into their rows of `out`.

    Args:
        tokens: (N, C), not normalised.
        index: (K,) of the tokens that take part.
        out: (N, C); rows that are not in `index` stay as they are.
    """
    C = tokens.shape[1]
    K, d = len(index), C // attn.num_heads
    heads, queries = attention_split(chunking, K, attn.num_heads, d, tokens.element_size())
    step = chunking.tokens or K
    if heads == attn.num_heads and min(queries, step) >= K:
        tick()
        out[index] = attn(norm(tokens.index_select(0, index))[None])[0]
        return
    weight = attn.qkv.weight.view(3, attn.num_heads, d, C)
    bias = attn.qkv.bias.view(3, attn.num_heads, d)
    for first in range(0, attn.num_heads, heads):
        group = slice(first, min(first + heads, attn.num_heads))
        n = group.stop - first
        of_group = weight[:, group].reshape(-1, C), bias[:, group].reshape(-1)
        qkv = tokens.new_empty(3, 1, n, K, d)
        for start, stop in strips(K, step, tick):
            part = F.linear(norm(tokens.index_select(0, index[start:stop])), *of_group)
            qkv[:, 0, :, start:stop] = part.view(-1, 3, n, d).permute(1, 2, 0, 3)
            del part  # before the next one is made
        q, k, v = qkv
        for start, stop in strips(K, queries, tick):
            # Queries are not needed again: the result takes their place.
            q[:, :, start:stop] = F.scaled_dot_product_attention(q[:, :, start:stop], k, v)
        columns = attn.proj.weight[:, first * d : group.stop * d]
        for start, stop in strips(K, step, tick):
            heard = q[0, :, start:stop].transpose(0, 1).reshape(-1, n * d)
            if first == 0:
                out[index[start:stop]] = F.linear(heard, columns, attn.proj.bias)
            else:
                out.index_add_(0, index[start:stop], F.linear(heard, columns))
        del qkv, q, k, v, heard  # before the next heads' are made


def attention_split(
    chunking: Chunking, K: int, num_heads: int, d: int, itemsize: int
) -> tuple[int, int]:
    """How many heads, and of how many queries, are computed at once: (heads, queries).

    Queries, keys and values take 3·K·d numbers per head, within `chunking.attention`. Without a
    fused kernel the logits of every query come on top, and their softmax in float32.
    """
    if chunking.attention is None:
        return num_heads, K
    of_head = 3 * K * d * itemsize
    heads = max(1, min(num_heads, chunking.attention // of_head))
    if chunking.fused:
        return heads, chunking.tokens or K
    room = chunking.attention - heads * of_head
    return heads, max(FEWEST_QUERIES, min(K, room // (heads * K * (2 * itemsize + 4))))


def add_dense(
    attn: Attention, norm: Norm, x: Tensor, chunking: Chunking, tick: Tick = idle
) -> None:
    """x += global attention among all tokens (ViTMatte), with relative position where it has one.

    Relative positions enter as a bias of a few rows of queries at a time; x (B, h, w, C).
    """
    B, _, _, C = x.shape
    made = torch.empty_like(x)
    for b in range(B):
        if attn.has_rel_pos:
            _attend_all(attn, norm, x[b], made[b], chunking=chunking, tick=tick)
        else:
            tokens = x[b].view(-1, C)
            everyone = torch.arange(len(tokens), device=x.device)
            of_image = tokens, everyone, made[b].view(-1, C)
            attend_kept(attn, norm, *of_image, chunking=chunking, tick=tick)
    x += made


def _attend_all(
    attn: Attention, norm: Norm, x: Tensor, out: Tensor, *, chunking: Chunking, tick: Tick
) -> None:
    """Attention with relative position among all tokens of one image; x and out (h, w, C)."""
    h, w, C = x.shape
    heads, d = attn.num_heads, C // attn.num_heads
    weight, bias = attn.qkv.weight, attn.qkv.bias
    kv = x.new_empty(2, heads, h, w, d)
    for top, bottom in strips(h, rows_of(chunking, w), tick):
        part = F.linear(norm(x[top:bottom]), weight[C:], bias[C:])
        kv[:, :, top:bottom] = part.view(-1, w, 2, heads, d).permute(2, 3, 0, 1, 4)
        del part  # before the next one is made
    keys, values = kv.view(2, 1, heads, h * w, d)
    of_row = heads * w * h * w * x.element_size() * (1 if chunking.fused else 3)
    step = None if chunking.attention is None else max(1, chunking.attention // of_row)
    for top, bottom in strips(h, step, tick):
        q = F.linear(norm(x[top:bottom]), weight[:C], bias[:C])
        q = q.view(1, -1, heads, d).transpose(1, 2)
        position = attn.position_bias(q, (h, w), top)
        heard = F.scaled_dot_product_attention(q, keys, values, attn_mask=position)
        out[top:bottom] = attn.proj(heard.transpose(1, 2).reshape(-1, w, C))
        del position, heard  # before the next rows' are made
