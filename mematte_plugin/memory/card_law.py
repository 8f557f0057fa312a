"""The memory law for cards: what a run holds in a device's own memory, phase by phase.

Picture, trimap and alpha are there too, unless they wait on the host. What cuBLAS, cuDNN and their
like take besides the tensors is the constant `WORKSPACE`, which nobody has measured on all cards:
the tensors alone are checked on a simulated one (`benchmarks.simulated_card`).
"""

from __future__ import annotations

from ..network.config import Chunking
from .law import (
    BRUTE_BYTES,
    CELL,
    CELL_BYTES,
    CROP_FLOATS,
    POOLING_BYTES,
    WORKSPACE,
    Job,
    decoder_bytes,
    flow_bytes,
    grid_cells,
    map_bytes,
    rows_at_once,
)

WIDTH_STEP = 8
"""Fused kernels want rows of a multiple of it; see `network.attention`, which needs torch."""
SMALL_TENSORS = 2**18
"""Bytes for gates, means, tables of offsets and borders, each of them rounded up to 512."""
BLOCKS = 1.06
"""What the allocator's blocks take for the tensors in them: they are rounded up, and cut from
larger ones whose rest may suit nothing. Assumed; `python -m benchmarks.card` measures it."""
POOLED_AT_ONCE = 2**20
"""Pixels of the picture that are pooled to cells together; see `network.guidance`."""
SOUGHT_BYTES, SOUGHT_UNKNOWN_BYTES = 60, 160
"""A cell of the flow's grid while neighbours are sought, and what an unknown one takes besides."""
LOGIT_SUM = 4
"""Bytes of the sum that a fused kernel keeps of each query's logits."""
FEWEST_QUERIES = 16
"""As in `network.streaming.attention_split`."""


def card_phases(job: Job, chunking: Chunking) -> dict[str, int]:
    """Bytes that live on the device at the worst moment of each phase, above the loaded network."""
    workspace = WORKSPACE.get(job.backend, WORKSPACE["mps"]) + job.copied
    fixed = SMALL_TENSORS
    fixed += 0 if chunking.host_picture else (3 * job.depth + 4) * job.pixels
    alpha = 0 if chunking.host_picture else 4 * job.pixels
    made = fixed + map_bytes(job) + _routing_maps(job)
    token = job.config.embed_dim * job.itemsize
    x = job.tokens * token
    strip = rows_at_once(job, chunking.tokens) * job.grid[1] * token
    found = {
        "embedding": made + max(_embedding(job, chunking), x + _positions(job, chunking)),
        "windows": made + x + _windows(job, chunking),
        "mlp": made + x + 9 * strip,  # the norm, the hidden ones, their GELU
        "refinement": made + 2 * x + _refinement(job, chunking),
        "attention": made + 2 * x + _attention(job, chunking),
        "decoder": made + alpha + decoder_bytes(job, chunking),
    }
    if job.config.guidance != "none":
        found["guidance"] = fixed + _guidance(job)
    return {name: workspace + int(BLOCKS * size) for name, size in found.items()}


