"""What the page shows: the right pictures, the chosen background, and the words."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from gradio_app.inputs import Guide, trimap_of
from gradio_app.job import Result, Step, Task, carry_out
from gradio_app.pictures import (
    LONGEST,
    ResultPictures,
    background_of,
    on_background,
    show_photo,
    show_trimap,
)
from gradio_app.samples import OWN, Example, examples, guide_for
from gradio_app.settings import Settings
from gradio_app.wording import STAGES, photo_line, progress_of, report_table
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


@pytest.fixture
def shown(result: Result) -> ResultPictures:
    assert result.pictures is not None
    return result.pictures


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_photo_is_shown_small_and_described(tmp_path: Path) -> None:
    path = tmp_path / "<b>wide & deep.tif"
    write_image(path, np.zeros((1000, 2000, 3), np.uint16))
    shown = show_photo(path, SETTINGS)
    assert shown.size == (1000, 2000)
    assert shown.proxy_size == (LONGEST // 2, LONGEST)
    assert pixels(shown.proxy).shape == (LONGEST // 2, LONGEST, 3)
    line = photo_line(shown)
    assert "2000 × 1000 px" in line
    assert "16 bit" in line
    assert "&lt;b&gt;wide &amp; deep.tif" in line


def test_a_turned_photo_is_shown_upright(tmp_path: Path) -> None:
    path, exif = tmp_path / "phone.jpg", Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    assert show_photo(path, SETTINGS).proxy_size == (40, 20)


def test_a_photo_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (4000, 4000)).save(path)
    with pytest.raises(InputError, match=r"large\.png"):
        show_photo(path, SETTINGS)


def test_the_trimap_of_a_mask_is_shown_on_the_photo() -> None:
    shown = show_photo(PHOTO, SETTINGS)
    narrow, wide = (
        pixels(show_trimap(shown, Guide("mask", MASK, band, band), SETTINGS)) for band in (1, 12)
    )
    assert narrow.shape == (*shown.proxy_size, 3)
    photo = pixels(shown.proxy)
    darkened = [(np.abs(view - photo).max(axis=2) > 20).mean() for view in (narrow, wide)]
    assert 0.1 < darkened[0] < darkened[1]


def test_a_mask_of_another_shape_is_refused_with_the_photos_own_size(tmp_path: Path) -> None:
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    Image.new("RGB", (2400, 1200)).save(photo)
    Image.fromarray(np.eye(64, dtype=np.uint8) * 255).save(mask)
    with pytest.raises(InputError, match="2400×1200"):
        show_trimap(show_photo(photo, SETTINGS), Guide("mask", mask), SETTINGS)


def distance(picture: Path, rgb: tuple[int, ...], where: np.ndarray) -> float:
    """How far a picture is from a colour, in the median of these pixels."""
    return float(np.median(np.abs(pixels(picture) - rgb).max(axis=2)[where]))


@pytest.mark.parametrize(
    ("colour", "rgb"),
    [
        ("#ff0000", (255, 0, 0)),
        ("rgb(0, 128, 255)", (0, 128, 255)),
        ("rgba(12.4, 99.6, 3, 1)", (12, 100, 3)),
    ],
)
def test_a_colour_as_the_picker_gives_it_is_behind_the_subject(
    colour: str, rgb: tuple[int, int, int], shown: ResultPictures
) -> None:
    after = on_background(shown.cutout, background_of("colour", colour, None, SETTINGS))
    alpha = pixels(shown.alpha)[..., 0]
    assert distance(after, rgb, alpha == 0) <= 4
    assert np.median(np.abs(pixels(after) - pixels(shown.photo))[alpha == 255]) <= 3


def test_clean_edge_colours_differ_from_the_photos_in_the_edges_only(shown: ResultPictures) -> None:
    black = background_of("colour", "#000000", None, SETTINGS)
    tinted, clean = (pixels(on_background(path, black)) for path in (shown.tinted, shown.cutout))
    alpha = pixels(shown.alpha)[..., 0]
    change = np.abs(clean - tinted).max(axis=2)
    assert change[(alpha > 20) & (alpha < 235)].max() > 20
    assert np.median(change[alpha == 255]) <= 2


def test_an_own_picture_and_a_checkerboard_are_behind(
    shown: ResultPictures, tmp_path: Path
) -> None:
    path = tmp_path / "behind.tif"
    write_image(path, np.full((300, 500, 3), (0, 200 * 257, 0), np.uint16))
    alpha = pixels(shown.alpha)[..., 0]
    own = on_background(shown.cutout, background_of("picture", None, path, SETTINGS))
    assert distance(own, (0, 200, 0), alpha == 0) <= 4
    # Also while the picture is still to come.
    board = on_background(shown.cutout, background_of("picture", None, None, SETTINGS))
    behind = pixels(board)[alpha == 0]
    light, dark = ((np.abs(behind - grey).max(axis=1) <= 6).mean() for grey in (204, 153))
    assert min(light, dark) > 0.3
    assert light + dark > 0.9


@pytest.mark.parametrize(
    ("kind", "colour", "message"),
    [
        ("colour", "nonsense", "is not a colour"),
        ("colour", "rgb(1, 2)", "is not a colour"),
        ("colour", "rgba(a, b, c, d)", "is not a colour"),
        ("http://example.org", None, "checkerboard, colour, picture"),
    ],
)
def test_an_odd_background_is_refused(kind: str, colour: str | None, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        background_of(kind, colour, None, SETTINGS)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.way)
def test_every_example_has_what_it_needs(example: Example) -> None:
    assert (OWN / f"{example.way}.jpg").is_file()
    guide = guide_for(example, 2, 4)
    assert guide.kind == {"paint": "painting"}.get(example.way, example.way)
    assert trimap_of(guide, (512, 512), SETTINGS).any()


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
