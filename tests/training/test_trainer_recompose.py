"""Crops made on the device: what the network learns from must be true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from mematte_plugin.network import NetworkConfig
from mematte_plugin.network.inputs import NetworkInput
from mematte_plugin.training import recompose as module
from mematte_plugin.training.data.compose import Composer
from mematte_plugin.training.data.trimaps import ASTRAY
from mematte_plugin.training.pool import Pool
from mematte_plugin.training.recompose import combined, ingredient_side, labelled, recompose
from mematte_plugin.training.recompose_trimaps import astray

from .trainer_bank import small_bank

CROP = 96


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def disc(side: int) -> torch.Tensor:
    """Alpha of a soft disc, (1, 1, side, side)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (
        (side / 3 - torch.hypot(x - side / 2, y - side / 2)).div(4).add(0.5).clamp(0, 1)[None, None]
    )


def discs(colour: tuple[int, int, int], ground: tuple[int, int, int]) -> Pool:
    """Four discs of one colour over backgrounds of another."""
    side = ingredient_side(CROP)
    pool = Pool(4, torch.device("cpu"))
    one = torch.zeros(1, 7, side, side, dtype=torch.uint8)
    one[:, :3] = torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1)
    one[:, 3] = (disc(side)[0] * 255).round().to(torch.uint8)
    one[:, 4:] = torch.tensor(ground, dtype=torch.uint8).view(1, 3, 1, 1)
    for _ in range(4):
        pool.add(one)
    return pool


