"""The memory law for cards: the bytes that a run holds in a device's own memory, phase by phase.

They include picture, trimap and alpha, unless those wait on the host. The constant `WORKSPACE`
stands for cuBLAS, cuDNN and their counterparts; it is not measured on all cards. The tensors are
checked on a simulated card (`benchmarks.simulated_card`).
"""

from __future__ import annotations

from ..network.config import (
    CELL,
    DISTANCES,
    FEWEST_QUERIES,
    STRIP_PIXELS_ELSEWHERE,
    WIDTH_STEP,
    Chunking,
)
from .workload import (
    CELL_BYTES,
    CROP_FLOATS,
    POOLING_BYTES,
    WORKSPACE,
    Workload,
    decoder_bytes,
    flow_bytes,
    grid_cells,
    map_bytes,
    rows_at_once,
    windows_at_once,
)

BRUTE_BYTES = DISTANCES * 12
"""Other than on a CPU: the distances computed at a time, and the nearest of them."""
SMALL_TENSORS = 2**18
"""Bytes of gates, means, tables of offsets and borders, each rounded up to 512."""
BLOCKS = 1.06
"""Bytes of the allocator's blocks per byte of tensors: blocks are rounded up, and cut from larger
ones whose rest may fit nothing. Assumed; `python -m benchmarks.card` measures it."""
SOUGHT_BYTES, SOUGHT_UNKNOWN_BYTES = 60, 160
"""Bytes per cell of the flow's grid while neighbours are searched, and more per unknown cell."""
LOGIT_SUM = 4
"""Bytes of the sum of each query's logits that a fused kernel keeps."""


def card_phases(work: Workload, chunking: Chunking) -> dict[str, int]:
    """Bytes on the device at the worst moment of each phase, above the loaded network."""
    workspace = WORKSPACE.get(work.backend, WORKSPACE["mps"]) + work.copied
    fixed = SMALL_TENSORS
    fixed += 0 if chunking.host_picture else (3 * work.depth + 4) * work.pixels
    alpha = 0 if chunking.host_picture else 4 * work.pixels
    made = fixed + map_bytes(work) + _routing_maps(work)
    token = work.config.embed_dim * work.itemsize
    x = work.tokens * token
    strip = rows_at_once(work, chunking.tokens) * work.grid[1] * token
    found = {
        "embedding": made + max(_embedding(work, chunking), x + _positions(work, chunking)),
        "windows": made + x + _windows(work, chunking),
        "mlp": made + x + 9 * strip,  # the norm, the hidden ones, their GELU
        "refinement": made + 2 * x + _refinement(work, chunking),
        "attention": made + 2 * x + _attention(work, chunking),
        "decoder": made + alpha + decoder_bytes(work, chunking),
    }
    if work.config.guidance != "none":
        found["guidance"] = fixed + _guidance(work)
    return {name: workspace + int(BLOCKS * size) for name, size in found.items()}


