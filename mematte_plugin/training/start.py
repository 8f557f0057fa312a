"""What a training starts from: earlier weights of ours, or a plain vision transformer."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import WeightsError
from ..network import MEMatte, NetworkConfig
from ..network.config import input_channels
from ..weights.files import SUFFIXES
from ..weights.formats import unwrap
from ..weights.load import load_network
from ..weights.read import read_tensors
from .checkpoint import CHECKPOINT, load_state

logger = logging.getLogger(__name__)

_LAST_LAYER = "decoder.matting_head.matting_convs.3."
_WRAPPINGS = ("model", "state_dict", "teacher", "student")
_PREFIXES = ("module.", "backbone.", "image_encoder.", "encoder.", "vit.", "deit.")
_RGB = 3
# transformers' names of a ViT, and timm's, which ours and DINO's, DeiT's and EfficientSAM's are.
_TRANSFORMERS = (
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^(encoder\.)?layer\.(\d+)\.attention\.attention\.", r"blocks.\2.attn."),
    (r"^(encoder\.)?layer\.(\d+)\.attention\.output\.dense", r"blocks.\2.attn.proj"),
    (r"^(encoder\.)?layer\.(\d+)\.intermediate\.dense", r"blocks.\2.mlp.fc1"),
    (r"^(encoder\.)?layer\.(\d+)\.output\.dense", r"blocks.\2.mlp.fc2"),
    (r"^(encoder\.)?layer\.(\d+)\.layernorm_before", r"blocks.\2.norm1"),
    (r"^(encoder\.)?layer\.(\d+)\.layernorm_after", r"blocks.\2.norm2"),
)
_BLOCK = re.compile(r"blocks\.(\d+)\.(norm1|norm2|attn\.qkv|attn\.proj|mlp\.fc1|mlp\.fc2)\.\w+")


def trained_network(source: str | Path) -> MEMatte:
    """A network in eval mode from a training run (its averaged weights), or as `load_network`.

    Raises WeightsError where there is none, or it cannot be read.
    """
    path = Path(source)
    if (path / CHECKPOINT).is_file():
        path = path / CHECKPOINT
    if path.name == CHECKPOINT and path.is_file():
        return averaged_network(load_state(path))
    return load_network(source)


def averaged_network(state: Mapping[str, Any]) -> MEMatte:
    """The averaged weights of a run's checkpoint, in eval mode on the CPU."""
    network = MEMatte(NetworkConfig.from_dict(state["recipe"]["network"]))
    network.load_state_dict(state["average"])
    return network.eval()


@torch.no_grad()
def start_from(network: MEMatte, source: str | Path) -> int:
    """Copy another network's tensors where names and shapes agree; the others stay as they are.

    The layers that see the input are copied channel by channel, by the channels' names: where the
    network has guidance that the other one lacks, its weights for that are zero, so that it begins
    with the other one's matte; guidance that only the other one has is dropped.

    Args:
        network: changed in place.
        source: a training run, or whatever `load_network` takes: name, folder, file or Hub id.

    Returns: how many tensors were copied.
    Raises WeightsError where the encoder is of another width or patch size.
    """
    other = trained_network(source)
    for name in ("embed_dim", "patch_size"):
        theirs, ours = getattr(other.config, name), getattr(network.config, name)
        if theirs != ours:
            raise WeightsError(
                f"{source}: its {name} is {theirs}, the recipe's {ours}; choose other weights"
            )
    own, given = network.state_dict(), other.state_dict()
    old, new = input_channels(other.config), input_channels(network.config)
    if old != new:
        for key in _layers_of_the_input(network) & given.keys():
            given[key] = _by_channel(given[key], old, new)
        dropped = [channel for channel in old if channel not in new]
        if dropped:
            logger.warning("%s: its input %s is not used", source, ", ".join(dropped))
    fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
    if network.decoder.corrects != other.decoder.corrects:  # its last layer means something else
        fitting = {k: v for k, v in fitting.items() if not k.startswith(_LAST_LAYER)}
    network.load_state_dict(fitting, strict=False)
    logger.info("%d of %d tensors start from %s", len(fitting), len(own), source)
    return len(fitting)


def _layers_of_the_input(network: MEMatte) -> set[str]:
    """Weights (out, in, …) whose first input channels are the network's."""
    last = len(network.decoder.fusion_blks) - 1  # gets the input beside the features
    return {
        "backbone.patch_embed.proj.weight",
        "decoder.convstream.convs.0.conv.weight",
        f"decoder.fusion_blks.{last}.conv.conv.weight",
    }