def _guidance(job: Job) -> int:
    """While the guidance maps are made."""
    cells = (job.height // CELL + 3) * (job.width // CELL + 3)
    rows = max(1, POOLED_AT_ONCE // (job.width * CELL)) * CELL
    most = max(CELL_BYTES * cells, min(rows, job.height) * job.width * POOLING_BYTES)
    if job.config.guidance == "flow":
        # Neighbours are sought before the system is solved, which takes the place of a kd-tree.
        of_cell = SOUGHT_BYTES + SOUGHT_UNKNOWN_BYTES * job.unknown
        searched = BRUTE_BYTES + int(grid_cells(job) * of_cell)
        most = max(most, flow_bytes(job), searched)
    return 8 * 4 * cells + most


def _routing_maps(job: Job) -> int:
    """Margins and decisions of every routed block, which are part of the result, the logits of
    the last one, and the numbers of the kept tokens."""
    if not job.config.routed:
        return 0
    return job.tokens * (5 * len(job.config.global_blocks) + 8) + 8 * job.most_kept


def _embedding(job: Job, chunking: Chunking) -> int:
    config = job.config
    pixels = config.patch_size**2
    rows = rows_at_once(job, chunking.patches)
    patches = rows * job.grid[1]
    # While channels are put together, those that need no guidance are there twice.
    floats = CROP_FLOATS[config.guidance]
    if chunking.host_picture and config.guidance == "none":
        floats += 1
    made = config.in_chans * job.itemsize
    halves = made if job.itemsize == 2 else 0
    token = config.embed_dim * job.itemsize
    prepared = patches * pixels * (4 * floats + halves)
    if rows == job.grid[0]:
        return max(prepared, patches * (pixels * made + token), 2 * patches * token)
    return job.tokens * token + max(prepared, patches * (pixels * made + token))


def _positions(job: Job, chunking: Chunking) -> int:
    config, w = job.config, job.grid[1]
    if not config.abs_pos:
        return 0
    strip = rows_at_once(job, chunking.tokens) * w
    # Resized along rows only; a strip of them, in float32 and in the network's precision.
    return config.embed_dim * (config.pos_grid * w * 4 + strip * (4 + job.itemsize))


def _windows(job: Job, chunking: Chunking) -> int:
    config, s = job.config, job.itemsize
    side, d = config.window_size, config.head_dim
    h, w = job.grid
    down, across = -(-h // side), -(-w // side)
    windows = down * across
    if chunking.tokens is not None:
        wanted = max(1, chunking.tokens // side**2)
        windows = min(windows, wanted // across * across if wanted >= across else wanted)
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
    """What attention takes besides its arguments where there is no fused kernel: torch's, which
    computes half precision in float32.

    Args:
        heads: of all sequences together.
        queries, keys: of one.
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


def _refinement(job: Job, chunking: Chunking) -> int:
    if not job.config.routed:
        return 0
    h, w = job.grid
    rows = rows_at_once(job, chunking.tokens)
    strips = -(-h // rows)
    # Of the first strip two rows have to wait, which the last one has more.
    last = h - (strips - 1) * rows + (2 if strips > 1 else 0)
    most = max(last, rows if strips > 2 else rows - 2)
    # Widened with two rows around, convolved, GELU, narrowed; and the zeros beyond the border.
    return (2 * (most + 4) + 5 * most + 4) * w * job.config.embed_dim * job.itemsize


def _attention(job: Job, chunking: Chunking) -> int:
    """Besides the two token maps."""
    config, kept = job.config, job.most_kept
    C, s, d = config.embed_dim, job.itemsize, config.head_dim
    if kept == 0:
        return 0
    if config.global_rel_pos:
        return _dense(job, chunking)
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


def _dense(job: Job, chunking: Chunking) -> int:
    """Keys and values of all tokens, and a bias for a few rows of queries."""
    config, s = job.config, job.itemsize
    C, d, heads = config.embed_dim, config.head_dim, config.num_heads
    h, w = job.grid
    strip = rows_at_once(job, chunking.tokens) * w
    row = heads * w * job.tokens * s  # of the bias
    most_rows = float(h)
    if chunking.attention is not None:  # not rounded down, so that more never needs less
        share = chunking.attention / (row if chunking.fused else 3 * row)
        most_rows = min(most_rows, max(1.0, share))
    queries = int(most_rows * w)
    offsets = queries * heads * (2 * h + 2 * w - 2) * s
    bias = int(most_rows * row)
    if chunking.fused:
        # A bias whose rows are odd is copied.
        attended = bias * (1 if job.tokens % WIDTH_STEP == 0 else 2) + queries * C * s
    else:
        attended = bias + math_bytes(heads, queries, job.tokens, d, s)
    most = max(3 * strip * C * s, queries * C * s + max(bias + offsets, attended))
    return 2 * job.tokens * C * s + most
