"""`mematte cut`, `mematte trimap`, `mematte routing`: one picture each."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, SettingError
from ..memory.units import show_bytes
from . import console
from .console import PIPE
from .options import (
    DEFAULT_MODEL,
    AsJson,
    Bits,
    Choke,
    Colors,
    Crop,
    Despill,
    Device,
    Dtype,
    Feather,
    GuideLayer,
    InputSpace,
    Inside,
    Layer,
    Levels,
    LinearLight,
    Margin,
    MemoryBudget,
    Model,
    Object,
    Outside,
    Overwrite,
    Premultiplied,
    Quality,
    RetentionText,
    Unit,
    budget_of,
    edge_of,
    refuse_band,
    retention_of,
    unit_of,
)
from .outputs import Kind, check_output, rehearse, write_array, write_matte
from .signals import import_torch

if TYPE_CHECKING:
    from ..images.photo import Photo
    from ..matte import Matte

Image = Annotated[
    str, typer.Argument(metavar="IMAGE", help="The photograph; - reads it from a pipe.")
]
Trimap = Annotated[
    str | None,
    typer.Argument(
        metavar="TRIMAP",
        help="A picture of the same size: white where the subject is for sure, black where the"
        " background is, grey where it is to be found out (hair, fur, veils).",
        show_default=False,
    ),
]
Mask = Annotated[
    str | None,
    typer.Option(
        help="Instead of a trimap, a rough mask of the subject, white on black; along its edge an"
        " uncertain band is laid."
    ),
]


def cut(
    *,
    image: Image,
    trimap: Trimap = None,
    mask: Mask = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write: .png, .tif, .webp or .exr (a composite or an alpha also .jpg); -"
            " writes PNG into a pipe. Default: beside the photo, as photo_cutout.png.",
        ),
    ] = None,
    alpha: Annotated[
        bool,
        typer.Option(
            "--alpha",
            help="Write only the opacity, as a grey picture. So does a name ending in _alpha.",
        ),
    ] = False,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="COLOUR|IMAGE",
            help="Write the subject before this instead: white, '#20c0ff', 'rgba(0, 0, 0, 0.5)', or"
            " a picture. What is transparent in it stays so (in JPEG it becomes white).",
        ),
    ] = None,
    objects: Object = None,
    inside: Inside = None,
    outside: Outside = None,
    unit: Unit = None,
    layer: Layer = None,
    mask_layer: GuideLayer = None,
    levels: Levels = None,
    choke: Choke = 0.0,
    feather: Feather = 0.0,
    despill: Despill = "off",
    colors: Colors = "foreground",
    crop: Crop = False,
    margin: Margin = None,
    linear_light: LinearLight = False,
    input_space: InputSpace = None,
    premultiplied: Premultiplied = None,
    bits: Bits = None,
    quality: Quality = None,
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    dtype: Dtype = "auto",
    retention: RetentionText = "auto",
    memory_budget: MemoryBudget = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Cut the subject out of a photograph, with soft edges and clean colours.

    \b
    Examples:
      mematte cut photo.jpg trimap.png
      mematte cut photo.jpg --mask mask.png -o subject.tif
      mematte cut photo.jpg trimap.png --background white -o card.jpg
      mematte cut photo.jpg trimap.png --levels 0.05,0.95 --choke 0.5 --crop --margin 20
      cat photo.jpg | mematte cut - trimap.png -o - > cutout.png

    What is the subject is told by a trimap, by a rough mask, or by the photo's own transparency.
    """
    start = perf_counter()
    kind = _kind(output, alpha, background)
    target = _target(image, output, kind)
    kept = retention_of(retention)
    budget = budget_of(memory_budget)
    _check_inputs(image, trimap, mask, mask_layer)
    if linear_light and background is None:
        raise SettingError("--linear-light: is about a background; give --background, too")
    if trimap is not None:
        refuse_band(inside, outside, unit, objects)
    check_output(target, (image, trimap, mask, background), overwrite=overwrite, as_json=as_json)
    import_torch()
    from ..images.read import read_photo
    from ..pipeline import cut as library_cut
    from ..weights.load import resolve

    edge = edge_of(
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
        photo = _photo(image, input_space, layer)
        if trimap is None and mask is None and photo.alpha is None:
            raise SettingError(f"{photo.name}: which part is the subject? Give a trimap or --mask")
        behind: Any = background
        if background is not None and os.path.isfile(background):
            behind = read_photo(background, role="background")
        rehearse(
            photo.pixels[:1, :1],
            target,
            kind,
            behind,
            bits,
            quality=quality,
            premultiplied=premultiplied,
        )
        resolve(model, progress=report)
        matte = library_cut(
            photo,
            _source(trimap, mask_layer),
            mask=_source(mask, mask_layer),
            objects=objects,
            inside=inside,
            outside=outside,
            unit=unit_of(unit),
            model=model,
            device=device,
            dtype=dtype,
            retention=kept,
            memory_budget=budget,
            progress=report,
        ).with_edge(edge)
        report(0, 0, "colours" if kind != "alpha" else "writing")
        write_matte(
            matte,
            target,
            kind,
            background=behind,
            bits=bits,
            quality=quality,
            overwrite=overwrite,
            linear_light=linear_light,
            premultiplied=premultiplied,
        )
    seconds = perf_counter() - start
    if as_json:
        console.say_json({"output": target, "kind": kind, **_facts(matte, seconds)})
    elif target != PIPE:
        height, width = matte.photo.size
        place = [str(matte.crop)] if matte.crop else []
        size = [f"{width}×{height}", *place]
        facts = (*size, f"{seconds:.1f} s", _kept_in_words(matte), *_memory(matte))
        console.say(f"{target}: {', '.join(facts)}")


def trimap(
    *,
    mask: Annotated[
        str, typer.Argument(metavar="MASK", help="A rough mask, white on black; - reads a pipe.")
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="Where to write the trimap; - writes PNG into a pipe."),
    ],
    from_alpha: Annotated[
        bool,
        typer.Option(
            "--from-alpha",
            help="The input is a finished alpha matte: unknown becomes what is neither opaque nor"
            " transparent, widened by --outside pixels (default 5).",
        ),
    ] = False,
    objects: Object = None,
    inside: Inside = None,
    outside: Outside = None,
    unit: Unit = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            "--mask-layer",
            metavar="NAME",
            help="Of an EXR of several layers or parts, the layer or channel to take.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make a trimap from a rough mask: a band along its edge becomes unknown.

    Look at it before you cut: all hair must lie in the grey band or in the white.

    \b
    Example:
      mematte trimap mask.png -o trimap.png --inside 10 --outside 40 --unit px
    """
    if from_alpha and inside is not None:
        raise SettingError("--inside: has no meaning with --from-alpha; give --outside alone")
    if from_alpha and objects is not None:
        raise SettingError("--object: has no meaning with --from-alpha; leave it out")
    if from_alpha and unit not in (None, "px"):
        raise SettingError(f"--unit {unit}: with --from-alpha, --outside is in px; leave it out")
    check_output(output, (mask,), overwrite=overwrite, as_json=as_json)
    from ..trimap.trimap import (
        BAND_INSIDE,
        BAND_OUTSIDE,
        WIDENED,
        from_alpha as trimap_from_alpha,
        from_mask,
    )

    source = _source(mask, layer)
    if from_alpha:
        made = trimap_from_alpha(source, width=WIDENED if outside is None else outside)
    else:
        made = from_mask(
            source,
            objects=objects,
            inside=BAND_INSIDE if inside is None else inside,
            outside=BAND_OUTSIDE if outside is None else outside,
            unit=unit_of(unit),
        )
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
    image: Image,
    trimap: Trimap = None,
    mask: Mask = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Where to write; - writes PNG into a pipe.")
    ] = "",
    objects: Object = None,
    inside: Inside = None,
    outside: Outside = None,
    unit: Unit = None,
    layer: Layer = None,
    mask_layer: GuideLayer = None,
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    dtype: Dtype = "auto",
    retention: RetentionText = "auto",
    memory_budget: MemoryBudget = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Show which parts of a photograph the network computes exactly.

    One panel for each routed block: tinted squares went through global attention, dark ones took
    the short cut.

    \b
    Example:
      mematte routing photo.jpg trimap.png -o routing.png
    """
    start = perf_counter()
    target = output or _target(image, None, "routing")
    kept = retention_of(retention)
    budget = budget_of(memory_budget)
    _check_inputs(image, trimap, mask, mask_layer)
    if trimap is None and mask is None:
        raise SettingError("routing: give a trimap or --mask, one of the two")
    if trimap is not None:
        refuse_band(inside, outside, unit, objects)
    check_output(target, (image, trimap, mask), overwrite=overwrite, as_json=as_json)
    import_torch()
    from ..pipeline import MattingPipeline
    from ..show.overlays import routing_sheet
    from ..trimap.trimap import from_mask
    from ..weights.load import resolve

    with console.progress() as report:
        photo = _photo(image, layer=layer)
        guide = _source(trimap, mask_layer)
        if mask is not None:
            guide = from_mask(
                _source(mask, mask_layer),
                size=photo.size,
                objects=objects,
                inside=inside,
                outside=outside,
                unit=unit_of(unit),
            )
        resolve(model, progress=report)
        pipeline = MattingPipeline.from_pretrained(model, device=device, dtype=dtype)
        config = pipeline.network.config
        if not config.routed:
            raise SettingError(
                f"--model {model}: has no router, it computes everything exactly; use a MEMatte"
                " model"
            )
        matte = pipeline(photo, guide, retention=kept, memory_budget=budget, progress=report)
        if not matte.routing:
            raise InputError(
                f"{photo.name}: its trimap leaves nothing unknown, so that nothing is computed;"
                " give one with grey in it"
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


# ---- inputs --------------------------------------------------------------------------------------


def _source(name: str | None, layer: str | None = None) -> Any:
    source = console.read_stdin() if name == PIPE else name
    if layer is None or source is None:
        return source
    from ..images.read import Layer as OneLayer

    return OneLayer(source, layer)


def _photo(name: str, input_space: str | None = None, layer: str | None = None) -> Photo:
    from ..images.read import read_photo

    return read_photo(
        _source(name, layer), name="stdin" if name == PIPE else None, input_space=input_space
    )


def _check_inputs(
    image: str, trimap: str | None, mask: str | None, mask_layer: str | None = None
) -> None:
    if mask_layer is not None and trimap is None and mask is None:
        raise SettingError("--mask-layer: is about a trimap or a mask; give one, too")
    if trimap is not None and mask is not None:
        raise SettingError("both a trimap and --mask are given; leave one of them out")
    if [image, trimap, mask].count(PIPE) > 1:
        raise SettingError("only one of photo, trimap and mask can be '-', the pipe")


# ---- what and where ------------------------------------------------------------------------------


def _kind(output: str | None, alpha: bool, background: str | None) -> Kind:
    if alpha and background is not None:
        raise SettingError("--alpha and --background: choose one of them")
    if background is not None:
        return "composite"
    if alpha or (output is not None and Path(output).stem.lower().endswith("_alpha")):
        return "alpha"
    return "cutout"


def _target(image: str, output: str | None, kind: str) -> str:
    """Where to write: as told, else into the pipe or beside the photo."""
    if output is not None:
        return output
    if image == PIPE:
        return PIPE
    path = Path(image)
    return str(path.with_name(f"{path.stem}_{kind}.png")) if path.name else image


# ---- what is told --------------------------------------------------------------------------------


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
    """What it took, where that was not simply enough."""
    plan = matte.plan
    if plan is None or not (plan.lost or plan.ran_out):
        return []
    peak = plan.predicted_peak if plan.measured_peak is None else plan.measured_peak
    fallen = f" after running out {plan.ran_out} times" if plan.ran_out else ""
    return [f"memory was short: peak {show_bytes(peak)}{fallen}"]
