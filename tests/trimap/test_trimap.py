"""Trimaps: every encoding means the same, and a band has the requested width."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.errors import InputError, MEMatteWarning, SettingError
from mematte_plugin.trimap.trimap import (
    from_alpha,
    from_mask,
    normalise_trimap,
)


def subject(size: int = 60, margin: int = 20, unknown: int = 5) -> np.ndarray:
    """0 background, 0.5 unknown ring, 1 foreground square."""
    trimap = np.zeros((size, size), np.float32)
    trimap[margin - unknown : unknown - margin, margin - unknown : unknown - margin] = 0.5
    trimap[margin:-margin, margin:-margin] = 1
    return trimap


THREE = subject()


@pytest.mark.parametrize("factor", [2, 3])
def test_a_smaller_trimap_of_the_same_picture_is_resized_with_a_warning(factor: int) -> None:
    size = (60 * factor, 60 * factor)
    with pytest.warns(MEMatteWarning, match=rf"is 60×60 and is resized to the photo's {size[0]}×"):
        found = normalise_trimap(THREE, size)
    np.testing.assert_array_equal(found, THREE.repeat(factor, 0).repeat(factor, 1))


def test_rounding_of_a_thumbnail_is_the_same_aspect() -> None:
    with pytest.warns(MEMatteWarning, match="is resized"):
        assert normalise_trimap(THREE[:, :40], (1000, 667)).shape == (1000, 667)


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (600, 620)])
def test_another_aspect_is_refused_with_both_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "hair.png"
    Image.fromarray((THREE * 255).astype(np.uint8)).save(path)
    with pytest.raises(InputError, match=rf"trimap .*hair\.png: is 60×60, .*{size[1]}×{size[0]}"):
        normalise_trimap(path, size)


def test_a_warning_points_at_the_callers_line() -> None:
    with pytest.warns(MEMatteWarning, match="has no grey") as caught:
        normalise_trimap(THREE > 0, (60, 60))
    assert caught[0].filename == __file__


def portrait(head: float, shoulders: float, top: float = 0.15, band: int = 6) -> np.ndarray:
    """Head and shoulders that leave the frame below; widths are shares of the picture's."""
    y, x = np.mgrid[:200, :160].astype(np.float32)
    across, down = np.abs(x - 79.5) / 160, y / 200

    def inside(grow: float) -> np.ndarray:
        skull = (across / (head / 2 + grow)) ** 2 + ((down - top - 0.2) / (0.2 + grow)) ** 2 < 1
        return skull | ((across < shoulders / 2 + grow) & (down > top + 0.4 - grow))

    return np.where(inside(-band / 160), 1, np.where(inside(band / 160), 0.5, 0)).astype(np.float32)


PORTRAITS = [(0.3, 0.6, 0.15), (0.4, 0.9, 0.1), (0.35, 1.2, 0.15), (0.5, 1.2, 0.3), (0.3, 0.4, 0.3)]


@pytest.mark.parametrize(("head", "shoulders", "top"), PORTRAITS)
def test_inverted_portraits_are_noticed_although_they_touch_the_frame(
    head: float, shoulders: float, top: float
) -> None:
    upright = portrait(head, shoulders, top)
    np.testing.assert_array_equal(
        normalise_trimap(upright, upright.shape), upright
    )  # without a warning
    with pytest.warns(MEMatteWarning, match="looks inverted"):
        normalise_trimap(1 - upright, upright.shape)


def test_a_few_strokes_are_not_called_inverted() -> None:
    trimap = np.full((90, 90), 0.5, np.float32)
    trimap[-1, 40:50] = 1  # the only known pixels of the border
    trimap[40:50, 40:50] = 0
    normalise_trimap(trimap, trimap.shape)


def test_a_subject_that_fills_the_frame_is_not_called_inverted() -> None:
    trimap = np.ones((60, 60), np.float32)
    trimap[:13, :13] = 0.5
    trimap[:10, :10] = 0  # background in a corner only
    trimap[25:30, 25:30] = 0  # and a small hole
    normalise_trimap(trimap, (60, 60))


# ---- from a mask ---------------------------------------------------------------------------------

SQUARE = np.zeros((100, 100), bool)
SQUARE[30:70, 30:70] = True


