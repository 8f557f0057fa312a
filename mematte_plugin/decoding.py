"""From the bytes of an image file to an array, with its metadata and without losing depth.

The format is decided by content, never by suffix. Pillow decodes what has 8 bits; it silently
reduces deeper PNG and TIFF files, so OpenCV and tifffile decode those, and OpenEXR the EXR files.
"""

import io
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from .errors import InputError, MEMatteWarning

MAX_PIXELS = 300_000_000
"""Largest picture that is decoded, by its header: above every camera (8K is 33 MP), below a bomb."""

EXR_PIP = 'pip install "mematte-plugin[exr]"'

_ORIENTATION = 0x0112  # the EXIF and TIFF tag
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


@dataclass(eq=False)
class Decoded:
    """One decoded picture, upright.

    pixels: (H, W), (H, W, 3) or (H, W, 4), uint8, uint16 or float32; alpha is straight.
    icc_profile: the profile the colours are meant in; None for sRGB or unknown.
    dpi: dots per inch, (horizontal, vertical).
    linear: the colours are scene-linear light (EXR).
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    linear: bool = False


def decode(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode the bytes of an image file; EXIF orientation is applied.

    Raises InputError, naming the input, when it is no readable picture.
    """
    decoder = _DECODERS[_sniff(data, name)]
    try:
        return decoder(data, name, max_pixels)
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{name}: not enough memory to decode it; use a smaller copy") from error
    except Exception as error:
        # Decoders raise OSError, SyntaxError, struct.error, cv2.error ... for damaged files.
        raise InputError(
            f"{name}: the file is damaged or cut off ({_short(error)}); copy or export it again"
        ) from error


def from_pil(im: Image.Image, name: str, *, apply_orientation: bool = True) -> Decoded:
    """Array, profile and resolution of a Pillow image of any mode; orientation applied.

    Raises InputError when its file turns out to be damaged while the pixels are loaded.
    """
    try:
        im.load()
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        raise InputError(
            f"{name}: the file is damaged or cut off ({_short(error)}); copy or export it again"
        ) from error
    orientation = int(im.getexif().get(_ORIENTATION, 1) or 1) if apply_orientation else 1
    icc = im.info.get("icc_profile") or None
    dpi = _clean_dpi(im.info.get("dpi"))
    if im.mode.startswith(("I", "F")):
        pixels = _wide_pil(im, name)
    else:
        im, icc = _to_rgb(im, icc, name)
        pixels = np.asarray(im)
    return _upright(Decoded(pixels, icc, dpi), orientation)


# ---- formats -------------------------------------------------------------------------------------


def _sniff(data: bytes, name: str) -> str:
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


def _decode_pil(fmt: str) -> Callable[[bytes, str, int], Decoded]:
    def decoder(data: bytes, name: str, max_pixels: int) -> Decoded:
        im = _open_pil(fmt, data, name)
        _check_size(im.height, im.width, name, max_pixels)
        # MPO (two-lens JPEG) also counts frames, but its first one simply is the photograph.
        if im.format in ("GIF", "WEBP", "PNG", "AVIF") and getattr(im, "is_animated", False):
            warnings.warn(f"{name}: is animated; its first frame is used", MEMatteWarning, 5)
        return from_pil(im, name)

    return decoder


def _open_pil(fmt: str, data: bytes, name: str) -> Image.Image:
    # Image.open would apply Pillow's own, lower, global bomb limits (and warn); ours come first.
    Image.init()
    if fmt not in Image.OPEN:
        raise InputError(f"{name}: this Pillow cannot read {fmt}; convert it to PNG")
    factory = Image.OPEN[fmt][0]
    im = factory(io.BytesIO(data), name)
    if not isinstance(im, Image.Image):
        raise InputError(f"{name}: is not a valid {fmt} file; export it again")
    return im


