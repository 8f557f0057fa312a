"""The benchmark of soft masks: its masks, its errors, its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.results import Record, Store
from benchmarks.soft_masks import KINDS, as_markdown, whole_errors


@pytest.mark.parametrize("kind", KINDS)
def test_each_mask_is_near_the_alpha_and_not_the_alpha(kind: str) -> None:
    y, x = np.mgrid[:300, :400]
    alpha = ((100 - np.hypot(x - 200, y - 150)) / 6).clip(0, 1).astype(np.float32)
    mask = KINDS[kind](alpha)
    assert 0 <= mask.min() <= mask.max() <= 1
    assert mask.mean() == pytest.approx(alpha.mean(), rel=0.05)
    assert mask.shape != alpha.shape or (mask != alpha).any()


def test_errors_count_the_whole_picture() -> None:
    truth = np.zeros((10, 100), np.float32)
    alpha = truth.copy()
    alpha[0] = 0.5
    assert whole_errors(alpha, truth) == pytest.approx([0.05, 25])


def test_the_table_has_means_and_says_how_often_both_are_best(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.json", {"processor": "a"}, {})
    for picture, soft in (("1", [1.0, 2.0]), ("2", [3.0, 9.0])):
        run = {"seconds": 1.0, "peak": 0, "mask": [4.0, 8.0], "band": [5.0, 5.0], "soft": soft}
        store.put(Record({"picture": picture, "mask": "512 px"}, runs=[run]))
    assert "| 512 px | 4.00 / 8.00 | 5.00 / 5.00 | 2.00 / 5.50 | 1 of 2 |" in as_markdown(store)
