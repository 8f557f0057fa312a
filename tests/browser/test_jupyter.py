"""The widgets and displays in JupyterLab 4 and Notebook 7: what a user does, and what comes of it.

Needs Playwright, Chromium, jupyterlab and notebook. Server, page and kernel are real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mematte_plugin import write_image
from tests.browser.chromium import chromium
from tests.browser.jupyter_page import HOSTS, Jupyter, Notebook, jupyter, notebook
from tests.browser.pictures import astronaut, enlarged
from tests.browser.widget_page import Painter, PanelView

pytestmark = pytest.mark.browser
for needed in ("jupyterlab", "notebook", "anywidget"):
    pytest.importorskip(needed)

CASE = astronaut()
FACE = [(0.43, 0.2), (0.43, 0.34)]
BODY = [(0.3, 0.62), (0.42, 0.72), (0.36, 0.85)]
WALL = [(0.72, 0.08), (0.72, 0.36)]
WIDGET = f"""
import numpy as np, time
from mematte_plugin import MattingPipeline
from mematte_plugin.widget import MatteWidget, MattePanel
PHOTO = {str(CASE.photo)!r}
widget = MatteWidget(PHOTO)
widget
"""
BUSY = """
import pathlib, time
while not pathlib.Path("enough").exists():
    time.sleep(0.1)
"""
"""A cell that runs until `wake`."""
LARGE = 2800
"""Pixels of a side, so that a run takes some seconds."""

Open = Callable[..., AbstractContextManager[Notebook]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with jupyter(tmp_path_factory.mktemp("jupyter")) as server:
        yield server


@pytest.fixture(params=sorted(HOSTS))
def opened(request: pytest.FixtureRequest, browser: Any, server: Jupyter) -> Open:
    """Opens a notebook in one of the hosts."""
    return partial(notebook, browser, server, request.param)


def painter(book: Notebook, index: int = 0) -> Painter:
    """The widget in a cell's output."""
    return Painter(book, book.cell(index).locator('[data-mematte="widget"]')).wait()


def enlarged_photo(server_folder: Path) -> str:
    """A cell that shows a widget of a photo whose matte takes a while."""
    case = enlarged(server_folder, "large", (LARGE, LARGE))
    return WIDGET.replace(f"PHOTO = {str(CASE.photo)!r}", f"PHOTO = {str(case.photo)!r}")


def wake(book: Notebook, index: int) -> None:
    """Have a BUSY cell end."""
    (book.folder / "enough").touch()
    book.wait(index)


def paint_subject(shown: Painter) -> None:
    shown.stroke(FACE, "foreground", 60)
    shown.stroke(BODY, "foreground", 110)


def test_from_strokes_to_the_next_cells_alpha(opened: Open) -> None:
    with opened([WIDGET]) as book:
        book.run(0)
        shown = painter(book)
        before = shown.colour(WALL[0])
        assert book.value("widget.trimap is None")
        paint_subject(shown)
        book.until("(widget.labels == 3).any()")
        assert np.abs(shown.colour(WALL[0]) - before).max() > 20  # it has become background
        shown.stroke(WALL, "background", 40)
        book.until("(widget.labels == 1).any()")
        shown.press("view-trimap")

        # The strokes lie where the mouse was.
        x, y = (round(part * 511) for part in FACE[0])
        assert book.value(f"widget.trimap[{y}, {x}].item()") == 255
        x, y = (round(part * 511) for part in WALL[0])
        assert book.value(f"widget.trimap[{y}, {x}].item()") == 0

        shown.press("run")
        shown.ends()
        assert book.value("[widget.status, list(widget.alpha.shape)]") == ["done", [512, 512]]
        same = "MattingPipeline.from_pretrained()(PHOTO, widget.trimap).alpha"
        assert book.value(f"np.array_equal(widget.alpha, {same})")
        value = json.loads(book.text(book.scratch or 0))
        assert value is True
        shown.part("badge").filter(has_text="512×512").wait_for()

        assert book.do("widget.save('cut.png')") == ""
        with Image.open(book.folder / "cut.png") as made:
            assert (made.mode, made.size) == ("RGBA", (512, 512))
        assert "exists" in book.do("widget.save('cut.png')")
        shown.says("exists")


