"""The demo's page as a user meets it: from a photograph to files that are the command line's.

Needs Playwright and Chromium. Server, page and files are real ones; some photographs are large.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mematte_plugin import Stroke, from_mask, from_strokes, write_image
from mematte_plugin.cli.shell import run
from tests.browser import pictures
from tests.browser.chromium import chromium
from tests.browser.demo_page import Demo, demo_page, until
from tests.browser.pictures import Case
from tests.gradio_app.processes import Server, free_port, serving

pytestmark = pytest.mark.browser
pytest.importorskip("gradio")

ROOT = Path(__file__).parents[2]
BAND = (2, 4)
"""The sliders as they stand at first, in %."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`mematte demo`, which must not complain of anything to its last day."""
    port = free_port()
    command = [sys.executable, "-m", "mematte_plugin", "demo", "--port", str(port)]
    folder = tmp_path_factory.mktemp("demo")
    with serving([*command, "--device", "cpu"], port, folder, PYTHONPATH=str(ROOT)) as server:
        server.wait_until_ready()
        yield server
        assert "Traceback" not in server.text, server.text


def jobs_of(server: Server) -> list[Path]:
    """Every file of every job that the server keeps."""
    return [path for path in server.folder.glob("tmp/*/jobs/*/**/*") if path.is_file()]


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Demo]:
    """The page, which must stay on this machine and not complain."""
    with demo_page(browser, server.address) as shown:
        yield shown
        assert not shown.outside
        assert not shown.faults


def assert_command_lines(
    found: dict[str, Path], case: Case, folder: Path, *arguments: object
) -> None:
    """Downloads are the files of `mematte cut PHOTO …`, byte by byte."""
    (folder / "cli").mkdir()
    for name, path in found.items():
        end, options = {
            "cutout": ("_cutout.png", ()),
            "alpha": ("_alpha.png", ("--bits", 16)),
            "tiff": ("_cutout.tif", ()),
        }[name]
        assert path.name == f"{case.photo.stem}{end}"
        ours = folder / "cli" / path.name
        given = ["cut", case.photo, *arguments, "-o", ours, "--device", "cpu", *options]
        assert run([str(one) for one in given]) == 0
        assert path.read_bytes() == ours.read_bytes(), path.name
        with Image.open(path) as picture:
            assert picture.size == case.size


# ---- ways in -------------------------------------------------------------------------------------


def test_with_a_trimap(page: Demo, tmp_path: Path) -> None:
    case = pictures.astronaut()
    page.take(case.photo)
    page.guide("trimap", case.trimap)
    page.cut()
    assert_command_lines(page.download(tmp_path), case, tmp_path, case.trimap)
    assert "512 × 512" in page.part("report").inner_text()


def test_with_a_mask_and_its_band(page: Demo, tmp_path: Path) -> None:
    case = pictures.astronaut()
    page.take(case.photo)
    page.guide("mask", case.mask)
    page.part("outside").locator("input[type=number]").fill("6")
    page.part("outside").locator("input[type=number]").press("Tab")
    page.cut()
    band = ("--inside", BAND[0], "--outside", 6)
    assert_command_lines(page.download(tmp_path), case, tmp_path, "--mask", case.mask, *band)


def test_with_painted_subject_and_background(page: Demo, tmp_path: Path) -> None:
    case = pictures.astronaut()
    page.take(case.photo)
    page.choose("paint")
    page.stroke([(0.45, 0.1), (0.45, 0.35)], case.size)
    page.stroke([(0.3, 0.6), (0.6, 0.7), (0.3, 0.8)], case.size)
    page.brush(1)
    page.stroke([(0.1, 0.1), (0.1, 0.5)], case.size)
    page.stroke([(0.45, 0.2), (0.45, 0.3)], case.size)  # by mistake
    page.part("painter").get_by_label("Undo", exact=True).click()
    page.brush(2)
    page.stroke([(0.8, 0.1), (0.9, 0.4)], case.size)
    page.cut()
    labels = labels_in(page.painted())
    for (x, y), stroke in {
        (0.45, 0.25): Stroke.FOREGROUND,  # the mistake is undone
        (0.5, 0.68): Stroke.FOREGROUND,
        (0.1, 0.3): Stroke.BACKGROUND,
        (0.85, 0.25): Stroke.UNKNOWN,
        (0.95, 0.95): Stroke.UNPAINTED,
        (0.25, 0.25): Stroke.UNPAINTED,
    }.items():
        assert labels[round(y * 512), round(x * 512)] == stroke
    trimap = tmp_path / "trimap.png"
    write_image(trimap, from_strokes(labels, (512, 512)), bits=8)
    assert_command_lines(page.download(tmp_path), case, tmp_path, trimap)


