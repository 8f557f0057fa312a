"""The subject is found on the demo's page and corrected by clicks: mouse, finger and keyboard.

The networks are small and random or nearly so; what they show is the package's business.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mematte_plugin import SubjectMask, collect_notes, cut, find_subject
from tests.browser import pictures
from tests.browser.chromium import chromium
from tests.browser.demo_page import DONE, Demo, demo_page, until
from tests.gradio_app.processes import Server, free_port, serving

pytestmark = pytest.mark.browser
pytest.importorskip("gradio")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("transformers")

ROOT = Path(__file__).parents[2]
LONGEST = 1536
"""Pixels of the longer side of what the page shows."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def finders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from tests.gradio_app.networks import save_finders

    return save_finders(tmp_path_factory.mktemp("finders"))


@pytest.fixture(scope="module")
def server(
    browser: Any, finders: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    from tests.subject.cache import put

    folder = tmp_path_factory.mktemp("demo")
    # A word's box goes to the default network for boxes.
    put(folder / "hub", "facebook/sam2.1-hiera-tiny", Path(finders["clicks_model"]))
    offline = {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    options = [part for key, value in finders.items() for part in (option(key), value)]
    with started(folder, *options, **offline) as server:
        yield server
        assert "Traceback" not in server.text, server.text


def option(setting: str) -> str:
    """Of the command line."""
    return "--" + setting.replace("_", "-")


@contextmanager
def started(folder: Path, *options: str, before: str = "", **environment: str) -> Iterator[Server]:
    """`mematte demo` with these options; before: Python that runs first."""
    port = free_port()
    code = f"import sys\n{before}\nfrom mematte_plugin.cli import main\nmain()"
    command = [sys.executable, "-c", code, "demo", "--port", str(port), "--device", "cpu"]
    with serving([*command, *options], port, folder, PYTHONPATH=str(ROOT), **environment) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Demo]:
    """The page, which must stay on this machine and not complain."""
    with demo_page(browser, server.address) as shown:
        yield shown
        assert not shown.outside
        assert not shown.faults


def find(page: Demo) -> None:
    """Press the button and wait for the mask and the cut-out."""
    page.part("find").click()
    page.part("found").get_by_text("sure").wait_for(timeout=DONE)
    page.wait_for_result()


def assert_shown(page: Demo, found: SubjectMask) -> None:
    """The mask over the photo is this one."""
    layer = page.layer()
    expected = replace(found, size=layer.shape[:2]).mask
    assert np.abs(layer[..., 3] / 255 - 0.55 * expected).max() < 0.01


# ---- ways ----------------------------------------------------------------------------------------


def test_one_press_and_clicks_that_correct(
    page: Demo, finders: dict[str, str], tmp_path: Path
) -> None:
    case = pictures.astronaut()
    page.take(case.photo)
    find(page)
    alone = find_subject(case.photo, model=finders["subject_model"])
    assert_shown(page, alone)
    with collect_notes():
        matte = cut(case.photo, subject_model=finders["subject_model"])
    matte.save(tmp_path / "ours.png")
    theirs = page.download(tmp_path, ["cutout"])["cutout"]
    assert theirs.read_bytes() == (tmp_path / "ours.png").read_bytes()
    assert "bright.onnx" in page.part("found").inner_text()

    page.click_photo(0.8, 0.1)
    page.wait_for_clicks("in")
    page.click_photo(0.4, 0.6, button="right")
    page.wait_for_clicks("in", "out")
    corrected = page.layer()
    page.part("undo").click()
    page.wait_for_clicks("in")
    assert not np.array_equal(page.layer(), corrected)
    page.part("undo").click()
    page.wait_for_clicks()
    assert_shown(page, alone)
    assert page.part("undo").is_disabled()
    again = page.download(tmp_path, ["cutout"])["cutout"]
    assert again.read_bytes() == (tmp_path / "ours.png").read_bytes()

    page.upload("photo", pictures.deep(tmp_path, "next", (300, 400)).photo)
    page.part("photo-info").get_by_text("next.png").wait_for(timeout=DONE)
    assert page.part("canvas").locator(".found").count() == 0


def test_a_click_alone_on_a_large_photo_that_lies_on_its_side(
    page: Demo, server: Server, finders: dict[str, str], tmp_path: Path
) -> None:
    case = pictures.rotated(tmp_path, "phone photo", (1200, 1600))
    page.take(case.photo)
    page.click_photo(0.3, 0.7)
    page.part("stage").get_by_text("Looking at the picture").wait_for(timeout=DONE)
    place = (360, 1120)
    shown = find_subject(case.photo, points=[place], model=finders["clicks_model"])
    dot = page.part("canvas").locator("i.in")
    style = dot.get_attribute("style") or ""
    found = [float(part.split(":")[1].rstrip("%;")) for part in style.split(";")[:2]]
    assert np.allclose(found, (30, 70), atol=0.4)
    assert page.layer().shape[:2] == (LONGEST, LONGEST * 3 // 4)
    assert np.abs(shown.mask.mean() - page.layer()[..., 3].mean() / 255 / 0.55) < 0.05
    # While that is being cut, the next click ends it and goes on from it.
    page.click_photo(0.6, 0.3)
    page.wait_for_clicks("in", "in")
    assert "From your 2 clicks" in page.part("found").inner_text()
    assert "1200 × 1600" in page.part("report").inner_text()
    cutouts = [*server.folder.glob("tmp/*/jobs/*/phone photo_cutout.png")]
    assert len(cutouts) == 1, "the first job was not ended"


def test_clicks_in_a_hurry_all_count(page: Demo) -> None:
    page.take(pictures.astronaut().photo)
    left, top = page.place(0, 0)
    right, bottom = page.place(1, 1)
    for part in (0.2, 0.4, 0.6, 0.8):
        across, down = left + part * (right - left), top + part * (bottom - top)
        page.page.mouse.click(across, down)
    page.wait_for_clicks("in", "in", "in", "in")
    assert "From your 4 clicks" in page.part("found").inner_text()


def test_with_a_finger_on_a_phone(browser: Any, server: Server) -> None:
    phone = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
    with demo_page(browser, server.address, **phone) as page:
        page.take(pictures.astronaut().photo)
        page.part("find").tap()
        page.part("found").get_by_text("sure").wait_for(timeout=DONE)
        page.wait_for_result()
        page.page.touchscreen.tap(*page.place(0.8, 0.1))
        page.wait_for_clicks("in")
        page.part("click-kind").get_by_text("Takes away", exact=True).tap()
        page.page.touchscreen.tap(*page.place(0.4, 0.6))
        page.wait_for_clicks("in", "out")
        assert page.sticks_out() == [0]
        page.part("found").get_by_role("link", name="See the cut-out").tap()
        until(
            lambda: (
                page.page.evaluate("document.querySelector('#right').getBoundingClientRect().top")
                < 60
            ),
            page.page,
        )
        assert not page.unreadable()
        assert not page.outside + page.faults


def test_with_the_keyboard(page: Demo) -> None:
    page.take(pictures.astronaut().photo)
    page.place(0.5, 0.5)
    page.part("word").locator("input, textarea").focus()
    page.page.keyboard.press("Tab")
    photo = page.page.get_by_role("application", name="Photo")
    until(lambda: photo.evaluate("element => element === document.activeElement"), page.page)
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowUp", "Enter"):
        page.page.keyboard.press(key)
    page.wait_for_clicks("in")
    style = page.part("canvas").locator("i.in").get_attribute("style") or ""
    assert style.startswith("left:52.")
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("Delete")
    page.wait_for_clicks("in", "out")


# ---- what goes wrong -----------------------------------------------------------------------------


def test_a_click_beside_the_photo_is_not_meant(page: Demo, tmp_path: Path) -> None:
    path = tmp_path / "tall.png"
    Image.fromarray(np.full((900, 200, 3), 90, np.uint8)).save(path)
    page.take(path)
    x, y = page.place(0, 0.5)
    page.page.mouse.click(x - 60, y)
    page.page.mouse.click(x - 60, y, button="right")
    page.page.wait_for_timeout(1000)
    assert page.part("canvas").locator("i:not(.cross)").count() == 0
    assert page.part("found").inner_text().startswith("Press the button")
    page.click_photo(0.5, 0.5, button="right")
    assert "nothing can be taken away yet" in page.toast()


def test_a_word_that_is_not_in_the_picture_changes_nothing(page: Demo) -> None:
    page.take(pictures.astronaut().photo)
    find(page)
    before = page.layer()
    page.part("word").locator("input, textarea").fill("dog")
    page.page.keyboard.press("Enter")
    assert "no 'dog' in" in page.toast()
    page.part("found").get_by_text("no 'dog' in").wait_for(timeout=DONE)
    assert np.array_equal(page.layer(), before)
    page.cut()  # what was found before


def test_one_pixel(page: Demo, tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.fromarray(np.full((1, 1, 3), 200, np.uint8)).save(path)
    page.take(path)
    page.part("find").click()
    page.toast()
    page.part("stage").get_by_text("That did not work").wait_for(timeout=DONE)


def test_without_weights_the_page_works_as_ever(browser: Any, tmp_path: Path) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    with (
        started(tmp_path, **offline) as server,
        demo_page(browser, server.address) as page,
    ):
        case = pictures.astronaut()
        page.take(case.photo)
        page.part("find").click()
        said = page.toast()
        assert said.startswith("birefnet-lite: ")
        assert said.endswith("; mark the subject in another way")
        page.part("found").get_by_text("birefnet-lite: ").wait_for(timeout=DONE)
        page.guide("trimap", case.trimap)
        page.cut()
        assert not page.outside + page.faults


def test_without_the_extra_the_page_says_so(browser: Any, tmp_path: Path) -> None:
    hidden = "sys.modules['onnxruntime'] = sys.modules['transformers'] = None"
    with (
        started(tmp_path, before=hidden) as server,
        demo_page(browser, server.address) as page,
    ):
        page.take(pictures.astronaut().photo)
        page.part("painter").wait_for(timeout=DONE)  # painting comes first
        page.choose("find")
        assert 'pip install "mematte-plugin[subject]"' in page.part("found").inner_text()
        assert page.part("find").is_disabled()
        assert not page.part("canvas").is_visible()
        assert not page.outside + page.faults
