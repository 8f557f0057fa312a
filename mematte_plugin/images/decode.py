"""From the bytes of an image file to an array, with its metadata and without losing depth.

The format is decided by content, never by suffix. Pillow decodes what has 8 bits, the modules by
format (`png`, `tiff`, `exr`, `heif`, `jpegxl`, `raw`, `radiance`) the rest.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from ..errors import InputError, MEMatteWarning, warn_user
from .bmff import avif_bits
from .colour_tags import told_by
from .decoded import (
    MAX_PIXELS,
    ORIENTATION_TAG,
    Decoded,
    Role,
    check_size,
    clean_dpi,
    drop_foreign_icc,
    is_unsupported,
    short,
    upright,
)
from .exr import decode_exr
from .heif import decode_deep_avif, decode_heif
from .inks import icc_to_srgb
from .jpegxl import decode_jxl
from .png import decode_png16
from .radiance import decode_hdr
from .raw import decode_raw
from .sniff import sniff
from .tiff import decode_tiff, is_camera_raw

_RAW = (
    "dng cr2 cr3 crw nef nrw arw srf sr2 raf orf rw2 pef srw 3fr iiq x3f mrw erf kdc dcr mos mef"
    " rwl"
)
_DEVELOPED = "png jpg jpeg jpe jfif tif tiff webp exr bmp gif avif heic heif hif jxl hdr"

CAMERA_RAW = frozenset(f".{suffix}" for suffix in re.findall(r"\w+", _RAW))
"""Suffixes of what cameras write undeveloped, often beside a JPEG of the same name."""

READABLE = CAMERA_RAW | {f".{suffix}" for suffix in re.findall(r"\w+", _DEVELOPED)}
"""Suffixes of files that can be read, some with the extras, for whoever looks through a folder."""


def decode(
    data: bytes,
    name: str,
    *,
    max_pixels: int = MAX_PIXELS,
    role: Role = "photo",
    layer: str | None = None,
) -> Decoded:
    """Decode the bytes of an image file; EXIF orientation is applied.

    role: what the picture is for, which decides which channels of an EXR are taken.
    layer: the layer or part of an EXR to take; None for the one that `role` means.

    Raises InputError, naming the input, when it is no readable picture.
    """
    fmt = sniff(data, name)
    if layer is not None and fmt != "EXR":
        raise InputError(f"{name}: has no layers, so there is no {layer!r}; leave the layer out")
    try:
        if fmt == "TIFF" and is_camera_raw(io.BytesIO(data), data, name):
            fmt = "RAW"
        if fmt == "EXR":
            return decode_exr(data, name, max_pixels, role=role, layer=layer)
        if fmt == "TIFF":
            decoded = decode_tiff(data, name, max_pixels, role)
        else:
            decoded = _DECODERS.get(fmt, _by_pillow(fmt))(data, name, max_pixels)
        if not decoded.linear:  # light has no other encoding, whatever EXIF says of its preview
            decoded.told = decoded.told or told_by(data)
        return decoded
    except (InputError, MEMatteWarning):  # the warning: where users turn warnings into errors
        raise
    except MemoryError as error:
        raise InputError(f"{name}: not enough memory to decode it; use a smaller copy") from error
    except Exception as error:
        # Decoders raise OSError, SyntaxError, struct.error, cv2.error ... for damaged files.
        raise _refused(fmt, error, name) from error


def _refused(fmt: str, error: Exception, name: str) -> InputError:
    """What to say of a file that its decoder refuses."""
    if is_unsupported(error):
        return InputError(
            f"{name}: is a picture ({fmt}) of a kind that cannot be read ({short(error)}); convert"
            " it to PNG or TIFF"
        )
    return InputError(
        f"{name}: the file is damaged or cut off ({short(error)}); copy or export it again"
    )


def from_pil(im: Image.Image, name: str) -> Decoded:
    """Array, profile and resolution of a Pillow image of any mode; orientation applied.

    Raises InputError when its file turns out to be damaged while the pixels are loaded.
    """
    try:
        im.load()
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        raise _refused(im.format or "", error, name) from error
    orientation = orientation_of(im)
    icc = im.info.get("icc_profile") or None
    dpi = clean_dpi(im.info.get("dpi")) or _exif_dpi(im)
    indices = np.array(im) if im.mode == "P" else None
    lossy = im.format in ("JPEG", "MPO")
    if im.mode.startswith(("I", "F")):
        pixels = _wide_pil(im, name)
    else:
        im, icc = _to_rgb(im, icc, name)
        pixels = np.array(im)  # writable, as torch wants it
    found = Decoded(pixels, icc, dpi, indices=indices, lossy=lossy)
    return upright(found, orientation)


# ---- formats -------------------------------------------------------------------------------------


def _by_pillow(fmt: str) -> Callable[[bytes, str, int], Decoded]:
    def decode_pil(data: bytes, name: str, max_pixels: int) -> Decoded:
        im = open_pil(fmt, io.BytesIO(data), name)
        check_size(im.height, im.width, name, max_pixels)
        # MPO (two-lens JPEG) also counts frames, but its first one simply is the photograph.
        if im.format in ("GIF", "WEBP", "PNG", "AVIF") and getattr(im, "is_animated", False):
            warn_user(f"{name}: is animated; its first frame is used")
        return from_pil(im, name)

    return decode_pil


def _decode_png(data: bytes, name: str, max_pixels: int) -> Decoded:
    deep = decode_png16(data, name, max_pixels)
    return deep if deep is not None else _by_pillow("PNG")(data, name, max_pixels)


def _decode_avif(data: bytes, name: str, max_pixels: int) -> Decoded:
    """Pillow says how it is turned and what profile it has; above 8 bits imagecodecs decodes."""
    bits = avif_bits(data)
    if bits > 8:
        im = open_pil("AVIF", io.BytesIO(data), name)
        check_size(im.height, im.width, name, max_pixels)
        pixels = decode_deep_avif(data, name, bits, (im.height, im.width))
        if pixels is not None:
            if getattr(im, "is_animated", False):
                warn_user(f"{name}: is animated; its first frame is used")
            icc = im.info.get("icc_profile") or None
            deep = Decoded(pixels, icc, _exif_dpi(im))
            return upright(drop_foreign_icc(deep, name), orientation_of(im))
    return _by_pillow("AVIF")(data, name, max_pixels)


def open_pil(fmt: str, file: BinaryIO, name: str) -> Image.Image:
    """A Pillow image of a format that `sniff` named; its pixels are not decoded yet."""
    # Image.open would apply Pillow's own, lower, global bomb limits (and warn); ours come first.
    Image.init()
    if fmt not in Image.OPEN:
        raise InputError(f"{name}: this Pillow cannot read {fmt}; convert it to PNG")
    factory = Image.OPEN[fmt][0]
    im = factory(file, name)
    if not isinstance(im, Image.Image):
        raise InputError(f"{name}: is not a valid {fmt} file; export it again")
    return im


_DECODERS: dict[str, Callable[[bytes, str, int], Decoded]] = {
    "PNG": _decode_png,
    "AVIF": _decode_avif,
    "HEIF": decode_heif,
    "JXL": decode_jxl,
    "HDR": decode_hdr,
    "RAW": decode_raw,
}
"""For formats that Pillow does not know, or not well."""


# ---- Pillow's modes ------------------------------------------------------------------------------


def _to_rgb(im: Image.Image, icc: bytes | None, name: str) -> tuple[Image.Image, bytes | None]:
    """An L, RGB or RGBA image, and the profile that still describes it."""
    if im.mode == "1":
        im = im.convert("L")
    space = icc[16:20] if icc else b""
    if im.mode in ("CMYK", "LAB", "YCbCr", "HSV") or (space == b"GRAY" and im.mode == "L"):
        if icc and space in (b"CMYK", b"Lab ", b"GRAY"):
            return icc_to_srgb(im, icc), None
        if im.mode == "LAB":
            raise InputError(f"{name}: is a Lab picture; convert it to RGB first")
        return (im.convert("RGB") if im.mode != "L" else im), (icc if space == b"RGB " else None)
    if im.mode == "La":
        im = im.convert("LA")
    if im.has_transparency_data:
        im = im.convert("RGBA")
    elif im.mode not in ("L", "RGB"):
        im = im.convert("RGB")
    return im, (icc if space == b"RGB " else None)


def orientation_of(im: Image.Image) -> int:
    """How the picture is to be turned, as EXIF numbers it; 1, not at all, where nothing is said."""
    try:
        return int(im.getexif().get(ORIENTATION_TAG, 1) or 1)
    except Exception:  # broken EXIF must not cost the photograph
        return 1


def _exif_dpi(im: Image.Image) -> tuple[float, float] | None:
    """The resolution where only EXIF has it, as in WebP."""
    try:
        exif = im.getexif()
        scale = {2: 1.0, 3: 2.54}[int(exif.get(ExifTags.Base.ResolutionUnit, 2))]
        tags = (ExifTags.Base.XResolution, ExifTags.Base.YResolution)
        return clean_dpi([scale * float(exif[tag]) for tag in tags])
    except Exception:  # broken or without
        return None


def _wide_pil(im: Image.Image, name: str) -> np.ndarray:
    """Pillow's modes of more than 8 bits: I;16* and F as they are, I if it fits 16 bits."""
    values = np.array(im)  # writable, as torch wants it
    if im.mode == "F" or values.dtype == np.uint16:
        return values
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise InputError(f"{name}: 32-bit values from {low} to {high}; save it with 8 or 16 bits")
    return values.astype(np.uint16)
