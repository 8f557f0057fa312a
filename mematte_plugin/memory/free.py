"""What is free on a device, how much of it to use, and how many cores there are."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeviceLostError, SettingError
from .exhaustion import is_lost, is_out_of_memory, may_be_out_of_memory, release
from .limits import MIB, Limit, cpu_quota, less_headroom, memory_limits, reserve
from .meter import PeakMeter, run_has_ended

if TYPE_CHECKING:
    import torch

__all__ = [
    "Free",
    "PeakMeter",
    "budget_for",
    "budget_from",
    "computing_threads",
    "cpu_count",
    "free_memory",
    "is_out_of_memory",
    "lost_card_is_named",
    "ran_out",
    "release",
]

SCARCE, SCARCE_SHARE = 512 * MIB, 0.1
"""Where less than this, or less than this share of a card, is free, memory is what cuDNN and cuBLAS
have not found."""


@dataclass(frozen=True)
class Free:
    """The memory of a device, as this process finds it now."""

    device: str
    """The device's name as it was asked for: "cpu", "cuda:0", "mps"."""
    free: int
    """Bytes that may still be allocated, 0 or more."""
    total: int
    """Bytes that there would be if nothing were in use."""
    limit: str
    """What sets `free`, in words: "RAM", "cgroup memory.max of /user.slice", "CUDA", …"""


def free_memory(device: torch.device | str) -> Free:
    """What this process may still allocate on a device now, all limits considered.

    CUDA (and ROCm): free on the card, plus what torch has reserved but does not use, less fragments
    (the environment variable PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True makes them few),
    within the share that `torch.cuda.set_per_process_memory_fraction` leaves. MPS: what Metal
    recommends, less what torch holds, and not more than the RAM that is free. CPU: the RAM that is
    available (without swapping), within the limits of control groups, `ulimit -v` and `ulimit -d`,
    and strict overcommit; under the limits on address space less what a run maps without using it.

    Raises SettingError for a device that is unknown or does not answer.
    """
    name = str(device)
    kind = name.partition(":")[0]
    if kind not in _FINDERS:
        raise SettingError(
            f"device {name!r}: the memory of this kind of device is not known here; "
            f"use {', '.join(_FINDERS)}, or give a memory budget"
        )
    try:
        found = _FINDERS[kind](name)
    except (RuntimeError, AssertionError, ValueError, AttributeError) as error:
        # torch's: not there, lost, busy, or too old to be asked
        why = str(error).strip().partition("\n")[0]
        raise SettingError(
            f"device {name!r} does not answer ({why}); use another device, such as cpu"
        ) from error
    return Free(device=name, free=found.free, total=found.total, limit=found.name)


def budget_from(free: Free) -> int:
    """Bytes that a run on that device may plan with; see `budget_for`."""
    return budget_for(free.free)


def budget_for(free: int) -> int:
    """Bytes that a run may plan with where so many are free; 0 where they are too few.

    15% and 256 MiB stay for what cannot be foreseen: other programs, fragmentation, workspaces of
    libraries. Windows pages instead of failing, and slows down long before: 20% and 600 MiB.
    """
    return less_headroom(free)


def ran_out(error: BaseException, device: torch.device | str) -> bool:
    """Whether an error that was raised while computing on a device means that its memory has run
    out; to be asked while what was computed is still held.

    cuDNN and cuBLAS say the same for a workspace that does not fit and for a card without an
    engine. That counts only where next to nothing is free.
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

    what: what was computed or moved, with which the message begins.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_lost(error):
            raise
        why = str(error).strip().partition("\n")[0]
        raise DeviceLostError(
            f"{what}: device {str(device)!r} has stopped working ({why}), and this process cannot "
            "use it any more; start the program again, and if it happens again, update the "
            "card's driver or use device cpu"
        ) from error


def computing_threads() -> int:
    """Threads that compute on a CPU here: torch's, but no more than there are cores.

    Before torch is loaded, what it will begin with: OMP_NUM_THREADS, else the physical cores.
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
    return _cores(_affinity(), cpu_quota())


def _cores(usable: int, quota: float | None) -> int:
    return max(1, min(usable, usable if quota is None else math.ceil(quota)))


def _affinity() -> int:
    import psutil

    try:
        return len(psutil.Process().cpu_affinity())
    except (AttributeError, psutil.Error, OSError):  # macOS has none
        return os.cpu_count() or 1


def _ram(root: Path = Path("/")) -> Limit:
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
    """From what the driver and torch's allocator say; `active` also counts what streams hold.

    split: what is unused beside something used in one segment. It can neither be given back nor be
    joined, so that a large tensor finds no room there, and does not count as free.
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

    # Held by the driver but not in use is free for torch, so that only what is in use counts.
    top = torch.mps.recommended_max_memory()
    metal = Limit(
        free=max(0, top - torch.mps.current_allocated_memory()),
        total=top,
        name="MPS",
    )
    return min(metal, _ram(), key=lambda limit: limit.free)  # the RAM is shared


_FINDERS = {"cpu": lambda _: _ram(), "cuda": _cuda, "mps": _mps}
"""How the tightest limit is found for each kind of device, from its name."""
