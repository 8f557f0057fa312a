"""Matting errors as the field defines them (Rhemann et al. 2009), over the unknown region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Errors:
    """Errors of one alpha, in the units of the papers."""

    sad: float
    """Sum of absolute differences, in thousands."""
    mse: float
    """Mean squared error, times 1000."""
    mad: float
    """Mean absolute difference."""


def errors(alpha: Array, truth: Array, trimap: Array) -> Errors:
    """Compare an alpha with the truth over the pixels that the trimap leaves unknown.

    Args:
        alpha: (H, W) float in [0, 1].
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
    return Errors(
        sad=float(np.abs(difference).sum() / 1000),
        mse=float((difference**2).mean() * 1000),
        mad=float(np.abs(difference).mean()),
    )


def mean_errors(all_errors: list[Errors]) -> Errors:
    """Mean over pictures, each counting the same."""
    return Errors(
        *(float(np.mean([getattr(e, f) for e in all_errors])) for f in ("sad", "mse", "mad"))
    )
