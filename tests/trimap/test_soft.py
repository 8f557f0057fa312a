"""Trimaps from soft masks: wide where they are unsure, narrow where they are crisp."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mematte_plugin import from_mask, from_soft
from mematte_plugin.errors import InputError, SettingError

from ..mask_cases import encoded, jpeg, quietly

SIZE = HEIGHT, WIDTH = 240, 320
Y, X = np.mgrid[:HEIGHT, :WIDTH]
SQUARE = ((abs(X - 160) < 70) & (abs(Y - 120) < 70)).astype(np.float32)
CRISP = cv2.GaussianBlur(SQUARE, (0, 0), 0.7)


def soft_right(sigma: float) -> np.ndarray:
    """The square, its right edge blurred."""
    return np.where(X > 160, cv2.GaussianBlur(SQUARE, (0, 0), sigma), CRISP)


def band(trimap: np.ndarray, columns: slice) -> int:
    """How wide it is along the middle row."""
    return int((trimap[120, columns] == 128).sum())


def small(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)


def silently(mask: Any, **options: Any) -> np.ndarray:
    trimap, notes = quietly(lambda: from_soft(mask, **options))
    assert notes == []
    return trimap


def test_the_band_is_wide_where_the_mask_is_soft_and_narrow_where_it_is_crisp() -> None:
    trimap = silently(soft_right(8))
    left, right = band(trimap, np.s_[:160]), band(trimap, np.s_[160:])
    assert 4 <= left <= 12
    assert right > 2.5 * left
    unsure = (soft_right(8) > 0.05) & (soft_right(8) < 0.95)
    assert (trimap[unsure] == 128).all()


def test_a_crisp_alpha_has_a_narrower_band_than_a_mask_without_soft_edges() -> None:
    assert (silently(CRISP) == 128).sum() < (silently(SQUARE) == 128).sum()
    np.testing.assert_array_equal(silently(SQUARE), from_mask(SQUARE))


def test_a_coarse_mask_is_unsure_by_its_own_pixels() -> None:
    """One of 44 pixels, ten times enlarged, by some forty; and no warning says so."""
    size = 240 * 2, 320 * 2
    coarse = silently(small(SQUARE, 44, 33), size=size)
    fine = silently(small(SQUARE, 320, 240), size=size)
    assert coarse.shape == size
    assert 40 <= band(coarse[::2, ::2], np.s_[:160]) * 2 <= 100
    assert band(coarse[::2, ::2], np.s_[:160]) > 2 * band(fine[::2, ::2], np.s_[:160])


def test_a_mask_larger_than_the_photo() -> None:
    trimap = silently(cv2.resize(CRISP, (960, 720)), size=SIZE)
    assert (trimap != silently(CRISP)).mean() < 0.01


def test_another_shape_is_refused_unless_the_mask_was_stretched() -> None:
    square = small(SQUARE, 128, 128)
    with pytest.raises(InputError, match="uncropped"):
        from_soft(square, size=SIZE)
    trimap = silently(square, size=SIZE, stretched=True)
    known = trimap != 128
    assert known.mean() > 0.7
    np.testing.assert_array_equal(trimap[known] == 255, SQUARE[known] == 1)


def test_thin_parts_and_holes_survive() -> None:
    mask = SQUARE.copy()
    mask[118:123, 230:310] = 1  # a rod
    mask[100:108, 130:138] = 0  # a hole
    soft = cv2.GaussianBlur(mask, (0, 0), 0.7)
    trimap = silently(soft)
    assert (trimap[120, 235:300] == 255).all()
    assert (trimap[103:105, 133:135] == 0).all()
    trimap = silently(small(soft, 160, 120), size=SIZE)
    assert (trimap[120, 235:300] >= 128).all()
    assert (trimap[103:105, 133:135] <= 128).all()


def test_a_plateau_is_unknown_as_a_whole() -> None:
    plateau = CRISP.copy()
    plateau[100:140, 160:320] = 0.5
    assert (silently(plateau)[100:140, 160:320] == 128).all()


@pytest.mark.parametrize("floor", [0.01, 0.03, 0.045])
def test_a_noise_floor_is_background(floor: float) -> None:
    noise = np.random.default_rng(0).uniform(0, floor, SIZE).astype(np.float32)
    noisy = np.where(SQUARE > 0.5, 1 - noise, noise).astype(np.float32)
    trimap, _ = quietly(lambda: from_soft(cv2.GaussianBlur(noisy, (0, 0), 0.7)))
    assert abs((trimap == 128).mean() - (silently(CRISP) == 128).mean()) < 0.01


def test_noise_of_jpeg_changes_little() -> None:
    trimap, _ = quietly(lambda: from_soft(jpeg(np.rint(CRISP * 255).astype(np.uint8), 30)))
    assert (trimap != silently(CRISP)).mean() < 0.03


def test_specks_go_and_the_only_part_stays() -> None:
    specks = CRISP.copy()
    specks[20:22, 20:22] = 0.9
    specks[200:230, 280:310] = 1
    trimap = silently(specks)
    assert (trimap[15:28, 15:28] == 0).all()
    assert (trimap[210:220, 290:300] == 255).all()
    assert (silently(specks, islands=0)[20:22, 20:22] != 0).all()
    assert (silently(specks, islands=40, unit="px")[190:, 270:] == 0).all()
    alone = np.zeros(SIZE, np.float32)
    alone[100:104, 100:104] = 1
    assert (silently(alone, islands=50)[100:104, 100:104] != 0).any()


def test_a_ghost_without_a_subject_is_not_the_part_that_stays() -> None:
    ghost = np.where(X < 100, np.float32(0.2), np.float32(0))
    ghost[100:110, 250:260] = 1
    assert silently(ghost, islands=100)[105, 255] == 255


def test_given_widths_are_the_least() -> None:
    trimap = silently(soft_right(8), inside=20, outside=0, unit="px")
    inside = SQUARE > 0.5
    left = np.s_[120, :160]
    assert (trimap[left] == 128)[inside[left]].sum() == pytest.approx(20, abs=2)
    assert (trimap[left] == 128)[~inside[left]].sum() <= 4
    assert (trimap[120, 232:240] == 128).all()  # soft


BYTES = np.rint(CRISP * 255).astype(np.uint8)
FORMS = {
    "uint8": BYTES,
    "uint16": BYTES.astype(np.uint16) * 257,
    "float64": BYTES / 255.0,
    "a tensor": torch.from_numpy(BYTES / np.float32(255)),
    "a tensor (1, H, W)": torch.from_numpy(BYTES)[None],
    "Pillow": Image.fromarray(BYTES),
    "PNG": encoded(BYTES),
    "a grey picture in colour": encoded(np.dstack([BYTES] * 3)),
    "a cut-out's alpha": np.dstack([np.full((*SIZE, 3), 90, np.uint8), BYTES]),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_mask_in_every_form(form: str) -> None:
    np.testing.assert_array_equal(silently(FORMS[form]), silently(BYTES / np.float32(255)))


@pytest.mark.parametrize("level", [0.0, 0.3, 0.7, 1.0])
def test_empty_and_full_masks_are_refused(level: float) -> None:
    with pytest.raises(InputError, match=r"alpha: is (empty|full|one even grey)"):
        from_soft(np.full(SIZE, level, np.float32))


def test_a_mask_that_is_unsure_of_everything_is_said() -> None:
    grey = np.where(SQUARE > 0.5, np.float32(0.7), np.float32(0.3))
    grey[:5], grey[110:130, 150:170] = 0, 1
    _, notes = quietly(lambda: from_soft(grey))
    assert any("grey over" in note for note in notes)


@pytest.mark.parametrize(
    "options", [{"inside": -1}, {"unit": "cm"}, {"islands": -2}, {"islands": float("nan")}]
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(options))):
        from_soft(CRISP, **options)
