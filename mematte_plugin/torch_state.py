"""Computing as if alone in the process: whatever the host program has set in torch, or forked.

What a program sets in torch (autocast, default device, gradients) holds for the code that it calls,
too, and would change an alpha without a word. It is set aside here for as long as we compute, in
this thread only, but for how float32 is multiplied: that is one setting for all threads, see
`arithmetic`. The default dtype is one for all threads, too, but is not touched: everything here
names its dtype.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from .arithmetic import full_precision
from .errors import SettingError


@contextmanager
def own_state(device: torch.device | str = "cpu", *, inference: bool = True) -> Iterator[None]:
    """Within it torch computes on this device as it does in a fresh process, without gradients.

    inference: False for tensors that others may go on working with, such as parameters.

    Raises SettingError in a process that was forked after its parent used the card.
    """
    _fork.check(device)
    kinds = {"cpu", torch.device(device).type} - {"meta"}
    with ExitStack() as stack:
        stack.enter_context(full_precision(kinds))
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
    """What a forked process has to know of its parent.

    Threads do not survive a fork, but OpenMP's pool remembers them: what runs next on more than one
    thread waits for them for ever. Neither does a card's context.
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
