"""The kernel's side of the painted widget: what its comm delivers, and what the page is sent."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("anywidget")

import mematte_plugin
from mematte_plugin import InputError, MattingPipeline, Stroke, from_strokes
from mematte_plugin.widget import painter as module
from mematte_plugin.widget.painter import MatteWidget
from tests.patience import PATIENCE, until
from tests.widget.guides import HEIGHT, WIDTH, painted

EXAMPLE = Path(mematte_plugin.__file__).parent / "examples" / "astronaut.jpg"


@pytest.fixture
def make(pipe: MattingPipeline) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def widget(image: Any, **options: Any) -> Any:
        made.append(MatteWidget(image, **{"pipeline": pipe, **options}))
        return made[-1]

    yield widget
    for one in made:
        one.close()
        one.wait(PATIENCE)


def runs(labels: np.ndarray) -> bytes:
    """Labels as the page sends them, one run after the other."""
    found: list[list[int]] = []
    for label in labels.ravel().tolist():
        if found and found[-1][1] == label:
            found[-1][0] += 1
        else:
            found.append([1, label])
    return b"".join((length << 8 | label).to_bytes(4, "little") for length, label in found)


def unpacked(sent: bytes, size: tuple[int, ...]) -> np.ndarray:
    """Labels from what the page is sent."""
    words = np.frombuffer(sent, "<u4")
    return np.repeat((words & 255).astype(np.uint8), words >> 8).reshape(size)


def receive(widget: Any, **state: Any) -> None:
    """A change that the page made, through the handler of the widget's comm."""
    plain = {name: value for name, value in state.items() if not isinstance(value, bytes)}
    binary = {name: value for name, value in state.items() if isinstance(value, bytes)}
    data = {"method": "update", "state": plain, "buffer_paths": [[name] for name in binary]}
    buffers = [memoryview(value) for value in binary.values()]
    widget._handle_msg({"content": {"data": data}, "buffers": buffers})


def paint(widget: Any, labels: np.ndarray, mark: str = "page:1") -> None:
    receive(widget, _mark=mark, _strokes=runs(labels))


def tell(widget: Any, **content: Any) -> None:
    """A message that is no trait's."""
    data = {"method": "custom", "content": content}
    widget._handle_msg({"content": {"data": data}, "buffers": []})


# ---- strokes -------------------------------------------------------------------------------------


def test_strokes_of_the_page_become_the_trimap(make: Any, photo: np.ndarray) -> None:
    widget = make(photo)
    labels = painted(photo.shape[:2])
    paint(widget, labels)
    assert np.array_equal(widget.labels, labels)
    assert np.array_equal(widget.trimap, from_strokes(labels))
    state = widget.get_state()
    assert np.array_equal(unpacked(state["_trimap"], labels.shape), widget.small_trimap)
    assert state["_seen"] == "page:1"


def test_a_large_photo_is_painted_on_small_and_labelled_in_full(make: Any) -> None:
    widget = make(np.full((1500, 3000, 3), 90, np.uint8))
    size = tuple(widget.get_state("_proxy_size")["_proxy_size"])
    assert max(size) <= 1024
    shown = Image.open(io.BytesIO(widget.get_state("_photo")["_photo"]))
    assert (shown.height, shown.width) == size
    paint(widget, painted(size))
    assert widget.trimap.shape == (1500, 3000)
    assert set(np.unique(widget.trimap)) == {0, 128, 255}


def test_the_page_sees_strokes_that_python_sets(make: Any, photo: np.ndarray) -> None:
    widget = make(photo)
    paint(widget, painted(photo.shape[:2]))
    labels = np.zeros(photo.shape[:2], np.uint8)
    labels[20:40, 30:60] = Stroke.FOREGROUND
    widget.labels = labels
    state = widget.get_state()
    assert np.array_equal(unpacked(state["_strokes"], labels.shape), labels)
    assert state["_mark"] == ""  # so that no page takes them for its own
    widget.clear()
    assert widget.get_state("_strokes")["_strokes"] == b""


