"""What a file says of its colours otherwise than by an ICC profile.

EXIF, PNG's chunks, the nclx of AVIF and HEIF, TIFF's colorimetry, EXR's attributes. Nothing here
decodes a pixel, and what is broken counts as not said: it must not cost the photograph.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from .bmff import primary_colours
from .colour_spaces import (
    ADOBE,
    ADOBE_CURVE,
    AP0,
    H273_PRIMARIES,
    H273_TRANSFER,
    INPUT_SPACES,
    LINEAR,
    REC709,
    SRGB_CURVE,
    Curve,
    Primaries,
    Table,
    Transfer,
    space_name,
)

_WHITE_POINT, _CHROMATICITIES, _TRANSFER_FUNCTION = 318, 319, 301
_EXIF_GAMMA = 0xA500
_UNCALIBRATED, _ADOBE = 65535, 2


@dataclass(frozen=True)
class Told:
    """Colours as a file's tags tell them.

    primaries: chromaticities of red, green, blue and white.
    transfer: the curve from stored values to light, or "pq" or "hlg".
    name: what the profile that says the same is called.
    narrow: the values run from 16/255 to 235/255 (video levels).
    """

    primaries: Primaries
    transfer: Transfer
    name: str
    narrow: bool = False

    @property
    def is_srgb(self) -> bool:
        """What is assumed where nothing is said."""
        return self.transfer == SRGB_CURVE and self.primaries.close_to(REC709)

    @property
    def is_linear(self) -> bool:
        """Light itself."""
        return self.transfer == LINEAR


SRGB = Told(REC709, SRGB_CURVE, "sRGB")
ADOBE_RGB = Told(ADOBE, ADOBE_CURVE, "Compatible with Adobe RGB (1998)")


def told_by(data: bytes) -> Told | None:
    """What an image file says, by its first bytes' format; None for nothing.

    None, too, where a profile says more: PNG's cICP stands above its iCCP, everything else below.
    """
    try:
        parser = next((parse for at, magic, parse in _PARSERS if data.startswith(magic, at)), None)
        return None if parser is None else parser(data)
    except Exception:  # of any parser: then it is not said
        return None


def told_by_image(im: Image.Image) -> Told | None:
    """What a Pillow image says beside its profile; None for nothing."""
    try:
        if im.info.get("icc_profile"):
            return None
        if im.format == "PNG" and "srgb" in im.info:
            return SRGB
        if "gamma" in im.info or "chromaticity" in im.info:
            corners = im.info.get("chromaticity")
            found = _gamma(
                im.info.get("gamma"), None if corners is None else (*corners[2:], *corners[:2])
            )
            if found is not None:
                return found
        return _exif(im.getexif())
    except Exception:
        return None


def told_by_exr(header: Mapping[str, Any]) -> Told | None:
    """What an EXR's header says; None for nothing, which means linear Rec. 709."""
    for key in ("colorInteropID", "oiio:ColorSpace"):
        name = space_name(str(header.get(key, "")))
        if name is not None:
            return Told(*INPUT_SPACES[name], name)
    if "chromaticities" in header:
        primaries = Primaries.of(header["chromaticities"])
        return None if primaries is None else Told(primaries, LINEAR, "linear")
    if header.get("acesImageContainerFlag"):
        return Told(AP0, LINEAR, "aces2065-1")
    return None


# ---- EXIF and TIFF -------------------------------------------------------------------------------


def _exif(exif: Image.Exif) -> Told | None:
    """EXIF's ColorSpace and, where that is uncalibrated, what else tells the space."""
    ifd = _sub(exif, ExifTags.IFD.Exif)
    space = ifd.get(ExifTags.Base.ColorSpace)
    index = _sub(exif, ExifTags.IFD.Interop).get(1, "")
    if isinstance(index, bytes):
        index = index.decode("latin-1")
    index = str(index).strip("\0 ").upper()
    if space == _ADOBE or (space in (_UNCALIBRATED, None) and index == "R03"):
        return ADOBE_RGB
    if space == 1:
        return SRGB
    white, corners = exif.get(_WHITE_POINT), exif.get(_CHROMATICITIES)
    gamma = ifd.get(_EXIF_GAMMA)
    if space != _UNCALIBRATED or corners is None or white is None or not gamma:
        return None
    primaries = Primaries.of([*corners, *white])
    if primaries is None or not 0.2 < float(gamma) < 5:
        return None
    if primaries.close_to(ADOBE) and abs(float(gamma) - 2.2) < 0.01:
        return ADOBE_RGB
    return Told(primaries, Curve(float(gamma)), "By EXIF")