def _by_channel(weight: Tensor, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """A convolution's (out, in, …) for the channels `new` instead of its first ones, `old`."""
    blank = weight.new_zeros(weight.shape[0], 1, *weight.shape[2:])
    planes = {name: weight[:, i : i + 1] for i, name in enumerate(old)}
    return torch.cat([*(planes.get(name, blank) for name in new), weight[:, len(old) :]], dim=1)


def start_backbone(network: MEMatte, source: str | Path) -> list[str]:
    """Start the encoder from a plain ViT: DINO, DeiT, EfficientSAM, timm's or transformers' names.

    The input channels beyond RGB start at zero, position tables are resized, and where the network
    has fewer blocks it gets the first ones.

    Args:
        network: with freshly initialised weights; changed in place.
        source: a file (.safetensors, .pth, …) or a Hub id (owner/name).

    Returns: the names of the network's tensors that were set.
    Raises WeightsError where it cannot be read, or is of another shape.
    """
    path = Path(source)
    if not path.is_file():
        path = _from_hub(str(source))
    return load_backbone(network, _plain_vit(path), str(source))


@torch.no_grad()
def load_backbone(network: MEMatte, given: Mapping[str, Tensor], source: str) -> list[str]:
    """As `start_backbone`, from tensors under timm's names."""
    own = network.backbone.state_dict()
    fresh: dict[str, Tensor] = {}
    for key, tensor in given.items():
        if key == "patch_embed.proj.weight":
            fresh[key] = _patches(tensor, own[key])
        elif key == "pos_embed" and key in own:
            fresh[key] = _positions(tensor, network.config.pos_grid)
        elif key in own and (key == "patch_embed.proj.bias" or _BLOCK.fullmatch(key)):
            fresh[key] = tensor.float()
    odd = [
        f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in fresh.items()
        if value.shape != own[key].shape
    ]
    if odd:
        raise WeightsError(
            f"{source}: of another shape than the recipe's network: {'; '.join(odd[:3])}"
            f"{f' and {len(odd) - 3} more' if len(odd) > 3 else ''}; take a ViT of width "
            f"{network.config.embed_dim} and patch size {network.config.patch_size}"
        )
    blocks = {int(match[1]) for key in fresh if (match := _BLOCK.fullmatch(key))}
    if "patch_embed.proj.weight" not in fresh or not blocks:
        raise WeightsError(
            f"{source}: not a plain vision transformer (no patch_embed or blocks in it); take a "
            "checkpoint of DINO, DeiT or EfficientSAM"
        )
    network.backbone.load_state_dict(fresh, strict=False)
    logger.info("%d of %d blocks start from %s", len(blocks), network.config.depth, source)
    return [f"backbone.{key}" for key in fresh]


def _plain_vit(path: Path) -> dict[str, Tensor]:
    """A ViT's tensors under timm's names."""
    loaded, _ = read_tensors(path)
    while isinstance(loaded, Mapping):  # DINO's full checkpoints hold more beside the teacher
        inner = next((loaded[k] for k in _WRAPPINGS if isinstance(loaded.get(k), Mapping)), None)
        if inner is None:
            break
        loaded = inner
    tensors = unwrap(
        {k: v for k, v in loaded.items() if isinstance(v, Tensor)}
        if isinstance(loaded, Mapping)
        else loaded,
        str(path),
    )
    found: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = _stripped(key)
        for pattern, replacement in _TRANSFORMERS:
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    return _joined(found)


def _stripped(key: str) -> str:
    while (prefix := next((p for p in _PREFIXES if key.startswith(p)), None)) is not None:
        key = key.removeprefix(prefix)
    return key


def _joined(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value in one, where transformers keeps them apart."""
    joined = dict(tensors)
    for key in tensors:
        if ".attn.query." in key:
            parts = [joined.pop(key.replace("query", n)) for n in ("query", "key", "value")]
            joined[key.replace("query", "qkv")] = torch.cat(parts)
    return joined


def _patches(weight: Tensor, own: Tensor) -> Tensor:
    """(C, 3, p, p) to (C, in_chans, p, p); another shape stays, to be named as an error."""
    if weight.ndim != 4 or weight.shape[1] != _RGB or weight.shape[2:] != own.shape[2:]:
        return weight
    extra = weight.new_zeros(weight.shape[0], own.shape[1] - _RGB, *weight.shape[2:])
    return torch.cat([weight, extra], dim=1).float()


def _positions(table: Tensor, side: int) -> Tensor:
    """(1, tokens + n², C), with n class tokens or none first, to (1, 1 + side², C)."""
    if table.ndim != 3:
        return table
    old = int((table.shape[1]) ** 0.5)
    extra = table.shape[1] - old**2  # DeiT's distilled form has two
    grid = table[:, extra:].float().view(1, old, old, -1).permute(0, 3, 1, 2)
    if old != side:
        grid = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    first = table[:, :1].float() if extra else grid.new_zeros(1, 1, grid.shape[1])
    return torch.cat([first, grid.flatten(2).transpose(1, 2)], dim=1)


def _from_hub(name: str) -> Path:
    from ..weights.hub import download_weights

    if name.count("/") != 1 or name.startswith((".", "/")) or name.lower().endswith(SUFFIXES):
        raise WeightsError(f"{name} does not exist; give a file, or a Hub id (owner/name)")
    repo_id, _, revision = name.partition("@")
    return download_weights(repo_id, revision=revision or "main")
