"""Errors against hand-worked values."""

import math

import numpy as np
import pytest

from mematte_plugin.evaluation.baselines import distance_ratio
from mematte_plugin.evaluation.metrics import Errors, errors, mean_errors

TRIMAP = np.array([[0, 0.5, 0.5, 1]], np.float32)


def unknown_everywhere(alpha, truth) -> Errors:
    alpha, truth = np.array(alpha, np.float32), np.array(truth, np.float32)
    return errors(alpha, truth, np.full(alpha.shape, 0.5, np.float32))


def test_errors_count_the_unknown_region_only() -> None:
    truth = np.array([[0, 0.25, 0.75, 1]], np.float32)
    alpha = np.array([[1, 0.5, 0.25, 0]], np.float32)  # known pixels are wrong on purpose
    found = errors(alpha, truth, TRIMAP)
    assert found.sad == pytest.approx(0.75 / 1000)
    assert found.mse == pytest.approx((0.0625 + 0.25) / 2 * 1000)
    assert found.mad == pytest.approx(0.375)
    assert mean_errors([found, Errors(0, 0, 0, 0, 0)]).mad == pytest.approx(0.1875)
    assert found == errors(np.where(TRIMAP == 0.5, alpha, TRIMAP), truth, TRIMAP)


def test_sizes_must_agree_and_something_must_be_unknown() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        errors(np.zeros((2, 2)), np.zeros((2, 3)), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="no unknown"):
        errors(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)))


def test_the_truth_has_no_error_and_more_noise_has_more() -> None:
    rng = np.random.default_rng(0)
    truth = np.clip(rng.normal(0.5, 0.5, (40, 50)), 0, 1)
    noise = rng.normal(0, 1, truth.shape)
    exact, little, much = (
        unknown_everywhere(np.clip(truth + share * noise, 0, 1), truth) for share in (0, 0.1, 0.5)
    )
    assert exact == Errors(0, 0, 0, 0, 0)
    assert all(0 < getattr(little, name) < getattr(much, name) for name in vars(exact))


def test_gradient_compares_slopes_and_not_values() -> None:
    ramp = np.tile(np.arange(401) * 0.002, (41, 1))
    assert unknown_everywhere(ramp + 0.1, ramp).grad == pytest.approx(0, abs=1e-6)
    # Against a flat matte each pixel's error is the square of slope × response. With g the
    # Gaussian, the response to slope 1 is 1 / (|g| |g'|) = sqrt(8 π) σ², as |g|² = 1 / (2 σ √π) and
    # |g'|² = 1 / (4 σ³ √π). Not exactly: the kernel is sampled and short, the picture has borders.
    flat = unknown_everywhere(np.full(ramp.shape, 0.4), ramp)
    expected = (0.002 * math.sqrt(8 * math.pi) * 1.4**2) ** 2
    assert flat.grad * 1000 / ramp.size == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(
    ("alpha", "truth", "conn"),
    [
        # Pixels 0–2 are the body. The island is connected at no level: its degree is 1 - 0.8.
        ([[1, 1, 1, 0, 0.8]], [[1, 1, 1, 0, 0]], 0.8),
        # An island in both mattes is as detached in the one as in the other.
        ([[1, 1, 1, 0, 0.8]], [[1, 1, 1, 0, 0.8]], 0),
        # A haze of 0.1 is below the tolerance.
        ([[1, 1, 1, 0, 0.1]], [[1, 1, 1, 0, 0]], 0),
        # 0.75 is connected up to level 0.7: the truth exceeds that by 0.3, the alpha by too little.
        ([[1, 1, 1, 0.75]], [[1, 1, 1, 1]], 0.3),
        # Corners do not connect: detached, 0.9 and 1 differ; connected they would not.
        ([[1, 1, 1, 0], [0, 0, 0, 0.9]], [[1, 1, 1, 0], [0, 0, 0, 1]], 0.1),
    ],
)
def test_connectivity(alpha, truth, conn) -> None:
    assert unknown_everywhere(alpha, truth).conn * 1000 == pytest.approx(conn, abs=1e-6)


def test_distance_ratio_runs_from_background_to_foreground() -> None:
    trimap = np.full((5, 11), 0.5, np.float32)
    trimap[:, 0], trimap[:, -1] = 0, 1
    assert np.allclose(distance_ratio(trimap), np.linspace(0, 1, 11), atol=0.02)
    trimap[:, -1] = 0.5  # no foreground
    assert (distance_ratio(trimap)[:, 1:] == 0.5).all()
