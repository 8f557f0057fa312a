"""The guidance channels say what the known regions say."""

import torch

from mematte_plugin.network.guidance import FARTHEST, NearestColours, strips_of
from tests.networks import random_input


def halves() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Red foreground on the left, blue background on the right, a linear mixture between."""
    alpha = torch.linspace(1.5, -0.5, 160).clamp(0, 1).expand(80, 160)
    red, blue = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.2, 0.8])
    image = alpha * red[:, None, None] + (1 - alpha) * blue[:, None, None]
    trimap = torch.full((80, 160), 0.5)
    trimap[:, :30] = 1
    trimap[:, -30:] = 0
    return image[None], trimap[None, None], alpha


def test_mixture_of_two_plain_colours_is_solved() -> None:
    image, trimap, alpha = halves()
    fore, back, line, distances = NearestColours(strips_of(image, trimap), image.shape[2:]).crop(
        image, 0, 0
    )
    assert torch.allclose(fore[0, :, 40, 80], torch.tensor([0.9, 0.1, 0.1]), atol=1e-3)
    assert torch.allclose(back[0, :, 40, 80], torch.tensor([0.1, 0.2, 0.8]), atol=1e-3)
    assert (line[0, 0] - alpha).abs().max() < 0.02
    # In log pixels: column 80 lies 50 columns from either region, give or take a cell.
    pixels = (distances[0, :, 40, 80] * 5).expm1()
    assert ((pixels - 50).abs() <= 6).all()


def test_a_piece_equals_the_same_piece_of_the_whole() -> None:
    image, trimap = random_input(101, 157)
    nearest = NearestColours(strips_of(image, trimap), image.shape[2:])
    whole = nearest.crop(image, 0, 0)
    for top, left, bottom, right in [
        (0, 0, 3, 5),
        (17, 30, 90, 157),
        (98, 1, 101, 2),
        (5, 5, 6, 6),
    ]:
        pieces = nearest.crop(image[:, :, top:bottom, left:right], top, left)
        for a, b in zip(whole, pieces, strict=True):
            assert torch.allclose(a[:, :, top:bottom, left:right], b, atol=1e-6)


def test_missing_region_reads_as_far_away_and_undecided() -> None:
    image, trimap = random_input(64, 64)
    _, _, line, distances = NearestColours(
        strips_of(image, trimap.clamp_min(0.5)), image.shape[2:]
    ).crop(image, 0, 0)
    assert (line == 0.5).all()
    assert ((distances[:, 1] * 5).expm1() - FARTHEST).abs().max() < 1
