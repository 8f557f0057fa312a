"""The network computes what the official code computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mematte_plugin.network import Chunking, MEMatte, NetworkConfig
from mematte_plugin.torch_state import own_state
from mematte_plugin.weights.load import load_network
from tests.parity import ROOT, difference, read_pair, tolerance

CHUNKED = Chunking(tokens=7, tile=48)


def manifest(folder: str) -> dict[str, Any]:
    return json.loads((ROOT / folder / "manifest.json").read_text())


CASES = {case["name"]: case for case in manifest("mematte")["cases"]}
SINGLE = [name for name, case in CASES.items() if len(case["inputs"]) == 1]


def mematte(device: str, router_bias_delta: float = 0.0) -> MEMatte:
    network = MEMatte(NetworkConfig(embed_dim=32, num_heads=2)).eval()
    state = load_file(ROOT / "mematte" / "model.safetensors")
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    )
    with torch.no_grad():
        for router in network.backbone.routers:
            router.out_conv[4].bias[0] += router_bias_delta
    return network.to(device)


def inputs(case: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    unknown = 0.5 if case["trimap_unknown_value"] == "0.5" else 128 / 255
    pairs = [read_pair("mematte", name, unknown) for name in case["inputs"]]
    return torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])


@pytest.mark.parametrize(
    ("name", "chunking"),
    [
        pytest.param(name, chunking, id=f"{name}-{kind}", marks=[pytest.mark.slow] * slow)
        for name in SINGLE
        for kind, chunking in (("plain", Chunking()), ("chunked", CHUNKED))
        for slow in [kind == "chunked" and name not in ("64x64", "100x150_cap20")]
    ],
)
def test_alpha_and_keep_masks_are_the_official_ones(
    name: str, chunking: Chunking, device: str
) -> None:
    case = CASES[name]
    network = mematte(device, case["router_bias_delta"])
    image, trimap = inputs(case)
    keep = np.load(ROOT / "mematte" / case["files"]["keep"])
    for decoder, file in (("exact", "alpha_whole"), ("official", "alpha")):
        with own_state(device):
            found = network.predict(
                image,
                trimap,
                max_tokens=case["max_number_token"],
                chunking=chunking,
                decoder=decoder,
            )
        assert difference(found.alpha, np.load(ROOT / "mematte" / case["files"][file])) < tolerance(
            device
        )
        for i, mask in enumerate(found.keep):
            assert (mask.cpu().numpy() == keep[f"router{i}"].astype(bool).reshape(mask.shape)).all()


def test_every_stage_is_the_official_one(device: str) -> None:
    expected = np.load(ROOT / "mematte" / "64x64.debug.npz")
    network = mematte(device)
    found: dict[str, torch.Tensor] = {}

    def recording(i: int, stream: Callable[..., None]) -> Callable[..., None]:
        def run(x: torch.Tensor, *rest: Any) -> None:
            stream(x, *rest)  # in place
            found[f"block{i:02}"] = x.clone()

        return run

    network.backbone.patch_embed.register_forward_hook(
        lambda module, args, out: found.__setitem__("patch_embed", out.clone())
    )
    for i, block in enumerate(network.backbone.blocks):
        block.stream = recording(i, block.stream)
    with own_state(device):
        prediction = network.predict(*inputs(CASES["64x64"]))
    found["last_feat"] = found["block11"].permute(0, 3, 1, 2)
    for i, margin in enumerate(prediction.margins):
        found[f"score_diff{i}"] = margin.flatten(1)
    assert set(found) == set(expected.files)
    for name, tensor in found.items():
        assert difference(tensor, expected[name]) < 1e-4, name


def test_images_of_a_batch_equal_the_images_alone(device: str) -> None:
    # The official code lets them attend to each other; the single runs are the truth.
    case = CASES["batch2_64x64"]
    with own_state(device):
        found = mematte(device).predict(*inputs(case))
    for i, name in enumerate(case["inputs"]):
        assert difference(
            found.alpha[i : i + 1], np.load(ROOT / f"mematte/{name}.alpha_whole.npy")
        ) < tolerance(device)
        alone = np.load(ROOT / f"mematte/{name}.keep.npz")
        for j, mask in enumerate(found.keep):
            assert (
                mask[i].cpu().numpy() == alone[f"router{j}"].astype(bool).reshape(mask[i].shape)
            ).all()


@pytest.mark.parametrize("chunking", [Chunking(), CHUNKED], ids=["plain", "chunked"])
@pytest.mark.parametrize("name", [case["name"] for case in manifest("vitmatte")["cases"]])
def test_vitmatte_is_the_transformers_one(name: str, chunking: Chunking, device: str) -> None:
    network = load_network(str(ROOT / "vitmatte")).to(device)
    with own_state(device):
        found = network.predict(*read_pair("vitmatte", name), chunking=chunking)
    assert found.keep == ()
    assert difference(found.alpha, np.load(ROOT / "vitmatte" / f"{name}.alpha.npy")) < tolerance(
        device
    )
