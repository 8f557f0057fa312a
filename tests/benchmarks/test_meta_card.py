"""The simulated card counts what a real one would hold and do."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch.nn import functional as F

from benchmarks.meta_card import BLOCK, DEVICE, MetaCard
from benchmarks.simulated_card import Case, run, simulated_card


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
    stages = set(run(Case("small", 256, 256)).launches)
    assert stages == {
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
    guided = run(Case("tiny", 256, 256))
    assert guided.launches["guidance"] > guided.launches["windows"]
    simulated_card(quick=True, network="small", minutes=0.001, out=tmp_path / "card.json")
    rows = json.loads((tmp_path / "card.json").read_text())
    assert rows[0]["case"]["network"] == "small"
    assert "| small | 512×512 |" in (tmp_path / "card.md").read_text()
