"""The controls of the page and where they are. Tests find each by its `elem_id`."""

from __future__ import annotations

from typing import Any

import gradio as gr

from mematte_plugin import BAND_INSIDE, BAND_OUTSIDE

from .click_photo import EMPTY, SCRIPT
from .finding import LONGEST_WORD, missing
from .models import offered
from .painting import BRUSHES, OPACITY
from .pictures import COLOUR
from .samples import OWN, examples
from .settings import Settings
from .wording import FIND_FIRST, NO_INFO, NO_PAINTER, NO_PHOTO, hint, legend, said

FIND = ("Find it", "find")
WAYS = (("Paint it", "paint"), ("Upload a mask", "mask"), ("Upload a trimap", "trimap"))
CLICK_KINDS = (("Adds", "in"), ("Takes away", "out"))
BACKGROUNDS = (("Checkerboard", "checkerboard"), ("Colour", "colour"), ("Own picture", "picture"))
SCREENS = ("green", "blue", "red")
UPLOAD: dict[str, Any] = {"show_label": False, "sources": ["upload", "clipboard"], "buttons": []}
SHOWN: dict[str, Any] = {"show_label": False, "interactive": False, "buttons": ["fullscreen"]}


class LeftSide:
    """Photo, subject, and the job."""

    def __init__(self, settings: Settings) -> None:
        self._add_photo()
        self._add_subject(settings)
        self._add_job(settings)

    def _add_photo(self) -> None:
        _heading("1", "Photo")
        self.photo = gr.Image(
            label="Photo",
            show_label=False,
            elem_id="photo",
            height=260,
            sources=["upload", "clipboard", "webcam"],
            buttons=["fullscreen"],
            placeholder="Drop a photo here\nor click to choose one",
            webcam_options=gr.WebcamOptions(mirror=False),
        )
        self.info = gr.HTML(NO_INFO, elem_id="photo-info", padding=False)
        gr.HTML(hint("No photo at hand? Start with this one:"), padding=False)
        with gr.Row(elem_id="examples"):
            self.examples = [
                gr.Button(
                    example.title,
                    icon=OWN / f"{example.way}.jpg",
                    elem_id=f"example-{example.way}",
                    elem_classes="example",
                    min_width=150,
                )
                for example in examples()
            ]

    def _add_subject(self, settings: Settings) -> None:
        _heading("2", "Subject")
        reason = missing(settings)
        # The style sheet shows one of the sides below: Gradio would rebuild them each time and lose
        # the painting.
        self.way = gr.Radio(
            [*([FIND] if settings.find else []), *WAYS],
            value="paint" if reason else "find",
            label="How the subject is marked",
            show_label=False,
            container=False,
            elem_id="way",
        )
        with gr.Column(elem_id="find-side"):
            self._add_find(reason)
        with gr.Column(elem_id="paint-side"):
            gr.HTML(legend(), padding=False)
            self.painter_wait = gr.HTML(NO_PAINTER, elem_id="painter-wait", padding=False)
            self.painter = gr.ImageEditor(
                label="Painting",
                show_label=False,
                elem_id="painter",
                height=480,
                visible=False,
                sources=(),
                transforms=(),
                layers=False,
                buttons=["fullscreen"],
                brush=brush((512, 512)),
                eraser=eraser((512, 512)),
                format="png",
            )
            # Else the page sends layers to be kept in memory. As it is, they come as files.
            self.painter.server_fns = []
        with gr.Column(elem_id="mask-side"):
            self.mask = _guide_file(
                "mask",
                "White where the subject is, roughly: from a selection tool, SAM or a background"
                " remover. A band along its edge is computed.",
            )
        with gr.Column(elem_id="trimap-side"):
            self.trimap = _guide_file(
                "trimap",
                "White is certain subject, black certain background, grey is computed. Keep the"
                " grey band just wide enough for every stray hair.",
            )
        with gr.Row(elem_id="band"):
            self.inside = _slider("inside", "Band inwards, %", (0, 15), BAND_INSIDE, 0.5)
            self.outside = _slider("outside", "Band outwards, %", (0, 15), BAND_OUTSIDE, 0.5)
        self.trimap_show = gr.Button("Show the trimap", size="sm", elem_id="trimap-show")
        self.trimap_preview = gr.Image(
            format="jpeg", visible=False, height=320, elem_id="trimap-preview", **SHOWN
        )

    def _add_find(self, reason: str) -> None:
        """reason: why nothing is found here, if so."""
        with gr.Row(equal_height=True):
            self.find = gr.Button(
                "Find the subject",
                variant="primary",
                elem_id="find",
                scale=2,
                min_width=200,
                interactive=not reason,
            )
            self.word = gr.Textbox(
                label="Word",
                show_label=False,
                container=False,
                placeholder="Or name it: dog",
                max_lines=1,
                max_length=LONGEST_WORD,
                elem_id="word",
                scale=3,
                min_width=150,
                interactive=not reason,
            )
        self.found = gr.HTML(said(reason or FIND_FIRST), elem_id="found", padding=False)
        self.canvas = gr.HTML(
            EMPTY,
            js_on_load=SCRIPT.read_text(encoding="utf-8"),
            elem_id="canvas",
            padding=False,
            visible=not reason,
        )
        with gr.Row(elem_id="clicks", visible=not reason):
            self.click_kind = gr.Radio(
                CLICK_KINDS,
                value="in",
                label="A click",
                info="The right button always takes away.",
                elem_id="click-kind",
                scale=3,
                min_width=200,
            )
            self.undo = gr.Button(
                "Undo click", elem_id="undo", scale=1, min_width=110, interactive=False
            )

    def _add_job(self, settings: Settings) -> None:
        _heading("3", "Cut")
        with gr.Row():
            self.cut = gr.Button(
                "Cut", variant="primary", size="lg", elem_id="cut", scale=3, min_width=160
            )
            self.cancel = gr.Button(
                "Cancel", size="lg", elem_id="cancel", scale=1, min_width=100, interactive=False
            )
        with gr.Accordion("Advanced", open=False, elem_id="advanced"):
            offers = list(offered(settings).values())
            names = [(offer.title, offer.name) for offer in offers]
            self.model = gr.Dropdown(names, value=offers[0].name, label="Model", elem_id="model")
            self.model_note = gr.HTML(hint(offers[0].note), elem_id="model-note", padding=False)
            info = "Largest share of tokens that attention keeps; 0 leaves it to the model."
            self.retention = _slider("retention", "Retention", (0, 1), 0, 0.05, info=info)
            self.budget = gr.Number(
                0,
                minimum=0,
                label="Memory budget, GB",
                info="0 uses what is free. The photo is never shrunk to fit.",
                elem_id="budget",
            )


