"""Which precision "auto" is, what it falls back to, and whose weights are touched for it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mematte_plugin import MattingPipeline, MEMatteError, MEMatteWarning, plan_memory
from mematte_plugin.memory import request as planning
from mematte_plugin.memory.free import halves
from mematte_plugin.memory.request import Request
from mematte_plugin.network import MEMatte

from .networks import random_input, random_network

HEIGHT, WIDTH = 96, 128
WIDE: dict[str, Any] = {"fusion_chans": (96, 64, 48, 32)}
"""A decoder for which the precision counts."""


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    image, trimap = random_input(HEIGHT, WIDTH)
    return (image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8), trimap[0, 0].numpy()


def put_in(monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int]) -> None:
    """Torch says that this card is in the machine."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)


# ---- auto ----------------------------------------------------------------------------------------

CARDS = [
    ("NVIDIA GeForce GTX 1080", (6, 1), None, "float16"),
    ("Tesla P100-PCIE-16GB", (6, 0), None, "float16"),
    ("Tesla V100-SXM2-16GB", (7, 0), "float16", "float16"),
    ("NVIDIA GeForce GTX 1660 Ti", (7, 5), None, None),
    ("NVIDIA GeForce MX450", (7, 5), None, None),
    ("NVIDIA T1000", (7, 5), None, None),
    ("NVIDIA T400 4GB", (7, 5), None, None),
    ("Tesla T4", (7, 5), "float16", "float16"),
    ("Quadro RTX 4000", (7, 5), "float16", "float16"),
    ("NVIDIA GeForce RTX 3060", (8, 6), "float16", "float16"),
    ("NVIDIA H100 80GB HBM3", (9, 0), "float16", "float16"),
]


@pytest.mark.parametrize(("name", "capability", "first", "resort"), CARDS)
def test_auto_goes_by_what_the_card_can_do(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    capability: tuple[int, int],
    first: str | None,
    resort: str | None,
) -> None:
    put_in(monkeypatch, name, capability)
    monkeypatch.setattr(planning, "resolve_device", torch.device)  # which computes there
    monkeypatch.setattr(planning, "fused_attention", lambda *_: True)  # which does, too
    assert halves("cuda:0") == (first, resort)
    assert plan_memory((512, 512), "small", "8GB", "cuda").dtype == (first or "float32")
    assert plan_memory((512, 512), "small", "8GB", "cuda", "bfloat16").dtype == "bfloat16"
    assert plan_memory((512, 512), "small", "8GB", "cuda:1").dtype == "float16"  # is not there


