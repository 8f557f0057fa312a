"""On a GPU nothing is mixed with what is on the CPU, and little is read back: a simulated card."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mematte_plugin.memory.card_law import BRUTE_BYTES
from mematte_plugin.memory.law import phases
from mematte_plugin.memory.workload import Workload
from mematte_plugin.network import Chunking, flow, neighbours
from mematte_plugin.network.abilities import ABILITIES
from mematte_plugin.network.flow import FlowAlpha
from mematte_plugin.network.guidance import strips_of
from mematte_plugin.training import losses
from mematte_plugin.training.batches import network_input
from mematte_plugin.training.recipe import Recipe, Stage
from mematte_plugin.training.stored import Pool, packed, repeat
from tests import simulated_card
from tests.memory.live import LiveTensors
from tests.networks import random_input, random_network
from tests.simulated_card import DEVICE, Card, OnCard, moved

GUIDED: dict[str, Any] = {"guidance": "flow", "abs_pos": False, "padding": "each"}
CHUNKS = {
    "whole": Chunking(),
    "pieces": Chunking(tokens=128, patches=16, attention=2**16, tile=64),
    "host": Chunking(tile=64, host_features=True, host_picture=True),
}


def held(tensor: Tensor) -> Tensor:
    """The values of a tensor that has to be on the card."""
    assert isinstance(tensor, OnCard)
    return tensor.held


def test_the_card_catches_what_a_real_one_would() -> None:
    with Card() as card:
        there, here = torch.rand(4).to(DEVICE), torch.rand(4)
        with pytest.raises(RuntimeError, match="card and on the CPU"):
            there + here
        with pytest.raises(RuntimeError, match="card and on the CPU"):
            torch.cat([there, here])
        assert isinstance(there + torch.tensor(1.0), OnCard)
        assert not card.waits.total()
        assert torch.equal((2 * there).cpu(), 2 * there.held)
        assert bool((there >= 0).all())
        assert len((there >= 0).nonzero()) == 4
        assert card.waits == {"cpu": 1, "_local_scalar_dense": 1, "nonzero": 1}
    with pytest.raises(RuntimeError, match="not entered"):
        there + 1


def test_flow_alphas_are_made_on_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "DISTANCES", 2**18)
    monkeypatch.setattr(flow, "_CELLS_AT_A_TIME", 2**8)
    image, trimap = random_input(120, 150, batch=2)
    size = (120, 150)
    expected = FlowAlpha(strips_of(image, trimap), size, search="brute").crop(image, 0, 0)
    with Card() as card:
        there = image.to(DEVICE), trimap.to(DEVICE)
        card.waits.clear()
        found = FlowAlpha(strips_of(*there), size).crop(there[0], 0, 0)
    torch.testing.assert_close(held(found), expected, atol=1e-6, rtol=0)
    # Nothing leaves it but whether there is work to do, and how much, for each image: however many
    # chunks there are.
    assert card.waits["cpu"] == 0
    assert card.waits.total() <= 2 * (2 + 8 + 300 // 50)


def test_a_device_that_lacks_something_has_its_flow_alphas_made_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ABILITIES, "flow", ("cpu", "cuda"))
    image, trimap = random_input(80, 100)
    expected = FlowAlpha(strips_of(image, trimap), (80, 100)).crop(image, 0, 0)
    with Card():
        there = image.to(DEVICE), trimap.to(DEVICE)
        of_there = FlowAlpha(strips_of(*there), (80, 100)).crop(there[0], 0, 0)
        of_here = FlowAlpha(strips_of(image, trimap), (80, 100), device=DEVICE)
        assert torch.equal(held(of_there), expected)
        assert torch.equal(held(of_here.crop(there[0], 0, 0)), expected)


@pytest.mark.parametrize("unknown", ["only", "all"])
@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("guidance", ["none", "nearest", "flow"])
def test_predictions_on_the_card_are_those_on_the_cpu(
    guidance: str, chunks: str, unknown: str
) -> None:
    network = random_network(**{**GUIDED, "guidance": guidance})
    image, trimap = random_input(96, 130)
    expected = network.predict(image, trimap, max_tokens=12).alpha
    with Card():
        found = moved(network).predict(
            image,
            trimap,
            max_tokens=12,
            chunking=CHUNKS[chunks],
            only_unknown=unknown == "only",
        )
    difference = (held(found.alpha) if found.alpha.device == DEVICE else found.alpha) - expected
    assert difference[trimap == 0.5].abs().max() < 1e-4


def test_a_training_step_stays_on_the_card() -> None:
    crop = 96
    network = random_network(spread=1, **GUIDED).train()
    recipe = Recipe(network.config.to_dict(), (Stage(crop, 2, 1),), cells=(4,))
    image, trimap = random_input(crop, crop, batch=2)
    made = packed(network_input(recipe, 0, image, trimap), torch.rand(2, 1, crop, crop))
    torch.manual_seed(0)
    with Card() as card:
        moved(network)
        pool = Pool(2, DEVICE)
        pool.add(made.to(DEVICE))
        card.waits.clear()
        inputs, truth = repeat(pool, 2, network.config, simulated_card.Generator())
        out = network.training_pass(inputs)
        unknown = (inputs.trimap == 0.5).float()
        loss = torch.stack(
            [
                losses.unknown_l1(out.alpha, truth, unknown),
                losses.unknown_squared(out.alpha, truth, unknown),
                losses.known_l1(out.alpha, truth, unknown),
                losses.laplacian(out.alpha, truth),
                losses.gradient_penalty(out.alpha, truth, unknown),
                losses.retention(losses.kept_share(out.keep), 0.3),
                losses.routing_hint(out.margins, unknown),
                losses.distillation(out.features, out.features.detach() + 1),
            ]
        ).sum()
        loss.backward()
        assert not card.waits.total()
        value = float(loss.detach())
    assert 0 < value < 100
    silent = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not held(weight.grad).any()
    ]
    assert silent == []


@pytest.mark.slow
def test_flow_alphas_take_no_more_on_a_device_than_the_law_says() -> None:
    height, width = 400, 400
    config = random_network(**GUIDED).config
    image, trimap = random_input(height, width)
    live = LiveTensors([image, trimap])
    with live:
        FlowAlpha(strips_of(image, trimap), (height, width), search="brute")
    unknown = float((trimap == 0.5).float().mean())
    work = Workload(height, width, config, backend="cuda", unknown=unknown)
    law = phases(work, Chunking())["guidance"]
    assert 2**23 * 4 < live.peak < law
    assert live.peak > 0.6 * BRUTE_BYTES  # most of it is the distances
