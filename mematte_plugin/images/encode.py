"""Pictures as the bytes of their formats: depth, ICC profile, resolution and offset kept."""

import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from ..errors import OutputError, warn_user
from .colour_spaces import Primaries
from .crops import Crop, exif_tags, exr_windows, png_chunks, tiff_tags
from .decoded import HALF_MAX, STRAIGHT_ALPHA, to_unit
from .exr import EXR_PIP

_WITH_ALPHA = ".png, .tif, .webp or .exr"


@dataclass(frozen=True)
class Job:
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


def encode(fmt: str, array: np.ndarray, job: Job) -> None:
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


def fitting_icc(icc: bytes | None, array: np.ndarray) -> bytes | None:
    """A profile for RGB in a grey file would make it invalid, and the other way round."""
    space = b"GRAY" if array.ndim == 2 else b"RGB "
    return icc if icc and icc[16:20] == space else None


# ---- formats -------------------------------------------------------------------------------------


def _png(array: np.ndarray, bits: int, job: Job) -> None:
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


def _write_png(data: bytes, extra: bytes, job: Job) -> None:
    """With further chunks."""
    after_header = 8 + 25  # signature, IHDR: the profile must precede the pixels
    with job.path.open("xb") as file:
        file.write(data[:after_header])
        file.write(extra)
        file.write(memoryview(data)[after_header:])


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _webp(array: np.ndarray, bits: int, job: Job) -> None:
    values = to_steps(array, bits)
    # exact: keep the colours under alpha 0, they matter when the cut-out is scaled
    lossless = values.ndim == 3 and values.shape[2] == 4 and job.quality is None
    default = 80 if lossless else 95  # of lossless files it is the effort
    options: dict[str, Any] = {"lossless": lossless, "quality": job.quality or default}
    if job.dpi or job.crop:  # EXIF is the only place for it
        options["exif"] = _exif(job)
    _pillow(values, job, "WEBP", exact=True, **options)


def _jpeg(array: np.ndarray, bits: int, job: Job) -> None:
    if array.ndim == 3 and array.shape[2] == 4:
        raise OutputError(f"{job.name}: JPEG has no transparency; use {_WITH_ALPHA}")
    more: dict[str, Any] = {}
    if job.dpi:
        more["dpi"] = tuple(round(value) for value in job.dpi)
    if job.crop:
        more["exif"] = _exif(job)
    quality = job.quality or 95
    _pillow(to_steps(array, bits), job, "JPEG", quality=quality, subsampling=0, **more)


def _exif(job: Job) -> Image.Exif:
    """Resolution and place."""
    exif = Image.Exif()
    if job.dpi:
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = job.dpi
        exif[ExifTags.Base.ResolutionUnit] = 2  # inch
    for tag, value in (exif_tags(job.crop, job.dpi) if job.crop else {}).items():
        exif[tag] = value
    return exif


def _pillow(values: np.ndarray, job: Job, fmt: str, **options: Any) -> None:
    with job.path.open("xb") as file:
        _pillow_into(file, values, job, fmt, **options)


def _pillow_into(file: BinaryIO, values: np.ndarray, job: Job, fmt: str, **options: Any) -> None:
    # None would not do: it stands for the profile of the image, not for none
    options |= {"icc_profile": job.icc} if job.icc else {}
    Image.fromarray(np.ascontiguousarray(values)).save(file, fmt, **options)


def _tiff(array: np.ndarray, bits: int, job: Job) -> None:
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


def _exr(array: np.ndarray, bits: int, job: Job) -> None:
    library = openexr(job.name)
    values = to_unit(array)
    header = {"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}
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
        with library.File(header, {channel: stored}) as file:
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


def openexr(name: str) -> Any:
    try:
        import OpenEXR
    except ImportError as error:
        raise OutputError(f"{name}: writing EXR needs OpenEXR: {EXR_PIP}") from error
    return OpenEXR


# encoder, depths, deepest default, longest side
_Encoder = Callable[[np.ndarray, int, Job], None]
_ENCODERS: dict[str, tuple[_Encoder, tuple[int, ...], int, int]] = {
    "png": (_png, (8, 16), 16, 2**31 - 1),
    "tiff": (_tiff, (8, 16, 32), 32, 2**31 - 1),
    "webp": (_webp, (8,), 8, 16383),
    "jpeg": (_jpeg, (8,), 8, 65500),
    "exr": (_exr, (16, 32), 32, 2**31 - 1),
}
