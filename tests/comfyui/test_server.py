"""The nodes in a real ComfyUI: what it knows of them, and that they compute what the core does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import mematte_plugin
from tests.comfyui.graphs import Sketch, kept
from tests.comfyui.pictures import mask, photo, trimap
from tests.comfyui.server import HERE, REPOSITORY, Checkout, Server, skip_without_checkout
from tests.patience import PATIENCE

pytestmark = pytest.mark.comfyui
skip_without_checkout()

# Saved graphs hold these names: whatever changes here breaks them. Per input: its type and whether
# it must be connected or set; widgets in the order in which graphs store their values.
NODES: dict[str, dict[str, Any]] = {
    "MEMatteLoadModel": {
        "display": "Load MEMatte Model",
        "inputs": {"model": ("COMBO", True), "precision": ("COMBO", True)},
        "defaults": {"model": "mematte-tiny", "precision": "auto"},
        "outputs": [("MEMATTE_MODEL", {"model", "mematte_model", "MEMATTE_MODEL"})],
    },
    "MEMatteTrimapFromMask": {
        "display": "Trimap from Mask",
        "inputs": {
            "mask": ("MASK", True),
            "unknown_inside": ("FLOAT", True),
            "unknown_outside": ("FLOAT", True),
            "units": ("COMBO", True),
            "keep_soft": ("BOOLEAN", True),
            "image": ("IMAGE", False),
            "soft": ("BOOLEAN", False),
        },
        "defaults": {
            "unknown_inside": 2.0,
            "unknown_outside": 4.0,
            "units": "% of subject",
            "keep_soft": True,
            "soft": True,
        },
        "outputs": [("MASK", {"trimap"}), ("IMAGE", {"preview"})],
    },
    "MEMatteMatting": {
        "display": "MEMatte Matting",
        "inputs": {
            "model": ("MEMATTE_MODEL", True),
            "image": ("IMAGE", True),
            "trimap": ("MASK", True),
            "retention": ("FLOAT", False),
            "memory_budget_gb": ("FLOAT", False),
        },
        "defaults": {"retention": 0.0, "memory_budget_gb": 0.0},
        "outputs": [
            ("MASK", {"alpha"}),
            ("IMAGE", {"foreground"}),
            ("IMAGE", {"cutout"}),
            ("STRING", {"report"}),
        ],
    },
    "MEMatteMaskToAlpha": {
        "display": "Mask to Alpha (one node)",
        "inputs": {
            "image": ("IMAGE", True),
            "mask": ("MASK", True),
            "model": ("MEMATTE_MODEL", False),
            "edge_width": ("FLOAT", False),
        },
        "defaults": {"edge_width": 4.0, "soft": True},
        "outputs": [
            ("MASK", {"alpha"}),
            ("IMAGE", {"foreground"}),
            ("IMAGE", {"cutout"}),
            ("STRING", {"report"}),
        ],
    },
    "MEMatteForeground": {
        "display": "Estimate Foreground",
        "inputs": {"image": ("IMAGE", True), "alpha": ("MASK", True)},
        "defaults": {},
        "outputs": [("IMAGE", {"foreground"}), ("IMAGE", {"cutout"})],
    },
    "MEMatteRouting": {
        "display": "MEMatte Routing Map",
        "inputs": {
            "model": ("MEMATTE_MODEL", True),
            "image": ("IMAGE", True),
            "trimap": ("MASK", True),
            "retention": ("FLOAT", False),
        },
        "defaults": {"retention": 0.0},
        "outputs": [("IMAGE", {"maps"})],
    },
    "MEMatteComposite": {
        "display": "Matte over Background",
        "inputs": {
            "foreground": ("IMAGE", True),
            "alpha": ("MASK", True),
            "color": ("STRING", True),
            "background": ("IMAGE", False),
        },
        "defaults": {"color": "white"},
        "outputs": [("IMAGE", {"image"})],
    },
}

ODD, SQUARE = (333, 517), (512, 512)
WORKFLOWS = sorted((HERE / "workflows").glob("*.json"))


@pytest.fixture(scope="session")
def expected(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The core's own results: odd size, square, from a mask, and three frames of the odd size."""
    folder = tmp_path_factory.mktemp("reference")
    frames = photo(*ODD, count=3)
    cases = [
        {"image": frames[0], "trimap": trimap(*ODD)[0]},
        {"image": photo(*SQUARE)[0], "trimap": trimap(*SQUARE)[0]},
        {"image": frames[0], "mask": mask(*ODD)[0]},
        *({"image": frame, "trimap": trimap(*ODD)[0]} for frame in frames[1:]),
    ]
    torch.save(cases, folder / "cases.pt")
    subprocess.run(
        [checkout.python, str(HERE / "reference.py"), *(folder / n for n in ("cases.pt", "is.pt"))],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
        timeout=PATIENCE,
    )
    return torch.load(folder / "is.pt")


