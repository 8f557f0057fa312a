"""A workload, and the terms of the memory law that are the same on a CPU and on cards. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..network.config import CELL, HEAD_CHANS, Chunking, NetworkConfig, flow_cell, padded_size
from ..network.tiling import LARGEST, OFFICIAL_OVERLAP, OFFICIAL_TILE, Span, spans
from .limits import MIB

UNKNOWN = 0.25
"""Unknown share assumed for a picture before its trimap is known."""
WORKSPACE = {"cpu": 4 * MIB, "cuda": 72 * MIB, "mps": 96 * MIB}
"""Bytes of libraries besides the tensors: on cards the workspaces of cuBLAS and cuDNN, or of their
counterparts, in the same memory. Measured on the CPU only."""
CROP_FLOATS = {"none": 10, "nearest": 36, "flow": 51}
"""Float32 numbers per pixel while network input is prepared, by guidance."""
POOLING_BYTES = 50
"""Bytes per pixel while a strip of the picture is pooled to cells."""
CELL_BYTES = 80
"""Bytes per cell while nearest colours are searched, besides the maps that stay."""
GRID_LEAST, GRID_BYTES, GRID_UNKNOWN_BYTES = 420, 170, 1090
"""Bytes per cell of the flow's grid: while the alphas are upsampled; while they are solved for; and
what an unknown cell takes on top of the latter, including a kd-tree."""
CORRECTION_FLOATS = 16
"""Float32 numbers per pixel while logits become alpha."""


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


def rows_at_once(work: Workload, tokens: int | None) -> int:
    """Rows of the token grid that are processed together."""
    h, w = work.grid
    return h if tokens is None else min(h, max(1, tokens // w))


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