def _decode_png(data: bytes, name: str, max_pixels: int) -> Decoded:
    width, height, depth = struct.unpack(">IIB", data[16:25])
    _check_size(height, width, name, max_pixels)
    chunks = _png_chunks(data, name)
    if depth != 16:
        return _decode_pil("PNG")(data, name, max_pixels)
    import cv2

    pixels = _rgb_order(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    if pixels.ndim == 2 and "tRNS" in chunks:  # OpenCV expands it for RGB only
        (clear,) = struct.unpack(">H", chunks["tRNS"][:2])
        alpha = np.where(pixels == clear, 0, 65535).astype(np.uint16)
        pixels = np.dstack([pixels, pixels, pixels, alpha])
    icc = None
    if "iCCP" in chunks:
        icc = zlib.decompress(chunks["iCCP"].split(b"\0", 1)[1][1:])
    dpi = None
    if "pHYs" in chunks:
        x, y, unit = struct.unpack(">IIB", chunks["pHYs"])
        dpi = _clean_dpi((x * 0.0254, y * 0.0254)) if unit == 1 else None
    orientation = 1
    if "eXIf" in chunks:
        exif = Image.Exif()
        exif.load(chunks["eXIf"])
        orientation = int(exif.get(_ORIENTATION, 1) or 1)
    if "acTL" in chunks:
        warnings.warn(f"{name}: is animated; its first frame is used", MEMatteWarning, 4)
    return _upright(_drop_foreign_icc(Decoded(pixels, icc, dpi), name), orientation)


def _png_chunks(data: bytes, name: str) -> dict[str, bytes]:
    """The small chunks by name, after checking every chunk's length and CRC up to IEND.

    libpng through OpenCV, unlike Pillow, may hand out a half-grey picture for a damaged file.
    """
    chunks: dict[str, bytes] = {}
    view, at = memoryview(data), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = bytes(view[at + 4 : at + 8])
        body = view[at + 8 : at + 8 + length]
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : at + 8 + length]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise InputError(f"{name}: the PNG is damaged (checksum); copy or export it again")
        if kind == b"IEND":
            return chunks
        if kind not in (b"IDAT", b"fdAT"):
            chunks.setdefault(kind.decode("latin-1"), bytes(body))
        at = end
    raise InputError(f"{name}: the PNG is cut off before its end; copy or export it again")


def _decode_tiff(data: bytes, name: str, max_pixels: int) -> Decoded:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        if not len(tif.pages):
            raise InputError(f"{name}: the TIFF is cut off; copy or export it again")
        page: Any = tif.pages[0]
        if data[8:10] == b"CR" or 50706 in page.tags or page.photometric in (32803, 34892):
            raise InputError(f"{name}: is a camera raw file; develop it to TIFF or PNG first")
        if page.subfiletype & 1 and 330 in page.tags:  # a thumbnail in front: NEF, ARW, ...
            raise InputError(f"{name}: starts with a thumbnail (camera raw?); export it as TIFF")
        _check_size(page.imagelength, page.imagewidth, name, max_pixels)
        if page.dtype in (np.dtype("u1"), np.dtype("?")) or page.bitspersample < 8:
            return _decode_pil("TIFF")(data, name, max_pixels)
        deep = page.dtype is not None and page.dtype.str[1:] in ("u2", "f2", "f4", "f8")
        if not deep or page.photometric not in (0, 1, 2):
            kind = f"{page.dtype} samples, {getattr(page.photometric, 'name', page.photometric)}"
            raise InputError(f"{name}: unsupported TIFF ({kind}); save it as grey or RGB TIFF")
        try:
            pixels = page.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            pixels = _tiff_by_opencv(data)  # LZW and others, which tifffile alone cannot
        if page.axes.startswith("S"):
            pixels = np.moveaxis(pixels, 0, -1)
        if page.photometric == 0:  # white is zero
            pixels = (1.0 - pixels) if pixels.dtype.kind == "f" else (65535 - pixels)
        icc = page.tags[34675].value if 34675 in page.tags else None
        orientation = int(page.tags[274].value) if 274 in page.tags else 1
        dpi = _tiff_dpi(page)
        extra = tuple(int(sample) for sample in page.extrasamples or ())
    return _upright(
        _drop_foreign_icc(Decoded(_tiff_channels(pixels, extra, name), icc, dpi), name), orientation
    )


