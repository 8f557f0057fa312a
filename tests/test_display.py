"""Rich display in notebooks, and the repr at Python's prompt."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from mematte_plugin import Matte, MEMatteWarning, Photo, Plan, cut, plan_memory, read_photo
from mematte_plugin.images.arrays import srgb_to_linear
from mematte_plugin.notebook import LONGEST, as_html
from mematte_plugin.show.overlays import checkerboard, on_checkerboard

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RED, GREEN = (0.8, 0.2, 0.1), (0.1, 0.7, 0.1)
EVIL = "<script>alert('hair & more')</script>\n\t.png"


class Shown(HTMLParser):
    """A display taken apart: tags, the table's cells, the picture."""

    def __init__(self, html: str | None) -> None:
        super().__init__()
        assert html is not None
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.picture: Image.Image | None = None
        self.feed(html)
        self.table = dict(zip(self.cells[::2], self.cells[1::2], strict=True))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            found = dict(attrs)
            assert found["alt"]
            kind, _, data = (found["src"] or "").partition(",")
            assert kind == "data:image/png;base64"
            self.picture = Image.open(io.BytesIO(base64.b64decode(data)))
            assert self.picture.size == (int(found["width"] or 0), int(found["height"] or 0))

    def handle_data(self, data: str) -> None:
        if "th" in self.tags:
            self.cells.append(data)


def shown(thing: Any) -> Shown:
    return Shown(thing._repr_html_())


def make(size: tuple[int, int] = (450, 600), *, linear: bool = False, **photo: Any) -> Matte:
    """Red on the right half before green, with a soft edge of a sixth of the width."""
    height, width = size
    ramp = np.clip((np.arange(width, dtype=np.float32) / width - 0.42) * 6, 0, 1)
    alpha = np.tile(ramp, (height, 1))
    pixels = alpha[..., None] * np.float32(RED) + (1 - alpha[..., None]) * np.float32(GREEN)
    if not linear:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    trimap = np.where(alpha == 0, 0, np.where(alpha == 1, 1, 0.5)).astype(np.float32)
    options = {"icc_profile": SRGB, "name": "/home/me/hair.jpg", "linear": linear, **photo}
    return Matte(alpha=alpha, photo=Photo(pixels, **options), trimap=trimap, model="mematte-tiny")


