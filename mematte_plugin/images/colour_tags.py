"""What a file says of its colours other than by an ICC profile.

EXIF, PNG's chunks, the nclx of AVIF and HEIF, TIFF's colorimetry, EXR's attributes. Nothing here
decodes a pixel, and broken metadata counts as none: it must not cost the photograph.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Mapping
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
from .refusals import IgnoreDamage

_WHITE_POINT, _CHROMATICITIES, _TRANSFER_FUNCTION, _ICC = 318, 319, 301, 34675
_BITS = 258
_EXIF_GAMMA = 0xA500
_UNCALIBRATED, _ADOBE = 65535, 2


@dataclass(frozen=True)
class ColourTags:
    """A colour space as a file's tags describe it.

    primaries: chromaticities of red, green, blue and white.
    transfer: the curve from stored values to light, or "pq" or "hlg".
    name: of the profile that says the same.
    narrow: the values run from 16/255 to 235/255 (video levels).
    """

    primaries: Primaries
    transfer: Transfer
    name: str
    narrow: bool = False

    @property
    def is_srgb(self) -> bool:
        """The space of pictures without tags."""
        return self.transfer == SRGB_CURVE and self.primaries.close_to(REC709)


SRGB = ColourTags(REC709, SRGB_CURVE, "sRGB")
ADOBE_RGB = ColourTags(ADOBE, ADOBE_CURVE, "Compatible with Adobe RGB (1998)")


def tags_of_image(im: Image.Image) -> ColourTags | None:
    """What a Pillow image says; None for nothing, or if it has a profile."""
    with IgnoreDamage():
        if im.info.get("icc_profile"):
            return None
        if im.format == "PNG" and "srgb" in im.info:
            return SRGB
        if "gamma" in im.info or "chromaticity" in im.info:
            found = _by_gamma(im.info.get("gamma"), _white_last(im.info.get("chromaticity")))
            if found is not None:
                return found
        return _by_exif(im.getexif())
    return None


def tags_of_png(chunks: Mapping[bytes, bytes]) -> ColourTags | None:
    """What a PNG's chunks say; cICP stands above a profile, which stands above all others."""
    with IgnoreDamage():
        if len(chunks.get(b"cICP", b"")) == 4:
            primaries, transfer, matrix, full = chunks[b"cICP"]
            found = _by_numbers(primaries, transfer, full=bool(full)) if matrix == 0 else None
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
            corners = [value / 100000 for value in struct.unpack(">8i", chunks[b"cHRM"])]
        by_chunks = _by_gamma(gamma, _white_last(corners))
        if by_chunks is not None or b"eXIf" not in chunks:
            return by_chunks
        return _by_exif(exif_of(chunks[b"eXIf"]))
    return None


def tags_of_tiff(data: bytes) -> ColourTags | None:
    """EXIF's word if there is one, else the colorimetry of the TIFF; None if it has a profile."""
    with IgnoreDamage():
        exif = Image.Exif()
        exif.load_from_fp(io.BytesIO(data))
        return None if exif.get(_ICC) else _by_exif(exif) or _by_colorimetry(exif)
    return None


def tags_of_bmff(data: bytes) -> ColourTags | None:
    """The nclx of the primary picture of an AVIF or HEIF, unless it has a profile."""
    with IgnoreDamage():
        own = primary_colours(data)
        if any(kind in (b"prof", b"rICC") for kind, _ in own):
            return None
        for kind, body in own:
            if kind == b"nclx" and len(body) >= 6:
                return _by_numbers(*struct.unpack_from(">HH", body))  # decoders undo video levels
    return None


def tags_of_bmp(data: bytes) -> ColourTags | None:
    """End points and gamma of a calibrated BMP of version 4 or 5."""
    with IgnoreDamage():
        (size,) = struct.unpack_from("<I", data, 14)
        if size < 108 or struct.unpack_from("<I", data, 70)[0] != 0:
            return None
        ends = np.array(struct.unpack_from("<9i", data, 74), float).reshape(3, 3) / 2**30
        gammas = [value / 65536 for value in struct.unpack_from("<3I", data, 110)]
        if (ends.sum(axis=1) <= 0).any() or not all(0.2 < gamma < 5 for gamma in gammas):
            return None
        pairs = [xyz[:2] / xyz.sum() for xyz in (*ends, ends.sum(axis=0))]
        primaries = Primaries.of(np.ravel(pairs))
        return None if primaries is None else _by_gamma(1 / gammas[1], primaries.numbers)
    return None


def tags_of_exr(header: Mapping[str, Any]) -> ColourTags | None:
    """What an EXR's header says; None for nothing, which means linear Rec. 709."""
    for key in ("colorInteropID", "oiio:ColorSpace"):
        name = space_name(str(header.get(key, "")))
        if name is not None:
            return ColourTags(*INPUT_SPACES[name], name)
    if "chromaticities" in header:
        return _linear(Primaries.of(header["chromaticities"]))
    if header.get("acesImageContainerFlag"):
        return ColourTags(AP0, LINEAR, "aces2065-1")
    return None


