"""`mematte trimap` and `mematte routing`: one picture each."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer
import typer.core

from ..errors import InputError, SettingError
from . import console, inputs, options
from .console import PIPE
from .cut import facts_of, memory_in_words, target_of
from .outputs import check_output, write_array
from .signals import import_torch

if TYPE_CHECKING:
    pass


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
    soft: Annotated[
        bool,
        typer.Option(
            "--soft",
            help="The input is a soft mask: the band is wide where it is unsure, narrow where it is"
            " crisp, and specks go.",
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
    if from_alpha and soft:
        raise SettingError("--soft and --from-alpha: choose one of them")
    if soft and objects is not None:
        raise SettingError("--object: does not apply to --soft; drop it")
    if from_alpha and inside is not None:
        raise SettingError("--inside: does not apply to --from-alpha; use --outside")
    if from_alpha and objects is not None:
        raise SettingError("--object: does not apply to --from-alpha; drop it")
    if from_alpha and unit not in (None, "px"):
        raise SettingError(f"--unit {unit}: with --from-alpha, --outside is in pixels; drop --unit")
    check_output(output, (mask,), overwrite=overwrite, as_json=as_json)
    from ..trimap.soft import from_soft
    from ..trimap.trimap import WIDENED, from_alpha as trimap_from_alpha, from_mask

    source = inputs.read_source(mask, layer)
    if from_alpha:
        made = trimap_from_alpha(source, width=WIDENED if outside is None else outside)
    else:
        band = options.band_of(inside, outside, unit, objects, with_trimap=False)
        make = from_soft if soft else from_mask
        made = make(source, **{k: value for k, value in band.items() if value is not None})
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
    target = output or target_of(image, None, "routing")
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
        console.say_json({"output": target, **facts_of(matte, seconds)})
    elif target != PIPE:
        facts = (*captions, f"{seconds:.1f} s", *memory_in_words(matte))
        console.say(f"{target}: {', '.join(facts)}")
