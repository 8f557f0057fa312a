"""Flow alphas follow the colours, whatever the piece, the size, the depth or the trimap."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mematte_plugin.network import NetworkConfig, flow, neighbours
from mematte_plugin.network.config import MAX_CELLS, flow_cell
from mematte_plugin.network.flow import CHANNELS, FlowAlpha
from mematte_plugin.network.guidance import strips_of
from mematte_plugin.network.inputs import NetworkInput
from mematte_plugin.network.neighbours import Search

PHOTOS = Path(__file__).parents[3] / "shared" / "photos"
KINDS: tuple[Search, ...] = ("tree", "brute")


def scene(height: int = 60, width: int = 84, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A red subject left of a wavy border before a blue ground, noise on both; a trimap that
    leaves the middle half unknown; and which pixels are the subject's."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.arange(width).expand(height, width)
    border = width / 2 + 8 * torch.sin(torch.arange(height) / 5)[:, None]
    subject = (x < border)[None, None].float()
    red, blue = torch.tensor([0.8, 0.2, 0.1]), torch.tensor([0.1, 0.3, 0.7])
    colours = subject * red.view(1, 3, 1, 1) + (1 - subject) * blue.view(1, 3, 1, 1)
    image = (colours + 0.03 * torch.randn(1, 3, height, width, generator=draw)).clamp(0, 1)
    trimap = torch.full((1, 1, height, width), 0.5)
    trimap[..., : width // 4] = 1
    trimap[..., -(width // 4) :] = 0
    return image, trimap, subject


def ramp(height: int = 40, width: int = 160) -> tuple[Tensor, Tensor, Tensor]:
    """A linear mixture of two plain colours between regions of them, its trimap and its alpha."""
    alpha = torch.linspace(1.5, -0.5, width).clamp(0, 1).expand(1, 1, height, width)
    red, blue = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.2, 0.8])
    image = alpha * red.view(1, 3, 1, 1) + (1 - alpha) * blue.view(1, 3, 1, 1)
    trimap = torch.where(alpha == 0, 0.0, torch.where(alpha == 1, 1.0, 0.5))
    return image, trimap, alpha


def channels(
    image: Tensor, trimap: Tensor, *, search: Search = "tree", cell: int | None = None
) -> Tensor:
    """The whole picture's CHANNELS."""
    size = (image.shape[2], image.shape[3])
    return FlowAlpha(strips_of(image, trimap), size, search=search, cell=cell).crop(image, 0, 0)


def sound(maps: Tensor) -> None:
    assert maps.isfinite().all()
    assert maps.min() >= 0
    assert maps.max() <= 1


def nothing_known(maps: Tensor) -> None:
    sound(maps)
    torch.testing.assert_close(maps[:, :-1], torch.full_like(maps[:, :-1], 0.5), atol=1e-6, rtol=0)
    assert not maps[:, -1].any()


# ---- what it finds -------------------------------------------------------------------------------


@pytest.mark.parametrize("search", KINDS)
def test_a_mixture_of_two_plain_colours_is_solved(search: Search) -> None:
    image, trimap, alpha = ramp()
    maps = dict(zip(CHANNELS, channels(image, trimap, search=search)[0], strict=True))
    for name in ("flow", "estimate"):
        assert (maps[name] - alpha[0, 0]).abs().max() < 0.05, name
    assert maps["confidence"].mean() > 0.9  # two colours that far apart leave no doubt


def test_unknown_pixels_take_the_alpha_of_the_colour_they_resemble() -> None:
    image, trimap, subject = scene()
    alphas = channels(image, trimap)[:, :-1]
    assert ((alphas - subject).abs().mean((0, 2, 3)) < 0.04).all()
    # Turned over, the other colour is the subject.
    turned = channels(image, 1 - trimap)[:, :-1]
    assert ((turned - (1 - subject)).abs().mean((0, 2, 3)) < 0.04).all()


