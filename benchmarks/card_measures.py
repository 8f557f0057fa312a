"""What `card.py` measures itself, called in a worker: parity, ComfyUI's flags, training steps."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from mematte_plugin import MattingPipeline, SettingError, load_network
from mematte_plugin.network import VARIANTS, Chunking, MEMatte, NetworkConfig
from mematte_plugin.torch_state import own_state
from tests.parity import ROOT, read_pair

from .scenes import make_scene

PRECISIONS = ("float32", "float16", "bfloat16")
WAYS: dict[str, tuple[str, Chunking]] = {
    # decoder, chunking
    "whole": ("exact", Chunking()),
    "chunked": ("exact", Chunking(tokens=7, tile=48)),
    "host features": ("exact", Chunking(tile=48, host_features=True)),
    "official decoder": ("official", Chunking()),
    "official decoder, host features": ("official", Chunking(host_features=True)),
}

Alphas = tuple[torch.Tensor, NDArray[Any], list[NDArray[Any]], list[NDArray[Any]]]
"""The alpha that was found and the expected one, then the keep masks of both."""


def parity(device: str, precision: str, way: str, *, quick: bool) -> dict[str, Any]:
    """How far alphas differ from the expected ones.

    way: a key of `WAYS` for the official code's fixtures; "pipeline" for the bundled model with its
        guidance, against the CPU in float32.
    quick: only the smallest fixtures.

    Returns: "largest" (None where a value is not finite) and "mean" difference; "changed" of
    "decisions" to keep a token.
    """
    begin = time.perf_counter()
    if way == "pipeline":
        found = [_pipeline(device, precision, 128 if quick else 1024)]
    else:
        found = list(_fixtures(torch.device(device), getattr(torch, precision), way, quick=quick))
    differences = [np.abs(mine.float().cpu().numpy() - other) for mine, other, _, _ in found]
    largest = max(float(one.max()) for one in differences)
    pairs = [pair for _, _, ours, theirs in found for pair in zip(ours, theirs, strict=True)]
    return {
        "seconds": time.perf_counter() - begin,
        "largest": largest if np.isfinite(largest) else None,
        "mean": float(np.concatenate([one.ravel() for one in differences]).mean()),
        "changed": sum(int((mine != other).sum()) for mine, other in pairs),
        "decisions": sum(other.size for _, other in pairs),
    }


def _pipeline(device: str, precision: str, side: int) -> Alphas:
    scene = make_scene(side, side, 0.25)
    mine, other = (
        MattingPipeline.from_pretrained("mematte-tiny", device=where, dtype=dtype)(
            scene.image, scene.trimap
        )
        for where, dtype in ((device, precision), ("cpu", "float32"))
    )
    return torch.from_numpy(mine.alpha), other.alpha, mine.routing, other.routing


def _fixtures(
    device: torch.device, dtype: torch.dtype, way: str, *, quick: bool
) -> Iterator[Alphas]:
    decoder, chunking = WAYS[way]
    state = load_file(ROOT / "mematte" / "model.safetensors")
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    cases = [case for case in _cases("mematte") if len(case["inputs"]) == 1]
    for case in cases[:2] if quick else cases:
        network = MEMatte(NetworkConfig(embed_dim=32, num_heads=2)).eval()
        network.load_state_dict(state)
        with torch.no_grad():
            for router in network.backbone.routers:
                router.out_conv[4].bias[0] += case["router_bias_delta"]
        unknown = 0.5 if case["trimap_unknown_value"] == "0.5" else 128 / 255
        with own_state(device, inference=False):
            found = network.copied(device, dtype).predict(
                *read_pair("mematte", case["inputs"][0], unknown),
                chunking=chunking,
                decoder=decoder,
                max_tokens=case["max_number_token"],
            )
        file = case["files"]["alpha" if decoder == "official" else "alpha_whole"]
        keep = np.load(ROOT / "mematte" / case["files"]["keep"])
        masks = [mask.cpu().numpy() for mask in found.keep]
        theirs = [
            keep[f"router{i}"].astype(bool).reshape(mask.shape) for i, mask in enumerate(masks)
        ]
        yield found.alpha, np.load(ROOT / "mematte" / file), masks, theirs
    for case in _cases("vitmatte")[: 1 if quick else None] if decoder == "exact" else ():
        with own_state(device, inference=False):
            network = load_network(str(ROOT / "vitmatte")).copied(device, dtype)
            found = network.predict(*read_pair("vitmatte", case["name"]), chunking=chunking)
        yield found.alpha, np.load(ROOT / "vitmatte" / f"{case['name']}.alpha.npy"), [], []


def _cases(name: str) -> list[dict[str, Any]]:
    return list(json.loads((ROOT / name / "manifest.json").read_text())["cases"])


def comfyui(device: str, flags: Sequence[str], side: int) -> dict[str, Any]:
    """A real server with these flags mattes a picture; its alpha against the pipeline's on the CPU.

    Raises SettingError without a checkout of ComfyUI in COMFYUI_PATH.
    """
    from tests.comfyui.graphs import Sketch, kept
    from tests.comfyui.pictures import photo, trimap
    from tests.comfyui.server import HERE, REPOSITORY, checkouts, prepare, running

    found = checkouts()
    if not found:
        raise SettingError("COMFYUI_PATH is not set")
    with tempfile.TemporaryDirectory() as folder:
        base = prepare(Path(folder, "base"), [REPOSITORY, HERE / "pack"])
        sketch = Sketch(Path(folder))
        image, guide = photo(side, side), trimap(side, side)
        node = sketch.add(
            "MEMatteMatting",
            model=sketch.model("mematte-tiny", "float32"),
            image=sketch.image(image),
            trimap=sketch.mask(guide),
        )
        out = sketch.keep(alpha=node[0])
        environment = {"HF_HOME": str(base / "hub"), "HF_HUB_OFFLINE": "1"}
        with running(
            found[0], base, flags=flags, environment=environment, cpu=device == "cpu"
        ) as server:
            ran = server.run(sketch.graph)
        if ran.status != "success":
            raise RuntimeError(str((ran.error or {}).get("exception_message", ran.status)))
        alpha = kept(out)["alpha"][0].float().numpy()
    pipe = MattingPipeline.from_pretrained("mematte-tiny", device="cpu", dtype="float32")
    expected = pipe(image[0].numpy(), guide[0].numpy()).alpha
    return {"seconds": ran.seconds, "difference": float(np.abs(alpha - expected).max())}


def training(device: str, *, quick: bool) -> dict[str, Any]:
    """Training: seconds a step, peak, and whether an interrupted run goes on."""
    from mematte_plugin.memory.meter import PeakMeter
    from mematte_plugin.training.recipe import Recipe, Stage
    from mematte_plugin.training.run_options import RunOptions
    from mematte_plugin.training.trainer import Trainer
    from tests.networks import SMALL
    from tests.training.trainer_bank import small_bank

    shape = SMALL if quick else asdict(VARIANTS["tiny"])
    network = {k: list(v) if isinstance(v, tuple) else v for k, v in shape.items()}
    network |= {"guidance": "flow", "abs_pos": False, "padding": "each"}
    crop, batch, count = (64, 2, 2) if quick else (448, 8, 5)
    stage = Stage(crop, batch, 2 * count + 2)
    recipe = Recipe(network=network, stages=(stage,), pool=8, warmup=2)
    with tempfile.TemporaryDirectory() as folder:
        bank = small_bank(Path(folder, "bank"), count=4, side=160)

        def trainer() -> Trainer:
            options = RunOptions(preview_every=0)
            run = Path(folder, "run")
            return Trainer(recipe, bank, run, device=device, workers=0, options=options)

        first = trainer()
        first.run(until=2)
        with PeakMeter(device) as meter:
            begin = time.perf_counter()
            first.run(until=2 + count)
            seconds = (time.perf_counter() - begin) / count
        del first
        again = trainer()
        at, end = again.step, again.run().step
    return {
        "seconds": seconds,
        "peak": meter.peak,
        "resumed": at == 2 + count and end == 2 * count + 2,
    }
