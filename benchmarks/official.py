"""The official implementation, from a checkout, as it computes inference.

It imports packages that cannot be installed with a current torch. Inference needs little of them:
the stand-ins below, which do what those names do, replace them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from mematte_plugin import NetworkConfig, SettingError


def load_official(checkout: Path, config: NetworkConfig) -> Any:
    """The official network in its published inference configuration, on the CPU, in eval mode.

    Args:
        checkout: a clone of the official repository.
        config: width and heads; the rest is what the published configurations say.

    Returns: its MEMatte; call it with {"image", "trimap"}, and `patch_decoder=True` as its own
    inference does. `backbone.max_number_token` is the cap.

    Raises SettingError for a folder that is not such a checkout.
    """
    if not (checkout / "modeling" / "meta_arch").is_dir():
        raise SettingError(f"{checkout}: is not a checkout of the official MEMatte repository")
    _stand_in()
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    import modeling  # type: ignore[import-not-found]

    backbone = modeling.ViT(
        in_chans=4,
        img_size=512,
        patch_size=16,
        embed_dim=config.embed_dim,
        depth=12,
        num_heads=config.num_heads,
        drop_path_rate=0,
        window_size=14,
        mlp_ratio=4,
        qkv_bias=True,
        norm_layer=lambda width: nn.LayerNorm(width, eps=1e-6),
        window_block_indexes=[i for i in range(12) if i not in config.global_blocks],
        residual_block_indexes=list(config.global_blocks),
        use_rel_pos=True,
        out_feature="last_feat",
        topk=0.25,
        multi_score=True,
    )
    network = modeling.MEMatte(
        teacher_backbone=None,
        backbone=backbone,
        criterion=None,
        pixel_mean=list(config.pixel_mean),
        pixel_std=list(config.pixel_std),
        input_format="RGB",
        size_divisibility=32,
        decoder=modeling.Detail_Capture(in_chans=config.embed_dim),
        distill=False,
    )
    return network.eval()


# ---- stand-ins -----------------------------------------------------------------------------------


class _Block(nn.Module):
    """A block with channels and stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.stride = in_channels, out_channels, stride


class _ChannelNorm(nn.Module):
    """Normalises each pixel of (B, C, H, W) over its channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        deviation = (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return self.weight[:, None, None] * (centred / deviation) + self.bias[:, None, None]


class _Mlp(nn.Module):
    """Two linear layers."""

    def __init__(
        self, in_features: int, hidden_features: int, act_layer: type[nn.Module] = nn.GELU
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_features, hidden_features)
        self.act = act_layer()
        self.fc2 = nn.Linear(hidden_features, in_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


def _norm(kind: str, channels: int) -> nn.Module:
    assert kind == "LN", kind
    return _ChannelNorm(channels)


def _unused(*_: Any, **__: Any) -> None:
    """Imported by inference but never called, or only to set weights that are loaded later."""


_NAMES: dict[str, dict[str, Any]] = {
    "detectron2.layers": {
        "CNNBlockBase": _Block,
        "Conv2d": nn.Conv2d,
        "ShapeSpec": _unused,
        "get_norm": _norm,
    },
    "detectron2.modeling.backbone.fpn": {"_assert_strides_are_log2_contiguous": _unused},
    "detectron2.structures": {"ImageList": _unused},
    "fairscale.nn.checkpoint": {"checkpoint_wrapper": _unused},
    "timm.models.layers": {
        "DropPath": nn.Identity,
        "Mlp": _Mlp,
        "trunc_normal_": nn.init.trunc_normal_,
    },
    "fvcore.nn.weight_init": {"c2_msra_fill": _unused},
    "einops": {"rearrange": _unused, "repeat": _unused, "pack": _unused, "unpack": _unused},
    "torchvision": {},
}
"""Every name that the official modules import from packages that may be missing."""


def _stand_in() -> None:
    for path, names in _NAMES.items():
        parts = path.split(".")
        for i in range(1, len(parts) + 1):
            name = ".".join(parts[:i])
            if name not in sys.modules:
                module = ModuleType(name)
                module.__path__ = []
                sys.modules[name] = module
                if i > 1:
                    setattr(sys.modules[".".join(parts[: i - 1])], parts[i - 1], module)
        for name, value in names.items():
            setattr(sys.modules[path], name, value)
