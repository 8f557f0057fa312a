"""The widget for hosts that run no front-end code of ours: made of plain ipywidgets alone."""

from __future__ import annotations

import base64
import logging
import mimetypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from html import escape
from pathlib import Path
from threading import RLock, local
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from ..errors import MEMatteError, collect_notes
from ..images.read import read_photo
from ..matte import Matte
from ..memory.retention import MIN_TOKEN_COUNT
from ..show.composite import composite
from . import panel_views
from .comms import answer_beside_cells
from .panel_parts import Parts, link, message_box, stage_line
from .panel_views import CHECKERBOARD
from .session import MattingSession

LINKED = 24 * 2**20
"""Bytes of a saved file up to which it is offered for download: it travels inside of the page."""
BUSY = ("running", "waiting")

logger = logging.getLogger(__name__)


class MattePanel(MattingSession, ipywidgets.VBox):  # type: ignore[misc]
    """Trimap or mask in, matte out: uploads, settings and pictures, without painting.

    Arguments, traits and methods are those of `MattingSession`, as `MatteWidget` has them, and some
    for the view. Strokes can be set from Python (`labels`). Without an image (None) the photo is
    uploaded as well.

    An upload goes through the notebook's server, which usually takes 10 MB at once; larger files
    are named in code: `MattePanel("photo.tif", mask="mask.png")`.

    Raises InputError for a photo, trimap or mask that cannot be used, SettingError for an option.
    """

    view = traitlets.Enum(tuple(panel_views.VIEWS), "photo", help="which picture is shown")
    block = traitlets.Int(0, min=0, help="whose routing map is shown, counted from 0")
    backdrop = traitlets.Unicode(CHECKERBOARD, help='"checkerboard" or a colour, "#20c0ff"')

    def __init__(self, image: Any = None, *args: Any, **options: Any) -> None:
        self._cutout = np.zeros((0, 0, 4), np.uint8)
        super().__init__(image, *args, **options)
        self._parts = parts = Parts()
        self._filling = local()  # results come from another thread, which must not deafen this one
        self._redrawing = RLock()
        self._tie("inside", parts.inside)
        self._tie("outside", parts.outside)
        for name in ("levels_black", "levels_white", "choke", "feather", "despill"):
            self._tie(name, getattr(parts, name))
        self._tie("live", parts.live)
        self._tie("model", parts.model)
        self._tie("view", parts.view)
        self._tie("block", parts.block)
        for control in (parts.kept_by, parts.share, parts.tokens):
            control.observe(self._told(self._set_retention), "value")
        for control in (parts.checkered, parts.colour):
            control.observe(self._told(self._set_backdrop), "value")
        for role, upload in parts.uploads.items():
            upload.observe(self._told(partial(self._take_upload, role)), "value")
        parts.run.on_click(self._told(lambda _: self.start()))
        parts.cancel.on_click(self._told(lambda _: self.cancel()))
        parts.save.on_click(self._told(lambda _: self._save()))
        told = ["status", "message", "notes", "progress", "stage", "job"]
        self.observe(self._show_status, told)
        self.observe(
            self._show_settings, ["retention", "backdrop", "models", "band_counts", "view"]
        )
        self.observe(self._show_photo, "photo")
        self.observe(self._show_trimap, "small_trimap")
        self.observe(self._show_result, "shown")
        self.observe(self._redraw, ["view", "block", "backdrop"])
        self.observe(self._caption, "status")
        self._show_settings()
        self._show_status()
        self._show_photo()
        if self.small_trimap is not None:
            self.view = "trimap"
        self.children = (parts.whole,)
        for control in parts.controls():
            answer_beside_cells(control)

    def close(self) -> None:
        """Take the panel out of the page. What is being computed is given up."""
        if "_parts" in self.__dict__:
            self.cancel()
        super().close()

    def __repr__(self) -> str:
        return f"MattePanel({'no photo' if self.photo is None else self.photo}, {self.status})"

    @traitlets.validate("backdrop")
    def _valid_backdrop(self, proposal: Any) -> Any:
        with self._reporting():
            if proposal["value"] != CHECKERBOARD:
                composite(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1)), proposal["value"])
        return proposal["value"]

    # ---- from the page ---------------------------------------------------------------------------

    def _told(self, act: Callable[[Any], None]) -> Callable[[Any], None]:
        """A handler whose errors stand in the message: the page drops what a handler raises."""

        def handle(change: Any) -> None:
            if not getattr(self._filling, "now", False):
                with self._telling():
                    act(change)

        return handle

    @contextmanager
    def _telling(self, what: str = "") -> Iterator[None]:
        try:
            yield
        except (MEMatteError, traitlets.TraitError) as error:
            self.set_trait("message", f"{what}{error}")
        except Exception as error:
            logger.exception("a control of the panel failed")
            self.set_trait("message", f"{what}Unexpected: {type(error).__name__}: {error}")

    def _tie(self, name: str, control: Any) -> None:
        """A trait and a control say the same."""

        def show(_change: Any = None) -> None:
            value = getattr(self, name)
            with self._fill():
                if name in _OPTIONS:
                    control.options = _OPTIONS[name](self)
                elif getattr(control, "max", value) < value:
                    control.max = value
                elif getattr(control, "min", value) > value:
                    control.min = value
                control.value = value

        def take(change: Any) -> None:
            try:
                setattr(self, name, change.new)
            finally:
                show()  # what was not taken is not left standing there

        control.observe(self._told(take), "value")
        self.observe(show, [name, "models"] if name == "model" else name)
        show()

    @contextmanager
    def _fill(self) -> Iterator[None]:
        """Controls are set from here, not from the page."""
        before, self._filling.now = getattr(self._filling, "now", False), True
        try:
            yield
        finally:
            self._filling.now = before

    def _take_upload(self, role: str, change: Any) -> None:
        """A file was chosen."""
        if not change.new:
            return
        file = change.new[0]
        name, data = file["name"], bytes(file["content"])
        with self._fill():
            self._parts.uploads[role].value = ()  # so that the same file can be chosen again
        with self._telling("" if role == "photo" else f"{name}: "):
            if role == "photo":
                self.change_photo(read_photo(data, name=name))
            else:
                setattr(self, role, data)
            for other in self._parts.uploaded if role == "photo" else ("trimap", "mask"):
                self._parts.uploaded[other].value = ""  # it does not count any more
            self._parts.uploaded[role].value = escape(name)

    def _set_retention(self, _change: Any) -> None:
        parts = self._parts
        chosen = {"auto": "auto", "share": parts.share.value, "tokens": parts.tokens.value}
        self.retention = chosen[parts.kept_by.value]

    def _set_backdrop(self, _change: Any) -> None:
        checkered, colour = self._parts.checkered.value, self._parts.colour.value
        self.backdrop = CHECKERBOARD if checkered else colour

    def _save(self) -> None:
        parts = self._parts
        parts.link.value = ""
        parts.save.disabled = True
        try:
            self.set_trait("message", "Saving …")
            path = Path(parts.path.value.strip()).expanduser().absolute()
            with collect_notes():  # they stand in the message
                self.save(path, overwrite=parts.overwrite.value)
            if path.stat().st_size <= LINKED:
                kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                parts.link.value = link(path.name, kind, base64.b64encode(path.read_bytes()))
        finally:
            parts.save.disabled = False

    # ---- to the page -----------------------------------------------------------------------------

    def _show_settings(self, _change: Any = None) -> None:
        parts, kept = self._parts, self.retention
        with self._fill():
            if kept == "auto":
                parts.kept_by.value = "auto"
            elif kept >= MIN_TOKEN_COUNT:
                parts.kept_by.value, parts.tokens.value = "tokens", int(kept)
            else:
                parts.kept_by.value, parts.share.value = "share", float(kept)
            parts.checkered.value = self.backdrop == CHECKERBOARD
            if self.backdrop != CHECKERBOARD:
                with suppress(traitlets.TraitError):  # hsl(…), which a picker cannot show
                    parts.colour.value = self.backdrop
        parts.only("share", parts.kept_by.value == "share")
        parts.only("tokens", parts.kept_by.value == "tokens")
        parts.only("checkered", self.view == "cutout")
        parts.only("colour", self.view == "cutout" and not parts.checkered.value)
        parts.only("block", self.view == "routing")
        parts.inside.disabled = parts.outside.disabled = not self.band_counts

    def _show_status(self, _change: Any = None) -> None:
        parts, busy = self._parts, self.status in BUSY
        parts.message.value = message_box(self.status, self.message, self.notes)
        parts.run.disabled = self.job == "full"
        parts.cancel.disabled = not busy
        parts.progress.value = self.progress
        parts.stage.value = stage_line(self.status, self.stage)
        parts.only("progress", busy)
        parts.save.disabled = self.matte is None

    def _show_photo(self, _change: Any = None) -> None:
        if self.photo is not None:
            self._parts.path.value = f"{Path(self.photo.name).stem}_cutout.png"
            self.view = "photo"
        self._redraw()

    def _show_trimap(self, change: Any) -> None:
        if self.view == "photo" and change.old is None:
            self.view = "trimap"
        elif self.view == "trimap":
            self._redraw()

    def _show_result(self, change: Any) -> None:
        matte = self.shown
        with self._fill():
            self._parts.block.options = _blocks(self)
            self._parts.block.value = self.block
        full = matte is not None and matte is self.matte
        if self.view in ("photo", "trimap") and (full or change.old is None):
            self.view = "cutout"
        else:
            self._redraw()

    def _draw(self, matte: Matte, progress: Any) -> np.ndarray:
        return matte.cutout_proxy(panel_views.LONGEST)

    def _show_pictures(self, matte: Matte, pictures: np.ndarray) -> None:
        self._cutout = pictures

    def _redraw(self, _change: Any = None) -> None:
        """The picture of the view, as things are now."""
        parts = self._parts
        parts.only("picture", self.photo is not None)
        if self.photo is None:
            return
        # Results come from another thread: who draws last has to see what is newest.
        with self._redrawing, self._telling("The picture cannot be drawn: "):
            fmt, data = panel_views.picture(
                self, self.view, self._cutout, block=self.block, backdrop=self.backdrop
            )
            with parts.picture.hold_sync():
                parts.picture.format, parts.picture.value = fmt, data
            self._caption()

    def _caption(self, _change: Any = None) -> None:
        if self.photo is not None:
            told = panel_views.caption(self, self.view, block=self.block)
            self._parts.caption.value = escape(told)


def _models(panel: MattePanel) -> list[tuple[str, str]]:
    offered = {model["name"]: model["title"] for model in panel.models}
    offered.setdefault(panel.model, panel.model)  # somebody's own, set in code
    return [(title, name) for name, title in offered.items()]


def _blocks(panel: MattePanel) -> list[tuple[str, int]]:
    """Those that the newest matte has maps of, and the chosen one in any case."""
    count = len(panel.shown.routing) if panel.shown is not None else 0
    named = "{} of {}" if count else "{}"
    return [(named.format(i + 1, count), i) for i in range(max(count, panel.block + 1))]


def _screens(panel: MattePanel) -> list[str]:
    """Those that are found or usual, and one that was named in code."""
    usual = ["off", "auto", "green", "blue", "red"]
    return usual if panel.despill in usual else [*usual, panel.despill]


_OPTIONS: dict[str, Callable[[MattePanel], Any]] = {
    "model": _models,
    "block": _blocks,
    "despill": _screens,
}
"""What the lists offer, by trait."""
