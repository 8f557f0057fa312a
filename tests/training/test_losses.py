"""Every loss against a hand-worked value."""

import pytest
import torch

from mematte_plugin.training import losses


def plane(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)[None, None]


def test_regions_are_averaged_apart() -> None:
    alpha, truth = plane([0.5, 1.0, 0.0, 0.2]), plane([0.0, 0.5, 0.0, 0.0])
    unknown = plane([1.0, 1.0, 0.0, 0.0])
    assert losses.unknown_l1(alpha, truth, unknown) == pytest.approx(0.5)
    assert losses.known_l1(alpha, truth, unknown) == pytest.approx(0.1)
    assert losses.unknown_l1(alpha, truth, torch.zeros_like(unknown)) == 0


def test_squared_error_weighs_gross_errors_more() -> None:
    alpha, truth = plane([0.5, 1.0, 0.7]), plane([0.0, 0.0, 0.0])
    unknown = plane([1.0, 1.0, 0.0])
    assert losses.unknown_squared(alpha, truth, unknown) == pytest.approx((0.25 + 1) / 2)


def test_gradient_penalty_of_a_ramp() -> None:
    # d alpha / dx = 0.1 inside the picture (Sobel over 8), the truth is flat.
    alpha = (torch.arange(8) * 0.1).expand(8, 8)[None, None]
    unknown = torch.zeros_like(alpha)
    unknown[..., 3:5, 3:5] = 1
    found = losses.gradient_penalty(alpha, torch.zeros_like(alpha), unknown)
    assert found == pytest.approx(0.1 + losses.SMOOTHNESS * 0.1, rel=1e-4)


def test_laplacian_ignores_a_constant_and_weighs_detail() -> None:
    truth = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert losses.laplacian(truth, truth) == 0
    assert losses.laplacian(truth + 0.3, truth) == pytest.approx(0, abs=1e-6)
    # On 2 by 2 pixels nothing is left to blur: the pyramid is empty.
    assert losses.laplacian(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)) == 0
    # Level 0 alone (4 by 4, then 2 by 2): a checkerboard of ±1 blurs to 0 with taps 1 4 6 4 1.
    board = ((torch.arange(4)[:, None] + torch.arange(4)) % 2 * 2.0 - 1)[None, None]
    found = losses.laplacian(board, torch.zeros_like(board))
    assert found == pytest.approx(1 / losses.PYRAMID_LEVELS, rel=1e-5)


def test_retention_binds_the_mean_over_the_batch_not_each_image() -> None:
    keep = [torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]]]), torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])]
    share = losses.kept_share(keep)  # (2/4 + 1/4) / 2
    assert share == pytest.approx(0.375)
    assert losses.retention(share, 0.375) == pytest.approx(0, abs=1e-12)
    assert losses.retention(share, 0.25) == pytest.approx(0.125**2)


def test_distillation_is_relative_and_leaves_the_teacher_alone() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[0.0, 0.0]]]], requires_grad=True)
    teacher = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]], requires_grad=True)
    loss = losses.distillation(features, teacher)
    # The teacher's channels are (1, 0) and (0, 1): both of variance 0.25.
    assert loss.item() == pytest.approx((0 + 4 + 0 + 1) / 4 / 0.25)
    assert losses.distillation(10 * features, 10 * teacher).item() == pytest.approx(loss.item())
    loss.backward()
    assert features.grad is not None
    assert teacher.grad is None
    with pytest.raises(ValueError, match="features"):
        losses.distillation(features, teacher[..., :1])


def test_routing_hint_wants_unknown_tokens_kept() -> None:
    unknown = torch.zeros(1, 1, 32, 32)
    unknown[..., 3, 20] = 1  # one pixel in the upper right token
    right = torch.tensor([[[-9.0, 9.0], [-9.0, -9.0]]])
    assert losses.routing_hint([right], unknown) < 1e-3
    undecided = torch.zeros(1, 2, 2)
    assert losses.routing_hint([undecided], unknown) == pytest.approx(0.6931, abs=1e-4)
    assert losses.routing_hint([-right, right], unknown) == pytest.approx(4.5, abs=1e-2)
