"""A simulated card with room for any picture: torch's meta device stands in for it.

Nothing is computed: counting the bytes, launches and round trips of 8K takes seconds on a laptop.
Results that depend on values (which tokens are kept, whether a solver has converged) are made up to
suit the case. tests/simulated_card.py has another simulation, with exact values.

The workspaces of cuBLAS and cuDNN are not counted.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Iterable
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mematte_plugin.network import (
    MEMatte,
    encoder,
    flow,
    neighbours,
    pieces,
    routing,
    streaming,
)
from mematte_plugin.network.decoder import Decoder
from mematte_plugin.network.inputs import NetworkInput

DEVICE = torch.device("meta")
BLOCK = 512
"""CUDA's allocator rounds sizes up to a multiple of this, in bytes."""
MATRIX_STEP = 8
"""Fused kernels copy a mask whose row length is not a multiple of this."""

STAGES: dict[Any, str] = {
    MEMatte.predict: "picture",
    NetworkInput.__init__: "guidance",
    encoder.PatchEmbed.forward: "embedding",
    encoder.Encoder.stream: "embedding",  # the positions
    streaming.add_windows: "windows",
    streaming.attend_kept: "attention",
    streaming.add_dense: "attention",
    streaming.add_routed: "refinement",
    streaming.route: "routing",
    routing.margin_of: "routing",
    routing.keep_largest: "routing",
    streaming.add_mlp: "mlp",
    encoder.Block.stream: "residual",
    pieces.decode: "decoder",
    Decoder.decode_official: "decoder",
}
"""An operation belongs to the stage of the innermost of these functions that called it."""
_STAGES = {function.__code__: stage for function, stage in STAGES.items()}
_IDLE = {"empty", "empty_strided", "detach", "alias", "_unsafe_view", "empty_like", "new_empty"}


