"""What a host program has set in torch changes no result, nor do forks; and it all stays set."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mematte_plugin import MattingPipeline, engine, load_network

from .patience import PATIENCE

IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
TRIMAP = np.zeros((48, 64), np.uint8)
TRIMAP[8:40, 12:52], TRIMAP[16:32, 20:44] = 128, 255


def results() -> tuple[np.ndarray, np.ndarray]:
    """Alpha and colours, from the weights' file on."""
    network = load_network("mematte-tiny")
    assert {one.dtype for one in network.parameters()} == {torch.float32}
    assert not any(one.is_inference() for one in network.parameters())
    matte = MattingPipeline(network, device="cpu")(IMAGE, TRIMAP)
    return matte.alpha, matte.foreground


@pytest.fixture(scope="module")
def right() -> tuple[np.ndarray, np.ndarray]:
    return results()


def state() -> tuple[Any, ...]:
    return (
        *(torch.get_default_dtype(), torch.empty(0).device, torch.get_num_threads()),
        *(torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()),
        torch.get_float32_matmul_precision(),
        *(torch.is_inference_mode_enabled(), torch.are_deterministic_algorithms_enabled()),
        *(np.geterr(), cv2.getNumThreads(), cv2.useOptimized()),
    )


@contextmanager
def setting(set_it: Callable[[Any], object], new: object, old: object) -> Iterator[None]:
    set_it(new)
    try:
        yield
    finally:
        set_it(old)


HOSTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: setting(torch.set_default_device, "meta", None),
    "double": lambda: setting(torch.set_default_dtype, torch.float64, torch.float32),
    "half": lambda: setting(torch.set_default_dtype, torch.float16, torch.float32),
    "products in bfloat16": lambda: setting(
        torch.set_float32_matmul_precision, "medium", "highest"
    ),
    "deterministic": lambda: setting(torch.use_deterministic_algorithms, True, False),
    "gradients": torch.enable_grad,
    "inference": torch.inference_mode,
    "numpy raises": lambda: np.errstate(all="raise"),
    "one thread of OpenCV": lambda: setting(cv2.setNumThreads, 1, cv2.getNumThreads()),
}


TOGETHER = (
    ("autocast", "default device", "gradients"),
    ("double", "products in bfloat16", "deterministic"),
    ("half", "inference", "numpy raises", "one thread of OpenCV"),
)


@pytest.mark.parametrize("hosts", TOGETHER)
def test_the_hosts_settings_change_no_bit_and_stay(
    hosts: tuple[str, ...], right: tuple[np.ndarray, np.ndarray]
) -> None:
    with ExitStack() as stack:
        for host in hosts:
            stack.enter_context(HOSTS[host]())
        before = state()
        found = results()
        assert state() == before
    for one, expected in zip(found, right, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_a_threads_own_settings_change_nothing_either(
    right: tuple[np.ndarray, np.ndarray],
) -> None:
    found: list[np.ndarray] = []

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
            found.extend(results())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    for one, expected in zip(found, right, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_a_run_uses_no_more_threads_than_cores_and_restores_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "cpu_count", lambda: 1)
    seen: list[int] = []
    with setting(torch.set_num_threads, 3, torch.get_num_threads()):
        pipe = MattingPipeline(load_network("mematte-tiny"), device="cpu")
        pipe(IMAGE, TRIMAP, progress=lambda *_: seen.append(torch.get_num_threads()))
        assert torch.get_num_threads() == 3
    assert 1 in seen
    assert seen[-1] == 1


# ---- fork ----------------------------------------------------------------------------------------


def python(code: str, **environment: str) -> str:
    """What a fresh process prints, with threads as a machine has them."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True, text=True, check=False, timeout=PATIENCE,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "2", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


PICTURE = """
import numpy as np
IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
TRIMAP = np.zeros((48, 64), np.uint8)
TRIMAP[8:40, 12:52], TRIMAP[16:32, 20:44] = 128, 255
"""

FORKED = """
import os, multiprocessing
import torch
from mematte_plugin import MattingPipeline, cut, estimate_foreground, load_network

torch.set_num_threads(2)

def work(_=None):
    matte = cut(IMAGE, TRIMAP, device="cpu")
    return matte.alpha, matte.foreground, torch.get_num_threads()

def main():
    {parent}
    with multiprocessing.get_context("fork").Pool(1) as pool:
        alpha, colours, threads = pool.apply(work)
    here = work()
    print(threads, here[2], np.allclose(alpha, here[0], atol=1e-5))
    assert np.allclose(colours, here[1], atol=1e-4)

main()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    ("parent", "threads"),
    [
        ("work()", 1),
        pytest.param(
            "estimate_foreground(np.zeros((400, 400, 3)), np.full((400, 400), 0.5))",
            1,
            marks=pytest.mark.slow,
        ),
        pytest.param("load_network('mematte-tiny')", 1, marks=pytest.mark.slow),
        ("pass", 2),
    ],
)
def test_a_forked_process_computes_whatever_its_parent_did(parent: str, threads: int) -> None:
    assert python(PICTURE + FORKED.format(parent=parent)).split() == [str(threads), "2", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_card_that_the_parent_used_is_refused_with_the_remedy() -> None:
    code = """
import os, torch
from mematte_plugin import SettingError, torch_state
torch.cuda.is_initialized = lambda: True  # as after a run on a card, which few machines have
if os.fork():
    _, status = os.wait()
    raise SystemExit(os.waitstatus_to_exitcode(status))
try:
    with torch_state.own_state("cuda:0"): pass
except SettingError as error:
    print(error, flush=True)
with torch_state.own_state("cpu"): pass
os._exit(0)
"""
    assert "forked after its parent used the card; start processes with 'spawn'" in python(code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_during_a_run_holds_no_lock() -> None:
    code = """
import os, threading
from mematte_plugin import cut, pipeline
from mematte_plugin.memory import meter
held, done = threading.Event(), threading.Event()
def hold():
    with pipeline._lock, meter._lock:
        held.set(); done.wait()
threading.Thread(target=hold).start()
held.wait()
pid = os.fork()
if pid == 0:
    print(cut(IMAGE, TRIMAP, device="cpu").alpha.shape, flush=True)
    os._exit(0)
_, status = os.waitpid(pid, 0)
done.set()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    assert python(PICTURE + code) == "(48, 64)\n"
