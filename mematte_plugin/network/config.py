"""The shape of a network, and how a run is split into chunks. No torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ..errors import SettingError, WeightsError

Guidance = Literal["none", "nearest", "flow"]
Padding = Literal["both", "each"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MULTIPLE = 32  # sides of the padded input
GUIDANCE_CHANS = {"none": 0, "nearest": 9, "flow": 14}
HEAD_CHANS = 16
"""Channels between the two convolutions of the matting head."""

# Sizes that the memory law has to know; they are here because it does without torch.
CELL = 4
"""Side in pixels of a cell of the nearest colours."""
MAX_CELLS, SMALLEST_CELL = 2**18, 2
"""Most cells of the flow's grid (larger pictures get larger cells), and the least side of one in
pixels: one pixel would cost four times as much."""
STRIP_PIXELS, STRIP_PIXELS_ELSEWHERE = 2**16, 2**20
"""Pixels of the picture that are pooled to cells at a time: on a CPU, and on devices where starting
an operation takes longer than so few pixels."""
DISTANCES = 2**23
"""Distances that brute force computes at a time when it searches neighbours: 32 MiB."""
FEWEST_QUERIES = 16
"""Queries that attention without a fused kernel takes at least at a time."""
WIDTH_STEP = 8
"""Fused kernels want q, k and v equally wide, and a multiple of this."""


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a MEMatte network or of the ViTMatte form of the same encoder.

    The defaults are those of the official ViT-S model.
    """

    embed_dim: int = 384
    """C, channels of a token."""
    num_heads: int = 6
    """Attention heads; the head width is embed_dim / num_heads."""
    depth: int = 12
    """Transformer blocks."""
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks with global attention, followed by a residual bottleneck; the others are windowed."""
    routed: bool = True
    """True: MEMatte, with router and LTRM at each global block. False: ViTMatte, all kept."""
    global_rel_pos: bool = False
    """Relative position in the global blocks too (ViTMatte); impossible where routed."""
    abs_pos: bool = True
    """Absolute position embedding, resized to the token grid."""
    pos_grid: int = 14
    """Side of the square grid that the absolute position embedding was trained on, in tokens."""
    rel_pos_grid: int = 32
    """Side of the grid that the global relative positions were trained on, in tokens."""
    patch_size: int = 16
    """Side of a token, in pixels."""
    window_size: int = 14
    """Side of an attention window, in tokens."""
    mlp_ratio: float = 4.0
    """Hidden width of the MLP over embed_dim."""
    detail_chans: tuple[int, ...] = (48, 96, 192)
    """Channels of the decoder's detail stream at 1/2, 1/4 and 1/8 of the resolution."""
    fusion_chans: tuple[int, ...] = (256, 128, 64, 32)
    """Channels after each fusion with the token features, at 1/8, 1/4, 1/2 and full resolution."""
    padding: Padding = "both"
    """How an image is padded to multiples of 32: "both" sides gain 32 - r as soon as one has a
    remainder r (the official code), or "each" side only what it needs (transformers, ours)."""
    guidance: Guidance = "none"
    """Extra input channels from the known regions: "nearest" colours (guidance.py); "flow", which
    adds information-flow alphas (flow.py) for the decoder to correct; "none" as in the paper."""
    pixel_mean: tuple[float, float, float] = IMAGENET_MEAN
    """Subtracted from RGB in [0, 1]."""
    pixel_std: tuple[float, float, float] = IMAGENET_STD
    """RGB is divided by it after the mean is subtracted."""

    def __post_init__(self) -> None:
        if self.embed_dim % self.num_heads:
            raise WeightsError(
                f"network config: embed_dim {self.embed_dim} is not a multiple of num_heads "
                f"{self.num_heads}; correct the checkpoint's config.json"
            )
        if self.routed and self.global_rel_pos:
            raise WeightsError(
                "network config: a routed network has no relative position in its global blocks; "
                "set routed or global_rel_pos to false in the checkpoint's config.json"
            )
        if self.guidance not in GUIDANCE_CHANS:
            raise WeightsError(
                f"network config: unknown guidance {self.guidance!r}; "
                f"this version knows {', '.join(GUIDANCE_CHANS)}"
            )
        if self.padding not in {"both", "each"}:
            raise WeightsError(
                f"network config: unknown padding {self.padding!r}; this version knows both, each"
            )
        if any(not 0 <= i < self.depth for i in self.global_blocks):
            raise WeightsError(
                f"network config: global_blocks {self.global_blocks} lie outside depth {self.depth}"
            )

    @property
    def in_chans(self) -> int:
        """Input channels: RGB, trimap and the guidance."""
        return 4 + GUIDANCE_CHANS[self.guidance]

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.embed_dim // self.num_heads

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-ready values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """Inverse of `to_dict`. Raises WeightsError for an unknown field."""
        known = {f.name for f in fields(cls)}
        odd = sorted(set(values) - known)
        if odd:
            raise WeightsError(
                f"network config: unknown field {', '.join(odd)}; "
                "the checkpoint needs a newer mematte-plugin"
            )
        frozen: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**frozen)


