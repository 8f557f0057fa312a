"""Running out of memory: the run steps down, says so, and gives the same alpha, or one clear error.

Memory runs out as in an allocator: by an error from inside the computation.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mematte_plugin import MattingPipeline, MEMatteError, SettingError
from mematte_plugin.errors import BudgetError
from mematte_plugin.memory import law as model
from mematte_plugin.memory.plan import least_budget
from mematte_plugin.memory.request import Request
from mematte_plugin.memory.workload import Workload
from mematte_plugin.network import VARIANTS, MEMatte, encoder, pieces, streaming
from mematte_plugin.network.encoder import PatchEmbed
from mematte_plugin.network.guidance import NearestColours

from .memory.live import NO_MEMORY, LiveTensors
from .networks import random_network
from .parity import tolerance

SIZE = 320
STAGES: dict[str, tuple[Any, str]] = {
    "guidance": (NearestColours, "__init__"),
    "embedding": (PatchEmbed, "forward"),
    "router": (encoder, "route"),
    "windows": (encoder, "add_windows"),
    "attention": (streaming, "attend_kept"),
    "MLP": (encoder, "add_mlp"),
    "folding": (pieces.Pieces, "__init__"),
    "decoder": (pieces.Pieces, "__call__"),
}
"""Functions in which memory runs out, by stage: (owner, name)."""

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture(autouse=True)
def _no_workspace(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    # It would be most of what such small networks need, leaving little to step down to.
    monkeypatch.setitem(model.WORKSPACE, device.partition(":")[0], 0)
    for name in ("SMALL_HEAP", "SMALL_HEAP_CHANNEL"):
        monkeypatch.setattr(model, name, 0)


@pytest.fixture(scope="module")
def pipe(device: str) -> MattingPipeline:
    network = random_network(guidance="nearest")
    return MattingPipeline(network, device=device, dtype="float32")


@pytest.fixture(scope="module")
def pair() -> Pair:
    return subject(SIZE, SIZE)


def subject(height: int, width: int, *, seed: int = 0) -> Pair:
    """Noise (H, W, 3) and a trimap (H, W) of an ellipse with an uncertain edge, both uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    far = np.hypot(x, y)
    trimap = np.where(far < 0.5, 255, np.where(far < 0.8, 128, 0)).astype(np.uint8)
    return rng.integers(0, 256, (height, width, 3), np.uint8), trimap


@pytest.fixture(scope="module")
def undisturbed(pipe: MattingPipeline, pair: Pair) -> NDArray[np.float32]:
    return pipe(*pair).alpha


