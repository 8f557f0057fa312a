"""What a device can do: whether it is there, its precisions, its attention kernels."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from itertools import takewhile
from threading import Lock
from typing import TYPE_CHECKING

from ..errors import SettingError, warn_user

if TYPE_CHECKING:
    import torch

HALF = {"cuda": "float16", "mps": "float16", "cpu": "bfloat16"}
"""The half precision of each kind of device."""
TENSOR_CORES = (7, 0)
"""Compute capability from which float16 is fast and sums in float32. Below it is as slow as float32
or, at 6.1, far slower."""
WITH_TENSOR_CORES = re.compile(r"RTX|\b(Tesla )?T(4|4G|10|40)\b")
"""Names of cards of capability 7.5 that have them. The others (GTX 16xx, T500 to T2000, MX450 and
MX550) have been seen to give NaN in convolutions of float16 (pytorch#58123, #77955)."""
_REFUSED = re.compile(
    r"not (implemented|supported|available)\b.*(Half|BFloat16|bfloat16|float16)"
    r"|(Half|BFloat16|bfloat16|float16).*not (implemented|supported|available)\b",
    re.IGNORECASE,
)


def halves(device: str) -> tuple[str | None, str | None]:
    """What "auto" makes of half precision on a device that is there.

    Returns: the half precision that it computes in by itself, and the one that may be resorted to
    where memory is short; None for none.

    CUDA cards with tensor cores compute in float16. It is ten times as near to float32 as bfloat16
    is (mematte-tiny on a CPU: 0.0006 and 0.004 at most), and what overflows it is computed again.
    ROCm's cards all do. CPUs were slower in bfloat16 than in float32, and Apple's GPUs were not
    measured.
    """
    kind = device.partition(":")[0]
    half = HALF.get(kind)
    if kind != "cuda":
        return None, half
    import torch

    if torch.version.hip is not None:
        return half, half
    capability = torch.cuda.get_device_capability(device)
    if capability < TENSOR_CORES:
        return None, half
    name = torch.cuda.get_device_name(device)
    if capability == (7, 5) and not WITH_TENSOR_CORES.search(name):
        return None, None
    return half, half


def refuses_half(error: BaseException) -> bool:
    """Whether a device says by this that it does not compute in half precision."""
    return isinstance(error, (RuntimeError, TypeError)) and bool(_REFUSED.search(str(error)))


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
