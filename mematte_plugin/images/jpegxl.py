"""JPEG XL: its header, and its pixels by pillow-jxl-plugin and, above 8 bits, imagecodecs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError, warn_user
from .bmff import boxes
from .decoded import FORMATS_PIP, Decoded, Header, check_size, drop_foreign_icc, scaled_bits

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))
_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"


@dataclass(frozen=True)
class _Stream:
    """What the codestream says of its picture (ISO 18181-1, annex D)."""

    height: int
    width: int
    orientation: int
    bits: int
    floating: bool
    animated: bool

    @property
    def upright(self) -> tuple[int, int]:
        """(H, W) once it is turned."""
        turned = self.orientation >= 5
        return (self.width, self.height) if turned else (self.height, self.width)

    @property
    def depth(self) -> int:
        """Bytes of a value once it is decoded."""
        return 4 if self.floating else 2 if self.bits > 8 else 1


def read_jxl_header(file: BinaryIO, name: str) -> Header:
    """Size, upright, and depth of a JPEG XL picture; nothing is decoded."""
    stream = _stream(file.read(), name)
    return Header(*stream.upright, stream.depth)


def decode_jxl(data: bytes, name: str, max_pixels: int) -> Decoded:
    """The first frame, which libjxl has turned upright, in its own depth."""
    stream = _stream(data, name)
    check_size(*stream.upright, name, max_pixels)
    try:
        import pillow_jxl
    except ImportError as error:
        raise InputError(
            f"{name}: is a JPEG XL picture; reading it needs pillow-jxl-plugin: {FORMATS_PIP}"
            " (or export it as PNG)"
        ) from error
    try:
        packed_jpeg, info, plain, icc, *_ = pillow_jxl.Decoder(num_threads=1)(data)
    except RuntimeError as error:  # whose text only helps those who build libjxl
        raise InputError(
            f"{name}: the JPEG XL picture is damaged or cut off; copy or export it again"
        ) from error
    if packed_jpeg:
        from .decode import decode

        return decode(bytes(plain), name, max_pixels=max_pixels)
    if stream.animated:
        warn_user(f"{name}: is animated; its first frame is used")
    if stream.depth == 1 and not stream.animated:
        pixels = np.frombuffer(plain, np.uint8).reshape(int(info.height), int(info.width), -1)
    else:
        pixels = _deep(data, name)
        pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[:2] != stream.upright or pixels.shape[2] > 4:
        raise InputError(
            f"{name}: its header says {stream.upright[1]}×{stream.upright[0]} pixels, they come as"
            f" {pixels.shape}; export it again"
        )
    if pixels.dtype.kind == "u":
        pixels = scaled_bits(pixels, stream.bits)
    if pixels.shape[2] == 2:
        pixels = np.dstack([pixels[..., :1]] * 3 + [pixels[..., 1:]])
    pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return drop_foreign_icc(Decoded(np.array(pixels, order="C"), bytes(icc) if icc else None), name)


def _deep(data: bytes, name: str) -> np.ndarray:
    try:
        import imagecodecs
    except ImportError as error:
        raise InputError(
            f"{name}: is a JPEG XL picture of more than 8 bits, or animated; reading it needs"
            f" imagecodecs: {FORMATS_PIP}"
        ) from error
    pixels = np.asarray(imagecodecs.jpegxl_decode(data, index=0))
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


def _stream(data: bytes, name: str) -> _Stream:
    bits = _Bits(_codestream(data)[2:64])
    height, width = _size(bits)
    orientation, depth, floating, animated = 1, 8, False, False
    if not bits.take(1):  # not all as usual
        if bits.take(1):
            orientation = 1 + bits.take(3)
            if bits.take(1):
                _size(bits)
            if bits.take(1):
                _skip_preview(bits)
            animated = bool(bits.take(1))
            if animated:
                _skip_animation(bits)
        floating = bool(bits.take(1))
        depth = bits.choice(32, 16, 24, (1, 6)) if floating else bits.choice(8, 10, 12, (1, 6))
    if depth > 16 and not floating:
        raise InputError(f"{name}: is a JPEG XL picture of {depth} bits; save it with 16")
    return _Stream(height, width, orientation, depth, floating, animated)


def _codestream(data: bytes) -> bytes:
    """The beginning of the bare codestream, which may lie in boxes, in parts."""
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


def _skip_preview(bits: _Bits) -> None:
    eighths = bits.take(1)
    sides: Any = (16, 32, (1, 5), (33, 9)) if eighths else ((1, 6), (65, 8), (321, 10), (1345, 12))
    bits.choice(*sides)
    if not bits.take(3):
        bits.choice(*sides)


def _skip_animation(bits: _Bits) -> None:
    bits.choice(100, 1000, (1, 10), (1, 30))
    bits.choice(1, 1001, (1, 8), (1, 10))
    bits.choice(0, (0, 3), (0, 16), (0, 32))
    bits.take(1)
