"""The memory law: what a run holds at once, term by term. Pure arithmetic, nothing is allocated.

The terms follow the code of `network` phase by phase and are checked against the bytes of live
tensors counted in real runs. Besides the tensors there is what libraries need for themselves
(packed weights, thread buffers, kernels' workspaces): one constant a backend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..network.config import Chunking, NetworkConfig, padded_size
from ..network.tiling import (
    HEAD_CHANS,
    LARGEST,
    OFFICIAL_OVERLAP,
    OFFICIAL_TILE,
    Span,
    Spans,
    spans,
)

MIB = 2**20
UNKNOWN = 0.25
"""Unknown share of a picture whose trimap is not there yet."""
WORKSPACE = {"cpu": 4 * MIB, "cuda": 72 * MIB, "mps": 96 * MIB}
"""What libraries hold besides the tensors: on cards the workspaces of cuBLAS and cuDNN, or what
stands in for them, which come from the same memory. Not measured but on the CPU."""
LARGE = 8192
"""Tokens of a picture from which freed memory goes back to the system after each block; in smaller
ones that would cost time."""
HEAP, HEAP_SHARE, HEAP_UNKNOWN_SHARE, HEAP_MOST = 22 * MIB, 0.55, 0.9, 100 * MIB
"""On a CPU, what the C library's heap and the kernels' buffers take besides live tensors while the
network runs: a constant, a share of them, and what comes to that share where all is unknown, since
pieces of more shapes are decoded then. It grows no further than to the most, since large tensors
are mapped apart. Measured with glibc; it varies by a quarter from run to run."""
SMALL_HEAP, SMALL_HEAP_SHARE, SMALL_HEAP_CHANNEL = 14 * MIB, 0.6, 44 * 2**10
"""The same of pictures below `LARGE`: a constant, a share, and bytes a channel of the tokens. Its
bound is loose: of two runs alike one may take twice as much."""
CROP_FLOATS = {"none": 10, "nearest": 36, "flow": 51}
"""Float32 numbers a pixel while network input is prepared, by guidance."""
CELL = 4
"""Side in pixels of a cell of `network.guidance`, which needs torch."""
POOLING_BYTES = 50
"""A pixel, while a strip of the picture is pooled to cells."""
POOLING = 2**16 * POOLING_BYTES
"""The same for the strips of a CPU."""
CELL_BYTES = 80
"""While nearest colours are searched, besides the maps that stay."""
GRID_CELLS, LEAST_CELL = 2**18, 2
"""Most cells of `network.flow`, which needs torch, and the least side of one in pixels."""
GRID_LEAST, GRID_BYTES, GRID_UNKNOWN_BYTES = 420, 170, 1090
"""A cell of the flow's grid while the alphas are brought up; or while they are solved for, and what
an unknown one takes besides, a kd-tree among it."""
LEFT_SHARE, LEFT_MOST, LEFT_BESIDE = 0.8, 32 * MIB, 60 * MIB
"""What the C library's heap keeps of that, which the network finds in pieces too small for it; in
pictures below `LARGE`, the most of that and of the network's own heap together."""
BRUTE_BYTES = 2**23 * 12
"""Elsewhere than on a CPU, the distances that are computed at a time, and the nearest of them."""
CORRECTION_FLOATS = 16
"""Float32 numbers a pixel while logits become alpha."""
READING = 10
"""Bytes a pixel while a trimap is read, 4 of which stay."""


