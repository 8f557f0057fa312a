"""Arrays of any shape, dtype and values as photos, masks, trimaps and strokes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from mematte_plugin.errors import MEMatteError, MEMatteWarning
from mematte_plugin.images.read import read_gray, read_photo
from mematte_plugin.trimap.painting import from_strokes
from mematte_plugin.trimap.trimap import from_alpha, from_mask, normalise_trimap

from .test_doors import patient

DTYPES = ("bool", "u1", "u2", "u4", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4", "c8")

CALLS: dict[str, tuple[Callable[[Any], Any], tuple[float, ...]]] = {
    "photo": (lambda a: read_photo(a).pixels, ()),
    "grey": (read_gray, ()),
    "mask": (from_mask, (0, 128, 255)),
    "sized mask": (lambda a: from_mask(a, size=(9, 7)), (0, 128, 255)),
    "object of a mask": (lambda a: from_mask(a, objects=1), (0, 128, 255)),
    "trimap": (lambda a: normalise_trimap(a, a.shape[:2]), (0, 0.5, 1)),
    "sized trimap": (lambda a: normalise_trimap(a, (9, 7)), (0, 0.5, 1)),
    "alpha": (from_alpha, (0, 128, 255)),
    "strokes": (from_strokes, (0, 128, 255)),
}


def values(dtype: np.dtype[Any]) -> st.SearchStrategy[Any] | None:
    """Mostly what pictures hold, sometimes anything that the dtype can."""
    anything = arrays.from_dtype(dtype)
    if dtype.kind in "iu":
        top = np.iinfo(dtype).max
        picked = st.sampled_from([v for v in (0, 1, 2, 3, 38, 128, 254, 255, 65535) if v <= top])
    elif dtype.kind == "f":
        picked = st.sampled_from([0.0, 0.5, 1.0, 0.25, 2.0, 255.0, -0.5])
    else:
        return anything
    return st.one_of(picked, picked, anything)


@st.composite
def any_array(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    return draw(arrays.arrays(dtype, shape, elements=values(dtype)))


@pytest.mark.parametrize("name", CALLS)
@patient
@given(array=any_array())
def test_arrays_are_read_or_refused_in_one_line(name: str, array: np.ndarray) -> None:
    call, allowed = CALLS[name]
    before = array.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", MEMatteWarning)
        made = or_message(call, array)
    if isinstance(made, str):
        assert "\n" not in made
    else:
        assert np.isfinite(made).all()
        assert not allowed or set(np.unique(made)) <= set(allowed)
    np.testing.assert_array_equal(array, before)


@patient
@given(array=any_array())
def test_a_tensor_and_its_array_mean_the_same(array: np.ndarray) -> None:
    if array.dtype.kind not in "bf" and array.dtype != np.uint8:
        return
    if not array.dtype.isnative or array.ndim != 2:
        return
    assert outcome(torch.from_numpy(array.copy())) == outcome(array)


def outcome(mask: Any) -> Any:
    """The trimap made of it, in a form to compare; None if it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = or_message(from_mask, mask)
    return None if isinstance(made, str) else made.tolist()


def or_message(call: Callable[[Any], Any], array: Any) -> Any:
    """What the call returns, or the message that refuses it."""
    try:
        return call(array)
    except MEMatteError as error:
        return str(error)
