"""The controls of the panel, and how they are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import ipywidgets
from ipywidgets import Layout

from ..images.formats import READABLE
from ..memory.retention import MIN_TOKEN_COUNT
from .panel_views import VIEWS

MARKS = {"failed": "#d33", "stopped": "#c80", "running": "#28c", "waiting": "#28c", "done": "#2a5"}
"""Colours beside the message, by status."""
BAND = 15.0
"""Percent at the end of the band's sliders."""
WIDE = {"description_width": "6.5em"}
PICTURES = "image/*," + ",".join(sorted(READABLE))
UPLOADS = {
    "photo": "The photo.",
    "trimap": "White subject, black background, grey where it is unsure.",
    "mask": "White where the subject is, roughly; a band of unknown is laid around it.",
}
"""What can be uploaded, and what it is."""


class Parts:
    """Every control by its name, and `whole`, which holds them all."""

    def __init__(self) -> None:
        self.uploads = {
            role: ipywidgets.FileUpload(
                accept=PICTURES,
                description=role.capitalize(),
                tooltip=hint,
                layout=Layout(width="9em"),
            )
            for role, hint in UPLOADS.items()
        }
        # The server drops larger ones silently; the kernel never hears of them, and cannot tell.
        self.limit = ipywidgets.HTML(
            '<div style="line-height:1.4;opacity:0.75">Uploads: at most 10 MB each.'
            " Larger files are named in code.</div>"
        )
        self.uploaded = {role: ipywidgets.HTML(layout=Layout(min_width="0")) for role in UPLOADS}
        self.inside = _band("Band in, %", "How far the unknown band reaches into the subject")
        self.outside = _band("Band out, %", "How far the unknown band reaches out of the subject")
        self.model = ipywidgets.Dropdown(description="Model", style=WIDE, layout=_row())
        self.kept_by = ipywidgets.Dropdown(
            options=[
                ("auto", "auto"),
                ("share of tokens", "share"),
                ("number of tokens", "tokens"),
            ],
            description="Retention",
            style=WIDE,
            layout=_row(),
            tooltip="How many tokens each block sends through attention at most",
        )
        self.share = ipywidgets.FloatSlider(
            0.5,
            min=0,
            max=1,
            step=0.05,
            description="Share",
            style=WIDE,
            layout=_row(),
            continuous_update=False,
        )
        self.tokens = ipywidgets.BoundedIntText(
            1024,
            min=MIN_TOKEN_COUNT,
            max=2**31 - 1,
            description="Tokens",
            style=WIDE,
            layout=_row(),
        )
        self.levels_black = _edge("Empty to", "Opacity up to here becomes 0", (0.0, 1.0), 0.01)
        self.levels_white = _edge("Solid from", "Opacity from here on is 1", (0.0, 1.0), 0.01)
        self.choke = _edge("Choke, px", "Moves the edge inward; negative, outward", (-10, 10))
        self.feather = _edge("Feather, px", "Blurs the edge", (0, 20))
        self.despill = ipywidgets.Dropdown(
            description="Despill",
            style=WIDE,
            layout=_row(),
            tooltip="Takes a screen's light out of the edge's colours",
        )
        self.live = ipywidgets.Checkbox(
            description="Live preview",
            indent=False,
            layout=Layout(width="auto"),
            tooltip="A small preview after each change",
        )
        self.run = ipywidgets.Button(
            description="Run",
            button_style="primary",
            icon="play",
            layout=Layout(width="8em"),
            tooltip="Compute the matte in full size",
        )
        self.cancel = ipywidgets.Button(
            description="Cancel",
            icon="stop",
            layout=Layout(width="8em"),
            disabled=True,
            tooltip="Give up what is being computed",
        )
        self.progress = ipywidgets.FloatProgress(min=0, max=1, layout=Layout(width="auto"))
        self.stage = ipywidgets.HTML()
        self.message = ipywidgets.HTML(layout=Layout(width="auto"))

        self.view = ipywidgets.ToggleButtons(
            options=[(title, name) for name, title in VIEWS.items()],
            style={"button_width": "auto"},
        )
        self.block = ipywidgets.Dropdown(
            options=[("1", 0)],
            description="Block",
            style={"description_width": "auto"},
            layout=Layout(width="10em"),
        )
        self.checkered = ipywidgets.Checkbox(
            True, description="Checkerboard", indent=False, layout=Layout(width="auto")
        )
        self.colour = ipywidgets.ColorPicker(
            value="#ffffff",
            description="Behind",
            style={"description_width": "auto"},
            layout=Layout(width="14em"),
        )
        self.picture = ipywidgets.Image(
            layout=Layout(
                max_width="100%",
                max_height="75vh",
                width="auto",
                object_fit="contain",
                align_self="flex-start",
            )
        )
        self.caption = ipywidgets.HTML()
        self.path = ipywidgets.Text(
            "cutout.png",
            description="Save as",
            style={"description_width": "auto"},
            layout=Layout(width="22em"),
            tooltip="On the kernel's machine; a name ending in _alpha gets the alpha alone",
        )
        self.overwrite = ipywidgets.Checkbox(
            description="replace",
            indent=False,
            layout=Layout(width="auto"),
            tooltip="Replace an existing file",
        )
        self.save = ipywidgets.Button(
            description="Save", icon="save", layout=Layout(width="7em"), disabled=True
        )
        self.link = ipywidgets.HTML()
        self.whole = self._laid_out()

    def _laid_out(self) -> ipywidgets.Box:
        middle = Layout(align_items="center")
        wrap = Layout(flex_flow="row wrap", align_items="center")
        uploads = [
            ipywidgets.HBox([self.uploads[role], self.uploaded[role]], layout=middle)
            for role in UPLOADS
        ]
        names = ("levels_black", "levels_white", "choke", "feather", "despill")
        edge = ipywidgets.Accordion(
            [ipywidgets.VBox([getattr(self, name) for name in names])], titles=("Edge",)
        )
        settings = ipywidgets.VBox(
            [
                *uploads,
                self.limit,
                self.inside,
                self.outside,
                self.kept_by,
                self.share,
                self.tokens,
                self.model,
                edge,
                ipywidgets.HBox([self.run, self.cancel, self.live], layout=wrap),
                self.progress,
                self.stage,
            ],
            layout=Layout(flex="0 1 23em", min_width="18em", margin="0 1em 0 0"),
        )
        views = ipywidgets.VBox(
            [
                ipywidgets.HBox([self.view, self.block, self.checkered, self.colour], layout=wrap),
                self.picture,
                self.caption,
                ipywidgets.HBox([self.path, self.save, self.overwrite, self.link], layout=wrap),
            ],
            layout=Layout(flex="1 1 26em", min_width="18em"),
        )
        both = ipywidgets.HBox(
            [settings, views], layout=Layout(flex_flow="row wrap", align_items="flex-start")
        )
        return ipywidgets.VBox([self.message, both])

    def controls(self) -> list[ipywidgets.Widget]:
        """All that one presses, drags, chooses or types in."""
        parts = [*vars(self).values(), *self.uploads.values()]
        return [part for part in parts if isinstance(part, ipywidgets.DOMWidget)]

    def only(self, name: str, seen: bool) -> None:
        """Show a control, or hide it."""
        getattr(self, name).layout.display = None if seen else "none"