def _tiff_by_opencv(data: bytes) -> np.ndarray:
    import cv2

    return _rgb_order(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


def _tiff_channels(pixels: np.ndarray, extra: tuple[int, ...], name: str) -> np.ndarray:
    """Colour with at most one straight alpha, from samples that may include others."""
    if pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32)
    if pixels.ndim == 2:
        return pixels
    colours = pixels.shape[2] - len(extra) if extra else min(pixels.shape[2], 4)
    if pixels.ndim != 3 or colours not in (1, 3, 4):
        raise InputError(f"{name}: has samples of shape {pixels.shape}; save it as RGB or RGBA")
    if extra[:1] in ((1,), (2,)):  # associated (premultiplied) or unassociated alpha
        colour, alpha = pixels[..., :colours], pixels[..., colours]
        if extra[0] == 1:
            colour = _unpremultiply(colour, alpha)
        if colours == 1:
            colour = np.repeat(colour, 3, axis=2)
        return np.dstack([colour, alpha])
    return pixels[..., 0] if colours == 1 else pixels[..., :colours]


def _tiff_dpi(page: Any) -> tuple[float, float] | None:
    if 282 not in page.tags or 283 not in page.tags:
        return None
    unit = int(page.tags[296].value) if 296 in page.tags else 2
    scale = {2: 1.0, 3: 2.54}.get(unit)
    if scale is None:
        return None
    (xn, xd), (yn, yd) = page.tags[282].value, page.tags[283].value
    return _clean_dpi((scale * xn / xd, scale * yn / yd)) if xd and yd else None


def _decode_exr(data: bytes, name: str, max_pixels: int) -> Decoded:
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError(f"{name}: reading EXR needs OpenEXR: {EXR_PIP}") from error
    handle, path = tempfile.mkstemp(suffix=".exr")  # OpenEXR opens files by name only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        with OpenEXR.File(path, header_only=True) as file:
            header = file.header()
        (x0, y0), (x1, y1) = (np.asarray(v, int) for v in header["displayWindow"])
        (left, top), (right, bottom) = (np.asarray(v, int) for v in header["dataWindow"])
        size = (int(y1 - y0 + 1), int(x1 - x0 + 1))
        _check_size(*size, name, max_pixels)
        _check_size(int(bottom - top + 1), int(right - left + 1), name, max_pixels)
        with OpenEXR.File(path) as file:
            found = {key: np.asarray(value.pixels) for key, value in file.channels().items()}
    finally:
        Path(path).unlink(missing_ok=True)
    grouped = next((found[key] for key in ("RGBA", "RGB", "Y") if key in found), None)
    if grouped is None or grouped.dtype.kind != "f":
        listed = ", ".join(sorted(found)) or "none"
        raise InputError(
            f"{name}: the EXR has no float RGB(A) or Y channels in its first part (found: {listed});"
            " write the beauty pass alone"
        )
    pixels = grouped.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise InputError(f"{name}: holds NaN or infinite values; repair it in your compositor")
    if (size, (x0, y0)) != (pixels.shape[:2], (left, top)):
        # Compositors crop the data window; the frame is the display window.
        frame = np.zeros((*size, *pixels.shape[2:]), np.float32)
        ys, xs = slice(max(y0, top), min(y1, bottom) + 1), slice(max(x0, left), min(x1, right) + 1)
        shifted = (slice(ys.start - top, ys.stop - top), slice(xs.start - left, xs.stop - left))
        if ys.start < ys.stop and xs.start < xs.stop:
            frame[ys.start - y0 : ys.stop - y0, xs.start - x0 : xs.stop - x0] = pixels[shifted]
        pixels = frame
    if pixels.ndim == 3 and pixels.shape[2] == 4:  # EXR colours are premultiplied by convention
        pixels[..., :3] = _unpremultiply(pixels[..., :3], pixels[..., 3])
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 1:
        warnings.warn(
            f"{name}: HDR values from {low:.3g} to {high:.3g} are clipped to [0, 1]",
            MEMatteWarning,
            4,
        )
        pixels = pixels.clip(0.0, 1.0)
    return Decoded(pixels, linear=True)


