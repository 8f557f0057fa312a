"""The panel of plain ipywidgets: what its controls do, and what they show."""

from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ipywidgets")

import mematte_plugin.widget
from mematte_plugin import InputError, MattingPipeline, Stroke, from_mask, write_image
from mematte_plugin.widget.panel import MattePanel
from tests.patience import PATIENCE, until
from tests.widget.guides import SIZE, disc


def noise(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (*size, 3), np.uint8)


@pytest.fixture
def panel(pipe: MattingPipeline) -> Iterator[MattePanel]:
    made = MattePanel(noise(), mask=disc(), pipeline=pipe)
    yield made
    made.cancel()
    made.wait(PATIENCE)


def upload(panel: MattePanel, role: str, name: str, data: bytes) -> None:
    """A file as the page sends it: its bytes come as a memoryview."""
    file = {
        "name": name,
        "type": "",
        "size": len(data),
        "last_modified": 0,
        "content": memoryview(data),
    }
    panel._parts[role].set_state({"value": [file]})


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    write_image(file, array, fmt="png", bits=8)
    return file.getvalue()


def press(button: Any) -> None:
    """A click, as the page sends it."""
    assert not button.disabled
    button._handle_button_msg(button, {"event": "click"}, [])


def seen(panel: MattePanel) -> np.ndarray:
    """The picture that is shown."""
    picture = panel._parts["picture"]
    with Image.open(io.BytesIO(picture.value)) as opened:
        assert opened.format == picture.format.upper()
        return np.asarray(opened)


def message_of(panel: MattePanel) -> str:
    """The message with its notes, without markup."""
    return re.sub(r"<[^>]*>", " ", panel._parts["message"].value)


def hidden(control: Any) -> bool:
    return bool(control.layout.display == "none")


