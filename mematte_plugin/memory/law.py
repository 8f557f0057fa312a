"""The memory law: the bytes that a run holds at once, term by term. Pure arithmetic, no torch.

The terms follow the code of `network` phase by phase and are checked against the bytes of live
tensors counted in real runs. Libraries need memory besides the tensors (packed weights, thread
buffers, kernels' workspaces): one constant per backend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..network.config import (
    CELL,
    DISTANCES,
    HEAD_CHANS,
    STRIP_PIXELS,
    Chunking,
    NetworkConfig,
    flow_cell,
    padded_size,
)
from ..network.tiling import LARGEST, OFFICIAL_OVERLAP, OFFICIAL_TILE, Span, spans
from .limits import MIB

UNKNOWN = 0.25
"""Unknown share assumed for a picture before its trimap is known."""
WORKSPACE = {"cpu": 4 * MIB, "cuda": 72 * MIB, "mps": 96 * MIB}
"""Bytes of libraries besides the tensors: on cards the workspaces of cuBLAS and cuDNN, or of their
counterparts, in the same memory. Measured on the CPU only."""
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
CROP_FLOATS = {"none": 10, "nearest": 36, "flow": 51}
"""Float32 numbers per pixel while network input is prepared, by guidance."""
POOLING_BYTES = 50
"""Bytes per pixel while a strip of the picture is pooled to cells."""
CELL_BYTES = 80
"""Bytes per cell while nearest colours are searched, besides the maps that stay."""
GRID_LEAST, GRID_BYTES, GRID_UNKNOWN_BYTES = 420, 170, 1090
"""Bytes per cell of the flow's grid: while the alphas are upsampled; while they are solved for; and
what an unknown cell takes on top of the latter, including a kd-tree."""
LEFT_SHARE, LEFT_MOST, LEFT_BESIDE = 0.8, 32 * MIB, 60 * MIB
"""What the C library's heap keeps of that, in pieces too small for the network to use: a share and
an upper bound; in pictures below `LARGE`, the bound of that and the network's own heap together."""
BRUTE_BYTES = DISTANCES * 12
"""Other than on a CPU: the distances computed at a time, and the nearest of them."""
CORRECTION_FLOATS = 16
"""Float32 numbers per pixel while logits become alpha."""
READING = 10
"""Bytes per pixel while a trimap is read, 4 of which stay."""


@dataclass(frozen=True)
class Workload:
    """What a run computes: one picture through one network on one kind of device."""

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
    """Cap on kept tokens per block, None for none."""
    threads: int = 2
    """Computing threads of a CPU."""
    copied: int = 0
    """Bytes of a second copy of the weights, in another precision."""
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
        """K: the most tokens that attention may have to hold."""
        if not self.config.routed or self.max_tokens is None:
            return self.tokens
        return min(self.tokens, self.max_tokens)


def phases(work: Workload, chunking: Chunking) -> dict[str, int]:
    """Bytes at the worst moment of each phase, above the loaded, idle process; on a GPU, in its
    memory."""
    if work.backend != "cpu":
        from .card_law import card_phases

        return card_phases(work, chunking)
    photo = 3 * work.depth * work.pixels
    picture = photo + 4 * work.pixels  # trimap, alpha and maps count too
    maps = map_bytes(work)
    alpha = 4 * work.pixels
    fixed = WORKSPACE.get(work.backend, WORKSPACE["mps"]) + work.copied
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


def piece_bytes(
    config: NetworkConfig, side: int, itemsize: int, size: tuple[int, int] | None = None
) -> int:
    """Bytes of decoding a square piece in the middle of a picture, or the whole of one of `size`
    (h, w) pixels if that is no larger than the piece."""
    stages = len(config.fusion_chans)
    far = 2**16
    rows = columns = spans(far, far + side, 2 * far, stages)
    if size is not None and side >= max(size):
        rows, columns = (spans(0, whole, whole, stages) for whole in size)

    def area(down: Span, across: Span, around: int = 0) -> int:
        return (down[1] - down[0] + around) * (across[1] - across[0] + around)

    whole = area(rows.inputs, columns.inputs)
    pixels = config.in_chans * whole * itemsize
    details = [
        chans * area(down, across) * itemsize
        for chans, down, across in zip(
            config.detail_chans, rows.details, columns.details, strict=True
        )
    ]
    fused = list(zip(rows.fused, columns.fused, strict=True))
    lowest = area(rows.features, columns.features)
    fine = (config.in_chans, *config.detail_chans)
    coarse = (config.embed_dim, *config.fusion_chans)
    most = CROP_FLOATS[config.guidance] * 4 * whole + (pixels if itemsize == 2 else 0)
    for stage in reversed(range(stages)):
        chans, out = coarse[stages - 1 - stage], config.fusion_chans[stages - 1 - stage]
        held = pixels + sum(details[:stage])
        low = chans * (lowest if stage == stages - 1 else area(*fused[stage + 1]))
        both = (chans + fine[stage]) * area(*fused[stage], around=2)  # zeros at borders, too
        doubled = 4 * low + max(low, both)
        convolved = both + out * area(*fused[stage])
        most = max(most, held + itemsize * max(doubled, convolved))
    return most