def _sub(exif: Image.Exif, which: int) -> dict[int, Any]:
    try:
        if which == ExifTags.IFD.Interop and which not in exif.get_ifd(ExifTags.IFD.Exif):
            return {}
        return exif.get_ifd(which)
    except Exception:
        return {}


def _tiff(data: bytes) -> Told | None:
    """EXIF's word where there is one, else the colorimetry of the TIFF itself."""
    exif = Image.Exif()
    exif.load_from_fp(io.BytesIO(data))
    if exif.get(34675):
        return None
    by_exif = _exif(exif)
    if by_exif is not None:
        return by_exif
    white, corners = exif.get(_WHITE_POINT), exif.get(_CHROMATICITIES)
    table = exif.get(_TRANSFER_FUNCTION)
    if corners is None and table is None:
        return None
    primaries = REC709
    if corners is not None:
        found = Primaries.of([*corners, *(white or REC709.white)])
        if found is None:
            return None
        primaries = found
    curve: Curve | Table = SRGB_CURVE
    if table is not None:
        bits = exif.get(258)
        depth = int(bits[0] if isinstance(bits, tuple) else bits or 8)
        length = 1 << depth
        points = np.asarray(table, float)[:length] / 65535  # of red, which the others follow
        if len(points) == length and points[-1] > points[0] and (np.diff(points) >= 0).all():
            grid = np.linspace(0, length - 1, 1024)
            curve = _known(np.interp(grid, np.arange(length), points))
    return Told(primaries, curve, "By TIFF colorimetry")


def _known(points: np.ndarray) -> Curve | Table:
    """A curve by formula where a table only lists one."""
    grid = np.linspace(0, 1, len(points))
    for curve in (LINEAR, SRGB_CURVE, Curve(2.2), Curve(1.8), ADOBE_CURVE):
        if np.abs(curve.decode(grid) - points).max() < 1e-3:
            return curve
    return Table(tuple(float(v) for v in points))


# ---- PNG -----------------------------------------------------------------------------------------


