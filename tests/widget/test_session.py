"""What the notebook's widgets do without a page: painting, computing, telling."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("traitlets")

from mematte_plugin import (
    InputError,
    Job,
    MattingPipeline,
    MEMatteError,
    MEMatteWarning,
    OutputError,
    SettingError,
    Stroke,
    from_mask,
    from_strokes,
)
from mematte_plugin.widget.session import MattingSession
from tests.patience import PATIENCE
from tests.widget.guides import HEIGHT, WIDTH, disc, painted

LARGE = (1400, 2100)


@pytest.fixture(scope="module")
def large_photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (*LARGE, 3), dtype=np.uint8)


@pytest.fixture
def session(pipe: MattingPipeline, photo: np.ndarray) -> Iterator[MattingSession]:
    made = MattingSession(photo, pipeline=pipe)
    yield made
    made.cancel()
    made.wait(PATIENCE)


# ---- the trimap ----------------------------------------------------------------------------------


def test_strokes_alone_are_a_trimap_as_the_package_makes_it(session: MattingSession) -> None:
    assert session.trimap is None
    assert session.status == "empty"
    labels = painted(session.proxy.shape)
    session.labels = labels
    assert np.array_equal(session.trimap, from_strokes(labels))
    assert session.status == "ready"


def test_a_painted_subject_alone_gets_a_band(session: MattingSession) -> None:
    labels = np.where(painted(session.proxy.shape) == Stroke.FOREGROUND, 3, 0).astype(np.uint8)
    session.labels = labels
    assert np.array_equal(session.trimap, from_mask(labels == 3))
    session.outside = 20.0
    assert np.array_equal(session.trimap, from_mask(labels == 3, outside=20.0))
    session.unpainted = "unknown"
    assert set(np.unique(session.trimap)) == {128, 255}


def test_unsure_strokes_stay_on_a_band(session: MattingSession) -> None:
    labels = np.zeros(session.proxy.shape[:2], np.uint8)
    labels[20:50, 30:70] = Stroke.FOREGROUND
    labels[:10] = Stroke.UNKNOWN
    session.labels = labels
    assert (session.trimap[:10] == 128).all()
    assert (session.trimap[12] == 0).any()


@pytest.mark.parametrize("kind", ["trimap", "mask"])
def test_strokes_are_painted_over_what_is_given(
    pipe: MattingPipeline, photo: np.ndarray, kind: str
) -> None:
    mask = disc()
    base = from_mask(mask)
    given = {"trimap": base} if kind == "trimap" else {"mask": mask}
    session = MattingSession(photo, pipeline=pipe, **given)
    assert np.array_equal(session.trimap, base)
    labels = np.zeros(session.proxy.shape[:2], np.uint8)
    labels[:5], labels[5:10], labels[10:15] = 1, 2, 3
    session.labels = labels
    assert (session.trimap[:5] == 0).all()
    assert (session.trimap[5:10] == 128).all()
    assert (session.trimap[10:15] == 255).all()
    assert np.array_equal(session.trimap[15:], base[15:])
    session.clear()
    assert np.array_equal(session.trimap, base)


def test_the_band_of_a_given_mask_follows_its_sliders_and_keeps_the_strokes(
    pipe: MattingPipeline, photo: np.ndarray
) -> None:
    mask = disc()
    session = MattingSession(photo, mask=mask, pipeline=pipe)
    labels = np.zeros(session.proxy.shape[:2], np.uint8)
    labels[0] = Stroke.UNKNOWN
    session.labels = labels
    given = session.mask
    session.inside, session.outside = 10.0, 15.0
    assert session.mask is given
    expected = from_mask(mask, inside=10.0, outside=15.0)
    assert np.array_equal(session.trimap[1:], expected[1:])
    assert (session.trimap[0] == 128).all()


def test_a_large_photo_is_painted_on_a_proxy_and_its_trimap_is_full_size(
    pipe: MattingPipeline, large_photo: np.ndarray
) -> None:
    session = MattingSession(large_photo, pipeline=pipe)
    assert max(session.proxy.shape[:2]) == 1024
    labels = painted(session.proxy.shape)
    session.labels = labels
    assert session.trimap.shape == LARGE
    assert np.array_equal(session.trimap, from_strokes(labels, LARGE))
    assert np.array_equal(session.small_trimap, from_strokes(labels))


def test_a_thin_band_is_not_lost_in_the_small_trimap(
    pipe: MattingPipeline, large_photo: np.ndarray
) -> None:
    trimap = np.zeros(LARGE, np.uint8)
    trimap[700:] = 255
    trimap[699] = 128
    session = MattingSession(large_photo, trimap, pipeline=pipe)
    assert (session.small_trimap == 128).any(axis=0).all()


def test_a_trimap_from_python_replaces_the_strokes_and_is_seen(session: MattingSession) -> None:
    session.labels = painted(session.proxy.shape)
    changes: list[Any] = []
    session.observe(lambda change: changes.append(change["new"]), "trimap")
    trimap = from_mask(disc())
    session.trimap = trimap / 255
    assert np.array_equal(session.trimap, trimap)
    assert not session.labels.any()
    assert len(changes) == 1
    session.trimap = None
    assert session.trimap is None
    assert session.status == "empty"


def test_the_photos_own_transparency_is_the_mask(pipe: MattingPipeline, photo: np.ndarray) -> None:
    mask = disc()
    session = MattingSession(np.dstack([photo, mask]), pipeline=pipe)
    assert np.array_equal(session.trimap, from_mask(mask))
    opaque = MattingSession(np.dstack([photo, np.full_like(mask, 255)]), pipeline=pipe)
    assert opaque.trimap is None


def test_another_photo_begins_again(session: MattingSession) -> None:
    session.labels = painted(session.proxy.shape)
    session.run()
    other = np.zeros((64, 80, 3), np.uint8)
    session.change_photo(other)
    assert session.photo.size == (64, 80)
    assert session.labels.shape == (64, 80)
    assert session.trimap is None
    assert session.alpha is None
    with pytest.raises(InputError, match="no_such"):
        session.change_photo("no_such.png")
    assert session.photo.size == (64, 80)
    assert "no_such" in session.message


# ---- computing -----------------------------------------------------------------------------------


def test_run_gives_what_the_pipeline_gives(session: MattingSession, pipe: MattingPipeline) -> None:
    session.labels = painted(session.proxy.shape)
    changes: list[str] = []
    session.observe(lambda change: changes.append(change["name"]), ["alpha", "matte"])
    matte = session.run()
    expected = pipe(session.photo, session.trimap)
    assert np.array_equal(matte.alpha, expected.alpha)
    assert session.alpha is matte.alpha
    assert session.matte is session.shown is matte
    assert sorted(changes) == ["alpha", "matte"]
    assert (session.status, session.job) == ("done", "")


def test_a_change_after_a_run_is_reported(session: MattingSession, tmp_path: Path) -> None:
    session.labels = painted(session.proxy.shape)
    session.run()
    session.save(tmp_path / "fresh.png")
    session.retention = 0.5
    assert session.status == "ready"
    with pytest.warns(MEMatteWarning, match="changed"):
        session.save(tmp_path / "older.png")
    with Image.open(tmp_path / "fresh.png") as one, Image.open(tmp_path / "older.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_started_in_the_background_it_ends_by_itself(session: MattingSession) -> None:
    session.labels = painted(session.proxy.shape)
    session.start()
    session.wait(PATIENCE)
    assert session.status == "done"
    assert session.alpha is not None


def test_live_previews_at_proxy_size_until_run(
    pipe: MattingPipeline, large_photo: np.ndarray
) -> None:
    session = MattingSession(large_photo, pipeline=pipe, live=True)
    shown = threading.Event()
    session.observe(lambda _: shown.set(), "shown")
    session.labels = painted(session.proxy.shape)
    assert shown.wait(PATIENCE)
    session.wait(PATIENCE)
    expected = pipe(session.proxy, session.small_trimap)
    assert np.array_equal(session.shown.alpha, expected.alpha)
    assert session.alpha is None
    assert session.status == "ready"


class Gate:
    """Holds a session's job at its first report of a stage, until it is let go."""

    def __init__(self, session: MattingSession, stage: str = "encoder") -> None:
        self.reached, self.open, self.stage = threading.Event(), threading.Event(), stage
        session.observe(self._hold, "stage")

    def _hold(self, change: Any) -> None:
        if change["new"] == self.stage:
            self.reached.set()
            assert self.open.wait(PATIENCE)