# ---- what ComfyUI knows --------------------------------------------------------------------------


def test_the_pack_is_imported_without_a_complaint(server: Server) -> None:
    log = server.log_text().partition("Starting server")[0]
    assert "IMPORT FAILED" not in log
    assert not [line for line in log.splitlines() if "mematte" in line and "rror" in line]


def test_all_nodes_are_there_and_no_other(server: Server) -> None:
    ours = {name for name in server.object_info() if name.startswith("MEMatte")}
    assert ours == set(NODES)


@pytest.mark.parametrize("node_id", NODES)
def test_ids_types_order_and_defaults(server: Server, node_id: str) -> None:
    info, wanted = server.object_info()[node_id], NODES[node_id]
    assert info["display_name"] == wanted["display"]
    assert info["category"] == "mask/matting"
    assert info["description"]
    given = {**info["input"]["required"], **info["input"].get("optional", {})}
    kinds = {
        name: ("COMBO" if isinstance(spec[0], list) else spec[0], name in info["input"]["required"])
        for name, spec in given.items()
    }
    # What shapes the edge comes after these, and must not be needed.
    count = len(wanted["inputs"])
    assert list(kinds.items())[:count] == list(wanted["inputs"].items())
    assert not any(required for _, required in list(kinds.values())[count:])
    defaults = {n: s[1]["default"] for n, s in given.items() if "default" in (s[1:] or [{}])[0]}
    assert wanted["defaults"].items() <= defaults.items()
    assert info["output"] == [kind for kind, _ in wanted["outputs"]]
    for name, (_, names) in zip(info["output_name"], wanted["outputs"], strict=True):
        assert name in names
    assert not info["deprecated"]
    assert not info["experimental"]


def test_choices_of_the_loader(server: Server) -> None:
    required = server.object_info()["MEMatteLoadModel"]["input"]["required"]
    models = options(required["model"])
    assert models[0] == "mematte-tiny"
    assert "vitmatte-small-composition-1k" in models
    assert options(required["precision"]) == ["auto", "fp32", "fp16", "bf16"]


def options(spec: list[Any]) -> list[str]:
    """What a combo offers, in the older and in the newer form of /object_info."""
    return list(spec[0] if isinstance(spec[0], list) else spec[1]["options"])


# ---- the same numbers as the core ----------------------------------------------------------------


@pytest.mark.parametrize(("case", "size"), [(0, ODD), (1, SQUARE)])
def test_matting_is_the_core_bit_for_bit(
    server: Server, sketch: Sketch, expected: list[dict[str, Any]], case: int, size: tuple[int, int]
) -> None:
    node = sketch.add(
        "MEMatteMatting",
        model=sketch.model(),
        image=sketch.image(photo(*size)),
        trimap=sketch.mask(trimap(*size)),
    )
    got = outcome(server, sketch, node)
    want = expected[case]
    assert got["alpha"].shape == (1, *size)
    assert got["cutout"].shape == (1, *size, 4)
    assert torch.equal(got["alpha"][0], want["alpha"])
    assert torch.equal(got["foreground"][0], want["foreground"])
    assert torch.equal(got["cutout"][0, ..., :3], want["foreground"])
    assert torch.equal(got["cutout"][0, ..., 3], want["alpha"])
    assert "predicted peak" in got["report"]


def test_mask_to_alpha_is_cut_with_a_mask(
    server: Server, sketch: Sketch, expected: list[dict[str, Any]]
) -> None:
    node = sketch.add(
        "MEMatteMaskToAlpha", image=sketch.image(photo(*ODD)), mask=sketch.mask(mask(*ODD))
    )
    got = outcome(server, sketch, node)
    assert torch.equal(got["alpha"][0], expected[2]["alpha"])
    assert torch.equal(got["foreground"][0], expected[2]["foreground"])


def test_three_nodes_are_the_one_node(
    server: Server, sketch: Sketch, expected: list[dict[str, Any]]
) -> None:
    picture = sketch.image(photo(*ODD))
    band = sketch.add("MEMatteTrimapFromMask", mask=sketch.mask(mask(*ODD)), **TRIMAP_DEFAULTS)
    node = sketch.add("MEMatteMatting", model=sketch.model(), image=picture, trimap=band)
    path = sketch.keep(alpha=node[0], trimap=band[0], preview=band[1])
    got = finished(server, sketch, path)
    assert torch.equal(got["trimap"][0], expected[2]["trimap"])
    assert torch.equal(got["alpha"][0], expected[2]["alpha"])
    assert got["preview"].shape == (1, *ODD, 3)


