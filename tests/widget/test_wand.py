"""Finding the subject from the widgets: from Python, and by the steps of the page's wand."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("anywidget")

from mematte_plugin import (
    InputError,
    Job,
    MattingPipeline,
    MEMatteError,
    SettingError,
    Stroke,
    SubjectMask,
    collect_notes,
    find_subject,
    from_mask,
)
from mematte_plugin.guide import Guide
from mematte_plugin.subject.ready import release_subjects
from mematte_plugin.trimap.soft import lay_soft_band
from mematte_plugin.widget import MattePanel, MatteWidget
from tests.patience import PATIENCE, until
from tests.widget.guides import HEIGHT, WIDTH, disc, painted
from tests.widget.test_painter import paint, receive, tell
from tests.widget.test_panel import message_of, press
from tests.widget.test_session import Gate

Make = Callable[..., Any]
IN, OUT = (0.5, 0.5, 1), (0.1, 0.2, 0)
"""Across and down in shares of the photo, and the label."""
BOX, OTHER = (0.2, 0.1, 0.6, 0.7), (0.5, 0.4, 0.9, 0.9)


@pytest.fixture
def make(pipe: MattingPipeline, sam: str) -> Iterator[Make]:
    made: list[Any] = []

    def widget(image: Any, **options: Any) -> Any:
        made.append(MatteWidget(image, **{"pipeline": pipe, "subject_model": sam, **options}))
        return made[-1]

    yield widget
    for one in made:
        one.close()
        one.wait(PATIENCE)


def step(*numbers: float) -> dict[str, Any]:
    """A step as the page sends it: a point, or a box, and its label, which is last."""
    *at, label = numbers
    return {"kind": "point" if len(at) == 2 else "box", "at": at, "label": label, "text": ""}


class Wand:
    """The page's side of the wand."""

    def __init__(self, widget: Any) -> None:
        self.widget, self.count = widget, 0

    def send(self, *steps: dict[str, Any]) -> None:
        """All steps that there are now."""
        self.count += 1
        receive(self.widget, _wand={"mark": f"page:{self.count}", "steps": list(steps)})

    def has(self, *steps: dict[str, Any]) -> SubjectMask:
        """The same, and wait; what was found."""
        self.send(*steps)
        self.widget.wait(PATIENCE)
        assert self.answer() == (f"page:{self.count}", True), self.widget.message
        found: SubjectMask = self.widget.subject
        return found

    def answer(self) -> tuple[str, bool]:
        """The mark that the kernel answered last, and whether it took those steps."""
        state = self.widget.get_state()["_steps"]
        return state["mark"], state["taken"]


def pixels(size: tuple[int, int], *shares: float) -> list[float]:
    return [share * side for share, side in zip(shares, (size[1], size[0]) * 2, strict=False)]


def test_find_gives_what_find_subject_gives(make: Make, photo: np.ndarray, sam: str) -> None:
    widget = make(photo)
    points = [(50, 30), (10, 60, 0)]
    found = widget.find(points=points)
    alone = find_subject(photo, points=points, model=sam)
    assert np.array_equal(found.native, alone.native)
    assert widget.subject is found
    assert np.array_equal(widget.mask, alone.mask)
    with collect_notes():
        assert np.array_equal(widget.trimap, alone.trimap())
    assert "by clicks" in widget.message
    assert widget.status == "ready"
    both = widget.find(box=(5, 5, 60, 60), previous=found)
    again = find_subject(photo, box=(5, 5, 60, 60), previous=alone, model=sam)
    assert np.array_equal(both.native, again.native)


def test_strokes_stay_over_what_is_found(make: Make, photo: np.ndarray) -> None:
    widget = make(photo)
    labels = painted(photo.shape[:2])
    paint(widget, labels)
    widget.find(points=[(50, 30)])
    assert np.array_equal(widget.labels, labels)
    assert (widget.trimap[labels == Stroke.BACKGROUND] == 0).all()
    assert (widget.trimap[labels == Stroke.FOREGROUND] == 255).all()


def test_clicks_are_in_pixels_of_the_photo(make: Make, sam: str) -> None:
    large = np.random.default_rng(0).integers(0, 255, (1500, 3000, 3), dtype=np.uint8)
    widget = make(large)
    assert widget.proxy.shape[:2] == (512, 1024)
    found = Wand(widget).has(step(*IN))
    point = pixels((1500, 3000), *IN[:2])
    assert np.array_equal(found.native, find_subject(large, points=point, model=sam).native)
    assert widget.trimap.shape == widget.mask.shape == (1500, 3000)