@dataclass(frozen=True)
class Job:
    """What is asked for: one picture, one network, one kind of device."""

    height: int
    """H, in pixels."""
    width: int
    """W, in pixels."""
    config: NetworkConfig
    """The network's shape."""
    itemsize: int = 4
    """Bytes of a number in the network's precision: 4 or 2."""
    backend: str = "cpu"
    """Device type: "cpu" (all memory is one), "cuda", "mps"."""
    depth: int = 1
    """Bytes of one colour value of the photograph: 1, 2 or 4."""
    unknown: float = UNKNOWN
    """Share of unknown pixels."""
    max_tokens: int | None = None
    """Cap on kept tokens a block, None for none."""
    threads: int = 2
    """Threads of a CPU that compute."""
    copied: int = 0
    """Bytes of a second copy of the weights, in another precision."""
    piece: int | None = None
    """Longest side of what is decoded at once, where the trimap has told; else the tile's."""
    official: bool = False
    """Whether the official code's patches are decoded, whatever the tile."""

    @property
    def pixels(self) -> int:
        """H·W."""
        return self.height * self.width

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the padded token grid."""
        patch = self.config.patch_size
        h, w = padded_size(self.height, self.width, self.config.padding)
        return h // patch, w // patch

    @property
    def tokens(self) -> int:
        """N."""
        return self.grid[0] * self.grid[1]

    @property
    def most_kept(self) -> int:
        """K: as many tokens as attention may have to hold."""
        if not self.config.routed or self.max_tokens is None:
            return self.tokens
        return min(self.tokens, self.max_tokens)


def phases(job: Job, chunking: Chunking) -> dict[str, int]:
    """Bytes that live at the worst moment of each phase, above the loaded, idle process; on a GPU
    those in its memory."""
    if job.backend != "cpu":
        from .card_law import card_phases

        return card_phases(job, chunking)
    photo = 3 * job.depth * job.pixels
    picture = photo + 4 * job.pixels  # trimap, alpha and maps count too
    maps = map_bytes(job)
    alpha = 4 * job.pixels
    fixed = WORKSPACE.get(job.backend, WORKSPACE["mps"]) + job.copied
    token = job.config.embed_dim * job.itemsize
    x = job.tokens * token
    made = maps + fixed
    network = {
        "embedding": made + x + _embedding(job, chunking),
        "windows": made + x + _windows(job, chunking),
        "mlp": made + x + 9 * _strip(job, chunking) * token,
        "refinement": made + 2 * x + _refinement(job, chunking),
        "attention": made + 2 * x + attention_bytes(job, chunking),
        "decoder": made + decoder_bytes(job, chunking),
    }
    left = min(int(LEFT_SHARE * flow_bytes(job)), LEFT_MOST)
    found = {name: size + picture + _heap(job, size, left) for name, size in network.items()}
    found["decoder"] += alpha
    found["reading"] = fixed + photo + READING * job.pixels
    found["guidance"] = picture + fixed + _guidance(job)
    return found


def peak(job: Job, chunking: Chunking) -> int:
    """The most of all phases, in bytes."""
    return max(phases(job, chunking).values())


def weights(config: NetworkConfig, itemsize: int) -> int:
    """Bytes of a network's weights."""
    C, heads_width = config.embed_dim, config.head_dim
    hidden = int(C * config.mlp_ratio)
    block = 4 * C * C + 4 * C + 2 * hidden * C + hidden + C + 4 * C
    count = config.depth * block
    windowed = config.depth - len(config.global_blocks)
    count += windowed * 2 * (2 * config.window_size - 1) * heads_width
    residual = C * C + 9 * C * C // 4 + 4 * C
    ltrm = 4 * C * C + 50 * C + 5 * C + 5
    router = C * C + C * C // 2 + C * C // 8 + 4 * C + C // 4 + 2
    of_global = residual
    if config.routed:
        of_global += ltrm + router
    if config.global_rel_pos:
        of_global += 2 * (2 * config.rel_pos_grid - 1) * heads_width
    count += len(config.global_blocks) * of_global
    count += config.in_chans * config.patch_size**2 * C + C
    if config.abs_pos:
        count += (config.pos_grid**2 + 1) * C
    return (count + sum(_convolutions(config))) * itemsize


