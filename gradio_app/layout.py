"""What is on the page and where. Tests find the controls by these ids:

| id | what it is |
|---|---|
| photo, photo-info | the photo to upload, paste or take; the line below it |
| examples; example-paint, example-mask, example-trimap | buttons that start an example |
| way | paint, mask or trimap; paint-side, mask-side, trimap-side, band: what belongs to it |
| painter, mask, trimap | the painting (painter-wait in its place without a photo); the files |
| inside, outside | the band's sliders |
| trimap-show, trimap-preview | button and picture: what a rough subject becomes |
| cut, cancel | the job |
| model, model-note, retention, budget | under Advanced, whose id is advanced |
| stage | what is shown while there is no result; the progress too |
| results | everything about a result |
| result-slider, edges-slider, alpha, trimap-result, routing | its pictures, in tabs |
| background-kind, background-color, background-file, clean-colours | what is behind it |
| edge | what shapes the edge: levels-black, levels-white, choke, feather, despill, crop, margin |
| download-cutout, download-alpha, download-tiff | the files |
| report | the table |
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from .components import FileOfPicture, Painter
from .models import offered
from .painting import BRUSHES, OPACITY
from .samples import examples
from .settings import Settings
from .texts import NO_INFO, NO_PAINTER, NO_PHOTO, legend, model_note

WAYS = (("Paint it", "paint"), ("Upload a mask", "mask"), ("Upload a trimap", "trimap"))
KINDS = (("Checkerboard", "checkerboard"), ("Colour", "colour"), ("Own picture", "picture"))
SCREENS = ("green", "blue", "red")
TITLE = "Cut out hair, fur and soft edges"


@dataclass(frozen=True)
class Inputs:
    """The left side."""

    photo: FileOfPicture
    info: gr.HTML
    examples: tuple[gr.Button, ...]
    way: gr.Radio
    painter_wait: gr.HTML
    painter: Painter
    mask: FileOfPicture
    trimap: FileOfPicture
    inside: gr.Slider
    outside: gr.Slider
    trimap_show: gr.Button
    trimap_preview: gr.Image
    cut: gr.Button
    cancel: gr.Button
    model: gr.Dropdown
    model_note: gr.HTML
    retention: gr.Slider
    budget: gr.Number


@dataclass(frozen=True)
class EdgeControls:
    """What shapes a result's edge."""

    black: gr.Slider
    white: gr.Slider
    choke: gr.Slider
    feather: gr.Slider
    despill: gr.Dropdown
    crop: gr.Checkbox
    margin: gr.Number


@dataclass(frozen=True)
class Outputs:
    """The right side."""

    stage: gr.HTML
    results: gr.Column
    slider: gr.ImageSlider
    edges: gr.ImageSlider
    alpha: gr.Image
    trimap: gr.Image
    routing: gr.Gallery
    kind: gr.Radio
    colour: gr.ColorPicker
    picture: FileOfPicture
    clean: gr.Checkbox
    edge: EdgeControls
    cutout_file: gr.DownloadButton
    alpha_file: gr.DownloadButton
    tiff_file: gr.DownloadButton
    report: gr.HTML


def lay_out(settings: Settings) -> tuple[Inputs, Outputs]:
    """Everything on the page, within a gr.Blocks context."""
    gr.HTML(
        f"<h1>{TITLE}</h1><p>Give it a photo and roughly where the subject is; get a cut-out at"
        " full resolution, without the old background's colours in its edges.</p>",
        elem_id="head",
        padding=False,
    )
    with gr.Row(equal_height=False):
        with gr.Column(scale=6, min_width=340):
            inputs = _inputs(settings)
        with gr.Column(scale=7, min_width=340, elem_id="right"):
            outputs = _outputs()
    return inputs, outputs


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


# ---- parts ---------------------------------------------------------------------------------------


def _step(number: str, title: str) -> None:
    mark = f"<span>{number}</span>" if number else ""
    gr.HTML(f"<h2>{mark}{title}</h2>", elem_classes="step", padding=False)


