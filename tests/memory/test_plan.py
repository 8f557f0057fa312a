"""Choosing how a run holds its memory: what is given up first, and what is promised."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from mematte_plugin import BudgetError, SettingError
from mematte_plugin.memory.law import peak, phases
from mematte_plugin.memory.plan import (
    KNOBS,
    Plan,
    choose,
    fastest,
    least_budget,
)
from mematte_plugin.memory.request import plan_memory, request_for
from mematte_plugin.memory.workload import Workload
from mematte_plugin.network.config import VARIANTS

from .processes import run_python

MIB = 2**20
UNROUTED = replace(VARIANTS["small"], routed=False, global_rel_pos=True)
WORKLOADS = [
    Workload(1080, 1920, VARIANTS["tiny"]),
    Workload(4320, 7680, VARIANTS["tiny"], depth=2, unknown=0.5),
    Workload(2160, 3840, VARIANTS["small"], max_tokens=8000),
    Workload(300, 5000, VARIANTS["base"], itemsize=2, backend="cuda"),
    Workload(4320, 7680, VARIANTS["small"], itemsize=2, backend="cuda"),
    Workload(1000, 1500, VARIANTS["base"], backend="mps"),
    Workload(1024, 1024, UNROUTED),
    Workload(20, 30, VARIANTS["small"]),
]


def budgets(work: Workload, least: int) -> list[int]:
    """From the least possible to more than can be used."""
    most = 2 * peak(work, fastest(work))
    return [int(least * (most / least) ** (i / 12)) for i in range(13)] if most > least else [least]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("work", WORKLOADS)
def test_nothing_goes_over_its_budget_and_more_memory_never_means_smaller_chunks(
    work: Workload, fused: bool
) -> None:
    least = least_budget(work, fused=fused)
    found = []
    for budget in budgets(work, least):
        chosen, chunking, _, lost = choose(work, budget, fused=fused)
        assert chosen == work
        assert lost == ()
        assert max(phases(chosen, chunking).values()) <= budget
        assert chunking.fused == fused
        found.append(chunking)
    for less, more in pairwise(found):
        assert less.host_features or not more.host_features
        for knob in {knob for knobs in KNOBS.values() for knob in knobs}:
            small, large = getattr(less, knob), getattr(more, knob)
            assert large is None or (small is not None and small <= large), knob


@pytest.mark.parametrize("work", WORKLOADS)
@pytest.mark.parametrize(
    ("half", "capped"), [(None, False), ("bfloat16", False), (None, True), ("bfloat16", True)]
)
def test_the_least_budget_that_is_named_works_and_less_does_not(
    work: Workload, half: str | None, capped: bool
) -> None:
    least = least_budget(work, half=half is not None, capped=capped)
    chosen, chunking, _, _ = choose(work, least, half=half, capped=capped)
    assert peak(chosen, chunking) <= least
    with pytest.raises(SettingError, match="too small") as caught:
        choose(work, int(0.99 * least), half=half, capped=capped)
    assert "at least" in str(caught.value)
    assert f"{work.width}×{work.height}" in str(caught.value)


@pytest.mark.parametrize(
    "work", [one for one in WORKLOADS if one.itemsize == 4 and one.config.routed]
)
def test_the_result_is_given_up_last(work: Workload) -> None:
    exact = least_budget(work)
    for budget in budgets(work, exact):
        assert choose(work, budget, half="bfloat16", capped=True)[3] == ()
    in_half = least_budget(work, half=True)
    if in_half < exact:  # precision before tokens
        chosen, _, steps, lost = choose(work, in_half, half="bfloat16", capped=True)
        assert chosen.itemsize == 2
        assert chosen.max_tokens == work.max_tokens
        assert any("bfloat16" in step for step in steps)
        assert len(lost) == 1
    capped = least_budget(work, capped=True)
    if capped < exact:
        chosen, _, steps, lost = choose(work, exact - 1, capped=True)
        assert chosen.itemsize == 4
        assert chosen.max_tokens is not None
        assert chosen.max_tokens < work.most_kept
        assert "retention capped" in steps
        assert str(chosen.max_tokens) in lost[0]


def test_as_many_tokens_are_kept_as_fit() -> None:
    work = WORKLOADS[1]  # whose attention binds
    exact, capped = least_budget(work), least_budget(work, capped=True)
    assert capped < exact
    kept = [
        choose(work, budget, capped=True)[0].most_kept
        for budget in range(capped, exact, (exact - capped) // 5 + 1)
    ]
    assert kept == sorted(kept)
    assert kept[0] >= 16
    assert len(set(kept)) > 3


def test_features_wait_in_the_hosts_memory_where_a_card_is_too_small() -> None:
    work = Workload(4320, 7680, VARIANTS["base"], itemsize=4, backend="cuda")
    _, chunking, steps, lost = choose(work, least_budget(work))
    if chunking.host_features:
        assert any("host" in step for step in steps)
    assert lost == ()
    # Beside the pictures of a CPU there is no other memory to put them.
    on_cpu = replace(work, backend="cpu")
    assert not choose(on_cpu, least_budget(on_cpu))[1].host_features


def test_a_printed_plan_says_what_matters() -> None:
    free = plan_memory((4320, 7680), "small", "20GB", "cpu")
    least = least_budget(Workload(4320, 7680, VARIANTS["small"]), half=True, capped=True)
    tight = plan_memory((4320, 7680), "small", int(1.02 * least), "cpu")
    for plan in (free, tight):
        text = str(plan)
        for fact in ("7680×4320", "129600 tokens", "mematte small", "cpu", plan.dtype, "given"):
            assert fact in text
        assert plan.predicted_peak <= plan.budget
        assert plan.predicted_peak == plan.phases[plan.worst]
    assert free.exact
    assert free.steps == ()
    assert "nothing: the result is exact" in str(free)
    assert "20.0 GB" in str(free)
    assert not tight.exact
    assert all(loss in str(tight) for loss in tight.lost)
    assert "measured" not in str(free)
    assert "measured peak   123 MB" in str(replace(free, measured_peak=123_000_000))


@pytest.mark.parametrize("device", ["xpu", "xpu:1", "privateuseone:0"])
def test_other_gpus_are_planned_for_without_a_fused_kernel(device: str) -> None:
    for size, budget in (((1080, 1920), "1GB"), ((4320, 7680), "6GB")):
        plan = plan_memory(size, "small", budget, device, torch.float16)
        assert plan.predicted_peak <= plan.budget
        assert not plan.chunking.fused
        # Metal is the one of that kind whose law has been looked at.
        on_mps = plan_memory(size, "small", budget, "mps", "float16")
        assert plan == replace(on_mps, device=device)
    request = request_for((4320, 7680), "small", device, "float16")
    again = request.step_down(plan, "out of memory")
    assert again.predicted_peak < plan.predicted_peak
    with pytest.raises(BudgetError, match="at least"):
        plan_memory((4320, 7680), "small", "1MB", device)
    with pytest.raises(SettingError, match=device):  # nobody knows what is free there
        plan_memory((1080, 1920), "small", None, device)


@pytest.mark.parametrize("device", ["toaster", "meta", "cuda:x", ""])
def test_no_plans_for_what_is_no_device(device: str) -> None:
    with pytest.raises(SettingError, match="not available"):
        plan_memory((1080, 1920), "small", "1GB", device)


def test_plans_are_json_ready() -> None:
    import json

    plan: Plan = plan_memory((1080, 1920), "tiny", "1GB", "cpu")
    found = json.loads(json.dumps(plan.to_dict()))
    assert found["predicted_peak"] == plan.predicted_peak
    assert found["exact"] is True


def test_planning_needs_no_torch() -> None:
    found = run_python(
        "import sys\n"
        "from mematte_plugin.memory.request import plan_memory\n"
        "plan = plan_memory((4320, 7680), 'mematte-tiny', '2GB', 'cuda')\n"
        "assert not plan.lost, plan\n"
        "print('torch' in sys.modules)\n"
    )
    assert found.strip() == "False"