def test_undo_redo_and_a_second_view(opened: Open) -> None:
    with opened([WIDGET, "widget"]) as book:
        book.run(0)
        shown = painter(book)
        paint_subject(shown)
        book.until("(widget.labels == 3).sum() > 9000")
        painted = book.value("int((widget.labels == 3).sum())")
        shown.press("undo")
        book.until(f"0 < (widget.labels == 3).sum() < {painted}")
        shown.press("undo")
        book.until("widget.trimap is None")
        assert shown.part("undo").is_disabled()
        shown.press("redo")
        shown.press("redo")
        book.until(f"(widget.labels == 3).sum() == {painted}")

        book.run(1)
        again = painter(book, 1)
        np.testing.assert_allclose(again.colour(BODY[1]), painter(book).colour(BODY[1]), atol=6)
        again = painter(book, 1)
        again.stroke(WALL, "background", 60)
        book.until("(widget.labels == 1).any()")
        assert book.value("int((widget.labels == 3).sum())") == painted
        here = painter(book, 1).colour(WALL[1])
        np.testing.assert_allclose(painter(book).colour(WALL[1]), here, atol=6)


def test_two_widgets_do_not_mix(opened: Open) -> None:
    with opened([WIDGET, "other = MatteWidget(PHOTO)\nother"]) as book:
        book.run(0)
        book.run(1)
        painter(book).stroke(FACE, "foreground", 60)
        book.until("widget.labels.any()")
        painter(book, 1).stroke(BODY, "foreground", 60)
        book.until("other.labels.any()")
        assert not book.value("bool((widget.labels & other.labels).any())")
        first = painter(book)
        first.press("run")
        first.ends()
        assert book.value("[widget.status, other.status, other.alpha is None]") == [
            *("done", "ready", True)
        ]


def test_two_notebooks_of_one_photo_do_not_mix(browser: Any, server: Jupyter) -> None:
    """Two kernels behind one page; neither gets the other's strokes, nor is offered them."""
    with notebook(browser, server, "lab", [WIDGET]) as book:
        book.run(0)
        painter(book).stroke(FACE, "foreground", 60)
        book.until("widget.labels.any()")
        painted = book.value("int(widget.labels.astype(int).sum())")
        other = book.open_next_to([WIDGET], f"{Path(book.name).parent}/other.ipynb")
        assert len(server.kernels()) == 2
        other.run(0)
        shown = painter(other)
        assert not shown.part("restore").is_visible()
        shown.stroke(BODY, "foreground", 60)
        other.until("widget.labels.any()")
        other.restart()
        shown.says("strokes are kept")
        book.to_front()
        assert book.value("int(widget.labels.astype(int).sum())") == painted
        first = painter(book)
        assert not first.part("restore").is_visible()
        first.press("run")
        first.ends()
        assert book.value("widget.status") == "done"


def test_keys_do_not_reach_the_notebook(opened: Open) -> None:
    with opened([WIDGET]) as book:
        book.run(0)
        shown = painter(book)
        shown.stroke(FACE, "foreground", 60)
        book.until("widget.labels.any()")
        count = book.count()
        shown.part("canvas").focus()
        for key in ("b", "a", "z", "x", "d", "d", "3"):
            book.page.keyboard.press(key)
        book.page.wait_for_timeout(500)
        assert book.count() == count
        assert shown.part("brush-background").get_attribute("aria-pressed") == "true"
        book.page.keyboard.press("Control+z")
        book.until("not widget.labels.any()")
        assert book.count() == count


