"""What a training run starts from: the weights of another network."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from ..network import MEMatte, NetworkConfig
from ..network.config import input_channels
from ..weights.load import load_network
from .checkpoint import CHECKPOINT, load_state

logger = logging.getLogger(__name__)

_LAST_LAYER = "decoder.matting_head.matting_convs.3."


def trained_network(source: str | Path) -> MEMatte:
    """A network in eval mode: a training run's averaged weights, or what `load_network` takes.

    Raises WeightsError if it is missing or cannot be read.
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

    The layers that see the input are copied channel by channel, by name. Weights of guidance that
    the other network lacks start at zero, so that the first matte is the other network's; guidance
    that only the other network has is dropped with a warning.

    Args:
        network: changed in place.
        source: a training run, or what `load_network` takes: name, folder, file or Hub id.

    Returns: how many tensors were copied.
    Raises WeightsError if the encoder's width or patch size differs.
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
            logger.warning("%s: its input channels %s are not used", source, ", ".join(dropped))
    fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
    if network.decoder.corrects != other.decoder.corrects:  # its last layer has another meaning
        fitting = {k: v for k, v in fitting.items() if not k.startswith(_LAST_LAYER)}
    network.load_state_dict(fitting, strict=False)
    logger.info("%d of %d tensors start from %s", len(fitting), len(own), source)
    return len(fitting)


def _layers_of_the_input(network: MEMatte) -> set[str]:
    """Weights (out, in, …) whose first input channels are the network's."""
    last = len(network.decoder.fusion_blks) - 1  # it sees the input besides the features
    return {
        "backbone.patch_embed.proj.weight",
        "decoder.convstream.convs.0.conv.weight",
        f"decoder.fusion_blks.{last}.conv.conv.weight",
    }


def _by_channel(weight: Tensor, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """Rearrange a weight (out, in, …) whose first input channels are `old` to have `new` first."""
    blank = weight.new_zeros(weight.shape[0], 1, *weight.shape[2:])
    planes = {name: weight[:, i : i + 1] for i, name in enumerate(old)}
    return torch.cat([*(planes.get(name, blank) for name in new), weight[:, len(old) :]], dim=1)
