"""Samples that wait on the device, to be used many times."""

from __future__ import annotations

import torch
from torch import Tensor


class Pool:
    """A ring of samples on the device; new ones take the place of the oldest.

    Args:
        capacity: how many it holds.
        device: where.
        start: number of the first that will be added, which decides its slot.
    """

    def __init__(self, capacity: int, device: torch.device, start: int = 0) -> None:
        self.capacity = capacity
        self.device = device
        self.planes = torch.empty(0, device=device)
        """(capacity, …), of the shape and dtype of what was added."""
        self._next = start

    def __len__(self) -> int:
        """How many there are."""
        return min(self._next, self.capacity)

    def add(self, samples: Tensor) -> None:
        """Take in (n, …), always of the same shape and dtype; capacity is a multiple of n."""
        if not len(self.planes):
            shape = (self.capacity, *samples.shape[1:])
            self.planes = torch.zeros(shape, dtype=samples.dtype, device=self.device)
        slot = self._next % self.capacity
        self.planes[slot : slot + len(samples)] = samples
        self._next += len(samples)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Random slots that are filled, (count,) int64, with repetition."""
        return torch.randint(len(self), (count,), generator=generator, device=self.device)