def _png(data: bytes) -> Told | None:
    chunks = dict(_chunks(data))
    if len(chunks.get(b"cICP", b"")) == 4:
        primaries, transfer, matrix, full = chunks[b"cICP"]
        found = _cicp(primaries, transfer, full=bool(full)) if matrix == 0 else None
        if found is not None:
            return found
    if b"iCCP" in chunks:
        return None
    if b"sRGB" in chunks:
        return SRGB
    gamma = corners = None
    if len(chunks.get(b"gAMA", b"")) == 4:
        gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 100000
    if len(chunks.get(b"cHRM", b"")) == 32:
        values = [value / 100000 for value in struct.unpack(">8i", chunks[b"cHRM"])]
        corners = (*values[2:], *values[:2])
    by_chunks = _gamma(gamma, corners)
    if by_chunks is not None or b"eXIf" not in chunks:
        return by_chunks
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + chunks[b"eXIf"].removeprefix(b"Exif\0\0"))
    return _exif(exif)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Those in front of the pixels, and eXIf wherever it is; the first of a name counts."""
    seen: set[bytes] = set()
    at, pixels = 8, False
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        pixels |= kind == b"IDAT"
        if kind not in seen and (not pixels or kind == b"eXIf"):
            seen.add(kind)
            yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _gamma(gamma: float | None, corners: Any) -> Told | None:
    """gAMA (the power that encodes) and cHRM, of which one may be missing."""
    primaries = REC709 if corners is None else Primaries.of(corners)
    if primaries is None:
        primaries = REC709
    if gamma is not None and not 0.1 <= gamma <= 5:
        gamma = None
    if gamma is None and corners is None:
        return None
    if primaries.close_to(REC709):
        primaries = REC709
    # 0.45455 is how sRGB is told to those who know gAMA only.
    if gamma is None or abs(gamma - 0.45455) < 0.0005:
        curve = SRGB_CURVE if primaries is REC709 or gamma is None else Curve(2.2)
    else:
        curve = Curve(1 / gamma)
    if primaries.close_to(ADOBE) and curve != SRGB_CURVE and abs(curve.gamma - 2.2) < 0.002:
        return ADOBE_RGB
    return Told(primaries, curve, f"Gamma {curve.gamma:.4g} by gAMA and cHRM")


def _cicp(primaries: int, transfer: int, *, full: bool = True) -> Told | None:
    """By the numbers of ITU-T H.273; None where one of them is unknown or unspecified."""
    if primaries == 2 and transfer == 2:
        return None
    corners = H273_PRIMARIES.get(1 if primaries == 2 else primaries)
    curve = H273_TRANSFER.get(13 if transfer == 2 else transfer)
    if corners is None or curve is None:
        return None
    names = {(12, 13): "Display P3", (1, 13): "sRGB", (9, 16): "Rec. 2100 PQ"}
    name = names.get((primaries, transfer), f"Primaries {primaries}, transfer {transfer} (H.273)")
    return Told(corners, curve, name, narrow=not full)


# ---- AVIF and HEIF -------------------------------------------------------------------------------


def _isobmff(data: bytes) -> Told | None:
    """The nclx of the primary picture, unless it has a profile."""
    own = primary_colours(data)
    if any(kind in (b"prof", b"rICC") for kind, _ in own):
        return None
    for kind, body in own:
        if kind == b"nclx" and len(body) >= 6:
            primaries, transfer = struct.unpack_from(">HH", body)
            return _cicp(primaries, transfer)  # decoders undo a narrow range
    return None


# ---- Radiance and BMP ----------------------------------------------------------------------------


def told_by_radiance(head: bytes) -> Told | None:
    """The PRIMARIES of a Radiance picture's header; None for none, which means Rec. 709 here."""
    found = re.search(rb"^PRIMARIES\s*=\s*([-+.\d\seE]+)$", head, re.MULTILINE)
    primaries = None if found is None else Primaries.of([float(v) for v in found[1].split()])
    return None if primaries is None else Told(primaries, LINEAR, "linear")


def _bmp(data: bytes) -> Told | None:
    """End points and gamma of a BMP of version 4 or 5 that is calibrated by them."""
    (size,) = struct.unpack_from("<I", data, 14)
    if size < 108 or struct.unpack_from("<I", data, 70)[0] != 0:
        return None
    ends = np.array(struct.unpack_from("<9i", data, 74), float).reshape(3, 3) / 2**30
    gammas = [value / 65536 for value in struct.unpack_from("<3I", data, 110)]
    if (ends.sum(axis=1) <= 0).any() or not all(0.2 < gamma < 5 for gamma in gammas):
        return None
    pairs = [xyz[:2] / xyz.sum() for xyz in (*ends, ends.sum(axis=0))]
    primaries = Primaries.of(np.ravel(pairs))
    if primaries is None:
        return None
    return _gamma(1 / gammas[1], primaries.numbers)


def _by_pillow(data: bytes) -> Told | None:
    """EXIF of JPEG and WebP."""
    Image.init()
    im = Image.OPEN["WEBP" if data[:4] == b"RIFF" else "JPEG"][0](io.BytesIO(data), "")
    return told_by_image(im) if isinstance(im, Image.Image) else None


_PARSERS: tuple[tuple[int, bytes, Callable[[bytes], Told | None]], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", _png),
    (0, b"II*\0", _tiff),
    (0, b"MM\0*", _tiff),
    (0, b"\xff\xd8\xff", _by_pillow),
    (0, b"RIFF", _by_pillow),
    (4, b"ftyp", _isobmff),
    (0, b"BM", _bmp),
)
"""Where a format's first bytes lie, what they are, and who reads its tags."""
