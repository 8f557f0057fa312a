"""Writing results: whole files or none, depth, ICC profile and resolution kept."""

import contextlib
import errno
import os
import secrets
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from .colour_spaces import Primaries
from .crops import Crop, exif_tags, exr_windows, png_chunks, tiff_tags
from .decoded import HALF_MAX, STRAIGHT_ALPHA, to_unit
from .errors import OutputError, SettingError
from .exr import EXR_PIP
from .notes import warn_user

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

_WITH_ALPHA = ".png, .tif, .webp or .exr"


@dataclass(frozen=True)
class _Job:
    """Where to and with what: one argument for every encoder."""

    path: Path
    name: str
    bits: int | None
    icc: bytes | None
    dpi: tuple[float, float] | None
    primaries: Primaries | None = None
    premultiplied: bool | None = None
    crop: Crop | None = None
    quality: int | None = None


STRIP = 256
"""Rows that are converted at a time."""


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
    icc = _fitting_icc(icc_profile, array)
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
        _encode(chosen, array, _Job(temporary, name, *job))


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
        _openexr(name)


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
            _encode(fmt, array, _Job(path, name, *job))
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


def _encode(fmt: str, array: np.ndarray, job: _Job) -> None:
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)) or not array.size:
        raise OutputError(
            f"{job.name}: cannot write an array of shape {array.shape}; use (H, W, 3)"
        )
    if job.premultiplied and array.shape[2:] == (4,) and fmt in ("png", "webp"):
        raise OutputError(f"{job.name}: stores straight colours only; use .tif or .exr")
    encoder, depths, default, longest = _ENCODERS[fmt]
    bits = job.bits if job.bits is not None else min(_bits(array), default)
    if job.quality is not None and fmt not in ("jpeg", "webp"):
        raise OutputError(
            f"{job.name}: {fmt} loses nothing and has no quality; leave it out, or use .jpg or"
            " .webp"
        )
    if bits not in depths:
        listed = " or ".join(str(depth) for depth in depths)
        raise OutputError(f"{job.name}: {fmt} holds {listed} bits, not {bits}; choose another")
    if max(array.shape[:2]) > longest:
        raise OutputError(
            f"{job.name}: {fmt} holds at most {longest} pixels a side; use .png or .tif"
        )
    encoder(array, bits, job)


def _bits(array: np.ndarray) -> int:
    return 8 if array.dtype in (np.uint8, np.bool_) else 16 if array.dtype == np.uint16 else 32


def to_steps(array: np.ndarray, bits: int) -> np.ndarray:
    """The nearest integers of 8 or 16 bits to numbers in [0, 1]; integers of that depth stay."""
    dtype: type[np.uint8] | type[np.uint16] = np.uint8 if bits == 8 else np.uint16
    if array.dtype == dtype:
        return array
    steps: np.ndarray = np.empty(array.shape, dtype)
    for top in range(0, len(array), STRIP):  # floats of a large picture would take gigabytes
        unit = np.nan_to_num(to_unit(array[top : top + STRIP])).clip(0, 1)
        steps[top : top + STRIP] = np.rint(unit * np.float32(np.iinfo(dtype).max))
    return steps


def _fitting_icc(icc: bytes | None, array: np.ndarray) -> bytes | None:
    """A profile for RGB in a grey file would make it invalid, and the other way round."""
    space = b"GRAY" if array.ndim == 2 else b"RGB "
    return icc if icc and icc[16:20] == space else None


# ---- encoders ------------------------------------------------------------------------------------


def _png(array: np.ndarray, bits: int, job: _Job) -> None:
    values = to_steps(array, bits)
    extra = b"".join(_png_chunk(*chunk) for chunk in png_chunks(job.crop)) if job.crop else b""
    if bits == 8:
        if not extra:
            _pillow(values, job, "PNG", dpi=job.dpi)
            return
        # Pillow writes no chunks but those it knows.
        memory = BytesIO()
        _pillow_into(memory, values, job, "PNG", dpi=job.dpi)
        _write_png(memory.getvalue(), extra, job)
        return
    import cv2

    bgr = values if values.ndim == 2 else values[..., [2, 1, 0, 3][: values.shape[2]]]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(bgr))
    if not done:
        raise OutputError(f"{job.name}: the PNG encoder failed; use .tif")
    data = encoded.tobytes()
    if job.icc:
        extra += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(job.icc))
    if job.dpi:
        x, y = (round(value / 0.0254) for value in job.dpi)
        extra += _png_chunk(b"pHYs", struct.pack(">IIB", x, y, 1))
    _write_png(data, extra, job)


def _write_png(data: bytes, extra: bytes, job: _Job) -> None:
    """With further chunks."""
    after_header = 8 + 25  # signature, IHDR: the profile must precede the pixels
    with job.path.open("xb") as file:
        file.write(data[:after_header])
        file.write(extra)
        file.write(memoryview(data)[after_header:])


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _webp(array: np.ndarray, bits: int, job: _Job) -> None:
    values = to_steps(array, bits)
    # exact: keep the colours under alpha 0, they matter when the cut-out is scaled
    lossless = values.ndim == 3 and values.shape[2] == 4 and job.quality is None
    default = 80 if lossless else 95  # of lossless files it is the effort
    options: dict[str, Any] = {"lossless": lossless, "quality": job.quality or default}
    if job.dpi or job.crop:  # EXIF is the only place for it
        options["exif"] = _exif(job)
    _pillow(values, job, "WEBP", exact=True, **options)


