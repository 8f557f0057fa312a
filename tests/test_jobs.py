"""The computing thread: order, cancelling, faults, forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from mematte_plugin import Job, Stopped
from mematte_plugin.jobs import in_computing_thread, is_idle

from .patience import PATIENCE


class Gate:
    """Work that waits in the computing thread until it is let go."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, job: Job) -> str:
        self.reached.set()
        assert self.open.wait(PATIENCE)
        job.check()
        return "through"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


def begun(job: Job) -> Job:
    job.begin()
    return job


def test_jobs_run_one_after_the_other_in_one_thread() -> None:
    threads: list[threading.Thread] = []
    jobs = [begun(Job(lambda _job: threads.append(threading.current_thread()))) for _ in range(5)]
    assert all(job.wait(PATIENCE) for job in jobs)
    assert len(threads) == 5
    assert set(threads) != {threading.current_thread()}
    assert len(set(threads)) == 1
    assert not in_computing_thread()


def test_a_running_job_is_cancelled_at_its_next_check(gate: Gate) -> None:
    job = begun(Job(gate))
    assert gate.reached.wait(PATIENCE)
    assert not is_idle()
    assert not job.wait(0.01)
    job.cancel()
    assert not job.wait(0)
    gate.open.set()
    assert job.wait(PATIENCE)
    assert job.stopped
    with pytest.raises(Stopped):
        job.outcome()


def test_a_waiting_job_that_is_cancelled_is_over_at_once(gate: Gate) -> None:
    first, calls = begun(Job(gate)), []
    second = Job(lambda job: calls.append("ran"))
    second.when_done(calls.append)
    second.begin()
    second.cancel()
    assert second.wait(0)
    assert second.stopped
    assert calls == [second]
    gate.open.set()
    assert first.wait(PATIENCE)
    assert first.outcome() == "through"
    assert begun(Job(lambda job: 3)).wait(PATIENCE)
    assert calls == [second]


def test_a_fault_is_the_jobs_and_the_thread_goes_on() -> None:
    def leave(_job: Job) -> None:
        raise SystemExit(3)

    failed, left = begun(Job(lambda job: 1 / 0)), begun(Job(leave))
    last = begun(Job(lambda job: "done"))
    assert last.wait(PATIENCE)
    assert last.outcome() == "done"
    with pytest.raises(ZeroDivisionError):
        failed.outcome()
    with pytest.raises(RuntimeError, match="SystemExit"):
        left.outcome()


def test_what_follows_a_job_comes_before_the_end_of_waiting(gate: Gate) -> None:
    job = Job(gate)
    seen: list[object] = []
    job.when_done(lambda job: 1 / 0)
    job.when_done(lambda job: seen.append(job.result))
    job.begin()
    gate.open.set()
    assert job.wait(PATIENCE)
    assert seen == ["through"]
    job.when_done(lambda job: seen.append("late"))
    assert seen == ["through", "late"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_computes_in_a_thread_of_its_own_and_exit_does_not_wait() -> None:
    code = """
import os, time
from mematte_plugin import Job
first = Job(lambda job: 1)
first.begin()
assert first.wait(60)
child = os.fork()
second = Job(lambda job: 2)
second.begin()
assert second.wait(60) and second.outcome() == 2
if child:
    assert os.waitpid(child, 0)[1] == 0
    Job(lambda job: time.sleep(600)).begin()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE / 2)
