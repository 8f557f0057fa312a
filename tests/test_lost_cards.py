"""Cards that stop working, are nearly full, or are not there: one clear error, or less memory.

No card is needed: the errors come, in torch's words, from inside a real run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mematte_plugin import (
    MattingPipeline,
    MEMatteError,
    MEMatteWarning,
    SettingError,
    engine,
    plan_memory,
)
from mematte_plugin.cli.shell import run
from mematte_plugin.memory import free as devices, request as planning
from mematte_plugin.memory.exhaustion import is_lost, is_out_of_memory, release
from mematte_plugin.memory.free import ran_out
from mematte_plugin.memory.limits import Limit
from mematte_plugin.network import encoder, pieces

from .networks import random_network

LOST = [
    "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: the launch timed out and was terminated",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: unknown error",
    "CUDA error: device-side assert triggered",
    "HIP error: unspecified launch failure",
    "level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)",
]
VAGUE = [
    "GET was unable to find an engine to execute this computation",
    "FIND was unable to find an engine to execute this computation",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
]
GB = 10**9


def failing(message: str) -> Callable[..., Any]:
    """A function that raises; its `calls` are counted."""

    def fail(*_: Any, **__: Any) -> Any:
        fail.calls += 1  # type: ignore[attr-defined]
        raise RuntimeError(message)

    fail.calls = 0  # type: ignore[attr-defined]
    return fail


@pytest.fixture(scope="module")
def pipe() -> MattingPipeline:
    return MattingPipeline(random_network(), device="cpu")


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    trimap = np.full((64, 96), 128, np.uint8)
    trimap[:16], trimap[-16:] = 0, 255
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8), trimap


@pytest.mark.parametrize("text", LOST)
def test_a_lost_card_is_no_lack_of_memory(text: str) -> None:
    assert is_lost(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError(text))
    assert not is_lost(ValueError(text))


@pytest.mark.parametrize(
    "text", ["CUDA error: out of memory", "mat1 and mat2 must have the same dtype", *VAGUE]
)
def test_what_is_no_lost_card(text: str) -> None:
    assert not is_lost(RuntimeError(text))


@pytest.mark.parametrize("where", [(encoder, "add_mlp"), (pieces.Pieces, "__call__")])
@pytest.mark.parametrize("text", LOST[:2])
def test_a_card_that_vanishes_is_named_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
    pipe: MattingPipeline,
    pair: tuple[np.ndarray, np.ndarray],
    where: tuple[Any, str],
    text: str,
) -> None:
    fail = failing(text)
    monkeypatch.setattr(*where, fail)
    with pytest.raises(MEMatteError, match=r"(?s)'cpu' has stopped working .* start the program"):
        pipe(*pair)
    assert fail.calls == 1  # type: ignore[attr-defined]


def test_on_the_command_line_it_is_one_line_and_no_file(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    for array, name in zip(pair, ("photo.png", "trimap.png"), strict=True):
        Image.fromarray(array).save(tmp_path / name)
    monkeypatch.setattr(MattingPipeline, "_warm_up", lambda self: None)  # cards have none
    monkeypatch.setattr(encoder, "add_mlp", failing(LOST[0]))
    files = [str(tmp_path / name) for name in ("photo.png", "trimap.png", "cut.png")]
    assert run(["cut", *files[:2], "-o", files[2], "--device", "cpu"]) == 1
    told = capsys.readouterr().err
    assert "photo.png" in told
    assert "start the program again" in " ".join(told.split())
    assert "Traceback" not in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png", "trimap.png"]


@pytest.mark.parametrize("text", VAGUE)
@pytest.mark.parametrize(("free", "short"), [(100 * 2**20, True), (GB, True), (6 * GB, False)])
def test_no_engine_is_a_lack_of_memory_on_a_full_card_only(
    monkeypatch: pytest.MonkeyPatch, text: str, free: int, short: bool
) -> None:
    total = 12 * GB
    monkeypatch.setattr(devices, "free_memory", lambda _: Limit(free, total, "CUDA"))
    assert ran_out(RuntimeError(text), "cuda:0") is short
    assert not ran_out(RuntimeError(text), "cpu")
    assert not ran_out(ValueError(text), "cuda:0")
    assert ran_out(RuntimeError("CUDA error: out of memory"), "cuda:0")


def test_no_engine_on_a_card_that_does_not_answer_is_no_lack_of_memory() -> None:
    if torch.cuda.is_available():
        pytest.skip("the card answers")
    assert not ran_out(RuntimeError(VAGUE[0]), "cuda:0")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("cuda:77", "cpu"),
        ("cuda0", "cpu"),
        ("gpu", "calls them cuda"),
        ("GPU:0", "calls them cuda"),
        ("rocm", "AMD's cards cuda"),
        ("directml", "nothing here runs"),
        ("", "auto"),
    ],
)
def test_a_device_that_does_not_exist_is_named_with_what_to_use(name: str, remedy: str) -> None:
    for use in (
        lambda: MattingPipeline(random_network(), device=name),
        lambda: plan_memory((512, 512), device=name),
    ):
        with pytest.raises(SettingError, match=r"use auto.* or cpu") as caught:
            use()
        assert repr(name) in str(caught.value)
        assert remedy in str(caught.value)


def test_auto_passes_over_a_card_that_does_not_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("the card computes")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.warns(MEMatteWarning, match="cuda does not compute"):
        pipe = MattingPipeline(random_network(), device="auto")
    assert pipe.device.type == "cpu"
    assert pipe.dtype == "float32"


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_what_is_planned_is_what_runs_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
    pipe: MattingPipeline,
    pair: tuple[np.ndarray, np.ndarray],
    threads: int,
) -> None:
    for module in (devices, engine):
        monkeypatch.setattr(module, "cpu_count", lambda: 16)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ran = pipe(*pair, memory_budget="1GB").plan
        unknown = float((pair[1] == 128).mean())
        planned = plan_memory(pair[1].shape, pipe.network, "1GB", "cpu", unknown=unknown)
    finally:
        torch.set_num_threads(before)
    assert planned.chunking == ran.chunking
    assert planned.phases == ran.phases


def test_kernels_that_the_host_program_has_forbidden_are_used_as_planned(
    monkeypatch: pytest.MonkeyPatch, pipe: MattingPipeline, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    seen = []

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(torch.backends.cuda.flash_sdp_enabled())
        return route(*args, **kwargs)

    route = encoder.route
    monkeypatch.setattr(encoder, "route", watched)
    torch.backends.cuda.enable_flash_sdp(False)
    try:
        pipe(*pair)
        assert not torch.backends.cuda.flash_sdp_enabled()  # the host's again
    finally:
        torch.backends.cuda.enable_flash_sdp(True)
    assert seen
    assert all(seen)


@pytest.mark.parametrize("there", [True, False])
def test_a_card_that_is_there_is_asked_for_its_kernels(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(there))
    monkeypatch.setattr(planning, "fused_attention", lambda *_: False)  # an old card
    found = plan_memory((512, 512), random_network(), "1GB", "cuda")
    assert found.chunking.fused is not there


def test_a_lost_card_has_nothing_to_give_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", failing(LOST[0]))
    release("cuda:0")  # what can go on without the card does so
    monkeypatch.setattr(torch.cuda, "empty_cache", failing("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        release("cuda:0")
