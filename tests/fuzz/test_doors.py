"""Strangers' bytes: no crash, no traceback, no wrong size, whatever is in them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from mematte_plugin.errors import InputError
from mematte_plugin.images.read import read_gray, read_photo

from .doors import DOORS, photo
from .seeds import pixels, seeds, tiff_bytes

SEEDS = seeds()
FOUND = sorted((Path(__file__).parent / "found").glob("*"))
Door = Callable[[bytes], None]

patient = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_are_read_with_the_size_that_they_were_written_in(name: str) -> None:
    for door in DOORS:
        door(SEEDS[name])
    if name in ("exr_a.exr", "exr_ids.exr"):  # a mask and no photo
        size = read_gray(SEEDS[name], use_alpha=True).shape
    else:
        size = read_photo(SEEDS[name]).size
    assert sorted(size) in ([7, 11], [16, 16], [16, 32], [32, 48])


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_fuzzing_found_stays_mended(path: Path) -> None:
    for door in DOORS:
        door(path.read_bytes())


@pytest.mark.parametrize("door", DOORS)
@patient
@given(name=st.sampled_from(sorted(SEEDS)), seed=st.integers(0, 2**32 - 1))
def test_damaged_files(door: Door, name: str, seed: int) -> None:
    door(damaged(SEEDS[name], random.Random(seed)))


@pytest.mark.parametrize("name", [n for n in SEEDS if n not in ("bmp.bmp",)])
def test_a_file_cut_in_half_is_refused(name: str) -> None:
    data = SEEDS[name]
    with pytest.raises(InputError):
        read_photo(data[: len(data) // 2], name=name)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, a piece taken out, doubled or cut off."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(found))
        found[at] = rng.choice((0, 1, 255, found[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
    start, length = rng.randrange(len(found)), rng.randrange(1, 64)
    way = rng.randrange(8)
    if way == 0:
        del found[start:]
    elif way == 1:
        del found[start : start + length]
    elif way == 2:
        found[start:start] = found[start : start + length]
    return bytes(found) or b"\0"


TIFF_KINDS: dict[str, tuple[Any, int]] = {
    "minisblack": (("u1", "u2", "f2", "f4"), 1),
    "miniswhite": (("u1", "u2"), 1),
    "rgb": (("u1", "u2", "f2", "f4"), 3),
}


@patient
@given(data=st.data())
def test_a_tiff_of_any_layout_holds_the_same_picture(data: st.DataObject) -> None:
    photometric = data.draw(st.sampled_from(sorted(TIFF_KINDS)))
    dtypes, channels = TIFF_KINDS[photometric]
    dtype = np.dtype(data.draw(st.sampled_from(dtypes)))
    planar = channels == 3 and data.draw(st.booleans())
    options: dict[str, Any] = {
        "photometric": photometric,
        "byteorder": data.draw(st.sampled_from("<>")),
        "bigtiff": data.draw(st.booleans()),
        "compression": data.draw(st.sampled_from((None, "zlib"))),
        "extratags": [(274, "H", 1, data.draw(st.integers(1, 8)), True)],
    }
    orientation = options["extratags"][0][3]
    if options["compression"] and dtype.itemsize < 4 and dtype.kind == "u":
        options["predictor"] = data.draw(st.booleans())
    if data.draw(st.booleans()):
        options["tile"] = (16, 16)
    else:
        options["rowsperstrip"] = data.draw(st.integers(1, 40))
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    picture = pixels(height, width, channels, dtype=dtype, seed=1)
    stored = picture if channels == 3 else picture[..., 0]
    if photometric == "miniswhite":
        stored = np.iinfo(dtype).max - stored
    if channels == 3:
        options["planarconfig"] = "separate" if planar else "contig"
        stored = np.moveaxis(stored, 2, 0) if planar else stored
    encoded = tiff_bytes(np.ascontiguousarray(stored), **options)
    photo(encoded)
    found = read_photo(encoded).pixels
    wanted = turned(np.repeat(picture, 3 // channels, axis=2), orientation)
    if dtype.kind == "f":
        wanted = wanted.astype(np.float32)
    np.testing.assert_array_equal(found, wanted)


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """As a viewer shows what is stored with this orientation (TIFF 6.0, page 36)."""
    if orientation >= 5:
        array = np.swapaxes(array, 0, 1)
    from_right, from_below = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    array = array[:, ::-1] if from_right else array
    return array[::-1] if from_below else array
