"""Arrays and tensors as pictures: taken as they are, or refused in one clear line."""

from typing import Any

import numpy as np
import pytest
import torch

from mematte_plugin.errors import InputError
from mematte_plugin.images.read import read_gray, read_photo, split_batch


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_arrays_and_tensors() -> None:
    eight = noise(5, 7, 3)
    unit = (eight / 255).astype(np.float32)
    for source in (
        unit, unit.astype(np.float64), torch.from_numpy(unit),
        torch.from_numpy(unit).permute(2, 0, 1), torch.from_numpy(unit).double().requires_grad_(),
    ):  # fmt: skip
        np.testing.assert_allclose(read_photo(source).pixels, unit, atol=1e-7)
    assert read_photo(torch.from_numpy(unit).bfloat16()).pixels.dtype == np.float32
    np.testing.assert_array_equal(read_photo(eight[..., 0]).pixels[..., 2], eight[..., 0])
    assert read_photo(unit * np.float32(1.0005)).pixels.max() <= 1  # resampling overshoot


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8", ">f2"])
def test_arrays_of_the_other_byte_order(dtype: str) -> None:
    top = 65535 if dtype == ">u2" else 1
    grey = (noise(5, 7) / 255 * top).astype(dtype)
    photo = read_photo(np.dstack([grey] * 3))
    assert photo.pixels.dtype == (np.uint16 if dtype == ">u2" else np.float32)
    np.testing.assert_array_equal(photo.pixels[..., 1], grey.astype(photo.pixels.dtype))
    np.testing.assert_allclose(read_gray(grey), grey.astype(np.float64) / top, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4), (1, 1, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy])
def test_the_callers_buffer_may_be_reused(shape: Any, dtype: Any, wrap: Any) -> None:
    buffer = np.ones(shape, dtype)
    photo = read_photo(wrap(buffer))
    buffer[:] = 0
    assert photo.pixels.all()
    assert photo.alpha is None or photo.alpha.all()


def test_split_batch() -> None:
    assert split_batch("a.jpg") == (["a.jpg"], False)
    assert split_batch(["a.jpg", "b.jpg"]) == (["a.jpg", "b.jpg"], True)
    images, many = split_batch(torch.zeros(2, 3, 8, 9))
    assert (many, [tuple(i.shape) for i in images]) == (True, [(3, 8, 9)] * 2)
    assert split_batch(np.zeros((8, 9, 3)))[1] is False
    assert len(split_batch(np.zeros((2, 8, 9)), grey=True)[0]) == 2
    assert split_batch(torch.zeros(1, 8, 9), grey=True)[1] is False


BAD_ARRAYS: dict[str, tuple[Any, str]] = {
    "no rows": (np.zeros((0, 5, 3), np.uint8), "without a single pixel"),
    "no columns": (torch.zeros(5, 0), "without a single pixel"),
    "NaN": (np.full((4, 4, 3), np.nan), "48 NaN or infinite"),
    "inf": (np.array([[0.5, np.inf]]), "1 NaN or infinite"),
    "0 to 255 floats": (np.full((4, 4, 3), 255.0), "from 255 to 255.*divide by 255"),
    "HDR floats": (np.full((4, 4, 3), 2.94), "to 2.94, most of them above 1; scale"),
    "wide floats": (np.full((4, 4, 3), 99999.0), "most of them above 1; scale"),
    "beyond all light": (np.full((4, 4, 3), 3e38), "to 3e.38, which no light has"),
    "negative floats": (np.full((4, 4), -0.5), "from -0.5 to -0.5"),
    "int64": (np.full((4, 4, 3), 200), "int64"),
    "complex": (np.zeros((4, 4), complex), "complex128"),
    "text": (np.array([["a"]]), "give uint8"),
    "numpy channels first": (np.zeros((3, 8, 9), np.uint8), r"transpose\(1, 2, 0\)"),
    "two channels": (np.zeros((8, 9, 2), np.uint8), r"shape \(8, 9, 2\)"),
    "batch": (np.zeros((2, 8, 9, 3), np.uint8), "is a batch"),
    "one row": (np.zeros(5, np.uint8), r"shape \(5,\)"),
    "something else": ({"a": 1}, "cannot be read from dict"),
    "none": (None, "cannot be read from NoneType"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_give_one_clear_line(case: str) -> None:
    source, fault = BAD_ARRAYS[case]
    with pytest.raises(InputError, match=fault):
        read_photo(source, name="the photo")