def test_a_matte_is_shown_small_on_a_checkerboard() -> None:
    found = shown(make())
    assert found.picture is not None
    assert found.picture.size == (LONGEST, LONGEST * 3 // 4)
    assert found.picture.info["icc_profile"] == SRGB  # or its colours would be others
    pixels = np.asarray(found.picture)
    board = checkerboard((LONGEST * 3 // 4, LONGEST), square=16)
    np.testing.assert_array_equal(pixels[:, :200], board[:, :200])
    assert (abs(pixels[:, 320:].astype(int) - np.multiply(RED, 255)) <= 1).all()
    assert found.table["photo"] == "hair.jpg"
    assert found.table["size"] == "600×450"
    assert found.table["model"] == "mematte-tiny"
    assert found.table["unknown"] == f"{(make().trimap == 0.5).mean():.1%}"
    assert "save" in found.table
    assert not {"script", "style", "link"} & set(found.tags)


def test_a_display_leaves_the_matte_alone() -> None:
    matte = make()
    shown(matte)
    assert "foreground" not in vars(matte)  # which takes seconds for a large photo
    assert matte.alpha.shape == (450, 600)


def test_small_mattes_are_never_enlarged() -> None:
    found = shown(make((30, 40)))
    assert found.picture is not None
    assert found.picture.size == (40, 30)


@pytest.mark.parametrize("linear", [False, True])
def test_small_cutouts_have_the_subjects_own_colours(linear: bool) -> None:
    matte = make(linear=linear)
    before = matte.cutout_proxy(300)  # colours from the small photo
    matte.compute_foreground()
    after = matte.cutout_proxy(300)  # from the large one's foreground
    assert before.shape == after.shape == (225, 300, 4)
    np.testing.assert_array_equal(before[..., 3], after[..., 3])
    seen = before[..., 3] > 60
    assert np.abs(before.astype(int) - after)[seen].max() <= 8
    tinted = np.abs(matte.photo.proxy(300).astype(int) - after[..., :3])[seen].max()
    assert tinted > 60  # the photo's own colours would not do


def test_linear_light_is_shown_display_encoded() -> None:
    light = np.float32(0.2)
    matte = make((600, 800), linear=True)
    matte.photo.pixels[...] = light
    wanted = round(1.055 * 255 * 0.2 ** (1 / 2.4) - 0.055 * 255)
    assert abs(int(matte.cutout_proxy(400)[0, -1, 0]) - wanted) <= 1
    assert srgb_to_linear(np.float32(wanted / 255)) == pytest.approx(light, abs=0.005)


def test_a_real_matte_shows_its_plan() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    trimap = np.zeros((96, 128), np.uint8)
    trimap[:, 50:], trimap[:, 80:] = 128, 255
    matte = cut(pixels, trimap)
    table = shown(matte).table
    assert matte.plan is not None
    assert table["plan"] == matte.plan.short()
    assert str(matte.plan.device) in table["plan"]
    assert table["lost"] == "nothing: the result is exact"
    assert repr(matte) == "Matte(image, 128×96, model mematte-tiny)"
    with pytest.warns(MEMatteWarning, match="has no grey"):
        sure = cut(pixels, np.where(trimap == 128, 0, trimap))
    known = shown(sure)
    assert "trimap is the matte" in known.table["unknown"]
    assert "plan" not in known.table


def test_lost_quality_is_shown() -> None:
    matte = make((30, 40))
    plan = plan_memory((30, 40), budget="2GB", device="cpu")
    matte.plan = replace(plan, lost=("details may be softer", "and <others>"))
    assert shown(matte).table["lost"] == "details may be softer; and <others>"


def test_names_are_text_and_no_markup() -> None:
    matte = make((30, 40), name=EVIL)
    matte.model = f"{EVIL}/{EVIL}"
    for thing in (matte, matte.photo):
        found = shown(thing)
        assert "script" not in found.tags
        assert "\n" not in repr(thing)
    assert "</script> .png" in shown(matte).table["model"]
    assert "\n" not in shown(matte).table["photo"]


def test_a_picture_that_fails_is_replaced_by_its_reason() -> None:
    matte = make()
    matte.alpha = matte.alpha[:-200]
    found = shown(matte)
    assert found.picture is None
    assert "do not agree" in found.table["picture"]
    assert found.table["size"] == "600×450"


def test_facts_that_fail_fall_back_to_the_repr(caplog: pytest.LogCaptureFixture) -> None:
    matte = make((30, 40))
    matte.trimap = None  # type: ignore[assignment]
    assert matte._repr_html_() is None
    assert "cannot be shown" in caplog.text
    assert repr(matte) == "Matte(hair.jpg, 40×30, model mematte-tiny)"


def test_an_interrupt_is_not_swallowed() -> None:
    def stop() -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        as_html([], picture=stop, described="nothing")


def test_a_plan_is_shown_as_its_table() -> None:
    plan = plan_memory((3000, 4000), budget="2GB", device="cpu")
    assert shown(plan).table == dict(plan.rows())
    assert shown(plan).picture is None
    odd = Plan(**{**vars(plan), "model": EVIL})
    assert "script" not in shown(odd).tags


def test_a_photo_is_shown_with_its_depth_and_profile() -> None:
    photo = read_photo(np.full((300, 2000, 4), 65535 // 2, np.uint16), name="deep.tif")
    found = shown(photo)
    assert found.picture is not None
    assert max(found.picture.size) <= LONGEST
    assert found.table["size"] == "2000×300"
    assert found.table["depth"] == "16 bit"
    assert "sRGB" in found.table["profile"]
    assert "transparency" in found.table
    assert repr(photo) == "Photo(deep.tif, 2000×300, 16 bit)"
    named = Photo(photo.pixels, icc_profile=SRGB, linear=True, dpi=(300.0, 300.0))
    assert "sRGB" in shown(named).table["profile"]
    assert "linear" in shown(named).table["depth"]
    assert shown(named).table["resolution"] == "300 dpi"
    assert shown(Photo(photo.pixels, icc_profile=b"no profile")).table["profile"] == "damaged"


def test_cutouts_are_laid_on_squares() -> None:
    cutout = np.zeros((64, 96, 4), np.uint8)
    cutout[:32] = (10, 20, 30, 255)
    laid = on_checkerboard(cutout, square=8)
    assert (laid[:32] == (10, 20, 30)).all()
    np.testing.assert_array_equal(laid[32:], checkerboard((64, 96), square=8)[32:])


def test_ipython_takes_the_table_and_the_one_line() -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    formatter = formatters.DisplayFormatter()
    formatter.active_types = ["text/plain", "text/html"]
    for thing in (make(), make().photo):
        found, _ = formatter.format(thing)
        assert found["text/plain"] == repr(thing)
        assert "\n" not in repr(thing)
        assert found["text/html"] == thing._repr_html_()