class _Failing:
    """Patches one function so that `times` calls fail, after some that do not."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        stage: str,
        times: int,
        error: Callable[[], BaseException] = lambda: RuntimeError(NO_MEMORY),
        *,
        after: int = 0,
    ) -> None:
        owner, name = STAGES[stage]
        real = getattr(owner, name)
        self.left = times

        self.spared = after

        def run(*args: Any, **kwargs: Any) -> Any:
            if self.spared:
                self.spared -= 1
            elif self.left:
                self.left -= 1
                raise error()
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, run)


# ---- stepping down -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "times"), [*((stage, 1) for stage in STAGES), ("windows", 3), ("decoder", 3)]
)
def test_any_stage_may_run_out_of_memory(
    *,
    stage: str,
    times: int,
    pipe: MattingPipeline,
    pair: Pair,
    undisturbed: NDArray[np.float32],
    device: str,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        failing = _Failing(patch, stage, times)
        matte = pipe(*pair)
    assert failing.left == 0
    assert matte.plan.lost == ()
    assert np.abs(matte.alpha - undisturbed).max() < tolerance(device)
    notes = [step for step in matte.plan.steps if step.startswith("out of memory")]
    assert len(notes) == times
    assert "can't allocate memory" in notes[0]


def test_a_run_copes_with_memory_that_is_really_short(
    pipe: MattingPipeline, pair: Pair, undisturbed: NDArray[np.float32], device: str
) -> None:
    free = LiveTensors()
    with free:
        pipe(*pair)
    with LiveTensors(room=0.55 * free.peak) as limited:
        matte = pipe(*pair)
    assert limited.peak > limited.room  # it did run out
    assert any(step.startswith("out of memory") for step in matte.plan.steps)
    assert matte.plan.lost == ()
    assert np.abs(matte.alpha - undisturbed).max() < tolerance(device)


def test_exact_ways_are_tried_before_lossy_ones(pair: Pair) -> None:
    work = Workload(4320, 7680, VARIANTS["tiny"], unknown=0.5)  # whose attention binds
    request = Request(work, "cpu", "float32", half="bfloat16")
    seen = [request.plan(1 << 40)]

    def go_down() -> None:
        while True:
            seen.append(request.step_down(seen[-1], "why"))

    with pytest.raises(MEMatteError, match="even in the smallest chunks") as caught:
        go_down()
    assert "7680×4320" in str(caught.value)
    assert all(plan.budget == seen[0].budget for plan in seen)
    peaks = [plan.predicted_peak for plan in seen]
    assert peaks == sorted(set(peaks), reverse=True)
    exact = [plan.exact for plan in seen]
    assert exact == sorted(exact, reverse=True)
    assert not exact[-1]
    assert sum(exact) >= 2
    assert min(plan.predicted_peak for plan in seen if plan.exact) == least_budget(work)


# ---- giving up -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["embedding", "decoder"])
def test_a_run_that_never_fits_ends_in_one_error_with_the_plan(
    stage: str, pipe: MattingPipeline, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Failing(monkeypatch, stage, 1000)
    with pytest.raises(MEMatteError, match="out of memory") as caught:
        pipe(*pair)
    text = str(caught.value)
    assert f"{SIZE}×{SIZE}" in text
    assert "predicted peak" in text
    assert "other programs" in text
    assert text.count("reduced") == 1


def test_nothing_is_written_where_the_command_gives_up(
    tmp_path: Path,
    pair: Pair,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from PIL import Image

    from mematte_plugin.cli.shell import run
    from mematte_plugin.weights.save import save_network

    network = save_network(random_network(guidance="nearest"), tmp_path / "model")
    Image.fromarray(pair[0]).save(tmp_path / "photo.png")
    Image.fromarray(pair[1]).save(tmp_path / "trimap.png")
    _Failing(monkeypatch, "decoder", 1000, after=1)  # a new pipeline warms up
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments = ["cut", str(tmp_path / "photo.png"), str(tmp_path / "trimap.png")]
    arguments += ["--model", str(network), "--device", "cpu", "-o", str(tmp_path / "out.png")]
    assert run(arguments) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    message = capsys.readouterr().err
    assert "out of memory" in message
    assert "predicted peak" in message
    assert "Traceback" not in message


def test_a_device_without_room_for_the_weights_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> MEMatte:
        raise RuntimeError(NO_MEMORY)

    monkeypatch.setattr(MEMatte, "copied", refuse)
    with pytest.raises(SettingError, match="'cpu' has no room for the weights"):
        MattingPipeline(random_network(), device="cpu", dtype="bfloat16")


def test_a_pipeline_that_cannot_even_warm_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _Failing(monkeypatch, "embedding", 1)
    with pytest.raises(MEMatteError, match="out of memory even"):
        MattingPipeline(random_network(), device="cpu")


# ---- other errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("cannot pin 'torch.FloatTensor' only dense CPU tensors can be pinned memory"),
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
        RuntimeError("Unsupported memory format. Supports only ChannelsLast"),
        ValueError("out of memory"),
        OSError(errno.ENOSPC, "No space left on device"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_pass_through_unchanged(
    error: BaseException, pipe: MattingPipeline, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = _Failing(monkeypatch, "decoder", 1, lambda: error)
    with pytest.raises(type(error)) as caught:
        pipe(*pair)
    assert caught.value is error
    assert failing.left == 0


class Stopped(Exception):
    """As hosts raise it, not derived from KeyboardInterrupt."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Stopped])
def test_an_interrupt_during_a_second_attempt_passes_through(
    kind: type[BaseException], pipe: MattingPipeline, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = _Failing(monkeypatch, "router", 1)

    def stop(done: int, total: int, stage: str) -> None:
        if failing.left == 0 and stage == "decoder":
            raise kind

    with pytest.raises(kind):
        pipe(*pair, progress=stop)


def test_a_pipeline_works_again_after_giving_up(
    pipe: MattingPipeline, pair: Pair, undisturbed: NDArray[np.float32]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _Failing(patch, "embedding", 1000)
        with pytest.raises(MEMatteError):
            pipe(*pair)
    matte = pipe(*pair)
    assert np.array_equal(matte.alpha, undisturbed)
    assert matte.plan.steps == ()


# ---- budgets -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_random_budgets_and_sizes_give_the_same_alpha_or_name_the_least_budget(
    device: str,
) -> None:
    network = random_network(guidance="flow")
    pipe = MattingPipeline(network, device=device, dtype="float32")
    rng = np.random.default_rng(3)
    refused = 0
    for case in range(12):
        area, aspect = np.exp(rng.uniform(np.log(2e3), np.log(3e5))), np.exp(rng.uniform(-1.5, 1.5))
        height, width = (max(1, round((area * a) ** 0.5)) for a in (aspect, 1 / aspect))
        pair = subject(height, width, seed=case)
        whole = pipe(*pair)
        budget = int(np.exp(rng.uniform(np.log(2e6), np.log(1e8))))
        try:
            found = pipe(*pair, memory_budget=budget)
        except BudgetError as error:
            refused += 1
            found = pipe(*pair, memory_budget=error.least)
            budget = error.least
        assert found.plan is None or found.plan.predicted_peak <= budget
        if found.plan is None or found.plan.exact:
            assert np.abs(found.alpha - whole.alpha).max() < tolerance(device), (
                height,
                width,
                budget,
            )
    assert refused < 9
