"""Measuring in worker processes that take turns, so that a machine's drift affects all equally."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from mematte_plugin import SettingError
from mematte_plugin.memory.exhaustion import is_out_of_memory, release

from .results import Record, Store

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
logger = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Task:
    """A function to be called in a worker, and the case that its result belongs to."""

    case: dict[str, Any]
    """See `Record`."""
    function: Callable[..., dict[str, Any]]
    """Returns a run of a `Record`; a SettingError means that the case cannot run here."""
    arguments: dict[str, Any]
    """What it takes."""
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


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for processes that are started within it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Worker:
    """A process that calls functions one after the other."""

    def __init__(self, limits: Limits) -> None:
        self.dead = False
        self._limits = limits
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        with _environment(dict.fromkeys(THREADS, str(limits.threads))):
            self._process.start()
        other.close()

    def call(self, task: Task) -> dict[str, Any]:
        """The worker's answer, or that it failed. Raises _OutOfTime at the deadline."""
        deadline = self._limits.deadline
        left = float("inf") if deadline is None else deadline - time.monotonic()
        try:
            self._connection.send((task.function, task.arguments))
            if self._connection.poll(max(0.01, min(left, self._limits.timeout))):
                answer: dict[str, Any] = self._connection.recv()
                return answer
        except (EOFError, OSError):  # it died
            self._process.join()
            code = self._process.exitcode
            self.close()
            why = ", probably out of memory" if code == -9 else ""
            return {"failed": f"the process ended with code {code}{why}"}
        self.close()
        if left < self._limits.timeout:
            raise _OutOfTime
        return {"failed": f"took longer than {self._limits.timeout:.0f} s"}

    def close(self) -> None:
        """End the process, and what it started."""
        self.dead = True
        if self._process.is_alive():
            _kill_children(self._process.pid)
        self._process.kill()
        self._process.join()
        self._connection.close()


def _kill_children(process: int | None) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process).children(recursive=True):
            child.kill()


# ---- in the worker -------------------------------------------------------------------------------


def _serve(connection: Connection) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):  # if memory runs out, the kernel should kill this process
        Path("/proc/self/oom_score_adj").write_text("1000")
    while True:
        try:
            function, arguments = connection.recv()
        except (EOFError, OSError):  # the parent has ended
            _end_with_parent()
        answer = _answer(function, arguments)
        _make_room(arguments.get("device", "cpu"))
        connection.send(answer)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    _kill_children(os.getpid())
    os._exit(1)  # even in the middle of a run


def _answer(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"run": function(**arguments)}
    except SettingError as error:
        return {"skipped": " ".join(str(error).split())[:500]}
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            return {"failed": "out of memory"}
        return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]}


def _make_room(device: str) -> None:
    """Give back what others need in their turns."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        free, total = torch.cuda.mem_get_info(device)
        if free > total / 2:  # keep the cache: filling it again would cost time
            return
    release(device)