def _inputs(settings: Settings) -> Inputs:
    _step("1", "Photo")
    photo = FileOfPicture(
        label="Photo",
        show_label=False,
        elem_id="photo",
        height=260,
        sources=["upload", "clipboard", "webcam"],
        buttons=["fullscreen"],
        placeholder="Drop a photo here\nor click to choose one",
        webcam_options=gr.WebcamOptions(mirror=False),
    )
    info = gr.HTML(NO_INFO, elem_id="photo-info", padding=False)
    gr.HTML('<p class="hint">No photo at hand? Start with this one:</p>', padding=False)
    with gr.Row(elem_id="examples"):
        buttons = tuple(
            gr.Button(
                example.title,
                elem_id=f"example-{example.way}",
                elem_classes="example",
                min_width=150,
            )
            for example in examples()
        )

    _step("2", "Subject")
    # Which of the three sides below shows is a matter of style sheets: Gradio would make them anew,
    # and lose what has been painted.
    way = gr.Radio(WAYS, value="paint", show_label=False, container=False, elem_id="way")
    with gr.Column(elem_id="paint-side"):
        gr.HTML(legend(), padding=False)
        painter_wait = gr.HTML(NO_PAINTER, elem_id="painter-wait", padding=False)
        painter = _painter()
    with gr.Column(elem_id="mask-side"):
        gr.HTML(
            '<p class="hint">White where the subject is, roughly: from a selection tool, SAM or a'
            " background remover. A band along its edge is computed anew.</p>",
            padding=False,
        )
        mask = _guide_file("mask", "Mask")
    with gr.Column(elem_id="trimap-side"):
        gr.HTML(
            '<p class="hint">White is surely subject, black surely background, grey is computed.'
            " Keep the grey band just wide enough for every stray hair.</p>",
            padding=False,
        )
        trimap = _guide_file("trimap", "Trimap")
    with gr.Row(elem_id="band"):
        inside, outside = (
            gr.Slider(0, 15, value=value, step=0.5, label=label, elem_id=name, min_width=150)
            for name, value, label in (
                ("inside", 2, "Band inwards, %"),
                ("outside", 4, "Band outwards, %"),
            )
        )
    trimap_show = gr.Button("Show the trimap", size="sm", elem_id="trimap-show")
    trimap_preview = gr.Image(
        show_label=False,
        format="jpeg",
        visible=False,
        interactive=False,
        height=320,
        buttons=["fullscreen"],
        elem_id="trimap-preview",
    )

    _step("3", "Cut")
    with gr.Row():
        cut = gr.Button("Cut", variant="primary", size="lg", elem_id="cut", scale=3, min_width=160)
        cancel = gr.Button(
            "Cancel", size="lg", elem_id="cancel", scale=1, min_width=100, interactive=False
        )
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        offers = list(offered(settings).values())
        model = gr.Dropdown(
            [(offer.title, offer.name) for offer in offers],
            value=offers[0].name,
            label="Model",
            elem_id="model",
        )
        note = gr.HTML(model_note(offers[0].note), elem_id="model-note", padding=False)
        retention = gr.Slider(
            0,
            1,
            value=0,
            step=0.05,
            label="Retention",
            info="Largest share of tokens that goes through attention; 0 leaves it to the model.",
            elem_id="retention",
        )
        budget = gr.Number(
            0,
            minimum=0,
            label="Memory budget, GB",
            info="0 takes what is free. The photo is never shrunk to fit.",
            elem_id="budget",
        )
    return Inputs(
        photo=photo,
        info=info,
        examples=buttons,
        way=way,
        painter_wait=painter_wait,
        painter=painter,
        mask=mask,
        trimap=trimap,
        inside=inside,
        outside=outside,
        trimap_show=trimap_show,
        trimap_preview=trimap_preview,
        cut=cut,
        cancel=cancel,
        model=model,
        model_note=note,
        retention=retention,
        budget=budget,
    )


