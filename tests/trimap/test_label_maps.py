"""Label maps: objects are listed, and chosen by id or colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mematte_plugin.errors import InputError, SettingError
from mematte_plugin.trimap.labels import parse_objects
from mematte_plugin.trimap.masks import read_mask
from mematte_plugin.trimap.trimap import from_mask

from ..mask_cases import (
    AWAY,
    DISC,
    EXPECTED,
    HALVES,
    LEFT,
    RIGHT,
    SPOTS,
    VOC,
    X,
    Y,
    colours,
    palette,
    quietly,
)

TWO = {
    "uint8": HALVES,
    "int32": HALVES.astype(np.int32),
    "int64 tensor": torch.tensor(HALVES.astype(np.int64)),
    "float": HALVES.astype(np.float32),
    "float of 255ths": torch.tensor(HALVES / np.float32(255)),
    "a palette": palette(HALVES, VOC),
    "a palette of other colours": palette(HALVES, [(0, 0, 0), (0, 90, 200), (250, 120, 0)]),
    "a palette of a grey ramp": palette(HALVES, [(i, i, i) for i in range(256)]),
    "a grey picture in colour": colours((0, 0, 0), (1, 1, 1)) * HALVES[..., None],
}


@pytest.mark.parametrize("name", TWO)
def test_objects_are_listed_and_chosen(name: str) -> None:
    with pytest.raises(
        InputError, match=r"mask: is a map of 2 objects: 1 \(\d+ pixels\), 2"
    ) as caught:
        from_mask(TWO[name])
    assert "--object 2 (in Python objects=2)" in str(caught.value)
    for objects, mask in (([1], LEFT), (2, RIGHT), ("1,2", DISC), ((2, 1, 2), DISC)):
        np.testing.assert_array_equal(from_mask(TWO[name], objects=objects), from_mask(mask))
    with pytest.raises(InputError, match=r"has no object 9; it holds 1 \(\d+ pixels\), 2"):
        from_mask(TWO[name], objects=[1, 9])


@pytest.mark.parametrize(
    ("labels", "ids"),
    [
        (HALVES * 100, (100, 200)),
        (SPOTS * 50, (50, 100)),
        (SPOTS * 127, (127, 254)),
        (SPOTS.astype(np.uint16) * 1000, (1000, 2000)),
        (SPOTS.astype(np.int64) * 100_000, (100_000, 200_000)),
        (np.where(SPOTS == 0, -1, SPOTS), (1, 2)),
        (np.array([[0, 1, 2]]), (1, 2)),
    ],
)
def test_ids_of_any_size(labels: np.ndarray, ids: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=rf"2 objects: {ids[0]} .*, {ids[1]} "):
        from_mask(labels)
    chosen, _ = quietly(lambda: read_mask(labels, objects=ids[1]))
    np.testing.assert_array_equal(chosen, labels == ids[1])


def test_many_ids_are_listed_in_short() -> None:
    cells = (Y // 12 * 10 + X // 16 + 1) * ((Y % 12 < 9) & (X % 16 < 12))
    with pytest.raises(InputError, match=r"map of 100 objects: .* and 92 more") as caught:
        from_mask(cells)
    assert len(str(caught.value)) < 500


def test_objects_in_colours() -> None:
    picture = colours((0, 0, 0), (255, 0, 0), LEFT) + colours((0, 0, 0), (0, 255, 0), RIGHT)
    with pytest.raises(InputError, match=r"#00ff00 \(\d+ pixels\), #ff0000 .*--object '#"):
        from_mask(picture)
    np.testing.assert_array_equal(from_mask(picture, objects="#ff0000"), from_mask(LEFT))
    np.testing.assert_array_equal(from_mask(picture, objects=["#ff0000", 0x00FF00]), EXPECTED)


@pytest.mark.parametrize("with_palette", [False, True])
def test_void_around_an_object_is_unknown(with_palette: bool) -> None:
    void = (AWAY > 38) & (AWAY < 42)
    labels = np.where(void, 255, DISC).astype(np.uint8)
    entries = [(0, 0, 0), (128, 0, 0), *[(0, 0, 0)] * 253, (224, 224, 192)]
    found = from_mask(palette(labels, entries) if with_palette else labels)
    assert set(found[void]) == {128}
    assert (found[AWAY < 30] == 255).all()
    assert (found[AWAY > 50] == 0).all()


@pytest.mark.parametrize("objects", ["", "1,,2", "red", "#12345", "1.5", [], [1.5], [True], "1;2"])
def test_invalid_objects_are_refused(objects: Any) -> None:
    with pytest.raises(SettingError, match="object"):
        from_mask(HALVES, objects=objects)


def test_objects_as_text() -> None:
    assert parse_objects(" 1, 3") == (1, 3)
    assert parse_objects("#0000fF") == (255,)
    assert parse_objects(np.int64(4)) == (4,)
    assert parse_objects(None) is None
