"""Errors against hand-worked values."""

import numpy as np
import pytest

from mematte_plugin.evaluation.baselines import distance_ratio
from mematte_plugin.evaluation.metrics import Errors, errors, mean_errors

TRIMAP = np.array([[0, 0.5, 0.5, 1]], np.float32)


def test_errors_count_the_unknown_region_only() -> None:
    truth = np.array([[0, 0.25, 0.75, 1]], np.float32)
    alpha = np.array([[1, 0.5, 0.25, 0]], np.float32)  # known pixels are wrong on purpose
    found = errors(alpha, truth, TRIMAP)
    assert found.sad == pytest.approx(0.75 / 1000)
    assert found.mse == pytest.approx((0.0625 + 0.25) / 2 * 1000)
    assert found.mad == pytest.approx(0.375)
    assert mean_errors([found, Errors(0, 0, 0)]).mad == pytest.approx(0.1875)


def test_sizes_must_agree_and_something_must_be_unknown() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        errors(np.zeros((2, 2)), np.zeros((2, 3)), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="no unknown"):
        errors(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)))


def test_distance_ratio_runs_from_background_to_foreground() -> None:
    trimap = np.full((5, 11), 0.5, np.float32)
    trimap[:, 0], trimap[:, -1] = 0, 1
    assert np.allclose(distance_ratio(trimap), np.linspace(0, 1, 11), atol=0.02)
    trimap[:, -1] = 0.5  # no foreground
    assert (distance_ratio(trimap)[:, 1:] == 0.5).all()
