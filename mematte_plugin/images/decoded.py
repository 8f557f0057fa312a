"""What every decoder needs: the result type, size limit, orientation, straight alpha."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ..errors import InputError, warn_user
from .colour_tags import Told
from .profiles import for_rgb

MAX_PIXELS = 300_000_000
"""Largest picture that is decoded, by its header: every camera fits (8K is 33 MP), no bomb does."""

FORMATS_PIP = 'pip install "mematte-plugin[formats]"'
"""What brings the readers of TIFF's rarer compressions, HEIC, deep AVIF, JPEG XL and camera raw."""

ORIENTATION_TAG = 0x0112
"""The EXIF and TIFF tag."""

STRAIGHT_ALPHA = "oiio:UnassociatedAlpha"
"""The attribute by which an EXR says that its colours are not premultiplied (OpenImageIO's)."""

HALF_MAX = 65504.0
"""The largest half float."""

Role: TypeAlias = Literal["photo", "mask", "trimap", "background"]
"""What a picture is for."""

_UNSUPPORTED = re.compile(
    r"(?i)unsupported|not (supported|implemented|available|a known)|requires the '|"
    r"unknown (data|raw|pixel|compression)"
)

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Decoded:
    """One decoded picture, upright.

    pixels: (H, W), (H, W, 3) or (H, W, 4), uint8, uint16 or float32; alpha is straight.
    icc_profile: the profile the colours are meant in; None for sRGB or unknown.
    dpi: dots per inch, (horizontal, vertical).
    linear: the colours are scene-linear light (EXR).
    told: what the file says of its colours otherwise than by a profile.
    borrowed: the pixels may be memory of the caller's array or tensor, which may change.
    indices: (H, W) uint8, of a picture with a palette: which of its colours; they may be labels.
    lossy: it comes from a format that changes values a little (JPEG).
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    linear: bool = False
    borrowed: bool = False
    told: Told | None = None
    indices: np.ndarray | None = None
    lossy: bool = False


@dataclass(frozen=True)
class Header:
    """What a file says of its picture."""

    height: int
    """H in pixels, upright."""
    width: int
    """W in pixels, upright."""
    depth: int
    """Bytes of one colour value once it is decoded: 1, 2 or 4."""


def check_size(height: int, width: int, name: str, max_pixels: int) -> None:
    """Refuse what has no pixels or, by its header, more than the limit."""
    if height < 1 or width < 1:
        raise InputError(f"{name}: is {width}×{height}, without a single pixel; give a picture")
    if height * width > max_pixels:
        # Whoever set another limit knows how; those who meet it in a front end cannot.
        hint = " (or in Python: read_photo(…, max_pixels=…))" if max_pixels == MAX_PIXELS else ""
        raise InputError(
            f"{name}: claims {width}×{height} pixels, {height * width / 1e6:.0f} megapixels; the"
            f" limit is {max_pixels / 1e6:.0f}: crop it or scale it down first{hint}"
        )


def upright(decoded: Decoded, orientation: int) -> Decoded:
    """Undo the camera's rotation: EXIF/TIFF orientation 1 to 8; anything else is taken as 1."""
    turns: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.swapaxes(a, 0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
        8: np.rot90,
    }
    turn = turns.get(orientation)
    if turn is not None:
        decoded.pixels = np.ascontiguousarray(turn(decoded.pixels))
        if decoded.indices is not None:
            decoded.indices = np.ascontiguousarray(turn(decoded.indices))
        if orientation >= 5 and decoded.dpi:
            decoded.dpi = decoded.dpi[::-1]
    return decoded


def unpremultiply(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Straight colours, 0 where alpha is 0; same dtype, integers rounded.

    Where it is 0 everywhere the colours stay: then nobody has filled it in.
    """
    if not alpha.any():
        return colour
    top = 1.0 if colour.dtype.kind == "f" else float(np.iinfo(colour.dtype).max)
    safe = np.where(alpha > 0, alpha, 1).astype(np.float64)[..., None]
    straight = np.where(alpha[..., None] > 0, colour * (top / safe), 0)
    if colour.dtype.kind != "f":
        straight = np.rint(straight.clip(0, top))
    return straight.astype(colour.dtype)


def finite(pixels: np.ndarray, stored: np.dtype[Any], name: str) -> np.ndarray:
    """The pixels, where half floats overflowed their largest value; with a warning.

    stored: the file's samples. Raises InputError for NaN, and for infinite values of other types.
    """
    infinite = int(np.count_nonzero(np.isinf(pixels)))
    bad = int(np.count_nonzero(np.isnan(pixels)))
    if bad or (infinite and stored != np.float16):
        raise InputError(
            f"{name}: holds {bad + infinite} NaN or infinite values; repair it in your compositor"
        )
    if infinite:
        warn_user(
            f"{name}: {infinite} values are beyond what half floats hold; {HALF_MAX:.0f} is used"
        )
        pixels = pixels.clip(-HALF_MAX, HALF_MAX)
    return pixels


def rgb_order(pixels: np.ndarray | None) -> np.ndarray:
    """OpenCV's BGR(A) as RGB(A)."""
    if pixels is None:
        raise ValueError("the decoder gave up")
    if pixels.ndim == 2:
        return pixels
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return np.ascontiguousarray(pixels[..., order])


def scaled_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Unsigned values of so many bits over the whole range of uint8, uint16 or uint32."""
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if bits in (8, 16) or bits > 16:
        return values
    whole = 255 if bits < 8 else 65535
    steps = (1 << bits) - 1
    table = (np.arange(steps + 1, dtype=np.uint32) * whole + steps // 2) // steps
    kind = np.uint8 if bits < 8 else np.uint16
    return np.asarray(table.astype(kind)[np.minimum(values, steps)])


def clean_dpi(dpi: Any) -> tuple[float, float] | None:
    """Two sane numbers or None, from whatever the metadata held."""
    try:
        x, y = (float(v) for v in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def drop_foreign_icc(decoded: Decoded, name: str) -> Decoded:
    """Only an RGB profile may travel with RGB pixels: a grey one becomes one for three channels."""
    icc = decoded.icc_profile
    if icc and icc[16:20] != b"RGB ":
        decoded.icc_profile = for_rgb(icc) if icc[16:20] == b"GRAY" else None
        if decoded.icc_profile is None:
            # Not worth a warning: many are on trimaps and masks, which are no colours.
            logger.info("%s: its ICC profile is not for RGB and is left out", name)
    return decoded


def to_unit(array: np.ndarray) -> np.ndarray:
    """Any shape of uint8, uint16, bool or float as float32 in [0, 1]."""
    unit: np.ndarray = array.astype(np.float32)
    if array.dtype.kind == "u":
        unit /= np.float32(np.iinfo(array.dtype).max)
    return unit


def is_unsupported(error: BaseException) -> bool:
    """A decoder refuses a kind of file that it does not know, and does not speak of damage."""
    return isinstance(error, NotImplementedError) or bool(_UNSUPPORTED.search(str(error)))


def short(error: BaseException) -> str:
    """What a decoder says, for the middle of a sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."
