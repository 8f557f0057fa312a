"""Matting errors as the field defines them (Rhemann et al. 2009), over the unknown region.

Details that the definition leaves open follow the evaluation code behind the papers' tables:
kernels of unit Euclidean norm, replicated borders, components of 4-neighbours. Alphas are not
rounded to 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SIGMA, RADIUS = 1.4, 4
"""Gradient: standard deviation of the Gaussian and radius of its kernel, in pixels."""

STEPS = 10
"""Connectivity: number of alpha levels between 0 and 1 at which components are found."""

TOLERANCE = 0.15
"""Connectivity: how far alpha may exceed the level up to which the pixel is connected."""


@dataclass(frozen=True)
class Errors:
    """Errors of one alpha, in the units of the papers."""

    sad: float
    """Sum of absolute differences, in thousands."""
    mse: float
    """Mean squared error, times 1000."""
    mad: float
    """Mean absolute difference."""
    grad: float
    """Sum of squared differences of the gradients' magnitudes, in thousands."""
    conn: float
    """Sum of absolute differences of the degrees of connectedness, in thousands."""


def errors(alpha: Array, truth: Array, trimap: Array) -> Errors:
    """Compare an alpha with the truth over the pixels that the trimap leaves unknown.

    Args:
        alpha: (H, W) float in [0, 1]; replaced by the trimap's value where that is known.
        truth: (H, W) float in [0, 1].
        trimap: (H, W) float; 0 background, 1 foreground, anything between unknown.

    Raises ValueError where the sizes differ or nothing is unknown.
    """
    if not alpha.shape == truth.shape == trimap.shape:
        raise ValueError(
            f"alpha {alpha.shape}, truth {truth.shape} and trimap {trimap.shape} differ in size"
        )
    unknown = (trimap > 0) & (trimap < 1)
    if not unknown.any():
        raise ValueError("the trimap has no unknown region to measure over")
    difference = alpha[unknown].astype(np.float64) - truth[unknown].astype(np.float64)
    # Gradients and components of unknown pixels depend on the known ones around them.
    whole = np.where(unknown, alpha, trimap).astype(np.float32)
    truth = truth.astype(np.float32)
    return Errors(
        sad=float(np.abs(difference).sum() / 1000),
        mse=float((difference**2).mean() * 1000),
        mad=float(np.abs(difference).mean()),
        grad=_gradient_error(whole, truth, unknown) / 1000,
        conn=_connectivity_error(whole, truth, unknown) / 1000,
    )


def mean_errors(all_errors: list[Errors]) -> Errors:
    """Mean over pictures, each with the same weight."""
    return Errors(
        *(float(np.mean([getattr(e, field.name) for e in all_errors])) for field in fields(Errors))
    )


# ---- gradient ------------------------------------------------------------------------------------


def _gradient_error(alpha: Array, truth: Array, unknown: Array) -> float:
    difference = (_slope(alpha) - _slope(truth))[unknown].astype(np.float64)
    return float((difference**2).sum())


def _slope(alpha: Array) -> Array:
    """(H, W) float32: magnitude of the Gaussian-smoothed gradient."""
    import cv2

    at = np.arange(-RADIUS, RADIUS + 1)
    smooth = np.exp(-(at**2) / (2 * SIGMA**2))
    derived = at * smooth
    # The norm of an outer product is the product of the norms.
    smooth, derived = (kernel / np.linalg.norm(kernel) for kernel in (smooth, derived))
    along_x, along_y = (
        cv2.sepFilter2D(alpha, cv2.CV_32F, *kernels, borderType=cv2.BORDER_REPLICATE)
        for kernels in ((derived, smooth), (smooth, derived))
    )
    return np.asarray(np.hypot(along_x, along_y))


# ---- connectivity --------------------------------------------------------------------------------


def _connectivity_error(alpha: Array, truth: Array, unknown: Array) -> float:
    connected = _connected_level(alpha, truth)[unknown]
    degrees = []
    for values in (alpha[unknown], truth[unknown]):
        excess = values.astype(np.float64) - connected
        degrees.append(1 - np.where(excess >= TOLERANCE, excess, 0))
    return float(np.abs(degrees[0] - degrees[1]).sum())


def _connected_level(alpha: Array, truth: Array) -> Array:
    """(H, W) float64: up to which level a pixel is connected to the sure foreground, the largest
    component of the pixels that reach the level in both mattes."""
    import cv2

    both = np.minimum(alpha, truth)
    level = np.ones(both.shape)
    open_ = np.ones(both.shape, bool)
    for step in range(1, STEPS + 1):
        reached = (both >= np.float32(step / STEPS)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(reached, connectivity=4)
        inside = np.zeros(both.shape, bool)
        if count > 1:  # label 0: pixels below the level
            inside = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        level[open_ & ~inside] = (step - 1) / STEPS
        open_ &= inside
    return level
