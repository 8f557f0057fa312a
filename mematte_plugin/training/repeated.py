"""Finished crops used many times, mirrored and turned: for guidance that takes the CPU long.

Every channel of the network's input, guidance included, turns with the picture. Colours are not
changed again, since the guidance was made from them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..network import NetworkConfig
from ..network.inputs import NetworkInput
from .pool import Pool

_TURNS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x.flip(3),
    lambda x: x.flip(2),
    lambda x: x.transpose(2, 3),
)
"""Together they make all eight ways to lay down a square."""


class ReadyInput(NetworkInput):
    """A network input all of whose channels are there already.

    Args:
        channels: (B, in_chans, S, S) as `NetworkInput.crop` returns them; S a multiple of 32.
        config: the network's shape.
    """

    def __init__(self, channels: Tensor, config: NetworkConfig) -> None:
        self.channels = channels
        self.dtype = channels.dtype
        self.config = config
        mean, std = (
            channels.new_tensor(values).view(1, 3, 1, 1)
            for values in (config.pixel_mean, config.pixel_std)
        )
        self.image = channels[:, :3] * std + mean
        self.trimap = channels[:, 3:4]
        self.size = self.padded = (channels.shape[2], channels.shape[3])
        self.grid = (self.size[0] // config.patch_size, self.size[1] // config.patch_size)

    def crop(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        """(B, in_chans, bottom - top, right - left)."""
        return self.channels[:, :, top:bottom, left:right]


def packed(inputs: NetworkInput, alpha: Tensor) -> Tensor:
    """A batch for the pool: (B, in_chans + 1, S, S) float16, the truth last."""
    channels = inputs.crop(0, 0, *inputs.size)
    return torch.cat([channels, alpha], dim=1).half()


def repeat(
    pool: Pool, count: int, config: NetworkConfig, generator: torch.Generator
) -> tuple[ReadyInput, Tensor]:
    """Random crops of the pool, each mirrored and turned at random: input and truth (B, 1, S, S),
    float32."""
    planes = pool.planes[pool.draw(count, generator)].float()
    for turn in _TURNS:
        chosen = torch.rand(count, 1, 1, 1, generator=generator, device=pool.device) < 0.5
        planes = torch.where(chosen, turn(planes), planes)
    return ReadyInput(planes[:, :-1], config), planes[:, -1:]