def _guidance(work: Workload) -> int:
    """Bytes while the guidance maps are made."""
    cells = (work.height // CELL + 3) * (work.width // CELL + 3)
    rows = max(1, STRIP_PIXELS_ELSEWHERE // (work.width * CELL)) * CELL
    most = max(CELL_BYTES * cells, min(rows, work.height) * work.width * POOLING_BYTES)
    if work.config.guidance == "flow":
        # Neighbours are sought before the system is solved, which takes the place of a kd-tree.
        of_cell = SOUGHT_BYTES + SOUGHT_UNKNOWN_BYTES * work.unknown
        searched = BRUTE_BYTES + int(grid_cells(work) * of_cell)
        most = max(most, flow_bytes(work), searched)
    return 8 * 4 * cells + most


def _routing_maps(work: Workload) -> int:
    """Margins and decisions of every routed block, which are part of the result, the logits of
    the last one, and the numbers of the kept tokens."""
    if not work.config.routed:
        return 0
    return work.tokens * (5 * len(work.config.global_blocks) + 8) + 8 * work.most_kept


def _embedding(work: Workload, chunking: Chunking) -> int:
    config = work.config
    pixels = config.patch_size**2
    rows = rows_at_once(work, chunking.patches)
    patches = rows * work.grid[1]
    # While channels are put together, those that need no guidance are there twice.
    floats = CROP_FLOATS[config.guidance]
    if chunking.host_picture and config.guidance == "none":
        floats += 1
    made = config.in_chans * work.itemsize
    halves = made if work.itemsize == 2 else 0
    token = config.embed_dim * work.itemsize
    prepared = patches * pixels * (4 * floats + halves)
    if rows == work.grid[0]:
        return max(prepared, patches * (pixels * made + token), 2 * patches * token)
    return work.tokens * token + max(prepared, patches * (pixels * made + token))


def _positions(work: Workload, chunking: Chunking) -> int:
    config, w = work.config, work.grid[1]
    if not config.abs_pos:
        return 0
    strip = rows_at_once(work, chunking.tokens) * w
    # Resized along rows only; a strip of them, in float32 and in the network's precision.
    return config.embed_dim * (config.pos_grid * w * 4 + strip * (4 + work.itemsize))


def _windows(work: Workload, chunking: Chunking) -> int:
    config, s = work.config, work.itemsize
    side, d = config.window_size, config.head_dim
    windows = windows_at_once(work, chunking)
    tokens = windows * side**2
    # Queries, keys and values with relative position: two numbers for each row and column more.
    wide = d + 2 * side + -(d + 2 * side) % WIDTH_STEP
    # As windows, q, k and v, and all of these wide; then those are left.
    of_token = config.num_heads * s
    narrow = tokens * of_token * (4 * d + 3 * wide)
    held = tokens * of_token * (d + 3 * wide)
    if chunking.fused:
        return max(narrow, held + tokens * config.num_heads * (wide * s + LOGIT_SUM))
    math = math_bytes(windows * config.num_heads, side**2, side**2, wide, s)
    return max(narrow, held + math)


def math_bytes(heads: int, queries: int, keys: int, width: int, itemsize: int) -> int:
    """Bytes of attention besides its arguments without a fused kernel: torch's own, which computes
    half precision in float32.

    Args:
        heads: of all sequences together.
        queries, keys: of one head.
        width: numbers of a query.
        itemsize: bytes of one.
    """
    logits, of_queries, of_keys = queries * keys, queries * width, keys * width
    if itemsize == 2:  # q, k and v as float32
        scaled = 4 * logits + 8 * of_queries + 12 * of_keys
        softmax = 8 * logits + 8 * of_queries + 8 * of_keys
        given = 6 * logits + 14 * of_queries + 8 * of_keys  # the softmax back in half precision
        return heads * max(scaled, softmax, given)
    return heads * (4 * of_queries + 4 * logits + max(4 * logits, 4 * of_keys))


def _refinement(work: Workload, chunking: Chunking) -> int:
    if not work.config.routed:
        return 0
    h, w = work.grid
    rows = rows_at_once(work, chunking.tokens)
    strips = -(-h // rows)
    # Of the first strip two rows have to wait, which the last one has more.
    last = h - (strips - 1) * rows + (2 if strips > 1 else 0)
    most = max(last, rows if strips > 2 else rows - 2)
    # Widened with two rows around, convolved, GELU, narrowed; and the zeros beyond the border.
    return (2 * (most + 4) + 5 * most + 4) * w * work.config.embed_dim * work.itemsize


def _attention(work: Workload, chunking: Chunking) -> int:
    """Besides the two token maps."""
    config, kept = work.config, work.most_kept
    C, s, d = config.embed_dim, work.itemsize, config.head_dim
    if kept == 0:
        return 0
    if config.global_rel_pos:
        return _dense(work, chunking)
    of_head = 3 * kept * d * s
    heads = config.num_heads
    if chunking.attention is not None:
        heads = max(1, min(heads, chunking.attention // of_head))
    chunk = min(kept, chunking.tokens or kept)
    # Gathered and normed, or normed and projected; of some of the heads the weights are copied.
    weights = 3 * heads * d * C * s if heads < config.num_heads else 0
    most = chunk * max(2 * C, C + 3 * heads * d) * s + weights
    if chunking.fused:
        return heads * of_head + max(most, chunk * heads * (d * s + LOGIT_SUM))
    queries = kept
    if chunking.attention is not None:
        room = chunking.attention - heads * of_head
        queries = max(FEWEST_QUERIES, room // (heads * kept * (2 * s + 4)))
    logits = math_bytes(heads, min(kept, queries), kept, d, s)
    return heads * of_head + max(most, logits)


def _dense(work: Workload, chunking: Chunking) -> int:
    """Keys and values of all tokens, and a bias for a few rows of queries."""
    config, s = work.config, work.itemsize
    C, d, heads = config.embed_dim, config.head_dim, config.num_heads
    h, w = work.grid
    strip = rows_at_once(work, chunking.tokens) * w
    row = heads * w * work.tokens * s  # of the bias
    most_rows = float(h)
    if chunking.attention is not None:  # not rounded down, so that more never needs less
        share = chunking.attention / (row if chunking.fused else 3 * row)
        most_rows = min(most_rows, max(1.0, share))
    queries = int(most_rows * w)
    offsets = queries * heads * (2 * h + 2 * w - 2) * s
    bias = int(most_rows * row)
    if chunking.fused:
        # A bias whose rows are odd is copied.
        attended = bias * (1 if work.tokens % WIDTH_STEP == 0 else 2) + queries * C * s
    else:
        attended = bias + math_bytes(heads, queries, work.tokens, d, s)
    most = max(3 * strip * C * s, queries * C * s + max(bias + offsets, attended))
    return 2 * work.tokens * C * s + most
