"""The band of a mask on what is thinner than itself: legs, wires, small birds, gaps; and hair."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mematte_plugin import cut
from mematte_plugin.errors import MEMatteWarning
from mematte_plugin.trimap.trimap import BAND_INSIDE, BAND_OUTSIDE, MIN_BAND, from_alpha, from_mask

Mask = NDArray[np.uint8]
WIDE = {"inside": 20, "outside": 40, "unit": "px"}
"""A band that swallows nearly all of the thin parts here, were it even."""


def blank(side: int = 600) -> Mask:
    return np.zeros((side, side), np.uint8)


def seat() -> Mask:
    mask = blank()
    mask[60:300, 100:500] = 1
    return mask


def depth(region: NDArray[Any]) -> NDArray[np.float32]:
    """The distance to the nearest pixel outside: 1 at the edge."""
    return np.asarray(
        cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    )


def even(mask: Mask, inside: float, outside: float) -> NDArray[np.uint8]:
    """A trimap whose band has one width everywhere."""
    trimap = np.where(mask > 0, 255, 0).astype(np.uint8)
    trimap[np.where(mask > 0, depth(mask) <= inside, depth(1 - mask) <= outside)] = 128
    return trimap


def widths(mask: Mask, **band: Any) -> tuple[float, float]:
    if band:
        return band["inside"], band["outside"]
    size = math.sqrt(np.count_nonzero(mask))
    return max(MIN_BAND, BAND_INSIDE / 100 * size), max(MIN_BAND, BAND_OUTSIDE / 100 * size)


def parts(mask: NDArray[Any]) -> list[NDArray[np.bool_]]:
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return [labels == i for i in range(1, count)]


def bar(mask: Mask, start: tuple[float, float], angle: float, length: float, width: float) -> Mask:
    """The mask with a bar from a point (x, y) on, at so many degrees from straight down."""
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    turn = math.radians(angle)
    across = (x - start[0]) * math.cos(turn) + (y - start[1]) * math.sin(turn)
    along = (y - start[1]) * math.cos(turn) - (x - start[0]) * math.sin(turn)
    return mask | ((abs(across) <= width / 2) & (along >= 0) & (along <= length)).astype(np.uint8)


# ---- what is thin keeps a core -------------------------------------------------------------------


@pytest.mark.parametrize("band", [{}, WIDE], ids=["default", "wide"])
@pytest.mark.parametrize("angle", [0, 17, 45])
@pytest.mark.parametrize("width", [3, 4, 5, 6, 8, 10, 13, 16, 24, 40])
def test_a_leg_loses_at_most_a_third_on_either_side(
    width: int, angle: float, band: dict[str, Any]
) -> None:
    # Half a pixel of rounding on either side, where it lies across the grid.
    mask = bar(seat(), (300.5 - width % 2 / 2, 290), angle, 260, width + (angle > 0))
    trimap = from_mask(mask, **band)
    inside = depth(mask)
    y = np.mgrid[:600, :600][0]
    leg = (mask > 0) & (y > 340) & (y < 440)  # below where it meets the seat
    most = max(1.0, min(widths(mask, **band)[0], (width + (angle > 0)) / 6))
    assert (trimap[leg & (inside > most)] == 255).all()
    assert (trimap[leg & (inside == 1)] == 128).all()  # its edge is unknown as ever
    for row in range(310, 440):
        assert (trimap[row] == 255).any(), row
    assert len(parts(trimap == 255)) == 1  # its core goes on into the seat's


@pytest.mark.parametrize("side", [4, 6, 10, 20, 30])
@pytest.mark.parametrize("gap", [2, 5, 60])
def test_small_birds_beside_a_large_subject_keep_a_core(side: int, gap: int) -> None:
    mask = seat()
    cv2.circle(mask, (300, 300 + gap + side // 2), side // 2, 1, -1)
    mask[300 + gap : 300 + gap + side, 200 : 200 + side] = 1
    for band in ({}, WIDE):
        trimap = from_mask(mask, **band)
        for part in parts(mask):
            inside = depth(part)
            most = max(1.0, inside.max() / 3)
            assert (trimap[inside > most] == 255).all()
            assert (trimap[part] == 255).any()


def spokes() -> Mask:
    mask = blank()
    cv2.circle(mask, (300, 300), 220, 1, 14)
    cv2.circle(mask, (300, 300), 24, 1, -1)
    for angle in np.linspace(0, 2 * np.pi, 20, endpoint=False):
        end = (int(300 + 220 * np.cos(angle)), int(300 + 220 * np.sin(angle)))
        cv2.line(mask, (300, 300), end, 1, 5)
    return mask


def fence(period: int, width: int) -> Mask:
    mask = blank()
    for at in range(60, 540, period):
        mask[60:540, at : at + width] = 1
        mask[at : at + width, 60:540] = 1
    return mask


def ring() -> Mask:
    return np.asarray(cv2.circle(blank(), (300, 300), 200, 1, 10))


def letters() -> Mask:
    mask = blank()
    cv2.putText(mask, "Ag&", (20, 400), cv2.FONT_HERSHEY_SIMPLEX, 9, 1, 22)
    return mask


def curve() -> Mask:
    return np.asarray(cv2.ellipse(seat(), (300, 300), (160, 220), 0, 0, 180, 1, 9))


def two_bodies() -> Mask:
    mask = blank()
    cv2.circle(mask, (170, 300), 120, 1, -1)
    cv2.circle(mask, (430, 300), 120, 1, -1)
    mask[296:304, 170:430] = 1
    return mask


@pytest.mark.parametrize(
    "mask",
    [spokes(), fence(40, 8), fence(20, 8), fence(30, 3), ring(), letters(), curve(), two_bodies()],
    ids=["spokes", "fence", "tight fence", "fine fence", "ring", "letters", "curve", "two bodies"],
)
def test_all_that_is_three_pixels_wide_keeps_its_middle(mask: Mask) -> None:
    trimap = from_mask(mask, **WIDE)
    # The middle: where a pixel is as far in as any around it.
    inside = depth(mask)
    ridge = (inside >= 2) & (inside >= cv2.dilate(inside, np.ones((3, 3))) - 0.1)
    assert (trimap[ridge] == 255).mean() > 0.99
    assert len(parts(trimap == 255)) == len(parts(mask))


def test_a_cone_is_sure_almost_to_its_tip() -> None:
    mask = seat()
    cv2.fillPoly(mask, [np.array([[270, 299], [330, 299], [300, 560]])], 1)
    sure = np.flatnonzero(from_mask(mask, **WIDE)[:, 300] == 255)
    assert sure.max() > 530
    assert (np.diff(sure) == 1).all()


@pytest.mark.parametrize("tips", [5, 12])
def test_a_star_keeps_its_tips(tips: int) -> None:
    turns = np.arange(2 * tips) * np.pi / tips
    reach = np.where(np.arange(2 * tips) % 2 == 0, 270, 90)[:, None]
    corners = reach * np.stack([np.sin(turns), -np.cos(turns)], axis=1) + 300
    mask = blank()
    cv2.fillPoly(mask, [corners.round().astype(np.int32)], 1)
    trimap = from_mask(mask, **WIDE)
    y, x = np.mgrid[:600, :600]
    away = np.hypot(x - 300, y - 300)
    assert len(parts((trimap == 255) & (away > 200))) >= tips


# ---- gaps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [6, 10, 20, 40, 70])
def test_a_gap_between_legs_keeps_sure_background(gap: int) -> None:
    mask = seat()
    mask[300:560, 250:270] = mask[300:560, 270 + gap : 290 + gap] = 1
    trimap = from_mask(mask, **WIDE)
    rows = trimap[360:540, 270 : 270 + gap]
    assert (rows[:, gap // 2] == 0).all()
    unknown = (rows == 128).sum(axis=1)
    assert (unknown >= 2).all()
    assert (unknown <= max(4, math.floor(2 / 3 * gap) + 1)).all()
    assert (trimap[360:540, 210:250] == 128).all()  # away from the gap it is as wide as asked


def test_between_discs_that_nearly_touch_and_through_holes_there_is_background() -> None:
    mask = blank()
    cv2.circle(mask, (180, 300), 114, 1, -1)
    cv2.circle(mask, (420, 300), 114, 1, -1)  # 11 pixels between them
    cv2.circle(mask, (180, 300), 6, 0, -1)
    cv2.circle(mask, (420, 300), 20, 0, -1)
    trimap = from_mask(mask, **WIDE)
    for x in (180, 300, 420):
        assert trimap[300, x] == 0


def test_holes_of_a_pixel_and_specks_are_noise() -> None:
    mask = seat()
    mask[150, 300] = mask[200, 200:202] = 0
    mask[330, 300] = mask[500, 100] = 1
    trimap = from_mask(mask, inside=6, outside=12, unit="px")
    np.testing.assert_array_equal(trimap, even(mask, 6, 12))


# ---- what is thick has the band it always had ----------------------------------------------------


def _plain() -> dict[str, Mask]:
    shapes = {"square": seat(), "disc": blank(), "turned": blank(), "triangle": blank()}
    cv2.circle(shapes["disc"], (300, 300), 200, 1, -1)
    box = cv2.boxPoints(((300, 300), (300, 200), 27)).astype(np.int32)
    cv2.fillPoly(shapes["turned"], [box], 1)
    cv2.fillPoly(shapes["triangle"], [np.array([[300, 60], [540, 476], [60, 476]])], 1)
    shapes["ellipse"] = np.asarray(
        cv2.ellipse(blank(), (300, 300), (250, 120), 33, 0, 360, 1, -1), np.uint8
    )
    shapes["at the border"] = blank()
    shapes["at the border"][200:, :300] = 1
    shapes["near the border"] = blank()
    shapes["near the border"][3:597, 4:400] = 1
    shapes["with a notch"] = seat()
    shapes["with a notch"][60:120, 250:500] = 0
    bumps = seat()
    for i, (width, height) in enumerate([(3, 3), (5, 5), (9, 9), (16, 16), (6, 4), (12, 8)]):
        bumps[300 : 300 + height, 120 + 60 * i : 120 + 60 * i + width] = 1
    shapes["bumps"] = bumps
    small = cv2.resize(shapes["disc"] * 1.0, (64, 64), interpolation=cv2.INTER_AREA)
    stairs = cv2.resize(
        (small >= 0.5).astype(np.uint8), (600, 600), interpolation=cv2.INTER_NEAREST
    )
    shapes["stairs"] = np.asarray(stairs)
    y, x = np.mgrid[:600, :600]
    grain = np.random.default_rng(0).normal(size=(600, 600))
    shapes["grainy edge"] = (200 - np.hypot(x - 300, y - 300) + 1.5 * grain > 0).astype(np.uint8)
    return shapes


@pytest.mark.parametrize("band", [(2.5, 4), (7, 14), (20, 40)])
@pytest.mark.parametrize(("name", "mask"), _plain().items(), ids=_plain().keys())
def test_plain_shapes_have_an_even_band(name: str, mask: Mask, band: tuple[float, float]) -> None:
    inside, outside = band
    trimap = from_mask(mask, inside=inside, outside=outside, unit="px")
    np.testing.assert_array_equal(trimap, even(mask, inside, outside), name)


def test_far_from_a_leg_the_band_is_even() -> None:
    mask = bar(seat(), (300, 290), 0, 260, 8)
    trimap, plain = from_mask(mask, **WIDE), even(mask, 20, 40)
    np.testing.assert_array_equal(trimap[:, :250], plain[:, :250])
    np.testing.assert_array_equal(trimap[:, 350:], plain[:, 350:])


# ---- hair ----------------------------------------------------------------------------------------


def tuft(seed: int = 0) -> Mask:
    """A head with hair: strands and gaps of one to four pixels."""
    mask, rng = blank(), np.random.default_rng(seed)
    cv2.circle(mask, (300, 320), 180, 1, -1)
    for angle in rng.uniform(-np.pi, 0, 700):
        bend = angle + rng.normal(0, 0.15)
        start = (int(300 + 175 * np.cos(angle)), int(320 + 175 * np.sin(angle)))
        long = rng.uniform(5, 60)
        end = (int(start[0] + long * np.cos(bend)), int(start[1] + long * np.sin(bend)))
        cv2.line(mask, start, end, 1, int(rng.integers(1, 4)))
    return mask


def test_hair_stays_in_the_band() -> None:
    mask = tuft()
    trimap, plain = from_mask(mask, **WIDE), even(mask, 20, 40)
    y, x = np.mgrid[:600, :600]
    hair = (np.hypot(x - 300, y - 320) > 182) & (y < 300) & (plain == 128)
    assert (trimap[hair] == 128).mean() > 0.95


def test_wires_of_two_pixels_are_not_taken_for_hair() -> None:
    mask = bar(seat(), (300, 290), 0, 260, 8)
    mask[400:402, 100:500] = 1
    mask[300:560, 310:312] = 1
    trimap = from_mask(mask, **WIDE)
    assert (trimap[310:540, 300] == 255).all()


def test_strands_of_a_mask_that_was_made_larger_stay_unknown() -> None:
    small = cv2.resize(tuft() * 255, (300, 300), interpolation=cv2.INTER_AREA)
    with pytest.warns(MEMatteWarning, match="resized"):
        trimap = from_mask(small, size=(1200, 1200), keep_soft=False)
    large = cv2.resize(small, (1200, 1200), interpolation=cv2.INTER_LINEAR)
    mask = (large >= 127.5).astype(np.uint8)
    y, x = np.mgrid[:1200, :1200]
    hair = (np.hypot(x - 600, y - 640) > 380) & (y < 600)
    band = hair & (even(mask, *widths(mask)) == 128)
    assert (trimap[band] == 128).mean() > 0.95


# ---- what is lost is said ------------------------------------------------------------------------


def test_a_part_without_a_core_is_named() -> None:
    mask = seat()
    mask[400:402, 20:60] = 1
    with pytest.warns(MEMatteWarning, match=r"too thin.* 40×2 pixels at column 20, row 400"):
        from_mask(mask)
    mask[500:502, 20:22] = 1
    with pytest.warns(MEMatteWarning, match=r"2 parts are too thin.* 40×2 pixels at column 20"):
        from_mask(mask)
    assert (from_mask(mask, inside=0)[mask > 0] == 255).all()  # the remedy


# ---- an alpha -----------------------------------------------------------------------------------


@pytest.mark.parametrize("blur", [0, 0.7])
def test_an_alpha_keeps_its_thin_parts_and_gaps(blur: float) -> None:
    mask = seat()
    mask[300:560, 250:258] = mask[300:560, 270:278] = 1
    alpha = mask.astype(np.float32)
    if blur:
        alpha = cv2.GaussianBlur(alpha, (0, 0), blur)
        alpha[alpha < 0.02], alpha[alpha > 0.98] = 0, 1
    kept, even_one = from_alpha(alpha), from_alpha(alpha, keep_cores=False)
    rows = np.s_[330:520]
    assert (kept[rows, 253:255] == 255).all()
    assert (kept[rows, 264] == 0).all()
    assert (even_one[rows, 250:278] == 128).all()
    assert (kept[(alpha > 0) & (alpha < 1)] == 128).all()
    np.testing.assert_array_equal(kept[:280], even_one[:280])


# ---- the matte -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_legs_and_birds_of_a_perfect_mask_are_opaque_in_the_matte() -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[40:140, 50:200] = 1
    mask = bar(bar(mask, (70, 130), 0, 110, 5), (170, 130), -15, 110, 8)
    cv2.circle(mask, (120, 200), 5, 1, -1)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[..., None]
    rng = np.random.default_rng(0)
    colours = np.where(np.mgrid[:256, :256][0][..., None] < 140, [200, 80, 30], [100, 105, 112])
    photo = colours * soft + 205 * (1 - soft) + rng.normal(0, 4, (256, 256, 1))
    alpha = cut(np.clip(photo, 0, 255).astype(np.uint8), mask=mask * 255).alpha
    cores = cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0
    assert alpha[150:][cores[150:]].min() >= 0.97
    assert alpha[cv2.dilate(mask, np.ones((9, 9), np.uint8)) == 0].mean() < 0.02


# ---- whatever the mask ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.filterwarnings("ignore::mematte_plugin.errors.MEMatteWarning")
def test_the_band_is_never_wider_than_asked_for_nor_on_the_wrong_side(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=rng.integers(1, 80, 2))
    mask = (cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.3, 6)) > 0).astype(np.uint8)
    mask.flat[0], mask.flat[-1] = 1, 0
    if mask.size == 1:
        return
    inside, outside = rng.choice([0, 0.5, 1.5, 7, 40, 1e9], 2).tolist()
    grain = float(rng.choice([1, 1.5, 8]))
    trimap = from_mask(mask, inside=inside, outside=outside, unit="px", grain=grain)
    plain = even(mask, inside, outside)
    np.testing.assert_array_equal(trimap[trimap != 128], (mask * 255)[trimap != 128])
    assert (plain[trimap == 128] == 128).all()
