"""The table of common cards and sizes: the same plans that a run would make."""

from __future__ import annotations

import pytest

from mematte_plugin.cards import MEMORIES, SIZES, outlooks
from mematte_plugin.errors import SettingError
from mematte_plugin.memory.request import plan_memory
from mematte_plugin.network.config import VARIANTS


def test_every_size_with_every_memory():
    found = outlooks("mematte-tiny")
    assert [(one.device, one.memory, one.size) for one in found] == [
        (kind, amount * 2**30, size)
        for kind, amounts in MEMORIES.items()
        for amount in amounts
        for size in SIZES.values()
    ]
    for one in found:
        assert 0 < one.budget < one.memory
        assert (one.plan is None) == (one.least > one.budget)
        if one.plan is not None:
            assert one.plan.predicted_peak <= one.budget
            assert one.plan.exact == (one.short == "exact")


def test_they_are_the_plans_of_plan_memory():
    (one,) = outlooks(VARIANTS["small"], sizes=[(1000, 1500)], memories={"cuda": [4]}, unknown=0.1)
    alone = plan_memory((1000, 1500), VARIANTS["small"], one.budget, "cuda", unknown=0.1)
    assert one.plan == alone


def test_what_does_not_fit_says_what_would():
    size = (17000, 17000)
    (one,) = outlooks("base", sizes=[size], memories={"cuda": [1]})
    assert one.plan is None
    assert one.short == "too small"
    plan_memory(size, "base", one.least, "cuda")
    assert not one.to_dict()["fits"]


def test_retention_is_a_cap_and_no_loss():
    (one,) = outlooks("small", sizes=[(1024, 1024)], memories={"cpu": [4]}, retention=0.25)
    assert one.plan is not None
    assert one.plan.max_tokens == 64 * 64 // 4
    assert one.short == "exact"


def test_other_devices_and_retentions_are_refused():
    with pytest.raises(SettingError, match="'mps'"):
        outlooks(memories={"mps": [8]})
    with pytest.raises(SettingError, match="retention 7"):
        outlooks(retention=7)