def attention_bytes(job: Job, chunking: Chunking) -> int:
    """What attention over the kept tokens holds besides the two token maps."""
    config, kept = job.config, job.most_kept
    C, s, d = config.embed_dim, job.itemsize, config.head_dim
    if kept == 0:
        return 0
    if config.global_rel_pos:  # keys, values, and a bias of a few rows of queries
        w = job.grid[1]
        row = config.num_heads * w * job.tokens * s * (1 if chunking.fused else 3)
        rows = job.grid[0] * row if chunking.attention is None else max(row, chunking.attention)
        return (
            2 * job.tokens * C * s
            + min(rows, job.grid[0] * row)
            + 4 * _strip(job, chunking) * C * s
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


def piece_bytes(
    config: NetworkConfig, side: int, itemsize: int, size: tuple[int, int] | None = None
) -> int:
    """What decoding a square piece holds: in the middle of a picture, or of one of (h, w) pixels
    that may be no larger than the piece."""
    stages = len(config.fusion_chans)
    far = 2**16
    inner = spans(far, far + side, 2 * far, stages)
    rows = columns = inner
    if size is not None and side >= max(size):
        rows, columns = (spans(0, whole, whole, stages) for whole in size)

    def area(part: str, i: int = 0, around: int = 0) -> int:
        (top, bottom), (left, right) = (_span(axis, part, i) for axis in (rows, columns))
        return (bottom - top + around) * (right - left + around)

    whole = area("inputs")
    pixels = config.in_chans * whole * itemsize
    details = [chans * area("details", i) * itemsize for i, chans in enumerate(config.detail_chans)]
    fine = (config.in_chans, *config.detail_chans)
    coarse = (config.embed_dim, *config.fusion_chans)
    most = CROP_FLOATS[config.guidance] * 4 * whole + (pixels if itemsize == 2 else 0)
    for stage in reversed(range(stages)):
        chans, out = coarse[stages - 1 - stage], config.fusion_chans[stages - 1 - stage]
        held = pixels + sum(details[:stage])
        last = stage == stages - 1
        low = chans * (area("features") if last else area("fused", stage + 1))
        both = (chans + fine[stage]) * area("fused", stage, around=2)  # zeros at borders, too
        doubled = 4 * low + max(low, both)
        convolved = both + out * area("fused", stage)
        most = max(most, held + itemsize * max(doubled, convolved))
    return most


def _span(axis: Spans, part: str, i: int) -> Span:
    found = getattr(axis, part)
    return found if isinstance(found[0], int) else found[i]


# ---- phases --------------------------------------------------------------------------------------


def rows_at_once(job: Job, tokens: int | None) -> int:
    """Rows of the token grid that are worked on together."""
    h, w = job.grid
    return h if tokens is None else min(h, max(1, tokens // w))


def _strip(job: Job, chunking: Chunking) -> int:
    """Tokens of a strip."""
    return rows_at_once(job, chunking.tokens) * job.grid[1]


def _embedding(job: Job, chunking: Chunking) -> int:
    patch = job.config.patch_size**2
    patches = rows_at_once(job, chunking.patches) * job.grid[1]
    floats = 4 * CROP_FLOATS[job.config.guidance]
    halves = 2 * job.config.in_chans if job.itemsize == 2 else 0
    return patches * (patch * (floats + halves) + job.config.embed_dim * job.itemsize)


def _windows(job: Job, chunking: Chunking) -> int:
    side = job.config.window_size
    h, w = job.grid
    down, across = -(-h // side), -(-w // side)
    windows = down * across
    if chunking.tokens is not None:
        wanted = max(1, chunking.tokens // side**2)
        windows = min(windows, wanted // across * across if wanted >= across else wanted)
    # Tokens, q, k, v, what they attended to; and the bias of relative position.
    bias = 5.1 + job.config.num_heads * side**2 / job.config.embed_dim
    return int(windows * side**2 * job.config.embed_dim * job.itemsize * bias)


def _refinement(job: Job, chunking: Chunking) -> int:
    if not job.config.routed:
        return 0
    strip, w = _strip(job, chunking), job.grid[1]
    carried = 2 * (strip + 6 * w) + 5 * (strip + 2 * w)
    return (carried + strip + 2 * w) * job.config.embed_dim * job.itemsize


def map_bytes(job: Job) -> int:
    """Guidance maps that stay throughout."""
    if job.config.guidance == "none":
        return 0
    cells = (job.height // CELL + 3) * (job.width // CELL + 3)
    nearest = 8 * 4 * cells
    return nearest + (17 * 4 * grid_cells(job) if job.config.guidance == "flow" else 0)


def grid_cells(job: Job) -> int:
    """Cells of the flow's grid."""
    side = max(LEAST_CELL, math.ceil(math.sqrt(job.pixels / GRID_CELLS)))
    return -(-job.height // side) * -(-job.width // side)


def _guidance(job: Job) -> int:
    """While the guidance maps are made."""
    if job.config.guidance == "none":
        return 0
    cells = job.pixels // CELL**2
    nearest = 8 * 4 * cells
    return nearest + max(CELL_BYTES * cells, POOLING, flow_bytes(job))


def _heap(job: Job, size: int, left: int) -> int:
    """What a CPU's heap takes besides `size` bytes of tensors, where guidance left it so large."""
    if job.tokens < LARGE:
        of_channels = SMALL_HEAP_CHANNEL * job.config.embed_dim
        heap = SMALL_HEAP + of_channels + int(SMALL_HEAP_SHARE * size)
        return max(heap, min(heap + left, LEFT_BESIDE))
    share = HEAP_SHARE + HEAP_UNKNOWN_SHARE * job.unknown
    return max(left, min(HEAP + int(share * size), HEAP_MOST))


def flow_bytes(job: Job) -> int:
    """While the flow's alphas are made."""
    if job.config.guidance != "flow":
        return 0
    each = max(GRID_LEAST, GRID_BYTES + GRID_UNKNOWN_BYTES * job.unknown)
    return int(grid_cells(job) * each)


def _convolutions(config: NetworkConfig) -> list[int]:
    """How many numbers each decoder convolution has, with its norm."""
    fine = (config.in_chans, *config.detail_chans)
    coarse = (config.embed_dim, *config.fusion_chans)
    stages = len(config.fusion_chans)
    counts = [9 * a * b + 4 * b for a, b in zip(fine, config.detail_chans, strict=False)]
    counts += [
        9 * (coarse[i] + fine[stages - 1 - i]) * out + 4 * out
        for i, out in enumerate(config.fusion_chans)
    ]
    counts.append(9 * coarse[-1] * HEAD_CHANS + 5 * HEAD_CHANS + HEAD_CHANS + 1)
    return counts


def decoder_bytes(job: Job, chunking: Chunking) -> int:
    """The features and what decoding a piece holds."""
    if job.official:
        return _official_bytes(job, chunking)
    counts = _convolutions(job.config)
    folded = sum(counts) * job.itemsize
    tile = job.piece or chunking.tile or LARGEST
    if chunking.tile is not None:
        tile = min(tile, chunking.tile)
    patch = job.config.patch_size
    padded = (job.grid[0] * patch, job.grid[1] * patch)
    side = min(tile, max(padded))
    features = 0 if chunking.host_features else job.tokens * job.config.embed_dim * job.itemsize
    # While weights are folded the largest exist three times, in float32.
    folding = 3 * max(counts) * 4
    return features + max(folding, folded + piece_bytes(job.config, side, job.itemsize, padded))


def _official_bytes(job: Job, chunking: Chunking) -> int:
    """The same for the official code's patches: see `Decoder.decode_official`."""
    config, s = job.config, job.itemsize
    patch = config.patch_size
    padded = [-(-side * patch // OFFICIAL_TILE) * OFFICIAL_TILE for side in job.grid]
    whole = padded[0] * padded[1]
    # A patch in the middle overlaps on both sides.
    height, width = (
        OFFICIAL_TILE + OFFICIAL_OVERLAP * min(2, side // OFFICIAL_TILE - 1) for side in padded
    )
    pixels = height * width
    token = config.embed_dim * s
    of_patch = pixels // patch**2 * token
    # Besides the features their padded copy; alpha is as large as that.
    held = 0 if chunking.host_features else (job.tokens + whole // patch**2) * token
    held += of_patch if chunking.host_features else 0
    held += 0 if chunking.host_picture else 4 * (whole - job.pixels)
    held += 4 * pixels  # the former patch's alpha
    made = config.in_chans * s
    crop = pixels * (4 * CROP_FLOATS[config.guidance] + (made if s == 2 else 0))
    details = [chans * s * pixels // 4 ** (i + 1) for i, chans in enumerate(config.detail_chans)]
    fine = (0, *config.detail_chans)  # the input itself is held throughout
    stages = len(config.fusion_chans)
    coarse = (config.embed_dim, *config.fusion_chans)
    # The input as it came and channels last, as the features are; norms make copies.
    both = 2 * pixels * made
    most = max(both + of_patch + sum(details[: i + 1]) + one for i, one in enumerate(details))
    for stage in reversed(range(stages)):
        i = stages - 1 - stage
        area = pixels // 4**stage
        low = coarse[i] * (pixels // patch**2 if i == 0 else area // 4)
        channels = 2 * coarse[i] + 2 * fine[stage] + 2 * coarse[i + 1]
        channels += config.in_chans if stage == 0 else 0
        most = max(most, both + sum(details[: max(0, stage - 1)]) + s * (low + channels * area))
    head = (coarse[-1] + 2 * HEAD_CHANS) * s
    corrected = coarse[-1] * s + 4 * CORRECTION_FLOATS
    return held + max(crop, most, both + pixels * max(head, corrected))


def halved(job: Job) -> Job:
    """The same in half precision, for which the weights are copied."""
    return replace(job, itemsize=2, copied=weights(job.config, 2))
