"""The paper's training losses; the matting terms are those of ViTMatte.

All take alpha and truth (B, 1, H, W) in [0, 1] and return a scalar. Means over a region are taken
crop by crop, and each crop with such a region counts the same, as photos do in an evaluation:
otherwise the widest bands, which are the most ambiguous, would dominate.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

PYRAMID_LEVELS = 5
SMOOTHNESS = 0.01


def region_mean(values: Tensor, region: Tensor) -> Tensor:
    """Mean of `values` (B, 1, H, W) where `region` (same shape, 0/1) is 1, crop by crop, then over
    the crops that have such pixels; 0 if none has."""
    pixels = region.sum((1, 2, 3))
    means = (values * region).sum((1, 2, 3)) / pixels.clamp_min(1)
    return means.sum() / (pixels > 0).sum().clamp_min(1)


def unknown_l1(alpha: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """Mean absolute error over the unknown region (unknown: (B, 1, H, W) of 0/1)."""
    return region_mean((alpha - truth).abs(), unknown)


def unknown_squared(alpha: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """Mean squared error over the unknown region.

    Not in the paper. The absolute error favours the likelier of two possible alphas; the squared
    error favours a value in between, and weighs gross errors more.
    """
    return region_mean((alpha - truth) ** 2, unknown)


def known_l1(alpha: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """Mean absolute error over the known regions."""
    return region_mean((alpha - truth).abs(), 1 - unknown)


def laplacian(alpha: Tensor, truth: Tensor) -> Tensor:
    """L1 between Laplacian pyramids, level l weighted by 2^l (Hou & Liu 2019)."""
    difference = alpha - truth  # the pyramid is linear
    total = difference.new_zeros(())
    for level in range(PYRAMID_LEVELS):
        if min(difference.shape[-2:]) < 4:  # too small to blur with 5 taps
            break
        smaller = _blur(difference)[..., ::2, ::2]
        back = F.interpolate(
            smaller, size=difference.shape[-2:], mode="bilinear", align_corners=False
        )
        total = total + 2**level * (difference - back).abs().mean()
        difference = smaller
    return total / PYRAMID_LEVELS


def gradient_penalty(alpha: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """L1 between Sobel gradients over the unknown region, plus smoothness (Dai et al. 2022)."""
    total = alpha.new_zeros(())
    for kernel in _sobel(alpha):
        found = F.conv2d(alpha, kernel, padding=1)
        wanted = F.conv2d(truth, kernel, padding=1)
        total = total + region_mean((found - wanted).abs(), unknown)
        total = total + SMOOTHNESS * region_mean(found.abs(), unknown)
    return total


def distillation(features: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of features (B, C, h, w) from a teacher's, over their variance.

    The paper's is not divided. But features have no fixed scale: those of a small network trained
    from scratch reached a mean square of 2300, ten times all other losses together.

    Raises ValueError if the shapes differ.
    """
    if features.shape != teacher.shape:
        raise ValueError(f"features {tuple(features.shape)}, the teacher's {tuple(teacher.shape)}")
    teacher = teacher.detach().float()
    variance = teacher.var((0, 2, 3), correction=0).mean()
    return F.mse_loss(features.float(), teacher) / variance.clamp_min(1e-6)


def kept_share(keep: Sequence[Tensor]) -> Tensor:
    """Share of tokens kept: the mean over routed blocks, each (B, h, w) of 0 and 1, and images."""
    return torch.stack([k.float().mean() for k in keep]).mean()


def retention(share: Tensor, target: float) -> Tensor:
    """(mean kept share - target)²: the paper's batch-constrained adaptive token routing.

    Only the batch's mean is bound, so a busy image may keep more tokens than a plain one.

    Args:
        share: `kept_share` of the batch, with gradient.
        target: share of tokens to keep, 0 to 1.
    """
    return (share - target) ** 2


def routing_hint(margins: Sequence[Tensor], unknown: Tensor) -> Tensor:
    """Cross-entropy between the decisions and "does this token hold unknown pixels?".

    Not in the paper. The retention loss alone is satisfied by routers that keep every token with
    the same probability, whose argmax keeps all tokens or none; short training from scratch does
    not escape from that. A small weight of this loss breaks the symmetry.

    Args:
        margins: per routed block, (B, h, w): score(keep) - score(skip).
        unknown: (B, 1, H, W) of 0/1, with H / h = W / w whole.
    """
    side = unknown.shape[-1] // margins[0].shape[-1]
    tokens = F.max_pool2d(unknown, side)[:, 0]
    return torch.stack([F.binary_cross_entropy_with_logits(m, tokens) for m in margins]).mean()


def _blur(x: Tensor) -> Tensor:
    taps = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    x = F.conv2d(F.pad(x, (2, 2, 0, 0), mode="reflect"), taps.view(1, 1, 1, 5))
    return F.conv2d(F.pad(x, (0, 0, 2, 2), mode="reflect"), taps.view(1, 1, 5, 1))


def _sobel(like: Tensor) -> tuple[Tensor, Tensor]:
    across = like.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    return across.view(1, 1, 3, 3), across.t().reshape(1, 1, 3, 3)