class RightSide:
    """The result."""

    def __init__(self) -> None:
        _heading("", "Result")
        self.stage = gr.HTML(NO_PHOTO, elem_id="stage", padding=False)
        with gr.Column(visible=False, elem_id="results") as self.results:
            self._add_pictures()
            self._add_background()
            self._add_edge()
            with gr.Row():
                self.cutout_file = _download("cutout", "Cut-out (PNG)", variant="primary")
                self.alpha_file = _download("alpha", "Alpha (16-bit PNG)")
                self.tiff_file = _download("tiff", "Cut-out (TIFF)")
            self.report = gr.HTML(elem_id="report", padding=False)

    def _add_pictures(self) -> None:
        pair: dict[str, Any] = {"type": "filepath", "format": "jpeg", "max_height": 620, **SHOWN}
        with gr.Tabs():
            with gr.Tab("Before and after"):
                self.slider = gr.ImageSlider(elem_id="result-slider", **pair)
            with gr.Tab("Edge colours"):
                text = (
                    "Left: the photo's colours, with the old background in the edges. Right: the"
                    " subject's own."
                )
                gr.HTML(hint(text), padding=False)
                self.edges = gr.ImageSlider(elem_id="edges-slider", **pair)
            with gr.Tab("Alpha"):
                self.alpha = gr.Image(format="png", height=560, elem_id="alpha", **SHOWN)
            with gr.Tab("Trimap"):
                self.trimap = gr.Image(format="jpeg", height=560, elem_id="trimap-result", **SHOWN)
            with gr.Tab("Routing"):
                text = (
                    "Which parts went through attention, block by block: tinted ones did, grey ones"
                    " took the short cut."
                )
                gr.HTML(hint(text), padding=False)
                self.routing = gr.Gallery(
                    format="jpeg", columns=2, height=460, elem_id="routing", **SHOWN
                )

    def _add_background(self) -> None:
        self.kind = gr.Radio(
            BACKGROUNDS, value="checkerboard", label="Background", elem_id="background-kind"
        )
        self.colour = gr.ColorPicker(
            COLOUR, label="Colour", visible=False, elem_id="background-color"
        )
        self.picture = gr.Image(
            label="Own background",
            height=170,
            placeholder="Drop a background here\nor click to choose one",
            visible=False,
            elem_id="background-file",
            **UPLOAD,
        )
        self.clean = gr.Checkbox(
            True,
            label="Clean edge colours",
            info="Off, the old background's colours stay in the edges.",
            elem_id="clean-colours",
        )

    def _add_edge(self) -> None:
        with gr.Accordion("Edge", open=False, elem_id="edge"):
            with gr.Row():
                self.black = _slider("levels-black", "Empty up to", (0, 0.5), 0, 0.01)
                self.white = _slider("levels-white", "Solid from", (0.5, 1), 1, 0.01)
            with gr.Row():
                self.choke = _slider("choke", "Choke, px", (-10, 10), 0, 0.25)
                self.feather = _slider("feather", "Feather, px", (0, 20), 0, 0.25)
            with gr.Row():
                screens = [(name.title(), name) for name in SCREENS]
                self.despill = gr.Dropdown(
                    [("Off", "off"), ("Find the screen", "auto"), *screens],
                    value="off",
                    label="Remove a screen's light",
                    elem_id="despill",
                    min_width=150,
                )
                label = "Margin of the crop, px"
                self.margin = gr.Number(
                    0, label=label, minimum=0, precision=0, elem_id="margin", min_width=150
                )
            self.crop = gr.Checkbox(
                False,
                label="Crop to the subject",
                info="The files say where in the photo it was.",
                elem_id="crop",
            )

    @property
    def edge_controls(self) -> list[Any]:
        """The controls of the edge, in the order of `edges.edge_from`."""
        levels = [self.black, self.white]
        return [*levels, self.choke, self.feather, self.despill, self.crop, self.margin]


