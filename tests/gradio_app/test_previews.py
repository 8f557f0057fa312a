"""What the page shows: the right picture, behind it what was chosen, and words for the rest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from gradio_app.engine import Guide, Result, Step, Task, carry_out
from gradio_app.previews import (
    Behind,
    behind_of,
    compare,
    compare_edges,
    show,
    show_trimap,
    with_strokes,
)
from gradio_app.report import STAGES, photo_line, progress_of, report_table
from gradio_app.samples import examples, guide_for, thumbnail
from gradio_app.settings import Settings
from gradio_app.views import PREVIEW
from mematte_plugin import InputError, SettingError, write_image

SETTINGS = Settings(max_megapixels=8)
PHOTO, MASK = examples()[1].photo, examples()[1].guide


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


@pytest.fixture(scope="module")
def result() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        task = Task(PHOTO, Guide("mask", MASK), Path(folder), for_page=True)
        *_, last = carry_out(task, SETTINGS)
        assert isinstance(last, Result)
        yield last


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_photo_is_shown_small_and_described(tmp_path: Path) -> None:
    path = tmp_path / "<b>wide & deep.tif"
    write_image(path, np.zeros((1000, 2000, 3), np.uint16))
    shown = show(path, SETTINGS)
    assert shown.size == (1000, 2000)
    assert shown.proxy_size == (PREVIEW // 2, PREVIEW)
    assert pixels(shown.proxy).shape == (PREVIEW // 2, PREVIEW, 3)
    line = photo_line(shown)
    assert "2000 × 1000 px" in line
    assert "16 bit" in line
    assert "&lt;b&gt;wide &amp; deep.tif" in line


def test_a_turned_photo_is_shown_upright(tmp_path: Path) -> None:
    path, exif = tmp_path / "phone.jpg", Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    assert show(path, SETTINGS).proxy_size == (40, 20)


def test_a_photo_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (4000, 4000)).save(path)
    with pytest.raises(InputError, match=r"large\.png"):
        show(path, SETTINGS)


def test_the_trimap_of_a_mask_is_shown_on_the_photo() -> None:
    shown = show(PHOTO, SETTINGS)
    narrow, wide = (
        pixels(show_trimap(shown, Guide("mask", MASK, band, band), SETTINGS)) for band in (1, 12)
    )
    assert narrow.shape == (*shown.proxy_size, 3)
    photo = pixels(shown.proxy)
    darkened = [(np.abs(view - photo).max(axis=2) > 20).mean() for view in (narrow, wide)]
    assert 0.1 < darkened[0] < darkened[1]


def test_a_mask_of_another_shape_is_told_with_the_photos_own_size(tmp_path: Path) -> None:
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    Image.new("RGB", (2400, 1200)).save(photo)
    Image.fromarray(np.eye(64, dtype=np.uint8) * 255).save(mask)
    with pytest.raises(InputError, match="2400×1200"):
        show_trimap(show(photo, SETTINGS), Guide("mask", mask), SETTINGS)


def test_a_colour_stands_behind_the_subject(result: Result) -> None:
    assert result.view is not None
    before, after = compare(result.view, Behind("colour", "#2040c0"), True, SETTINGS)
    assert before == result.view.photo
    alpha = pixels(result.view.alpha)[..., 0]
    shown, photo = pixels(after), pixels(before)
    far = np.abs(shown - [0x20, 0x40, 0xC0]).max(axis=2)
    assert np.median(far[alpha == 0]) <= 3
    assert np.median(np.abs(shown - photo)[alpha == 255]) <= 3


def test_clean_edge_colours_differ_from_the_photos_in_the_edges_only(result: Result) -> None:
    assert result.view is not None
    tinted, clean = (
        pixels(path) for path in compare_edges(result.view, Behind("colour", "#000000"), SETTINGS)
    )
    alpha = pixels(result.view.alpha)[..., 0]
    change = np.abs(clean - tinted).max(axis=2)
    assert change[(alpha > 20) & (alpha < 235)].max() > 20
    assert np.median(change[alpha == 255]) <= 2
    _, off = compare(result.view, Behind("colour", "#000000"), False, SETTINGS)
    assert (pixels(off) == tinted).all()


def test_an_own_picture_and_a_checkerboard_stand_behind(result: Result, tmp_path: Path) -> None:
    assert result.view is not None
    path = tmp_path / "behind.tif"
    write_image(path, np.full((300, 500, 3), (0, 200 * 257, 0), np.uint16))
    alpha = pixels(result.view.alpha)[..., 0]
    _, own = compare(result.view, Behind("picture", picture=path), True, SETTINGS)
    assert np.median(np.abs(pixels(own) - [0, 200, 0]).max(axis=2)[alpha == 0]) <= 4
    _, board = compare(result.view, Behind(), True, SETTINGS)
    behind = pixels(board)[alpha == 0]
    light, dark = ((np.abs(behind - grey).max(axis=1) <= 6).mean() for grey in (204, 153))
    assert min(light, dark) > 0.3
    assert light + dark > 0.9


@pytest.mark.parametrize(
    ("colour", "rgb"),
    [
        ("#ff0000", (255, 0, 0)),
        ("rgb(0, 128, 255)", (0, 128, 255)),
        ("rgba(12.4, 99.6, 3, 1)", (12, 100, 3)),
    ],
)
def test_colours_as_the_picker_gives_them(
    colour: str, rgb: tuple[int, int, int], result: Result
) -> None:
    assert result.view is not None
    alpha = pixels(result.view.alpha)[..., 0]
    _, after = compare(result.view, behind_of("colour", colour, None), True, SETTINGS)
    assert np.median(np.abs(pixels(after) - rgb).max(axis=2)[alpha == 0]) <= 4


@pytest.mark.parametrize("colour", ["nonsense", "rgb(1, 2)", "rgba(a, b, c, d)"])
def test_what_is_no_colour_is_told(colour: str, result: Result) -> None:
    assert result.view is not None
    with pytest.raises(SettingError, match="is no colour"):
        compare(result.view, behind_of("colour", colour, None), True, SETTINGS)


def test_an_odd_kind_is_refused_and_a_missing_picture_waited_for() -> None:
    with pytest.raises(SettingError, match="checkerboard, colour, picture"):
        behind_of("http://example.org", None, None)
    assert behind_of("picture", None, None).kind == "checkerboard"


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.way)
def test_every_example_has_what_it_needs(example: object) -> None:
    from gradio_app.samples import Example

    assert isinstance(example, Example)
    assert thumbnail(example).startswith("data:image/jpeg;base64,")
    guide = guide_for(example, 2, 4)
    assert guide.kind == {"paint": "strokes"}.get(example.way, example.way)
    if example.way == "paint":
        shown = with_strokes(show(example.photo, SETTINGS), example.guide)
        assert shown.canvas is not None
        assert np.abs(pixels(shown.canvas) - pixels(shown.proxy)).mean() > 10


def test_the_report_is_in_words(result: Result) -> None:
    table = report_table({**result.report, "photo": "<img src=x>", "notes": ["was turned"]})
    assert "&lt;img src=x&gt;" in table
    for words in ("512 × 512", "mematte-tiny", "predicted", "measured", "nothing lost", "was turn"):
        assert words in table


def test_progress_only_grows_and_moves_by_itself() -> None:
    seen = [
        progress_of(Step(done, 4, stage), seconds)[0]
        for stage in STAGES
        for done, seconds in ((0, 0), (0, 9), (2, 20), (3, 300))
    ]
    assert seen == sorted(seen)
    assert len(set(seen)) == len(seen)
    assert 0 <= seen[0] < seen[-1] <= 1
    assert progress_of(Step(0, 0, "model"))[0] < 1