TRIMAP_DEFAULTS = NODES["MEMatteTrimapFromMask"]["defaults"]


def test_foreground_and_composite_are_the_core(
    server: Server, sketch: Sketch, expected: list[dict[str, Any]]
) -> None:
    want = expected[0]
    alpha = sketch.mask(want["alpha"][None])
    colours = sketch.add("MEMatteForeground", image=sketch.image(photo(*ODD)), alpha=alpha)
    over = sketch.add("MEMatteComposite", foreground=colours, alpha=alpha, color="white")
    path = sketch.keep(foreground=colours[0], cutout=colours[1], image=over)
    got = finished(server, sketch, path)
    assert torch.equal(got["foreground"][0], want["foreground"])
    assert torch.equal(got["cutout"][0, ..., 3], want["alpha"])
    assert torch.equal(got["image"][0], want["white"])


def test_a_background_wins_over_the_colour_and_is_fitted(server: Server, sketch: Sketch) -> None:
    alpha = torch.zeros(1, *ODD)
    over = sketch.add(
        "MEMatteComposite",
        foreground=sketch.image(photo(*ODD)),
        alpha=sketch.mask(alpha),
        color="red",
        background=sketch.image(torch.full((1, 40, 80, 3), 0.25)),
    )
    got = finished(server, sketch, sketch.keep(image=over))
    assert got["image"].shape == (1, *ODD, 3)
    assert torch.allclose(got["image"], torch.tensor(0.25), atol=1e-6)


def test_frames_of_a_batch_do_not_influence_each_other(
    server: Server, sketch: Sketch, expected: list[dict[str, Any]]
) -> None:
    node = sketch.add(
        "MEMatteMatting",
        model=sketch.model(),
        image=sketch.image(photo(*ODD, count=3)),
        trimap=sketch.mask(trimap(*ODD)),
    )
    got = outcome(server, sketch, node)
    for frame, want in enumerate([expected[0], *expected[3:]]):
        assert torch.equal(got["alpha"][frame], want["alpha"])
        assert torch.equal(got["foreground"][frame], want["foreground"])


def test_one_routing_map_per_block_and_frame(server: Server, sketch: Sketch) -> None:
    maps = sketch.add(
        "MEMatteRouting",
        model=sketch.model(),
        image=sketch.image(photo(*ODD, count=2)),
        trimap=sketch.mask(trimap(*ODD)),
    )
    got = finished(server, sketch, sketch.keep(maps=maps))
    blocks = len(mematte_plugin.load_network("mematte-tiny").config.global_blocks)
    assert got["maps"].shape == (2 * blocks, *ODD, 3)
    assert 0 <= float(got["maps"].min()) <= float(got["maps"].max()) <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_pictures_and_masks_are_taken(
    server: Server, sketch: Sketch, expected: list[dict[str, Any]], dtype: torch.dtype
) -> None:
    node = sketch.add(
        "MEMatteMatting",
        model=sketch.model(),
        image=sketch.image(photo(*ODD).to(dtype)),
        trimap=sketch.mask(trimap(*ODD).to(dtype)),
    )
    got = outcome(server, sketch, node)
    assert float((got["alpha"][0] - expected[0]["alpha"]).abs().mean()) < 0.01


def test_a_mask_smaller_than_the_picture_is_taken_as_it_is(server: Server, sketch: Sketch) -> None:
    node = sketch.add(
        "MEMatteMaskToAlpha", image=sketch.image(photo(*SQUARE)), mask=sketch.mask(mask(256, 256))
    )
    got = outcome(server, sketch, node)
    assert got["alpha"].shape == (1, *SQUARE)
    assert "resized" not in got["report"]


# ---- workflows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow(server: Server, path: Path) -> None:
    graph = json.loads(path.read_text())
    run = server.run(graph, timeout=PATIENCE)
    assert run.error is None
    assert run.status == "success"
    known = server.object_info()
    shown = {name for name, node in graph.items() if known[node["class_type"]]["output_node"]}
    assert shown
    assert shown <= set(run.outputs)
    assert all(run.outputs[name] for name in shown)


def outcome(server: Server, sketch: Sketch, node: Any) -> dict[str, Any]:
    """All outputs of a node that computes a matte."""
    outputs = ("alpha", "foreground", "cutout", "report")
    path = sketch.keep(**{name: node[i] for i, name in enumerate(outputs)})
    return finished(server, sketch, path)


def finished(server: Server, sketch: Sketch, path: Path) -> dict[str, Any]:
    """What was kept by a graph that runs without a fault."""
    run = server.run(sketch.graph)
    assert run.error is None, run.error["exception_message"]
    assert run.status == "success"
    return kept(path)