def _outputs() -> Outputs:
    _step("", "Result")
    waiting = gr.HTML(NO_PHOTO, elem_id="stage", padding=False)
    with gr.Column(visible=False, elem_id="results") as results:
        with gr.Tabs():
            with gr.Tab("Before and after"):
                slider = _slider("result-slider")
            with gr.Tab("Edge colours"):
                gr.HTML(
                    '<p class="hint">Left: the photo\'s colours, with the old background in the'
                    " edges. Right: the subject's own.</p>",
                    padding=False,
                )
                edges = _slider("edges-slider")
            with gr.Tab("Alpha"):
                alpha = _picture("alpha", "png")
            with gr.Tab("Trimap"):
                trimap = _picture("trimap-result", "jpeg")
            with gr.Tab("Routing"):
                gr.HTML(
                    '<p class="hint">Which parts went through attention, block by block: tinted'
                    " ones did, grey ones took the short cut.</p>",
                    padding=False,
                )
                routing = gr.Gallery(
                    show_label=False,
                    format="jpeg",
                    columns=2,
                    height=460,
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="routing",
                )
        kind = gr.Radio(KINDS, value="checkerboard", label="Background", elem_id="background-kind")
        colour = gr.ColorPicker(
            "#3fa34d", label="Colour", visible=False, elem_id="background-color"
        )
        picture = FileOfPicture(
            label="Own background",
            show_label=False,
            sources=["upload", "clipboard"],
            height=170,
            placeholder="Drop a background here\nor click to choose one",
            visible=False,
            buttons=[],
            elem_id="background-file",
        )
        clean = gr.Checkbox(
            True,
            label="Clean edge colours",
            info="Off, the old background's colours stay in the edges.",
            elem_id="clean-colours",
        )
        edge = _edge()
        with gr.Row():
            files = [
                gr.DownloadButton(
                    label,
                    variant="primary" if name == "download-cutout" else "secondary",
                    elem_id=name,
                    min_width=150,
                )
                for label, name in (
                    ("Cut-out (PNG)", "download-cutout"),
                    ("Alpha (16-bit PNG)", "download-alpha"),
                    ("Cut-out (TIFF)", "download-tiff"),
                )
            ]
        report = gr.HTML(elem_id="report", padding=False)
    return Outputs(
        stage=waiting,
        results=results,
        slider=slider,
        edges=edges,
        alpha=alpha,
        trimap=trimap,
        routing=routing,
        kind=kind,
        colour=colour,
        picture=picture,
        clean=clean,
        edge=edge,
        cutout_file=files[0],
        alpha_file=files[1],
        tiff_file=files[2],
        report=report,
    )


def _edge() -> EdgeControls:
    with gr.Accordion("Edge", open=False, elem_id="edge"):
        with gr.Row():
            black = _edge_slider("levels-black", "Empty up to", (0, 0.5), 0)
            white = _edge_slider("levels-white", "Solid from", (0.5, 1), 1)
        with gr.Row():
            choke = _edge_slider("choke", "Choke, px", (-10, 10), 0, 0.25)
            feather = _edge_slider("feather", "Feather, px", (0, 20), 0, 0.25)
        with gr.Row():
            despill = gr.Dropdown(
                [("Off", "off"), ("Find the screen", "auto"), *((n.title(), n) for n in SCREENS)],
                value="off",
                label="Take a screen's light out",
                elem_id="despill",
                min_width=150,
            )
            margin = gr.Number(
                0,
                label="Margin of the crop, px",
                minimum=0,
                precision=0,
                elem_id="margin",
                min_width=150,
            )
        crop = gr.Checkbox(
            False,
            label="Crop to the subject",
            info="The files tell where in the photo it lay.",
            elem_id="crop",
        )
    return EdgeControls(black, white, choke, feather, despill, crop, margin)


def _edge_slider(
    name: str, label: str, span: tuple[float, float], value: float, step: float = 0.01
) -> gr.Slider:
    return gr.Slider(*span, value=value, step=step, label=label, elem_id=name, min_width=150)


def _painter() -> Painter:
    return Painter(
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


def _guide_file(name: str, label: str) -> FileOfPicture:
    return FileOfPicture(
        label=label,
        show_label=False,
        elem_id=name,
        height=240,
        sources=["upload", "clipboard"],
        buttons=[],
        placeholder=f"Drop the {name} here\nor click to choose one",
    )


def _slider(name: str) -> gr.ImageSlider:
    return gr.ImageSlider(
        show_label=False,
        type="filepath",
        format="jpeg",
        interactive=False,
        max_height=620,
        buttons=["fullscreen"],
        elem_id=name,
    )


def _picture(name: str, fmt: str) -> gr.Image:
    return gr.Image(
        show_label=False,
        format=fmt,
        interactive=False,
        height=560,
        buttons=["fullscreen"],
        elem_id=name,
    )
