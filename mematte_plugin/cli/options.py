"""The options that several commands share, and what their text stands for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SettingError

if TYPE_CHECKING:
    from ..retention import Retention

DEFAULT_MODEL = "mematte-tiny"

Model = Annotated[
    str,
    typer.Option(
        help="The network: a name from `mematte models list`, a Hugging Face id (owner/name), or"
        " the path of a checkpoint or its folder.",
    ),
]
Device = Annotated[str, typer.Option(help="Where it is computed: auto, cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[
    str,
    typer.Option(
        help="Precision: auto, float32, float16 or bfloat16. The last two need about half the"
        " memory."
    ),
]
RetentionText = Annotated[
    str,
    typer.Option(
        "--retention",
        metavar="auto|SHARE|TOKENS",
        help="How much of the picture may take the exact but memory-hungry path: auto lets the"
        " network decide; 0.25 allows at most a quarter of the tokens (squares of 16 pixels) in"
        " each block, 4096 at most so many.",
    ),
]
MemoryBudget = Annotated[
    str | None,
    typer.Option(
        "--memory-budget",
        "--budget",
        metavar="BYTES|4GB|1.5GiB",
        help="How much memory the computation may take, besides the program and the weights; on a"
        " GPU, of its memory. Default: what is free, less headroom.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that exist, even an input.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for other programs.")]
Object = Annotated[
    str | None,
    typer.Option(
        "--object",
        metavar="ID,ID,…",
        help="Of a mask that numbers objects (a label map), those that are the subject, as in 1,3;"
        " of one that colours them, '#ff0000'.",
    ),
]
Inside = Annotated[
    float | None,
    typer.Option(
        help="With a mask: how far the uncertain band reaches into the subject. Default 2 %."
    ),
]
Outside = Annotated[
    float | None,
    typer.Option(
        help="With a mask: how far the uncertain band reaches outward; wide enough for the longest"
        " hair. Default 4 %."
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(
        metavar="%|px",
        help="What --inside and --outside are measured in: % of the subject's size (default), or"
        " pixels.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        help="Depth per channel: PNG 8 or 16, TIFF also 32, EXR 16 or 32. Default: the photo's own."
    ),
]

Layer = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="NAME",
        help="Of an EXR photo of several layers or parts, the one to cut.",
    ),
]
GuideLayer = Annotated[
    str | None,
    typer.Option(
        "--mask-layer",
        "--trimap-layer",
        metavar="NAME",
        help="Of an EXR mask or trimap of several layers or parts, the layer or channel to take.",
    ),
]
InputSpace = Annotated[
    str | None,
    typer.Option(
        metavar="SPACE",
        help="What the photo's colours are, whatever its file says: srgb, display-p3, adobe-rgb,"
        " rec2020, or scene-linear light: linear-srgb, linear-p3, linear-rec2020, acescg,"
        " aces2065-1.",
    ),
]
LinearLight = Annotated[
    bool,
    typer.Option(
        "--linear-light",
        help="With --background: blend light itself, as lenses do, instead of the photo's"
        " encoding, as image editors do.",
    ),
]
Premultiplied = Annotated[
    bool | None,
    typer.Option(
        "--premultiplied/--straight",
        help="Colours times alpha, or straight, in EXR and TIFF. Default: EXR premultiplied, the"
        " others straight.",
        show_default=False,
    ),
]


def retention_of(text: str) -> Retention:
    """--retention as the library takes it. Raises SettingError for what is no number at all."""
    if text == "auto":
        return "auto"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SettingError(
            f"--retention {text}: give auto, a share of tokens from 0 to 1, or a number of tokens"
        )
    return int(number) if number == int(number) else number


def budget_of(text: str | None) -> int | None:
    """--memory-budget in bytes. Raises SettingError for what is no amount of memory."""
    if text is None:
        return None
    from ..memory.units import parse_bytes

    return parse_bytes(text)


def unit_of(text: str | None) -> Any:
    """--unit as the library takes, and checks, it."""
    return "%" if text is None else text


def refuse_band(
    inside: float | None, outside: float | None, unit: str | None, objects: str | None = None
) -> None:
    """Raises SettingError for what is for masks beside a trimap, which would change nothing."""
    if objects is not None:
        raise SettingError("--object: is for masks, and a trimap is given; leave it out")
    for option, value in (("--inside", inside), ("--outside", outside), ("--unit", unit)):
        if value is not None:
            raise SettingError(
                f"{option}: is for masks, a trimap has its uncertain band already; leave it out"
            )
