"""The options that several commands share, and how their text is parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SettingError
from ..memory.units import parse_bytes

if TYPE_CHECKING:
    from ..foreground.edges import Edge
    from ..memory.retention import Retention

DEFAULT_MODEL = "mematte-tiny"

Model = Annotated[
    str,
    typer.Option(
        help="The network: a name from `mematte models list`, a Hugging Face id (owner/name), or"
        " the path of a checkpoint or its folder.",
    ),
]
Device = Annotated[str, typer.Option(help="The device: auto, cpu, cuda, cuda:1, mps.")]
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
        help="How many tokens (squares of 16 pixels) may go through full attention, which is exact"
        " but needs memory: auto lets the network decide; 0.25 is at most a quarter of them in each"
        " block, 4096 at most this many.",
    ),
]
MemoryBudget = Annotated[
    str | None,
    typer.Option(
        "--memory-budget",
        "--budget",
        metavar="BYTES|4GB|1.5GiB",
        help="Memory for the computation, besides the program and the weights; on a GPU, of the"
        " GPU's memory. Default: the free memory less some headroom.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing files, even an input.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for other programs.")]
Object = Annotated[
    str | None,
    typer.Option(
        "--object",
        metavar="ID,ID,…",
        help="Which objects of a label map are the subject: numbers such as 1,3, or colours such as"
        " '#ff0000'.",
    ),
]
Inside = Annotated[
    float | None,
    typer.Option(
        help="With a mask: how far the unknown band reaches into the subject; less on thin parts,"
        " which keep a core. Default: 2 %."
    ),
]
Outside = Annotated[
    float | None,
    typer.Option(
        help="With a mask: how far the unknown band reaches outward; make it wide enough for the"
        " longest hair. Default: 4 %."
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(
        metavar="%|px",
        help="Unit of --inside and --outside: % of the subject's size (default) or pixels.",
    ),
]
Islands = Annotated[
    float | None,
    typer.Option(
        metavar="SIZE",
        help="With a soft or found mask: separate parts up to this size are left out, in --unit."
        " Default: 2 %; 0 keeps all.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        help="Bits per channel: PNG 8 or 16, TIFF also 32, EXR 16 or 32. Default: as the photo."
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        help="Quality of JPEG and WebP, 1 to 100. Default: 95; WebP cut-outs are lossless."
    ),
]
Levels = Annotated[
    str | None,
    typer.Option(
        metavar="BLACK,WHITE",
        help="Opacity up to BLACK becomes 0 and from WHITE up 1: 0.05,0.95 removes haze from empty"
        " areas.",
        show_default=False,
    ),
]
Choke = Annotated[
    float,
    typer.Option(
        metavar="PIXELS",
        help="Move the edge inward by this many pixels; fractions are allowed, negative numbers"
        " move it outward.",
    ),
]
Feather = Annotated[
    float,
    typer.Option(metavar="PIXELS", help="Blur the edge by a Gaussian of this many pixels."),
]
Despill = Annotated[
    str,
    typer.Option(
        metavar="auto|COLOUR|off",
        help="Remove a screen's colour from the edge: auto finds a green, blue or red screen in the"
        " known background, green or '#00b140' names it.",
    ),
]
Colors = Annotated[
    str,
    typer.Option(
        metavar="foreground|photo",
        help="Colours of the cut-out: the subject's own, or the photo's pixels unchanged, even"
        " where nothing is opaque.",
    ),
]
Crop = Annotated[
    bool,
    typer.Option(
        "--crop",
        help="Write only the box around the subject; the file records its place in the photo.",
    ),
]
Margin = Annotated[
    int | None,
    typer.Option(metavar="PIXELS", help="With --crop: pixels to keep around the subject."),
]


def edge_of(
    *,
    levels: str | None,
    choke: float,
    feather: float,
    despill: str,
    colors: str,
    crop: bool,
    margin: int | None,
    alpha_only: bool,
) -> Edge:
    """The options that shape the edge, as the library takes them.

    Raises SettingError for values out of range, and for colour options with an alpha.
    """
    from ..foreground.edges import Edge

    pair: Any = None
    if levels is not None:
        try:
            pair = tuple(float(part) for part in levels.split(","))
        except ValueError:
            pair = ()
        if len(pair) != 2:
            raise SettingError(
                f"--levels {levels}: give two numbers from 0 to 1, such as 0.05,0.95"
            )
    if margin is not None and not crop:
        raise SettingError("--margin: needs --crop; add it, or drop --margin")
    if alpha_only and (despill != "off" or colors != "foreground"):
        option = "--despill" if despill != "off" else "--colors"
        raise SettingError(f"{option}: changes colours, but an alpha has none; drop it")
    chosen: Any = colors
    return Edge(pair, choke, feather, despill, chosen, crop, margin or 0)


Layer = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="NAME",
        help="The layer or part of an EXR photo to cut.",
    ),
]
GuideLayer = Annotated[
    str | None,
    typer.Option(
        "--mask-layer",
        "--trimap-layer",
        metavar="NAME",
        help="The layer or channel of an EXR mask or trimap.",
    ),
]
InputSpace = Annotated[
    str | None,
    typer.Option(
        metavar="SPACE",
        help="The photo's colour space, overriding its file: srgb, display-p3, adobe-rgb, rec2020,"
        " or scene-linear: linear-srgb, linear-p3, linear-rec2020, acescg, aces2065-1.",
    ),
]
LinearLight = Annotated[
    bool,
    typer.Option(
        "--linear-light",
        help="With --background: blend light, as lenses do, instead of encoded values, as image"
        " editors do.",
    ),
]
Premultiplied = Annotated[
    bool | None,
    typer.Option(
        "--premultiplied/--straight",
        help="Alpha in EXR and TIFF. Default: premultiplied in EXR, straight in TIFF.",
        show_default=False,
    ),
]


def retention_of(text: str) -> Retention:
    """--retention as the library takes it. Raises SettingError unless it is auto or a number."""
    if text == "auto":
        return "auto"
    try:
        number = float(text)
        return int(number) if number == int(number) else number
    except (ValueError, OverflowError):  # the latter: infinite
        raise SettingError(
            f"--retention {text}: give auto, a share of tokens from 0 to 1, or a number of tokens"
        ) from None


def budget_of(text: str | None) -> int | None:
    """--memory-budget in bytes. Raises SettingError unless it is an amount of memory."""
    return None if text is None else parse_bytes(text)


def check_islands(islands: float | None, guide: str | None) -> None:
    """Raises SettingError if --islands is given with a trimap or a mask, by its option's name."""
    if islands is not None and guide is not None:
        raise SettingError(f"--islands: applies to soft masks only; drop it or {guide}")


def band_of(
    inside: float | None,
    outside: float | None,
    unit: str | None,
    objects: str | None,
    *,
    with_trimap: bool,
) -> dict[str, Any]:
    """--inside, --outside, --unit and --object as the library's arguments, which it checks.

    Raises SettingError if one of them is given with a trimap.
    """
    given = {"--inside": inside, "--outside": outside, "--unit": unit, "--object": objects}
    for option, value in given.items():
        if with_trimap and value is not None:
            raise SettingError(f"{option}: applies to masks only; drop it when passing a trimap")
    return {"inside": inside, "outside": outside, "unit": unit or "%", "objects": objects}