def test_cancel_while_it_computes(opened: Open, tmp_path: Path) -> None:
    with opened([enlarged_photo(tmp_path)]) as book:
        book.run(0)
        shown = painter(book)
        paint_subject(shown)
        shown.stroke(WALL, "background", 40)  # the rest is unknown: much to compute
        shown.says("Run computes")
        shown.press("run")
        shown.ends("running")
        shown.press("cancel")
        shown.ends("stopped")
        assert book.value("widget.alpha is None and (widget.labels == 3).any().item()")


def test_cancel_while_a_cell_waits(opened: Open, tmp_path: Path) -> None:
    both = "panel = MattePanel(PHOTO, widget.trimap)\npanel"
    with opened([enlarged_photo(tmp_path), both]) as book:
        book.run(0)
        book.do(f"widget.trimap = np.full(({LARGE}, {LARGE}), 128, np.uint8)")
        book.run(1)
        shown = painter(book)
        panel = PanelView(book, book.cell(1).locator(".jp-OutputArea-output").last)
        for name, stop in (
            ("widget", lambda: shown.press("cancel")),
            ("panel", lambda: panel.button("Cancel").click()),
        ):
            waiting = book.add(f"{name}.run()")
            book.start(waiting)
            if name == "widget":
                painter(book).ends("running")
            else:
                panel.says("Computing")
            stop()
            book.wait(waiting)
            assert book.value(f"[{name}.status, {name}.alpha is None]") == ["stopped", True]


def test_strokes_of_a_busy_kernel_arrive(opened: Open) -> None:
    with opened([WIDGET, BUSY]) as book:
        book.run(0)
        shown = painter(book)
        book.start(1)
        paint_subject(shown)
        shown.says("Run computes")  # it received them while the cell runs
        wake(book, 1)
        book.until("(widget.labels == 3).sum() > 9000")


def test_a_kernel_that_does_not_hear_is_called_busy(opened: Open) -> None:
    with opened([WIDGET, BUSY]) as book:
        # As with older kernels and pages, where everything waits for the cell.
        book.tell("panel.sessionContext.session.kernel.commsOverSubshells = 'disabled'")
        book.run(0)
        shown = painter(book)
        book.start(1)
        paint_subject(shown)
        shown.says("kernel is busy")
        shown.press("run")
        wake(book, 1)
        shown.ends("done")
        assert book.value("(widget.labels == 3).sum() > 9000 and widget.status == 'done'")


def test_a_reloaded_page_shows_the_same(opened: Open) -> None:
    with opened([WIDGET]) as book:
        book.run(0)
        shown = painter(book)
        paint_subject(shown)
        shown.says("Run computes")
        shown.press("run")
        shown.ends()
        shown.press("view-alpha")
        book.until("widget.view == 'alpha'")
        before = [shown.colour(point) for point in (FACE[0], WALL[0])]
        book.reload()
        shown = painter(book)
        shown.ends()
        after = [shown.colour(point) for point in (FACE[0], WALL[0])]
        np.testing.assert_allclose(after, before, atol=6)
        shown.press("undo")  # strokes are there, as one step
        book.until("not widget.labels.any()")


@pytest.mark.parametrize("lose", [Notebook.restart, Notebook.change_kernel])
def test_a_lost_kernel_is_reported_and_strokes_come_back(
    opened: Open, lose: Callable[[Notebook], None]
) -> None:
    with opened([WIDGET]) as book:
        book.run(0)
        shown = painter(book)
        shown.stroke(FACE, "foreground", 60)
        book.until("widget.labels.any()")
        painted = book.value("int(widget.labels.astype(int).sum())")
        lose(book)
        shown.says("strokes are kept")
        book.run(0)
        shown = painter(book)
        assert book.value("not widget.labels.any()")
        shown.press("restore")
        book.until(f"widget.labels.astype(int).sum() == {painted}")


