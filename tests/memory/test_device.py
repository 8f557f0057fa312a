"""What is free, as the pipeline asks for it."""

import json
import sys

import psutil
import pytest

from mematte_plugin.errors import SettingError
from mematte_plugin.memory.free import (
    _cores,
    _cuda_limit,
    budget_for,
    cpu_count,
    free_memory,
)

from .processes import run_python

GB = 10**9
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")


def test_free_memory_is_some_of_the_machine_and_costs_no_torch():
    found = json.loads(
        run_python(
            "import dataclasses, json, sys\n"
            "from mematte_plugin.memory.free import cpu_count, free_memory\n"
            "assert cpu_count() >= 1\n"
            "found = free_memory('cpu')\n"
            "assert 'torch' not in sys.modules\n"
            "print(json.dumps(dataclasses.asdict(found)))"
        )
    )
    assert 0 < found["free"] <= found["total"] <= psutil.virtual_memory().total
    assert found["name"]


@linux
def test_a_limit_on_address_space_is_seen_and_holds():
    first, then = json.loads(
        run_python(
            "import json, os, resource\n"
            "import numpy as np\n"
            "from mematte_plugin.memory.free import free_memory\n"
            "from mematte_plugin.memory.meter import PeakMeter\n"
            "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"  # threads take room
            "top = 3_000_000 * 1024\n"
            "resource.setrlimit(resource.RLIMIT_AS, (top, top))\n"
            "first = free_memory('cpu')\n"
            "assert first.name == 'address-space limit (ulimit -v)', first\n"
            "assert first.total == top\n"
            "with PeakMeter('cpu'):\n"
            "    np.empty(first.free, np.uint8)\n"  # what is said to be free can be had
            "print(json.dumps([first.free, free_memory('cpu').free]))"
        )
    )
    assert 0.5 * GB < first < 3_000_000 * 1024 - 400 * 2**20
    assert then > first + 300 * 2**20  # a run has mapped what it needs beside its data


@linux
def test_cores_are_those_of_the_affinity_mask():
    count = run_python(
        "import os\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from mematte_plugin.memory.free import cpu_count\n"
        "print(cpu_count())"
    )
    assert int(count) == 1
    assert cpu_count() >= 1


@pytest.mark.parametrize(
    ("usable", "quota", "cores"),
    [(8, None, 8), (8, 2, 2), (8, 1.5, 2), (8, 0.5, 1), (2, 4, 2), (1, 0.01, 1)],
)
def test_a_quota_of_cpu_time_is_rounded_up(usable, quota, cores):
    assert _cores(usable, quota) == cores


@pytest.mark.parametrize(
    ("platform", "free", "budget"),
    [
        ("linux", 4 * GB, 3_400_000_000 - 268_435_456),
        ("darwin", 4 * GB, 3_400_000_000 - 268_435_456),
        ("win32", 4 * GB, 3_200_000_000 - 629_145_600),
        ("linux", 300_000_000, 0),
        ("win32", 0, 0),
    ],
)
def test_a_part_of_what_is_free_stays_free(monkeypatch, platform, free, budget):
    monkeypatch.setattr("sys.platform", platform)
    assert budget_for(free) == budget


def test_on_cuda_what_torch_keeps_for_later_is_free():
    card = _cuda_limit(free=2 * GB, total=8 * GB, reserved=3 * GB, active=1 * GB, share=1.0)
    assert (card.free, card.total, card.name) == (4 * GB, 8 * GB, "CUDA")


def test_on_cuda_fragments_are_not_free():
    card = _cuda_limit(
        free=2 * GB, total=8 * GB, reserved=3 * GB, active=1 * GB, share=1.0, split=GB // 2
    )
    assert card.free == 3 * GB + GB // 2


def test_on_cuda_a_process_may_be_held_to_a_share():
    # A quarter of 8 GB, one of them in use; what is cached may be used again within the share.
    share = _cuda_limit(free=5 * GB, total=8 * GB, reserved=2 * GB, active=1 * GB, share=0.25)
    assert (share.free, share.total) == (1 * GB, 2 * GB)
    assert "0.25" in share.name


@pytest.mark.parametrize("device", ["tpu", "", "meta", "cuda:99", "cuda:x", "gpu"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(SettingError) as caught:
        free_memory(device)
    assert repr(device) in str(caught.value)
    assert "cpu" in str(caught.value)