def test_a_second_page_gets_everything(make: Any, photo: np.ndarray) -> None:
    # After a reload, or with the same notebook in another tab: all there is comes from the state.
    widget = make(photo)
    labels = painted(photo.shape[:2])
    paint(widget, labels)
    receive(widget, view="alpha", compare="photo", split=0.25, backdrop="#20c0ff", block=1)
    matte = widget.run()
    state = widget.get_state()
    assert np.array_equal(unpacked(state["_strokes"], labels.shape), labels)
    assert state["view"] == "alpha"
    assert state["compare"] == "photo"
    assert state["split"] == 0.25
    assert state["backdrop"] == "#20c0ff"
    assert state["status"] == "done"
    result = state["_result"]
    assert (result["kind"], result["width"], result["height"]) == ("full", WIDTH, HEIGHT)
    alpha = np.frombuffer(gzip.decompress(result["alpha"]), np.uint8).reshape(HEIGHT, WIDTH)
    assert np.array_equal(alpha, np.rint(matte.alpha * 255))
    maps = np.frombuffer(gzip.decompress(result["routing"]), np.uint8)
    assert np.array_equal(maps, np.concatenate([keep.ravel() for keep in matte.routing]))
    assert result["grids"] == [list(keep.shape) for keep in matte.routing]
    assert state["current"]


def test_two_widgets_of_one_photo_do_not_mix(make: Any, photo: np.ndarray) -> None:
    one, other = make(photo), make(photo)
    labels = painted(photo.shape[:2])
    paint(one, labels)
    receive(one, inside=7.0, view="photo")
    assert other.trimap is None
    assert not other.labels.any()
    assert other.get_state("inside") == {"inside": 2.0}
    assert other.view == "trimap"
    paint(other, np.flipud(labels))
    assert np.array_equal(one.labels, labels)
    one.run()
    assert other.matte is None
    assert other.get_state("_result")["_result"] == {}


def test_another_photo_takes_strokes_and_result_off_the_page(make: Any, photo: np.ndarray) -> None:
    widget = make(photo)
    paint(widget, painted(photo.shape[:2]))
    widget.run()
    before = widget.get_state("_photo")["_photo"]
    widget.change_photo(np.zeros((40, 60, 3), np.uint8))
    state = widget.get_state()
    assert state["_proxy_size"] == [40, 60]
    assert state["_photo"] != before
    assert state["_strokes"] == state["_trimap"] == b""
    assert state["_result"] == {}
    assert not state["current"]


def test_without_a_photo_the_page_waits_for_one(make: Any, photo: np.ndarray) -> None:
    widget = make(None)
    state = widget.get_state()
    assert state["_proxy_size"] == [0, 0]
    assert "photo" in state["message"]
    assert "photo" in repr(widget)
    paint(widget, painted(photo.shape[:2]))
    receive(widget, _run=1)
    assert widget.status == "empty"
    widget.change_photo(photo)
    paint(widget, painted(photo.shape[:2]), "page:2")
    assert widget.status == "ready"


# ---- what cannot be used -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(runs(np.zeros((HEIGHT, WIDTH - 1), np.uint8)), id="of another size"),
        pytest.param(runs(np.full((HEIGHT, WIDTH), 9, np.uint8)), id="unknown labels"),
        pytest.param(b"\x00\x01\x02", id="not whole"),
        pytest.param(b"\xff" * 4000, id="junk"),
    ],
)
def test_strokes_that_cannot_be_read_change_nothing(
    make: Any, photo: np.ndarray, sent: bytes
) -> None:
    widget = make(photo)
    labels = painted(photo.shape[:2])
    paint(widget, labels)
    trimap = widget.trimap
    receive(widget, _mark="page:2", _strokes=sent)
    assert np.array_equal(widget.labels, labels)
    assert np.array_equal(widget.trimap, trimap)
    state = widget.get_state()
    assert "labels" in state["message"] or "strokes" in state["message"]
    assert state["_seen"] == "page:2"  # or the page would wait for ever
    assert np.array_equal(unpacked(state["_strokes"], labels.shape), labels)
    paint(widget, np.flipud(labels), "page:3")
    assert np.array_equal(widget.labels, np.flipud(labels))


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("retention", "much"),
        ("retention", 7),
        ("inside", "wide"),
        ("unpainted", "sky"),
        ("view", "nowhere"),
        ("split", 3.0),
        ("live", "maybe"),
    ],
)
def test_a_setting_that_is_refused_affects_no_other(
    make: Any, photo: np.ndarray, name: str, junk: Any
) -> None:
    widget = make(photo)
    labels = painted(photo.shape[:2])
    before = widget.get_state(name)
    receive(widget, **{name: junk, "_mark": "page:1", "_strokes": runs(labels)})
    assert widget.get_state(name) == before
    assert np.array_equal(widget.labels, labels)


