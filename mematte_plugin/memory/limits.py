"""What Linux lets this process use: control groups, resource limits, strict overcommit, CPU quota.

All of it is read from files below `root`, and what is not there (macOS, Windows, a container that
hides it) sets no limit.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MIB = 2**20

NO_LIMIT = 2**62
"""Control groups of version 1 say "unlimited" with a number just below 2^63."""


@dataclass(frozen=True)
class Limit:
    """One bound on this process's memory."""

    free: int
    """Bytes that it still allows, 0 or more."""
    total: int
    """Bytes that it allows altogether."""
    name: str
    """What it is, in words."""


@dataclass(frozen=True)
class Reserve:
    """What a run maps beside its data: of address space, and of that the writable part.

    Bytes that a first run maps and hardly touches, so that they count towards limits on address
    space but not as memory in use.
    """

    space: int
    writable: int


def headroom() -> tuple[float, int]:
    """Share of what is free that may be used, and bytes of that which stay free all the same; see
    `budget_for`."""
    return (0.80, 600 * MIB) if sys.platform == "win32" else (0.85, 256 * MIB)


def less_headroom(free: int) -> int:
    """What is left of free bytes once some stay for what cannot be foreseen."""
    share, margin = headroom()
    return max(0, int(share * free) - margin)


def reserve(threads: int, *, settled: bool) -> Reserve:
    """What the next run maps without using it, with `threads` threads of computation.

    Measured with mematte-tiny, 512² and 1024², glibc 2.36, torch 2.13, opencv 5.0, as growth of
    VmSize less growth of VmHWM from the loaded model on: 387 MiB with 1 thread, 530 with 2, 929
    with 8, where the 16 arenas that malloc allows on 2 cores ended the growth. 290 MiB of it are
    opencv's libraries and its OpenBLAS' buffer, 97 scipy's; each further thread comes twice
    (OpenMP's and torch's own pool), each time with an arena of 64 MiB and a stack of 8. Writable
    (VmData): 189, 212 and 255 MiB. A second run in the same process (`settled`): nothing.
    Without the reserve, a run that meets the limit there does not fail but hangs or crashes.
    """
    if settled:
        return Reserve(space=32 * MIB, writable=32 * MIB)
    others = max(threads, 1) - 1
    return Reserve(space=(400 + 144 * others) * MIB, writable=(200 + 16 * others) * MIB)


