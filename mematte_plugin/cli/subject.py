"""`mematte subject`: what is taken for the subject of a photo."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from . import console, guides, inputs, options
from .console import PIPE
from .outputs import check_output, write_array
from .signals import import_torch


def subject(
    *,
    image: inputs.Image,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Output file for the mask; - writes PNG to a pipe. Default: photo_mask.png.",
        ),
    ] = None,
    points: guides.Points = None,
    outside: guides.NotPoints = None,
    box: guides.BoxText = None,
    words: guides.Words = None,
    subject_model: guides.SubjectModel = None,
    layer: options.Layer = None,
    input_space: options.InputSpace = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Find the subject of a photo and write it as a soft mask, white on black.

    Look at it before you cut: `mematte cut` takes the same options. Needs the extra `subject`.

    \b
    Examples:
      mematte subject photo.jpg -o mask.png
      mematte subject photo.jpg --point 420,310 --not 500,80
      mematte subject photo.jpg --subject 'the dog'
    """
    start = perf_counter()
    path = Path(image)
    target = output or (PIPE if image == PIPE else str(path.with_name(f"{path.stem}_mask.png")))
    places = guides.places_of(points, outside, box, words)
    check_output(target, (image,), overwrite=overwrite, as_json=as_json)
    import_torch()
    from ..images.arrays import to_steps
    from ..subject.find import find_subject

    with console.progress() as report:
        photo = inputs.read_photo(image, layer, input_space)
        inside, around = places.in_photo(photo.size)
        found = find_subject(
            photo,
            points=inside,
            box=around,
            text=words,
            model=subject_model,
            device=device,
            progress=report,
        )
        report(0, 0, "writing")
        write_array(to_steps(found.mask, 8), target, overwrite=overwrite)
    seconds = perf_counter() - start
    height, width = photo.size
    if as_json:
        facts = {"output": target, "width": width, "height": height, **found.facts()}
        console.say_json({**facts, "seconds": round(seconds, 3), "warnings": console.warned})
    elif target != PIPE:
        facts_in_words = (
            f"{width}×{height}",
            f"{found.native.mean():.0%} of the picture",
            *guides.subject_in_words(found),
            f"{seconds:.1f} s",
        )
        console.say(f"{target}: {', '.join(facts_in_words)}")
