"""Methods in fresh processes that take turns, so that a machine's drift hits all alike."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mematte_plugin import MEMatteError

ROOT = Path(__file__).parent.parent


class OutOfTime(MEMatteError):
    """The time for all measurements is over; what is done is kept."""


@dataclass(frozen=True)
class Setup:
    """What all processes of a comparison have in common."""

    device: str = "cpu"
    """A torch device."""
    threads: int = 1
    """For torch, OpenMP and numba."""
    official: Path | None = None
    """A checkout of the official code."""
    memory_budget: int | str | None = None
    """For ours, as the pipeline takes it."""
    timeout: float = 1800
    """Seconds that one turn may take."""
    deadline: float | None = None
    """time.monotonic() at which everything ends; None for never."""


@dataclass(frozen=True)
class Turn:
    """What came of one run."""

    seconds: float = 0
    """Of the run alone, pictures already in memory."""
    peak: int = 0
    """Bytes above the process with everything loaded and idle; of a card, above the model."""
    total: int = 0
    """Bytes in all."""
    kept: float | None = None
    """Mean share of kept tokens."""
    predicted: int | None = None
    """Peak that ours promised before."""
    skipped: str = ""
    """Why it was not even tried."""
    failed: str = ""
    """Why there is no result."""


class Player:
    """One method's process."""

    def __init__(self, method: str, setup: Setup) -> None:
        self.method = method
        self._ready = False
        self._setup = setup
        self._over: Turn | None = None
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115, see close()
        job = {
            "method": method,
            "device": setup.device,
            "threads": setup.threads,
            "official": str(setup.official) if setup.official else None,
            "memory_budget": setup.memory_budget,
        }
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env={**os.environ, **{name: str(setup.threads) for name in names}},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def ready(self) -> Turn | None:
        """Wait until it is loaded; what came of it if it cannot play."""
        if self._over is None and not self._ready:
            reply = self._reply()
            self._ready = reply.get("ready", False)
            if not self._ready:
                self._over = _turn(reply)
        return self._over

    def play(self, image: Path, trimap: Path, save: Path | None = None) -> Turn:
        """One run of the picture in the two .npy files; its alpha goes to the file `save`.

        Raises OutOfTime when the deadline comes first.
        """
        over = self.ready()
        if over is not None:
            return over
        command = {"image": str(image), "trimap": str(trimap), "save": str(save) if save else None}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError:
            return self._died()
        return _turn(self._reply())

    @property
    def broken(self) -> bool:
        """Whether its process broke down, so that a fresh one is needed."""
        return self._over is not None and bool(self._over.failed)

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._log):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _reply(self) -> dict[str, Any]:
        wait, deadline = self._setup.timeout, self._setup.deadline
        left = wait if deadline is None else min(wait, deadline - time.monotonic())
        try:
            line = self._lines.get(timeout=max(left, 0.01))
        except queue.Empty:
            if left < wait:
                raise OutOfTime("the time is over; the same command goes on") from None
            self._process.kill()
            self._over = Turn(failed=f"took longer than {wait:.0f} s")
            return {"failed": self._over.failed}
        if line is None:
            return {"failed": self._died().failed}
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _died(self) -> Turn:
        code = self._process.wait()
        self._log.seek(0)
        last = self._log.read().strip().splitlines()[-1:] or ["no message"]
        reason = "killed, probably out of memory" if code == -9 else f"exit code {code}: {last[0]}"
        self._over = Turn(failed=reason[:300])
        return self._over


def _turn(reply: dict[str, Any]) -> Turn:
    return Turn(**reply)
