"""Whatever short cuts a host program allows torch in float32, we take none, and put them back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from mematte_plugin.torch_state import full_precision, own_state

from .patience import PATIENCE

BACKENDS: Any = torch.backends
NEWER = hasattr(BACKENDS, "fp32_precision")
SUMS = hasattr(BACKENDS.cuda.matmul, "allow_fp16_accumulation")  # not in torch 2.6

HOSTS: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "products": lambda: setattr(BACKENDS.cuda.matmul, "allow_tf32", True),
    "benchmark": lambda: setattr(BACKENDS.cudnn, "benchmark", True),
}
if SUMS:
    HOSTS["float16 sums"] = lambda: setattr(BACKENDS.cuda.matmul, "allow_fp16_accumulation", True)
NEW_HOSTS: dict[str, Callable[[], object]] = {
    "all tf32": lambda: setattr(BACKENDS, "fp32_precision", "tf32"),
    "all bf16": lambda: setattr(BACKENDS, "fp32_precision", "bf16"),
    "convolutions": lambda: setattr(BACKENDS.mkldnn.conv, "fp32_precision", "bf16"),
    "by operation": lambda: (
        setattr(BACKENDS.cuda.matmul, "fp32_precision", "tf32"),
        setattr(BACKENDS.cudnn.conv, "fp32_precision", "tf32"),
        setattr(BACKENDS.mkldnn.matmul, "fp32_precision", "bf16"),
    ),
    "mixed": lambda: (
        setattr(BACKENDS.cuda.matmul, "allow_tf32", True),
        setattr(BACKENDS.cuda.matmul, "fp32_precision", "ieee"),
        setattr(BACKENDS.cudnn.rnn, "fp32_precision", "ieee"),
    ),
}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    if NEWER:
        BACKENDS.fp32_precision = "none"
        for one in (BACKENDS.mkldnn.conv, BACKENDS.mkldnn.matmul, BACKENDS.cuda.matmul):
            one.fp32_precision = "none"
    BACKENDS.cudnn.allow_tf32 = True
    BACKENDS.cudnn.benchmark = False
    if SUMS:
        BACKENDS.cuda.matmul.allow_fp16_accumulation = False


def read(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except (RuntimeError, AttributeError) as error:
        return type(error)


def settings() -> dict[str, Any]:
    matmul, cudnn, mkldnn = BACKENDS.cuda.matmul, BACKENDS.cudnn, BACKENDS.mkldnn
    return {
        "old": read(torch.get_float32_matmul_precision),
        "old products": read(lambda: matmul.allow_tf32),
        "old convolutions": read(lambda: cudnn.allow_tf32),
        "all": read(lambda: BACKENDS.fp32_precision),
        "products": read(lambda: matmul.fp32_precision),
        "convolutions": read(lambda: cudnn.conv.fp32_precision),
        "cpu products": read(lambda: mkldnn.matmul.fp32_precision),
        "cpu convolutions": read(lambda: mkldnn.conv.fp32_precision),
        "benchmark": cudnn.benchmark,
        "sums": read(lambda: matmul.allow_fp16_accumulation),
        "reduced": matmul.allow_fp16_reduced_precision_reduction,
    }


def compute_until(entered: threading.Event, leave: threading.Event) -> None:
    """What another thread does that computes meanwhile."""
    with full_precision({"cuda"}):
        entered.set()
        leave.wait(PATIENCE)


def is_full(found: dict[str, Any]) -> bool:
    by_operation = ("products", "convolutions", "cpu products", "cpu convolutions")
    return (
        not any(found[name] in ("tf32", "bf16") for name in by_operation)
        and found["old products"] is not True
        and found["old convolutions"] is not True
        and not found["benchmark"]
        and found["sums"] is not True
        and not found["reduced"]
    )


@pytest.mark.parametrize("host", [*HOSTS, *(NEW_HOSTS if NEWER else {})])
def test_a_card_computes_without_short_cuts_whatever_the_host_allows(host: str) -> None:
    (HOSTS | NEW_HOSTS)[host]()
    before = settings()
    assert not is_full(before)  # at the least cuDNN's convolutions, unless they were named
    with own_state("cuda:0"):
        assert is_full(settings())
        with own_state("cpu"):
            assert is_full(settings())
        assert is_full(settings())
        torch.ones(2, 2) @ torch.ones(2, 2)
    assert settings() == before


def test_on_a_cpu_the_cards_settings_are_left_alone() -> None:
    BACKENDS.cudnn.benchmark = True
    before = settings()
    with own_state("cpu"):
        assert settings() == before


def test_the_last_thread_to_leave_puts_the_settings_back() -> None:
    BACKENDS.cudnn.benchmark = True
    before = settings()
    entered, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=compute_until, args=(entered, leave))
    with full_precision({"cuda"}):
        thread.start()
        assert entered.wait(PATIENCE)
    assert is_full(settings())
    leave.set()
    thread.join(PATIENCE)
    assert settings() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_puts_the_settings_back(error: type[BaseException]) -> None:
    torch.set_float32_matmul_precision("medium")
    before = settings()
    with pytest.raises(error), full_precision({"cuda"}), full_precision({"cpu"}):
        raise error
    assert settings() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_has_the_hosts_settings_though_another_thread_computed() -> None:
    BACKENDS.cudnn.benchmark = True
    before = settings()
    entered, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=compute_until, args=(entered, leave))
    thread.start()
    assert entered.wait(PATIENCE)
    pid = os.fork()
    if pid == 0:
        right = settings() == before
        with full_precision({"cuda"}):
            right = right and is_full(settings())
        os._exit(0 if right and settings() == before else 1)
    _, status = os.waitpid(pid, 0)
    leave.set()
    thread.join(PATIENCE)
    assert os.waitstatus_to_exitcode(status) == 0
    assert settings() == before
