"""From the bytes of an image file to an array, with its metadata and without losing depth.

The format is decided by content, never by suffix. Pillow decodes what has 8 bits, `decoding_deep`
the rest.
"""

import io
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms

from .colour_tags import told_by
from .decoded import (
    MAX_PIXELS,
    ORIENTATION_TAG,
    Decoded,
    check_size,
    clean_dpi,
    upright,
)
from .decoding_deep import decode_exr, decode_png16, decode_tiff
from .errors import InputError, MEMatteWarning
from .notes import warn_user

_READABLE = "PNG, JPEG, TIFF, WebP, EXR, GIF, BMP and AVIF"

# What people hand in by mistake: (first bytes, what it is, what to do about it).
_IMPOSTORS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF document", "export the page as PNG"),
    (b"%!PS", "a PostScript file", "export it as PNG"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"8BPS", "a Photoshop document", "export it as TIFF or PNG"),
    (b"gimp xcf", "a GIMP document", "export it as TIFF or PNG"),
    (b"version https://git-lfs", "a Git LFS pointer, not the picture", "run `git lfs pull`"),
)


def decode(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode the bytes of an image file; EXIF orientation is applied.

    Raises InputError, naming the input, when it is no readable picture.
    """
    fmt = sniff(data, name)
    try:
        decoded = _DECODERS[fmt](data, name, max_pixels) if fmt in _DECODERS else None
        if decoded is None:
            decoded = _decode_pil(fmt, data, name, max_pixels)
        decoded.told = decoded.told or told_by(data)
        return decoded
    except (InputError, MEMatteWarning):  # the warning: where users turn warnings into errors
        raise
    except MemoryError as error:
        raise InputError(f"{name}: not enough memory to decode it; use a smaller copy") from error
    except Exception as error:
        # Decoders raise OSError, SyntaxError, struct.error, cv2.error ... for damaged files.
        raise InputError(
            f"{name}: the file is damaged or cut off ({_short(error)}); copy or export it again"
        ) from error


def from_pil(im: Image.Image, name: str) -> Decoded:
    """Array, profile and resolution of a Pillow image of any mode; orientation applied.

    Raises InputError when its file turns out to be damaged while the pixels are loaded.
    """
    try:
        im.load()
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        raise InputError(
            f"{name}: the file is damaged or cut off ({_short(error)}); copy or export it again"
        ) from error
    orientation = orientation_of(im)
    icc = im.info.get("icc_profile") or None
    dpi = clean_dpi(im.info.get("dpi")) or _exif_dpi(im)
    if im.mode.startswith(("I", "F")):
        pixels = _wide_pil(im, name)
    else:
        im, icc = _to_rgb(im, icc, name)
        pixels = np.array(im)  # writable, as torch wants it
    return upright(Decoded(pixels, icc, dpi), orientation)


# ---- formats -------------------------------------------------------------------------------------


def sniff(data: bytes, name: str) -> str:
    """The format by its magic bytes; InputError saying what the file is instead."""
    if not data:
        raise InputError(f"{name}: the file is empty; copy or export it again")
    head = data[:64]
    for fmt, magic in (
        ("PNG", (b"\x89PNG\r\n\x1a\n",)),
        ("JPEG", (b"\xff\xd8\xff",)),
        ("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
        ("GIF", (b"GIF87a", b"GIF89a")),
        ("BMP", (b"BM",)),
        ("EXR", (b"v/1\x01",)),
    ):
        if head.startswith(magic):
            return fmt
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        if head[8:12] in (b"avif", b"avis") or b"avif" in head[16:]:
            return "AVIF"
        raise InputError(f"{name}: is a HEIC picture or a video; export it as PNG, JPEG or TIFF")
    for magic_bytes, what, remedy in _IMPOSTORS:
        if head.startswith(magic_bytes):
            raise InputError(f"{name}: is {what}, not an image; {remedy}")
    start = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        raise InputError(f"{name}: is an SVG drawing, not pixels; export it as PNG")
    if start.startswith((b"<!doctype html", b"<html")):
        raise InputError(f"{name}: is a web page, not an image; download the picture itself")
    if b"\0" not in start and all(byte >= 9 for byte in start):
        raise InputError(f"{name}: is text, not an image; give it one of {_READABLE}")
    raise InputError(f"{name}: is not an image that can be read; use one of {_READABLE}")


def _decode_pil(fmt: str, data: bytes, name: str, max_pixels: int) -> Decoded:
    im = open_pil(fmt, io.BytesIO(data), name)
    check_size(im.height, im.width, name, max_pixels)
    # MPO (two-lens JPEG) also counts frames, but its first one simply is the photograph.
    if im.format in ("GIF", "WEBP", "PNG", "AVIF") and getattr(im, "is_animated", False):
        warn_user(f"{name}: is animated; its first frame is used")
    return from_pil(im, name)


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


# Return None where Pillow decodes the file without loss.
_DECODERS: dict[str, Callable[[bytes, str, int], Decoded | None]] = {
    "PNG": decode_png16,
    "TIFF": decode_tiff,
    "EXR": decode_exr,
}


# ---- Pillow's modes ------------------------------------------------------------------------------


def _to_rgb(im: Image.Image, icc: bytes | None, name: str) -> tuple[Image.Image, bytes | None]:
    """An L, RGB or RGBA image, and the profile that still describes it."""
    if im.mode == "1":
        im = im.convert("L")
    space = icc[16:20] if icc else b""
    if im.mode in ("CMYK", "LAB", "YCbCr", "HSV") or (space == b"GRAY" and im.mode == "L"):
        if icc and space in (b"CMYK", b"Lab ", b"GRAY"):
            return _icc_to_srgb(im, icc), None
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


def _icc_to_srgb(im: Image.Image, icc: bytes) -> Image.Image:
    """Colours as the profile means them, in sRGB; the plain conversion if the profile is broken."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        converted = ImageCms.profileToProfile(
            im, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return im.convert("RGB")
    return converted if converted is not None else im.convert("RGB")


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


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."
