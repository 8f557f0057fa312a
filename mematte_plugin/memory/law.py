"""The memory law: the bytes that a run holds at once, term by term. Pure arithmetic, no torch.

This file has the law for CPUs, `card_law` the one for cards, `workload` what they share.

The terms follow the code of `network` phase by phase and are checked against the bytes of live
tensors counted in real runs. Libraries need memory besides the tensors (packed weights, thread
buffers, kernels' workspaces): one constant per backend.
"""

from __future__ import annotations

from ..network.config import CELL, STRIP_PIXELS, Chunking
from .card_law import card_phases
from .limits import MIB
from .workload import (
    CELL_BYTES,
    CROP_FLOATS,
    POOLING_BYTES,
    WORKSPACE,
    Workload,
    decoder_bytes,
    flow_bytes,
    map_bytes,
    rows_at_once,
    windows_at_once,
)

LARGE = 8192
"""From this many tokens on, freed memory goes back to the system after each block; in smaller
pictures that would cost time."""
HEAP, HEAP_SHARE, HEAP_UNKNOWN_SHARE, HEAP_MOST = 22 * MIB, 0.55, 0.9, 100 * MIB
"""On a CPU, the C library's heap and the kernels' buffers besides live tensors while the network
runs: a constant, a share of the tensors, an addition to that share where all is unknown (pieces of
more shapes are decoded then), and an upper bound (large tensors are mapped apart). Measured with
glibc; it varies by a quarter from run to run."""
SMALL_HEAP, SMALL_HEAP_SHARE, SMALL_HEAP_CHANNEL = 14 * MIB, 0.6, 44 * 2**10
"""The same for pictures below `LARGE`: a constant, a share, and bytes per channel of the tokens.
The bound is loose: of two identical runs one may take twice as much."""
LEFT_SHARE, LEFT_MOST, LEFT_BESIDE = 0.8, 32 * MIB, 60 * MIB
"""What the C library's heap keeps of the flow's memory, in pieces too small for the network:
a share and an upper bound; below `LARGE`, the bound of that and the network's own heap."""
READING = 10
"""Bytes per pixel while a trimap is read, 4 of which stay."""


def phases(work: Workload, chunking: Chunking) -> dict[str, int]:
    """Bytes at the worst moment of each phase, above the loaded, idle process; on a GPU, in its
    memory."""
    if work.backend != "cpu":
        return card_phases(work, chunking)
    photo = 3 * work.depth * work.pixels
    picture = photo + 4 * work.pixels  # trimap, alpha and maps count too
    maps = map_bytes(work)
    alpha = 4 * work.pixels
    fixed = WORKSPACE["cpu"] + work.copied
    token = work.config.embed_dim * work.itemsize
    x = work.tokens * token
    made = maps + fixed
    network = {
        "embedding": made + x + _embedding(work, chunking),
        "windows": made + x + _windows(work, chunking),
        "mlp": made + x + 9 * _strip(work, chunking) * token,
        "refinement": made + 2 * x + _refinement(work, chunking),
        "attention": made + 2 * x + attention_bytes(work, chunking),
        "decoder": made + decoder_bytes(work, chunking),
    }
    left = min(int(LEFT_SHARE * flow_bytes(work)), LEFT_MOST)
    found = {name: size + picture + _heap(work, size, left) for name, size in network.items()}
    found["decoder"] += alpha
    found["reading"] = fixed + photo + READING * work.pixels
    found["guidance"] = picture + fixed + _guidance(work)
    return found


def peak(work: Workload, chunking: Chunking) -> int:
    """The most of all phases, in bytes."""
    return max(phases(work, chunking).values())


def attention_bytes(work: Workload, chunking: Chunking) -> int:
    """Bytes of attention over the kept tokens, besides the two token maps."""
    config, kept = work.config, work.most_kept
    C, s, d = config.embed_dim, work.itemsize, config.head_dim
    if kept == 0:
        return 0
    if config.global_rel_pos:  # keys, values, and a bias of a few rows of queries
        w = work.grid[1]
        row = config.num_heads * w * work.tokens * s * (1 if chunking.fused else 3)
        rows = work.grid[0] * row if chunking.attention is None else max(row, chunking.attention)
        return (
            2 * work.tokens * C * s
            + min(rows, work.grid[0] * row)
            + 4 * _strip(work, chunking) * C * s
        )
    of_head = 3 * kept * d * s
    heads = config.num_heads
    if chunking.attention is not None:
        heads = max(1, min(heads, chunking.attention // of_head))
    chunk = min(kept, chunking.tokens or kept)
    most = heads * of_head + chunk * (2 * C + 3 * heads * d) * s
    if not chunking.fused:
        of_query = heads * kept * (2 * s + 4)
        room = max((chunking.attention or kept * of_query) - heads * of_head, 16 * of_query)
        most = max(most, heads * of_head + min(room, kept * of_query))
    return most


def _strip(work: Workload, chunking: Chunking) -> int:
    """Tokens of a strip."""
    return rows_at_once(work, chunking.tokens) * work.grid[1]


def _embedding(work: Workload, chunking: Chunking) -> int:
    patch = work.config.patch_size**2
    patches = rows_at_once(work, chunking.patches) * work.grid[1]
    floats = 4 * CROP_FLOATS[work.config.guidance]
    halves = 2 * work.config.in_chans if work.itemsize == 2 else 0
    return patches * (patch * (floats + halves) + work.config.embed_dim * work.itemsize)


def _windows(work: Workload, chunking: Chunking) -> int:
    side, windows = work.config.window_size, windows_at_once(work, chunking)
    # Tokens, q, k, v, the attended values; and the bias of relative position.
    bias = 5.1 + work.config.num_heads * side**2 / work.config.embed_dim
    return int(windows * side**2 * work.config.embed_dim * work.itemsize * bias)


def _refinement(work: Workload, chunking: Chunking) -> int:
    if not work.config.routed:
        return 0
    strip, w = _strip(work, chunking), work.grid[1]
    carried = 2 * (strip + 6 * w) + 5 * (strip + 2 * w)
    return (carried + strip + 2 * w) * work.config.embed_dim * work.itemsize


def _guidance(work: Workload) -> int:
    """Bytes while the guidance maps are made."""
    if work.config.guidance == "none":
        return 0
    cells = work.pixels // CELL**2
    nearest = 8 * 4 * cells
    return nearest + max(CELL_BYTES * cells, STRIP_PIXELS * POOLING_BYTES, flow_bytes(work))


def _heap(work: Workload, size: int, left: int) -> int:
    """Bytes of a CPU's heap besides `size` bytes of tensors, if guidance left `left` in it."""
    if work.tokens < LARGE:
        of_channels = SMALL_HEAP_CHANNEL * work.config.embed_dim
        heap = SMALL_HEAP + of_channels + int(SMALL_HEAP_SHARE * size)
        return max(heap, min(heap + left, LEFT_BESIDE))
    share = HEAP_SHARE + HEAP_UNKNOWN_SHARE * work.unknown
    return max(left, min(HEAP + int(share * size), HEAP_MOST))
