"""Crops made on the device: what the network learns from must be true."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mematte_plugin.network import NetworkConfig
from mematte_plugin.network.inputs import NetworkInput
from mematte_plugin.training import filters
from mematte_plugin.training.pool import Pool
from mematte_plugin.training.recompose import (
    Recomposed,
    ingredient_side,
    random_trimap,
    recompose,
)
from mematte_plugin.training.repeated import packed, repeat
from tests.networks import random_input

CROP = 96


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def disc(side: int) -> torch.Tensor:
    """Alpha of a soft disc, (1, 1, side, side)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (
        (side / 3 - torch.hypot(x - side / 2, y - side / 2)).div(4).add(0.5).clamp(0, 1)[None, None]
    )


@pytest.fixture
def pool() -> Pool:
    """Red discs over blue."""
    side = ingredient_side(CROP)
    pool = Pool(4, torch.device("cpu"))
    one = torch.zeros(1, 7, side, side, dtype=torch.uint8)
    one[:, 0] = 200
    one[:, 3] = (disc(side)[0] * 255).round().to(torch.uint8)
    one[:, 6] = 200
    for _ in range(4):
        pool.add(one)
    return pool


def test_the_newest_ingredients_take_the_oldest_ones_place() -> None:
    pool = Pool(4, torch.device("cpu"), start=6)
    for value in (1, 2, 3):
        pool.add(torch.full((2, 7, 2, 2), value, dtype=torch.uint8))
    # The first lands where number 6 belongs, in slots 2 and 3; the third replaces it.
    assert pool.planes[:, 0, 0, 0].tolist() == [2, 2, 3, 3]


def test_a_batch_is_of_the_promised_kind_and_repeats_itself(pool: Pool) -> None:
    batch, again = (recompose(pool, 6, CROP, generator(3)) for _ in range(2))
    assert batch.image.shape == (6, 3, CROP, CROP)
    assert batch.trimap.shape == batch.alpha.shape == (6, 1, CROP, CROP)
    assert set(batch.trimap.unique().tolist()) <= {0.0, 0.5, 1.0}
    for tensor in (batch.image, batch.alpha):
        assert tensor.dtype == torch.float32
        assert 0 <= tensor.min() <= tensor.max() <= 1
    assert torch.equal(batch.image, again.image)
    assert not torch.equal(batch.image, recompose(pool, 6, CROP, generator(4)).image)


def test_trimap_alpha_and_picture_belong_together(pool: Pool) -> None:
    batch: Recomposed = recompose(pool, 24, CROP, generator())
    assert (batch.alpha[batch.trimap == 1] > 0.98).all()
    assert (batch.alpha[batch.trimap == 0] < 0.02).all()
    unknown = (batch.trimap == 0.5).float().mean((1, 2, 3))
    assert (unknown > 0.005).all()
    # Whatever light and camera did: red is where the subject is.
    redness = batch.image[:, 0] - batch.image[:, 2]
    inside, outside = redness[batch.alpha[:, 0] > 0.99], redness[batch.alpha[:, 0] < 0.01]
    assert inside.mean() > outside.mean() + 0.2


def test_most_samples_have_contrast(pool: Pool) -> None:
    pool.planes[0, 4:] = pool.planes[0, :3]  # one background is as red as the subject
    batch = recompose(pool, 16, CROP, generator())
    border = (batch.alpha > 0.9) & (batch.trimap == 0.5)
    ground = (batch.alpha < 0.1).float()
    faint = 0
    for image, alpha, mask, near in zip(batch.image, batch.alpha, border, ground, strict=True):
        if mask.any() and near.any():
            subject = image[:, mask[0]].mean(1)
            around = (image * near).sum((1, 2)) / near.sum()
            faint += int((subject - around).abs().max() < 0.05)
        assert alpha.max() > 0
    assert faint <= 2


def test_bands_are_as_wide_as_the_trimap_says() -> None:
    alpha = disc(128).repeat(64, 1, 1, 1)
    trimap = random_trimap(alpha, generator())
    share = (trimap == 0.5).float().mean((1, 2, 3))
    soft = ((alpha > 0.01) & (alpha < 0.99)).float().mean()
    assert (share >= soft).all()
    assert share.min() < 1.6 * soft  # some are narrow,
    assert share.max() > 4 * soft  # some wide


def test_depth_is_a_distance() -> None:
    region = torch.ones(1, 1, 41, 41)
    region[..., 20, 20] = 0
    found = filters.depth(region, 15)[0, 0].numpy()
    y, x = np.mgrid[-20:21, -20:21]
    true = np.hypot(x, y)
    near = (true < 12) & (true > 0)
    assert np.abs(found[near] / true[near] - 1).max() < 0.42  # an octagon, not a circle
    assert np.abs(found[20, 21:33] - np.arange(1, 13)).max() <= 0  # exact along the axes
    assert found[20, 20] == 0
    assert found[0, 0] == 15  # as far as it looks; the picture's border is no outside


def test_blur_leaves_a_constant_and_spreads_a_point_by_its_sigma() -> None:
    x = torch.zeros(2, 1, 33, 33)
    x[:, :, 16, 16] = 1
    out = filters.gaussian_blur(x, torch.tensor([0.0, 2.0]).view(2, 1, 1, 1), 8)
    assert torch.allclose(out[0], x[0], atol=1e-6)
    place = torch.arange(33.0) - 16
    variance = (out[1, 0].sum(0) * place**2).sum()
    assert variance == pytest.approx(4.0, rel=0.02)
    flat = filters.gaussian_blur(torch.full((1, 3, 20, 20), 0.3), torch.ones(1, 1, 1, 1), 3)
    assert torch.allclose(flat, torch.tensor(0.3))


def test_jpeg_like_loses_detail_where_asked() -> None:
    picture = torch.rand(2, 3, 32, 32, generator=generator()) * 255
    strength = torch.tensor([0.0, 8.0]).view(2, 1, 1, 1)
    out = filters.jpeg_like(picture, strength)
    assert torch.allclose(out[0], picture[0], atol=1e-2)
    error = (out[1] - picture[1]).abs().mean()
    assert 2 < error < 40
    grey = torch.full((1, 3, 16, 16), 128.0)
    assert torch.allclose(filters.jpeg_like(grey, strength[1:]), grey, atol=8.0)


def test_repeated_crops_turn_with_their_guidance() -> None:
    config = NetworkConfig(guidance="nearest", padding="each")
    image, trimap = random_input(64, 64)
    image = torch.nn.functional.interpolate(image[..., :4, :4], size=(64, 64), mode="bicubic")
    alpha = torch.rand(1, 1, 64, 64, generator=generator())
    pool = Pool(1, torch.device("cpu"))
    pool.add(packed(NetworkInput(image, trimap, config, torch.float32), alpha))
    inputs, truth = repeat(pool, 48, config, generator())
    assert (inputs.size, inputs.padded, inputs.grid) == ((64, 64), (64, 64), (4, 4))
    seen = set()
    for i in range(48):
        picture, given = inputs.image[i : i + 1], inputs.trimap[i : i + 1]
        guided = NetworkInput(picture, given, config, torch.float32)
        # What the guidance would be of the turned picture; ties may fall to another neighbour.
        off = (guided.crop(0, 0, 64, 64) - inputs.crop(0, 0, 64, 64)[i]).abs()
        assert off.mean() < 0.02
        seen.add(tuple(truth[i].flatten()[:3].tolist()))
    assert len(seen) == 8