def test_a_click_on_the_last_pixel_is_in_the_photo(make: Make, photo: np.ndarray) -> None:
    assert Wand(make(photo)).has(step(0.99999, 1.0, 1)).source == "points"


def test_boxes_add_and_take_away(make: Make, photo: np.ndarray, sam: str) -> None:
    def ask(*box: float, **more: Any) -> SubjectMask:
        return find_subject(photo, box=pixels((HEIGHT, WIDTH), *box), model=sam, **more)

    wand = Wand(make(photo))
    assert np.array_equal(wand.has(step(*BOX, 1)).native, ask(*BOX).native)
    refined = wand.has(step(*BOX, 1), step(*IN))
    asked = ask(*BOX, points=[(*pixels((HEIGHT, WIDTH), *IN[:2]), 1)])
    assert (refined.native >= (asked | ask(*BOX)).native).all()
    both = ask(*OTHER, previous=refined)
    found = wand.has(step(*BOX, 1), step(*IN), step(*OTHER, 1))
    assert np.array_equal(found.native, both.native)
    found = wand.has(step(*BOX, 1), step(*OTHER, 0))
    assert np.array_equal(found.native, (ask(*BOX) - ask(*OTHER)).native)


def test_undo_takes_clicks_back_to_what_was_given(make: Make, photo: np.ndarray) -> None:
    mask = disc()
    widget = make(photo, mask=mask)
    wand = Wand(widget)
    one = wand.has(step(*IN))
    assert (one.mask >= np.float32(mask) / 255 - 1e-3).all()  # a click adds to the mask
    two = wand.has(step(*IN), step(*OUT))
    assert (two.native <= one.native).all()  # it takes away and adds nothing
    assert not np.array_equal(one.native, two.native)
    three = wand.has(step(*IN), step(*OUT), step(0.3, 0.8, 1))
    assert (three.native >= two.native).all()
    assert np.array_equal(wand.has(step(*IN)).native, one.native)
    assert wand.has() is None
    assert np.array_equal(widget.mask, np.float32(mask) / 255)
    assert np.array_equal(widget.trimap, from_mask(mask))
    widget.trimap = trimap = np.flipud(from_mask(mask))
    wand.has(step(*IN))
    widget.clear()
    assert np.array_equal(widget.trimap, trimap)


