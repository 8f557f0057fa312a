"""Measuring the peak memory of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..locks import ForkSafeLock
from .exhaustion import trim_memory
from .limits import MIB, resident

if TYPE_CHECKING:
    import torch

SAMPLING_SECONDS = 0.002
"""Between two samples, where the peak is not recorded; costs a few percent of a core."""


@dataclass(frozen=True)
class _Counter:
    """How a device counts memory in use, in bytes."""

    now: Callable[[], int]
    high: Callable[[], int] | None = None
    """The peak since `reset`; None: it is not recorded, and has to be sampled."""
    reset: Callable[[], None] = lambda: None
    look: Callable[[], int] | None = None
    """A cheaper `now`, for sampling."""
    ours: bool = True
    """Whether `high` may be reset. If not, it gives the peak of a run that exceeds all earlier
    ones; other runs have to be sampled."""


_lock = ForkSafeLock()
_open: list[PeakMeter] = []
_run_ended = threading.Event()


class PeakMeter:
    """Context manager around a run: its peak memory on a device, above that at its start.

        >>> with PeakMeter("cpu") as meter:
        ...     ones = [1] * 10_000_000
        >>> meter.peak > 70_000_000
        True

    On the CPU that is RAM (the resident set) of the whole process; freed memory that the C library
    keeps is returned first. Linux records the peak; elsewhere it is sampled every 2 ms, and shorter
    peaks are missed. On CUDA it is the memory from torch's allocator on that device, without the
    context and the libraries' own. The peak that torch records there belongs to the program and is
    not reset: a run that stays below it is sampled. After
    `torch.cuda.reset_peak_memory_stats`, called before the run, nothing is missed. On MPS the same,
    sampled.

    Meters count for the process, not for a thread: they may be nested or open in several threads,
    and each also counts the others' runs while it is open. A program that calls
    `torch.cuda.reset_peak_memory_stats` or writes /proc/self/clear_refs meanwhile erases the peak
    so far. Opening a meter on the CPU writes the latter.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = str(device)
        self._start: int | None = None
        self._top = self._before = 0
        self._counter: _Counter | None = None
        self._closed = threading.Event()

    def __enter__(self) -> PeakMeter:
        with _lock:
            if self in _open:
                raise RuntimeError("this PeakMeter is already open")
            kind = self.device.partition(":")[0]
            self._counter = _COUNTERS[kind](self.device) if kind in _COUNTERS else None
            if self._counter is None:
                return self
            for other in _open:  # before the reset below erases their peak
                other._look()
            if kind == "cpu":
                trim_memory()
            self._counter = _resettable(self._counter)
            self._start = self._top = self._counter.now()
            if self._counter.high is not None and not self._counter.ours:
                self._before = self._counter.high()
            _open.append(self)
        if self._counter.high is None or not self._counter.ours:
            self._closed = threading.Event()
            threading.Thread(target=self._sample, args=(self._closed,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with _lock:
            self._look()
            if self in _open:
                _open.remove(self)
            if kind is None and self.device == "cpu":
                _run_ended.set()
        self._closed.set()

    @property
    def peak(self) -> int | None:
        """Bytes above the start, so far or of the whole run. None before the start and on kinds of
        devices without a count."""
        with _lock:
            if self in _open:
                self._look()
            return None if self._start is None else max(0, self._top - self._start)

    def _look(self) -> None:
        counter = self._counter
        if counter is None:
            return
        if counter.high is None:
            self._top = max(self._top, counter.now())
            return
        high = counter.high()
        if counter.ours or high != self._before:  # lower: it was reset meanwhile
            self._top = max(self._top, high)
        if not counter.ours:
            self._top, self._before = max(self._top, counter.now()), high

    def _sample(self, closed: threading.Event) -> None:
        while not closed.wait(SAMPLING_SECONDS):
            with _lock:
                if not closed.is_set():
                    self._look()


def run_has_ended() -> bool:
    """Whether a measured run on the CPU has succeeded, so that libraries and threads are loaded."""
    return _run_ended.is_set()


def _resettable(counter: _Counter) -> _Counter:
    """The counter with its peak reset; one to be sampled if the system refuses that."""
    try:
        counter.reset()
    except OSError:  # a container may not let it be written
        return _Counter(now=counter.look or counter.now)
    # Sandboxes accept the write and do nothing.
    if counter.ours and counter.high is not None and counter.high() > counter.now() + 16 * MIB:
        return _Counter(now=counter.look or counter.now)
    return counter


def _process_counter(_: str, root: Path = Path("/")) -> _Counter:
    import psutil

    process = psutil.Process()
    if resident(root) is None:
        return _Counter(now=lambda: process.memory_info().rss)
    # Both from one file: Linux' own counts of one thing differ on machines with many cores.
    return _Counter(
        now=lambda: (resident(root) or (0, 0))[0],
        high=lambda: (resident(root) or (0, 0))[1],
        reset=lambda: _write(root / "proc/self/clear_refs", "5"),
        look=lambda: process.memory_info().rss,
    )


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="ascii") as file:
        file.write(text)


def _cuda_counter(device: str) -> _Counter:
    import torch

    torch.cuda.current_device()  # makes torch ready
    return _Counter(
        now=lambda: torch.cuda.memory_allocated(device),
        high=lambda: torch.cuda.max_memory_allocated(device),
        ours=False,
    )


def _mps_counter(_: str) -> _Counter:
    import torch

    return _Counter(now=torch.mps.current_allocated_memory)


_COUNTERS: dict[str, Callable[[Any], _Counter]] = {
    "cpu": _process_counter,
    "cuda": _cuda_counter,
    "mps": _mps_counter,
}
"""The counter of each kind of device."""