def _band(description: str, hint: str) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(
        min=0,
        max=BAND,
        step=0.5,
        description=description,
        readout_format=".1f",
        style=WIDE,
        layout=_row(),
        continuous_update=False,
        tooltip=hint,
    )


def _edge(
    description: str, hint: str, span: tuple[float, float], step: float = 0.25
) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(
        min=span[0],
        max=span[1],
        value=0,
        step=step,
        description=description,
        readout_format=".2f",
        style=WIDE,
        layout=_row(),
        continuous_update=False,
        tooltip=hint,
    )


def _row() -> Layout:
    """As wide as there is room for. One each: hiding a control changes its layout."""
    return Layout(width="auto")


def message_box(status: str, message: str, notes: Sequence[str]) -> str:
    """The message as HTML, and below it what is to be known of the last run."""
    lines = "".join(f"<li>{escape(note)}</li>" for note in notes)
    told = f'<ul style="margin:0;padding-left:1.2em">{lines}</ul>' if lines else ""
    return (
        '<div role="status" style="line-height:1.5;padding:2px 10px;'
        f'border-left:4px solid {MARKS.get(status, "#8888")}">{escape(message)}{told}</div>'
    )


def stage_line(status: str, stage: str) -> str:
    """What is being done, in a word."""
    return escape(stage if status == "running" else "")


def link(name: str, kind: str, data: bytes) -> str:
    """A file as a link that downloads it. data: base64."""
    return (
        f'<a download="{escape(name)}" href="data:{kind};base64,{data.decode()}"'
        f' style="text-decoration:underline">Download {escape(name)}</a>'
    )