def test_a_colour_that_is_known_nowhere_has_no_confidence() -> None:
    image, trimap, _ = ramp()
    plain = channels(image, trimap)[:, -1]
    image[:, :, 10:30, 70:90] = torch.tensor([0.2, 0.9, 0.2]).view(1, 3, 1, 1)
    green = channels(image, trimap)[:, -1]
    assert plain[:, 14:26, 74:86].min() > 0.9
    assert green[:, 14:26, 74:86].max() < 0.01


def test_where_both_sides_look_alike_confidence_is_low() -> None:
    _, trimap, _ = scene()
    draw = torch.Generator().manual_seed(1)
    image = 0.5 + 0.02 * torch.randn(1, 3, *trimap.shape[2:], generator=draw)
    confidence = channels(image, trimap)[:, -1:][trimap == 0.5]
    assert confidence.mean() < 0.1


def test_known_pixels_are_sure() -> None:
    image, trimap, _ = scene()
    confidence = channels(image, trimap)[:, -1:]
    assert confidence[..., :16].min() == 1
    assert confidence[..., -16:].min() == 1


# ---- pieces, batches, ways to search -------------------------------------------------------------


@pytest.mark.parametrize("cell", [1, 2, 3, 7])
def test_pieces_are_those_of_the_whole(cell: int) -> None:
    image, trimap, _ = scene(61, 83)
    guide = FlowAlpha(strips_of(image, trimap), (61, 83), cell=cell)
    whole = guide.crop(image, 0, 0)
    for top, left, bottom, right in ((0, 0, 16, 83), (13, 5, 37, 40), (50, 64, 61, 83)):
        piece = guide.crop(image[:, :, top:bottom, left:right], top, left)
        torch.testing.assert_close(piece, whole[:, :, top:bottom, left:right], atol=1e-6, rtol=0)


@pytest.mark.parametrize("search", KINDS)
def test_images_of_a_batch_do_not_influence_each_other(search: Search) -> None:
    scenes = [scene(seed=seed) for seed in (1, 2, 3, 4)]
    image, trimap = torch.cat([s[0] for s in scenes]), torch.cat([s[1] for s in scenes])
    trimap[1] = 1 - trimap[1]
    trimap[2] = trimap[2].clamp_min(0.5)  # no background
    trimap[3] = (trimap[3] > 0.7).float()  # nothing unknown
    together = channels(image, trimap, search=search)
    for b in range(4):
        alone = channels(image[b : b + 1], trimap[b : b + 1], search=search)
        torch.testing.assert_close(together[b : b + 1], alone, atol=1e-6, rtol=0)


def test_the_same_picture_gives_the_same_alphas() -> None:
    image, trimap, _ = scene()
    for search in KINDS:
        assert torch.equal(
            channels(image, trimap, search=search), channels(image, trimap, search=search)
        )