class MetaCard(TorchDispatchMode):
    """Context manager that counts what happens on the card.

    Args:
        loaded: tensors that do not count, such as a network's weights; without this a view of them
            would look like a new tensor.
        kept: tokens that a router keeps.
        unknown: share of unknown pixels.
        fused: whether attention runs in a kernel that holds no logits, or in torch's math.
    """

    def __init__(
        self, loaded: Iterable[Tensor], kept: int, unknown: float, *, fused: bool = True
    ) -> None:
        super().__init__()
        self.kept = kept
        self.unknown = unknown
        self.now = 0
        self.peak = 0
        self.peaks: Counter[str] = Counter()
        """Most bytes in each stage."""
        self.operations = 0
        """All of torch's, including views and those on the CPU."""
        self.launches: Counter[str] = Counter()
        """Kernels on the card, by stage."""
        self.trips: Counter[str] = Counter()
        """Waits for the card and copies between it and the host, by kind."""
        self._held = {tensor.untyped_storage()._cdata: 0 for tensor in loaded}
        self._kernels = _Kernels(fused=fused)

    def __enter__(self) -> MetaCard:
        self._kernels.__enter__()
        return super().__enter__()

    def __exit__(self, *about: Any) -> None:
        super().__exit__(*about)
        self._kernels.__exit__(*about)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self.operations += 1
        name: str = func._schema.name.removeprefix("aten::")
        here = any(_on_card(leaf) for leaf in tree_leaves((args, kwargs)))
        out = self._stand_in(name, args, kwargs) if here or name == "_to_copy" else None
        if out is None:
            out = func(*args, **kwargs)
        stage = _stage()
        made = [leaf for leaf in tree_leaves(out) if _on_card(leaf)]
        if (made or here) and name not in _IDLE and not _is_view(func):
            self.launches[stage] += 1
        for tensor in made:
            self._add(tensor)
        self.peaks[stage] = max(self.peaks[stage], self.now)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._held:
            return
        self._held[key] = -(-storage.nbytes() // BLOCK) * BLOCK
        self.now += self._held[key]
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self._held.pop(key, 0)

    def _stand_in(self, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        """The result of an operation that depends on values or leaves the card; None for others."""
        first: Any = args[0] if args else None
        if name in ("_to_copy", "copy_"):
            return self._moved(name, args, kwargs)
        if name == "_local_scalar_dense":
            self.trips["item"] += 1
            # Solvers run all of their iterations.
            return flow._solve.__code__ not in _callers() if first.dtype == torch.bool else 1
        if name == "nonzero":
            self.trips["nonzero"] += 1
            shape = self._found(first), first.dim()
            return torch.empty(shape, dtype=torch.int64, device=DEVICE)
        if name == "index" and (masks := [i for i in args[1] if _is_mask(i)]):
            self.trips["nonzero"] += 1
            mask = masks[0]
            return first.new_empty((self._found(mask), *first.shape[mask.dim() :]))
        if name == "masked_select":
            self.trips["nonzero"] += 1
            return first.new_empty(self._found(args[1]))
        return None

    def _moved(self, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        if name == "copy_":
            to, source = args[0].device.type, args[1]
        else:
            source = args[0]
            given = kwargs.get("device")
            to = source.device.type if given is None else torch.device(given).type
        if to == source.device.type:
            return None
        self.trips["to the host" if to == "cpu" else "to the card"] += 1
        if name == "copy_":
            return args[0]
        if to == "cpu":
            return self._brought(source, kwargs.get("dtype") or source.dtype)
        return None

    def _found(self, mask: Tensor) -> int:
        """How many values of a mask are true."""
        callers = _callers()
        count = mask.numel()
        if neighbours.without_itself.__code__ in callers:  # all but one in each row
            return count - len(mask)
        if flow._matrices.__code__ in callers:  # the worst case: only unknown neighbours
            return count
        if flow._numbers.__code__ in callers:
            near = min(1.0, 1.5 * self.unknown + 1 / 16)
            share = near if flow._mixture.__code__ in callers else self.unknown
            if flow._Cells.side.__code__ in callers:
                share = max(0.0, near - self.unknown) / 2
            return max(1, int(share * count))
        return min(self.kept, count)

    def _brought(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """A copy on the host: zeros, or for a map of the unknown pixels, rows in the middle."""
        out = torch.zeros(tensor.shape, dtype=dtype)
        if dtype == torch.bool and out.dim() >= 2:
            rows = out.shape[-2]
            edge = int(rows * (1 - self.unknown) / 2)
            out[..., edge : rows - edge, :] = True
        return out


class _Kernels(TorchFunctionMode):
    """Attention and Linear layers with the memory that a card's kernels take."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.fused = fused

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.linear and _on_card(args[0]) and args[0].dim() > 2:
            # In a dispatch mode torch adds the bias to a copy; without one it does not.
            x, *rest = args
            return func(x.reshape(-1, x.shape[-1]), *rest, **kwargs).view(*x.shape[:-1], -1)
        if func is not F.scaled_dot_product_attention or not _on_card(args[0]):
            return func(*args, **kwargs)
        mask = kwargs.get("attn_mask")
        if self.fused:
            return _fused(args[0], mask)
        return torch.ops.aten._scaled_dot_product_attention_math(
            *args[:3], mask, scale=kwargs.get("scale")
        )[0]


def _fused(q: Tensor, mask: Tensor | None) -> Tensor:
    """Allocates what a fused kernel does: output, log-sum-exp of each row, aligned mask."""
    aligned = mask
    if mask is not None and mask.shape[-1] % MATRIX_STEP:
        aligned = F.pad(mask, (0, -mask.shape[-1] % MATRIX_STEP))
    out = torch.empty_like(q)
    sums = q.new_empty(q.shape[:-1], dtype=torch.float32)
    del aligned, sums
    return out


def _on_card(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "meta"


def _is_mask(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bool


def _is_view(func: Any) -> bool:
    """Whether an operation returns a view of its input."""
    return any(
        one.alias_info is not None and not one.alias_info.is_write for one in func._schema.returns
    )


def _frames() -> Any:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _callers() -> set[CodeType]:
    return {frame.f_code for frame in _frames()}


def _stage() -> str:
    return next((_STAGES[f.f_code] for f in _frames() if f.f_code in _STAGES), "other")
