"""Writing results: whole files or none."""

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .colour_spaces import Primaries
from .crops import Crop
from .encoding import Job, encode, fitting_icc, openexr
from .errors import OutputError, SettingError

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
    name = _path_name(target)
    check_writable(name, overwrite=overwrite, fmt=fmt)
    chosen = _format(name, fmt)
    path = Path(os.path.realpath(name))  # write through a symbolic link, do not replace it
    if path.exists() and not path.is_file():  # a device or pipe cannot be replaced
        with _opened(path, name) as file:
            _through_temporary(file, name, chosen, array, job)
        return
    with _replacing(path, name) as temporary:
        encode(chosen, array, Job(temporary, name, *job))


def write_text(target: str | os.PathLike[str], text: str, *, overwrite: bool = False) -> None:
    """Write a text file (UTF-8), all of it or nothing. Errors as of `check_file`, and a full disk.

    overwrite: replace an existing file; until the new one is complete the old one stays.
    """
    name = _path_name(target)
    check_file(name, overwrite=overwrite)
    path = Path(os.path.realpath(name))
    if path.exists() and not path.is_file():  # a device or pipe cannot be replaced
        with _opened(path, name) as file:
            file.write(text.encode())
        return
    with _replacing(path, name) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(
    target: str | os.PathLike[str], *, overwrite: bool = False, fmt: str | None = None
) -> None:
    """Fail before the expensive work rather than after it.

    Raises OutputError as `write_image` would for this path; a full disk cannot be foreseen.
    """
    name = _path_name(target)
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


def check_file(target: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Fail before the work where a file of whatever kind cannot be written.

    Raises OutputError: it exists and is not to be replaced, or its folder is missing or read-only.
    """
    name = _path_name(target)
    path = Path(os.path.realpath(name))
    try:
        if path.is_dir():
            raise OutputError(f"{name}: is a folder; name a file in it")
        if not path.parent.exists():
            raise OutputError(f"{name}: the folder {path.parent} does not exist; create it first")
        if not path.parent.is_dir():
            raise OutputError(f"{name}: {path.parent} is a file, not a folder; choose another path")
        regular = path.is_file()
        new = not path.exists()
    except OSError as error:
        raise _os_error(name, error) from error
    if regular and not overwrite:
        raise OutputError(f"{name}: exists; pass --overwrite (overwrite=True) or another name")
    if (regular or new) and not os.access(path.parent, os.W_OK):
        raise OutputError(f"{name}: the folder {path.parent} is read-only; choose another one")


# ---- files ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _replacing(path: Path, name: str) -> Iterator[Path]:
    """A path to write to; afterwards it takes the other's place, or is gone if that failed."""
    start = os.fsencode(path.name)[:100].decode(errors="ignore")  # file systems count bytes
    temporary = path.with_name(f".{start}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except OSError as error:
        raise _os_error(name, error) from error
    finally:  # also after KeyboardInterrupt
        with contextlib.suppress(OSError):  # it must not hide what went wrong
            temporary.unlink(missing_ok=True)


def _path_name(target: Any) -> str:
    """The path as text; OutputError for what names no file at all."""
    name = os.fspath(target) if isinstance(target, str | os.PathLike) else None
    if not isinstance(name, str):
        kind = "bytes" if isinstance(name, bytes) else type(target).__name__
        raise OutputError(f"the output: cannot be written to {kind}; give a path, as hair.png")
    if not name:
        raise OutputError("the output: no output name given; give a path, as hair.png")
    if "\0" in name:
        raise OutputError(f"{name!r}: holds a NUL character; choose another name")
    return name


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
            raise _os_error(name, error) from error


def _opened(path: Path, name: str) -> BinaryIO:
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise _os_error(name, error) from error


def _os_error(name: str, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"{name}: the disk is full; free some space or choose another folder")
    reason = error.strerror or error
    return OutputError(f"{name}: cannot be written ({reason}); choose another path")
