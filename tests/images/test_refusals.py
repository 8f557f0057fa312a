"""Decoders' errors are reported as damage; our own bugs and missing memory are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mematte_plugin.errors import InputError
from mematte_plugin.images.photo import Photo
from mematte_plugin.images.pillow import from_pil
from mematte_plugin.images.refusals import IgnoreDamage, refusals


@pytest.mark.parametrize("context", [lambda: refusals("PNG", "a.png"), IgnoreDamage])
def test_our_own_bugs_are_not_called_damage(context) -> None:
    with pytest.raises(AttributeError), context():
        from_pil(None, "a.png")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "not enough memory to decode it"),
        (AttributeError("no tag"), "PNG file is damaged or cut off \\(no tag\\)"),  # a decoder's
        (NotImplementedError("arithmetic coding"), "of a kind that cannot be read"),
    ],
)
def test_what_decoders_raise_is_one_clear_error(error: Exception, says: str) -> None:
    with pytest.raises(InputError, match=f"^a.png: .*{says}"), refusals("PNG", "a.png"):
        raise error


def test_any_array_makes_a_photo_that_torch_can_use() -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    fixed = pixels[..., 0].copy()
    fixed.flags.writeable = False
    photo = Photo(pixels[::-1, ::-1], alpha=fixed)
    assert photo.alpha is not None
    for made, given in ((photo.pixels, pixels[::-1, ::-1]), (photo.alpha, fixed)):
        np.testing.assert_array_equal(torch.from_numpy(made), given)
    assert Photo(pixels).pixels is pixels  # no copy of what is fine
