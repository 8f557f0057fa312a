"""Subjects are found, corrected by clicks and cut out, as by the package itself."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from gradio_app import finding
from gradio_app.click_photo import click_at, clickable
from gradio_app.files import job_folder
from gradio_app.finding import Asked, Found, Search, missing
from gradio_app.job import Result, Step, Task, carry_out
from gradio_app.pictures import PagePhoto, show_photo
from gradio_app.settings import Settings
from gradio_app.subject_events import Subject
from mematte_plugin import InputError, MEMatteError, collect_notes, cut, find_subject
from tests.browser.pictures import rotated
from tests.gradio_app.harness import PHOTO, pixels

SIZE = (192, 192)
IN, AGAIN, OUT = (150, 23, 1), (23, 150, 1), (75, 112, 0)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


@pytest.fixture
def shown(own_folder: None, settings: Settings, tmp_path: Path) -> PagePhoto:
    with Image.open(PHOTO) as photo:
        photo.resize(SIZE).save(tmp_path / "small.png")
    return show_photo(tmp_path / "small.png", settings)


def subject(shown: PagePhoto, asked: Asked, known: dict[Asked, Found] | None = None) -> Subject:
    """The page's controls when this is asked."""
    return Subject("find", None, None, None, 2, 4, "", asked, known or {}, shown)


def find(shown: PagePhoto, asked: Asked, settings: Settings) -> dict[Asked, Found]:
    """The mask of each step, without a matte."""
    wanted = subject(shown, asked)
    guide = wanted.guide()[1]
    assert isinstance(guide, Search)
    task = Task(shown.photo, guide, job_folder(), only_subject=True)
    found = [step for step in carry_out(task, settings) if isinstance(step, Found)]
    return dict(zip(wanted.steps, found, strict=True))


def native(found: Found) -> np.ndarray:
    return found.read().native


# ---- what is asked -------------------------------------------------------------------------------


def test_each_click_is_a_step_and_contrary_ones_say_where_it_ends() -> None:
    asked = Asked("itself", clicks=(IN, AGAIN, OUT))
    assert [len(step.clicks) for step in asked.steps()] == [0, 1, 2, 3]
    assert [step.query(SIZE).points for step in asked.steps()] == [
        None,
        [IN],
        [AGAIN],
        [OUT, IN, AGAIN],
    ]
    # Of two contrary clicks at one place, the later one counts.
    corrected = replace(asked, clicks=(IN, (IN[0] + 1, IN[1], 0)))
    assert corrected.query(SIZE).points == [corrected.clicks[1]]
    assert [len(step.clicks) for step in Asked(clicks=(IN, OUT)).steps()] == [1, 2]


def test_what_is_known_is_not_found_again(shown: PagePhoto) -> None:
    asked = Asked("word", "dog", (IN, OUT))
    steps = asked.steps()
    known: Any = {steps[0]: "the word's", steps[1]: "the click's"}
    guide = subject(shown, asked, known).guide()[1]
    assert isinstance(guide, Search)
    assert guide.before == "the click's"  # type: ignore[comparison-overlap]
    assert [query.points for query in guide.queries] == [[OUT, IN]]
    undone = replace(asked, clicks=(IN,))
    assert subject(shown, undone, known).guide()[1] == "the click's"  # type: ignore[comparison-overlap]


def test_a_word_is_asked_for_only_if_there_is_one(shown: PagePhoto) -> None:
    blank = replace(subject(shown, Asked()), asked=None, word="  ")
    assert blank.wanted == Asked("itself")
    assert replace(blank, word=" red  chair").wanted == Asked("word", "red chair")


def test_a_click_is_in_pixels_of_the_upright_photo(tmp_path: Path, settings: Settings) -> None:
    shown = show_photo(rotated(tmp_path, "phone", (1500, 2000)).photo, settings)
    assert shown.size == (2000, 1500)
    assert max(shown.proxy_size) < max(shown.size)
    sent = {"x": 0.5, "y": 0.25, "out": False}
    assert click_at(sent, "in", shown.size) == (750, 500, 1)
    assert click_at({"x": 0.9999, "y": 0.9999, "out": True}, "in", shown.size) == (1499, 1999, 0)
    assert click_at(sent, "out", shown.size) == (750, 500, 0)
    assert click_at({"x": 0, "y": 0.99}, None, (1, 1)) == (0, 0, 1)
    page = clickable(shown, None, [(750, 500, 1)])
    assert "left:50.033%;top:25.025%" in page
    assert "aspect-ratio:1500/2000" in page


@pytest.mark.parametrize(
    "sent",
    [
        {"x": 1.0, "y": 0.5},
        {"x": -0.1, "y": 0.5},
        {"x": float("nan"), "y": 0.5},
        {"x": "0.5", "y": 0.5},
        {"x": 0.5},
        [0.5, 0.5],
        None,
    ],
)
def test_a_click_beside_the_photo_is_refused(sent: Any) -> None:
    with pytest.raises(InputError, match="click: is beside the photo"):
        click_at(sent, "in", SIZE)


# ---- what is found -------------------------------------------------------------------------------


