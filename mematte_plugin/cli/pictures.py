"""`mematte cut`, `mematte trimap`, `mematte routing`: one picture each."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, SettingError
from ..memory.units import show_bytes
from . import console, inputs, options
from .console import PIPE
from .outputs import Kind, Output, check_output, write_array
from .signals import import_torch

if TYPE_CHECKING:
    from ..matte import Matte


def cut(
    *,
    image: inputs.Image,
    trimap: inputs.Trimap = None,
    mask: inputs.Mask = None,
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
            "--alpha",
            help="Write only the opacity, in grey; the default for names ending in _alpha.",
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
      mematte cut photo.jpg trimap.png
      mematte cut photo.jpg --mask mask.png -o subject.tif
      mematte cut photo.jpg trimap.png --background white -o card.jpg
      mematte cut photo.jpg trimap.png --levels 0.05,0.95 --choke 0.5 --crop --margin 20
      cat photo.jpg | mematte cut - trimap.png -o - > cutout.png

    A trimap, a rough mask, or the photo's own transparency says what the subject is.
    """
    start = perf_counter()
    kind = _kind(output, alpha, background)
    target = _target(image, output, kind)
    kept = options.retention_of(retention)
    budget = options.budget_of(memory_budget)
    inputs.check(image, trimap, mask, mask_layer)
    if linear_light and background is None:
        raise SettingError("--linear-light: needs --background; add it, or drop --linear-light")
    band = options.band_of(inside, outside, unit, objects, with_trimap=trimap is not None)
    check_output(target, (image, trimap, mask, background), overwrite=overwrite, as_json=as_json)
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
        if trimap is None and mask is None and photo.alpha is None:
            raise SettingError(f"{photo.name}: which part is the subject? Give a trimap or --mask")
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
            **band,
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
        console.say_json({"output": target, "kind": kind, **_facts(matte, seconds)})
    elif target != PIPE:
        height, width = matte.photo.size
        place = [str(matte.crop)] if matte.crop else []
        facts = (
            f"{width}×{height}",
            *place,
            f"{seconds:.1f} s",
            _kept_in_words(matte),
            *_memory(matte),
        )
        console.say(f"{target}: {', '.join(facts)}")