@pytest.fixture
def pool() -> Pool:
    """Red discs over blue."""
    return discs((200, 0, 0), (0, 0, 200))


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Ingredients from a bank."""
    composer = Composer(small_bank(tmp_path_factory.mktemp("bank")), size=ingredient_side(CROP))
    pool = Pool(8, torch.device("cpu"))
    for n in range(8):
        made = composer.ingredients(np.random.default_rng(n))
        planes = [made.foreground, made.alpha[..., None] * 255, made.background]
        whole = np.rint(np.concatenate(planes, 2)).astype(np.uint8)
        pool.add(torch.from_numpy(whole.transpose(2, 0, 1))[None])
    return pool


def test_the_newest_ingredients_take_the_oldest_ones_place() -> None:
    pool = Pool(4, torch.device("cpu"), start=6)
    for value in (1, 2, 3):
        pool.add(torch.full((2, 7, 2, 2), value, dtype=torch.uint8))
    # The first lands where number 6 belongs, in slots 2 and 3; the third replaces it.
    assert pool.planes[:, 0, 0, 0].tolist() == [2, 2, 3, 3]


def test_a_batch_is_of_the_promised_kind_and_repeats_itself(blobs: Pool) -> None:
    batch, again = (recompose(blobs, 6, CROP, generator(3)) for _ in range(2))
    assert batch.image.shape == (6, 3, CROP, CROP)
    assert batch.trimap.shape == batch.alpha.shape == (6, 1, CROP, CROP)
    assert set(batch.trimap.unique().tolist()) == {0.0, 0.5, 1.0}
    for tensor in (batch.image, batch.alpha):
        assert tensor.dtype == torch.float32
        assert 0 <= tensor.min() < tensor.max() <= 1
    for name in ("image", "trimap", "alpha"):
        assert torch.equal(getattr(batch, name), getattr(again, name))
    assert not torch.equal(batch.image, recompose(blobs, 6, CROP, generator(4)).image)


def test_what_a_trimap_says_is_true_but_for_a_few_strands(blobs: Pool) -> None:
    batch = recompose(blobs, 24, CROP, generator())
    assert astray(batch.trimap, batch.alpha).max() <= ASTRAY
    unknown = (batch.trimap == 0.5).float().mean((1, 2, 3))
    assert (unknown > 0.01).all()
    assert unknown.max() > 3 * unknown.min()


@pytest.mark.parametrize("exponent", [1.0, 1.7, 2.2])
def test_the_label_is_what_the_picture_was_made_of(blobs: Pool, exponent: float) -> None:
    layers = combined(blobs, 12, CROP, generator())
    assert (layers.sigma > 0).any()
    assert (layers.sigma == 0).any()
    front, behind = (torch.full_like(layers.colour, value) for value in (230.0, 25.0))
    flat = replace(layers, colour=front, background=behind)
    picture = flat.composite(torch.full((12, 1, 1, 1), exponent))
    light, (high, low) = picture**exponent, (value**exponent for value in (230, 25))
    share = (light - low) / (high - low)
    assert (share - layers.label).abs().max() < 1 / 400  # nearly 0 and 1 count as such


def test_labels_are_exactly_0_and_1_where_they_nearly_are() -> None:
    ramp = torch.linspace(0, 1, 64 * 64).view(1, 1, 64, 64).expand(2, -1, -1, -1)
    sigma = torch.tensor([0.0, 0.8]).view(2, 1, 1, 1)
    label = labelled(ramp, sigma)
    between = label[(label > 0) & (label < 1)]
    assert between.min() >= 1 / 510
    assert between.max() <= 1 - 1 / 510
    assert (label - ramp).abs()[0].max() <= 1 / 510


def test_the_subject_is_where_the_label_says(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCREEN", "RESEMBLING"):
        monkeypatch.setattr(module, name, 0.0)
    batch = recompose(pool, 24, CROP, generator())
    # Whatever light and camera did: red is where the subject is, but for other things it holds.
    redness = batch.image[:, 0] - batch.image[:, 2]
    inside, outside = redness[batch.alpha[:, 0] > 0.99], redness[batch.alpha[:, 0] < 0.01]
    assert inside.median() > 0.2
    assert outside.mean() < -0.2


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_screens_are_as_frequent_as_asked(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCREEN", share)
    layers = combined(discs((90, 90, 90), (190, 190, 190)), 48, CROP, generator())
    vivid = layers.background.amax(1) - layers.background.amin(1)
    screened = vivid.mean((1, 2)) / layers.background.amax((1, 2, 3)) > 0.35
    assert float(screened.float().mean()) == pytest.approx(share, abs=0.17 * (0 < share < 1))
    if share in (0, 1):
        return
    # The wall shines on most of the subjects before it.
    tint = layers.colour.amax(1) - layers.colour.amin(1)
    rim = (layers.sharp[:, 0] > 0.1) & (layers.sharp[:, 0] < 0.9)
    assert tint[screened][rim[screened]].mean() > 1.5 * tint[~screened][rim[~screened]].mean()


def test_most_samples_have_contrast_and_some_have_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SCREEN", "RESEMBLING"):
        monkeypatch.setattr(module, name, 0.0)

    def faint(alike: float) -> float:
        monkeypatch.setattr(module, "ALIKE", alike)
        layers = combined(discs((120, 120, 120), (140, 140, 140)), 32, CROP, generator(1))
        seen = ((layers.trimap == 0.5) & (layers.sharp > 0.05)).float()
        gap = (layers.colour - layers.background).abs().amax(1, keepdim=True) * seen
        mean = gap.sum((1, 2, 3)) / seen.sum((1, 2, 3)).clamp_min(1)
        return float((mean < 30).float().mean())

    assert faint(0.0) < 0.1
    assert faint(0.0) + 0.1 < faint(1.0)


def test_flow_guidance_is_made_from_what_was_recomposed(pool: Pool) -> None:
    batch = recompose(pool, 4, CROP, generator())
    config = NetworkConfig(guidance="flow", padding="each")
    inputs = NetworkInput(batch.image, batch.trimap, config, torch.float32)
    channels = inputs.crop(0, 0, CROP, CROP)
    assert channels.shape == (4, config.in_chans, CROP, CROP)
    assert channels.isfinite().all()
    unknown = batch.trimap == 0.5
    flow = channels[:, -5:-4][unknown]  # without known-to-unknown flow
    assert (flow - batch.alpha[unknown]).abs().mean() < 0.25


class _Elsewhere(torch.Generator):
    """Says that it is on a device that is not there."""

    device = torch.device("meta")


class _Ungenerated(TorchFunctionMode):
    """Ignores generators: nobody knows the values anyway."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = {name: value for name, value in (kwargs or {}).items() if name != "generator"}
        return func(*args, **kwargs)


def test_nothing_is_read_back_from_the_device_or_mixed_with_what_is_not_there() -> None:
    # Tensors on "meta" have no values: asking for one is an error, and so is an operation on those
    # of two devices.
    device = _Elsewhere.device
    side = ingredient_side(CROP)
    pool = Pool(4, device)
    pool.add(torch.zeros(4, 7, side, side, dtype=torch.uint8, device=device))
    with _Ungenerated():
        batch = recompose(pool, 2, CROP, _Elsewhere())
    assert batch.image.shape == (2, 3, CROP, CROP)
    assert batch.image.device == batch.trimap.device == batch.alpha.device == device
