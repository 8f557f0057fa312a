"""Writing pictures: depth, ICC profile, resolution and place in the whole are kept."""

from __future__ import annotations

import os
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

from ..errors import OutputError, SettingError, warn_user
from .arrays import to_steps, to_unit
from .colour_spaces import Primaries
from .crops import Crop, exif_tags, exr_windows, png_chunks, tiff_tags
from .decoded import HALF_MAX, STRAIGHT_ALPHA
from .exr import EXR_PIP
from .files import atomic_write, check_file, copied_to, path_name

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


@dataclass(frozen=True)
class _Options:
    """What `write_image` was asked for, and what messages call the file."""

    name: str
    icc: bytes | None
    dpi: tuple[float, float] | None
    primaries: Primaries | None
    premultiplied: bool | None
    crop: Crop | None
    quality: int | None


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

    target: a path, whose suffix (.png, .tif, .tiff, .webp, .exr, .jpg, .jpeg) sets the format, or a
    binary file, which needs fmt.
    array: (H, W), (H, W, 3) or (H, W, 4) with straight alpha; float in [0, 1], uint8 or uint16.
        Values are rounded to the nearest step. EXR expects linear light and stores the colours
        premultiplied, as its readers assume; every other format stores them straight.
    icc_profile: an RGB profile; left out of grey pictures and of EXR, which cannot hold it.
    dpi: dots per inch, (horizontal, vertical).
    bits: PNG 8 or 16; TIFF 8, 16 or 32 (float); EXR 16 (half) or 32; WebP and JPEG 8. Default: the
        array's own depth, of float arrays 16 for PNG and 32 for TIFF and EXR.
    crop: where this was in a larger picture, for the file's metadata: PNG's oFFs, TIFF's and EXIF's
        XPosition and YPosition, EXR's data window inside the display window.
    quality: of JPEG and WebP, 1 to 100. Default: 95; WebP with alpha is lossless.
    overwrite: replace an existing file; until the new one is complete the old one stays.
    primaries: of the light in an EXR, stored as `chromaticities`; None for Rec. 709.
    premultiplied: colours times alpha (default for EXR), or straight (default elsewhere). TIFF
        records which it is, EXR if they are straight (`oiio:UnassociatedAlpha`); PNG and WebP
        cannot hold premultiplied colours.

    Raises OutputError: the file exists, its folder does not, the suffix is unknown, the format
    cannot hold alpha, depth or size, has no quality, or the disk is full. Raises SettingError for a
    quality out of its range.
    """
    check_quality(quality)
    icc = _fitting_icc(icc_profile, array)
    rest = (icc, dpi, primaries, premultiplied, crop, quality)
    if not isinstance(target, str | os.PathLike) and hasattr(target, "write"):
        name = "the output"
        chosen = _format(name, fmt)
        written = copied_to(target, name)
    else:
        name = path_name(target)
        check_writable(name, overwrite=overwrite, fmt=fmt)
        chosen = _format(name, fmt)
        written = atomic_write(Path(name), name)
    with written as temporary:
        _encode(temporary, chosen, array, bits, _Options(name, *rest))


def check_writable(
    target: str | os.PathLike[str], *, overwrite: bool = False, fmt: str | None = None
) -> None:
    """Fail before the expensive work rather than after it.

    Raises OutputError as `write_image` would for this path, except for a full disk.
    """
    name = path_name(target)
    chosen = None if os.path.isdir(name) else _format(name, fmt)  # check_file refuses folders
    check_file(name, overwrite=overwrite)
    if chosen == "exr":
        _openexr(name)


def check_quality(quality: int | None) -> None:
    """Raises SettingError unless it is None or a whole number from 1 to 100."""
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


def _fitting_icc(icc: bytes | None, array: np.ndarray) -> bytes | None:
    """A profile for RGB in a grey file would make it invalid, and the other way round."""
    space = b"GRAY" if array.ndim == 2 else b"RGB "
    return icc if icc and icc[16:20] == space else None


def _encode(path: Path, fmt: str, array: np.ndarray, bits: int | None, options: _Options) -> None:
    name = options.name
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)) or not array.size:
        raise OutputError(f"{name}: cannot write an array of shape {array.shape}; use (H, W, 3)")
    if options.premultiplied and array.shape[2:] == (4,) and fmt in ("png", "webp"):
        raise OutputError(f"{name}: stores straight colours only; use .tif or .exr")
    encoder, depths, default, longest = _ENCODERS[fmt]
    if bits is None:
        own = 8 if array.dtype in (np.uint8, np.bool_) else 16 if array.dtype == np.uint16 else 32
        bits = min(own, default)
    if options.quality is not None and fmt not in ("jpeg", "webp"):
        raise OutputError(
            f"{name}: {fmt} is lossless and has no quality; leave it out, or use .jpg or .webp"
        )
    if bits not in depths:
        listed = " or ".join(str(depth) for depth in depths)
        raise OutputError(f"{name}: {fmt} holds {listed} bits, not {bits}; choose another")
    if max(array.shape[:2]) > longest:
        raise OutputError(f"{name}: {fmt} holds at most {longest} pixels a side; use .png or .tif")
    encoder(path, array, bits, options)


# ---- formats -------------------------------------------------------------------------------------


def _png(path: Path, array: np.ndarray, bits: int, options: _Options) -> None:
    values = to_steps(array, bits)
    extra = b"".join(_png_chunk(*chunk) for chunk in png_chunks(options.crop))
    if bits == 8 and not extra:
        _pillow(path, values, options, "PNG", dpi=options.dpi)
        return
    if bits == 8:  # Pillow only writes chunks that it knows
        memory = BytesIO()
        _pillow(memory, values, options, "PNG", dpi=options.dpi)
        data = memory.getvalue()
    else:
        data = _png16(values, options.name)
        if options.icc:
            extra += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(options.icc))
        if options.dpi:
            x, y = (round(value / 0.0254) for value in options.dpi)
            extra += _png_chunk(b"pHYs", struct.pack(">IIB", x, y, 1))
    after_header = 8 + 25  # signature, IHDR: the profile must precede the pixels
    with path.open("xb") as file:
        file.write(data[:after_header])
        file.write(extra)
        file.write(memoryview(data)[after_header:])


def _png16(values: np.ndarray, name: str) -> bytes:
    import cv2

    bgr = values if values.ndim == 2 else values[..., [2, 1, 0, 3][: values.shape[2]]]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(bgr))
    if not done:
        raise OutputError(f"{name}: the PNG encoder failed; use .tif")
    return encoded.tobytes()


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _webp(path: Path, array: np.ndarray, bits: int, options: _Options) -> None:
    values = to_steps(array, bits)
    lossless = values.ndim == 3 and values.shape[2] == 4 and options.quality is None
    more: dict[str, Any] = {}
    if options.dpi or options.crop:  # WebP holds them in EXIF only
        more["exif"] = _exif(options)
    _pillow(
        path,
        values,
        options,
        "WEBP",
        lossless=lossless,
        quality=options.quality or (80 if lossless else 95),  # of lossless files: the effort
        exact=True,  # keep the colours under alpha 0, they matter when the cut-out is scaled
        **more,
    )


def _jpeg(path: Path, array: np.ndarray, bits: int, options: _Options) -> None:
    if array.ndim == 3 and array.shape[2] == 4:
        raise OutputError(
            f"{options.name}: JPEG has no transparency; use .png, .tif, .webp or .exr"
        )
    more: dict[str, Any] = {"quality": options.quality or 95, "subsampling": 0}
    if options.dpi:
        more["dpi"] = tuple(round(value) for value in options.dpi)
    if options.crop:
        more["exif"] = _exif(options)
    _pillow(path, to_steps(array, bits), options, "JPEG", **more)


def _exif(options: _Options) -> Image.Exif:
    """Resolution and place."""
    exif = Image.Exif()
    if options.dpi:
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = options.dpi
        exif[ExifTags.Base.ResolutionUnit] = 2  # inch
    for tag, value in exif_tags(options.crop, options.dpi).items():
        exif[tag] = value
    return exif


def _pillow(
    target: Path | BinaryIO, values: np.ndarray, options: _Options, fmt: str, **more: Any
) -> None:
    if options.icc:  # None would stand for the profile of the image, not for none
        more["icc_profile"] = options.icc
    image = Image.fromarray(np.ascontiguousarray(values))
    if isinstance(target, Path):
        with target.open("xb") as file:
            image.save(file, fmt, **more)
    else:
        image.save(target, fmt, **more)


def _tiff(path: Path, array: np.ndarray, bits: int, options: _Options) -> None:
    import tifffile

    with_alpha = array.ndim == 3 and array.shape[2] == 4
    if with_alpha and options.premultiplied:
        array = _times_alpha(to_unit(array))
    values = to_unit(array) if bits == 32 else to_steps(array, bits)
    more: dict[str, Any] = {"photometric": "minisblack" if values.ndim == 2 else "rgb"}
    if with_alpha:
        more["extrasamples"] = ["assocalpha" if options.premultiplied else "unassalpha"]
    if options.dpi:
        more |= {"resolution": options.dpi, "resolutionunit": "INCH"}
    tifffile.imwrite(
        path,
        np.ascontiguousarray(values),
        compression="zlib",
        predictor=bits != 32,
        iccprofile=options.icc,
        metadata=None,
        software="mematte",
        extratags=tiff_tags(options.crop, options.dpi),
        **more,
    )


def _exr(path: Path, array: np.ndarray, bits: int, options: _Options) -> None:
    library = _openexr(options.name)
    values = to_unit(array)
    header = {"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}
    if values.ndim == 3 and values.shape[2] == 4:
        if options.premultiplied is False:
            header[STRAIGHT_ALPHA] = 1
        else:
            values = _times_alpha(values)
    if options.primaries is not None and values.ndim == 3:
        header["chromaticities"] = options.primaries.numbers
    if bits == 16:
        values = _as_halves(values, options.name)
    channel = "Y" if values.ndim == 2 else "RGBA"[: values.shape[2]]
    stored = np.ascontiguousarray(values, dtype=np.float16 if bits == 16 else np.float32)
    header |= exr_windows(options.crop)
    path.open("xb").close()  # OpenEXR does not say why a file cannot be made
    try:
        with library.File(header, {channel: stored}) as file:
            file.write(str(path))
    except RuntimeError as error:
        full = shutil.disk_usage(path.parent).free < stored.nbytes
        reason = "the disk is full" if full else "the EXR library could not write it"
        raise OutputError(f"{options.name}: {reason}; choose another folder") from error


def _times_alpha(values: np.ndarray) -> np.ndarray:
    """(H, W, 4) floats, premultiplied in place."""
    values[..., :3] *= values[..., 3:]
    return values


def _as_halves(values: np.ndarray, name: str) -> np.ndarray:
    """Clipped to what half floats can hold, with a warning."""
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
_Encoder = Callable[[Path, np.ndarray, int, _Options], None]
_ENCODERS: dict[str, tuple[_Encoder, tuple[int, ...], int, int]] = {
    "png": (_png, (8, 16), 16, 2**31 - 1),
    "tiff": (_tiff, (8, 16, 32), 32, 2**31 - 1),
    "webp": (_webp, (8,), 8, 16383),
    "jpeg": (_jpeg, (8,), 8, 65500),
    "exr": (_exr, (16, 32), 32, 2**31 - 1),
}
