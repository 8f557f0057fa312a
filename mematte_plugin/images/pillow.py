"""Pictures of at most 8 bits, which Pillow decodes, and Pillow images of any mode."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module

import numpy as np
from PIL import ExifTags, Image

from ..errors import InputError, warn_user
from .colour_tags import tags_of_bmp, tags_of_image
from .decoded import Decoded, Reading, ReadOptions, clean_dpi, header_of, upright
from .inks import icc_to_srgb
from .refusals import IgnoreDamage, refusals

# Image.open would apply Pillow's own, lower bomb limit, which is global, and warn; ours come first.
_PLUGINS = {
    "PNG": ("PngImagePlugin", "PngImageFile"),
    "JPEG": ("JpegImagePlugin", "jpeg_factory"),  # also the two-lens MPO
    "WEBP": ("WebPImagePlugin", "WebPImageFile"),
    "GIF": ("GifImagePlugin", "GifImageFile"),
    "BMP": ("BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("AvifImagePlugin", "AvifImageFile"),
}


def reader_for(fmt: str) -> Callable[[bytes, str, ReadOptions], Reading]:
    """The reader of JPEG, WebP, GIF or BMP."""

    def read(data: bytes, name: str, options: ReadOptions) -> Reading:
        im = open_pil(fmt, data, name)
        yield header_of(im.height, im.width, 8, orientation_of(exif_of_image(im)))
        warn_if_animated(im, name)
        decoded = from_pil(im, name)
        if fmt == "BMP":
            decoded.tags = tags_of_bmp(data)
        return decoded

    return read


def open_pil(fmt: str, data: bytes, name: str) -> Image.Image:
    """A Pillow image of a format that `sniff` named; its pixels are not decoded yet."""
    module, opener = _PLUGINS[fmt]
    try:
        plugin = import_module(f"PIL.{module}")
    except ImportError as error:
        raise InputError(f"{name}: this Pillow cannot read {fmt}; convert it to PNG") from error
    image: Image.Image = getattr(plugin, opener)(io.BytesIO(data), name)
    return image


def warn_if_animated(im: Image.Image, name: str) -> None:
    """Only the first frame is read. MPO also counts frames, but its first is the photograph."""
    if im.format in ("GIF", "WEBP", "PNG", "AVIF") and getattr(im, "is_animated", False):
        warn_user(f"{name}: is animated; its first frame is used")


def from_pil(im: Image.Image, name: str) -> Decoded:
    """Array, profile, resolution and colour tags of a Pillow image; orientation applied.

    Raises InputError when its file turns out to be damaged while the pixels are loaded.
    """
    with refusals(im.format or "", name):
        im.load()
    exif = exif_of_image(im)
    icc = im.info.get("icc_profile") or None
    dpi = clean_dpi(im.info.get("dpi")) or exif_dpi(exif)
    tags = tags_of_image(im)
    indices = np.array(im) if im.mode == "P" else None
    lossy = im.format in ("JPEG", "MPO")
    if im.mode.startswith(("I", "F")):
        pixels = _deep_pixels(im, name)
    else:
        im, icc = _to_rgb(im, icc, name)
        pixels = np.array(im)  # writable, as torch needs it
    decoded = Decoded(pixels, icc, dpi, tags=tags, indices=indices, lossy=lossy)
    return upright(decoded, orientation_of(exif))


def exif_of_image(im: Image.Image) -> Image.Exif:
    with IgnoreDamage():
        return im.getexif()
    return Image.Exif()


def orientation_of(exif: Image.Exif) -> int:
    """How to turn the picture, 1 to 8; 1, not at all, is the default."""
    with IgnoreDamage():
        return int(exif.get(ExifTags.Base.Orientation, 1) or 1)
    return 1


def exif_dpi(exif: Image.Exif) -> tuple[float, float] | None:
    """The resolution in EXIF, the only place for it in WebP."""
    with IgnoreDamage():
        scale = {2: 1.0, 3: 2.54}[int(exif.get(ExifTags.Base.ResolutionUnit, 2))]
        tags = (ExifTags.Base.XResolution, ExifTags.Base.YResolution)
        return clean_dpi([scale * float(exif[tag]) for tag in tags])
    return None


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


def _deep_pixels(im: Image.Image, name: str) -> np.ndarray:
    """Pillow's modes of more than 8 bits: I;16* and F as they are, I if it fits 16 bits."""
    values = np.array(im)  # writable, as torch needs it
    if im.mode == "F" or values.dtype == np.uint16:
        return values
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise InputError(f"{name}: 32-bit values from {low} to {high}; save it with 8 or 16 bits")
    return values.astype(np.uint16)
