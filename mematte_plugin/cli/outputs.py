"""Writing what a command has made: into a file or a pipe, checked before the work begins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
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
    from ..images.encode import FORMATS, check_writable

    if os.path.isdir(target):
        raise OutputError(f"{target}: is a folder; name a file in it")
    for name in inputs:
        if name is not None and name != PIPE and not overwrite and _same_file(target, name):
            raise OutputError(
                f"{target}: is the input itself; choose another name, or pass --overwrite"
            )
    try:
        check_writable(target, overwrite=overwrite)
    except OutputError as error:
        if Path(target).suffix.lower() not in FORMATS:
            raise SettingError(str(error)) from None
        raise


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def rehearse(
    pixel: np.ndarray,
    target: str,
    kind: Kind,
    background: Any,
    bits: int | None,
    *,
    quality: int | None = None,
    premultiplied: bool | None = None,
) -> None:
    """The last steps on a single pixel: what cannot work fails now and not after minutes.

    Raises SettingError for a format that cannot hold the picture or the depth.
    """
    import numpy as np

    from ..errors import collect_notes
    from ..images.photo import Photo
    from ..matte import Matte

    one = np.ones((1, 1), np.float32)
    matte = Matte(alpha=one, photo=Photo(pixel), trimap=one)
    suffix = ".png" if target == PIPE else Path(target).suffix
    try:
        with _temporary_file(target, suffix) as path, collect_notes():
            write_matte(
                matte,
                str(path),
                kind,
                background=background,
                bits=bits,
                quality=quality,
                premultiplied=premultiplied,
            )
    except OutputError as error:
        if error.__cause__ is None:  # not the disk's fault
            raise SettingError(str(error)) from None
        if target == PIPE:  # a file does without the temporary folder
            raise


def write_matte(
    matte: Matte,
    target: str,
    kind: Kind,
    *,
    background: Any,
    bits: int | None,
    quality: int | None,
    overwrite: bool = False,
    linear_light: bool = False,
    premultiplied: bool | None = None,
) -> None:
    """Write a matte as the user wants it, to a file or into the pipe."""
    if target == PIPE:
        _through_file(
            lambda path: write_matte(
                matte,
                path,
                kind,
                background=background,
                bits=bits,
                quality=quality,
                linear_light=linear_light,
                premultiplied=premultiplied,
            )
        )
    elif kind != "composite":
        matte.save(
            target,
            kind=kind,
            bits=bits,
            quality=quality,
            overwrite=overwrite,
            premultiplied=premultiplied,
        )
    else:
        array = matte.composite_array(background, linear_light=linear_light)
        _write_composite(
            matte,
            array,
            target,
            bits=bits,
            quality=quality,
            overwrite=overwrite,
            premultiplied=premultiplied,
        )


def _write_composite(
    matte: Matte,
    array: np.ndarray,
    target: str,
    *,
    bits: int | None,
    quality: int | None,
    overwrite: bool,
    premultiplied: bool | None,
) -> None:
    """In the photo's own depth, where the format has it and nothing else is asked for."""
    from ..images.encode import FORMATS, write_image
    from ..images.photo import warn_if_clipped
    from ..show.composite import over_white

    photo, fmt = matte.photo, FORMATS[Path(target).suffix.lower()]
    if fmt == "jpeg":
        array = over_white(array, target)
    if bits is None:
        depth = photo.bits
        own = {"png": min(depth, 16), "tiff": depth, "exr": 16 if depth == 8 else 32}
        bits = own.get(fmt)
    if fmt != "exr" and bits != 32:
        warn_if_clipped(float(array[..., :3].max()), photo.name)
    way = photo.filed(light=fmt == "exr")
    array[..., :3] = way.convert(array[..., :3])
    write_image(
        target,
        array,
        icc_profile=way.icc_profile,
        primaries=way.primaries,
        dpi=photo.dpi,
        bits=bits,
        crop=matte.crop,
        quality=quality,
        overwrite=overwrite,
        premultiplied=premultiplied,
    )


def write_array(
    array: np.ndarray, target: str, *, overwrite: bool, icc_profile: bytes | None = None
) -> None:
    """Write a display-encoded picture to a file or into the pipe."""
    if target == PIPE:
        _through_file(
            lambda path: write_array(array, path, overwrite=False, icc_profile=icc_profile)
        )
        return
    from ..images.arrays import srgb_to_linear, to_unit
    from ..images.encode import write_image

    if target.lower().endswith(".exr") and array.ndim == 3:
        array = srgb_to_linear(to_unit(array))
    write_image(target, array, overwrite=overwrite, icc_profile=icc_profile)


def _through_file(write: Callable[[str], None]) -> None:
    """Into the pipe only what is complete."""
    with _temporary_file(PIPE, ".png") as path:
        write(str(path))
        console.write_stdout(path)


@contextlib.contextmanager
def _temporary_file(target: str, suffix: str) -> Iterator[Path]:
    """A path that stands for the target for a while; errors name the target."""
    import tempfile

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"picture{suffix}"
            name = f"stdout (through {path.parent.parent})" if target == PIPE else target
            try:
                yield path
            except OutputError as error:
                raise OutputError(str(error).replace(str(path), name)) from error.__cause__
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"stdout: no temporary file can be made ({error.strerror or error}); point TMPDIR at"
            " another folder"
        ) from error
