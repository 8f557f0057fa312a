"""Counting the bytes of live tensors, so that the memory law can be held against them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NO_MEMORY = (
    "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 1073741824 bytes. Error code 12 (Cannot allocate memory)"
)
"""What torch says where a CPU's memory has run out."""


class LiveTensors(TorchDispatchMode):
    """While it is entered, counts the bytes of all tensors made since and not yet freed.

    Args:
        known: tensors that were there before and do not count.
        room: bytes from which on allocations fail, as torch's allocator on a CPU does.
    """

    def __init__(self, known: Iterable[torch.Tensor] = (), room: float = math.inf) -> None:
        super().__init__()
        self.room = room
        self.now = 0
        self.peak = 0
        self.at = ""
        self._held = {tensor.untyped_storage()._cdata: 0 for tensor in known}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf, str(func))
        if self.now > self.room:
            raise RuntimeError(NO_MEMORY)
        return out

    def _add(self, tensor: torch.Tensor, made_by: str) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._held:
            return
        self._held[storage._cdata] = storage.nbytes()
        self.now += storage.nbytes()
        weakref.finalize(storage, self._drop, storage._cdata)
        if self.now > self.peak:
            self.peak, self.at = self.now, made_by

    def _drop(self, key: int) -> None:
        self.now -= self._held.pop(key, 0)
