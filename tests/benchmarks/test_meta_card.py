"""The simulated card counts what a real one would hold and do."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional as F

from benchmarks.meta_card import BLOCK, DEVICE, MetaCard
from benchmarks.results import Record, Store
from benchmarks.simulated_card import as_markdown, measure


def test_the_card_counts_what_lives_on_it_and_nothing_twice() -> None:
    weight = torch.zeros(64, 64, device=DEVICE)
    with MetaCard([weight], kept=5, unknown=0.5) as card:
        a = torch.zeros(32, 64).to(DEVICE)
        assert card.now == 32 * 64 * 4
        b = F.linear(a, weight)  # by way of a view of the weight, which does not count
        assert card.now == 2 * 32 * 64 * 4
        assert b[:3].view(-1).numel() == 192
        del a, b
        assert card.now == 0
        one = torch.zeros(1, device=DEVICE)
        assert card.now == BLOCK
        assert len((one.expand(20) > 0).nonzero()) == 5
        one.cpu()
    assert card.peak == 2 * 32 * 64 * 4
    assert card.trips == {"to the card": 1, "nonzero": 1, "to the host": 1}


def test_only_maths_holds_the_logits() -> None:
    peaks = {}
    for fused in (True, False):
        qkv = torch.zeros(3, 1, 2, 256, 16, device=DEVICE)
        with MetaCard([qkv], kept=0, unknown=0, fused=fused) as card:
            F.scaled_dot_product_attention(*qkv)
        peaks[fused] = card.peak
    logits = 2 * 256 * 256 * 4
    assert peaks[True] < logits < peaks[False]


def test_a_case_runs_through_every_stage_and_the_table_names_it(tmp_path: Path) -> None:
    case = {"network": "small", "width": 256, "height": 256}
    found = measure(**case)
    assert set(found["launches"]) == {
        *(
            "picture",
            "embedding",
            "windows",
            "routing",
            "attention",
            "refinement",
            "mlp",
            "residual",
            "decoder",
        )
    }
    guided = measure("tiny", 128, 128)["launches"]
    assert guided["guidance"] > guided["windows"]
    store = Store(tmp_path / "card.json", {"torch": "2.13.0"}, {})
    store.put(Record(case, [found]))
    assert "| small | 256×256 | float16 | free |" in as_markdown(store)