def test_brute_force_finds_what_the_tree_finds(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(neighbours, "DISTANCES", 2**16)
    for image, trimap, _ in (scene(), scene(150, 90, seed=1), ramp()):
        tree = channels(image, trimap, search="tree")
        brute = channels(image.to(device), trimap.to(device), search="brute")
        assert (tree - brute.cpu()).abs().mean() < 1e-4


def test_leaving_out_points_by_brute_force_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, subject = scene(120, 168)
    monkeypatch.setattr(neighbours, "MOST_POINTS", 1500)  # of about 5000
    brute = channels(image, trimap, search="brute")
    sound(brute)
    assert ((brute[:, :-1] - subject).abs().mean((0, 2, 3)) < 0.06).all()


def photo(name: str, kind: str) -> tuple[Tensor, Tensor]:
    with Image.open(PHOTOS / "image" / name) as image:
        pixels = np.asarray(image.convert("RGB"), np.float32) / 255
    with Image.open(PHOTOS / f"trimap_{kind}" / name) as image:
        levels = np.asarray(image.convert("L"))
    known = np.where(levels == 255, 1, np.where(levels == 0, 0, 0.5)).astype(np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None], torch.from_numpy(known)[None, None]


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the nine photographs are not there")
@pytest.mark.parametrize("kind", ["narrow", "wide"])
def test_brute_force_finds_on_photographs_what_the_tree_finds(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(path.name for path in (PHOTOS / "image").iterdir())
    assert len(names) == 9
    for name in names:
        image, trimap = photo(name, kind)
        # Cells of 8 pixels: brute force on a CPU is for tests, and slow.
        tree, brute = (channels(image, trimap, search=search, cell=8) for search in KINDS)
        assert (tree - brute).abs().mean() < 1e-3, name
        with monkeypatch.context() as patch:  # as in a large picture, where nearly all is unknown
            patch.setattr(neighbours, "MOST_POINTS", image[0, 0].numel() // 64 // 2)
            fewer = channels(image, trimap, search="brute", cell=8)
        assert (tree - fewer).abs().mean() < 0.02, name


# ---- odd pictures --------------------------------------------------------------------------------


@pytest.mark.parametrize("search", KINDS)
@pytest.mark.parametrize("missing", [0.0, 1.0])
def test_without_one_known_region_nothing_is_claimed(search: Search, missing: float) -> None:
    image, trimap, _ = scene()
    nothing_known(channels(image, torch.where(trimap == missing, 0.5, trimap), search=search))


def test_without_any_known_region_nothing_is_claimed() -> None:
    image, trimap, _ = scene()
    nothing_known(channels(image, torch.full_like(trimap, 0.5)))
    trimap = torch.full_like(trimap, 0.5)
    trimap[..., 30, 40] = 1  # a pixel does not make a cell
    trimap[..., 10, 10] = 0
    nothing_known(channels(image, trimap))


@pytest.mark.parametrize("search", KINDS)
def test_where_nothing_is_unknown_the_trimap_is_repeated(search: Search) -> None:
    image, _, subject = scene()
    maps = channels(image, subject, search=search, cell=1)
    sound(maps)
    assert (maps[:, :-1] - subject).abs().mean() < 0.01
    assert (maps[:, -1] == 1).all()


@pytest.mark.parametrize("search", KINDS)
@pytest.mark.parametrize("unknown", [1, 2, 5, 12])
def test_fewer_cells_than_neighbours(search: Search, unknown: int) -> None:
    image, _, _ = scene(8, 40)
    trimap = (torch.arange(40) < 20).float().expand(1, 1, 8, 40).clone()
    trimap[..., :2, : 2 * unknown] = 0.5
    maps = channels(image, trimap, search=search)
    sound(maps)
    # One known cell of either side is all there is.
    trimap = torch.full_like(trimap, 0.5)
    trimap[..., :2, :2], trimap[..., -2:, -2:] = 1, 0
    maps = channels(image, trimap, search=search)
    sound(maps)
    assert maps[:, 1, 0, 0] > 0.9
    assert maps[:, 1, -1, -1] < 0.1


@pytest.mark.parametrize("search", KINDS)
@pytest.mark.parametrize("cell", [1, None])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40), (40, 1), (2, 2), (1, 2), (3, 2), (5, 400), (17, 33)]
)
def test_pictures_of_any_size(search: Search, cell: int | None, size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2))
    for known in (True, False):
        trimap = torch.full((1, 1, *size), 0.5)
        if known:
            trimap.view(-1)[0] = 1
            trimap.view(-1)[-1] = 0
        maps = channels(image, trimap, search=search, cell=cell)
        assert maps.shape == (1, len(CHANNELS), *size)
        sound(maps)
    nothing_known(maps)


