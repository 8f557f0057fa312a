"""The widget for hosts that do not run a widget's own JavaScript: plain ipywidgets."""

from __future__ import annotations

import base64
import io
import logging
import mimetypes
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import traitlets
from ipywidgets import Layout
from PIL import Image

from ..errors import MEMatteError, collect_notes
from ..images.arrays import scaled_down
from ..images.formats import READABLE
from ..images.read import read_photo
from ..matte import Matte
from ..progress import Progress
from ..show.overlays import on_checkerboard, trimap_overlay
from .finding import FindingSession
from .guided import PROXY
from .page import answer_during_cells, jpeg

LINKED = 24 * 2**20
"""Bytes of a saved file up to which it is offered for download: it travels inside the page."""
VIEWS = {"photo": "Photo", "trimap": "Trimap", "alpha": "Alpha", "cutout": "Cut-out"}
"""Names of the views, and what their buttons say."""
UPLOADS = {
    "photo": "The photo.",
    "trimap": "White subject, black background, grey where it is unsure.",
    "mask": "White where the subject is, roughly; an unknown band is added around it.",
}
SLIDERS = {
    "inside": ("Band in, %", 0, 15, 0.5),
    "outside": ("Band out, %", 0, 15, 0.5),
    "levels_black": ("Empty to", 0, 1, 0.01),
    "levels_white": ("Solid from", 0, 1, 0.01),
    "choke": ("Choke, px", -10, 10, 0.25),
    "feather": ("Feather, px", 0, 20, 0.25),
}
"""Label, least, most and step, by trait. Python may set more."""
CHOICES = {
    "retention": ("Retention", ("auto", "1.0", "0.75", "0.5", "0.25", "0.1")),
    "model": ("Model", ()),
    "despill": ("Despill", ("off", "auto", "green", "blue", "red")),
}
"""Label and suggestions, by trait; other values can be typed."""

logger = logging.getLogger(__name__)


