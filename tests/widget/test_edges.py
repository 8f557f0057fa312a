"""The edge of a widget's mattes: changed at once, and never by running the network again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("traitlets")

from mematte_plugin import Edge, MattingPipeline, SettingError
from mematte_plugin.widget.session import MattingSession
from tests.patience import PATIENCE
from tests.widget.guides import disc


@pytest.fixture
def session(pipe: MattingPipeline, photo: np.ndarray) -> Iterator[MattingSession]:
    made = MattingSession(photo, mask=disc(), pipeline=pipe)
    yield made
    made.cancel()
    made.wait(PATIENCE)


def test_an_edge_is_shaped_again_and_again(
    session: MattingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = session.run()
    monkeypatch.setattr(MattingPipeline, "__call__", None)  # nothing is computed from here on
    changes: list[object] = []
    session.observe(lambda change: changes.append(change.new), "alpha")
    session.choke = 1.0
    np.testing.assert_array_equal(session.alpha, plain.with_edge(Edge(choke=1.0)).alpha)
    assert session.shown is session.matte
    session.levels_black = 0.25
    edge = Edge(choke=1.0, levels=(0.25, 1.0))
    np.testing.assert_array_equal(session.alpha, plain.with_edge(edge).alpha)
    assert len(changes) == 2
    assert session.status == "done"
    session.choke, session.levels_black = 0.0, 0.0
    np.testing.assert_array_equal(session.alpha, plain.alpha)


def test_a_run_and_a_preview_take_the_edge_that_was_set(session: MattingSession) -> None:
    session.feather = 2.0
    matte = session.run()
    assert matte.made_from is not None
    np.testing.assert_array_equal(matte.alpha, matte.made_from.with_edge(Edge(feather=2.0)).alpha)


def test_contradictions_are_refused_and_change_nothing(session: MattingSession) -> None:
    session.levels_white = 0.5
    with pytest.raises(SettingError, match=r"levels \(0.7, 0.5\)"):
        session.levels_black = 0.7
    assert session.levels_black == 0
    with pytest.raises(SettingError, match="despill 'gren'"):
        session.despill = "gren"


def test_a_despill_that_finds_nothing_is_reported(session: MattingSession) -> None:
    session.run()
    session.despill = "auto"
    assert "finds no green, blue or red screen" in session.notes[-1]


def test_a_crop_is_saved(session: MattingSession, tmp_path: Path) -> None:
    matte = session.run()
    session.save(tmp_path / "part.png", crop=True, margin=2)
    crop = matte.cropped(2).crop
    assert crop is not None
    with Image.open(tmp_path / "part.png") as picture:
        assert picture.size == (crop.width, crop.height)
