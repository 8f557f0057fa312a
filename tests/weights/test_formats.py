"""Every wrapping and layout comes to the same network; what is none is said to be none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mematte_plugin.errors import WeightsError
from mematte_plugin.network import VARIANTS, MEMatte, NetworkConfig
from mematte_plugin.weights.formats import (
    config_from_shapes,
    config_from_transformers,
    from_transformers,
)
from mematte_plugin.weights.load import load_network
from tests.parity import ROOT
from tests.weights.samples import (
    SMALL,
    UNROUTED,
    assert_same,
    random_network,
    to_transformers,
    write_transformers,
)

WRAPPINGS = {
    "bare": lambda s: s,
    "model": lambda s: {"model": s, "iteration": 5, "optimizer": {"state": {}}},
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "nested": lambda s: {"state_dict": {"model": s}},
    "module": lambda s: {"model": _prefixed(s, "module.")},
    "lightning": lambda s: {"state_dict": _prefixed(s, "model.") | {"criterion.w": torch.ones(3)}},
    "compiled": lambda s: _prefixed(s, "module._orig_mod."),
    "teacher": lambda s: {
        "model": _prefixed(
            s | {f"teacher_backbone.{k}": v for k, v in s.items()} | _pixels(), "module."
        )
    },
    "criterion": lambda s: {"model": s | {"criterion.kernel": torch.ones(1, 1, 5, 5)}},
    "pixels": lambda s: {"model": s | _pixels(255)},
}


def _prefixed(state, prefix):
    return {prefix + key: tensor for key, tensor in state.items()}


def _pixels(scale=1):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return {
        "pixel_mean": mean.view(3, 1, 1).double() * scale,
        "pixel_std": std.view(3, 1, 1).double() * scale,
    }


@pytest.fixture(scope="module")
def network() -> MEMatte:
    return random_network()


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_wrapping_of_an_official_checkpoint(wrapping, network, tmp_path):
    path = tmp_path / "MEMatte_ViTS_DIM.pth"
    torch.save(WRAPPINGS[wrapping](dict(network.state_dict())), path)
    loaded = load_network(path)
    assert_same(_without_statistics(loaded), network)
    for ours, theirs in zip(
        loaded.config.pixel_mean + loaded.config.pixel_std,
        network.config.pixel_mean + network.config.pixel_std,
        strict=True,
    ):
        assert ours == pytest.approx(theirs, abs=1e-6)


def _without_statistics(network: MEMatte) -> MEMatte:
    """With the default mean and std: those of a checkpoint are float32, the defaults are not."""
    network.config = replace(network.config, pixel_mean=SMALL.pixel_mean, pixel_std=SMALL.pixel_std)
    return network


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".bin"])
def test_old_style_pickles_and_other_suffixes(suffix, network, tmp_path):
    path = tmp_path / f"weights{suffix}"
    torch.save({"model": network.state_dict()}, path, _use_new_zipfile_serialization=False)
    assert_same(load_network(str(path)), network)


def test_half_precision_is_read_as_float32(network, tmp_path):
    half = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_file(half, tmp_path / "half.safetensors")
    loaded = load_network(tmp_path / "half.safetensors")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.equal(
        loaded.backbone.patch_embed.proj.weight, half["backbone.patch_embed.proj.weight"].float()
    )
    assert not loaded.training


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_recognised_from_shapes(name):
    with torch.device("meta"):
        state = MEMatte(VARIANTS[name]).state_dict()
    assert config_from_shapes(state, "test") == VARIANTS[name]


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(UNROUTED, padding="both", pixel_mean=SMALL.pixel_mean, pixel_std=SMALL.pixel_std),
        replace(SMALL, abs_pos=False, pos_grid=14),
        replace(SMALL, guidance="nearest", padding="each"),
        replace(SMALL, detail_chans=(4, 8), fusion_chans=(8, 4, 4)),
    ],
    ids=["routed", "unrouted", "no-positions", "guided", "shallow-decoder"],
)
def test_shapes_tell_the_whole_configuration(config):
    assert config_from_shapes(random_network(config).state_dict(), "test") == config


def test_transformers_folder(tmp_path):
    network = random_network(UNROUTED)
    folder = write_transformers(network, tmp_path / "vitmatte")
    assert_same(load_network(folder), network)
    (folder / "model.safetensors").rename(folder / "renamed.safetensors")
    torch.save(load_file(folder / "renamed.safetensors"), folder / "pytorch_model.bin")
    (folder / "renamed.safetensors").unlink()
    assert_same(load_network(folder), network)
    assert_same(load_network(folder / "pytorch_model.bin"), network)


def test_unsupported_transformers_settings_are_named():
    vit = {"num_hidden_layers": 3, "num_channels": 4, "use_relative_position_embeddings": True}
    vit |= {"window_block_indices": [0, 2], "residual_block_indices": [1], "window_size": 14}
    good = config_from_transformers({"backbone_config": vit}, {}, "config.json")
    assert good.global_blocks == (1,)
    for change, word in [
        ({"hidden_act": "relu"}, "hidden_act is relu"),
        ({"num_channels": 3}, "num_channels is 3"),
        ({"window_block_indices": [0]}, "window_block_indices"),
        ({"out_features": ["stage1"]}, "out_features"),
        ({"patch_size": 0}, "damaged"),
        ({"hidden_size": "x"}, "embed_dim is 'x'"),
        ({"hidden_size": 1e300}, "embed_dim"),
    ]:
        with pytest.raises(WeightsError, match=f"config.json.*{word}"):
            config_from_transformers({"backbone_config": vit | change}, {}, "config.json")
    with pytest.raises(WeightsError, match="pixel_std has a zero"):
        config_from_transformers({"backbone_config": vit}, {"image_std": [0, 1, 1]}, "config.json")


def test_foreign_checkpoints_are_recognised_as_such():
    for state, word in [
        ({"conv.weight": torch.ones(3)}, "no backbone.patch_embed.proj.weight"),
        ({"backbone.patch_embed.proj.weight": torch.ones(8, 3, 16, 16)}, "3 input channels"),
        ({"backbone.patch_embed.proj.weight": torch.ones(8)}, "not a MEMatte"),
    ]:
        with pytest.raises(WeightsError, match=word):
            config_from_shapes(state, "some.pth")


def test_reference_mematte():
    source = ROOT / "mematte" / "model.safetensors"
    raw = {k: v.float() if v.is_floating_point() else v for k, v in load_file(source).items()}
    direct = load_network(source)
    assert direct.config == NetworkConfig(embed_dim=32, num_heads=2)
    for key, tensor in direct.state_dict().items():
        assert torch.equal(tensor, raw[key]), key


def test_reference_vitmatte_repository():
    network = load_network(ROOT / "vitmatte")
    raw = load_file(ROOT / "vitmatte" / "model.safetensors")
    assert network.config.pixel_mean == (0.5, 0.5, 0.5)
    assert not network.config.routed
    assert len(raw) == len(network.state_dict())
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, raw[to_transformers(key)]), key


@pytest.mark.parametrize("listing", ["keys_mematte_s.txt", "keys_hf_vitmatte_s.txt"])
def test_full_size_key_lists(listing):
    lines = [line.split("\t") for line in (ROOT / listing).read_text().splitlines() if line]
    expected = {
        columns[-2]: tuple(int(n) for n in columns[-1].strip("()").split(",") if n.strip())
        for columns in lines
    }
    state = {key: torch.empty(shape, device="meta") for key, shape in expected.items()}
    config = config_from_shapes(state, listing)
    with torch.device("meta"):
        network = MEMatte(config)
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == expected
    if len(lines[0]) == 3:
        assert all(from_transformers(theirs) == ours for theirs, ours, _ in lines)
