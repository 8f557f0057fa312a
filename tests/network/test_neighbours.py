"""Neighbours are the nearest ones, and weights rebuild what they can."""

from __future__ import annotations

import pytest
import torch

from mematte_plugin.network import neighbours
from mematte_plugin.network.neighbours import Neighbours, Search, rebuilding_weights, without_itself

KINDS: tuple[Search, ...] = ("tree", "brute")


def points(count: int, dimensions: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, dimensions, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("search", KINDS)
def test_the_nearest_come_first_whatever_is_searched_at_a_time(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_QUERIES", 7)
    monkeypatch.setattr(neighbours, "DISTANCES", 900)
    known, asked = points(200), points(50, seed=1)
    ticks: list[None] = []
    found = Neighbours(known, search).of(asked, 6, lambda: ticks.append(None))
    expected = torch.cdist(asked.double(), known.double()).topk(6, largest=False).indices
    assert found.dtype == torch.int32
    assert torch.equal(found.long(), expected)
    assert len(ticks) >= 8


@pytest.mark.parametrize("search", KINDS)
@pytest.mark.parametrize(("count", "queries"), [(1, 3), (3, 1), (3, 0)])
def test_of_few_points_all_are_found(search: Search, count: int, queries: int) -> None:
    known = points(count)
    found = Neighbours(known, search).of(points(queries, seed=1), 6)
    assert found.shape == (queries, count)
    assert found.sort(1).values.tolist() == [list(range(count))] * queries


@pytest.mark.parametrize("search", KINDS)
def test_close_points_are_told_apart(search: Search) -> None:
    # Neighbouring cells of one colour, far from the origin: a matrix product would round this off.
    known = torch.full((100, 5), 0.9)
    known[:, 3] = 0.6 + torch.arange(100) * 0.05 / 400
    found = Neighbours(known, search).of(known, 2)
    assert torch.equal(found[:, 0], torch.arange(100, dtype=torch.int32))
    assert ((found[:, 1] - found[:, 0]).abs() == 1).all()


@pytest.mark.parametrize("search", KINDS)
def test_what_lies_across_in_memory_is_found_alike(search: Search) -> None:
    across = points(80).t().contiguous().t()
    assert not across.is_contiguous()
    expected = Neighbours(points(80), search).of(points(80), 4)
    assert torch.equal(Neighbours(across, search).of(across, 4), expected)


def test_brute_force_leaves_out_points_evenly_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "MOST_POINTS", 10)
    known = torch.arange(25.0)[:, None]
    found = Neighbours(known, "brute").of(torch.tensor([[0.0], [11.6], [24.0]]), 2)
    assert found.tolist() == [[0, 3], [12, 9], [24, 21]]


def test_a_point_is_not_its_own_neighbour() -> None:
    found = torch.tensor([[4, 1, 2], [0, 1, 2], [5, 6, 7]], dtype=torch.int32)
    own = torch.tensor([4, 1, 9], dtype=torch.int32)
    assert without_itself(found, own).tolist() == [[1, 2], [0, 2], [5, 6]]
    assert without_itself(found[:, :1], own).shape == (3, 0)


def test_weights_rebuild_a_point_and_sum_to_one() -> None:
    others, shares = points(7)[None], torch.tensor([0.3, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1])
    point = shares @ others[0]
    weights = rebuilding_weights(others - point, 1e-3)
    torch.testing.assert_close(weights.sum(1), torch.ones(1))
    torch.testing.assert_close(weights[0] @ others[0], point, atol=1e-3, rtol=0)


def test_neighbours_of_one_colour_weigh_the_same() -> None:
    weights = rebuilding_weights(torch.zeros(2, 5, 3), 1e-3)
    torch.testing.assert_close(weights, torch.full((2, 5), 0.2))
    weights = rebuilding_weights(torch.full((1, 4, 3), 0.25), 1e-3)
    torch.testing.assert_close(weights, torch.full((1, 4), 0.25))


def test_weights_are_not_rounded_where_matrix_products_are() -> None:
    differences = 0.1 * points(60, 5).view(6, 10, 5)
    expected = rebuilding_weights(differences, 1e-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rebuilding_weights(differences, 1e-3), expected)