_DECODERS: dict[str, Callable[[bytes, str, int], Decoded]] = {
    "PNG": _decode_png,
    "TIFF": _decode_tiff,
    "EXR": _decode_exr,
    **{fmt: _decode_pil(fmt) for fmt in ("JPEG", "WEBP", "GIF", "BMP", "AVIF")},
}


# ---- helpers -------------------------------------------------------------------------------------


def _check_size(height: int, width: int, name: str, max_pixels: int) -> None:
    if height < 1 or width < 1:
        raise InputError(f"{name}: is {width}×{height}, without a single pixel; give a picture")
    if height * width > max_pixels:
        raise InputError(
            f"{name}: claims {width}×{height} = {height * width / 1e6:.0f} megapixels, more than the"
            f" limit of {max_pixels / 1e6:.0f}; scale it down or raise max_pixels"
        )


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
    if im.has_transparency_data:
        im = im.convert("RGBA")
    elif im.mode not in ("L", "RGB"):
        im = im.convert("RGB")
    if space == b"RGB ":
        return im, icc
    if icc:
        warnings.warn(f"{name}: its ICC profile is not for RGB and is left out", MEMatteWarning, 6)
    return im, None


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


def _drop_foreign_icc(decoded: Decoded, name: str) -> Decoded:
    if decoded.icc_profile and decoded.icc_profile[16:20] != b"RGB ":
        warnings.warn(f"{name}: its ICC profile is not for RGB and is left out", MEMatteWarning, 6)
        decoded.icc_profile = None
    return decoded


def _wide_pil(im: Image.Image, name: str) -> np.ndarray:
    """Pillow's modes of more than 8 bits: I;16* and F as they are, I if it fits 16 bits."""
    values = np.asarray(im)
    if im.mode == "F" or values.dtype == np.uint16:
        return values
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise InputError(f"{name}: 32-bit values from {low} to {high}; save it with 8 or 16 bits")
    return values.astype(np.uint16)


def _rgb_order(pixels: np.ndarray | None) -> np.ndarray:
    if pixels is None:
        raise ValueError("the decoder gave up")
    if pixels.ndim == 2:
        return pixels
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return np.ascontiguousarray(pixels[..., order])


def _unpremultiply(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    top = 1.0 if colour.dtype.kind == "f" else float(np.iinfo(colour.dtype).max)
    safe = np.where(alpha > 0, alpha, 1).astype(np.float64)[..., None]
    straight = np.where(alpha[..., None] > 0, colour * (top / safe), 0)
    if colour.dtype.kind != "f":
        straight = np.rint(straight.clip(0, top))
    return straight.astype(colour.dtype)


def _upright(decoded: Decoded, orientation: int) -> Decoded:
    """Undo the camera's rotation: EXIF/TIFF orientation 1 to 8; anything else is taken as 1."""
    turn: Callable[[np.ndarray], np.ndarray] | None = {
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.swapaxes(a, 0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
        8: np.rot90,
    }.get(orientation)
    if turn is not None:
        decoded.pixels = np.ascontiguousarray(turn(decoded.pixels))
        if orientation >= 5 and decoded.dpi:
            decoded.dpi = decoded.dpi[::-1]
    return decoded


def _clean_dpi(dpi: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(v) for v in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."