def test_with_a_painted_subject_alone(page: Demo, tmp_path: Path) -> None:
    case = pictures.astronaut()
    page.take(case.photo)
    page.choose("paint")
    for y in (0.2, 0.6, 0.8):
        page.stroke([(0.4, y), (0.5, y)], case.size)
    page.part("trimap-show").click()
    page.wait_for_picture("trimap-preview")
    page.cut()
    labels = labels_in(page.painted())
    assert set(np.unique(labels)) == {Stroke.UNPAINTED, Stroke.FOREGROUND}
    mask = np.where(labels == Stroke.FOREGROUND, 255, 0).astype(np.uint8)
    trimap = tmp_path / "trimap.png"
    band = {"inside": BAND[0], "outside": BAND[1]}
    write_image(trimap, from_mask(mask, size=(512, 512), **band), bits=8)
    assert_command_lines(page.download(tmp_path), case, tmp_path, trimap)


def labels_in(layer: bytes) -> np.ndarray:
    """`Stroke` labels (h, w) of a painted layer, by what is blue, red and yellow."""
    with Image.open(io.BytesIO(layer)) as picture:
        red, green, blue, alpha = np.moveaxis(np.asarray(picture.convert("RGBA")), 2, 0)
    strokes = [Stroke.FOREGROUND, Stroke.UNKNOWN, Stroke.BACKGROUND]
    kinds = [blue > 200, (green > 150) & (red > 200), red > 200]
    return np.where(alpha > 32, np.select(kinds, strokes, Stroke.UNPAINTED), Stroke.UNPAINTED)


@pytest.mark.parametrize("way", ["paint", "mask", "trimap"])
def test_an_example_starts_at_once(page: Demo, tmp_path: Path, way: str) -> None:
    page.part(f"example-{way}").click()
    page.wait_for_result()
    found = page.download(tmp_path, ["cutout"])["cutout"]
    with Image.open(found) as cutout:
        share = np.asarray(cutout)[..., 3].mean() / 255
    assert 0.3 < share < 0.6  # the subject fills about half of it


def test_a_picture_is_pasted(browser: Any, server: Server) -> None:
    case = pictures.astronaut()
    with demo_page(
        browser, server.address, permissions=["clipboard-read", "clipboard-write"]
    ) as page:
        with Image.open(case.photo) as photo:
            data = io.BytesIO()
            photo.save(data, "PNG")
        page.copy(data.getvalue())
        page.part("photo").get_by_label("Paste", exact=False).click()
        page.part("photo-info").get_by_text("512 × 512").wait_for()
        page.guide("trimap", case.trimap)
        page.cut()
        assert not page.outside + page.faults


# ---- large, turned and deep photographs ----------------------------------------------------------


def test_a_photograph_that_lies_on_its_side(page: Demo, tmp_path: Path) -> None:
    case = pictures.rotated(tmp_path, "phone photo", (3000, 4000))
    page.take(case.photo)
    page.part("photo-info").get_by_text("3000 × 4000").wait_for()
    page.guide("mask", case.mask)
    page.cut()
    found = page.download(tmp_path, ["cutout", "alpha"])
    assert_command_lines(found, case, tmp_path, "--mask", case.mask)


def test_24_megapixels(page: Demo, tmp_path: Path) -> None:
    case = pictures.enlarged(tmp_path, "IMG_0024", (4900, 4900))
    page.take(case.photo)
    page.guide("trimap", case.trimap)
    page.cut()
    found = page.download(tmp_path, ["cutout"])
    assert_command_lines(found, case, tmp_path, case.trimap)


def test_16_bits_and_a_name_with_accents(page: Demo, tmp_path: Path) -> None:
    case = pictures.deep(tmp_path, "Möwe & Café (2)", (600, 800))
    page.take(case.photo)
    page.part("photo-info").get_by_text("16 bit").wait_for()
    page.guide("trimap", case.trimap)
    page.cut()
    assert_command_lines(page.download(tmp_path), case, tmp_path, case.trimap)


# ---- how it looks --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_all_is_in_reach_and_readable(
    browser: Any, server: Server, scheme: str, width: int, height: int
) -> None:
    phone = {"has_touch": True, "is_mobile": True} if width < 500 else {}
    with demo_page(
        browser, server.address, width=width, height=height, color_scheme=scheme, **phone
    ) as page:
        page.part("example-mask").click()
        page.wait_for_result()
        for tab in ("Edge colours", "Alpha", "Trimap", "Routing", "Before and after"):
            page.open_tab(tab)
            assert page.sticks_out() == [0], tab
        for way in ("mask", "trimap", "paint"):
            page.choose(way)
            assert page.sticks_out() == [0], way
        for name in ("photo", "photo-info", "way", "painter", "inside", "outside", "report"):
            page.part(name).scroll_into_view_if_needed()
            assert page.part(name).is_visible(), name
        for name in (
            *("example-paint", "example-mask", "example-trimap", "trimap-show", "cut"),
            *("download-cutout", "download-alpha", "download-tiff"),
        ):
            page.part(name).click(trial=True)
        for tool in ("Clear canvas", "Brush", "Erase", "Color", "Brush Size"):
            page.part("painter").get_by_label(tool, exact=True).click(trial=True)
        page.part("advanced").get_by_text("Advanced").click()
        for name in ("model", "retention", "budget"):
            page.part(name).scroll_into_view_if_needed()
            assert page.part(name).is_visible(), name
        assert page.sticks_out() == [0]
        assert page.is_dark() == (scheme == "dark")
        assert not page.unreadable()
        assert not page.outside + page.faults


