"""Measuring in worker processes that take turns, so that a machine's drift affects all equally."""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .results import Record, Store

ROOT = Path(__file__).parent.parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
logger = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Task:
    """A function to be called in a worker, and the case that its result belongs to."""

    case: dict[str, Any]
    """See `Record`."""
    function: str
    """Its module and name: "benchmarks.prediction:measure"."""
    arguments: dict[str, Any]
    """What it takes, JSON-ready; it returns a run of a `Record`."""
    worker: str
    """Tasks of one name share a process."""


@dataclass(frozen=True)
class Limits:
    """What a program may use."""

    threads: int
    """For torch, OpenMP and numba."""
    timeout: float = 1800
    """Seconds for one run; a longer one is a failure."""
    deadline: float | None = None
    """time.monotonic() at which everything stops; None for never."""


def run(
    groups: Iterable[Sequence[Task]],
    store: Store,
    limits: Limits,
    *,
    repeats: int = 1,
    again: bool = False,
) -> None:
    """Measure what the store does not hold yet; the tasks of a group take turns.

    Stops at the deadline. What is done is kept, and the next call goes on from there.

    again: measure what the store holds, too.
    """
    workers: dict[str, _Worker] = {}
    try:
        for group in groups:
            todo = [
                (task, Record(task.case))
                for task in group
                if again or not store.done(task.case, repeats)
            ]
            for name in workers.keys() - {task.worker for task, _ in todo}:
                workers.pop(name).close()
            for _ in range(repeats):
                for task, record in todo:
                    if record.failed or record.skipped:
                        continue
                    worker = workers.get(task.worker)
                    if worker is None or worker.dead:
                        worker = workers[task.worker] = _Worker(limits)
                    _add(record, worker.call(task))
                    store.put(record)
    except _OutOfTime:
        logger.info("the time is over; the same command goes on")
    finally:
        for worker in workers.values():
            worker.close()


def _add(record: Record, answer: dict[str, Any]) -> None:
    if "run" in answer:
        record.runs.append(answer["run"])
    else:
        record.runs.clear()
        record.failed, record.skipped = answer.get("failed", ""), answer.get("skipped", "")
    case = ", ".join(str(value) for value in record.case.values() if value is not None)
    logger.info("%s: %s", case, json.dumps(answer.get("run") or answer)[:200])


class _OutOfTime(Exception):
    """The deadline came before an answer."""


class _Worker:
    """One process of `worker.py`."""

    def __init__(self, limits: Limits) -> None:
        self.dead = False
        self._limits = limits
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115, see close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env={**os.environ, **dict.fromkeys(THREADS, str(limits.threads))},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def call(self, task: Task) -> dict[str, Any]:
        """The worker's answer, or that it failed. Raises _OutOfTime at the deadline."""
        assert self._process.stdin is not None
        command = {"function": task.function, "arguments": task.arguments}
        deadline = self._limits.deadline
        left = float("inf") if deadline is None else deadline - time.monotonic()
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=max(0.01, min(left, self._limits.timeout)))
        except queue.Empty:
            self.close()
            if left < self._limits.timeout:
                raise _OutOfTime from None
            return {"failed": f"took longer than {self._limits.timeout:.0f} s"}
        except OSError:
            line = ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        return {"failed": self._last_words()}

    def close(self) -> None:
        """End the process."""
        self.dead = True
        self._process.kill()
        self._process.wait()
        self._log.close()
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except OSError:  # it died before it read a command
            pass

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        last = self._log.read().strip().splitlines()[-1:] or ["no message"]
        self.close()
        return "killed, probably out of memory" if code == -9 else f"exit code {code}: {last[0]}"