@pytest.mark.parametrize(("inside", "outside"), [(0, 0), (1, 0), (0, 1), (5, 8), (2.5, 4)])
def test_band_in_pixels_on_either_side(inside: float, outside: float) -> None:
    row = from_mask(SQUARE, inside=inside, outside=outside, unit="px")[50]
    inner, outer = int(inside), int(outside)
    expected = np.zeros(100, np.uint8)
    expected[30 - outer : 70 + outer] = 128
    expected[30 + inner : 70 - inner] = 255
    np.testing.assert_array_equal(row, expected)


def test_band_in_percent_follows_the_subject_not_the_picture() -> None:
    def widths(mask: np.ndarray) -> tuple[int, int]:
        row = from_mask(mask, inside=10, outside=20)[mask.shape[0] // 2]
        middle = mask.shape[1] // 2
        return int((row[:middle] == 128).sum()), int((row == 255).sum())

    assert widths(SQUARE) == (4 + 8, 40 - 8)  # of 40 pixels
    assert widths(np.pad(SQUARE, 50)) == (4 + 8, 40 - 8)
    assert widths(SQUARE.repeat(3, 0).repeat(3, 1)) == (12 + 24, 120 - 24)


def test_defaults_leave_a_band_also_on_a_thumbnail() -> None:
    row = from_mask(SQUARE)[50]
    assert (row[27:33] == 128).all()
    assert (row[26], row[33]) == (0, 255)


def test_soft_masks_stay_soft() -> None:
    soft = SQUARE.astype(np.float32)
    soft[30:70, 20:30] = 0.3  # a faint wing, far from the edge at 0.5
    soft[:5] = 0.01  # noise
    kept = from_mask(soft, inside=1, outside=1, unit="px")
    assert (kept[30:70, 20:30] == 128).all()
    assert (kept[:5] == 0).all()
    hard = from_mask(soft, inside=1, outside=1, unit="px", keep_soft=False)
    assert (hard[31:69, 20:28] == 0).all()


def test_masks_from_files_and_alpha_channels(tmp_path: Path) -> None:
    expected = from_mask(SQUARE)
    eight = SQUARE.astype(np.uint8) * 255
    rgba = np.dstack([np.full((100, 100, 3), 90, np.uint8), eight])
    for i, array in enumerate((eight, rgba)):
        Image.fromarray(array).save(tmp_path / f"{i}.png")
        np.testing.assert_array_equal(from_mask(tmp_path / f"{i}.png"), expected)


@pytest.mark.parametrize(
    ("mask", "options", "error", "fault"),
    [
        (np.zeros((9, 9)), {}, InputError, "mask: is empty"),
        (np.ones((9, 9)), {}, InputError, "mask: is full"),
        (SQUARE, {"inside": -1}, SettingError, "inside -1"),
        (SQUARE, {"outside": float("nan")}, SettingError, "outside nan"),
        (SQUARE, {"unit": "cm"}, SettingError, "'%' or 'px'"),
        (SQUARE, {"grain": 0.5}, SettingError, "grain 0.5"),
    ],
)
def test_impossible_masks_and_bands(
    mask: np.ndarray, options: dict[str, Any], error: type[Exception], fault: str
) -> None:
    with pytest.raises(error, match=fault):
        from_mask(mask, **options)


def test_a_band_that_swallows_the_subject_is_warned_about() -> None:
    wire = np.zeros((100, 100), bool)
    wire[30:32, 10:90] = True
    with pytest.warns(MEMatteWarning, match="no sure foreground"):
        from_mask(wire, inside=30, unit="px")


# ---- from an alpha and from strokes --------------------------------------------------------------


def test_from_alpha_covers_soft_and_hard_edges() -> None:
    alpha = SQUARE.astype(np.float32)
    alpha[30:70, 28:30] = 0.5
    alpha[30, 40] = 254 / 255
    np.testing.assert_array_equal(from_alpha(alpha, width=0) == 128, (alpha > 0) & (alpha < 1))
    row = from_alpha(alpha, width=3)[50]
    assert np.flatnonzero(row == 128).tolist() == [*range(25, 33), *range(66, 74)]
    assert (row[33:66] == 255).all()
    assert (from_alpha(np.ones((5, 5))) == 255).all()
    with pytest.raises(SettingError, match="width -1"):
        from_alpha(alpha, width=-1)
