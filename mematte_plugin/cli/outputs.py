"""Writing a command's picture to a file or a pipe, checked before the work begins."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..errors import OutputError, SettingError
from . import console
from .console import PIPE

if TYPE_CHECKING:
    import numpy as np

    from ..matte import Matte

Kind: TypeAlias = Literal["cutout", "alpha", "composite"]


@dataclass(frozen=True)
class Output:
    """What `mematte cut` writes, and where."""

    target: str
    """A path, or PIPE."""
    kind: Kind
    background: Any = None
    """Of a composite: a colour or a Photo."""
    bits: int | None = None
    quality: int | None = None
    overwrite: bool = False
    linear_light: bool = False
    premultiplied: bool | None = None

    def write(self, matte: Matte) -> None:
        """Write the matte to the file or the pipe."""
        with _file_for(self.target) as path:
            if self.kind == "composite":
                self._write_composite(matte, path)
            else:
                matte.save(
                    path,
                    kind=self.kind,
                    bits=self.bits,
                    quality=self.quality,
                    overwrite=self.overwrite,
                    premultiplied=self.premultiplied,
                )

    def rehearse(self, pixel: np.ndarray) -> None:
        """Write a matte of one pixel (1, 1, 3), to fail before the expensive work.

        Raises SettingError if the format cannot hold the picture or the depth.
        """
        import numpy as np

        from ..errors import collect_notes
        from ..images.photo import Photo
        from ..matte import Matte

        one = np.ones((1, 1), np.float32)
        matte = Matte(alpha=one, photo=Photo(pixel), trimap=one)
        suffix = ".png" if self.target == PIPE else Path(self.target).suffix
        try:
            with _temporary_file(self.target, suffix) as path, collect_notes():
                replace(self, target=path).write(matte)
        except OutputError as error:
            if error.__cause__ is None:  # not the disk's fault
                raise SettingError(str(error)) from None
            if self.target == PIPE:  # a file needs no temporary folder
                raise

    def _write_composite(self, matte: Matte, path: str) -> None:
        """In the photo's own depth, if the format has it and no other is asked for."""
        from ..images.encode import FORMATS, write_image
        from ..images.photo import warn_if_clipped
        from ..show.composite import over_white

        array = matte.composite_array(self.background, linear_light=self.linear_light)
        photo, fmt, bits = matte.photo, FORMATS[Path(path).suffix.lower()], self.bits
        if fmt == "jpeg":
            array = over_white(array, path)
        if bits is None:
            depth = photo.bits
            own = {"png": min(depth, 16), "tiff": depth, "exr": 16 if depth == 8 else 32}
            bits = own.get(fmt)
        if fmt != "exr" and bits != 32:
            warn_if_clipped(float(array[..., :3].max()), photo.name)
        way = photo.filed(light=fmt == "exr")
        array[..., :3] = way.convert(array[..., :3])
        write_image(
            path,
            array,
            icc_profile=way.icc_profile,
            primaries=way.primaries,
            dpi=photo.dpi,
            bits=bits,
            crop=matte.crop,
            quality=self.quality,
            overwrite=self.overwrite,
            premultiplied=self.premultiplied,
        )


def write_array(
    array: np.ndarray, target: str, *, overwrite: bool, icc_profile: bytes | None = None
) -> None:
    """Write a display-encoded picture to a file or the pipe."""
    from ..images.arrays import srgb_to_linear, to_unit
    from ..images.encode import write_image

    if target.lower().endswith(".exr") and array.ndim == 3:
        array = srgb_to_linear(to_unit(array))
    with _file_for(target) as path:
        write_image(path, array, overwrite=overwrite, icc_profile=icc_profile)


def check_output(
    target: str, inputs: tuple[str | None, ...], *, overwrite: bool, as_json: bool
) -> None:
    """Fail before the expensive work if the target cannot be written or is one of the inputs."""
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


@contextlib.contextmanager
def _file_for(target: str) -> Iterator[str]:
    """The path to write to. For the pipe: a temporary file, copied there once it is complete."""
    if target != PIPE:
        yield target
        return
    with _temporary_file(PIPE, ".png") as path:
        yield path
        console.write_stdout(Path(path))


@contextlib.contextmanager
def _temporary_file(target: str, suffix: str) -> Iterator[str]:
    """A temporary path in place of the target; errors name the target."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / f"picture{suffix}")
            name = f"stdout (through {Path(folder).parent})" if target == PIPE else target
            try:
                yield path
            except OutputError as error:
                raise OutputError(str(error).replace(path, name)) from error.__cause__
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"stdout: cannot create a temporary file ({error.strerror or error}); point TMPDIR at"
            " another folder"
        ) from error