def memory_limits(reserved: Reserve, root: Path = Path("/")) -> list[Limit]:
    """All bounds on the memory of this process, besides the machine's RAM itself."""
    return [
        *_unified_group_limits(root),
        *_old_group_limits(root),
        *_process_limits(reserved, root),
        *_strict_overcommit(reserved, root),
    ]


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that control groups allow, such as 1.5; None without a quota."""
    quotas = []
    for folder, _ in _group_folders(root, None):
        words = _text(folder / "cpu.max").split()
        if len(words) == 2 and words[0].isdigit() and int(words[1]):
            quotas.append(int(words[0]) / int(words[1]))
    for folder, _ in _group_folders(root, "cpu"):
        quota, period = (_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota is not None and quota > 0 and period:  # -1: none
            quotas.append(quota / period)
    return min(quotas, default=None)


def resident(root: Path = Path("/")) -> tuple[int, int] | None:
    """Bytes of RAM that this process has now and had at most; None where Linux does not tell."""
    status = _fields(root / "proc/self/status")
    now, top = status.get("VmRSS"), status.get("VmHWM")
    return None if now is None or top is None else (now, top)


def _unified_group_limits(root: Path) -> Iterator[Limit]:
    for folder, group in _group_folders(root, None):
        # Files not used lately are given up before anything is killed.
        used = (_number(folder / "memory.current") or 0) - _fields(folder / "memory.stat").get(
            "inactive_file", 0
        )
        for name in ("memory.max", "memory.high"):
            total = _number(folder / name)
            if total is not None:
                yield _limit(total, used, f"cgroup {name} of {group}")


def _old_group_limits(root: Path) -> Iterator[Limit]:
    for folder, group in _group_folders(root, "memory"):
        stat = _fields(folder / "memory.stat")
        used = (_number(folder / "memory.usage_in_bytes") or 0) - stat.get("total_inactive_file", 0)
        totals = {
            "memory.limit_in_bytes": _number(folder / "memory.limit_in_bytes"),
            # What a container does not see of the groups above it.
            "hierarchical_memory_limit": stat.get("hierarchical_memory_limit"),
        }
        for name, total in totals.items():
            if total is not None and total < NO_LIMIT:
                yield _limit(total, used, f"cgroup {name} of {group}")


def _process_limits(reserved: Reserve, root: Path) -> Iterator[Limit]:
    limits = _text(root / "proc/self/limits")
    status = _fields(root / "proc/self/status")
    for row, used, kept, name in (
        ("Max address space", "VmSize", reserved.space, "address-space limit (ulimit -v)"),
        ("Max data size", "VmData", reserved.writable, "data-segment limit (ulimit -d)"),
    ):
        found = re.search(rf"^{row}\s+(\d+)\s", limits, re.MULTILINE)
        if found and used in status:
            yield _limit(int(found[1]), status[used] + kept, name)


def _strict_overcommit(reserved: Reserve, root: Path) -> Iterator[Limit]:
    meminfo = _fields(root / "proc/meminfo")
    if _number(root / "proc/sys/vm/overcommit_memory") == 2 and "CommitLimit" in meminfo:
        used = meminfo.get("Committed_AS", 0) + reserved.writable
        yield _limit(meminfo["CommitLimit"], used, "strict overcommit (vm.overcommit_memory=2)")


def _limit(total: int, used: int, name: str) -> Limit:
    return Limit(free=min(max(total - used, 0), total), total=total, name=name)


def _group_folders(root: Path, controller: str | None) -> Iterator[tuple[Path, str]]:
    """Folders and names of this process's control group and those above it, itself first.

    `controller` names one of version 1; None is the unified hierarchy of version 2.
    """
    group = _own_group(root, controller)
    mounts = [(at, top) for at, top, which in _group_mounts(root) if controller in which]
    if group is None or not mounts:
        return
    # A container may have mounted only the part below its own group, or see a path that is not
    # below its mount at all: there the mount itself is the group.
    below = {
        mount: group.relative_to(top)
        for mount, top in mounts
        if group.is_relative_to(top) and ".." not in group.parts
    }
    mount = next(iter(below), mounts[0][0])
    folder = mount / below.get(mount, "")
    if not folder.is_dir():
        folder = mount
    for one in (folder, *folder.parents):
        if one == mount:
            yield one, "/"
            return
        yield one, f"/{one.relative_to(mount).as_posix()}"


def _own_group(root: Path, controller: str | None) -> PurePosixPath | None:
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(",") or (number == "0" and controller is None):
            return PurePosixPath(path)
    return None


def _group_mounts(root: Path) -> Iterator[tuple[Path, PurePosixPath, list[str | None]]]:
    """Mounted control groups: where, from which group on, and which controllers (None: v2)."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        fields, _, tail = line.partition(" - ")
        words, kind = fields.split(" "), tail.split(" ")
        if len(words) < 5 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        top, at = (re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), word) for word in words[3:5])
        which: list[str | None] = [None] if kind[0] == "cgroup2" else [*kind[-1].split(",")]
        yield root / at.lstrip("/"), PurePosixPath(top), which


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a file of lines like "inactive_file 4096" or "VmRSS:    4 kB", in bytes."""
    found = re.findall(r"^(\w+):?\s+(\d+)( kB)?\s*$", _text(path), re.MULTILINE)
    return {name: int(number) * (1024 if kilo else 1) for name, number, kilo in found}


def _number(path: Path) -> int | None:
    """The number that a file holds; None where there is no file or another word, as "max"."""
    try:
        return int(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
