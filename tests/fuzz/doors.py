"""The doors through which strangers' bytes come in, and what must hold behind each of them."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mematte_plugin.errors import MEMatteError, MEMatteWarning
from mematte_plugin.images.decode import read_header
from mematte_plugin.images.read import read_gray, read_photo
from mematte_plugin.trimap.trimap import from_alpha, from_mask, normalise_trimap

LIMIT = 1 << 16
"""Pixels beyond which a file is refused: a fuzzer's pictures are small."""


def photo(data: bytes) -> None:
    """A photograph is whole, or refused in one line; its header tells the same size and depth."""
    read = _or_refused(lambda: read_photo(data, name="x", max_pixels=LIMIT))
    if read is None:
        return
    height, width = read.size
    assert 0 < height * width <= LIMIT
    assert read.pixels.shape == (height, width, 3)
    assert read.pixels.dtype in (np.uint8, np.uint16, np.float32)
    assert read.pixels.flags["C_CONTIGUOUS"]
    assert np.isfinite(read.pixels).all()
    assert np.isfinite(read.for_network()).all()
    assert 0 <= read.for_network().min() <= read.for_network().max() <= 1
    if read.alpha is not None:
        assert (read.alpha.shape, read.alpha.dtype) == ((height, width), read.pixels.dtype)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        header = _or_refused(lambda: read_header(file.name, max_pixels=LIMIT))
    assert header is not None, "the picture can be read, but not its header"
    assert (header.height, header.width) == (height, width)
    assert header.depth == read.pixels.dtype.itemsize


def grey(data: bytes) -> None:
    """A trimap or mask is whole and within [0, 1], or refused in one line."""
    for use_alpha in (False, True):
        read = _or_refused(
            lambda use=use_alpha: read_gray(data, name="x", use_alpha=use, max_pixels=LIMIT)
        )
        if read is not None:
            assert read.ndim == 2
            assert read.dtype == np.float32
            assert 0 <= read.min() <= read.max() <= 1  # False for NaN


def trimap(data: bytes) -> None:
    """Trimaps from whatever file hold their three values, or the file is refused in one line."""
    known = _or_refused(lambda: read_gray(data, max_pixels=LIMIT))
    if known is None:
        return
    for make, values in (
        (lambda: normalise_trimap(data, known.shape, max_pixels=LIMIT), (0, 0.5, 1)),
        (lambda: from_mask(data, size=known.shape, max_pixels=LIMIT), (0, 128, 255)),
        (lambda: from_mask(data, objects=[1, 3], max_pixels=LIMIT), (0, 128, 255)),
        (lambda: from_alpha(data), (0, 128, 255)),
    ):
        made = _or_refused(make)
        if made is not None:
            assert made.shape == known.shape
            assert set(np.unique(made)) <= set(values)


def _or_refused(call: Callable[[], object]) -> object:
    """The result of the call; None if it was refused with a proper message."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", MEMatteWarning)
        try:
            return call()
        except MEMatteError as error:
            text = str(error)
            assert text
            assert "\n" not in text, text
            assert len(text) < 1000, text
            return None


DOORS = (photo, grey, trimap)