def test_cancel_ends_a_run_and_keeps_the_strokes(session: MattingSession) -> None:
    session.labels = labels = painted(session.proxy.shape)
    gate = Gate(session)
    session.start()
    assert gate.reached.wait(PATIENCE)
    assert session.job == "full"
    session.cancel()
    gate.open.set()
    session.wait(PATIENCE)
    assert session.status == "stopped"
    assert session.alpha is None
    assert np.array_equal(session.labels, labels)
    session.run()
    assert session.status == "done"


def test_painting_during_a_run_leaves_its_result_marked_as_older(session: MattingSession) -> None:
    session.labels = painted(session.proxy.shape)
    before = session.trimap
    gate = Gate(session)
    session.start()
    assert gate.reached.wait(PATIENCE)
    labels = session.labels.copy()
    labels[-5:] = Stroke.BACKGROUND
    session.labels = labels
    assert session.status == "running"
    gate.open.set()
    session.wait(PATIENCE)
    assert session.status == "ready"
    assert np.array_equal(session.matte.trimap, before.astype(np.float32) / 255 // 0.5 * 0.5)


def test_two_sessions_do_not_mix_and_wait_for_each_other(
    pipe: MattingPipeline, photo: np.ndarray
) -> None:
    one = MattingSession(photo, pipeline=pipe)
    other = MattingSession(255 - photo, pipeline=pipe)
    one.labels = painted(one.proxy.shape)
    assert other.trimap is None
    other.labels = np.fliplr(painted(other.proxy.shape))
    gate = Gate(one)
    one.start()
    assert gate.reached.wait(PATIENCE)
    other.start()
    assert other.status == "waiting"
    gate.open.set()
    one.wait(PATIENCE)
    other.wait(PATIENCE)
    for session in (one, other):
        assert np.array_equal(session.alpha, pipe(session.photo, session.trimap).alpha)


def test_a_waiting_run_can_be_given_up(pipe: MattingPipeline, photo: np.ndarray) -> None:
    one, other = (MattingSession(photo, pipeline=pipe) for _ in range(2))
    for session in (one, other):
        session.labels = painted(session.proxy.shape)
    gate = Gate(one)
    one.start()
    assert gate.reached.wait(PATIENCE)
    other.start()
    other.cancel()
    assert other.status == "stopped"
    gate.open.set()
    one.wait(PATIENCE)
    assert other.alpha is None


def test_an_interrupted_cell_stops_the_run(
    session: MattingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.labels = painted(session.proxy.shape)
    gate = Gate(session)
    wait = Job.wait

    def interrupted(job: Job, timeout: float | None = None) -> bool:
        monkeypatch.setattr(Job, "wait", wait)
        assert gate.reached.wait(PATIENCE)
        job.cancel()
        gate.open.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.run()
    assert (session.status, session.blocking) == ("stopped", False)
    session.run()
    assert session.status == "done"


def test_a_run_inside_an_observer_of_the_trimap(session: MattingSession) -> None:
    session.observe(lambda change: session.run(), "trimap")
    session.labels = painted(session.proxy.shape)
    assert session.alpha is not None


def test_an_observer_that_fails_does_not_end_the_run(
    session: MattingSession, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_change: Any) -> None:
        raise RuntimeError("mine")

    session.observe(fail, "alpha")
    session.labels = painted(session.proxy.shape)
    session.run()
    assert session.status == "done"
    assert "mine" in caplog.text


# ---- bad input -----------------------------------------------------------------------------------


def test_bad_input_raises_and_is_reported(session: MattingSession) -> None:
    for name, value, expected in [
        ("trimap", np.zeros((5, 3)), "3×5"),
        ("trimap", "no_such.png", "no_such.png"),
        ("mask", np.zeros((HEIGHT, WIDTH)), "empty"),
        ("labels", np.zeros((4, 4), np.uint8), "labels"),
        ("labels", np.full(session.proxy.shape[:2], 9), "labels"),
        ("labels", "strokes", "labels"),
    ]:
        with pytest.raises(InputError, match=expected):
            setattr(session, name, value)
        assert expected in session.message
        assert session.trimap is None
    with pytest.raises(SettingError, match="retention"):
        session.retention = 7
    assert "retention" in session.message
    assert session.retention == "auto"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"image": np.zeros((4, 5, 7))}, "image"),
        ({"image": 12}, "image"),
        ({"image": "no_such.jpg"}, "no_such.jpg"),
        ({"trimap": np.zeros((3, 9))}, "trimap"),
        ({"trimap": disc(), "mask": disc()}, "both"),
        ({"pipeline": 3}, "pipeline"),
        ({"retention": "much"}, "retention"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(
    pipe: MattingPipeline, photo: np.ndarray, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises((InputError, SettingError), match=expected):
        MattingSession(**{"image": photo, "pipeline": pipe, **options})


def test_running_without_foreground_or_unknown_says_what_to_do(session: MattingSession) -> None:
    labels = np.zeros(session.proxy.shape[:2], np.uint8)
    for stroke, expected in [
        (None, "paint"),
        (Stroke.UNKNOWN, "foreground"),
        (Stroke.BACKGROUND, "foreground"),
    ]:
        if stroke is not None:
            labels[:10] = stroke
        session.labels = labels
        session.start()
        assert expected in session.message
        with pytest.raises(InputError, match=expected):
            session.run()
        assert session.status == "empty"
    known = np.where(disc() > 0, np.uint8(255), np.uint8(0))
    session.trimap = known
    session.start()
    assert "unknown" in session.message


def test_no_photo_yet(pipe: MattingPipeline, photo: np.ndarray) -> None:
    session = MattingSession(None, pipeline=pipe)
    session.start()
    assert "photo" in session.message
    with pytest.raises(InputError, match="photo"):
        session.trimap = disc()
    session.change_photo(photo, mask=disc())
    session.run()
    assert session.alpha.shape == (HEIGHT, WIDTH)


def test_a_run_that_fails_is_reported_and_the_next_one_works(session: MattingSession) -> None:
    session.labels = painted(session.proxy.shape)
    session.memory_budget = "1kB"
    session.start()
    session.wait(PATIENCE)
    assert session.status == "failed"
    assert "too small" in session.message
    with pytest.raises(SettingError, match="too small"):
        session.run()
    session.memory_budget = None
    session.model = "no-such-model"
    session.start()
    session.wait(PATIENCE)
    assert (session.status, "no-such-model" in session.message) == ("failed", True)
    session.model = "random"
    session.run()
    assert session.status == "done"


def test_saving_before_a_run(session: MattingSession, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="run first"):
        session.save(tmp_path / "cutout.png")
    assert "run first" in session.message
    assert not list(tmp_path.iterdir())


def test_whether_a_band_is_laid(session: MattingSession) -> None:
    assert session.band_counts
    session.labels = painted(session.proxy.shape)  # background, too
    assert not session.band_counts
    session.unpainted = "background"
    assert session.band_counts
    session.trimap = from_mask(disc())
    assert not session.band_counts
    session.mask = disc()
    assert session.band_counts


# ---- observers -----------------------------------------------------------------------------------


def test_an_observer_of_alpha_can_save_and_paint_and_start_again(
    session: MattingSession, tmp_path: Path
) -> None:
    """It finds a finished session, and what it changes counts."""
    found: list[tuple[str, str]] = []

    def go_on(change: Any) -> None:
        session.save(tmp_path / f"{len(found)}.png")
        found.append((session.status, session.job))
        if len(found) == 1:
            labels = session.labels.copy()
            labels[-5:] = Stroke.BACKGROUND
            session.labels = labels
            session.start()

    session.observe(go_on, "alpha")
    session.labels = painted(session.proxy.shape)
    session.start()
    while len(found) < 2:
        session.wait(PATIENCE)
    assert found == [("done", ""), ("done", "")]
    assert session.status == "done"
    assert (session.matte.trimap[-5:] == 0).all()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_trimap_set_by_an_observer_of_alpha_makes_it_older(session: MattingSession) -> None:
    trimap = from_mask(disc())
    session.observe(lambda _: setattr(session, "trimap", trimap), "alpha")
    session.labels = painted(session.proxy.shape)
    session.run()
    assert session.status == "ready"


@pytest.mark.parametrize("name", ["run", "wait"])
def test_what_would_wait_for_itself_is_refused(
    session: MattingSession, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    session.observe(lambda _: getattr(session, name)(), "alpha")
    session.labels = painted(session.proxy.shape)
    session.run()
    assert session.status == "done"
    assert "start()" in caplog.text


def test_another_photo_during_a_run_is_no_stopped_run(
    session: MattingSession, photo: np.ndarray
) -> None:
    session.labels = painted(session.proxy.shape)
    gate = Gate(session)
    session.start()
    assert gate.reached.wait(PATIENCE)
    session.change_photo(255 - photo)
    gate.open.set()
    session.labels = painted(session.proxy.shape)
    session.run()
    assert session.status == "done"
    assert np.array_equal(session.matte.photo.pixels, 255 - photo)


def test_a_cancelled_run_raises_in_its_cell(session: MattingSession) -> None:
    session.labels = painted(session.proxy.shape)
    session.observe(lambda change: session.cancel(), "stage")
    with pytest.raises(MEMatteError, match="stopped"):
        session.run()


def test_arrays_that_are_handed_out_cannot_be_painted_in(session: MattingSession) -> None:
    """Painting in them would change nothing."""
    session.trimap = from_mask(disc())
    trimap = session.trimap
    mine = disc() / np.float32(255)
    session.mask = mine
    for array in (trimap, session.mask, session.labels, session.small_trimap):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    mine[0] = 1  # the caller's own stays theirs
    assert not session.mask[0].any()


def test_a_model_from_python_is_among_those_to_choose(
    session: MattingSession, photo: np.ndarray
) -> None:
    session.model = "somebody/else"
    for each in (session, MattingSession(photo, model="somebody/else")):
        assert each.model == "somebody/else"
        assert "somebody/else" in [offer["name"] for offer in each.models]


@pytest.mark.parametrize(
    ("name", "value"),
    [("memory_budget", "lots"), ("inside", -1), ("outside", "2"), ("retention", None)],
)
def test_options_that_cannot_be_are_refused_when_set(
    session: MattingSession, photo: np.ndarray, name: str, value: Any
) -> None:
    before = getattr(session, name)
    with pytest.raises(SettingError):
        setattr(session, name, value)
    assert getattr(session, name) == before
    assert repr(value).strip("'") in session.message
    with pytest.raises(SettingError):
        MattingSession(photo, **{name: value})


def test_an_unknown_option_is_refused(photo: np.ndarray) -> None:
    with pytest.raises(SettingError, match="retention"):
        MattingSession(photo, retentoin=0.3)  # type: ignore[arg-type]
