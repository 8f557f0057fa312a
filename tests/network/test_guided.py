"""Maps of a coarse grid follow the picture when they are brought up to its resolution."""

from __future__ import annotations

import pytest
import torch

from mematte_plugin.network import guided
from mematte_plugin.network.guided import linear_model, surrounded, upsampled


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def evaluated(model: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Alphas (B, n, h, w) of a model (B, n, 4, h, w)."""
    return (model[:, :, :3] * colours[:, None]).sum(2) + model[:, :, 3]


def test_alphas_that_are_linear_in_the_colours_are_met_exactly() -> None:
    colours = random(2, 3, 30, 40)
    slopes = torch.tensor([[0.5, -0.2, 0.1], [-1.0, 0.3, 0.4]])
    alphas = torch.einsum("nc,bchw->bnhw", slopes, colours) + 0.3
    model = linear_model(colours, alphas, lambda: None)
    torch.testing.assert_close(evaluated(model, colours), alphas, atol=5e-3, rtol=0)


def test_on_a_plain_colour_alphas_are_smoothed() -> None:
    alphas = random(1, 1, 20, 20)
    model = linear_model(torch.full((1, 3, 20, 20), 0.4), alphas, lambda: None)
    assert model[:, :, :3].abs().max() < 1e-3
    smooth = evaluated(model, torch.full((1, 3, 20, 20), 0.4))
    assert smooth.isfinite().all()
    assert smooth.std() < alphas.std() / 3
    assert abs(float(smooth.mean() - alphas.mean())) < 0.02


def test_the_model_does_not_depend_on_the_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    colours, alphas = random(1, 3, 50, 20), random(1, 2, 50, 20, seed=1)
    whole = linear_model(colours, alphas, lambda: None)
    ticks: list[None] = []
    monkeypatch.setattr(guided, "_STRIP_ROWS", 7)
    pieces = linear_model(colours, alphas, lambda: ticks.append(None))
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-4)
    assert len(ticks) == 8


def test_pieces_of_upsampled_maps_are_those_of_the_whole() -> None:
    maps = surrounded(random(2, 3, 9, 11))
    for cell in (1, 2, 5):
        h, w = 9 * cell, 11 * cell - cell // 2
        whole = upsampled(maps, cell, (0, 0, h, w))
        assert whole.shape == (2, 3, h, w)
        for top, left, bottom, right in ((0, 0, 1, 1), (3, 4, 8, w), (h - 1, w - 1, h, w)):
            piece = upsampled(maps, cell, (top, left, bottom, right))
            torch.testing.assert_close(
                piece, whole[:, :, top:bottom, left:right], atol=1e-6, rtol=0
            )


def test_upsampling_keeps_values_at_the_middle_of_cells_and_at_the_border() -> None:
    maps = random(1, 1, 4, 5)
    full = upsampled(surrounded(maps), 3, (0, 0, 12, 15))
    torch.testing.assert_close(full[:, :, 1::3, 1::3], maps)
    torch.testing.assert_close(full[0, 0, 0, 0], maps[0, 0, 0, 0])
