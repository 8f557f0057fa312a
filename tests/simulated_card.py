"""A GPU that is not there: tensors with real values that say they are elsewhere than on the CPU."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
"""Where tensors on the card say they are; torch knows no device that is not there but this."""
_CPU = torch.device("cpu")
_WAITING = {"_local_scalar_dense", "equal", "nonzero", "_linalg_check_errors", "masked_select"}
"""What has to wait for a device, since a number or a size is read from it."""
_INDEXING = {"index", "index_put_", "index_put"}


class Generator(torch.Generator):
    """A generator on the card; its numbers are those of one on the CPU with the same seed."""

    device = DEVICE

    def __new__(cls, device: torch.device = DEVICE) -> Generator:
        return super().__new__(cls, torch.device("cpu"))


class OnCard(Tensor):
    """A tensor on the card; its values are those of `held`, which is on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnCard:
        made: OnCard = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        made.held = held
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnCard({self.held!r})"

    def __reduce_ex__(self, protocol: Any) -> Any:  # in a file there is no telling the two apart
        return self.held.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        raise RuntimeError(f"{func}: a tensor on the card, and the card is not entered")


class Card(TorchDispatchMode):
    """While it is entered there is a card. Operations on tensors of both devices are errors, as
    they are with a real one: but for single numbers, copies and indices.

    `waits` counts, by operation, what read something back from the card; "cpu" is copies to there.

    refused: operations, by name, that the card does not have.
    without: types of numbers that it does not know.
    """

    def __init__(
        self, refused: frozenset[str] = frozenset(), without: tuple[torch.dtype, ...] = ()
    ) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.refused, self.without = refused, without
        self._numbers = _Numbers()

    def __enter__(self) -> Card:
        self._numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *about: Any) -> None:
        super().__exit__(*about)
        self._numbers.__exit__(*about)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name: str = func._schema.name.removeprefix("aten::")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if any(tensor.device == DEVICE and not isinstance(tensor, OnCard) for tensor in tensors):
            raise RuntimeError(f"{name}: a tensor on the card that was made behind its back")
        here = any(isinstance(tensor, OnCard) for tensor in tensors)
        made_here = here
        if kwargs.get("device") is not None:
            made_here = torch.device(kwargs["device"]) == DEVICE
            kwargs["device"] = torch.device("cpu")
        if name == "to":  # in inference mode torch does not take it apart
            for target in (value for value in args if isinstance(value, torch.device)):
                made_here = target == DEVICE
            args = tuple(_CPU if isinstance(value, torch.device) else value for value in args)
        if not (here or made_here):
            return func(*args, **kwargs)
        if name in {"_to_copy", "to"}:
            self.waits["cpu"] += here and not made_here
        elif name == "copy_":
            self.waits["cpu"] += not isinstance(args[0], OnCard)
        elif any(t.ndim and not isinstance(t, OnCard) for t in tensors if name not in _INDEXING):
            raise RuntimeError(f"{name}: tensors on the card and on the CPU")
        if name in _WAITING:
            self.waits[name] += 1
        if made_here and name in self.refused:
            raise NotImplementedError(f"aten::{name} is not implemented for this card")
        out = func(*tree_map(_held, args), **tree_map(_held, kwargs))
        made = [leaf.dtype for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if made_here and not {*made}.isdisjoint(self.without):
            raise TypeError(f"{name}: this card does not know {made}")
        written = [
            value
            for value, about in zip(args, func._schema.arguments, strict=False)
            if about.alias_info is not None and about.alias_info.is_write
        ]
        if written and isinstance(out, Tensor):  # in place: the same tensor again
            return written[0]
        return tree_map(lambda leaf: _wrapped(leaf) if made_here else leaf, out)


class _Numbers(TorchFunctionMode):
    """Brings to the card what is made there of Python's numbers, which torch would forget."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor and kwargs.get("device") is not None:
            return torch.tensor(*args, **{**kwargs, "device": "cpu"}).to(kwargs["device"])
        if func is Tensor.new_tensor and isinstance(args[0], OnCard):
            return torch.tensor(args[1], dtype=args[0].dtype).to(DEVICE)
        if func is Tensor.__getitem__ and isinstance(args[0], OnCard):
            chosen = args[1] if isinstance(args[1], tuple) else (args[1],)
            lists = (torch.tensor(one) if isinstance(one, list) else one for one in chosen)
            return func(args[0], tuple(lists))
        return func(*args, **kwargs)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnCard) else value


def _wrapped(value: Any) -> Any:
    return OnCard(value) if isinstance(value, Tensor) else value


def moved(module: nn.Module) -> nn.Module:
    """The module itself, its weights on the card."""
    for part in module.modules():
        for name, weight in part.named_parameters(recurse=False):
            setattr(part, name, nn.Parameter(weight.detach().to(DEVICE), weight.requires_grad))
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, buffer.to(DEVICE))
    return module
