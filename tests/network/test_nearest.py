"""The search for the nearest known cell, against looking at every pair."""

import math

import pytest
import torch

from mematte_plugin.network import nearest
from mematte_plugin.network.nearest import nearest_known


@pytest.mark.parametrize("share", [0.002, 0.05, 0.6])
def test_the_nearest_cell_is_found(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    known = torch.rand(3, 23, 31, generator=torch.Generator().manual_seed(1)) < share
    known[2, 5, 30] = True
    cells = torch.stack(torch.meshgrid(torch.arange(23), torch.arange(31), indexing="ij"), -1).view(
        -1, 2
    )
    index, distance = nearest_known(known)
    for b in range(3):
        there = known[b].flatten()
        if not there.any():
            assert distance[b].isinf().all()
            continue
        pairs = torch.cdist(cells.double(), cells[there].double())
        assert torch.allclose(distance[b].flatten().double(), pairs.amin(1), atol=1e-5)
        found = cells[index[b].flatten()]
        assert known[b].flatten()[index[b].flatten()].all()
        reached = (found - cells).double().pow(2).sum(1).sqrt()
        assert torch.allclose(reached, pairs.amin(1), atol=1e-9)
    monkeypatch.setattr(nearest, "_AT_ONCE", 31 * 31 * 3 * 2)  # two rows at a time
    assert torch.equal(nearest_known(known)[1], distance)


def test_a_grid_without_known_cells() -> None:
    known = torch.zeros(2, 4, 5, dtype=torch.bool)
    known[1, 0, 0] = True
    index, distance = nearest_known(known)
    assert distance[0].isinf().all()
    assert (index[0] == 0).all()
    assert distance[1, 3, 4] == math.sqrt(3**2 + 4**2)
