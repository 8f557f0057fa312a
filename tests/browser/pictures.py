"""Photographs of every kind that people bring, made from the one that comes with the package."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mematte_plugin import write_image

EXAMPLES = Path(__file__).parents[2] / "mematte_plugin" / "examples"
ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held."""


@dataclass(frozen=True)
class Case:
    """A photo and its rough subjects."""

    photo: Path
    """The photograph."""
    trimap: Path
    """Of the same size once upright."""
    mask: Path
    """The same."""
    size: tuple[int, int]
    """(width, height), upright."""


def astronaut() -> Case:
    """512 × 512, 8 bit, JPEG."""
    names = ("astronaut.jpg", "astronaut_trimap.png", "astronaut_mask.png")
    return Case(*(EXAMPLES / name for name in names), size=(512, 512))


def enlarged(folder: Path, name: str, size: tuple[int, int]) -> Case:
    """A JPEG as a phone writes it, upright."""
    case = _guides(folder, name, size)
    _photo(size).save(case.photo, quality=92)
    return case


def rotated(folder: Path, name: str, size: tuple[int, int]) -> Case:
    """A JPEG whose pixels lie on their side, as EXIF says; `size` is the upright one."""
    case = _guides(folder, name, size)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise by a quarter
    _photo(size).transpose(Image.Transpose.ROTATE_90).save(case.photo, quality=92, exif=exif)
    return case


def deep(folder: Path, name: str, size: tuple[int, int]) -> Case:
    """A 16-bit PNG that uses its low bits."""
    case = _guides(folder, name, size, suffix=".png")
    pixels = np.asarray(_photo(size)).astype(np.uint16) * 257  # (H, W, 3)
    noise = np.random.default_rng(0).integers(0, 257, pixels.shape, np.uint16)
    write_image(case.photo, np.minimum(pixels, 65535 - 256) + noise, bits=16)
    return case


def bomb(path: Path, width: int, height: int) -> Path:
    """A small grey PNG that claims to be huge, and is: zeros compress well."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    return path


def _photo(size: tuple[int, int]) -> Image.Image:
    return _fitted(EXAMPLES / "astronaut.jpg", "RGB", size, Image.Resampling.BICUBIC)


def _guides(folder: Path, name: str, size: tuple[int, int], suffix: str = ".jpg") -> Case:
    """Writes trimap and mask; the photo is still to be written."""
    case = Case(
        folder / f"{name}{suffix}", folder / f"{name}_trimap.png", folder / f"{name}_mask.png", size
    )
    for target, source in ((case.trimap, "astronaut_trimap"), (case.mask, "astronaut_mask")):
        _fitted(EXAMPLES / f"{source}.png", "L", size, Image.Resampling.NEAREST).save(target)
    return case


def _fitted(path: Path, mode: str, size: tuple[int, int], how: Image.Resampling) -> Image.Image:
    """A picture's middle in the shape of `size`, enlarged to it."""
    with Image.open(path) as picture:
        whole = picture.convert(mode)
    scale = min(whole.width / size[0], whole.height / size[1])
    width, height = size[0] * scale, size[1] * scale
    left, top = (whole.width - width) / 2, (whole.height - height) / 2
    return whole.resize(size, how, box=(left, top, left + width, top + height))
