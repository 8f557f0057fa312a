"""JPEG XL: its header, and its pixels by pillow-jxl-plugin and, above 8 bits, imagecodecs."""

from __future__ import annotations

import numpy as np

from ..errors import InputError, warn_user
from .arrays import scaled_bits
from .bmff import boxes
from .decoded import Decoded, Header, Reading, ReadOptions, check_shape, with_rgb_profile
from .pillow import from_pil, open_pil
from .refusals import library

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))
_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"


def read_jxl(data: bytes, name: str, options: ReadOptions) -> Reading:
    """The first frame, which libjxl has turned upright, in its own depth."""
    header, bits, animated = _read_header(data, name)
    yield header
    pillow_jxl = library(
        "pillow_jxl", name, "JPEG XL picture", "pillow-jxl-plugin", " (or export it as PNG)"
    )
    try:
        packed_jpeg, info, plain, icc, *_ = pillow_jxl.Decoder(num_threads=1)(data)
    except RuntimeError as error:  # whose text only helps those who build libjxl
        raise ValueError("libjxl cannot decode it") from error
    if packed_jpeg:
        return from_pil(open_pil("JPEG", bytes(plain), name), name)
    if animated:
        warn_user(f"{name}: is animated; its first frame is used")
    if header.depth == 1 and not animated:
        pixels = np.frombuffer(plain, np.uint8).reshape(int(info.height), int(info.width), -1)
    else:
        pixels = _deep(data, name)
    check_shape(pixels, header.height, header.width, name)
    if pixels.shape[2] > 4:
        raise ValueError(f"decoded as {pixels.shape}")
    if pixels.dtype.kind == "u":
        pixels = scaled_bits(pixels, bits)
    if pixels.shape[2] == 2:
        pixels = np.dstack([pixels[..., :1]] * 3 + [pixels[..., 1:]])
    pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    found = Decoded(np.array(pixels, order="C"), bytes(icc) if icc else None)
    return with_rgb_profile(found, name)


def _deep(data: bytes, name: str) -> np.ndarray:
    kind = "JPEG XL picture of more than 8 bits, or animated"
    imagecodecs = library("imagecodecs", name, kind, "imagecodecs")
    pixels = np.asarray(imagecodecs.jpegxl_decode(data, index=0))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels.astype(np.float32) if pixels.dtype.kind == "f" else pixels


# ---- the header ----------------------------------------------------------------------------------


class _Bits:
    """Numbers from a codestream, lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the header ends too early")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value

    def choice(self, *options: int | tuple[int, int]) -> int:
        """One of four: a number, or an offset and how many bits to add."""
        option = options[self.take(2)]
        return option if isinstance(option, int) else option[0] + self.take(option[1])


def _read_header(data: bytes, name: str) -> tuple[Header, int, bool]:
    """The header, upright, the bits of a sample, and whether it is animated.

    After ISO 18181-1, annex D.
    """
    bits = _Bits(_codestream(data)[2:64])
    height, width = _size(bits)
    orientation, depth, floating, animated = 1, 8, False, False
    if not bits.take(1):  # not all as usual
        if bits.take(1):
            orientation = 1 + bits.take(3)
            if bits.take(1):
                _size(bits)
            if bits.take(1):
                raise NotImplementedError("it has a preview")
            animated = bool(bits.take(1))
            if animated:
                _skip_animation(bits)
        floating = bool(bits.take(1))
        depth = bits.choice(32, 16, 24, (1, 6)) if floating else bits.choice(8, 10, 12, (1, 6))
    if depth > 16 and not floating:
        raise InputError(f"{name}: is a JPEG XL picture of {depth} bits; save it with 16")
    if orientation >= 5:
        height, width = width, height
    header = Header(height, width, 4 if floating else 2 if depth > 8 else 1)
    return header, depth, animated


def _codestream(data: bytes) -> bytes:
    """The beginning of the bare codestream, which may be in boxes, in parts."""
    if not data.startswith(_CONTAINER):
        return data[:64]
    found = b""
    for kind, start, end in boxes(data):
        if kind == b"jxlc":
            return data[start : min(end, start + 64)]
        if kind == b"jxlp":
            found += data[start + 4 : min(end, start + 68)]
            if len(found) >= 64:
                break
    return found


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        return 8 * (1 + bits.take(5)) if small else bits.choice(*_SIDE)

    height = side()
    ratio = bits.take(3)
    if not ratio:
        return height, side()
    over, under = _RATIOS[ratio - 1]
    return height, height * over // under


def _skip_animation(bits: _Bits) -> None:
    bits.choice(100, 1000, (1, 10), (1, 30))
    bits.choice(1, 1001, (1, 8), (1, 10))
    bits.choice(0, (0, 3), (0, 16), (0, 32))
    bits.take(1)
