"""Starting from earlier weights, and from a plain vision transformer under any of its names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mematte_plugin.errors import WeightsError
from mematte_plugin.network import MEMatte, NetworkConfig
from mematte_plugin.training import start
from mematte_plugin.training.start import start_backbone, start_from
from mematte_plugin.weights.load import load_network
from mematte_plugin.weights.save import save_network
from tests.networks import SMALL, random_input, random_network

NEAREST = ("fr", "fg", "fb", "br", "bg", "bb", "line", "fd", "bd")
DIM, DEPTH = SMALL["embed_dim"], SMALL["depth"]


def plain_vit(
    depth: int = DEPTH, dim: int = DIM, grid: int = 4, extra: int = 1
) -> dict[str, Tensor]:
    """A ViT's tensors under timm's names, as DINO and DeiT have them."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, dim),
        "pos_embed": (1, extra + grid**2, dim),
        "patch_embed.proj.weight": (dim, 3, 16, 16),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "head.weight": (10, dim),
    }
    for i in range(depth):
        for name, shape in (
            ("norm1.weight", (dim,)),
            ("norm1.bias", (dim,)),
            ("attn.qkv.weight", (3 * dim, dim)),
            ("attn.qkv.bias", (3 * dim,)),
            ("attn.proj.weight", (dim, dim)),
            ("attn.proj.bias", (dim,)),
            ("norm2.weight", (dim,)),
            ("norm2.bias", (dim,)),
            ("mlp.fc1.weight", (4 * dim, dim)),
            ("mlp.fc1.bias", (4 * dim,)),
            ("mlp.fc2.weight", (dim, 4 * dim)),
            ("mlp.fc2.bias", (dim,)),
        ):
            shapes[f"blocks.{i}.{name}"] = shape
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def transformers_names(vit: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same as transformers' ViTModel names it: query, key and value apart."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in vit.items():
        for theirs, ours in (
            ("embeddings.position_embeddings", "pos_embed"),
            ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
            ("attention.output.dense", "attn.proj"),
            ("intermediate.dense", "mlp.fc1"),
            ("output.dense", "mlp.fc2"),
            ("layernorm_before", "norm1"),
            ("layernorm_after", "norm2"),
            ("encoder.layer.", "blocks."),
        ):
            name = name.replace(ours, theirs)  # noqa: PLW2901
        if ".attn.qkv." in name:
            parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            for part, value in parts:
                renamed[name.replace("attn.qkv", f"attention.attention.{part}")] = value.clone()
        else:
            renamed[name] = tensor
    return renamed


def fresh(**changes: object) -> MEMatte:
    torch.manual_seed(1)
    return MEMatte(NetworkConfig(**{**SMALL, **changes})).initialise()  # type: ignore[arg-type]


def test_every_name_of_a_plain_vit_is_understood(tmp_path: Path) -> None:
    vit = plain_vit()
    save_file(vit, tmp_path / "timm.safetensors")
    save_file(transformers_names(vit), tmp_path / "transformers.safetensors")
    torch.save({"model": vit}, tmp_path / "deit.pth")
    prefixed = {f"module.backbone.{k}": v for k, v in vit.items()}
    torch.save({"teacher": prefixed, "epoch": 3}, tmp_path / "dino.pth")
    sam = {f"image_encoder.{k}": v for k, v in vit.items()}
    sam["mask_decoder.iou_token.weight"] = torch.zeros(1, DIM)
    torch.save({"model": sam}, tmp_path / "efficient_sam.pt")
    for path in sorted(tmp_path.iterdir()):
        network = fresh()
        start_backbone(network, path)
        found = network.backbone.state_dict()
        for name, tensor in vit.items():
            if name.startswith("blocks."):
                assert torch.equal(found[name], tensor), f"{path.name}: {name}"
        assert torch.equal(found["patch_embed.proj.bias"], vit["patch_embed.proj.bias"])
        assert torch.equal(found["pos_embed"], vit["pos_embed"]), path.name


def test_channels_beyond_rgb_start_at_zero(tmp_path: Path) -> None:
    save_file(plain_vit(), tmp_path / "vit.safetensors")
    network = fresh(guidance="nearest")
    start_backbone(network, tmp_path / "vit.safetensors")
    weight = network.backbone.patch_embed.proj.weight
    assert torch.equal(weight[:, :3], plain_vit()["patch_embed.proj.weight"])
    assert weight.shape[1] == 13
    assert not weight[:, 3:].any()


def test_position_tables_are_resized_and_fewer_blocks_are_the_first_ones(tmp_path: Path) -> None:
    vit = plain_vit(depth=DEPTH + 2, grid=6, extra=2)  # DeiT's distilled form has two more tokens
    vit["pos_embed"][:, 2:] = 0.25  # bicubic resizing keeps a constant
    save_file(vit, tmp_path / "vit.safetensors")
    network = fresh()
    start_backbone(network, tmp_path / "vit.safetensors")
    table = network.backbone.pos_embed
    assert table.shape == (1, 1 + 4**2, DIM)
    assert torch.allclose(table[:, 1:], torch.tensor(0.25), atol=1e-6)
    last = f"blocks.{DEPTH - 1}.mlp.fc2.weight"
    assert torch.equal(network.backbone.state_dict()[last], vit[last])

    shallow = fresh(depth=DEPTH + 3, global_blocks=(1,))
    untouched = shallow.backbone.blocks[-1].mlp.fc1.weight.clone()
    start_backbone(shallow, tmp_path / "vit.safetensors")
    assert torch.equal(shallow.backbone.blocks[-1].mlp.fc1.weight, untouched)


def test_another_shape_or_kind_is_named(tmp_path: Path) -> None:
    save_file(plain_vit(dim=48), tmp_path / "wide.safetensors")
    with pytest.raises(WeightsError, match=r"\(48,\) instead of \(32,\).*width 32"):
        start_backbone(fresh(), tmp_path / "wide.safetensors")
    save_file({"conv1.weight": torch.zeros(2, 2)}, tmp_path / "resnet.safetensors")
    with pytest.raises(WeightsError, match="not a plain vision transformer"):
        start_backbone(fresh(), tmp_path / "resnet.safetensors")
    with pytest.raises(WeightsError, match="does not exist"):
        start_backbone(fresh(), tmp_path / "nothing.pth")


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


def test_the_model_of_the_package_is_gone_on_from() -> None:
    shipped = load_network("mematte-tiny")
    network = MEMatte(shipped.config).initialise()
    assert start_from(network, "mematte-tiny") == len(shipped.state_dict())
    image, trimap = random_input(64, 96)
    with torch.no_grad():
        assert torch.equal(network.eval()(image, trimap), shipped(image, trimap))


def test_channels_are_matched_by_name_not_by_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guidance of the future may come between channels that are there today."""
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
    wider = torch.randn(1, 18, 64, 64)  # whatever the new channels hold
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


def test_guidance_that_the_recipe_lacks_is_dropped_and_said(
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
