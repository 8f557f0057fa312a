"""Trimaps from painted strokes."""

from typing import Any

import numpy as np
import pytest

from mematte_plugin import (
    InputError,
    MEMatteError,
    SettingError,
    Stroke,
    collect_notes,
    from_mask,
    from_painting,
    from_strokes,
)
from mematte_plugin.trimap.painting import paint_over


def painting(*, background: bool = False) -> np.ndarray:
    """Labels (30, 40): a subject, unsure on its right, and perhaps background on the left."""
    labels = np.zeros((30, 40), np.uint8)
    labels[10:20, 10:30] = Stroke.FOREGROUND
    labels[10:20, 30:35] = Stroke.UNKNOWN
    if background:
        labels[:, :5] = Stroke.BACKGROUND
    return labels


def row(trimap: np.ndarray) -> list[int]:
    """The middle row at the left border, before, in and after the subject, at the right border."""
    middle, width = trimap[trimap.shape[0] // 2], trimap.shape[1]
    return [int(middle[int(share * width)]) for share in (0.05, 0.2, 0.5, 0.8, 0.98)]


@pytest.mark.parametrize("size", [None, (300, 400)])
@pytest.mark.parametrize(
    ("background", "unpainted", "expected"),
    [
        (False, "auto", [0, 0, 255, 128, 0]),
        (True, "auto", [0, 128, 255, 128, 128]),
        (True, "background", [0, 0, 255, 128, 0]),
        (False, "unknown", [128, 128, 255, 128, 128]),
    ],
)
def test_unpainted_pixels(background: bool, unpainted: Any, expected: list, size: Any) -> None:
    labels = painting(background=background)
    with collect_notes() as notes:
        trimap = from_painting(labels, size, unpainted=unpainted, inside=0, outside=0)
    assert trimap.dtype == np.uint8
    assert trimap.shape == (size or labels.shape)
    assert row(trimap) == expected
    assert not notes, "the proxy's size is not the user's choice"


def test_a_painted_subject_gets_the_band_of_a_mask() -> None:
    labels = np.zeros((90, 90), np.uint8)
    labels[20:70, 20:70] = Stroke.FOREGROUND
    assert np.array_equal(from_painting(labels), from_mask(labels == Stroke.FOREGROUND))
    wide = from_painting(labels, outside=20)
    assert np.array_equal(wide, from_mask(labels == Stroke.FOREGROUND, outside=20))


def test_gaps_between_strokes_on_a_proxy_are_no_background() -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[20:40, 10:29] = labels[20:40, 30:50] = Stroke.FOREGROUND
    trimap = from_painting(labels, (480, 480))
    assert (trimap[200:280, 232:240] == 128).all()


def test_painting_over_a_trimap_changes_what_is_painted_only() -> None:
    base = np.full((60, 80), 128, np.uint8)
    base[:, :12], base[:, 60:] = 0, 255
    painted = paint_over(base, painting(background=True))
    assert row(painted) == [0, 128, 255, 128, 255]
    assert np.array_equal(painted[:20, 10:], base[:20, 10:])


def test_from_strokes_on_a_proxy() -> None:
    labels = np.array([[0, 1], [2, 3]], np.int64)
    trimap = from_strokes(labels, (4, 4))
    assert trimap.dtype == np.uint8
    np.testing.assert_array_equal(trimap[::2, ::2], [[128, 0], [128, 255]])
    assert trimap.shape == (4, 4)
    assert [int(stroke) for stroke in Stroke] == [0, 1, 2, 3]


BAD_LABELS = (
    (np.array([[1, 4]]), None, "labels from 1 to 4"),
    (np.array([[1.0, 3.0]]), None, "dtype float64 and shape"),
    (np.array([1, 3]), None, r"shape \(2,\)"),
    (np.array([[1, 3]] * 200).repeat(100, 1), (100, 200), "is 200×200, but the photo is"),
)


@pytest.mark.parametrize(
    ("labels", "size", "fault"),
    [
        (np.array([[0, 1]]), None, "no foreground is painted"),
        (np.array([[0, 3]]), None, "no background is painted"),
        *BAD_LABELS,
    ],
)
def test_impossible_strokes(labels: np.ndarray, size: Any, fault: str) -> None:
    with pytest.raises(InputError, match=f"^strokes: .*{fault}"):
        from_strokes(labels, size)


@pytest.mark.parametrize(
    ("labels", "size", "fault"),
    [
        (np.array([[0, 0]]), None, "nothing is painted"),
        (np.array([[0, 1]]), None, "only other strokes are painted"),
        (np.array([[3, 3]]), None, "the subject fills the picture"),
        *BAD_LABELS,
    ],
)
def test_impossible_paintings(labels: np.ndarray, size: Any, fault: str) -> None:
    with pytest.raises(InputError, match=f"^painting: .*{fault}"):
        from_painting(labels, size)


@pytest.mark.parametrize("option", [{"unpainted": "grey"}, {"inside": -1}, {"outside": np.nan}])
def test_odd_settings_of_a_painting(option: dict[str, Any]) -> None:
    with pytest.raises(MEMatteError, match=f"^{next(iter(option))} ") as caught:
        from_painting(painting(), **option)
    assert isinstance(caught.value, SettingError)
