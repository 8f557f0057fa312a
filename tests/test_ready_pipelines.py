"""Pipelines that `cut` keeps ready: loaded side by side, and let go of."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from mematte_plugin import MattingPipeline, pipeline, release_pipelines
from mematte_plugin.locks import ForkSafeLock
from mematte_plugin.pipeline import ready_pipeline

from .networks import random_network


@pytest.fixture(autouse=True)
def _none_ready() -> Any:
    release_pipelines()
    yield
    release_pipelines()


def test_a_slow_download_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def loading(model: str, progress: Any = None) -> Any:
        if model == "slow":
            begun.set()
            assert go_on.wait(60)
        return random_network()

    monkeypatch.setattr(pipeline, "load_network", loading)
    found: list[MattingPipeline] = []
    threads = [
        threading.Thread(target=lambda: found.append(ready_pipeline("slow", device="cpu")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    quick = ready_pipeline("quick", device="cpu")
    assert not found
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert found[0] is found[1]  # loaded once
    assert ready_pipeline("quick", device="cpu") is quick


def test_what_is_kept_ready_can_be_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_network", lambda *_, **__: random_network())
    kept = weakref.ref(ready_pipeline("one", device="cpu").network)
    assert kept() is not None
    release_pipelines()
    assert kept() is None
    ready_pipeline("one", device="cpu")  # and loaded again


def test_a_run_leaves_no_tensor_to_the_collector_of_cycles() -> None:
    pipe = MattingPipeline(random_network(), device="cpu")
    trimap = np.full((64, 96), 128, np.uint8)
    trimap[:16], trimap[-16:] = 0, 255
    image = np.zeros((64, 96, 3), np.uint8)
    pipe(image, trimap)
    gc.collect()
    gc.disable()
    try:
        before = {id(one) for one in gc.get_objects() if isinstance(one, torch.Tensor)}
        assert pipe(image, trimap).alpha.shape == (64, 96)  # and lets go of it
        found = [one for one in gc.get_objects() if isinstance(one, torch.Tensor)]
        left = [one.shape for one in found if id(one) not in before]
    finally:
        gc.enable()
    assert left == []


def test_locks_that_are_not_needed_any_more_are_not_kept() -> None:
    """Every call of `cut` may make one, in programs that run for weeks."""
    lock = ForkSafeLock()
    gone = weakref.ref(lock)
    with lock:
        pass
    del lock
    gc.collect()
    assert gone() is None
