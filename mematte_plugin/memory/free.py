"""What a device has and can do: free memory, cores, precisions, attention kernels."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeviceLostError, SettingError, first_line, warn_user
from ..locks import ForkSafeLock
from .exhaustion import is_lost, is_out_of_memory, may_be_out_of_memory
from .limits import MIB, Limit, cpu_quota, memory_limits, reserve
from .meter import run_has_ended

if TYPE_CHECKING:
    import torch

SCARCE, SCARCE_SHARE = 512 * MIB, 0.1
"""Where less than this, or less than this share of a card, is free, a missing engine of cuDNN or
cuBLAS means missing memory."""
HALF = {"cuda": "float16", "mps": "float16", "cpu": "bfloat16"}
"""The half precision of each kind of device."""
TENSOR_CORES = (7, 0)
"""Compute capability from which float16 is fast and sums in float32. Below it is as slow as float32
or, at 6.1, far slower."""
WITH_TENSOR_CORES = re.compile(r"RTX|\b(Tesla )?T(4|4G|10|40)\b")
"""Names of cards of capability 7.5 that have them. The others (GTX 16xx, T500 to T2000, MX450 and
MX550) have been seen to give NaN in convolutions of float16 (pytorch#58123, #77955)."""
ELSEWHERE_CALLED = {
    **dict.fromkeys(("gpu", "nvidia", "geforce", "rtx"), "torch calls them cuda"),
    **dict.fromkeys(("rocm", "hip", "amd", "radeon"), "torch calls AMD's cards cuda, too"),
    **dict.fromkeys(("metal", "apple"), "torch calls Apple's mps"),
    **dict.fromkeys(("intel", "arc"), "torch calls Intel's xpu"),
    **dict.fromkeys(("dml", "directml", "opencl", "vulkan", "zluda"), "nothing here runs on them"),
}
"""Names of cards that torch does not know, and a hint for each."""
_REFUSED_HALF = re.compile(
    r"not (implemented|supported|available)\b.*(Half|BFloat16|bfloat16|float16)"
    r"|(Half|BFloat16|bfloat16|float16).*not (implemented|supported|available)\b",
    re.IGNORECASE,
)
_UNAVAILABLE = (RuntimeError, AssertionError, ImportError, TypeError, NotImplementedError)
"""What torch raises for a device that is not there, or that it was not built for."""


# ---- memory --------------------------------------------------------------------------------------


def free_memory(device: torch.device | str) -> Limit:
    """The memory that this process may still allocate on a device now, and what limits it.

    CUDA (and ROCm): free on the card, plus what torch has reserved but does not use, less fragments
    (the environment variable PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True makes them few),
    within the share that `torch.cuda.set_per_process_memory_fraction` leaves. MPS: what Metal
    recommends, less what torch holds, and at most the free RAM. CPU: the RAM that is available
    without swapping, within the limits of control groups, `ulimit -v` and `ulimit -d`; under the
    last two, less what a run maps without using it.

    Raises SettingError for a device that is unknown or does not answer.
    """
    name = str(device)
    kind = name.partition(":")[0]
    if kind not in _FINDERS:
        raise SettingError(
            f"device {name!r}: the free memory of this kind of device is unknown; "
            f"use {', '.join(_FINDERS)}, or give a memory budget"
        )
    try:
        return _FINDERS[kind](name)
    except (RuntimeError, AssertionError, ValueError, AttributeError) as error:
        # torch's: not there, lost, busy, or too old to be asked
        raise SettingError(
            f"device {name!r} does not answer ({first_line(error)}); use another device, such as "
            "cpu"
        ) from error


def budget_for(free: int) -> int:
    """Bytes that a run may plan with when `free` bytes are free; 0 if they are too few.

    15% and 256 MiB stay for the unforeseen: other programs, fragmentation, workspaces of libraries.
    Windows pages instead of failing, and slows down long before: 20% and 600 MiB.
    """
    share, margin = (0.80, 600 * MIB) if sys.platform == "win32" else (0.85, 256 * MIB)
    return max(0, int(share * free) - margin)


def ran_out(error: BaseException, device: torch.device | str) -> bool:
    """Whether an error raised while computing on a device means that its memory has run out. Ask
    while the results so far are still held.

    cuDNN and cuBLAS say the same for a workspace that does not fit and for a card without an
    engine. That counts only if next to nothing is free.
    """
    if is_out_of_memory(error):
        return True
    if not str(device).startswith("cuda") or not may_be_out_of_memory(error):
        return False
    try:
        found = free_memory(device)
    except SettingError:  # it does not answer
        return False
    return found.free < max(SCARCE, SCARCE_SHARE * found.total)


@contextmanager
def lost_card_is_named(device: torch.device | str, what: str) -> Iterator[None]:
    """Within it the error of a card that stops working becomes a DeviceLostError with a remedy.

    what: the photo or the weights, with which the message begins.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_lost(error):
            raise
        raise DeviceLostError(
            f"{what}: device {str(device)!r} has stopped working ({first_line(error)}), and this "
            "process cannot use it any more; start the program again, and if it happens again, "
            "update the card's driver or use device cpu"
        ) from error


def _ram(_: str = "cpu", root: Path = Path("/")) -> Limit:
    """The tightest bound on this process's main memory."""
    import psutil

    ram = psutil.virtual_memory()
    reserved = reserve(computing_threads(), settled=run_has_ended())
    limits = [
        Limit(free=ram.available, total=ram.total, name="RAM"),
        *memory_limits(reserved, root),
    ]
    least = min(limits, key=lambda limit: limit.free)
    return Limit(free=least.free, total=min(least.total, ram.total), name=least.name)


def _cuda(device: str) -> Limit:
    import torch

    current = torch.cuda.current_device()  # makes torch ready, too
    index = torch.device(device).index
    index = current if index is None else index
    free, total = torch.cuda.mem_get_info(index)
    stats = torch.cuda.memory_stats(index)
    fraction = getattr(torch.cuda, "get_per_process_memory_fraction", None)  # newer torch only
    return _cuda_limit(
        free=free,
        total=total,
        reserved=stats.get("reserved_bytes.all.current", 0),
        active=stats.get("active_bytes.all.current", 0),
        split=stats.get("inactive_split_bytes.all.current", 0),
        share=1.0 if fraction is None else fraction(index),
    )


def _cuda_limit(
    *, free: int, total: int, reserved: int, active: int, share: float, split: int = 0
) -> Limit:
    """From the numbers of the driver and of torch's allocator; `active` also counts what streams
    hold.

    split: unused parts of segments that are in use. They can neither be given back nor joined, so
    that a large tensor finds no room there, and do not count as free.
    """
    allowed = int(share * total)
    card = Limit(free=max(0, free + reserved - active - split), total=total, name="CUDA")
    own = Limit(
        free=max(0, allowed - active - split),
        total=allowed,
        name=f"CUDA memory fraction of this process ({share:.3g})",
    )
    return own if own.free < card.free else card


def _mps(_: str) -> Limit:
    import torch

    # Memory that the driver holds without using it is free for torch: only what is in use counts.
    top = torch.mps.recommended_max_memory()
    free = max(0, top - torch.mps.current_allocated_memory())
    metal = Limit(free=free, total=top, name="MPS")
    return min(metal, _ram(), key=lambda limit: limit.free)  # the RAM is shared


_FINDERS: dict[str, Callable[[str], Limit]] = {"cpu": _ram, "cuda": _cuda, "mps": _mps}
"""How the tightest limit of each kind of device is found, from the device's name."""


# ---- cores ---------------------------------------------------------------------------------------


def computing_threads() -> int:
    """Threads that compute on a CPU here: torch's, but at most as many as there are cores.

    Before torch is loaded, the number that it will start with: OMP_NUM_THREADS, else the physical
    cores.
    """
    if "torch" in sys.modules:
        return min(int(sys.modules["torch"].get_num_threads()), cpu_count())
    import psutil

    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    own = int(given) if given.isdecimal() else psutil.cpu_count(logical=False)
    return min(cpu_count(), own or cpu_count())


def cpu_count() -> int:
    """Cores that this process may use: its affinity mask, within a control group's CPU quota.

    A quota of 1.5 cores counts as 2: rounded down, a third of it would stay unused; rounded up, the
    threads only pause together at the end of each period. Logical cores are counted, so that
    torch's own default, which OMP_NUM_THREADS sets too, may be lower.
    """
    import psutil

    try:
        usable = len(psutil.Process().cpu_affinity())
    except (AttributeError, psutil.Error, OSError):  # macOS has none
        usable = os.cpu_count() or 1
    return _cores(usable, cpu_quota())


def _cores(usable: int, quota: float | None) -> int:
    return max(1, min(usable, usable if quota is None else math.ceil(quota)))


# ---- devices -------------------------------------------------------------------------------------


def resolve_device(device: str | torch.device) -> torch.device:
    """The device asked for; "auto" is CUDA, else Apple's MPS, else the CPU.

    With "auto" a card that does not compute (too old for this torch, full, lost) is skipped with a
    warning.

    Raises SettingError for a device that is unknown, absent, or does not compute.
    """
    import torch

    if device == "auto":
        for kind, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
            if backend.is_available():
                try:
                    return _computing(kind)
                except _UNAVAILABLE as error:
                    warn_user(f"{kind} does not compute ({first_line(error)}); the CPU is used")
        return torch.device("cpu")
    try:
        return _computing(device)
    except _UNAVAILABLE as error:
        raise SettingError(
            f"device {str(device)!r} is not available here ({first_line(error)}); "
            f"{_alternatives(str(device))}"
        ) from error


def _computing(device: str | torch.device) -> torch.device:
    import torch

    from ..network.abilities import refuse_old

    chosen = torch.device(device)
    refuse_old(chosen)
    # Computing there is what counts: a torch may be built without kernels for an old card.
    (torch.zeros(1, device=chosen) + 1).item()
    return chosen


def _alternatives(device: str) -> str:
    """What to use instead of a device that is not there."""
    import torch

    there = ["auto"]
    if torch.cuda.is_available():
        there += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available() and not device.startswith("mps"):
        there.append("mps")
    kind = "".join(takewhile(str.isalpha, device.strip().lower()))
    hint = f"{ELSEWHERE_CALLED[kind]}; " if kind in ELSEWHERE_CALLED else ""
    return f"{hint}use {', '.join(there)} or cpu"


def halves(device: str) -> tuple[str | None, str | None]:
    """Half precision on a device that is there.

    Returns: the half precision that "auto" computes in, and the one that it falls back to where
    memory is short; None for none.

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
    """Whether an error says that a device does not compute in half precision."""
    return isinstance(error, (RuntimeError, TypeError)) and bool(_REFUSED_HALF.search(str(error)))


_probing = ForkSafeLock()
"""A probe changes settings of the whole process: of two at a time, the later would restore what the
earlier had set."""


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
        return False  # such backends ignore the choice below, so that a trial says nothing
    from ..torch_state import own_state

    some = torch.zeros(1, 1, 64, width, device=device, dtype=dtype)
    wanted = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    try:
        with _probing, own_state(device), sdpa_kernel(wanted):
            F.scaled_dot_product_attention(some, some, some)
    except RuntimeError:  # no kernel of these
        return False
    return True