def a_disc() -> np.ndarray:
    """A photo of a bright disc."""
    return np.repeat(disc()[..., None] // 3 * 2 + 20, 3, axis=2)


def test_each_way_of_finding_has_its_network(make: Make, sam: str, bright: str) -> None:
    widget = make(a_disc(), subject_model={"clicks": sam, "subject": bright})
    wand = Wand(widget)
    clicked = wand.has(step(*IN))
    found = wand.has({"kind": "anew", "at": [], "label": 1, "text": ""})
    inside = disc() > 0
    assert (found.mask[inside] > 0.5).mean() > 0.95  # and nothing of the click is in it
    assert (found.mask[~inside] < 0.5).mean() > 0.95
    assert np.array_equal(wand.has(step(*IN)).native, clicked.native)
    alone = find_subject(a_disc(), previous=clicked, model=bright)
    assert np.array_equal(widget.find(previous=clicked).native, alone.native)
    assert np.array_equal(widget.find().native, found.native)


def test_a_panel_finds_the_subject_at_a_press(pipe: MattingPipeline, bright: str) -> None:
    panel = MattePanel(a_disc(), pipeline=pipe, subject_model=bright)
    press(panel._parts["find"])
    panel.wait(PATIENCE)
    assert "by itself" in panel.message
    assert np.array_equal(panel.trimap, panel.subject.trimap())
    panel.change_photo(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    press(panel._parts["find"])
    panel.wait(PATIENCE)
    assert "no subject was found" in message_of(panel)
    assert panel.trimap is None
    panel.close()


def test_the_matte_is_that_of_cut(
    make: Make, photo: np.ndarray, sam: str, pipe: MattingPipeline
) -> None:
    widget = make(photo)
    widget.find(points=[(50, 30)])
    with collect_notes():
        asked = Guide(points=[(50, 30)], subject_model=sam).guided(widget.photo, keep_networks=True)
        expected = pipe.cut_guided(widget.photo, asked)
    assert np.array_equal(widget.run().alpha, expected.alpha)
    labels = painted(photo.shape[:2])
    paint(widget, labels)
    alpha = widget.run().alpha
    assert (alpha[labels == Stroke.FOREGROUND] == 1).all()
    assert (alpha[labels == Stroke.BACKGROUND] == 0).all()


def test_the_matte_says_how_its_subject_was_found(make: Make, photo: np.ndarray) -> None:
    widget = make(photo)
    widget.find(points=[(50, 30)])
    assert widget.run().facts()["subject"] == widget.subject.facts()
    assert widget.status == "done"
    widget.view = "alpha"
    Wand(widget).has(step(*IN), step(*OUT))
    assert widget.view == "trimap"  # where what is found can be seen
    widget.clear()
    paint(widget, painted(photo.shape[:2]))
    assert widget.run().subject is None


def test_the_band_of_what_is_found_follows_its_sliders(make: Make, photo: np.ndarray) -> None:
    widget = make(photo)
    found = widget.find(points=[(50, 30)])
    with collect_notes() as notes:  # a random network is unsure of much
        expected = lay_soft_band(found.soft, outside=9)
    widget.outside = 9
    assert widget.notes == notes
    assert np.array_equal(widget.trimap, expected)
    assert widget.find(points=[(50, 30)]) is not found
    assert np.array_equal(widget.trimap, expected)


# ---- jobs ----------------------------------------------------------------------------------------


def hold(widget: Any) -> Gate:
    """Holds the next search at its first report."""
    release_subjects()  # what is kept of a photo has nothing to report
    return Gate(widget, "subject")


def test_a_click_while_another_is_looked_for_counts_too(
    make: Make, photo: np.ndarray, sam: str
) -> None:
    release_subjects()
    widget = make(photo)
    wand = Wand(widget)

    def click(_change: Any) -> None:
        if wand.count == 1:
            wand.send(step(*IN), step(*OUT))

    widget.observe(click, "stage")  # in the middle of the first search
    wand.send(step(*IN))
    widget.wait(PATIENCE)
    assert wand.answer() == ("page:2", True)
    points = [(*pixels((HEIGHT, WIDTH), x, y), label) for x, y, label in (IN, OUT)]
    one, both = (find_subject(photo, points=asked, model=sam) for asked in (points[:1], points))
    assert np.array_equal(widget.subject.native, (both & one).native)


def test_run_waits_for_the_click_before_it(make: Make, photo: np.ndarray) -> None:
    widget = make(photo)
    busy = threading.Event()
    Job(lambda job: busy.wait(PATIENCE)).begin()
    Wand(widget).send(step(*IN))
    assert (widget.status, widget.job) == ("waiting", "find")
    receive(widget, _run=1)
    assert widget.job == "find"
    busy.set()
    until(lambda: widget.status == "done")
    assert widget.matte.subject is widget.subject


def test_cancel_keeps_what_was_there(make: Make, photo: np.ndarray) -> None:
    widget = make(photo, mask=disc())
    trimap = widget.trimap
    gate, wand = hold(widget), Wand(widget)
    wand.send(step(*IN))
    assert gate.reached.wait(PATIENCE)
    tell(widget, kind="cancel", run=0)
    gate.open.set()
    widget.wait(PATIENCE)
    assert widget.status == "stopped"
    assert wand.answer() == ("page:1", False)
    assert widget.subject is None
    assert np.array_equal(widget.trimap, trimap)


def test_a_mask_from_python_ends_the_search(make: Make, photo: np.ndarray) -> None:
    widget = make(photo)
    gate, wand = hold(widget), Wand(widget)
    wand.send(step(*IN))
    assert gate.reached.wait(PATIENCE)
    widget.mask = disc()
    gate.open.set()
    widget.run()
    assert widget.subject is None
    assert np.array_equal(widget.trimap, from_mask(disc()))
    assert widget.get_state()["_steps"]["steps"] == []


def test_another_photo_forgets_the_clicks(make: Make, photo: np.ndarray) -> None:
    widget = make(photo)
    Wand(widget).has(step(*IN))
    widget.change_photo(255 - photo)
    assert widget.subject is None
    assert widget.trimap is None
    assert widget.get_state()["_steps"]["steps"] == []


def test_the_page_sees_what_python_asked(make: Make, photo: np.ndarray) -> None:
    widget = make(photo)
    widget.find(box=(10, 7, 60, 35), points=[(50.5, 35, 0)])
    box, point = widget.get_state()["_steps"]["steps"]
    assert (box["kind"], box["label"], point["kind"], point["label"]) == ("box", 1, "point", 0)
    np.testing.assert_allclose(box["at"], [10 / WIDTH, 0.1, 60 / WIDTH, 0.5])
    np.testing.assert_allclose(point["at"], [0.5, 0.5])
    before = widget.subject.native
    assert not np.array_equal(Wand(widget).has(box, point, step(*OUT)).native, before)


def test_the_later_of_two_clicks_in_one_place_counts(
    make: Make, photo: np.ndarray, sam: str
) -> None:
    wand = Wand(make(photo))
    less = wand.has(step(*BOX, 1), step(*IN[:2], 0))
    found = wand.has(step(*BOX, 1), step(*IN[:2], 0), step(*IN))
    place = {"box": pixels((HEIGHT, WIDTH), *BOX), "points": [pixels((HEIGHT, WIDTH), *IN[:2])]}
    alone = find_subject(photo, **place, model=sam)
    assert (found.native >= (alone | less).native).all()


# ---- what cannot be ------------------------------------------------------------------------------


def refused(widget: Any, *steps: dict[str, Any]) -> str:
    """Steps that do not count, and change nothing; the message."""
    subject, trimap = widget.subject, widget.trimap
    wand = Wand(widget)
    wand.send(*steps)
    widget.wait(PATIENCE)
    assert wand.answer() == ("page:1", False)
    assert widget.subject is subject
    assert widget.trimap is trimap
    return str(widget.message)


def test_without_weights_it_says_why_and_all_else_works(
    make: Make, photo: np.ndarray, tmp_path: Any
) -> None:
    widget = make(photo, subject_model=str(tmp_path / "none"))
    assert "does not exist" in refused(widget, step(*IN))
    with pytest.raises(MEMatteError, match="does not exist"):
        widget.find(points=[(50, 30)])
    assert widget.status == "failed"
    paint(widget, painted(photo.shape[:2]))
    widget.run()
    assert widget.status == "done"


def test_without_the_extra_it_says_what_to_install(
    make: Make, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_subjects()
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert 'pip install "mematte-plugin[subject]"' in refused(make(photo), step(*IN))


def test_taking_away_from_nothing(make: Make, photo: np.ndarray) -> None:
    for steps in ([step(*OUT)], [step(*BOX, 0)]):
        assert "click the subject first" in refused(make(photo), *steps)


def test_a_refused_step_leaves_those_before_it(make: Make, photo: np.ndarray) -> None:
    widget = make(photo)
    wand = Wand(widget)
    found = wand.has(step(*IN))
    wand.send(step(*IN), {"kind": "text", "at": [], "label": 1, "text": "dog"})
    widget.wait(PATIENCE)
    assert wand.answer() == ("page:2", False)
    assert widget.subject is found
    assert len(widget.get_state()["_steps"]["steps"]) == 1
    assert "tokenizer.json" in widget.message


@pytest.mark.parametrize(
    "sent",
    [
        "text",
        [3],
        [{"kind": "point", "at": [0.5], "label": 1}],
        [{"kind": "point", "at": [0.5, 7], "label": 1}],
        [{"kind": "point", "at": [0.5, float("nan")], "label": 1}],
        [{"kind": "point", "at": [0.5, 0.5], "label": 5}],
        [{"kind": "laser", "at": [0.5, 0.5], "label": 1}],
        [{"kind": "text", "at": [], "label": 1, "text": ""}],
        [{"kind": "anew", "at": [], "label": 1}] * 900,
        None,
    ],
)
def test_steps_that_cannot_be_read_change_nothing(make: Make, photo: np.ndarray, sent: Any) -> None:
    widget = make(photo)
    receive(widget, _wand={"mark": "page:1", "steps": sent})
    assert widget.get_state()["_steps"] == {"mark": "page:1", "taken": False, "steps": []}
    assert widget.message.startswith(("wand", "text"))
    assert widget.job == ""


def test_bad_arguments_are_refused(make: Make, photo: np.ndarray) -> None:
    widget = make(photo)
    with pytest.raises(InputError, match="outside the photo"):
        widget.find(points=[(WIDTH, 3)])
    with pytest.raises(SettingError, match="cannot be joined"):
        widget.find(points=[(3, 3)], text="dog")
    assert "cannot be joined" in widget.message
    with pytest.raises(SettingError, match="points"):
        widget.subject_model = {"points": "sam"}
    with pytest.raises(SettingError, match="subject_model"):
        make(photo, subject_model=7)
    with pytest.raises(InputError, match="photo"):
        make(None).find()