def _jpeg(array: np.ndarray, bits: int, job: _Job) -> None:
    if array.ndim == 3 and array.shape[2] == 4:
        raise OutputError(f"{job.name}: JPEG has no transparency; use {_WITH_ALPHA}")
    more: dict[str, Any] = {}
    if job.dpi:
        more["dpi"] = tuple(round(value) for value in job.dpi)
    if job.crop:
        more["exif"] = _exif(job)
    quality = job.quality or 95
    _pillow(to_steps(array, bits), job, "JPEG", quality=quality, subsampling=0, **more)


def _exif(job: _Job) -> Image.Exif:
    """Resolution and place."""
    exif = Image.Exif()
    if job.dpi:
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = job.dpi
        exif[ExifTags.Base.ResolutionUnit] = 2  # inch
    for tag, value in (exif_tags(job.crop, job.dpi) if job.crop else {}).items():
        exif[tag] = value
    return exif


def _pillow(values: np.ndarray, job: _Job, fmt: str, **options: Any) -> None:
    with job.path.open("xb") as file:
        _pillow_into(file, values, job, fmt, **options)


def _pillow_into(file: BinaryIO, values: np.ndarray, job: _Job, fmt: str, **options: Any) -> None:
    # None would not do: it stands for the profile of the image, not for none
    options |= {"icc_profile": job.icc} if job.icc else {}
    Image.fromarray(np.ascontiguousarray(values)).save(file, fmt, **options)


def _tiff(array: np.ndarray, bits: int, job: _Job) -> None:
    import tifffile

    with_alpha = array.ndim == 3 and array.shape[2] == 4
    if with_alpha and job.premultiplied:
        array = _times_alpha(to_unit(array))
    values = to_unit(array) if bits == 32 else to_steps(array, bits)
    options: dict[str, Any] = {"photometric": "minisblack" if values.ndim == 2 else "rgb"}
    if with_alpha:
        options["extrasamples"] = ["assocalpha" if job.premultiplied else "unassalpha"]
    if job.dpi:
        options |= {"resolution": job.dpi, "resolutionunit": "INCH"}
    if job.crop:
        options["extratags"] = tiff_tags(job.crop, job.dpi)
    tifffile.imwrite(
        job.path,
        np.ascontiguousarray(values),
        compression="zlib",
        predictor=bits != 32,
        iccprofile=job.icc,
        metadata=None,
        software="mematte",
        **options,
    )


def _exr(array: np.ndarray, bits: int, job: _Job) -> None:
    openexr = _openexr(job.name)
    values = to_unit(array)
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    if values.ndim == 3 and values.shape[2] == 4:
        if job.premultiplied is False:
            header[STRAIGHT_ALPHA] = 1
        else:
            values = _times_alpha(values)
    if job.primaries is not None and values.ndim == 3:
        header["chromaticities"] = job.primaries.numbers
    if bits == 16:
        values = _as_halves(values, job.name)
    channel = "Y" if values.ndim == 2 else "RGBA"[: values.shape[2]]
    stored = np.ascontiguousarray(values, dtype=np.float16 if bits == 16 else np.float32)
    if job.crop:
        header |= exr_windows(job.crop)
    job.path.open("xb").close()  # so that a folder that cannot be written says why
    try:
        with openexr.File(header, {channel: stored}) as file:
            file.write(str(job.path))
    except RuntimeError as error:
        full = shutil.disk_usage(job.path.parent).free < stored.nbytes
        reason = "the disk is full" if full else "the EXR library could not write it"
        raise OutputError(f"{job.name}: {reason}; choose another folder") from error


def _times_alpha(values: np.ndarray) -> np.ndarray:
    """(H, W, 4) floats, premultiplied in place."""
    values[..., :3] *= values[..., 3:]
    return values


def _as_halves(values: np.ndarray, name: str) -> np.ndarray:
    """What half floats can hold; with a warning where that is not all."""
    largest = float(np.abs(values).max())
    if largest > HALF_MAX:
        warn_user(
            f"{name}: values up to {largest:.4g} do not fit half floats and are clipped to"
            f" {HALF_MAX:.0f}; write 32 bits to keep them"
        )
        values = values.clip(-HALF_MAX, HALF_MAX)
    return values


def _openexr(name: str) -> Any:
    try:
        import OpenEXR
    except ImportError as error:
        raise OutputError(f"{name}: writing EXR needs OpenEXR: {EXR_PIP}") from error
    return OpenEXR


# encoder, depths, deepest default, longest side
_Encoder = Callable[[np.ndarray, int, _Job], None]
_ENCODERS: dict[str, tuple[_Encoder, tuple[int, ...], int, int]] = {
    "png": (_png, (8, 16), 16, 2**31 - 1),
    "tiff": (_tiff, (8, 16, 32), 32, 2**31 - 1),
    "webp": (_webp, (8,), 8, 16383),
    "jpeg": (_jpeg, (8,), 8, 65500),
    "exr": (_exr, (16, 32), 32, 2**31 - 1),
}