_PLAIN = ("red", "green", "blue", "trimap")
_NEAREST = (
    *("fore_red", "fore_green", "fore_blue", "back_red", "back_green", "back_blue"),
    *("line", "fore_distance", "back_distance"),
)
_CHANNELS = {
    "none": _PLAIN,
    "nearest": (*_PLAIN, *_NEAREST),
    "flow": (*_PLAIN, *_NEAREST, "mixed", "flow", "undecided", "estimate", "confidence"),
}


def input_channels(config: NetworkConfig) -> tuple[str, ...]:
    """The name of every input channel, in order."""
    return _CHANNELS[config.guidance]


@dataclass(frozen=True)
class Chunking:
    """How much of an image a forward pass holds at once; None for all of it.

    None of this changes the alpha by more than 1e-5, or any keep decision.
    """

    tokens: int | None = None
    """Tokens that windows, LTRM, MLP, residual and router process together, at least one row (or
    window)."""
    patches: int | None = None
    """Patches of the picture that are prepared and embedded together, at least one row. A patch
    takes much more memory than its token."""
    attention: int | None = None
    """Bytes that queries, keys and values of global attention may take, at least one head's; in
    unrouted networks the bias of relative position, at least one row of queries."""
    fused: bool = True
    """Whether attention runs in a kernel that never holds the logits. False: few queries at a time,
    so that their logits fit into `attention` too, but at least 16."""
    tile: int | None = None
    """Largest side of a decoder tile in pixels, a multiple of 16, without its context."""
    host_features: bool = False
    """Keep the features in the host's memory while the decoder works on the device."""
    host_picture: bool = False
    """Keep picture, trimap and alpha in the host's memory and copy them to the device piece by
    piece; otherwise they are on the device throughout."""

    def __post_init__(self) -> None:
        for name in ("tokens", "patches", "attention"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingError(f"chunking: {name} {value}: give at least 1")
        if self.tile is not None and (self.tile < 16 or self.tile % 16):
            raise SettingError(f"decoder tile of {self.tile} px: give a multiple of 16")


def padded_size(height: int, width: int, padding: str) -> tuple[int, int]:
    """(H, W) after padding; see NetworkConfig.padding."""
    rest_h, rest_w = height % MULTIPLE, width % MULTIPLE
    if padding == "both" and (rest_h or rest_w):
        return height + MULTIPLE - rest_h, width + MULTIPLE - rest_w
    return height + -height % MULTIPLE, width + -width % MULTIPLE


def flow_cell(height: int, width: int) -> int:
    """Side in pixels of a cell of the flow's grid, for a picture of this size."""
    return max(SMALLEST_CELL, math.ceil(math.sqrt(height * width / MAX_CELLS)))


VARIANTS: dict[str, NetworkConfig] = {
    "tiny": NetworkConfig(
        embed_dim=192,
        num_heads=3,
        depth=8,
        global_blocks=(2, 5, 7),
        abs_pos=False,
        detail_chans=(24, 48, 96),
        fusion_chans=(96, 64, 32, 16),
        padding="each",
        guidance="flow",
    ),
    "small": NetworkConfig(),
    "base": NetworkConfig(embed_dim=768, num_heads=12),
}
"""The sizes by name: tiny is ours, small and base are the paper's."""