class MattePanel(FindingSession, ipywidgets.VBox):  # type: ignore[misc]
    """Trimap or mask in, matte out: uploads, options and pictures, without painting.

    Arguments, traits and methods are those of `FindingSession`; `view` says what is shown: "photo",
    "trimap", "alpha" or "cutout". A button finds the subject; for clicks and words call `find`.
    Strokes can be set from Python (`labels`). Without an image the photo is uploaded as well.

    An upload goes through the notebook's server, which usually takes 10 MB at once; name larger
    files in code: `MattePanel("photo.tif", mask="mask.png")`.

    Raises InputError for a photo, trimap or mask that cannot be used, SettingError for an option.
    """

    view = traitlets.Enum(tuple(VIEWS), "photo", help="which picture is shown")

    def __init__(self, image: Any = None, *args: Any, **options: Any) -> None:
        self._cutout = np.zeros((0, 0, 4), np.uint8)
        super().__init__(image, *args, **options)
        self._parts = parts = _controls()
        for role in UPLOADS:
            parts[role].observe(self._guarded(partial(self._upload, role)), "value")
        for name in (*SLIDERS, *CHOICES, "live", "view"):
            self._tie(name, parts[name])
        parts["find"].on_click(self._guarded(lambda _: self._look_anew()))
        parts["run"].on_click(self._guarded(lambda _: self.start()))
        parts["cancel"].on_click(self._guarded(lambda _: self.cancel()))
        parts["save_as"].on_click(self._guarded(lambda _: self._save()))
        shown = ["status", "message", "notes", "progress", "stage", "job", "band_counts"]
        self.observe(self._show_status, shown)
        self.observe(self._show_new, ["photo", "small_trimap", "shown"])
        self.observe(self._redraw, ["view", "status"])
        self._show_status()
        for name in ("photo", "small_trimap"):
            self._show_new(traitlets.Bunch(name=name, old=None, new=getattr(self, name)))
        self.children = _laid_out(parts)
        for part in parts.values():
            answer_during_cells(part)

    def close(self) -> None:
        """Take the panel off the page and cancel what is being computed."""
        if "_parts" in self.__dict__:
            self.cancel()
        super().close()

    def __repr__(self) -> str:
        return f"MattePanel({'no photo' if self.photo is None else self.photo}, {self.status})"

    # ---- from the page ---------------------------------------------------------------------------

    def _guarded(self, act: Callable[[Any], None]) -> Callable[[Any], None]:
        """A handler whose errors appear in the message: ipywidgets drops what a handler raises."""

        def handle(change: Any) -> None:
            try:
                act(change)
            except (MEMatteError, traitlets.TraitError) as error:
                self.set_trait("message", str(error))
            except Exception as error:
                logger.exception("a control of the panel failed")
                self.set_trait("message", f"Unexpected: {type(error).__name__}: {error}")

        return handle

    def _tie(self, name: str, control: Any) -> None:
        """Keep a trait and its control equal."""

        def show(_change: Any = None) -> None:
            value = getattr(self, name)
            if name in SLIDERS:
                control.min, control.max = min(control.min, value), max(control.max, value)
            control.value = str(value) if name in CHOICES else value
            if name == "model":
                control.options = [offer["name"] for offer in self.models]

        def take(change: Any) -> None:
            try:
                setattr(self, name, _number(change.new) if name == "retention" else change.new)
            finally:
                show()  # a refused value does not stay there

        control.observe(self._guarded(take), "value")
        self.observe(show, name)
        show()

    def _upload(self, role: str, change: Any) -> None:
        if not change.new:
            return
        file, upload = change.new[0], self._parts[role]
        name, data = file["name"], bytes(file["content"])
        upload.value = ()  # so that the same file can be chosen again
        try:
            if role == "photo":
                self.change_photo(read_photo(data, name=name))
            else:
                setattr(self, role, data)
        except MEMatteError as error:
            raise type(error)(str(error) if name in str(error) else f"{name}: {error}") from error
        for other in UPLOADS if role == "photo" else ("trimap", "mask"):
            self._parts[other].description = other.capitalize()
        upload.description = f"{role.capitalize()}: {name}"

    def _save(self) -> None:
        link = self._parts["link"]
        link.value = ""
        path = Path(self._parts["path"].value.strip()).expanduser().absolute()
        with collect_notes():  # the message repeats them
            self.save(path)
        if path.stat().st_size <= LINKED:
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            data, name = base64.b64encode(path.read_bytes()).decode(), escape(path.name)
            link.value = (
                f'<a download="{name}" href="data:{kind};base64,{data}">Download {name}</a>'
            )

    # ---- to the page -----------------------------------------------------------------------------

    def _show_status(self, _change: Any = None) -> None:
        parts, busy = self._parts, self.status in ("running", "waiting")
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        parts[
            "message"
        ].value = f'<div role="status">{escape(self.message)}{notes and f"<ul>{notes}</ul>"}</div>'
        parts["run"].disabled = self.job == "full"
        parts["cancel"].disabled = not busy
        parts["progress"].value, parts["progress"].description = self.progress, self.stage
        parts["progress"].layout.visibility = "visible" if busy else "hidden"
        parts["save_as"].disabled = self.matte is None
        parts["inside"].disabled = parts["outside"].disabled = not self.band_counts

    def _show_new(self, change: Any) -> None:
        """Show what is new, unless the user looks at an earlier result."""
        if change.name == "photo" and self.photo is not None:
            self._parts["path"].value = f"{Path(self.photo.name).stem}_cutout.png"
            self.view = "photo"
        elif change.new is not None and self.view in ("photo", "trimap"):
            shown = change.old is None or change.new is self.matte
            new = "trimap" if change.name == "small_trimap" else "cutout"
            self.view = new if shown else self.view
        self._redraw()

    def _draw(self, matte: Matte, progress: Progress) -> np.ndarray:
        return matte.cutout_proxy(PROXY)

    def _show_pictures(self, matte: Matte, pictures: np.ndarray) -> None:
        self._cutout = pictures

    def _redraw(self, _change: Any = None) -> None:
        parts = self._parts
        parts["picture"].layout.display = None if self.photo is not None else "none"
        if self.photo is None:
            return
        with self._exclusive():  # results come from another thread: the newest is drawn last
            caption, pixels = self._picture()
            if pixels.ndim == 2:
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "PNG", compress_level=1)
                fmt, data = "png", file.getvalue()
            else:
                fmt, data = "jpeg", jpeg(pixels, self.photo.icc_profile)
            with parts["picture"].hold_sync():
                parts["picture"].format, parts["picture"].value = fmt, data
            parts["caption"].value = escape(caption)

    def _picture(self) -> tuple[str, np.ndarray]:
        """Caption and pixels of the view; the photo where there is nothing to show yet."""
        matte, photo, view = self.shown, self.proxy, self.view
        if view == "trimap" and self.small_trimap is not None:
            overlay = trimap_overlay(photo, self.small_trimap)
            return "Trimap: background dark, unknown band grey", overlay
        if matte is None or view in ("photo", "trimap"):
            height, width = self.photo.size
            return f"Photo, {width}×{height}" + (
                "" if view == "photo" else "; no result yet"
            ), photo
        height, width = matte.photo.size
        which = f"{width}×{height}"
        if matte is not self.matte:
            which = f"a preview of {which}; Run computes it in full size"
        elif self.status not in ("done", "running", "waiting"):
            which += ", from before the last change"
        if view == "alpha":
            shown = np.rint(scaled_down(matte.alpha, PROXY) * 255).astype(np.uint8)
        else:
            shown = on_checkerboard(self._cutout)
        return f"{VIEWS[view]}, {which}", shown


