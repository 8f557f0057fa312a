"""Finished crops, guidance included, kept in 8 bit and used more than once.

Making a crop and its guidance costs about as much as learning from it. Mirroring, turning and
swapping colour channels do the same to a crop and to its guidance; other colour changes would not,
so there are none.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..images.files import atomic_write
from ..network import NetworkConfig
from ..network.config import input_channels
from ..network.guidance import FARTHEST_LOG
from ..network.inputs import NetworkInput
from .data.storing import make_folder

_TURNS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x.flip(3),
    lambda x: x.flip(2),
    lambda x: x.transpose(2, 3),
)
"""Together they make all eight ways to lay down a square."""
_RECOLOURED = 0.25
"""Share of uses in which red, green and blue change places."""
_UNKNOWN = 128


class Pool:
    """A ring of crops on the device; new ones replace the oldest.

    Args:
        capacity: how many it holds.
        device: where.
        start: number of the first crop that will be added, which decides its slot.
    """

    def __init__(self, capacity: int, device: torch.device, start: int = 0) -> None:
        self.capacity = capacity
        self.device = device
        self.planes = torch.empty(0, device=device)
        """(capacity, C, S, S) uint8."""
        self._next = start

    def __len__(self) -> int:
        """How many there are."""
        return min(self._next, self.capacity)

    def add(self, crops: Tensor) -> None:
        """Add (n, C, S, S) uint8; capacity is a multiple of n."""
        if not len(self.planes):
            shape = (self.capacity, *crops.shape[1:])
            self.planes = torch.zeros(shape, dtype=crops.dtype, device=self.device)
        slot = self._next % self.capacity
        self.planes[slot : slot + len(crops)] = crops
        self._next += len(crops)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Random filled slots, (count,) int64, with repetition."""
        return torch.randint(len(self), (count,), generator=generator, device=self.device)


class ReadyInput(NetworkInput):
    """A network input whose channels are all there already.

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
    """A batch for the pool: (B, in_chans + 1, S, S) uint8, the truth (B, 1, S, S) last."""
    scale, offset = _scales(inputs.config, alpha.device)
    unit = (inputs.crop(0, 0, *inputs.size) - offset) / scale
    return (torch.cat([unit, alpha], dim=1) * 255).round_().clamp_(0, 255).byte()


def unpacked(planes: Tensor, config: NetworkConfig) -> tuple[ReadyInput, Tensor]:
    """Input and truth (B, 1, S, S), float32, from (B, in_chans + 1, S, S) uint8."""
    scale, offset = _scales(config, planes.device)
    channels = planes[:, :-1].float().div_(255).mul_(scale).add_(offset)
    channels[:, 3].masked_fill_(planes[:, 3] == _UNKNOWN, 0.5)
    return ReadyInput(channels, config), planes[:, -1:].float() / 255


def repeat(
    pool: Pool, count: int, config: NetworkConfig, generator: torch.Generator
) -> tuple[ReadyInput, Tensor]:
    """Random crops of the pool, each mirrored, turned and recoloured at random: input and truth
    (B, 1, S, S), float32."""
    planes = pool.planes[pool.draw(count, generator)]
    for turn in _TURNS:
        chosen = torch.rand(count, 1, 1, 1, generator=generator, device=pool.device) < 0.5
        planes = torch.where(chosen, turn(planes), planes)
    names = input_channels(config)
    colours = [names.index(name) for name in names if name.endswith("red")]
    own = torch.arange(3, device=pool.device)
    for number in range(count):
        order = torch.randperm(3, generator=generator, device=pool.device)
        chosen = torch.rand((), generator=generator, device=pool.device) < _RECOLOURED
        order = torch.where(chosen, order, own)  # an `if` would wait for the device
        for first in colours:
            planes[number, first : first + 3] = planes[number, first + order]
    return unpacked(planes, config)


def write_crops(path: Path, crops: Tensor) -> None:
    """Keep packed crops in a file. Raises OutputError."""
    make_folder(path.parent)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.save(file, crops.numpy(), allow_pickle=False)


def read_crops(path: Path, shape: tuple[int, ...]) -> Tensor | None:
    """What `write_crops` kept; None if it is missing, damaged or of another shape."""
    try:
        kept = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if kept.shape != shape or kept.dtype != np.uint8:
        return None
    return torch.from_numpy(kept)


def _scales(config: NetworkConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Range and lowest value (in_chans, 1, 1) of the channels."""
    ranges = {"fore_distance": FARTHEST_LOG, "back_distance": FARTHEST_LOG}
    tones = {"red": 0, "green": 1, "blue": 2}
    scale, offset = [], []
    for name in input_channels(config):
        tone = tones.get(name.rpartition("_")[2])
        scale.append(ranges.get(name, 1.0) if tone is None else 1 / config.pixel_std[tone])
        offset.append(0.0 if tone is None else -config.pixel_mean[tone] / config.pixel_std[tone])
    return tuple(torch.tensor(v, device=device).view(-1, 1, 1) for v in (scale, offset))  # type: ignore[return-value]
