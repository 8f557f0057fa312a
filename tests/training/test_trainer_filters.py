"""Picture operations on batches: each sample gets the strength that it was given."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mematte_plugin.training import filters


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strengths(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


def test_depth_is_the_distance_to_the_nearest_pixel_outside() -> None:
    region = (torch.rand(3, 1, 90, 120, generator=generator()) > 0.003).float()
    region[2] = 1
    found = filters.depth(region, 20)[:, 0].numpy()
    for one, distance in zip(region[:2, 0].byte().numpy(), found, strict=False):
        true = cv2.distanceTransform(one, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        assert np.abs(distance - true.clip(max=20)).max() < 1e-3
    assert (found[2] == 20).all()  # as far as it looks: the picture's border is no outside


def test_far_depths_are_right_within_a_few_pixels() -> None:
    region = torch.ones(1, 1, 200, 200)
    region[..., 150:, 160:] = 0
    found = filters.depth(region, 100)[0, 0].numpy()
    true = cv2.distanceTransform(region[0, 0].byte().numpy(), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert np.abs(found - true.clip(max=100)).max() < 5
    near = true < 24
    assert np.abs(found - true)[near].max() < 1e-3
    assert found.max() == 100


def test_opening_drops_what_is_thinner_than_the_brush() -> None:
    region = torch.zeros(2, 1, 40, 40)
    region[..., 5:35, 4:20] = 1
    region[..., 18:21, 20:38] = 1  # a handle three pixels high
    out = filters.opened(region, strengths(0.0, 4.0), 12)
    assert torch.equal(out[0], region[0])
    assert out[1, 0, 19, 30] == 0
    assert (out[1, 0, 10:30, 4:20] == 1).all()


def test_blur_leaves_a_constant_and_spreads_a_point_by_its_sigma() -> None:
    x = torch.zeros(2, 1, 33, 33)
    x[:, :, 16, 16] = 1
    out = filters.gaussian_blur(x, strengths(0.0, 2.0), 8)
    assert torch.allclose(out[0], x[0], atol=1e-6)
    place = torch.arange(33.0) - 16
    variance = (out[1, 0].sum(0) * place**2).sum()
    assert variance == pytest.approx(4.0, rel=0.02)
    flat = filters.gaussian_blur(torch.full((1, 3, 20, 20), 0.3), torch.ones(1, 1, 1, 1), 3)
    assert torch.allclose(flat, torch.tensor(0.3))


def test_wide_blurs_are_as_wide_on_a_smaller_copy() -> None:
    x = torch.zeros(3, 1, 256, 256)
    x[..., 100:, 120:] = 1
    sigma = strengths(8.0, 15.0, 30.0)
    small = filters.blurred(x, sigma, 30)
    assert (small - filters.gaussian_blur(x, sigma, 90)).abs().max() < 0.03


def test_disc_blur_is_even_within_its_radius() -> None:
    x = torch.zeros(2, 1, 21, 21)
    x[:, :, 10, 10] = 1
    out = filters.disc_blur(x, strengths(0.0, 4.0), 5)
    assert torch.equal(out[0], x[0])
    disc = out[1, 0]
    assert disc.sum() == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(disc[10, 7:14], disc[10, 10].expand(7))
    assert disc[10, 4] == 0


def test_noise_fills_its_range_and_has_as_many_lumps_as_asked() -> None:
    def crossings(field: torch.Tensor) -> float:
        high = field > field.mean()
        return float((high[..., 1:] != high[..., :-1]).sum() / len(field) / field.shape[-1])

    few, many = (filters.noise(generator(), 16, 128, (n, n), octaves=2) for n in (2, 12))
    for field in (few, many):
        assert field.shape == (16, 1, 128, 128)
        assert torch.allclose(field.amin((1, 2, 3)), torch.zeros(16))
        assert torch.allclose(field.amax((1, 2, 3)), torch.ones(16))
    assert 3 < crossings(many) / crossings(few) < 9


def test_jpeg_like_loses_detail_where_asked() -> None:
    picture = torch.rand(2, 3, 32, 32, generator=generator()) * 255
    strength = strengths(0.0, 8.0)
    out = filters.jpeg_like(picture, strength)
    assert torch.allclose(out[0], picture[0], atol=1e-2)
    error = (out[1] - picture[1]).abs().mean()
    assert 2 < error < 40
    grey = torch.full((1, 3, 16, 16), 128.0)
    assert torch.allclose(filters.jpeg_like(grey, strength[1:]), grey, atol=8.0)
