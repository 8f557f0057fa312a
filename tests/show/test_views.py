"""Checkerboards, trimap and routing overlays and contact sheets."""

import numpy as np
import pytest

from mematte_plugin.errors import InputError
from mematte_plugin.show.overlays import (
    checkerboard,
    contact_sheet,
    routing_overlay,
    routing_sheet,
    trimap_overlay,
)
from mematte_plugin.trimap.trimap import normalise_trimap


def test_checkerboard_alternates_and_is_cut_off_at_the_border():
    board = checkerboard((5, 7), square=2, light=200, dark=100)
    assert board.shape == (5, 7, 3)
    assert board.dtype == np.uint8
    assert board[:, :, 0].tolist()[0] == [200, 200, 100, 100, 200, 200, 100]
    assert board[2, 0, 0] == 100
    assert board[4, 0, 0] == 200


# Background, a band of ten columns, foreground; more rows than are painted at a time.
BAND = np.full((600, 30), 128, np.uint8)
BAND[:, :10], BAND[:, 20:] = 0, 255


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("light", [0.0, 0.5, 1.0])
def test_trimap_overlay_tells_the_three_regions_apart(dtype, light):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    photo = np.full((*BAND.shape, 3), light * top, dtype)
    overlay = trimap_overlay(photo, BAND)
    assert (overlay.dtype, overlay.shape) == (np.uint8, photo.shape)
    assert (overlay == overlay[0]).all()  # every row is the same
    assert (overlay[..., 0] == overlay[..., 2]).all()  # and nothing is coloured
    line = overlay[0, :, 0].astype(int)
    assert abs(line[20:] - light * 255).max() <= 1  # the subject as it is
    assert line[:10].max() < 90  # the background dark
    # One light pixel on each edge, also where wash and picture are the same grey.
    for edge, inside, outside in ((10, 11, 9), (19, 18, 20)):
        assert line[edge] - line[inside] > 40
        assert line[edge] - line[outside] > 40 or light == 1
    assert len(set(line[11:19])) == 1


def test_trimap_overlay_lets_the_picture_through_the_band():
    photo = np.zeros((*BAND.shape, 3), np.uint8)
    photo[:300, :, 0] = 255
    shown = trimap_overlay(photo, BAND)[:, 15].astype(int)
    assert shown[0, 0] - shown[0, 1] > 50  # its colour
    assert shown[0, 0] - shown[-1, 0] > 50  # and its light


def test_trimap_overlay_takes_floats_as_they_come_from_normalise():
    photo = np.random.default_rng(0).integers(0, 256, (*BAND.shape, 3), dtype=np.uint8)
    three = normalise_trimap(BAND, BAND.shape)
    np.testing.assert_array_equal(trimap_overlay(photo, three), trimap_overlay(photo, BAND))


def test_trimap_overlay_draws_no_line_along_the_frame():
    photo = np.full((40, 40, 3), 200, np.uint8)
    assert len(np.unique(trimap_overlay(photo, np.full((40, 40), 0.5, np.float32)))) == 1


def test_trimap_overlay_refuses_another_size():
    with pytest.raises(InputError, match="do not agree"):
        trimap_overlay(np.zeros((33, 16, 3), np.uint8), np.zeros((16, 33), np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_overlay_dims_skipped_tokens_and_tints_kept_ones(dtype):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    photo = np.full((32, 40, 3), top, dtype)
    keep = np.array([[True, False, True], [False, False, False]])
    overlay = routing_overlay(photo, keep)
    assert overlay.shape == (32, 40, 3)
    assert overlay.dtype == np.uint8
    kept, skipped = overlay[0, 0].astype(int), overlay[0, 16].astype(int)
    assert kept[0] > kept[2]  # warm
    assert skipped.max() == skipped.min() < 128
    # Token borders lie exactly at multiples of 16.
    assert (overlay[:16, :16] == kept).all()
    assert (overlay[:16, 32:] == kept).all()
    assert (overlay[16:] == skipped).all()


def test_overlay_takes_a_grid_that_reaches_beyond_the_photo():
    keep = np.zeros((4, 4), bool)
    assert routing_overlay(np.zeros((1, 33, 3), np.uint8), keep).shape == (1, 33, 3)


def test_overlay_refuses_a_grid_that_is_too_small():
    with pytest.raises(InputError, match="does not cover"):
        routing_overlay(np.zeros((33, 16, 3), np.uint8), np.zeros((2, 2), bool))


def test_contact_sheet_holds_every_panel_unchanged():
    panels = [np.full((20, 30, 3), value, np.uint8) for value in (50, 100, 150)]
    sheet = contact_sheet(panels, columns=2, gap=4)
    assert sheet.shape == (4 + 2 * 24, 4 + 2 * 34, 3)
    assert (sheet[4:24, 4:34] == 50).all()
    assert (sheet[4:24, 38:68] == 100).all()
    assert (sheet[28:48, 4:34] == 150).all()


def test_contact_sheet_writes_captions_below_the_panels():
    panels = [np.zeros((20, 200, 3), np.uint8)] * 2
    sheet = contact_sheet(panels, ["block 1", "block 2"], columns=1, gap=4)
    below = sheet[24 : sheet.shape[0] // 2]
    assert below.max() > 200
    assert sheet[:24].max() < 50


@pytest.mark.parametrize(("panels", "captions"), [(0, 0), (2, 1)])
def test_contact_sheet_refuses_the_wrong_number(panels, captions):
    with pytest.raises(InputError, match="contact sheet"):
        contact_sheet([np.zeros((4, 4, 3), np.uint8)] * panels, ["x"] * captions)


@pytest.mark.parametrize("size", [(64, 96), (1000, 37), (37, 1000), (2001, 1777), (1, 1)])
def test_routing_sheet_scales_large_photos_down(size):
    height, width = size
    grid = (-(-height // 32) * 2, -(-width // 32) * 2)
    keep = [np.ones(grid, bool), np.zeros(grid, bool)]
    sheet = routing_sheet(np.zeros((*size, 3), np.uint8), keep, ["a", "b"], longest=500)
    assert sheet.dtype == np.uint8
    assert max(sheet.shape[:2]) < 2 * 500 + 200