def trimap(
    *,
    mask: Annotated[
        str, typer.Argument(metavar="MASK", help="A rough mask, white on black; - reads a pipe.")
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="Output file for the trimap; - writes PNG to a pipe."),
    ],
    from_alpha: Annotated[
        bool,
        typer.Option(
            "--from-alpha",
            help="The input is a finished alpha matte: its semitransparent pixels become unknown,"
            " widened by --outside pixels (default 5).",
        ),
    ] = False,
    objects: options.Object = None,
    inside: options.Inside = None,
    outside: options.Outside = None,
    unit: options.Unit = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            "--mask-layer",
            metavar="NAME",
            help="The layer or channel of an EXR.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a trimap from a rough mask: a band along its edge becomes unknown.

    Look at it before you cut: all hair must be inside the grey band or the white.

    \b
    Example:
      mematte trimap mask.png -o trimap.png --inside 10 --outside 40 --unit px
    """
    if from_alpha and inside is not None:
        raise SettingError("--inside: does not apply to --from-alpha; use --outside")
    if from_alpha and objects is not None:
        raise SettingError("--object: does not apply to --from-alpha; drop it")
    if from_alpha and unit not in (None, "px"):
        raise SettingError(f"--unit {unit}: with --from-alpha, --outside is in pixels; drop --unit")
    check_output(output, (mask,), overwrite=overwrite, as_json=as_json)
    from ..trimap.trimap import WIDENED, from_alpha as trimap_from_alpha, from_mask

    source = inputs.read_source(mask, layer)
    if from_alpha:
        made = trimap_from_alpha(source, width=WIDENED if outside is None else outside)
    else:
        band = options.band_of(inside, outside, unit, objects, with_trimap=False)
        made = from_mask(source, **{k: value for k, value in band.items() if value is not None})
    write_array(made, output, overwrite=overwrite)
    shares = {
        name: float((made == value).mean())
        for name, value in (("background", 0), ("unknown", 128), ("foreground", 255))
    }
    height, width = made.shape
    if as_json:
        facts = {"output": output, "width": width, "height": height, **shares}
        console.say_json({**facts, "warnings": console.warned})
    elif output != PIPE:
        words = ", ".join(f"{share:.1%} {name}" for name, share in shares.items())
        console.say(f"{output}: {width}×{height}, {words}")


def routing(
    *,
    image: inputs.Image,
    trimap: inputs.Trimap = None,
    mask: inputs.Mask = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="Output file; - writes PNG to a pipe. Default: photo_routing.png.",
        ),
    ] = "",
    objects: options.Object = None,
    inside: options.Inside = None,
    outside: options.Outside = None,
    unit: options.Unit = None,
    layer: options.Layer = None,
    mask_layer: options.GuideLayer = None,
    model: options.Model = options.DEFAULT_MODEL,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    retention: options.RetentionText = "auto",
    memory_budget: options.MemoryBudget = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Show which parts of a photo get full attention.

    One panel for each routed block: tinted squares went through global attention, dark ones took
    the shortcut.

    \b
    Example:
      mematte routing photo.jpg trimap.png -o routing.png
    """
    start = perf_counter()
    target = output or _target(image, None, "routing")
    kept = options.retention_of(retention)
    budget = options.budget_of(memory_budget)
    inputs.check(image, trimap, mask, mask_layer)
    if trimap is None and mask is None:
        raise SettingError("routing: give a trimap or --mask")
    band = options.band_of(inside, outside, unit, objects, with_trimap=trimap is not None)
    check_output(target, (image, trimap, mask), overwrite=overwrite, as_json=as_json)
    import_torch()
    from ..pipeline import cut as library_cut, ready_pipeline
    from ..show.overlays import routing_sheet

    with console.progress() as report:
        photo = inputs.read_photo(image, layer)
        pipeline = ready_pipeline(model, device=device, dtype=dtype, progress=report)
        config = pipeline.network.config
        if not config.routed:
            raise SettingError(
                f"--model {model}: has no router and sends everything through attention; use a"
                " MEMatte model"
            )
        matte = library_cut(
            photo,
            inputs.read_source(trimap, mask_layer),
            mask=inputs.read_source(mask, mask_layer),
            **band,
            model=model,
            device=device,
            dtype=dtype,
            retention=kept,
            memory_budget=budget,
            progress=report,
        )
        if not matte.routing:
            raise InputError(
                f"{photo.name}: the trimap leaves nothing unknown, so nothing is computed; give one"
                " with grey areas"
            )
        captions = [
            f"block {number + 1}: {keep.mean():.0%} kept"
            for number, keep in zip(config.global_blocks, matte.routing, strict=True)
        ]
        sheet = routing_sheet(photo.for_network(), matte.routing, captions, patch=config.patch_size)
        profile = None if photo.to_display else photo.icc_profile
        write_array(sheet, target, overwrite=overwrite, icc_profile=profile)
    seconds = perf_counter() - start
    if as_json:
        console.say_json({"output": target, **_facts(matte, seconds)})
    elif target != PIPE:
        facts = (*captions, f"{seconds:.1f} s", *_memory(matte))
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


def _target(image: str, output: str | None, kind: str) -> str:
    """Default: the pipe for a photo from the pipe, else a file next to the photo."""
    if output is not None:
        return output
    if image == PIPE:
        return PIPE
    path = Path(image)
    return str(path.with_name(f"{path.stem}_{kind}.png")) if path.name else image


# ---- summary --------------------------------------------------------------------------------


def _facts(matte: Matte, seconds: float) -> dict[str, Any]:
    return {**matte.facts(), "seconds": round(seconds, 3), "warnings": console.warned}


def _kept_in_words(matte: Matte) -> str:
    if matte.routing:
        share = sum(float(keep.mean()) for keep in matte.routing) / len(matte.routing)
        return f"{share:.0%} of the tokens kept"
    if (matte.trimap == 0.5).any():
        return "all tokens kept"
    return "nothing was unknown, the trimap is the alpha"


def _memory(matte: Matte) -> list[str]:
    """The peak, if memory was short."""
    plan = matte.plan
    if plan is None or not (plan.lost or plan.ran_out):
        return []
    peak = plan.predicted_peak if plan.measured_peak is None else plan.measured_peak
    fallen = f" after running out {plan.ran_out} times" if plan.ran_out else ""
    return [f"memory was short: peak {show_bytes(peak)}{fallen}"]