def tags_of_radiance(head: bytes) -> ColourTags | None:
    """The PRIMARIES of a Radiance picture's header; None for none, which means Rec. 709."""
    found = re.search(rb"^PRIMARIES\s*=\s*([-+.\d\seE]+)$", head, re.MULTILINE)
    return None if found is None else _linear(Primaries.of(found[1].split()))


def _linear(primaries: Primaries | None) -> ColourTags | None:
    return None if primaries is None else ColourTags(primaries, LINEAR, "linear")


def exif_of(stored: bytes) -> Image.Exif:
    """The EXIF of a PNG's eXIf chunk."""
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + stored.removeprefix(b"Exif\0\0"))
    return exif


# ---- EXIF and TIFF -------------------------------------------------------------------------------


def _by_exif(exif: Image.Exif) -> ColourTags | None:
    """EXIF's ColorSpace and, if that is uncalibrated, whatever else names the space."""
    ifd: dict[int, Any] = {}
    interop: dict[int, Any] = {}
    with IgnoreDamage():
        ifd = exif.get_ifd(ExifTags.IFD.Exif)
        if ExifTags.IFD.Interop in ifd:
            interop = exif.get_ifd(ExifTags.IFD.Interop)
    space, index = ifd.get(ExifTags.Base.ColorSpace), interop.get(1, "")
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
    return ColourTags(primaries, Curve(float(gamma)), "By EXIF")


def _by_colorimetry(exif: Image.Exif) -> ColourTags | None:
    """TIFF's white point, chromaticities and transfer function."""
    white, corners = exif.get(_WHITE_POINT), exif.get(_CHROMATICITIES)
    table = exif.get(_TRANSFER_FUNCTION)
    if corners is None and table is None:
        return None
    primaries: Primaries | None = REC709
    if corners is not None:
        primaries = Primaries.of([*corners, *(white or REC709.white)])
    if primaries is None:
        return None
    curve: Curve | Table = SRGB_CURVE
    if table is not None:
        bits = exif.get(_BITS)
        length = 1 << int(bits[0] if isinstance(bits, tuple) else bits or 8)
        points = np.asarray(table, float)[:length] / 65535  # of red, which the others follow
        if len(points) == length and points[-1] > points[0] and (np.diff(points) >= 0).all():
            grid = np.linspace(0, length - 1, 1024)
            curve = _known(np.interp(grid, np.arange(length), points))
    return ColourTags(primaries, curve, "By TIFF colorimetry")


def _known(points: np.ndarray) -> Curve | Table:
    """The formula of a curve that a table lists, if it is a common one."""
    grid = np.linspace(0, 1, len(points))
    for curve in (LINEAR, SRGB_CURVE, Curve(2.2), Curve(1.8), ADOBE_CURVE):
        if np.abs(curve.decode(grid) - points).max() < 1e-3:
            return curve
    return Table(tuple(float(v) for v in points))


# ---- numbers -------------------------------------------------------------------------------------


def _white_last(corners: Any) -> tuple[float, ...] | None:
    """PNG's cHRM has the white in front."""
    return None if corners is None else (*corners[2:], *corners[:2])


def _by_gamma(gamma: float | None, corners: Any) -> ColourTags | None:
    """gAMA (the power that encodes) and cHRM, of which one may be missing."""
    primaries = REC709 if corners is None else Primaries.of(corners)
    if primaries is None or primaries.close_to(REC709):
        primaries = REC709
    if gamma is not None and not 0.1 <= gamma <= 5:
        gamma = None
    if gamma is None and corners is None:
        return None
    # 0.45455 stands for sRGB's curve in files for readers that know gAMA only.
    if gamma is None or abs(gamma - 0.45455) < 0.0005:
        curve = SRGB_CURVE if primaries is REC709 or gamma is None else Curve(2.2)
    else:
        curve = Curve(1 / gamma)
    if primaries.close_to(ADOBE) and curve != SRGB_CURVE and abs(curve.gamma - 2.2) < 0.002:
        return ADOBE_RGB
    return ColourTags(primaries, curve, f"Gamma {curve.gamma:.4g} by gAMA and cHRM")


def _by_numbers(primaries: int, transfer: int, *, full: bool = True) -> ColourTags | None:
    """By the numbers of ITU-T H.273; None if one of them is unknown or unspecified."""
    if primaries == 2 and transfer == 2:
        return None
    corners = H273_PRIMARIES.get(1 if primaries == 2 else primaries)
    curve = H273_TRANSFER.get(13 if transfer == 2 else transfer)
    if corners is None or curve is None:
        return None
    names = {(12, 13): "Display P3", (1, 13): "sRGB", (9, 16): "Rec. 2100 PQ"}
    name = names.get((primaries, transfer), f"Primaries {primaries}, transfer {transfer} (H.273)")
    return ColourTags(corners, curve, name, narrow=not full)
