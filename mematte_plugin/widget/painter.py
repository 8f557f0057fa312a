"""The widget to paint on, `MatteWidget`: the traits that its page shares, and its pictures.

The page's side is in `js/`; `static/widget.js` is its bundle.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from ..errors import InputError, MEMatteError
from ..matte import Matte
from ..progress import Progress
from .finding import FindingSession
from .guided import PROXY
from .page import CHECKERBOARD, VIEWS, answer_during_cells, jpeg
from .wand import Step, from_page, to_page

STATIC = Path(__file__).parent / "static"
RESULTS = ("alpha", "cutout", "routing")
"""The views of a result."""
GZIP = 31
"""zlib's window number for gzip, which browsers can read."""


def _bytes(value: Any, _widget: Any = None) -> bytes:
    """The page's bytes arrive as memoryview, which traitlets.Bytes refuses."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise traitlets.TraitError("is not binary data")
    return bytes(value)


class MatteWidget(FindingSession, anywidget.AnyWidget):
    """Click the subject of a photo in a notebook, or paint it; use the matte in the next cell.

    Takes the arguments of `FindingSession`, and `layout` like every widget. Leave it at the end of
    a cell; then click with the wand or paint, press Run, and use `alpha`, `matte`, `trimap` or
    `save` in the next one. Traits can also be set and observed from Python; without a page, `find`
    finds the subject and `run` computes.

    Traits for what the page shows:
        view: "photo", "trimap", "alpha", "cutout" or "routing".
        block: which block's routing, from 0.
        backdrop: "checkerboard", or a colour as "#rrggbb", behind the cut-out.
        compare: "off", or what is shown left of the divider: "photo" or "trimap".
        split: position of the divider, 0 to 1.
    """

    _esm = (STATIC / "widget.js").read_text("utf-8")
    _css = (STATIC / "widget.css").read_text("utf-8")

    view = traitlets.Enum(VIEWS, "trimap").tag(sync=True)
    block = traitlets.Int(0, min=0).tag(sync=True)
    backdrop = traitlets.Unicode(CHECKERBOARD).tag(sync=True)
    compare = traitlets.Enum(("off", "photo", "trimap"), "off").tag(sync=True)
    split = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)

    # ---- for the page alone
    _strokes = traitlets.Bytes(help="`labels` as runs; empty for none").tag(
        sync=True, from_json=_bytes
    )
    _mark = traitlets.Unicode(help="of the page's strokes; empty for Python's").tag(sync=True)
    _wand: traitlets.Dict[str, Any] = traitlets.Dict(
        help="the wand's steps, as `from_page` takes them, and their mark"
    ).tag(sync=True)
    _run = traitlets.Int(0, help="how often Run was pressed").tag(sync=True)
    # Set by the kernel alone:
    _id = traitlets.Unicode(help="of the comm").tag(sync=True, ours=True)
    _proxy_size: traitlets.List[int] = traitlets.List(
        [0, 0], help="[h, w] of what is painted on"
    ).tag(sync=True, ours=True)
    _photo = traitlets.Bytes(help="JPEG, (h, w)").tag(sync=True, ours=True)
    _seen = traitlets.Unicode(help="the last mark that was processed").tag(sync=True, ours=True)
    _ran = traitlets.Int(0, help="how many presses of Run were received").tag(sync=True, ours=True)
    _steps: traitlets.Dict[str, Any] = traitlets.Dict(
        {"mark": "", "taken": True, "steps": []},
        help="the steps that count; mark: of those that this answers; taken: whether they do",
    ).tag(sync=True, ours=True)
    _trimap = traitlets.Bytes(help="`small_trimap` as runs").tag(sync=True, ours=True)
    _result: traitlets.Dict[str, Any] = traitlets.Dict(help="see `_pictures`").tag(
        sync=True, ours=True
    )

    def __init__(self, image: Any = None, *args: Any, **options: Any) -> None:
        self._painted: NDArray[np.uint8] | None = None  # what came from the page
        self._given_up = 0  # runs up to this one were cancelled
        self._id = options.setdefault("model_id", uuid4().hex)
        super().__init__(image, *args, **options)
        self.on_msg(self._on_message)

    __init__.__doc__ = FindingSession.__doc__

    def __repr__(self) -> str:
        """Shown in place of the widget where it cannot run."""
        if self.photo is None:
            return f"{type(self).__name__}: {self.message}"
        height, width = self.photo.size
        return (
            f"{type(self).__name__} of {width}×{height} pixels, {self.model}, {self.status}:"
            f" {self.message}\n"
            "To click or paint, run this cell in JupyterLab, Notebook 7, VS Code or Colab with"
            " widgets enabled.\nWithout a page: call .find(), or set .trimap or .mask, then .run()"
            " and .save('cutout.png'); or use MattePanel."
        )

    def open(self) -> None:
        """Called by ipywidgets when the page learns of the widget."""
        super().open()
        answer_during_cells(self)

    def close(self) -> None:
        """Take the widget off the page and cancel what is being computed."""
        if "_given_up" in self.__dict__ and "_running" in self.__dict__:
            self.cancel()
        super().close()

    # ---- from the page ---------------------------------------------------------------------------

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the page changed; called by the comm. Does not raise."""
        # One by one, so that a refused value does not affect the others; strokes before their mark,
        # and Run last.
        last = ("_strokes", "_mark", "_wand", "_run")
        names = [*(name for name in sync_data if name not in last), *last]
        with self._lock:
            for name in names:
                if name in sync_data and name in self.keys:
                    self._set_one(name, sync_data[name])

    def _set_one(self, name: str, value: Any) -> None:
        trait = self.traits()[name]
        if trait.read_only or trait.metadata.get("ours"):
            return
        try:
            # Before traitlets stores it: an error of ours would leave it there.
            super().set_state({name: self._checked(name, value)})
        except (traitlets.TraitError, MEMatteError) as error:
            self.set_trait("message", f"{name.strip('_')}: {error}")
            self.send_state(name)  # so that the page shows the value in use

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and content.get("kind") == "cancel":
            run = content.get("run")
            self._given_up = run if isinstance(run, int) else self._run
            self.cancel()

    @traitlets.observe("_mark")
    def _on_mark(self, change: Any) -> None:
        if not change.new:
            return
        try:
            labels = _from_runs(self._strokes, self.proxy.shape[:2])
            self._painted = labels
            self.labels = labels
        except MEMatteError as error:
            self._seen = change.new
            self._show_labels(self.labels)  # the page continues with the labels in use
            self.set_trait("message", str(error))
        self._seen = change.new

    @traitlets.observe("_wand")
    def _on_wand(self, change: Any) -> None:
        mark = str(change.new.get("mark", ""))
        try:
            size = (0, 0) if self.photo is None else self.photo.size
            self._take_steps(from_page(change.new.get("steps"), size), mark)
        except MEMatteError as error:
            self._show_steps(self._wish.steps, mark, taken=False)
            self.set_trait("message", str(error))

    @traitlets.observe("_run")
    def _on_run(self, change: Any) -> None:
        self._ran = change.new
        if change.new > self._given_up:
            self.start()

    # ---- to the page -----------------------------------------------------------------------------

    @traitlets.observe("photo")
    def _on_photo(self, _change: Any) -> None:
        self._mark = ""
        self._strokes = b""
        self._proxy_size = list(self.proxy.shape[:2])
        photo = self.photo
        self._photo = b"" if photo is None else jpeg(self.proxy, photo.icc_profile)

    @traitlets.observe("labels")
    def _on_labels(self, change: Any) -> None:
        if self._painted is not None and np.array_equal(change.new, self._painted):
            return
        self._show_labels(change.new)

    def _show_labels(self, labels: NDArray[np.uint8]) -> None:
        self._painted = None
        self._mark = ""
        self._strokes = _to_runs(labels) if labels.any() else b""

    def _show_steps(self, steps: tuple[Step, ...], mark: str, *, taken: bool) -> None:
        size = (1, 1) if self.photo is None else self.photo.size
        self._steps = {"mark": mark, "taken": taken, "steps": to_page(steps, size)}

    @traitlets.observe("subject")
    def _on_subject(self, change: Any) -> None:
        if change.new is not None and self.view in RESULTS and not self.live:
            self.view = "trimap"  # what was found is seen there

    @traitlets.observe("small_trimap")
    def _on_trimap(self, change: Any) -> None:
        self._trimap = b"" if change.new is None else _to_runs(change.new)

    @traitlets.observe("shown")
    def _on_shown(self, change: Any) -> None:
        if change.new is None:
            self._result = {}

    def _draw(self, matte: Matte, progress: Progress) -> dict[str, Any]:
        return _pictures(matte, full=matte.photo is self.photo)

    def _show_pictures(self, matte: Matte, pictures: dict[str, Any]) -> None:
        with self._exclusive():
            first = not self._result
            self._result = pictures
            if first and self.view in ("photo", "trimap"):  # later on, the view is the user's
                self.compare = "trimap" if self.compare == "off" else self.compare
                self.view = "cutout"


