"""Writing results: whole files or none."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import OutputError, SettingError
from .colour_spaces import Primaries
from .crops import Crop
from .encode import Job, encode, fitting_icc, openexr
from .files import atomic_write, check_file, open_device, os_error, path_name

FORMATS: dict[str, str] = {
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
    ".exr": "exr",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
}
"""The suffixes that can be written, and their formats."""


def write_image(
    target: str | os.PathLike[str] | BinaryIO,
    array: np.ndarray,
    *,
    icc_profile: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    bits: int | None = None,
    crop: Crop | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    fmt: str | None = None,
    primaries: Primaries | None = None,
    premultiplied: bool | None = None,
) -> None:
    """Write an image file, all of it or nothing.

    target: a path, whose suffix chooses the format (`FORMATS`), or a binary file, which needs fmt.
    array: (H, W), (H, W, 3) or (H, W, 4) with straight alpha; float in [0, 1], uint8 or uint16.
        Values are rounded to the nearest step. EXR wants linear light and stores the colours
        premultiplied, as its readers expect; every other format stores them straight.
    icc_profile: an RGB profile; left out of grey pictures and of EXR, which cannot hold it.
    dpi: dots per inch, (horizontal, vertical).
    bits: PNG 8 or 16; TIFF 8, 16 or 32 (float); EXR 16 (half) or 32; WebP and JPEG 8. Default: the
        array's own depth, of float arrays 16 for PNG and 32 for TIFF and EXR.
    crop: where this lay in a larger picture, for the file's metadata: PNG's oFFs, TIFF's and EXIF's
        XPosition and YPosition, EXR's data window inside the display window.
    quality: of JPEG and WebP, 1 to 100. Default: 95, for a WebP with alpha nothing is lost.
    overwrite: replace an existing file; until the new one is complete the old one stays.
    primaries: what the light of an EXR is, which it says as `chromaticities`; None for Rec. 709.
    premultiplied: colours times alpha (default for EXR), or straight (default elsewhere). TIFF says
        which it is, EXR if they are straight (`oiio:UnassociatedAlpha`); PNG and WebP cannot hold
        premultiplied ones.

    Raises OutputError: the file exists, its folder does not, the suffix is unknown, the format
    cannot hold alpha, depth or size, has no quality, or the disk is full. Raises SettingError for a
    quality out of its range.
    """
    check_quality(quality)
    icc = fitting_icc(icc_profile, array)
    job = (bits, icc, dpi, primaries, premultiplied, crop, quality)
    if not isinstance(target, str | os.PathLike) and hasattr(target, "write"):
        name = "the output"
        _through_temporary(target, name, _format(name, fmt), array, job)
        return
    name = path_name(target)
    check_writable(name, overwrite=overwrite, fmt=fmt)
    chosen = _format(name, fmt)
    path = Path(os.path.realpath(name))  # write through a symbolic link, do not replace it
    if path.exists() and not path.is_file():  # a device or pipe cannot be replaced
        with open_device(path, name) as file:
            _through_temporary(file, name, chosen, array, job)
        return
    with atomic_write(path, name) as temporary:
        encode(chosen, array, Job(temporary, name, *job))


def check_writable(
    target: str | os.PathLike[str], *, overwrite: bool = False, fmt: str | None = None
) -> None:
    """Fail before the expensive work rather than after it.

    Raises OutputError as `write_image` would for this path; a full disk cannot be foreseen.
    """
    name = path_name(target)
    chosen = None if os.path.isdir(name) else _format(name, fmt)  # a folder is told as such
    check_file(name, overwrite=overwrite)
    if chosen == "exr":
        openexr(name)


def check_quality(quality: int | None) -> None:
    """Raises SettingError for what is no quality of JPEG and WebP."""
    if quality is None:
        return
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise SettingError(f"quality {quality!r}: give a whole number from 1 to 100")


def _format(name: str, fmt: str | None) -> str:
    if fmt is not None:
        chosen = FORMATS.get("." + fmt.lower().lstrip("."), fmt.lower())
        if chosen in FORMATS.values():
            return chosen
        raise OutputError(f"{name}: unknown format {fmt!r}; use one of {', '.join(FORMATS)}")
    suffix = Path(name).suffix
    if suffix.lower() in FORMATS:
        return FORMATS[suffix.lower()]
    what = f"unknown suffix {suffix!r}" if suffix else "no suffix to choose the format by"
    raise OutputError(f"{name}: {what}; use one of {', '.join(FORMATS)}")


def _through_temporary(
    file: BinaryIO, name: str, fmt: str, array: np.ndarray, job: tuple[Any, ...]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "output"
        try:
            encode(fmt, array, Job(path, name, *job))
            with path.open("rb") as done:
                shutil.copyfileobj(done, file)
            file.flush()
        except OSError as error:
            raise os_error(name, error) from error
