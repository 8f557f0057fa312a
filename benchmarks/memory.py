"""How much memory a piece of work takes above what was there before it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
from functools import cache
from pathlib import Path
from types import TracebackType

import psutil
import torch

PERIOD = 0.002
"""Seconds between samples where the kernel keeps no peak for us."""
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Peak:
    """Context that notes the process's, or the card's, peak memory while it is entered."""

    def __init__(self, device: str) -> None:
        self._meter: _Cuda | _Kernel | _Sampled
        if device.startswith("cuda"):
            self._meter = _Cuda(device)
        else:
            self._meter = _Kernel() if _kernel_keeps_peaks() else _Sampled()
        self.idle = 0
        """Bytes before; of a CPU the resident set, of a card what is allocated."""
        self.peak = 0
        """Most bytes at any time between, the idle ones included."""

    @property
    def how(self) -> str:
        """Where the numbers come from."""
        return self._meter.how

    def __enter__(self) -> Peak:
        tidy()
        self.idle = self._meter.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.peak = max(self._meter.stop(), self.idle)


def tidy() -> None:
    """Give back to the system what Python and the C library hold unused.

    Otherwise work that reuses freed memory would seem to need none.
    """
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # musl has no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)


class _Kernel:
    """Linux counts the highest resident set, and can be told to begin anew."""

    how = "resident set, kernel's peak"

    def start(self) -> int:
        _CLEAR.write_text("5")
        return _status("VmRSS")

    def stop(self) -> int:
        return _status("VmHWM")


class _Sampled:
    """Looks every few milliseconds; short peaks may be missed."""

    how = f"resident set, sampled every {PERIOD * 1000:g} ms"

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._peak = 0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        self._peak = idle = self._resident()
        self._done.clear()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return idle

    def stop(self) -> int:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        return max(self._peak, self._resident())

    def _watch(self) -> None:
        while not self._done.wait(PERIOD):
            self._peak = max(self._peak, self._resident())

    def _resident(self) -> int:
        return int(self._process.memory_info().rss)


class _Cuda:
    """PyTorch's allocator counts what its tensors hold."""

    how = "torch.cuda.max_memory_allocated"

    def __init__(self, device: str) -> None:
        self._device = device

    def start(self) -> int:
        torch.cuda.synchronize(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        return torch.cuda.memory_allocated(self._device)

    def stop(self) -> int:
        torch.cuda.synchronize(self._device)
        return torch.cuda.max_memory_allocated(self._device)


def _status(key: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {key}")


@cache
def _kernel_keeps_peaks() -> bool:
    """Whether the peak is there and really begins anew: some sandboxes only pretend."""
    try:
        block: bytes | None = bytes(64 << 20).replace(b"\0", b"\1")  # touched, so resident
        high = _status("VmHWM")
        block = None
        _CLEAR.write_text("5")
        return block is None and _status("VmHWM") < high - (32 << 20)
    except OSError:
        return False