def _pictures(matte: Matte, *, full: bool) -> dict[str, Any]:
    """A result as the page gets it.

    kind: "preview" or "full"; width, height: of the matte, in pixels.
    alpha: gzip of uint8 (h, w), at the proxy's size.
    colours: a JPEG of that size: the subject's own, and the photo's where alpha is 0.
    routing: gzip of a byte per token, block after block; grids: [h, w] of each; kept: the share of
        tokens that each kept.
    """
    height, width = matte.photo.size
    cutout = matte.cutout_proxy(PROXY)
    alpha = np.ascontiguousarray(cutout[..., 3])
    # Not black, which JPEG would mix into the subject's edge.
    colours = np.where(alpha[..., None] == 0, matte.photo.proxy(PROXY), cutout[..., :3])
    maps = [np.asarray(keep, bool) for keep in matte.routing]
    flat = np.concatenate([keep.ravel() for keep in maps]) if maps else np.zeros(0, bool)
    return {
        "kind": "full" if full else "preview",
        "width": width,
        "height": height,
        "alpha": _gzip(alpha),
        "colours": jpeg(colours, matte.photo.icc_profile),
        "routing": _gzip(flat) if maps else b"",
        "grids": [list(keep.shape) for keep in maps],
        "kept": [float(keep.mean()) for keep in maps],
    }


def _gzip(values: NDArray[Any]) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, GZIP)
    return packer.compress(values.tobytes()) + packer.flush()


def _to_runs(values: NDArray[np.uint8]) -> bytes:
    """Labels or a trimap (h, w) as runs, row after row: little-endian uint32, the value in the
    lowest byte, the number of pixels above it. Faster than gzip; the page is waiting."""
    flat = values.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(ends, prepend=0, append=flat.size)
    first = np.concatenate(([0], ends))
    return (lengths << 8 | flat[first]).astype("<u4").tobytes()


def _from_runs(packed: bytes, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Strokes (h, w) from the page. Raises InputError for anything else."""
    if not packed:
        return np.zeros(size, np.uint8)
    whole = len(packed) % 4 == 0
    runs = np.frombuffer(packed, "<u4") if whole else np.zeros(0, "<u4")
    lengths = runs >> 8
    if int(lengths.sum(dtype=np.uint64)) != int(np.prod(size)):
        raise InputError(
            "strokes: those that the page sent do not fit the photo; the trimap is unchanged,"
            " reload the page and paint again"
        )
    return np.repeat((runs & 255).astype(np.uint8), lengths).reshape(size)