@pytest.mark.parametrize("search", KINDS)
@pytest.mark.parametrize("colour", [0.0, 0.5, 1.0])
def test_on_one_colour_alpha_goes_over_gradually_and_without_confidence(
    search: Search, colour: float
) -> None:
    _, trimap, _ = scene()
    maps = channels(torch.full((1, 3, *trimap.shape[2:]), colour), trimap, search=search)
    sound(maps)
    assert maps[:, -1:][trimap == 0.5].max() < 1e-3
    middle = maps[:, :2, :, 40:44].mean()
    assert 0.3 < middle < 0.7


def test_values_between_are_unknown_whatever_they_are() -> None:
    image, trimap, _ = scene()
    other = torch.where(trimap == 0.5, 128 / 255, trimap)
    other[..., 40:] = torch.where(trimap == 0.5, 0.001, trimap)[..., 40:]
    assert torch.equal(channels(image, other), channels(image, trimap))


def test_pictures_that_lie_across_in_memory() -> None:
    image, trimap, _ = scene()
    across = image.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    turned = trimap.transpose(2, 3).contiguous().transpose(2, 3)
    torch.testing.assert_close(channels(across, turned), channels(image, trimap), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("dtype", "near"),
    [
        (torch.float64, 1e-5),
        (torch.uint8, 0.01),
        (torch.uint16, 0.001),
        (torch.float16, 0.005),
        (torch.bfloat16, 0.03),
    ],
)
def test_pictures_of_any_depth(dtype: torch.dtype, near: float) -> None:
    image, trimap, _ = scene()
    config = NetworkConfig(guidance="flow")
    size = (image.shape[2], image.shape[3])

    def input_of(picture: Tensor, mask: Tensor) -> Tensor:
        return NetworkInput(picture, mask, config, torch.float32).crop(0, 0, *size)

    full = input_of(image, trimap)
    if dtype.is_floating_point:
        other = input_of(image.to(dtype), trimap.to(dtype))
    else:
        most = 255 if dtype == torch.uint8 else 65535
        other = input_of((image * most).round().to(torch.int32).to(dtype), trimap)
    assert other.isfinite().all()
    assert (full - other)[:, -5:].abs().mean() < near


def test_autocast_does_not_make_it_coarser() -> None:
    image, trimap, _ = scene()
    expected = channels(image, trimap)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(channels(image, trimap), expected)


# ---- cost ----------------------------------------------------------------------------------------


def test_the_grid_is_bounded() -> None:
    for height, width in ((1, 1), (100, 100), (3000, 4000), (4320, 7680), (20000, 30000)):
        cell = flow_cell(height, width)
        assert (height // cell) * (width // cell) <= MAX_CELLS
    assert flow_cell(1000, 1000) == 2


@pytest.mark.parametrize("search", KINDS)
def test_it_can_be_interrupted_all_along(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    # Smaller chunks in place of a larger picture.
    monkeypatch.setattr(neighbours, "_QUERIES", 2**7)
    monkeypatch.setattr(neighbours, "DISTANCES", 2**18)
    monkeypatch.setattr(flow, "_CELLS_AT_A_TIME", 2**8)
    size = (100, 140)
    image, trimap, _ = scene(*size)
    unknown = 50 * 35
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    watched = FlowAlpha(strips_of(image, trimap), size, search=search, tick=tick)
    # Four searches, three times weights, iterations and the linear model.
    assert ticks > 4 * (unknown / 2**8) + 3 * (unknown / 2**8) + 80
    for fatal in (0, 1, 5, ticks // 2, ticks - 1):
        left = fatal

        def stop() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            FlowAlpha(strips_of(image, trimap), size, search=search, tick=stop)
    again = FlowAlpha(strips_of(image, trimap), size, search=search)
    assert torch.equal(watched.model, again.model)


def test_brute_force_does_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)  # importing it fails
    image, trimap, _ = scene(30, 40)
    sound(channels(image, trimap, search="brute"))
    with pytest.raises(ImportError):
        channels(image, trimap, search="tree")
