"""Learning rates of the parameters, and their moving average."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..network import MEMatte
from .recipe import Recipe

_ROUTERS = "backbone.routers."


def parameter_groups(network: MEMatte, recipe: Recipe) -> list[dict[str, Any]]:
    """AdamW's groups, by weight decay and by the learning rate's factor, "scale".

    Biases, norms and position tables are not decayed, as is usual for ViTs. With layer decay d,
    block i of n has factor d^(n - i), the patch embedding d^(n + 1), routers and decoder 1.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        plain = parameter.ndim < 2 or "rel_pos" in name or "pos_embed" in name
        decay = 0.0 if plain else recipe.weight_decay
        scale = recipe.layer_decay ** _layers_above(name, network.config.depth)
        groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "scale": scale}
        for (scale, decay), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group, by its scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def router_parameters(network: MEMatte) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The routers' parameters, and all others."""
    routers: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (routers if name.startswith(_ROUTERS) else others).append(parameter)
    return routers, others


@torch.no_grad()
def averaged(average: nn.Module, source: nn.Module, decay: float) -> None:
    """Move every tensor of `average` towards `source`; counters are copied."""
    pairs = list(zip(average.state_dict().values(), source.state_dict().values(), strict=True))
    floating = [(a, b) for a, b in pairs if a.is_floating_point()]
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    update([a for a, _ in floating], [b for _, b in floating], 0)
    for kept, new in pairs:
        if not kept.is_floating_point():
            kept.copy_(new)


def _layers_above(name: str, depth: int) -> int:
    block = re.match(r"backbone\.blocks\.(\d+)\.", name)
    if block:
        return depth - int(block[1])
    return depth + 1 if name.startswith(("backbone.patch_embed", "backbone.pos_embed")) else 0
