"""The propagated alpha follows the colours, whatever the piece, the size or the trimap."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mematte_plugin.network.guidance import strips_of
from mematte_plugin.network.propagation import MAX_CELLS, PropagatedAlpha, cell_size


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


def test_unknown_pixels_take_the_alpha_of_the_colour_they_resemble() -> None:
    image, trimap, subject = scene()
    alpha = PropagatedAlpha(strips_of(image, trimap), image.shape[2:]).crop(image, 0, 0)
    assert (alpha - subject).abs().mean() < 0.03
    # Turned over, the other colour is the subject.
    turned = PropagatedAlpha(strips_of(image, 1 - trimap), image.shape[2:]).crop(image, 0, 0)
    assert (turned - (1 - subject)).abs().mean() < 0.03


def test_a_blend_of_both_colours_gets_an_alpha_between() -> None:
    image, trimap, _ = scene()
    ramp = torch.linspace(1, 0, image.shape[3] // 2)
    quarter = image.shape[3] // 4
    red, blue = image[..., :quarter].mean((2, 3)), image[..., -quarter:].mean((2, 3))
    blend = ramp * red.view(3, 1) + (1 - ramp) * blue.view(3, 1)
    noise = 0.03 * torch.randn(60, len(ramp), generator=torch.Generator().manual_seed(3))
    image[..., quarter : quarter + len(ramp)] = blend[None, :, None] + noise
    late = PropagatedAlpha(strips_of(image, trimap), image.shape[2:]).crop(image, 0, 0)[:, 1:]
    assert (late[..., quarter : quarter + len(ramp)] - ramp).abs().mean() < 0.15


@pytest.mark.parametrize("cell", [2, 3, 7])
def test_pieces_are_those_of_the_whole(cell: int) -> None:
    image, trimap, _ = scene(61, 83)
    guide = PropagatedAlpha(strips_of(image, trimap), image.shape[2:], cell)
    whole = guide.crop(image, 0, 0)
    for top, left, bottom, right in ((0, 0, 16, 83), (13, 5, 37, 40), (50, 64, 61, 83)):
        piece = guide.crop(image[:, :, top:bottom, left:right], top, left)
        torch.testing.assert_close(piece, whole[:, :, top:bottom, left:right], atol=1e-6, rtol=0)


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    scenes = [scene(seed=seed) for seed in (1, 2)]
    image, trimap = torch.cat([s[0] for s in scenes]), torch.cat([s[1] for s in scenes])
    trimap[1] = 1 - trimap[1]
    both = PropagatedAlpha(strips_of(image, trimap), image.shape[2:]).crop(image, 0, 0)
    for b in range(2):
        one, t = image[b : b + 1], trimap[b : b + 1]
        torch.testing.assert_close(
            both[b : b + 1], PropagatedAlpha(strips_of(one, t), one.shape[2:]).crop(one, 0, 0)
        )


@pytest.mark.parametrize("missing", [0.0, 1.0])
def test_without_one_known_region_nothing_is_claimed(missing: float) -> None:
    image, trimap, _ = scene()
    trimap = torch.where(trimap == missing, 0.5, trimap)
    alpha = PropagatedAlpha(strips_of(image, trimap), image.shape[2:]).crop(image, 0, 0)
    torch.testing.assert_close(alpha, torch.full_like(alpha, 0.5))


def test_any_size_and_flat_colours() -> None:
    for height, width in ((1, 1), (1, 40), (3, 2), (17, 33)):
        image = torch.full((1, 3, height, width), 0.5)
        trimap = torch.full((1, 1, height, width), 0.5)
        trimap[..., 0] = 1
        trimap[..., -1] = 0
        alpha = PropagatedAlpha(strips_of(image, trimap), image.shape[2:]).crop(image, 0, 0)
        assert alpha.shape == (1, 2, height, width)
        assert alpha.isfinite().all()
        assert 0 <= alpha.min() <= alpha.max() <= 1


def test_the_grid_is_bounded() -> None:
    for height, width in ((100, 100), (3000, 4000), (4320, 7680), (20000, 30000)):
        cell = cell_size(height, width)
        assert (height // cell) * (width // cell) <= MAX_CELLS


def test_it_can_be_interrupted_all_along() -> None:
    image, trimap, _ = scene(300, 400)
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    watched = PropagatedAlpha(strips_of(image, trimap), (300, 400), tick=tick)
    assert ticks > 30  # searching neighbours, each iteration, the linear model
    for fatal in (0, 5, ticks - 1):
        left = fatal

        def stop() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            PropagatedAlpha(strips_of(image, trimap), (300, 400), tick=stop)
    again = PropagatedAlpha(strips_of(image, trimap), (300, 400))
    assert torch.equal(watched.model, again.model)
