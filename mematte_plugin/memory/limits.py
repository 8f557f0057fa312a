"""What Linux lets this process use: control groups, resource limits, CPU quota.

All of it is read from files below `root`; a missing file (macOS, Windows, a container that hides
it) sets no limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20

NO_LIMIT = 2**62
"""Control groups of version 1 express "unlimited" as a number just below 2^63."""


@dataclass(frozen=True)
class Limit:
    """One bound on memory."""

    free: int
    """Bytes that may still be allocated, 0 or more."""
    total: int
    """Bytes if nothing were in use."""
    name: str
    """What sets the bound: "RAM", "cgroup memory.max of /user.slice", "CUDA", …"""


def reserve(threads: int, *, settled: bool) -> int:
    """Address space in bytes that the next run maps but hardly touches.

    It counts towards `ulimit -v` and `-d`, not as memory in use. Without the reserve, a run that
    meets such a limit does not fail but hangs or crashes.

    Measured with mematte-tiny, 512² and 1024², glibc 2.36, torch 2.13, opencv 5.0, as growth of
    VmSize less growth of VmHWM from the loaded model on: 387 MiB with 1 thread, 530 with 2, 929
    with 8, where the 16 arenas that malloc allows on 2 cores ended the growth. 290 MiB of it are
    opencv's libraries and its OpenBLAS' buffer, 97 scipy's; each further thread comes twice
    (OpenMP's and torch's own pool), each time with an arena of 64 MiB and a stack of 8. A second
    run in the same process (`settled`) maps nothing.
    """
    return 32 * MIB if settled else (400 + 144 * (max(threads, 1) - 1)) * MIB


def memory_limits(reserved: int, root: Path = Path("/")) -> list[Limit]:
    """All bounds on the memory of this process, besides the machine's RAM itself.

    reserved: see `reserve`.
    """
    return [*_unified_groups(root), *_old_groups(root), *_process_limits(reserved, root)]


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that control groups allow, such as 1.5; None without a quota."""
    quotas = []
    for folder, _ in _group_folders(root, ""):
        words = _text(folder / "cpu.max").split()
        if len(words) == 2 and words[0].isdigit() and int(words[1]):
            quotas.append(int(words[0]) / int(words[1]))
    for folder, _ in _group_folders(root, "cpu"):
        quota, period = (_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota is not None and quota > 0 and period:  # -1: none
            quotas.append(quota / period)
    return min(quotas, default=None)


def resident(root: Path = Path("/")) -> tuple[int, int] | None:
    """Bytes of RAM that this process uses now and used at most; None if Linux does not say."""
    status = _fields(root / "proc/self/status")
    now, top = status.get("VmRSS"), status.get("VmHWM")
    return None if now is None or top is None else (now, top)


def _unified_groups(root: Path) -> Iterator[Limit]:
    for folder, group in _group_folders(root, ""):
        # Files not used lately are dropped before anything is killed.
        used = (_number(folder / "memory.current") or 0) - _fields(folder / "memory.stat").get(
            "inactive_file", 0
        )
        for name in ("memory.max", "memory.high"):
            total = _number(folder / name)
            if total is not None:
                yield _limit(total, used, f"cgroup {name} of {group}")


def _old_groups(root: Path) -> Iterator[Limit]:
    for folder, group in _group_folders(root, "memory"):
        stat = _fields(folder / "memory.stat")
        used = (_number(folder / "memory.usage_in_bytes") or 0) - stat.get("total_inactive_file", 0)
        totals = {
            "memory.limit_in_bytes": _number(folder / "memory.limit_in_bytes"),
            # This includes the groups above, which a container does not see.
            "hierarchical_memory_limit": stat.get("hierarchical_memory_limit"),
        }
        for name, total in totals.items():
            if total is not None and total < NO_LIMIT:
                yield _limit(total, used, f"cgroup {name} of {group}")


def _process_limits(reserved: int, root: Path) -> Iterator[Limit]:
    limits = _text(root / "proc/self/limits")
    status = _fields(root / "proc/self/status")
    for row, used, name in (
        ("Max address space", "VmSize", "address-space limit (ulimit -v)"),
        ("Max data size", "VmData", "data-segment limit (ulimit -d)"),
    ):
        found = re.search(rf"^{row}\s+(\d+)\s", limits, re.MULTILINE)
        if found and used in status:
            yield _limit(int(found[1]), status[used] + reserved, name)


def _limit(total: int, used: int, name: str) -> Limit:
    return Limit(free=min(max(total - used, 0), total), total=total, name=name)


def _group_folders(root: Path, controller: str) -> Iterator[tuple[Path, str]]:
    """Folders and names of this process's control group and those above it, itself first.

    `controller` names one of version 1; "" is the unified hierarchy of version 2.
    """
    mount = root / "sys/fs/cgroup" / controller
    group = ""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(","):
            group = path.strip("/")
    # A container may see the host's name of its group, which is not there or outside of the mount:
    # then the mount itself is the group.
    folder = mount / group
    if ".." in folder.parts or not folder.is_dir():
        folder = mount
    while folder != mount:
        yield folder, f"/{folder.relative_to(mount).as_posix()}"
        folder = folder.parent
    yield mount, "/"


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a file of lines like "inactive_file 4096" or "VmRSS:    4 kB", in bytes."""
    found = re.findall(r"^(\w+):?\s+(\d+)( kB)?\s*$", _text(path), re.MULTILINE)
    return {name: int(number) * (1024 if kilo else 1) for name, number, kilo in found}


def _number(path: Path) -> int | None:
    """The number in a file; None if it is missing or holds a word, as "max"."""
    try:
        return int(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
