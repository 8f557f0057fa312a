"""Writing what a command has made: into a file or a pipe, checked before the work begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..errors import OutputError, SettingError
from . import console
from .console import PIPE

if TYPE_CHECKING:
    import numpy as np

    from ..matte import Matte

Kind: TypeAlias = Literal["cutout", "alpha", "composite"]


def check_output(
    target: str, inputs: tuple[str | None, ...], *, overwrite: bool, as_json: bool
) -> None:
    """Fail before the expensive work: what cannot be written, or would replace an input."""
    if target == PIPE:
        if as_json:
            raise SettingError("--json with -o -: stdout carries the picture; write it to a file")
        console.check_stdout()
        return
    from ..writing import check_writable

    if os.path.isdir(target):
        raise OutputError(f"{target}: is a folder; name a file in it")
    for name in inputs:
        if name is not None and name != PIPE and not overwrite and _same_file(target, name):
            raise OutputError(
                f"{target}: is the input itself; choose another name, or pass --overwrite"
            )
    check_writable(target, overwrite=overwrite)


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def rehearse(pixel: np.ndarray, target: str, kind: Kind, background: Any, bits: int | None) -> None:
    """The last steps on a single pixel: what cannot work fails now and not after minutes."""
    import tempfile

    import numpy as np

    from ..images import Photo
    from ..matte import Matte

    one = np.ones((1, 1), np.float32)
    matte = Matte(alpha=one, photo=Photo(pixel), trimap=one)
    suffix = ".png" if target == PIPE else Path(target).suffix
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"pixel{suffix}"
        try:
            write_matte(matte, str(path), kind, background=background, bits=bits)
        except OutputError as error:
            raise OutputError(str(error).replace(str(path), target)) from error


def write_matte(
    matte: Matte,
    target: str,
    kind: Kind,
    *,
    background: Any,
    bits: int | None,
    overwrite: bool = False,
) -> None:
    """Write a matte as the user wants it, to a file or into the pipe."""
    if target == PIPE:
        _through_file(lambda path: write_matte(matte, path, kind, background=background, bits=bits))
    elif kind != "composite":
        matte.save(target, kind=kind, bits=bits, overwrite=overwrite)
    else:
        import numpy as np

        composite = np.asarray(matte.composite(background))
        write_array(composite, target, photo=matte.photo, bits=bits, overwrite=overwrite)


def write_array(
    array: np.ndarray,
    target: str,
    *,
    overwrite: bool,
    photo: Any = None,
    bits: int | None = None,
) -> None:
    """Write a display-encoded picture to a file or into the pipe, with the photo's profile."""
    if target == PIPE:
        _through_file(
            lambda path: write_array(array, path, overwrite=False, photo=photo, bits=bits)
        )
        return
    from ..images import srgb_to_linear, to_unit
    from ..writing import write_image

    if target.lower().endswith(".exr") and array.ndim == 3:
        array = srgb_to_linear(to_unit(array))
    write_image(
        target,
        array,
        icc_profile=getattr(photo, "icc_profile", None),
        dpi=getattr(photo, "dpi", None),
        bits=bits,
        overwrite=overwrite,
    )


def _through_file(write: Any) -> None:
    """Into the pipe only what is complete."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        write(str(path))
        console.write_stdout(path)
