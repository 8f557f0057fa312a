"""Chunks, tiles, skipping and batching never change the result."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings, strategies as st

from mematte_plugin import load_network
from mematte_plugin.errors import SettingError
from mematte_plugin.network import Chunking, MEMatte
from mematte_plugin.torch_state import own_state
from tests.networks import random_input, random_network
from tests.parity import tolerance

KINDS = {
    "mematte": random_network(),
    "guided": random_network(guidance="nearest", abs_pos=False, padding="each"),
    "flow": random_network(guidance="flow", abs_pos=False, padding="each"),
    "vitmatte": random_network(routed=False, global_rel_pos=True, rel_pos_grid=6),
}


def undecided(margin: torch.Tensor, cap: int | None) -> bool:
    """Whether rounding could flip a keep decision of this block."""
    flat = margin.flatten()
    close = bool((flat.abs() < 1e-4).any())
    if cap is not None and 0 < cap < len(flat):
        ranked = flat.sort(descending=True).values
        close = close or bool(ranked[cap - 1] - ranked[cap] < 1e-4 and ranked[cap - 1] > 0)
    return close


@settings(max_examples=12)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    height=st.integers(1, 350),
    width=st.integers(1, 450),
    cap=st.none() | st.integers(0, 400),
    tokens=st.integers(1, 800),
    pieces=st.integers(1, 5),
    patches=st.integers(1, 300),
    attention=st.none() | st.integers(1, 2**18),
    fused=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_chunked_and_tiled_equals_plain(
    *,
    kind: str,
    height: int,
    width: int,
    cap: int | None,
    tokens: int,
    pieces: int,
    patches: int,
    attention: int | None,
    fused: bool,
    seed: int,
    device: str,
) -> None:
    network = KINDS[kind].to(device)
    image, trimap = random_input(height, width, seed=seed)
    tile = 16 * math.ceil(max(height, width) / pieces / 16)
    with own_state(device):
        plain = network.predict(image, trimap, max_tokens=cap)
        chunking = Chunking(
            tokens=tokens, patches=patches, attention=attention, fused=fused, tile=tile
        )
        pieces = network.predict(image, trimap, max_tokens=cap, chunking=chunking)
        skipping = network.predict(
            image, trimap, max_tokens=cap, chunking=Chunking(tile=tile), only_unknown=True
        )
    assert plain.alpha.shape == (1, 1, height, width)
    assume(not any(undecided(margin, cap) for margin in plain.margins))
    for a, b in zip(plain.keep, pieces.keep, strict=True):
        assert torch.equal(a, b)
        assert cap is None or a.sum() <= cap
    assert (plain.alpha - pieces.alpha).abs().max() < tolerance(device)
    if cap is None:  # the network as it is trained, in one piece and without a stream
        assert (
            network(image.to(device), trimap.to(device)).detach().cpu() - plain.alpha
        ).abs().max() < tolerance(device)
    unknown = (trimap > 0) & (trimap < 1)
    expected = torch.where(unknown, plain.alpha, trimap)
    assert (expected - skipping.alpha).abs().max() < tolerance(device)
    assert torch.equal(skipping.alpha[~unknown], trimap[~unknown])


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("cap", [None, 9])
def test_images_of_a_batch_do_not_influence_each_other(
    kind: str, cap: int | None, device: str
) -> None:
    network = KINDS[kind].to(device)
    image, trimap = random_input(100, 130, batch=3, seed=5)
    with own_state(device):
        together = network.predict(image, trimap, max_tokens=cap)
        for i in range(3):
            alone = network.predict(image[i : i + 1], trimap[i : i + 1], max_tokens=cap)
            assert (together.alpha[i] - alone.alpha[0]).abs().max() < tolerance(device)
            for a, b in zip(together.keep, alone.keep, strict=True):
                assert torch.equal(a[i], b[0])


def test_a_cap_keeps_the_tokens_with_the_largest_score_difference(device: str) -> None:
    network = KINDS["mematte"].to(device)
    image, trimap = random_input(160, 160, seed=3)
    with own_state(device):
        free = network.predict(image, trimap)
        capped = network.predict(image, trimap, max_tokens=10)
    margin = free.margins[0].flatten()
    expected = set(margin.topk(10).indices.tolist())
    assert int(free.keep[0].sum()) > 10
    assert set(capped.keep[0].flatten().nonzero()[:, 0].tolist()) == expected


def test_retention_changes_the_result(device: str) -> None:
    # Guards the tests above against a network that ignores what was routed.
    network = KINDS["mematte"].to(device)
    image, trimap = random_input(160, 160, seed=3)
    with own_state(device):
        free = network.predict(image, trimap).alpha
        none = network.predict(image, trimap, max_tokens=0).alpha
    assert (free - none).abs().max() > 1e-3


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"tile": 8}, {"tile": 50}])
def test_impossible_chunks_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingError, match="give"):
        Chunking(**wrong)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(dtype: torch.dtype) -> None:
    image, trimap = random_input(96, 128, seed=1)
    full = random_network(guidance="nearest")
    half = random_network(guidance="nearest").to(dtype)
    with torch.inference_mode():
        a = full.predict(image, trimap, max_tokens=0).alpha
        b = half.predict(image, trimap, max_tokens=0).alpha
    assert b.dtype == torch.float32
    assert (a - b).abs().mean() < 0.05


@pytest.mark.parametrize("weights", ["float32", "half"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_built_in_network_takes_pictures_in_half_precision(
    dtype: torch.dtype, weights: str
) -> None:
    image, trimap = random_input(96, 128, seed=1)
    full = load_network("mematte-tiny")
    network = load_network("mematte-tiny").cast(dtype) if weights == "half" else full
    expected = full(image, trimap)
    found = network(image.to(dtype), trimap.to(dtype))
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.02
    # And where gradients are recorded.
    learning = network.training_step(image.to(dtype), trimap.to(dtype)).alpha
    assert learning.requires_grad
    assert (learning.detach() - found).abs().mean() < 0.02


@pytest.mark.parametrize("guidance", ["none", "nearest", "flow"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_guidance_takes_pictures_in_half_precision(dtype: torch.dtype, guidance: str) -> None:
    image, trimap = random_input(96, 128, seed=1)
    network = random_network(guidance=guidance, abs_pos=False, padding="each")
    rounded = image.to(dtype)
    expected = network(rounded.float(), trimap)
    assert torch.equal(network(rounded, trimap.to(dtype)), expected)
    half = network.cast(dtype)(rounded, trimap.to(dtype))
    assert half.dtype == torch.float32
    assert half.isfinite().all()


def test_calling_a_network_streams_whatever_torch_records_and_trains_in_training() -> None:
    image, trimap = random_input(96, 128, seed=1)
    network = random_network()
    expected = network.predict(image, trimap).alpha
    found = network(image, trimap)
    assert not found.requires_grad
    assert torch.equal(found, expected)
    assert network.train()(image, trimap).requires_grad


def test_training_pass_carries_gradients_to_every_part() -> None:
    # Router scores near zero, so that sampling keeps some tokens in every block.
    network: MEMatte = random_network(spread=1).train()
    out = network.training_step(*random_input(96, 96, batch=2))
    assert out.alpha.shape == (2, 1, 96, 96)
    assert all(set(keep.unique().tolist()) <= {0.0, 1.0} for keep in out.keep)
    (out.alpha.mean() + sum(keep.mean() for keep in out.keep)).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("learn", [True, False])
def test_the_mattes_gradient_reaches_the_routers_only_if_wanted(learn: bool) -> None:
    network = random_network(spread=1).train()
    out = network.training_step(*random_input(96, 96, batch=2), decisions_learn=learn)
    out.alpha.mean().backward()
    reached = [
        p.grad is not None and bool(p.grad.any()) for p in network.backbone.routers.parameters()
    ]
    assert all(reached) if learn else not any(reached)