def test_what_is_wrong_stands_in_the_widget(opened: Open) -> None:
    with opened([WIDGET]) as book:
        book.run(0)
        shown = painter(book)
        shown.press("run")
        shown.says("Click the subject")
        shown.stroke(WALL, "background", 40)
        shown.says("No foreground")
        shown.press("run")
        shown.says("No foreground")
        text = book.do("widget.trimap = np.zeros((90, 400), np.uint8)")
        assert text.startswith("InputError: trimap")
        shown.says("90")
        assert "InputError" in book.do("MatteWidget(np.zeros((4, 4, 7)))")
        assert book.value("(widget.labels == 1).any().item()")  # and nothing is lost


def test_an_interrupted_cell_leaves_a_usable_kernel(opened: Open, tmp_path: Path) -> None:
    with opened([enlarged_photo(tmp_path)]) as book:
        book.run(0)
        book.do(
            "widget.trimap = np.full((LARGE, LARGE), 128, np.uint8)".replace("LARGE", str(LARGE))
        )
        shown = painter(book)
        waiting = book.add("widget.run()")
        book.start(waiting)
        painter(book).ends("running")
        book.interrupt()
        book.wait(waiting)
        assert "KeyboardInterrupt" in book.text(waiting)
        shown.ends("stopped")
        assert book.value("[widget.status, 1 + 1]") == ["stopped", 2]


