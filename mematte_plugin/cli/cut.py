"""`mematte cut`: the subject of one photo."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from ..errors import SettingError
from ..memory.units import show_bytes
from . import console, guides, inputs, options
from .console import PIPE
from .outputs import Kind, Output, check_output
from .signals import import_torch

if TYPE_CHECKING:
    from ..matte import Matte


class CutCommand(typer.core.TyperCommand):
    """`mematte cut`, whose --alpha without a file means --alpha-only, as it once did."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for i, argument in enumerate(args):
            following = args[i + 1] if i + 1 < len(args) else "--"
            if argument == "--alpha" and following.startswith("-") and following != PIPE:
                args[i] = "--alpha-only"
        return super().parse_args(ctx, args)


def cut(
    *,
    image: inputs.Image,
    trimap: inputs.Trimap = None,
    mask: inputs.Mask = None,
    soft: inputs.Alpha = None,
    points: guides.Points = None,
    not_points: guides.NotPoints = None,
    box: guides.BoxText = None,
    words: guides.Words = None,
    subject_model: guides.SubjectModel = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Output file: .png, .tif, .webp or .exr (composites and alphas also .jpg); -"
            " writes PNG to a pipe. Default: photo_cutout.png next to the photo.",
        ),
    ] = None,
    alpha: Annotated[
        bool,
        typer.Option(
            "--alpha-only",
            help="Write only the opacity, in grey; the default for names ending in _alpha. --alpha"
            " without a file does the same.",
        ),
    ] = False,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="COLOUR|IMAGE",
            help="Write the subject over this background: white, '#20c0ff', 'rgba(0, 0, 0, 0.5)',"
            " or a picture. Its transparent parts stay transparent (white in JPEG).",
        ),
    ] = None,
    objects: options.Object = None,
    inside: options.Inside = None,
    outside: options.Outside = None,
    unit: options.Unit = None,
    islands: options.Islands = None,
    layer: options.Layer = None,
    mask_layer: options.GuideLayer = None,
    levels: options.Levels = None,
    choke: options.Choke = 0.0,
    feather: options.Feather = 0.0,
    despill: options.Despill = "off",
    colors: options.Colors = "foreground",
    crop: options.Crop = False,
    margin: options.Margin = None,
    linear_light: options.LinearLight = False,
    input_space: options.InputSpace = None,
    premultiplied: options.Premultiplied = None,
    bits: options.Bits = None,
    quality: options.Quality = None,
    model: options.Model = options.DEFAULT_MODEL,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    retention: options.RetentionText = "auto",
    memory_budget: options.MemoryBudget = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Cut the subject out of a photograph, with soft edges and clean colours.

    \b
    Examples:
      mematte cut photo.jpg -o cutout.png
      mematte cut photo.jpg --point 420,310 --not 500,80
      mematte cut photo.jpg --subject 'the dog'
      mematte cut photo.jpg --alpha soft.png
      mematte cut photo.jpg --mask mask.png -o subject.tif
      mematte cut photo.jpg trimap.png
      mematte cut photo.jpg trimap.png --background white -o card.jpg
      mematte cut photo.jpg trimap.png --levels 0.05,0.95 --choke 0.5 --crop --margin 20
      cat photo.jpg | mematte cut - trimap.png -o - > cutout.png

    A trimap, a rough mask, a soft mask, points, a box or words say what the subject is. With none
    of them it is the photo's own transparency, or what a network finds (extra `subject`).
    """
    start = perf_counter()
    kind = _kind(output, alpha, background)
    target = target_of(image, output, kind)
    kept = options.retention_of(retention)
    budget = options.budget_of(memory_budget)
    places = guides.places_of(points, not_points, box, words)
    prompts = {"points or a box": places, "--subject": words is not None}
    inputs.check(image, trimap, mask, mask_layer, alpha=soft, prompts=prompts)
    if subject_model is not None and (trimap or mask or soft):
        raise SettingError("--subject-model: nothing is searched for; drop it or the other guide")
    options.check_islands(islands, "the trimap" if trimap else "--mask" if mask else None)
    if linear_light and background is None:
        raise SettingError("--linear-light: needs --background; add it, or drop --linear-light")
    band = options.band_of(inside, outside, unit, objects, with_trimap=trimap is not None)
    sources = (image, trimap, mask, soft, background)
    check_output(target, sources, overwrite=overwrite, as_json=as_json)
    import_torch()
    from ..images.read import read_photo
    from ..pipeline import cut as library_cut

    edge = options.edge_of(
        levels=levels,
        choke=choke,
        feather=feather,
        despill=despill,
        colors=colors,
        crop=crop,
        margin=margin,
        alpha_only=kind == "alpha",
    )
    with console.progress() as report:
        photo = inputs.read_photo(image, layer, input_space)
        inside_points, around = places.in_photo(photo.size)
        behind: Any = background
        if background is not None and os.path.isfile(background):
            behind = read_photo(background, role="background")
        result = Output(
            target=target,
            kind=kind,
            background=behind,
            bits=bits,
            quality=quality,
            overwrite=overwrite,
            linear_light=linear_light,
            premultiplied=premultiplied,
        )
        result.rehearse(photo.pixels[:1, :1])
        matte = library_cut(
            photo,
            inputs.read_source(trimap, mask_layer),
            mask=inputs.read_source(mask, mask_layer),
            alpha=inputs.read_source(soft, mask_layer),
            points=inside_points,
            box=around,
            text=words,
            subject_model=subject_model,
            **band,
            islands=islands,
            model=model,
            device=device,
            dtype=dtype,
            retention=kept,
            memory_budget=budget,
            progress=report,
        ).with_edge(edge)
        report(0, 0, "colours" if kind != "alpha" else "writing")
        result.write(matte)
    seconds = perf_counter() - start
    if as_json:
        console.say_json({"output": target, "kind": kind, **facts_of(matte, seconds)})
    elif target != PIPE:
        height, width = matte.photo.size
        place = [str(matte.crop)] if matte.crop else []
        facts = (
            f"{width}×{height}",
            *place,
            f"{seconds:.1f} s",
            *guides.subject_in_words(matte.subject),
            _kept_in_words(matte),
            *memory_in_words(matte),
        )
        console.say(f"{target}: {', '.join(facts)}")


# ---- kind and target -----------------------------------------------------------------------------


def _kind(output: str | None, alpha: bool, background: str | None) -> Kind:
    if alpha and background is not None:
        raise SettingError("--alpha and --background: choose one of them")
    if background is not None:
        return "composite"
    if alpha or (output is not None and Path(output).stem.lower().endswith("_alpha")):
        return "alpha"
    return "cutout"


def target_of(image: str, output: str | None, kind: str) -> str:
    """Default: the pipe for a photo from the pipe, else a file next to the photo."""
    if output is not None:
        return output
    if image == PIPE:
        return PIPE
    path = Path(image)
    return str(path.with_name(f"{path.stem}_{kind}.png")) if path.name else image


# ---- summary --------------------------------------------------------------------------------


def facts_of(matte: Matte, seconds: float) -> dict[str, Any]:
    return {**matte.facts(), "seconds": round(seconds, 3), "warnings": console.warned}


def _kept_in_words(matte: Matte) -> str:
    if matte.routing:
        share = sum(float(keep.mean()) for keep in matte.routing) / len(matte.routing)
        return f"{share:.0%} of the tokens kept"
    if (matte.trimap == 0.5).any():
        return "all tokens kept"
    return "nothing was unknown, the trimap is the alpha"


def memory_in_words(matte: Matte) -> list[str]:
    """The peak, if memory was short."""
    plan = matte.plan
    if plan is None or not (plan.lost or plan.ran_out):
        return []
    peak = plan.predicted_peak if plan.measured_peak is None else plan.measured_peak
    fallen = f" after running out {plan.ran_out} times" if plan.ran_out else ""
    return [f"memory was short: peak {show_bytes(peak)}{fallen}"]
