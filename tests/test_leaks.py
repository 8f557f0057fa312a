"""A pipeline that is kept for many pictures does not grow."""

from __future__ import annotations

import pytest

from .memory.processes import run_python
from .patience import PATIENCE

CODE = """
import os
os.environ["LRU_CACHE_CAPACITY"] = os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "64"
from mematte_plugin import MattingPipeline
import numpy as np, psutil, torch
from tests.networks import random_network
from tests.test_stepping_down import subject

torch.set_num_threads(1)
pipe = MattingPipeline(random_network(guidance="flow"), device="cpu")
rng = np.random.default_rng(0)

def run(count):
    for _ in range(count):
        height, width = rng.integers(40, 301, 2)
        pipe(*subject(height, width, seed=1))
    return psutil.Process().memory_info().rss

early = run(40)
print(run(160) - early)
"""


@pytest.mark.slow
def test_two_hundred_mattes_of_any_size_leave_nothing_behind() -> None:
    assert int(run_python(CODE, timeout=PATIENCE)) < 10_000_000
