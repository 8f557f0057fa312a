"""Where a real ComfyUI finds models: extra folders, and downloads from a Hub on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from mematte_plugin.weights.save import save_network
from tests import networks
from tests.comfyui.graphs import Sketch, kept
from tests.comfyui.pictures import photo, trimap
from tests.comfyui.server import (
    HERE,
    REPOSITORY,
    Checkout,
    Run,
    Server,
    prepare,
    running,
    skip_without_checkout,
)
from tests.patience import PATIENCE
from tests.weights import hub_server
from tests.weights.samples import UNROUTED, random_network, write_transformers

pytestmark = pytest.mark.comfyui
skip_without_checkout()

NAME = "vitmatte-small-composition-1k"
LARGE = replace(UNROUTED, embed_dim=512, num_heads=8)  # 40 MB


@dataclass
class World:
    """A ComfyUI whose Hub is on this machine, and which has one more folder of models."""

    server: Server
    hub: hub_server.Hub
    weights: bytes
    """model.safetensors of NAME on the Hub."""
    elsewhere: Path
    """The folder that extra_model_paths.yaml names."""

    @property
    def downloaded(self) -> list[Path]:
        """Every file that looks like the whole weights, wherever it may have been put."""
        return [
            path
            for folder in (self.server.base, self.elsewhere)
            for path in folder.rglob("*")
            if path.suffix in {".safetensors", ".bin", ".pth"} and path.stat().st_size > 1e6
        ]


@pytest.fixture(scope="module")
def world(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    tmp = tmp_path_factory.mktemp("hub")
    folder = write_transformers(random_network(LARGE), tmp / "vitmatte")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    save_network(random_network(), tmp / "elsewhere" / "matting" / "kept-elsewhere")
    extra = tmp / "extra.yaml"
    extra.write_text(f"somewhere:\n  base_path: {tmp / 'elsewhere'}\n  mematte: matting\n")
    base = prepare(tmp / "comfyui", [REPOSITORY, HERE / "pack"])
    save_network(random_network(), base / "models" / "mematte" / "kept-here")
    with hub_server.Server() as hub:
        hub.repos = {f"hustvl/{NAME}": files}
        environment = {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(base / "hub"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        flags = ["--extra-model-paths-config", str(extra)]
        with running(checkout, base, flags=flags, environment=environment) as server:
            yield World(server, hub, files["model.safetensors"], tmp / "elsewhere" / "matting")


def cut_with(sketch: Sketch, model: str) -> tuple[str, Path]:
    """The loader's id, and where the alpha will be."""
    loader = sketch.model(model)
    node = sketch.add(
        "MEMatteMatting",
        model=loader,
        image=sketch.image(photo(64, 64)),
        trimap=sketch.mask(trimap(64, 64)),
    )
    return loader.id, sketch.keep(alpha=node[0], report=node[3])


@pytest.mark.parametrize("model", ["kept-here", "kept-elsewhere"])
def test_both_folders_are_offered(world: World, sketch: Sketch, model: str) -> None:
    spec = world.server.object_info()["MEMatteLoadModel"]["input"]["required"]["model"]
    assert model in (spec[0] if isinstance(spec[0], list) else spec[1]["options"])
    _, path = cut_with(sketch, model)
    assert world.server.run(sketch.graph).error is None
    assert kept(path)["alpha"].shape == (1, 64, 64)


def test_cancelling_a_download_leaves_no_model_behind(world: World, sketch: Sketch) -> None:
    server = world.server
    world.hub.pace = 8e6
    loader, _ = cut_with(sketch, NAME)
    with server.listening() as log:
        prompt = server.submit(sketch.graph)
        log.until("progress", node=loader)
        server.interrupt()
        run = Run(sketch.graph, server.wait(prompt, timeout=PATIENCE))
    world.hub.pace = float("inf")
    assert "execution_interrupted" in run.messages
    assert run.messages["execution_interrupted"]["node_id"] == loader
    assert not world.downloaded
    assert server.run(other(sketch).graph).error is None


def other(sketch: Sketch) -> Sketch:
    """A graph with the built-in model."""
    fresh = Sketch(sketch.folder)
    cut_with(fresh, "mematte-tiny")
    return fresh


def test_download_with_progress_then_never_again(world: World, sketch: Sketch) -> None:
    server = world.server
    loader, path = cut_with(sketch, NAME)
    with server.listening() as log:
        run = server.run(sketch.graph)
        log.until("executing", node=None)
    assert run.error is None
    assert "non-commercial" in kept(path)["report"]
    bar = [m for m in log.of("progress") if m["node"] == loader]
    assert bar[-1]["value"] == bar[-1]["max"] == len(world.weights)
    assert [len(p.read_bytes()) for p in world.downloaded] == [len(world.weights)]
    assert digest(world.downloaded[0].read_bytes()) == digest(world.weights)
    asked = len(world.hub.requests)
    server.free()
    again = server.run(sketch.graph)
    assert again.error is None
    assert len(world.hub.requests) == asked


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_repository_that_is_gone(world: World, sketch: Sketch) -> None:
    loader, _ = cut_with(sketch, "vitmatte-base-distinctions-646")
    error = world.server.run(sketch.graph).error
    assert error is not None
    assert error["node_id"] == loader
    assert "does not exist or is private" in error["exception_message"]
    assert "Traceback" not in error["exception_message"]
    assert world.server.run(other(sketch).graph).error is None


def test_offline_says_which_file_goes_where(server: Server, sketch: Sketch) -> None:
    loader, _ = cut_with(sketch, "vitmatte-base-composition-1k")
    error = server.run(sketch.graph).error
    assert error is not None
    assert error["node_id"] == loader
    message = error["exception_message"]
    assert "HF_HUB_OFFLINE" in message
    assert "/hustvl/vitmatte-base-composition-1k/resolve/main/model.safetensors" in message
    assert str(server.base / "models" / "mematte" / "vitmatte-base-composition-1k") in message


def test_a_model_that_was_replaced_is_read_again(server: Server, sketch: Sketch) -> None:
    folder = server.base / "models" / "mematte" / "replaced"
    loader, path = cut_with(sketch, "replaced")
    alphas = []
    for seed in range(2):
        save_network(networks.random_network(seed), folder)
        run = server.run(sketch.graph)
        assert run.error is None
        assert loader not in run.cached
        alphas.append(kept(path)["alpha"])
    assert not torch.equal(*alphas)
    assert loader in server.run(sketch.graph).cached


def test_half_precision_between_nodes(checkout: Checkout, tmp_path: Path, sketch: Sketch) -> None:
    if "--fp16-intermediates" not in (checkout.path / "comfy" / "cli_args.py").read_text():
        pytest.skip("this ComfyUI has no --fp16-intermediates")
    base = prepare(tmp_path / "comfyui", [REPOSITORY, HERE / "pack"])
    node = sketch.add(
        "MEMatteMaskToAlpha",
        image=sketch.image(photo(96, 128)),
        mask=sketch.mask((trimap(96, 128) > 0.4).float()),
    )
    over = sketch.add("MEMatteComposite", foreground=node[1], alpha=node[0], color="teal")
    preview = sketch.add("PreviewImage", images=over)
    path = sketch.keep(alpha=node[0], cutout=node[2], image=over)
    with running(checkout, base, flags=["--fp16-intermediates"]) as server:
        run = server.run(sketch.graph)
    assert run.error is None
    assert run.outputs[preview.id]["images"]
    assert {str(v.dtype) for v in kept(path).values()} == {"torch.float16"}
    assert float(kept(path)["alpha"].max()) == 1
