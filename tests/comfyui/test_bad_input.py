"""Bad input in a real ComfyUI: one error at the node that says what to do, and life goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mematte_plugin.weights.save import save_network
from tests.comfyui.graphs import Sketch, kept
from tests.comfyui.pictures import EXAMPLES, mask, photo, trimap
from tests.comfyui.server import Graph, RefusedError, Run, Server, skip_without_checkout
from tests.weights.samples import random_network

pytestmark = pytest.mark.comfyui
skip_without_checkout()

H, W = 96, 128


def with_nan() -> torch.Tensor:
    picture = photo(H, W)
    picture[0, 3, 5, 1] = torch.nan
    return picture


def rgba() -> torch.Tensor:
    return torch.cat([photo(H, W), torch.ones(1, H, W, 1)], dim=3)


def known() -> torch.Tensor:
    return (trimap(H, W) > 0.9).float()


def without_foreground() -> torch.Tensor:
    return trimap(H, W).clamp(max=0.5)


def matting(sketch: Sketch, **changes: Any) -> Any:
    given = {
        "model": sketch.model(),
        "image": sketch.image(changes.pop("image", photo(H, W))),
        "trimap": sketch.mask(changes.pop("trimap", trimap(H, W))),
        **changes,
    }
    return sketch.add("MEMatteMatting", **given)


def from_mask(sketch: Sketch, **changes: Any) -> Any:
    image = sketch.image(changes.get("image", photo(H, W)))
    return sketch.add(
        "MEMatteMaskToAlpha", image=image, mask=sketch.mask(changes.get("mask", mask(H, W)))
    )


def band(sketch: Sketch, **changes: Any) -> Any:
    return sketch.add(
        "MEMatteTrimapFromMask",
        mask=sketch.mask(changes.get("mask", mask(H, W))),
        unknown_inside=2.0,
        unknown_outside=4.0,
        units="% of subject",
        keep_soft=True,
        image=sketch.image(changes.get("image", photo(H, W))),
    )


def foreground(sketch: Sketch, **changes: Any) -> Any:
    image = sketch.image(changes.get("image", photo(H, W)))
    alpha = sketch.mask(changes.get("alpha", mask(H, W)))
    return sketch.add("MEMatteForeground", image=image, alpha=alpha)


def composite(sketch: Sketch, **changes: Any) -> Any:
    back = changes.get("background")
    return sketch.add(
        "MEMatteComposite",
        foreground=sketch.image(changes.get("foreground", photo(H, W))),
        alpha=sketch.mask(changes.get("alpha", mask(H, W))),
        color=changes.get("color", "white"),
        background=None if back is None else sketch.image(back),
    )


def routing(sketch: Sketch, **changes: Any) -> Any:
    return sketch.add(
        "MEMatteRouting",
        model=sketch.model(),
        image=sketch.image(changes.get("image", photo(H, W))),
        trimap=sketch.mask(changes.get("trimap", trimap(H, W))),
    )


Build = Callable[..., Any]

# What is built with what, and words that the message must have: the node's input first.
FAULTS: dict[str, tuple[Build, dict[str, Any], tuple[str, ...]]] = {
    "trimap without unknown": (matting, {"trimap": known()}, ("trimap: has no unknown", "Trimap")),
    "trimap without foreground": (
        matting,
        {"trimap": without_foreground()},
        ("trimap: has no foreground",),
    ),
    "NaN": (matting, {"image": with_nan()}, ("image: ", "NaN")),
    "NaN, one node": (from_mask, {"image": with_nan()}, ("image: ", "NaN")),
    "NaN, foreground": (foreground, {"image": with_nan()}, ("image: ", "NaN")),
    "NaN, routing": (routing, {"image": with_nan()}, ("image: ", "NaN")),
    "NaN, composite": (composite, {"foreground": with_nan()}, ("foreground: ", "NaN")),
    "NaN, preview": (band, {"image": with_nan()}, ("image: ", "NaN")),
    "NaN in the trimap": (matting, {"trimap": trimap(H, W) * torch.nan}, ("trimap: ", "NaN")),
    "NaN in the mask": (band, {"mask": mask(H, W) * torch.nan}, ("mask: ",)),
    "no frame": (matting, {"image": photo(H, W)[:0]}, ("image: ", "at least one picture")),
    "no frame, one node": (from_mask, {"image": photo(H, W)[:0]}, ("image: ",)),
    "no frame, foreground": (foreground, {"image": photo(H, W)[:0]}, ("image: ",)),
    "no mask in the batch": (band, {"mask": mask(H, W)[:0]}, ("mask: ",)),
    "RGBA": (matting, {"image": rgba()}, ("image: has transparency", "Split Image")),
    "RGBA, one node": (from_mask, {"image": rgba()}, ("image: has transparency",)),
    "RGBA, foreground": (foreground, {"image": rgba()}, ("image: has transparency",)),
    "budget too small": (
        matting,
        {"image": photo(512, 512), "trimap": trimap(512, 512), "memory_budget_gb": 0.001},
        ("memory_budget_gb",),
    ),
    "2 trimaps for 3": (
        matting,
        {"image": photo(H, W, 3), "trimap": trimap(H, W).repeat(2, 1, 1)},
        ("trimap: 2 for 3",),
    ),
    "2 masks for 3": (
        from_mask,
        {"image": photo(H, W, 3), "mask": mask(H, W).repeat(2, 1, 1)},
        ("mask: 2 for 3",),
    ),
    "2 alphas for 3": (
        foreground,
        {"image": photo(H, W, 3), "alpha": mask(H, W).repeat(2, 1, 1)},
        ("alpha: 2 for 3",),
    ),
    "2 backgrounds for 3": (
        composite,
        {"foreground": photo(H, W, 3), "background": photo(H, W, 2)},
        ("background: 2 for 3",),
    ),
    "mask of another shape": (from_mask, {"mask": mask(W, W)}, ("mask: is 128×128", "128×96")),
    "trimap of another shape": (matting, {"trimap": trimap(W, W)}, ("trimap: is 128×128",)),
    "alpha of another size": (foreground, {"alpha": mask(W, W)}, ("alpha: is 128×128",)),
    "empty mask": (from_mask, {"mask": torch.zeros(1, H, W)}, ("mask: is empty",)),
    "empty mask, trimap": (band, {"mask": torch.zeros(1, H, W)}, ("mask: is empty",)),
    "mask of several objects": (
        band,
        {"mask": torch.arange(3).repeat_interleave(W // 3)[None, None].repeat(1, H, 1) / 255},
        ("mask: is a map of 2 objects: 1 (", "a mask of the one that is meant"),
    ),
    "full mask": (from_mask, {"mask": torch.ones(1, H, W)}, ("mask: is full",)),
    "no colour": (composite, {"color": "whiteish"}, ("color: ", "whiteish", "#")),
    "a file for a colour": (composite, {"color": str(EXAMPLES / "astronaut.jpg")}, ("color: ",)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_error_that_names_the_input(server: Server, sketch: Sketch, fault: str) -> None:
    build, changes, words = FAULTS[fault]
    node = build(sketch, **changes)
    sketch.keep(image=node)
    error = failed(server.run(sketch.graph))
    assert error["node_id"] == node.id
    message = error["exception_message"]
    assert not [word for word in words if word not in message], message
    assert_readable(message)
    assert_works(server, Sketch(sketch.folder))


def failed(run: Run) -> dict[str, Any]:
    assert run.status == "error"
    assert run.error is not None
    return run.error


def assert_readable(message: str) -> None:
    """A line or two for people."""
    assert "Traceback" not in message
    assert 'File "' not in message
    assert 20 < len(message.strip()) < 600


def assert_works(server: Server, sketch: Sketch) -> None:
    """The same server computes the next graph."""
    path = sketch.keep(alpha=matting(sketch))
    run = server.run(sketch.graph)
    assert run.error is None
    assert kept(path)["alpha"].shape == (1, H, W)


# ---- odd, but no fault ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (7, 5)])
def test_tiny_pictures_give_a_result_or_one_error(
    server: Server, sketch: Sketch, size: tuple[int, int]
) -> None:
    half = torch.full((1, *size), 0.5)
    half[0, 0, 0] = 1
    node = matting(sketch, image=photo(64, 64)[:, : size[0], : size[1]], trimap=half)
    path = sketch.keep(alpha=node[0], cutout=node[2])
    run = server.run(sketch.graph)
    if run.error is not None:
        assert_readable(run.error["exception_message"])
        assert (
            "image" in run.error["exception_message"] or "trimap" in run.error["exception_message"]
        )
    else:
        assert kept(path)["cutout"].shape == (1, *size, 4)
    assert_works(server, Sketch(sketch.folder))


def test_colours_beyond_white_are_cut_with_a_note(server: Server, sketch: Sketch) -> None:
    node = matting(sketch, image=torch.ones(1, H, W, 3) * 1.5)
    path = sketch.keep(report=node[3])
    assert server.run(sketch.graph).error is None
    assert "values from 1.5 to 1.5 were clipped" in kept(path)["report"]


def test_a_frame_without_subject_is_empty_and_noted(server: Server, sketch: Sketch) -> None:
    masks = torch.cat([mask(H, W), torch.zeros(1, H, W)])
    node = from_mask(sketch, image=photo(H, W, 2), mask=masks)
    path = sketch.keep(alpha=node[0], report=node[3])
    assert server.run(sketch.graph).error is None
    got = kept(path)
    assert float(got["alpha"][0].max()) == 1
    assert float(got["alpha"][1].max()) == 0
    assert "frame 2" in got["report"]


# ---- model files ---------------------------------------------------------------------------------


@pytest.fixture
def folder(server: Server) -> Path:
    """models/mematte of the server."""
    path = server.base / "models" / "mematte"
    path.mkdir(exist_ok=True)
    return path


def test_a_model_of_the_users_own_is_offered_and_runs(
    server: Server, sketch: Sketch, folder: Path
) -> None:
    save_network(random_network(), folder / "own")
    node = matting(sketch, model=sketch.model("own"))
    path = sketch.keep(alpha=node)
    assert server.run(sketch.graph).error is None
    assert kept(path)["alpha"].shape == (1, H, W)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_damaged_model_file(
    server: Server, sketch: Sketch, folder: Path, suffix: str, content: bytes
) -> None:
    name = f"damaged{len(content)}{suffix}"
    (folder / name).write_bytes(content)
    model = sketch.model(name)
    sketch.keep(alpha=matting(sketch, model=model))
    error = failed(server.run(sketch.graph))
    assert error["node_id"] == model.id
    assert name in error["exception_message"]
    assert_readable(error["exception_message"])
    assert_works(server, Sketch(sketch.folder))


def test_a_model_that_was_removed_stops_its_branch_only(
    server: Server, sketch: Sketch, folder: Path
) -> None:
    save_network(random_network(), folder / "removed")
    model = sketch.model("removed")
    ours = sketch.keep(alpha=matting(sketch, model=model))
    other = sketch.add(
        "PreviewImage", images=sketch.add("EmptyImage", width=8, height=8, batch_size=1, color=0)
    )
    assert server.run(sketch.graph).error is None
    ours.unlink()
    for file in (folder / "removed").iterdir():
        file.unlink()
    (folder / "removed").rmdir()
    refused, run = run_what_is_valid(server, sketch.graph)
    errors = refused[model.id]["errors"]
    message = " ".join(f"{error['message']} {error['details']}" for error in errors)
    assert "removed" in message
    assert str(folder) in message
    assert other.id in run.outputs
    assert run.status == "success"
    assert not ours.exists()
    assert_works(server, Sketch(sketch.folder))


def test_a_fault_in_one_branch_leaves_the_other_its_result(server: Server, sketch: Sketch) -> None:
    picture = sketch.image(photo(H, W))
    other = sketch.add("PreviewImage", images=picture)
    sketch.keep(alpha=matting(sketch, trimap=known()))
    run = server.run(sketch.graph)
    failed(run)
    assert other.id in run.outputs


def run_what_is_valid(server: Server, graph: Graph) -> tuple[dict[str, Any], Run]:
    """Faults by node id, and how the rest of the graph went."""
    answer = server.post("/prompt", {"prompt": graph, "client_id": server.client})
    return answer["node_errors"], Run(graph, server.wait(answer["prompt_id"]))


def test_a_model_that_never_was(server: Server, sketch: Sketch) -> None:
    sketch.keep(alpha=matting(sketch, model=sketch.model("nowhere.pth")))
    with pytest.raises(RefusedError) as caught:
        server.run(sketch.graph)
    assert "nowhere.pth" in str(caught.value)
