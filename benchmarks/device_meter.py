"""A device's clock and memory behind one class, so that one program runs on a card and on a CPU."""

from __future__ import annotations

import time

import torch


class DeviceMeter:
    """What a program that measures asks of a device; all sizes in bytes.

    On the CPU there is nothing to wait for, and "allocated", "reserved" and "used" are the resident
    memory of the process.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.card = self.device.type == "cuda"
        if self.card:
            torch.cuda.set_device(self.device if self.device.index is not None else 0)

    def synchronise(self) -> float:
        """Wait until all that was asked for is done; the time then, in seconds."""
        if self.card:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def reset(self) -> None:
        """From here on peaks are counted; what torch keeps for later is given back before."""
        from mematte_plugin.memory.exhaustion import release

        self.synchronise()
        release(str(self.device))
        if self.card:
            torch.cuda.reset_peak_memory_stats(self.device)

    def allocated(self) -> int:
        """In tensors, now."""
        return torch.cuda.memory_allocated(self.device) if self.card else _resident()

    def top_allocated(self) -> int:
        """In tensors, at most since `reset`; on the CPU, now."""
        return torch.cuda.max_memory_allocated(self.device) if self.card else _resident()

    def reserved(self) -> int:
        """Taken from the card by torch, now."""
        return torch.cuda.memory_reserved(self.device) if self.card else _resident()

    def top_reserved(self) -> int:
        """Taken from the card by torch, at most since `reset`; on the CPU, now."""
        return torch.cuda.max_memory_reserved(self.device) if self.card else _resident()

    def used(self) -> int:
        """Of the card by everybody, as its driver counts, now."""
        if not self.card:
            return _resident()
        free, total = torch.cuda.mem_get_info(self.device)
        return total - free

    def total(self) -> int:
        """Of the card; of the machine."""
        if self.card:
            return int(torch.cuda.mem_get_info(self.device)[1])
        import psutil

        return int(psutil.virtual_memory().total)

    def limit(self, room: int | None) -> bool:
        """Let torch take only so much more than now; None: all. False where nothing can do that."""
        if not self.card:
            return False
        share = 1.0 if room is None else min(1.0, (self.reserved() + room) / self.total())
        torch.cuda.set_per_process_memory_fraction(share, self.device)
        return True

    def traits(self) -> dict[str, str]:
        """What the results hang on besides the machine."""
        if not self.card:
            return {"compute capability": "", "driver": "", "cuda": ""}
        major, minor = torch.cuda.get_device_capability(self.device)
        return {
            "compute capability": f"{major}.{minor}",
            "driver": _driver(),
            "cuda": str(torch.version.cuda or torch.version.hip),
        }


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _driver() -> str:
    import shutil
    import subprocess

    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown"
    asked = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
    return (done.stdout.strip().splitlines() or ["unknown"])[0]
