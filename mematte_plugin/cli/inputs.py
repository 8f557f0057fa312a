"""The photo, trimap and mask of a command: its arguments, checked and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SettingError
from . import console
from .console import PIPE

if TYPE_CHECKING:
    from ..images.photo import Photo

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="The photo; - reads it from a pipe.")]
Trimap = Annotated[
    str | None,
    typer.Argument(
        metavar="TRIMAP",
        help="A picture of the same size: white is the subject, black the background, grey unknown"
        " (hair, fur, veils).",
        show_default=False,
    ),
]
Mask = Annotated[
    str | None,
    typer.Option(
        help="Instead of a trimap: a rough mask of the subject, white on black; an unknown band is"
        " added along its edge."
    ),
]

Alpha = Annotated[
    str | None,
    typer.Option(
        "--alpha",
        metavar="SOFT",
        help="Instead of a trimap: a soft mask or alpha of the subject from anywhere, of any"
        " resolution. The unknown band is wide where it is soft or coarse.",
    ),
]


def check(
    image: str,
    trimap: str | None,
    mask: str | None,
    mask_layer: str | None,
    *,
    alpha: str | None = None,
    prompts: dict[str, object] | None = None,
) -> None:
    """Raises SettingError for arguments that contradict each other.

    prompts: other guides by the names of their options; those that are empty are not given.
    """
    given = {"a trimap": trimap, "--mask": mask, "--alpha": alpha}
    names = [name for name, value in given.items() if value is not None]
    if mask_layer is not None and not names:
        raise SettingError(
            "--mask-layer: needs a trimap, a mask or an alpha; add one, or drop --mask-layer"
        )
    names += [name for name, value in (prompts or {}).items() if value]
    if len(names) > 1:
        raise SettingError(f"both {names[0]} and {names[1]} are given; drop one of them")
    if [image, trimap, mask, alpha].count(PIPE) > 1:
        raise SettingError("only one of photo, trimap, mask and alpha can be '-', the pipe")


def read_source(name: str | None, layer: str | None = None) -> Any:
    """A path, the bytes of the pipe, or one layer of either, as the library takes it."""
    source = console.read_stdin() if name == PIPE else name
    if layer is None or source is None:
        return source
    from ..images.read import Layer

    return Layer(source, layer)


def read_photo(name: str, layer: str | None, input_space: str | None = None) -> Photo:
    """The photo of a command, from a file or the pipe."""
    from ..images.read import read_photo as read

    return read(
        read_source(name, layer), name="stdin" if name == PIPE else None, input_space=input_space
    )
