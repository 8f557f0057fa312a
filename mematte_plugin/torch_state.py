"""Computing as if alone in the process, despite the host program's settings of torch and forks.

A program's settings in torch (autocast, default device, gradients) also hold for the code that it
calls, and would silently change an alpha. They are set aside while we compute, in this thread only.
The default dtype is shared by all threads but is not touched: everything here names its dtype.

Other settings belong to the process. PyTorch leaves TF32 on in cuDNN's convolutions, and host
programs switch on more: TF32 or bfloat16 in products of float32, sums in float16, algorithms chosen
by timing. Each changes an alpha that is called exact. Programs also switch off fused attention,
without which the planned memory is not enough, or use more threads than a container has cores.
These settings are changed while we compute and restored afterwards; other threads that compute
meanwhile do so exactly, too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from .errors import SettingError

HALF_SUMS = (
    "allow_fp16_accumulation",
    "allow_fp16_reduced_precision_reduction",
    "allow_bf16_reduced_precision_reduction",
)
"""Names in torch.backends.cuda.matmul that allow cuBLAS to sum products in half precision; some
versions of torch lack some."""
REDUCED = ("tf32", "bf16")
"""Newer torch's names for less than float32 in float32's place."""


@contextmanager
def own_state(
    device: torch.device | str = "cpu", *, inference: bool = True, threads: int | None = None
) -> Iterator[None]:
    """Within it torch computes on this device as it does in a fresh process, without gradients.

    inference: False for tensors that are used afterwards, such as parameters.
    threads: the most that torch may use on a CPU; more than there are cores wait for each other.

    Raises SettingError in a process that was forked after its parent used the card.
    """
    _fork.check(device)
    kinds = {"cpu", torch.device(device).type} - {"meta"}
    with ExitStack() as stack:
        stack.enter_context(full_precision(kinds, threads))
        stack.enter_context(torch.inference_mode(inference))
        stack.enter_context(torch.no_grad())
        for kind in kinds:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        # Not get_default_device: torch 2.6 fails there after set_default_device(None).
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


class _Fork:
    """What a forked process has to know about its parent.

    Threads do not survive a fork, but OpenMP's pool remembers them: the next operation on more than
    one thread waits for them for ever. A card's context does not survive either.
    """

    def __init__(self) -> None:
        self.computed = False  # we did, in this process or in one that it was forked from
        self.cuda = False
        self.pool_is_dead = False
        self.cuda_is_dead = False

    def check(self, device: torch.device | str) -> None:
        """Before anything is computed."""
        self.computed = True
        if self.pool_is_dead and torch.get_num_threads() > 1:
            torch.set_num_threads(1)
        if self.cuda_is_dead and torch.device(device).type == "cuda":
            raise SettingError(
                f"device {str(device)!r} cannot be used in a process that was forked after its"
                " parent used the card; start processes with 'spawn', load models after the"
                " fork, or use device cpu"
            )

    def before(self) -> None:
        """In the parent, which alone can tell."""
        self.cuda = self.cuda or torch.cuda.is_initialized()  # type: ignore[no-untyped-call]

    def in_child(self) -> None:
        self.cuda_is_dead = self.cuda
        if self.computed and torch.get_num_threads() > 1:
            self.pool_is_dead = True
            torch.set_num_threads(1)


_fork = _Fork()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_fork.before, after_in_child=_fork.in_child)


# ---- the precision of float32 --------------------------------------------------------------------


@contextmanager
def full_precision(kinds: Collection[str], threads: int | None = None) -> Iterator[None]:
    """Within it these kinds of device ("cpu", "cuda") take no short cuts.

    May be nested, and entered by several threads: the last to leave restores the settings.

    threads: see `own_state`.
    """
    holder = threading.get_ident(), object()
    try:
        with _shared.lock:
            _shared.holders.append(holder)
            _switch(_shared.undo, kinds)
            _limit_threads(_shared.undo, threads)
        yield
    finally:
        with _shared.lock:
            _shared.leave(holder)


class _Shared:
    """The threads that compute now, and how the host's settings are restored after the last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.holders: list[tuple[int, object]] = []
        self.undo = ExitStack()

    def leave(self, *holders: tuple[int, object]) -> None:
        self.holders = [one for one in self.holders if one not in holders]
        if not self.holders:
            self.undo.close()

    def in_child(self) -> None:
        """After a fork only the thread that forked is left."""
        here = threading.get_ident()
        self.leave(*(one for one in self.holders if one[0] != here))
        self.lock.release()


_shared = _Shared()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_shared.lock.acquire,
        after_in_parent=_shared.lock.release,
        after_in_child=_shared.in_child,
    )


def _switch(undo: ExitStack, kinds: Collection[str]) -> None:
    """Switch off what is on; `undo` switches it on again, in the reverse order.

    torch has older and newer names for the same settings, and raises if a setting made by its newer
    name is read by the older. So the older name is used wherever it can be read.
    """
    backends = torch.backends
    operations: list[Any] = [
        getattr(backend, name, None)
        for backend in (backends.mkldnn, backends.cudnn)
        for name in ("conv", "matmul", "rnn")
    ]
    operations.append(backends.cuda.matmul)
    # The older names set several of these at once. They are restored last.
    for operation in operations:
        undo.callback(_restore_newer, operation, _newer(operation))
    precision = _read(torch.get_float32_matmul_precision)
    if precision not in (None, "highest"):
        undo.callback(torch.set_float32_matmul_precision, precision)
        torch.set_float32_matmul_precision("highest")
    # Without a fused kernel, a run planned with one would hold the logits.
    for name in ("flash", "mem_efficient"):
        if not getattr(backends.cuda, f"{name}_sdp_enabled")():
            allow = getattr(backends.cuda, f"enable_{name}_sdp")
            undo.callback(allow, False)
            allow(True)
    if "cuda" in kinds:
        for part in (backends.cudnn, backends.cuda.matmul):
            _set(undo, part, "allow_tf32", False)
        for name in HALF_SUMS:
            _set(undo, backends.cuda.matmul, name, False)
        # It tries algorithms with any workspace, beyond the plan, and may choose differently each
        # time.
        _set(undo, backends.cudnn, "benchmark", False)
    for operation in operations if "cuda" in kinds else operations[:3]:
        old = _newer(operation)
        if old in REDUCED:
            undo.callback(_restore_newer, operation, old)
            operation.fp32_precision = "ieee"


def _limit_threads(undo: ExitStack, threads: int | None) -> None:
    now = torch.get_num_threads()
    if threads is not None and now > threads:
        undo.callback(torch.set_num_threads, now)
        torch.set_num_threads(threads)


def _set(undo: ExitStack, holder: Any, name: str, value: bool) -> None:
    old = _read(lambda: getattr(holder, name))
    if old is None or old == value:
        return
    undo.callback(setattr, holder, name, old)
    setattr(holder, name, value)


def _newer(operation: Any) -> str | None:
    """An operation's precision by the newer names."""
    found: str | None = _read(lambda: operation.fp32_precision)
    return found


def _restore_newer(operation: Any, old: str | None) -> None:
    if _newer(operation) == old:
        return
    operation.fp32_precision = "none"  # the setting for all operations applies
    if operation.fp32_precision != old:
        operation.fp32_precision = old


def _read(get: Any) -> Any:
    """A setting's value; None if this torch has none, or cannot say because names were mixed."""
    try:
        return get()
    except (AttributeError, RuntimeError):
        return None
