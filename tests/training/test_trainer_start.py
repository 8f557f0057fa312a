"""Starting from another network's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mematte_plugin.errors import WeightsError
from mematte_plugin.network import MEMatte, NetworkConfig
from mematte_plugin.training import start
from mematte_plugin.training.start import start_from
from mematte_plugin.weights.load import load_network
from mematte_plugin.weights.save import save_network
from tests.networks import SMALL, random_input, random_network

NEAREST = ("fr", "fg", "fb", "br", "bg", "bb", "line", "fd", "bd")


def fresh(**changes: object) -> MEMatte:
    torch.manual_seed(1)
    return MEMatte(NetworkConfig(**{**SMALL, **changes})).initialise()  # type: ignore[arg-type]


def test_a_dense_networks_weights_start_a_routed_one(tmp_path: Path) -> None:
    dense = random_network(routed=False, guidance="nearest")
    save_network(dense, tmp_path / "dense")
    student = fresh(guidance="nearest")
    before = student.backbone.routers[0].out_conv[0].weight.clone()
    assert start_from(student, tmp_path / "dense") == len(dense.state_dict())
    assert torch.equal(
        student.backbone.blocks[1].attn.qkv.weight, dense.backbone.blocks[1].attn.qkv.weight
    )
    assert torch.equal(student.backbone.routers[0].out_conv[0].weight, before)


def test_more_guidance_changes_nothing_at_first(tmp_path: Path) -> None:
    plain = random_network(routed=False)
    save_network(plain, tmp_path / "plain")
    guided = fresh(routed=False, guidance="nearest")
    start_from(guided, tmp_path / "plain")
    image, trimap = random_input(64, 64)
    with torch.no_grad():
        assert torch.allclose(guided.eval()(image, trimap), plain(image, trimap), atol=1e-5)


def test_starting_from_the_built_in_model_keeps_its_matte() -> None:
    shipped = load_network("mematte-tiny")
    network = MEMatte(shipped.config).initialise()
    assert start_from(network, "mematte-tiny") == len(shipped.state_dict())
    image, trimap = random_input(64, 96)
    with torch.no_grad():
        assert torch.equal(network.eval()(image, trimap), shipped(image, trimap))


def test_channels_are_matched_by_name_not_by_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Future guidance may come between today's channels."""
    old = random_network(routed=False, guidance="nearest")
    save_network(old, tmp_path / "old")
    names = {
        "nearest": ("red", "green", "blue", "trimap", *NEAREST),
        "flow": (
            *("new", "red", "green", "blue", "trimap", *NEAREST[:6], "newer", *NEAREST[6:]),
            *("newest", "last", "least"),
        ),
    }
    monkeypatch.setattr(start, "input_channels", lambda config: names[config.guidance])
    network = fresh(routed=False, guidance="flow")
    start_from(network, tmp_path / "old")
    pixels = torch.randn(1, 13, 64, 64)
    places = [names["flow"].index(name) for name in names["nearest"]]
    wider = torch.randn(1, 18, 64, 64)  # the new channels do not matter
    wider[:, places] = pixels
    with torch.no_grad():
        for layer in (
            "backbone.patch_embed.proj",
            "decoder.convstream.convs.0.conv",
        ):
            before, after = old.get_submodule(layer)(pixels), network.get_submodule(layer)(wider)
            assert torch.allclose(before, after, atol=1e-5), layer
        features = torch.randn(1, 12, 32, 32)
        before = old.decoder.fusion_blks[3](features, pixels)
        after = network.eval().decoder.fusion_blks[3](features, wider)
        assert torch.allclose(before, after, atol=1e-5)


def test_guidance_that_the_recipe_lacks_is_dropped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guided = random_network(routed=False, guidance="nearest")
    save_network(guided, tmp_path / "guided")
    plain = fresh(routed=False)
    assert start_from(plain, tmp_path / "guided") == len(guided.state_dict())
    weight = plain.backbone.patch_embed.proj.weight
    assert torch.equal(weight, guided.backbone.patch_embed.proj.weight[:, :4])
    assert "fore_red" in caplog.text


def test_a_network_that_corrects_starts_with_what_it_corrects(tmp_path: Path) -> None:
    save_network(random_network(routed=False, guidance="nearest"), tmp_path / "nearest")
    network = fresh(routed=False, guidance="flow")
    image, trimap = random_input(64, 64)
    with torch.no_grad():
        before = network.eval()(image, trimap)
        start_from(network, tmp_path / "nearest")
        assert torch.equal(network(image, trimap), before)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    save_network(random_network(embed_dim=64), tmp_path / "other")
    with pytest.raises(WeightsError, match="embed_dim is 64"):
        start_from(fresh(), tmp_path / "other")
