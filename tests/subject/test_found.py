"""What becomes of a mask that a network found."""

import numpy as np
import pytest

from mematte_plugin import MEMatteWarning, SubjectMask

Y, X = np.mgrid[:128, :128]
DISC = np.hypot(Y - 60, X - 60) < 45
INNER = np.hypot(Y - 60, X - 60) < 30


def trimap_of(inside: float, outside: float = 0.0) -> np.ndarray:
    native = np.where(DISC, np.float32(inside), np.float32(outside))
    return SubjectMask(native, (256, 256), 1.0, "segmentation").trimap()


def test_doubt_far_from_the_outline_is_not_opacity() -> None:
    sure = trimap_of(0.8)
    assert (sure[::2, ::2][INNER] == 255).all()
    assert (trimap_of(0.8, 0.2)[240:, 240:] == 0).all()
    assert (sure[::2, ::2][DISC & ~INNER] == 128).any()


def test_what_the_network_cannot_tell_stays_unknown() -> None:
    with pytest.warns(MEMatteWarning, match="unknown"):
        unsure = trimap_of(0.52)
    assert (unsure[::2, ::2][INNER] == 128).all()