def _number(text: str) -> Any:
    """A retention as it is typed."""
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    return int(number) if number > 1 and number.is_integer() else number


def _controls() -> dict[str, Any]:
    """Every control, by its trait or what it does."""
    row: dict[str, Any] = {"style": {"description_width": "6.5em"}, "continuous_update": False}
    pictures = "image/*," + ",".join(sorted(READABLE))
    parts: dict[str, Any] = {}
    for role, hint in UPLOADS.items():
        parts[role] = ipywidgets.FileUpload(
            accept=pictures, description=role.capitalize(), tooltip=hint
        )
    for name, (title, least, most, step) in SLIDERS.items():
        parts[name] = ipywidgets.FloatSlider(
            min=least, max=most, step=step, description=title, **row
        )
    for name, (title, suggested) in CHOICES.items():
        parts[name] = ipywidgets.Combobox(options=suggested, description=title, **row)
    parts["live"] = ipywidgets.Checkbox(description="Live preview", indent=False)
    parts["find"] = ipywidgets.Button(description="Find the subject")
    parts["run"] = ipywidgets.Button(description="Run", button_style="primary")
    parts["cancel"] = ipywidgets.Button(description="Cancel")
    parts["progress"] = ipywidgets.FloatProgress(min=0, max=1)
    parts["message"] = ipywidgets.HTML()
    parts["view"] = ipywidgets.ToggleButtons(
        options=[(title, name) for name, title in VIEWS.items()], style={"button_width": "auto"}
    )
    parts["picture"] = ipywidgets.Image(
        layout=Layout(max_width="100%", max_height="75vh", width="auto", align_self="flex-start")
    )
    parts["caption"] = ipywidgets.HTML()
    parts["path"] = ipywidgets.Text("cutout.png", description="Save as")
    parts["save_as"] = ipywidgets.Button(description="Save")
    parts["link"] = ipywidgets.HTML()
    return parts


def _laid_out(parts: dict[str, Any]) -> tuple[Any, ...]:
    wrap = Layout(flex_flow="row wrap", align_items="center")
    buttons = ipywidgets.HBox(
        [parts[name] for name in ("find", "run", "cancel", "live")], layout=wrap
    )
    options = [parts[name] for name in (*UPLOADS, *SLIDERS, *CHOICES)]
    limit = ipywidgets.HTML("Most servers take uploads up to 10 MB; name larger files in code.")
    saving = ipywidgets.HBox([parts[n] for n in ("path", "save_as", "link")], layout=wrap)
    shown = [parts[name] for name in ("view", "picture", "caption")]
    for control in (*options, parts["find"], parts["run"], parts["cancel"], parts["progress"]):
        control.layout.width = "auto"
    narrow = Layout(flex="0 1 20em", min_width="18em")
    both = ipywidgets.HBox(
        [
            ipywidgets.VBox([*options, limit, buttons, parts["progress"]], layout=narrow),
            ipywidgets.VBox([*shown, saving], layout=Layout(flex="1 1 26em")),
        ],
        layout=Layout(flex_flow="row wrap", align_items="flex-start"),
    )
    return parts["message"], both
