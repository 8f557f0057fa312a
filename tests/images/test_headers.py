"""Headers tell what decoding would: size upright, and depth."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.errors import InputError
from mematte_plugin.images.decode import read_header
from mematte_plugin.images.decoded import Header
from mematte_plugin.images.encode import write_image
from mematte_plugin.images.read import read_photo

RNG = np.random.default_rng(0)
EIGHT = RNG.integers(0, 256, (20, 30, 3), np.uint8)
SIXTEEN = EIGHT.astype(np.uint16) * 257
FLOAT = EIGHT.astype(np.float32) / 255


@pytest.mark.parametrize(
    ("name", "pixels", "bits"),
    [
        ("a.png", EIGHT, 8),
        ("a.png", SIXTEEN, 16),
        ("a.jpg", EIGHT, 8),
        ("a.webp", EIGHT, 8),
        ("a.tif", EIGHT, 8),
        ("a.tif", SIXTEEN, 16),
        ("a.tif", FLOAT, 32),
        ("a.exr", FLOAT, 32),
    ],
)
def test_the_header_agrees_with_the_decoded_picture(tmp_path, name, pixels, bits):
    if name.endswith(".exr"):
        pytest.importorskip("OpenEXR")
    path = tmp_path / name
    write_image(path, pixels, bits=bits)
    photo = read_photo(path)
    assert read_header(path) == Header(20, 30, photo.pixels.dtype.itemsize)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_photograph_on_its_side_is_upright(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(EIGHT).save(path, exif=exif)
    assert read_photo(path).size == (30, 20)
    assert read_header(path) == Header(30, 20, 1)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_exif_of_a_png_may_lie_behind_its_pixels(tmp_path, dtype, behind):
    path = tmp_path / "a.png"
    write_image(path, (EIGHT if dtype == np.uint8 else SIXTEEN), bits=8 * np.dtype(dtype).itemsize)
    exif = Image.Exif()
    exif[274] = 6
    body = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = path.read_bytes()
    at = len(data) - 12 if behind else 33
    path.write_bytes(data[:at] + chunk + data[at:])
    assert read_photo(path).size == (30, 20)
    assert read_header(path) == Header(30, 20, np.dtype(dtype).itemsize)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_pixels_are_not_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(RNG.integers(0, 256, (200, 300, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 10])
    with pytest.raises(InputError, match="cut off"):
        read_photo(path)
    assert read_header(path) == Header(200, 300, 1)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello, this is text", "text, not an image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "copy or export it again"),
        (b"II*\0" + b"\0" * 20, "a.bin: .* again"),
        (b"RIFF\0\0\0\0WEBP" + b"\0" * 20, "a.bin: .* again"),
        (b"v/1\x01" + b"\0" * 20, "a.bin: "),
    ],
)
def test_a_broken_header_is_one_clear_error(tmp_path, data, says):
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    with pytest.raises(InputError, match=says):
        read_header(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_header(tmp_path / "a.png")
    with pytest.raises(InputError, match="folder"):
        read_header(tmp_path)


def test_more_pixels_than_allowed(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(EIGHT).save(path)
    with pytest.raises(InputError, match="30×20"):
        read_header(path, max_pixels=599)