def test_the_background_is_chosen(page: Demo) -> None:
    page.part("example-mask").click()
    page.wait_for_result()
    shown = page.after("result-slider")
    page.change("result-slider", lambda: page.part("clean-colours").locator("input").click())
    page.change("result-slider", lambda: page.pick("background-kind", "colour"))
    until(lambda: is_green(page.after("result-slider")[4, -4]), page.page)
    page.pick("background-kind", "picture")
    page.change("result-slider", lambda: page.upload("background-file", pictures.astronaut().photo))
    page.change("result-slider", lambda: page.pick("background-kind", "checkerboard"))
    page.change("result-slider", lambda: page.part("clean-colours").locator("input").click())
    until(lambda: np.array_equal(page.after("result-slider"), shown), page.page)


def is_green(pixel: np.ndarray) -> bool:
    """The colour that is offered as a background, give or take what JPEG does."""
    return bool(abs(pixel.astype(int) - (0x3F, 0xA3, 0x4D)).max() < 12)


# ---- bad input -----------------------------------------------------------------------------------


def pdf(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n")


def svg(path: Path) -> None:
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("photo.png", b"no picture")


def cut_short(path: Path) -> None:
    path.write_bytes(pictures.astronaut().photo.read_bytes()[:9000])


def bomb(path: Path) -> None:
    pictures.bomb(path, 20_000, 15_000)


@pytest.mark.parametrize("make", [pdf, svg, archive, cut_short, bomb], ids=lambda m: m.__name__)
def test_what_is_no_photograph_is_refused(page: Demo, tmp_path: Path, make: Any) -> None:
    wrong = tmp_path / "holiday.png"
    make(wrong)
    page.upload("photo", wrong)
    text = page.toast()
    assert "holiday.png" in text
    if make is bomb:
        assert re.search(r"20,?000\s?×\s?15,?000|300", text), text
    page.take(pictures.astronaut().photo)  # and all is well again


def test_guides_that_do_not_fit_are_refused(page: Demo, tmp_path: Path) -> None:
    case = pictures.astronaut()
    for name, array in {
        "other shape.png": np.full((300, 512), 128, np.uint8),
        "nothing unknown.png": np.repeat(np.array([[0, 255]], np.uint8), 256).reshape(1, 512)
        * np.ones((512, 1), np.uint8),
        "all unknown.png": np.full((512, 512), 128, np.uint8),
    }.items():
        Image.fromarray(array).save(tmp_path / name)
    page.take(case.photo)

    page.choose("paint")
    page.part("cut").click()
    assert "nothing is painted" in page.toast()

    page.choose("trimap")
    page.part("cut").click()
    assert "trimap: there is none yet" in page.toast()
    page.upload("trimap", tmp_path / "other shape.png")
    assert "512" in page.toast()
    page.upload("trimap", tmp_path / "nothing unknown.png")
    page.wait_for_picture("trimap-preview")
    page.part("cut").click()
    assert "unknown" in page.toast()

    page.guide("trimap", case.trimap)
    page.cut()


def test_a_job_that_is_cancelled_leaves_nothing(page: Demo, server: Server, tmp_path: Path) -> None:
    case = start_large(page, tmp_path)
    page.part("cancel").click()
    page.part("stage").get_by_text("Cancelled").wait_for()
    until(lambda: results_of(server, case) == [], page.page)
    page.part("example-trimap").click()
    page.wait_for_result()
    assert results_of(server, case) == []


def test_a_closed_tab_frees_the_queue(
    browser: Any, server: Server, page: Demo, tmp_path: Path
) -> None:
    with demo_page(browser, server.address) as other:
        case = start_large(other, tmp_path)
    page.part("example-trimap").click()
    page.wait_for_result()
    assert results_of(server, case) == []


def start_large(page: Demo, folder: Path) -> Case:
    """A job that takes long, under way."""
    case = pictures.enlarged(folder, "large", (4900, 4900))
    page.take(case.photo)
    page.guide("trimap", case.trimap)
    page.part("cut").click()
    page.part("stage").get_by_text(re.compile("Looking|Computing")).wait_for()
    return case


def results_of(server: Server, case: Case) -> list[Path]:
    """Files of a photograph's jobs."""
    return [path for path in jobs_of(server) if path.name.startswith(f"{case.photo.stem}_")]