def test_found_by_itself_and_cut_as_by_the_package(shown: PagePhoto, settings: Settings) -> None:
    asked = Asked("itself")
    guide = subject(shown, asked).guide()[1]
    task = Task(shown.photo, guide, job_folder(), for_page=True)
    steps = [step for step in carry_out(task, settings) if not isinstance(step, Step)]
    found, result = steps
    assert isinstance(found, Found)
    assert isinstance(result, Result)
    assert pickle.loads(pickle.dumps(found)) == found  # for ZeroGPU
    with collect_notes():  # on a mask that has much grey
        matte = cut(shown.photo, subject_model=settings.subject_model)
    assert matte.subject is not None
    assert np.array_equal(native(found), matte.subject.native)
    assert np.array_equal(pixels(result.alpha), np.rint(matte.alpha * 65535))
    assert result.report["subject"] == found.facts
    assert found.facts["model"] == "bright.onnx"
    layer = pixels(found.picture)
    assert layer.shape == (*shown.proxy_size, 4)
    bright = matte.subject.mask > 0.9
    assert layer[bright, 3].min() > 100
    assert layer[matte.subject.mask < 0.01, 3].max() < 3

    # What was found is cut again without being found again, and from the same trimap.
    again = Task(shown.photo, found, job_folder(), for_page=True)
    *_, last = carry_out(again, Settings(subject_model="/not/there.onnx"))
    assert isinstance(last, Result)
    assert last.alpha.read_bytes() == result.alpha.read_bytes()


@pytest.fixture
def corrected(shown: PagePhoto, settings: Settings) -> dict[Asked, Found]:
    """Found by itself, then with two clicks, each of which changes something."""
    return find(shown, Asked("itself", clicks=(IN, OUT)), settings)


def test_clicks_add_or_take_away_and_nothing_else(
    corrected: dict[Asked, Found], shown: PagePhoto, settings: Settings
) -> None:
    alone, more, less = (found.read() for found in corrected.values())
    shows = find_subject(shown.photo, points=[IN], model=settings.clicks_model)
    assert (shows.native >= 0.5).any()
    assert (more.native >= alone.native).all()
    assert (more.native > alone.native).any()
    assert (less.native <= more.native).all()
    assert (less.native < more.native).any()


def test_a_click_that_leaves_nothing_is_refused(
    corrected: dict[Asked, Found], shown: PagePhoto, settings: Settings
) -> None:
    first = next(iter(corrected.values()))
    assert first.native is not None
    np.save(first.native, np.zeros_like(native(first)))
    wanted = Search((Asked(clicks=(OUT,)).query(SIZE),), first, first.native.parent, SIZE)
    with pytest.raises(InputError, match=r"nothing|no subject"):
        [*carry_out(Task(shown.photo, wanted, job_folder(), for_page=True), settings)]


def test_a_cancelled_cut_keeps_what_was_found(shown: PagePhoto, settings: Settings) -> None:
    guide = subject(shown, Asked("itself")).guide()[1]
    task = Task(shown.photo, guide, job_folder(), for_page=True)
    job = carry_out(task, settings)
    found = next(step for step in job if isinstance(step, Found))
    job.close()  # type: ignore[attr-defined]  # it is a generator
    last = carry_out(Task(shown.photo, found, job_folder(), only_subject=True), settings)
    assert not [step for step in last if isinstance(step, Result)]  # the queue goes on
    assert not task.folder.exists()
    assert native(found).any()
    assert found.native is not None
    found.native.unlink()
    with pytest.raises(InputError, match="has been deleted; find it again"):
        found.guide()


# ---- what cannot be found ------------------------------------------------------------------------


def test_errors_do_not_say_where_the_operators_models_are(shown: PagePhoto, tmp_path: Path) -> None:
    lost = Settings(
        subject_model=str(tmp_path / "lost.onnx"),
        clicks_model=str(tmp_path / "lost-sam"),
        words_model=str(tmp_path / "lost-dino"),
    )
    for asked, name in (
        (Asked("itself"), "lost.onnx"),
        (Asked(clicks=(IN,)), "lost-sam"),
        (Asked("word", "dog"), "lost-dino"),
    ):
        with pytest.raises(MEMatteError, match=name) as caught:
            find(shown, asked, lost)
        assert str(tmp_path) not in str(caught.value)
        assert str(caught.value).endswith("; mark the subject in another way")


def test_an_operator_may_leave_finding_out() -> None:
    from gradio_app.api import _Endpoints

    settings = Settings(find=False)
    endpoints, photo = _Endpoints(settings), {"path": str(PHOTO)}
    for refused, message in (
        (endpoints.matte(photo), "trimap: is missing"),
        (endpoints.subject(photo, points=[[1, 1]]), "points: Subjects are not found here"),
    ):
        with pytest.raises(MEMatteError, match=message):
            next(refused)


def test_the_page_says_why_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing(Settings()) == ""
    assert "not found here" in missing(Settings(find=False))
    monkeypatch.setattr(finding, "MODULES", ("not_installed_anywhere",))
    assert 'pip install "mematte-plugin[subject]"' in missing(Settings())