def test_the_panel_with_its_uploads(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    write_image(tmp_path / "wide.png", np.full((30, 90), 255, np.uint8))
    code = WIDGET.replace("MatteWidget(PHOTO)", "MattePanel()")
    with opened([code]) as book:
        book.run(0)
        shown = PanelView(book, book.cell(0).locator(".jp-OutputArea-output").last)
        shown.says("photo")
        shown.upload("photo", CASE.photo)
        shown.root.get_by_text("Photo, 512×512").wait_for()
        shown.upload("mask", tmp_path / "broken.png")
        shown.says("broken.png")
        shown.upload("mask", tmp_path / "wide.png")
        shown.says("wide.png")
        shown.upload("mask", CASE.mask)
        shown.says("Run computes")
        assert shown.picture().shape == (512, 512, 3)
        shown.button("Run").click()
        shown.says("Done")
        same = "MattingPipeline.from_pretrained()(PHOTO, widget.trimap).alpha"
        assert book.value(f"np.array_equal(widget.alpha, {same})")
        shown.root.get_by_text("Cut-out, 512×512").wait_for()
        assert (shown.picture()[0, 0] >= 190).all()  # a light square
        with book.page.expect_download() as caught:
            shown.button("Save").click()
            shown.root.get_by_role("link", name="Download").click()
        with Image.open(caught.value.path()) as made:
            assert (made.mode, made.size) == ("RGBA", (512, 512))
        assert (book.folder / "astronaut_cutout.png").exists()


@pytest.fixture(scope="module")
def wand_cell(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cell that shows a widget whose clicks are answered by a small random network."""
    pytest.importorskip("transformers")
    from tests.subject.networks import save_sam2

    sam = save_sam2(tmp_path_factory.mktemp("wand") / "sam")
    return WIDGET.replace("MatteWidget(PHOTO)", f"MatteWidget(PHOTO, subject_model={str(sam)!r})")


def steps(book: Notebook) -> list[Any]:
    """Kind, coordinates in pixels and label of each step that counts."""
    script = "[[s.kind, [round(c) for c in s.at], s.label] for s in widget._wish.steps]"
    return list(book.value(script))


def test_clicks_and_a_box_find_the_subject(opened: Open, wand_cell: str) -> None:
    with opened([wand_cell]) as book:
        book.run(0)
        shown = painter(book)
        before = [shown.colour((x, y)) for x in (0.2, 0.5, 0.8) for y in (0.2, 0.5, 0.8)]
        shown.press("brush-wand")
        shown.point((0.25, 0.75))
        shown.says("Found by clicks")
        assert steps(book) == [["point", [128, 384], 1]]
        same = "find_subject(PHOTO, points=[widget._wish.steps[0].at], model=widget.subject_model)"
        book.do("from mematte_plugin import find_subject")
        assert book.value(f"np.array_equal({same}.mask, widget.mask)")
        after = [shown.colour((x, y)) for x in (0.2, 0.5, 0.8) for y in (0.2, 0.5, 0.8)]
        assert np.abs(np.subtract(after, before)).max() > 20  # the mask is seen

        shown.point((0.5, 0.1), alt=True)
        book.until("len(widget._wish.steps) == 2 and not widget.job")
        assert steps(book)[1] == ["point", [256, 51], 0]
        shown.stroke([(0.3, 0.2), (0.6, 0.5)])
        shown.says("in a box")
        kind, box, label = steps(book)[2]
        assert (kind, label) == ("box", 1)
        np.testing.assert_allclose(box, [154, 102, 307, 256], atol=2)

        shown.press("undo")
        shown.press("undo")
        book.until("len(widget._wish.steps) == 1 and not widget.job")
        assert book.value(f"np.array_equal({same}.mask, widget.mask)")
        shown.press("redo")
        book.until("len(widget._wish.steps) == 2 and not widget.job")
        shown.press("run")
        shown.ends()
        assert book.value("widget.matte.facts()['subject']['source']") == "points"
        shown.press("clear")
        book.until("widget.trimap is None")


def test_taps_find_the_subject_on_a_phone(browser: Any, server: Jupyter, wand_cell: str) -> None:
    phone = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
    with notebook(browser, server, "notebook", [wand_cell], **phone) as book:
        book.run(0)
        shown = painter(book)
        shown.press("brush-wand")
        shown.point((0.25, 0.75), touch=True)
        shown.says("Found by clicks")
        shown.press("wand-take")
        shown.point((0.5, 0.1), touch=True)
        book.until("len(widget._wish.steps) == 2 and not widget.job")
        (_, at, label), (_, away, none) = steps(book)
        np.testing.assert_allclose([*at, *away], [128, 384, 256, 51], atol=2)
        assert (label, none) == (1, 0)
        box = shown.root.bounding_box()
        assert box is not None
        for name in ("wand-add", "wand-take", "wand-find", "undo"):
            part = shown.part(name).bounding_box()
            assert part is not None
            assert part["x"] >= box["x"]
            assert part["x"] + part["width"] <= box["x"] + box["width"]
            assert part["height"] >= 24


def test_a_wand_without_weights_says_why(opened: Open) -> None:
    code = WIDGET.replace("(PHOTO)", "(PHOTO, subject_model='nowhere/none.onnx')")
    with opened([code]) as book:
        book.run(0)
        shown = painter(book)
        shown.press("brush-wand")
        shown.press("wand-find")
        shown.says("nowhere/none.onnx does not exist")
        assert shown.part("undo").is_disabled()  # it left nothing to take back
        paint_subject(shown)
        shown.says("Run computes")


def test_mattes_plans_and_photos_show_themselves(opened: Open) -> None:
    files = f"{str(CASE.photo)!r}, {str(CASE.trimap)!r}"
    cut = f"from mematte_plugin import cut\nmatte = cut({files})\nmatte"
    with opened([cut, "matte.plan", "matte.photo"]) as book:
        assert book.run(0) == "Matte(astronaut.jpg, 512×512, model mematte-tiny)"
        picture = book.cell(0).locator(".jp-OutputArea img")
        picture.wait_for()
        assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [512, 512]
        assert book.cell(0).get_by_text("nothing: the result is exact").is_visible()
        book.run(1)
        assert book.cell(1).get_by_text("predicted peak").is_visible()
        assert book.run(2) == "Photo(astronaut.jpg, 512×512, 8 bit)"
        assert book.cell(2).locator(".jp-OutputArea img").is_visible()
