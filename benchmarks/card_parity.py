"""What a device computes against what the official code computed: the fixtures of the tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from mematte_plugin import MattingPipeline, load_network
from mematte_plugin.network import Chunking, MEMatte, NetworkConfig
from mematte_plugin.torch_state import own_state
from tests.parity import ROOT, read_pair

PRECISIONS = ("float32", "float16", "bfloat16")
QUICK = ("64x64", "64x64_tri0.5")
WAYS: dict[str, tuple[str, Chunking]] = {
    # decoder, chunking
    "whole": ("exact", Chunking()),
    "chunked": ("exact", Chunking(tokens=7, tile=48)),
    "host features": ("exact", Chunking(tile=48, host_features=True)),
    "official decoder": ("official", Chunking()),
    "official decoder, host features": ("official", Chunking(host_features=True)),
}


@dataclass
class Gap:
    """How far the alphas of some fixtures lie from the official ones."""

    largest: float = 0.0
    total: float = 0.0
    pixels: int = 0
    changed: int = 0
    decisions: int = 0
    finite: bool = True

    def add(self, found: torch.Tensor, expected: np.ndarray) -> None:
        """One alpha."""
        values = found.detach().float().cpu().numpy()
        if not np.isfinite(values).all():
            self.finite = False
            return
        apart = np.abs(values - expected)
        self.largest = max(self.largest, float(apart.max()))
        self.total += float(apart.sum())
        self.pixels += apart.size

    def values(self) -> dict[str, Any]:
        """For a table; None where a value is not finite, which JSON has no word for."""
        return {
            "largest": self.largest if self.finite else None,
            "mean": self.total / max(1, self.pixels),
            "changed": self.changed,
            "decisions": self.decisions,
        }


def fixtures_gap(device: torch.device, precision: str, way: str, *, quick: bool) -> Gap:
    """All fixtures of MEMatte and ViTMatte, one way, on a device.

    quick: only the smallest.
    """
    decoder, chunking = WAYS[way]
    dtype = getattr(torch, precision)
    gap = Gap()
    state = load_file(ROOT / "mematte" / "model.safetensors")
    cases = json.loads((ROOT / "mematte" / "manifest.json").read_text())["cases"]
    for case in cases:
        if len(case["inputs"]) > 1 or (quick and case["name"] not in QUICK):
            continue
        network = MEMatte(NetworkConfig(embed_dim=32, num_heads=2)).eval()
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
        with torch.no_grad():
            for router in network.backbone.routers:
                router.out_conv[4].bias[0] += case["router_bias_delta"]
        unknown = 0.5 if case["trimap_unknown_value"] == "0.5" else 128 / 255
        pair = read_pair("mematte", case["inputs"][0], unknown)
        options = {"chunking": chunking, "decoder": decoder, "max_tokens": case["max_number_token"]}
        found = _predict(network, pair, device, dtype, **options)
        file = case["files"]["alpha" if decoder == "official" else "alpha_whole"]
        gap.add(found.alpha, np.load(ROOT / "mematte" / file))
        keep = np.load(ROOT / "mematte" / case["files"]["keep"])
        for i, mask in enumerate(found.keep):
            expected = keep[f"router{i}"].astype(bool).reshape(mask.shape)
            gap.changed += int((mask.cpu().numpy() != expected).sum())
            gap.decisions += expected.size
    if decoder == "exact":
        for case in json.loads((ROOT / "vitmatte" / "manifest.json").read_text())["cases"]:
            pair = read_pair("vitmatte", case["name"])
            network = load_network(str(ROOT / "vitmatte"))
            found = _predict(network, pair, device, dtype, chunking=chunking)
            gap.add(found.alpha, np.load(ROOT / "vitmatte" / f"{case['name']}.alpha.npy"))
            if quick:
                break
    return gap


def _predict(
    network: MEMatte,
    pair: tuple[torch.Tensor, torch.Tensor],
    device: torch.device,
    dtype: torch.dtype,
    **options: Any,
) -> Any:
    with own_state(device, inference=False):
        return network.copied(device, dtype).predict(*pair, **options)


def pipeline_gap(device: str, precision: str, side: int) -> Gap:
    """The bundled model with all that belongs to it, on a device against the CPU in float32."""
    from .scenes import make_scene

    scene = make_scene(side, side, 0.25)
    expected = MattingPipeline.from_pretrained("mematte-tiny", device="cpu", dtype="float32")(
        scene.image, scene.trimap
    )
    found = MattingPipeline.from_pretrained("mematte-tiny", device=device, dtype=precision)(
        scene.image, scene.trimap
    )
    gap = Gap()
    gap.add(torch.from_numpy(found.alpha), expected.alpha)
    for mine, other in zip(found.routing, expected.routing, strict=True):
        gap.changed += int((mine != other).sum())
        gap.decisions += other.size
    return gap