def brush(size: tuple[int, int]) -> gr.Brush:
    """The brushes for a picture of this (h, w): thick enough to cover a subject soon."""
    return gr.Brush(
        default_size=max(size) // 20,
        colors=[(brush.css, OPACITY) for brush in BRUSHES],
        default_color=(BRUSHES[0].css, OPACITY),
        color_mode="fixed",
    )


def eraser(size: tuple[int, int]) -> gr.Eraser:
    """The eraser for a picture of this (h, w)."""
    return gr.Eraser(default_size=max(size) // 20)


def _heading(number: str, title: str) -> None:
    mark = f"<span>{number}</span>" if number else ""
    gr.HTML(f"<h2>{mark}{title}</h2>", elem_classes="step", padding=False)


def _guide_file(name: str, text: str) -> gr.Image:
    gr.HTML(hint(text), padding=False)
    return gr.Image(
        label=name.title(),
        elem_id=name,
        height=240,
        placeholder=f"Drop the {name} here\nor click to choose one",
        **UPLOAD,
    )


def _slider(
    name: str, label: str, span: tuple[float, float], value: float, step: float, **options: Any
) -> gr.Slider:
    options |= {"elem_id": name, "min_width": 150}
    return gr.Slider(*span, value=value, step=step, label=label, **options)


def _download(name: str, label: str, variant: str = "secondary") -> gr.DownloadButton:
    return gr.DownloadButton(label, variant=variant, elem_id=f"download-{name}", min_width=150)  # type: ignore[arg-type]