# ---- phases --------------------------------------------------------------------------------------


def rows_at_once(work: Workload, tokens: int | None) -> int:
    """Rows of the token grid that are processed together."""
    h, w = work.grid
    return h if tokens is None else min(h, max(1, tokens // w))


def _strip(work: Workload, chunking: Chunking) -> int:
    """Tokens of a strip."""
    return rows_at_once(work, chunking.tokens) * work.grid[1]


def _embedding(work: Workload, chunking: Chunking) -> int:
    patch = work.config.patch_size**2
    patches = rows_at_once(work, chunking.patches) * work.grid[1]
    floats = 4 * CROP_FLOATS[work.config.guidance]
    halves = 2 * work.config.in_chans if work.itemsize == 2 else 0
    return patches * (patch * (floats + halves) + work.config.embed_dim * work.itemsize)


def windows_at_once(work: Workload, chunking: Chunking) -> int:
    """Windows that are processed together: rows of them, or a part of a row."""
    side = work.config.window_size
    h, w = work.grid
    down, across = -(-h // side), -(-w // side)
    windows = down * across
    if chunking.tokens is None:
        return windows
    wanted = max(1, chunking.tokens // side**2)
    return min(windows, wanted // across * across if wanted >= across else wanted)


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


def map_bytes(work: Workload) -> int:
    """Guidance maps that stay throughout."""
    if work.config.guidance == "none":
        return 0
    cells = (work.height // CELL + 3) * (work.width // CELL + 3)
    nearest = 8 * 4 * cells
    return nearest + (17 * 4 * grid_cells(work) if work.config.guidance == "flow" else 0)


def grid_cells(work: Workload) -> int:
    """Cells of the flow's grid."""
    side = flow_cell(work.height, work.width)
    return -(-work.height // side) * -(-work.width // side)


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


def flow_bytes(work: Workload) -> int:
    """Bytes while the flow's alphas are made."""
    if work.config.guidance != "flow":
        return 0
    each = max(GRID_LEAST, GRID_BYTES + GRID_UNKNOWN_BYTES * work.unknown)
    return int(grid_cells(work) * each)


def _convolutions(config: NetworkConfig) -> list[int]:
    """Numbers in each decoder convolution and its norm."""
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


def decoder_bytes(work: Workload, chunking: Chunking) -> int:
    """Bytes of the features and of decoding a piece."""
    if work.official:
        return _official_bytes(work, chunking)
    counts = _convolutions(work.config)
    folded = sum(counts) * work.itemsize
    tile = chunking.tile or LARGEST
    patch = work.config.patch_size
    padded = (work.grid[0] * patch, work.grid[1] * patch)
    side = min(tile, max(padded))
    features = 0 if chunking.host_features else work.tokens * work.config.embed_dim * work.itemsize
    # While weights are folded the largest exist three times, in float32.
    folding = 3 * max(counts) * 4
    return features + max(folding, folded + piece_bytes(work.config, side, work.itemsize, padded))


def _official_bytes(work: Workload, chunking: Chunking) -> int:
    """The same for the official code's patches: see `Decoder.decode_official`."""
    config, s = work.config, work.itemsize
    patch = config.patch_size
    padded = [-(-side * patch // OFFICIAL_TILE) * OFFICIAL_TILE for side in work.grid]
    whole = padded[0] * padded[1]
    # A patch in the middle overlaps on both sides.
    height, width = (
        OFFICIAL_TILE + OFFICIAL_OVERLAP * min(2, side // OFFICIAL_TILE - 1) for side in padded
    )
    pixels = height * width
    token = config.embed_dim * s
    of_patch = pixels // patch**2 * token
    # Besides the features their padded copy; alpha is as large as that.
    held = 0 if chunking.host_features else (work.tokens + whole // patch**2) * token
    held += of_patch if chunking.host_features else 0
    held += 0 if chunking.host_picture else 4 * (whole - work.pixels)
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


def halved(work: Workload) -> Workload:
    """The workload in half precision, with a copy of the weights."""
    return replace(work, itemsize=2, copied=weights(work.config, 2))