def test_a_refused_setting_stands_in_the_message(make: Any, photo: np.ndarray) -> None:
    widget = make(photo)
    receive(widget, retention="much")
    assert "much" in widget.message
    receive(widget, _strokes="text", _mark="page:1")
    assert not widget.labels.any()


def test_the_page_cannot_set_what_is_the_kernels(make: Any, photo: np.ndarray) -> None:
    widget = make(photo)
    before = widget.get_state()
    receive(widget, status="done", message="all is well", _photo=b"x", _result={"kind": "full"})
    assert widget.get_state() == before


def test_a_photo_that_cannot_be_read_is_one_error_without_a_widget() -> None:
    with pytest.raises(InputError, match=r"nowhere\.png"):
        MatteWidget("nowhere.png")


# ---- computing -----------------------------------------------------------------------------------


def test_run_on_the_page_computes_what_the_pipeline_does() -> None:
    picture = np.asarray(Image.open(EXAMPLE))[40:168, 160:320]
    labels = painted(picture.shape[:2])
    widget = MatteWidget(picture)
    paint(widget, labels)
    receive(widget, _run=1)
    widget.wait(PATIENCE)
    assert widget.status == "done"
    alone = MattingPipeline.from_pretrained("mematte-tiny")(picture, from_strokes(labels))
    assert np.array_equal(widget.alpha, alone.alpha)
    assert widget.get_state("_ran") == {"_ran": 1}
    widget.close()


def test_run_together_with_the_last_stroke_knows_it(make: Any, photo: np.ndarray) -> None:
    # The page's messages are merged while the kernel is busy, in whatever order.
    widget = make(photo)
    labels = painted(photo.shape[:2])
    receive(widget, _run=1, retention=0.5, _mark="page:1", _strokes=runs(labels))
    widget.wait(PATIENCE)
    assert widget.status == "done"
    assert np.array_equal(np.rint(widget.matte.trimap * 255), from_strokes(labels))


def test_run_without_a_subject_says_what_is_missing(make: Any, photo: np.ndarray) -> None:
    widget = make(photo)
    receive(widget, _run=1)
    widget.wait(PATIENCE)
    assert widget.status == "empty"
    assert "paint" in widget.message.lower()
    assert widget.get_state("_ran") == {"_ran": 1}


def test_cancel_ends_a_run_and_keeps_the_strokes(make: Any) -> None:
    widget = make(np.random.default_rng(0).integers(0, 255, (1400, 2100, 3), dtype=np.uint8))
    size = tuple(widget.proxy.shape[:2])
    paint(widget, painted(size))
    receive(widget, _run=1)
    until(lambda: widget.status == "running" and widget.progress > 0)
    tell(widget, kind="cancel", run=1)
    widget.wait(PATIENCE)
    assert widget.status == "stopped"
    assert widget.matte is None
    assert np.array_equal(widget.labels, painted(size))


def test_cancel_that_overtakes_its_run_counts(make: Any, photo: np.ndarray) -> None:
    widget = make(photo)
    paint(widget, painted(photo.shape[:2]))
    tell(widget, kind="cancel", run=1)
    receive(widget, _run=1)
    widget.wait(PATIENCE)
    assert widget.matte is None
    receive(widget, _run=2)
    widget.wait(PATIENCE)
    assert widget.status == "done"


def test_what_the_page_says_of_a_result_goes_with_the_trimap(make: Any, photo: np.ndarray) -> None:
    widget = make(photo)
    labels = painted(photo.shape[:2])
    paint(widget, labels)
    widget.run()
    assert widget.get_state("current") == {"current": True}
    paint(widget, np.flipud(labels), "page:2")
    assert widget.get_state("current") == {"current": False}
    assert widget.get_state("_result")["_result"]["kind"] == "full"


def test_a_preview_is_small_and_called_so(make: Any) -> None:
    widget = make(np.random.default_rng(0).integers(0, 255, (900, 1300, 3), dtype=np.uint8))
    size = tuple(widget.proxy.shape[:2])
    labels = np.zeros(size, np.uint8)
    labels[:, :200], labels[:, 200:230], labels[:, 230:] = 1, 2, 3
    paint(widget, labels)
    widget.preview()
    widget.wait(PATIENCE)
    state = widget.get_state()
    assert state["_result"]["kind"] == "preview"
    assert (state["_result"]["height"], state["_result"]["width"]) == size
    assert state["current"]
    paint(widget, np.fliplr(labels), "page:2")
    assert not widget.get_state("current")["current"]