def test_from_uploads_to_a_saved_file(
    pipe: MattingPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    panel = MattePanel(pipeline=pipe)
    assert hidden(panel._parts["picture"])
    assert "photo" in message_of(panel)
    press(panel._parts["run"])
    assert "photo" in message_of(panel)
    upload(panel, "photo", "dir/hair & <b>.png", png(noise()))
    assert panel.photo is not None
    np.testing.assert_array_equal(panel.photo.pixels, noise())
    assert panel.view == "photo"
    assert not hidden(panel._parts["picture"])
    assert panel._parts["photo"].description == "Photo: dir/hair & <b>.png"
    upload(panel, "mask", "mask.png", png(disc()))
    np.testing.assert_array_equal(panel.trimap, from_mask(disc()))
    assert panel.view == "trimap"
    before = seen(panel)
    panel._parts["inside"].set_state({"value": 9.0})
    np.testing.assert_array_equal(panel.trimap, from_mask(disc(), inside=9))
    assert (seen(panel) != before).any()

    press(panel._parts["run"])
    panel.wait(PATIENCE)
    assert panel.status == "done"
    assert panel.view == "cutout"
    np.testing.assert_array_equal(panel.alpha, pipe(noise(), panel.trimap).alpha)
    panel._parts["path"].set_state({"value": "made.png"})
    press(panel._parts["save_as"])
    assert str(tmp_path / "made.png") in message_of(panel)
    with Image.open("made.png") as opened:
        assert opened.mode == "RGBA"
    found = re.search(
        r'download="made.png" href="data:image/png;base64,([^"]+)"', panel._parts["link"].value
    )
    assert found is not None
    assert base64.b64decode(found[1]) == Path("made.png").read_bytes()
    press(panel._parts["save_as"])
    assert "exists" in message_of(panel)
    assert not panel._parts["link"].value


def test_a_wrong_file_is_named_and_changes_nothing(panel: MattePanel) -> None:
    trimap, pixels = panel.trimap, panel.photo.pixels
    upload(panel, "trimap", "<i>.txt", b"no picture")
    assert "<i>" not in panel._parts["message"].value
    assert "&lt;i&gt;.txt" in message_of(panel)
    upload(panel, "mask", "wide.png", png(disc((30, 90))))
    assert "wide.png" in message_of(panel)
    assert "30" in message_of(panel)
    upload(panel, "trimap", "colour.png", png(noise()))
    assert "colour" in message_of(panel)
    upload(panel, "photo", "broken.jpg", b"\xff\xd8\xff\xe0 broken")
    assert "broken.jpg" in message_of(panel)
    assert panel.trimap is trimap
    assert panel.photo.pixels is pixels
    upload(panel, "mask", "again.png", png(disc()))  # and it goes on
    assert "again.png" in panel._parts["mask"].description


def test_another_photo_begins_again(panel: MattePanel) -> None:
    panel.run()
    upload(panel, "mask", "mask.png", png(disc()))
    upload(panel, "photo", "other.png", png(noise((40, 50))))
    assert panel.alpha is None
    assert panel.trimap is None
    assert panel.view == "photo"
    assert seen(panel).shape == (40, 50, 3)
    assert panel._parts["save_as"].disabled
    assert panel._parts["path"].value == "other_cutout.png"
    assert panel._parts["mask"].description == "Mask"  # that one was for the photo before
    press(panel._parts["run"])
    assert panel.status == "empty"


def test_every_view_shows_what_it_says(panel: MattePanel) -> None:
    panel.run()
    shown = {}
    for name in ("photo", "trimap", "alpha", "cutout"):
        panel._parts["view"].set_state(
            {"index": list(panel._parts["view"]._options_values).index(name)}
        )
        assert panel.view == name
        shown[name] = seen(panel)
    np.testing.assert_array_equal(shown["alpha"], np.rint(panel.alpha * 255).astype(np.uint8))
    assert np.abs(shown["photo"].astype(int) - noise()).mean() < 10
    kinds = [picture.tobytes() for picture in shown.values()]
    assert len(set(kinds)) == len(kinds)


def test_controls_and_traits_say_the_same(panel: MattePanel) -> None:
    parts = panel._parts
    panel.inside, panel.outside, panel.live = 20.0, 1.5, True
    assert (parts["inside"].value, parts["outside"].value, parts["live"].value) == (20, 1.5, True)
    parts["retention"].set_state({"value": "0.25"})
    assert panel.retention == 0.25
    parts["retention"].set_state({"value": "64"})
    assert panel.retention == 64
    parts["retention"].set_state({"value": "much"})
    assert "much" in message_of(panel)
    assert (panel.retention, parts["retention"].value) == (64, "64")
    panel.retention = "auto"
    assert parts["retention"].value == "auto"
    panel.model = "somebody/else"
    assert parts["model"].value == "somebody/else"
    assert "mematte-tiny" in parts["model"].options
    panel.trimap = from_mask(disc())
    assert parts["inside"].disabled


def test_a_refused_choice_does_not_stand(panel: MattePanel) -> None:
    panel._parts["outside"].set_state({"value": -1.0})
    assert panel._parts["outside"].value == panel.outside >= 0


def test_an_older_result_is_called_so(panel: MattePanel) -> None:
    panel.run()
    assert "before" not in panel._parts["caption"].value
    panel.outside = 6.0
    assert panel.view == "cutout"
    assert "before the last change" in panel._parts["caption"].value


def test_cancel_is_there_while_it_computes(pipe: MattingPipeline) -> None:
    size = (1400, 2100)
    panel = MattePanel(noise(size), np.full(size, 128, np.uint8), pipeline=pipe)
    assert panel._parts["cancel"].disabled
    press(panel._parts["run"])
    until(lambda: panel.status == "running")
    assert panel._parts["run"].disabled
    press(panel._parts["cancel"])
    panel.wait(PATIENCE)
    assert panel.status == "stopped"
    assert panel._parts["cancel"].disabled
    assert panel.alpha is None


def test_strokes_from_python_show(pipe: MattingPipeline) -> None:
    panel = MattePanel(noise(), pipeline=pipe)
    labels = np.zeros(panel.proxy.shape[:2], np.uint8)
    labels[20:40, 20:40] = Stroke.FOREGROUND
    panel.labels = labels
    assert panel.view == "trimap"
    assert "band" in panel._parts["caption"].value
    panel.run()
    assert panel.view == "cutout"


def test_the_panel_stands_in_where_anywidget_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)  # as if it were not installed
    assert mematte_plugin.widget.MatteWidget is MattePanel


def test_unusable_arguments_raise_before_anything_is_shown() -> None:
    with pytest.raises(InputError, match="trimap"):
        MattePanel(noise(), np.zeros((9, 90), np.uint8))


def test_the_edge_has_controls(panel: MattePanel) -> None:
    plain = panel.run()
    panel._parts["choke"].set_state({"value": 0.5})
    assert panel.choke == 0.5
    np.testing.assert_array_equal(panel.alpha, plain.shaped(choke=0.5).alpha)
    panel.choke, panel.despill = -20.0, "#00b140"  # beyond what the page offers
    assert panel._parts["choke"].value == -20
    assert panel._parts["despill"].value == "#00b140"
    panel._parts["levels_white"].set_state({"value": 0.5})
    panel._parts["levels_black"].set_state({"value": 0.9})
    assert panel._parts["levels_black"].value == panel.levels_black == 0
    assert "levels (0.9, 0.5)" in panel.message
