"""What a device can do: whether it is there, its precisions, its attention kernels."""

from __future__ import annotations

import os
from functools import lru_cache
from itertools import takewhile
from threading import Lock
from typing import TYPE_CHECKING

from ..errors import SettingError
from ..notes import warn_user

if TYPE_CHECKING:
    import torch

HALF = {"cuda": "float16", "mps": "float16", "cpu": "bfloat16"}
"""The half precision of each kind of device."""


def resolve_device(device: str | torch.device) -> torch.device:
    """The device asked for; "auto" is CUDA, else Apple's MPS, else the CPU.

    With "auto" a card that does not compute (too old for this torch, full, lost) is passed over
    with a warning.

    Raises SettingError for one that is unknown, absent, or does not compute.
    """
    import torch

    if device == "auto":
        for kind, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
            if backend.is_available():
                try:
                    return _computing(kind)
                except _REFUSALS as error:
                    warn_user(f"{kind} does not compute ({_first_line(error)}); the CPU is used")
        return torch.device("cpu")
    try:
        return _computing(device)
    except _REFUSALS as error:
        raise SettingError(
            f"device {str(device)!r} is not available here ({_first_line(error)}); "
            f"{_instead(str(device))}"
        ) from error


_REFUSALS = (RuntimeError, AssertionError, ImportError, TypeError, NotImplementedError)
"""What torch raises for a device that is not there, or that it was not built for."""


def _computing(device: str | torch.device) -> torch.device:
    import torch

    from ..network.abilities import refuse_old

    chosen = torch.device(device)
    refuse_old(chosen)
    # Computing there is what counts: a torch may be built without kernels for an old card.
    (torch.zeros(1, device=chosen) + 1).item()
    return chosen


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


ELSEWHERE_CALLED = {
    **dict.fromkeys(("gpu", "nvidia", "geforce", "rtx"), "torch calls them cuda"),
    **dict.fromkeys(("rocm", "hip", "amd", "radeon"), "torch calls AMD's cards cuda, too"),
    **dict.fromkeys(("metal", "apple"), "torch calls Apple's mps"),
    **dict.fromkeys(("intel", "arc"), "torch calls Intel's xpu"),
    **dict.fromkeys(("dml", "directml", "opencl", "vulkan", "zluda"), "nothing here runs on them"),
}
"""Names of cards that torch does not know, and what to know about them."""


def _instead(device: str) -> str:
    """What to use in the place of a device that is not there."""
    import torch

    there = ["auto"]
    if torch.cuda.is_available():
        there += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available() and not device.startswith("mps"):
        there.append("mps")
    kind = "".join(takewhile(str.isalpha, device.strip().lower()))
    about = f"{ELSEWHERE_CALLED[kind]}; " if kind in ELSEWHERE_CALLED else ""
    return f"{about}use {', '.join(there)} or cpu"


_probing = Lock()
"""What a probe allows and forbids is the process's: of two at a time, the later one would put back
what the earlier one had set."""


def _forget_the_parents_lock() -> None:
    """In a forked process: the thread that may hold it is not there to give it back."""
    global _probing  # noqa: PLW0603
    _probing = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parents_lock)


@lru_cache
def fused_attention(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether attention runs there in a kernel that never holds the logits, found out by trying.

    Args:
        device: where.
        dtype: precision of queries, keys and values.
        width: channels of a head.
    """
    import torch
    from torch.nn import functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if device.type not in ("cpu", "cuda"):
        return False  # such backends do not heed the choice below, so trying would tell nothing
    from ..torch_state import own_state

    some = torch.zeros(1, 1, 64, width, device=device, dtype=dtype)
    wanted = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    try:
        with _probing, own_state(device), sdpa_kernel(wanted):
            F.scaled_dot_product_attention(some, some, some)
    except RuntimeError:  # no kernel of these
        return False
    return True