def test_the_first_result_comes_into_view_and_later_ones_do_not(
    make: Any, photo: np.ndarray
) -> None:
    widget = make(photo)
    paint(widget, painted(photo.shape[:2]))
    widget.run()
    assert (widget.view, widget.compare) == ("cutout", "trimap")
    receive(widget, view="trimap", compare="off")
    widget.run()
    assert (widget.view, widget.compare) == ("trimap", "off")


def test_progress_sends_no_pictures(make: Any, photo: np.ndarray) -> None:
    widget = make(photo)
    paint(widget, painted(photo.shape[:2]))
    sent: list[Any] = []
    for name in ("_photo", "_trimap", "_result"):
        widget.observe(lambda change: sent.append(change["name"]), name)
    widget.run()
    assert sent == ["_result"]


def test_the_proxy_has_the_profile_of_the_photo(make: Any) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(file, "PNG", icc_profile=profile)
    widget = make(file.getvalue())
    shown = Image.open(io.BytesIO(widget.get_state("_photo")["_photo"]))
    assert shown.info["icc_profile"] == profile


# ---- around it -----------------------------------------------------------------------------------


def test_text_in_the_place_of_the_widget_helps(make: Any, photo: np.ndarray) -> None:
    bundle = make(photo)._repr_mimebundle_()[0]
    assert f"{WIDTH}×{HEIGHT}" in bundle["text/plain"]
    assert "MattePanel" in bundle["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_the_page_is_in_the_package_and_fetches_nothing() -> None:
    script = MatteWidget._esm
    assert "as default" in script
    assert "import " not in script.replace("import.meta", "")
    assert "http" not in script.replace("http://www.w3.org/2000/svg", "")
    assert "url(" not in MatteWidget._css


def test_the_bundle_is_made_from_the_sources() -> None:
    sources = module.STATIC.parent / "js"
    package = json.loads((sources / "package.json").read_text())
    esbuild, wanted = shutil.which("esbuild"), package["devDependencies"]["esbuild"]
    if esbuild is None:
        pytest.skip("esbuild is not installed")
    found = subprocess.run([esbuild, "--version"], capture_output=True, text=True, check=True)
    if found.stdout.strip() != wanted:
        pytest.skip(f"esbuild {wanted} made the bundle")
    command = [word for word in package["scripts"]["build"].split() if "outfile" not in word]
    made = subprocess.run(
        [esbuild, *command[1:]], cwd=sources, capture_output=True, check=True, timeout=PATIENCE
    )
    assert made.stdout.decode() == MatteWidget._esm


def test_the_page_is_heard_while_a_cell_runs(kernel: Any) -> None:
    printed_text = execute(
        kernel,
        """
        import threading, numpy as np
        from mematte_plugin.widget import MatteWidget
        widget = MatteWidget(np.zeros((20, 30, 3), np.uint8), model_id="painted")
        heard = threading.Event()
        widget.observe(lambda change: heard.set(), "view")
        print("there")
        """,
    )
    assert printed_text == "there\n"
    control = kernel.control_channel
    control.send(kernel.session.msg("create_subshell_request"))
    subshell = kernel.get_control_msg(timeout=PATIENCE)["content"]["subshell_id"]
    cell = kernel.execute("print(heard.wait(600))")
    data = {"method": "update", "state": {"view": "photo"}, "buffer_paths": []}
    message = kernel.session.msg("comm_msg", {"comm_id": "painted", "data": data})
    message["header"]["subshell_id"] = subshell  # as JupyterLab asks for it
    kernel.shell_channel.send(message)
    assert printed(kernel, cell) == "True\n"


@pytest.fixture
def kernel() -> Iterator[Any]:
    client = pytest.importorskip("jupyter_client")
    pytest.importorskip("ipykernel", minversion="7")
    manager, talk = client.manager.start_new_kernel(kernel_name="python3", startup_timeout=PATIENCE)
    yield talk
    talk.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(kernel: Any, code: str) -> str:
    return printed(kernel, kernel.execute(textwrap.dedent(code)))


def printed(kernel: Any, request: str) -> str:
    """What a cell prints until it has ended."""
    text = ""
    while True:
        message = kernel.get_iopub_msg(timeout=PATIENCE)
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        if message["msg_type"] == "error":
            raise AssertionError("\n".join(content["traceback"]))
        text += content.get("text", "")
        if content.get("execution_state") == "idle":
            return text