def test_amds_cards_go_by_no_number_of_nvidias(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in(monkeypatch, "AMD Radeon RX 580", (6, 1))
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert halves("cuda") == ("float16", "float16")


def test_a_card_that_is_elsewhere_is_taken_for_a_good_one() -> None:
    plan = plan_memory((512, 512), "small", "8GB", "cuda")
    assert plan.dtype == "float16"
    assert not plan.exact
    assert plan.lost == ()
    assert "nothing beyond float16" in str(plan)
    full = plan_memory((512, 512), "small", "8GB", "cuda", "float32")
    assert full.exact
    assert "nothing: the result is exact" in str(full)


# ---- half precision that does not do -------------------------------------------------------------


def overflowing(weight: float) -> MEMatte:
    """A network with a weight of this size, for a channel that is always 0."""
    network = random_network(**WIDE)
    block = network.backbone.blocks[0]
    with torch.no_grad():
        block.norm1.weight[0] = block.norm1.bias[0] = 0
        block.attn.qkv.weight[:, 0] = weight
    return network


@pytest.fixture
def half_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """This CPU is good at float16, as many cards are."""
    monkeypatch.setattr(planning, "halves", lambda device: ("float16", "float16"))


@pytest.mark.usefixtures("half_first")
def test_what_is_not_finite_in_float16_is_computed_in_float32(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    network = overflowing(1e5)
    expected = MattingPipeline(network, device="cpu", dtype="float32")(*pair)
    pipe = MattingPipeline(network, device="cpu")
    assert pipe.network.dtype == torch.float16
    with pytest.warns(MEMatteWarning, match="not finite in float16: it is computed in float32"):
        found = pipe(*pair)
    np.testing.assert_array_equal(found.alpha, expected.alpha)
    assert found.plan is not None
    assert (found.plan.dtype, found.plan.exact) == ("float32", True)
    np.testing.assert_array_equal(pipe(*pair).alpha, expected.alpha)  # without another warning
    chosen = MattingPipeline(network, device="cpu", dtype="float16")
    with pytest.raises(MEMatteError, match="not finite in float16; use dtype float32"):
        chosen(*pair)


def tight_budget() -> int:
    """Bytes that are enough for half precision and not for float32."""
    request = planning.request_for((HEIGHT, WIDTH), random_network(**WIDE), "cpu", "auto")
    half = planning.least_budget(request.workload, half=True)
    full = planning.least_budget(request.workload)
    assert half < full
    return (half + full) // 2


@pytest.mark.usefixtures("half_first")
def test_float32_that_does_not_fit_is_named(pair: tuple[np.ndarray, np.ndarray]) -> None:
    pipe = MattingPipeline(overflowing(1e5), device="cpu")
    tight = tight_budget()
    match = "not finite in float16, and there is no memory for float32: memory budget of"
    with pytest.raises(MEMatteError, match=match):
        pipe(*pair, memory_budget=tight)
    assert pipe.network.dtype == torch.float16  # and is as good as before


def test_so_is_half_precision_that_was_resorted_to(pair: tuple[np.ndarray, np.ndarray]) -> None:
    tight = tight_budget()
    pipe = MattingPipeline(overflowing(3.4e38), device="cpu")  # infinite in bfloat16
    with pytest.raises(MEMatteError, match="not finite in bfloat16, and there is no memory for"):
        pipe(*pair, memory_budget=tight)
    assert np.isfinite(pipe(*pair).alpha).all()


def refusing(self: MEMatte, *args: Any, **kwargs: Any) -> Any:
    if self.dtype == torch.float16:
        raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'")
    return predict(self, *args, **kwargs)


predict = MEMatte.predict


def test_a_device_without_half_precision_computes_in_float32_or_says_so(
    pair: tuple[np.ndarray, np.ndarray],
    half_first: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = random_network()
    expected = MattingPipeline(network, device="cpu", dtype="float32")(*pair)
    pipes = [MattingPipeline(network, device="cpu", dtype=one) for one in ("auto", "float16")]
    monkeypatch.setattr(MEMatte, "predict", refusing)
    with pytest.warns(MEMatteWarning, match="does not compute in float16: it is computed in float"):
        found = pipes[0](*pair)
    np.testing.assert_array_equal(found.alpha, expected.alpha)
    with pytest.raises(MEMatteError, match="'cpu' does not compute in float16; use dtype float32"):
        pipes[1](*pair)
    with pytest.raises(MEMatteError, match="'cpu' does not compute in float16; use dtype float32"):
        MattingPipeline(network, device="cpu", dtype="float16")


# ---- whose weights -------------------------------------------------------------------------------


def test_pipelines_of_one_network_in_two_precisions_leave_each_other_alone(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    network = random_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    full = MattingPipeline(network, device="cpu", dtype="float32")
    expected = full(*pair).alpha
    half = MattingPipeline(network, device="cpu", dtype="bfloat16")
    rounded = half(*pair).alpha
    assert not np.array_equal(rounded, expected)
    np.testing.assert_array_equal(full(*pair).alpha, expected)
    np.testing.assert_array_equal(half(*pair).alpha, rounded)
    assert full.network is network
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])


def test_photographs_of_a_batch_share_one_copy_in_half_precision(
    pair: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Counter[torch.dtype] = Counter()
    copied = MEMatte.copied

    def counting(self: MEMatte, device: torch.device, dtype: torch.dtype) -> MEMatte:
        made[dtype] += 1
        return copied(self, device, dtype)

    monkeypatch.setattr(MEMatte, "copied", counting)
    tight = tight_budget()
    pipe = MattingPipeline(random_network(**WIDE), device="cpu")
    with pytest.warns(MEMatteWarning, match="computed in bfloat16"):
        mattes = pipe([pair[0]] * 3, pair[1], memory_budget=tight)
    assert {one.plan.dtype for one in mattes if one.plan is not None} == {"bfloat16"}
    assert made == {torch.bfloat16: 1}
    pipe(*pair)  # with room again, the copy goes
    with pytest.warns(MEMatteWarning, match="computed in bfloat16"):
        pipe(*pair, memory_budget=tight)
    assert made == {torch.bfloat16: 2}


def test_a_copy_that_is_there_is_not_taken_from_free_memory_twice() -> None:
    request = planning.request_for((HEIGHT, WIDTH), random_network(), "cpu", "float32")
    copied = 2**28
    with_copy = Request(request.workload, "cpu", "float32", copied=copied)
    more = with_copy.plan(None).budget - request.plan(None).budget
    assert abs(more - copied) < copied / 2  # other programs run, too


class OnMeta(TorchDispatchMode):
    """Which floats were put on the meta device, in the card's place."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[torch.dtype] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.is_meta and out.is_floating_point():
            self.seen[out.dtype] += out.numel()
        return out


def test_weights_are_cast_before_they_move() -> None:
    network = random_network()
    norms = (one for one in network.modules() if isinstance(one, torch.nn.BatchNorm2d))
    kept = sum(tensor.numel() for norm in norms for tensor in (*norm.parameters(), *norm.buffers()))
    with OnMeta() as card:
        network.copied(torch.device("meta"), torch.float16)
    assert card.seen[torch.float16] > 0
    assert card.seen[torch.float32] <= 3 * kept
