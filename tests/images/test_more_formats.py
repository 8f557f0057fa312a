"""HEIC, AVIF, JPEG XL, Radiance and camera raw: size, depth and turn as the header says, once."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from mematte_plugin.errors import InputError, MEMatteWarning
from mematte_plugin.images.decode import read_header
from mematte_plugin.images.decoded import Header
from mematte_plugin.images.formats import READABLE
from mematte_plugin.images.photo import Photo
from mematte_plugin.images.read import read_photo

from ..fuzz.seeds import dng_bytes, pixels
from ..patience import PATIENCE

SIZE = (48, 64)
DEEP = pixels(*SIZE, 4, dtype=np.uint16)


def read(data: bytes, tmp_path: Path) -> Photo:
    """The photo, after checking that the header tells the same."""
    path = tmp_path / "photo.bin"
    path.write_bytes(data)
    photo = read_photo(path)
    assert read_header(path) == Header(*photo.size, photo.pixels.dtype.itemsize)
    return photo


def colours(photo: Photo) -> np.ndarray:
    return photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])


def corner() -> np.ndarray:
    """White in one corner, which tells eight orientations apart by shape and place."""
    upright = np.zeros((*SIZE, 3), np.uint8)
    upright[:24, :32] = 255
    return upright


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright), 7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }  # fmt: skip
    return np.ascontiguousarray(turned[orientation])


# ---- HEIC ----------------------------------------------------------------------------------------


def heic(array: np.ndarray, **options: Any) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    height, width, channels = array.shape
    mode = "RGBA"[:channels] + (";16" if array.dtype == np.uint16 else "")
    buffer = io.BytesIO()
    image = pillow_heif.from_bytes(mode=mode, size=(width, height), data=array.tobytes())
    image.save(buffer, quality=-1, chroma=444, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("twelve", [False, True])
def test_deep_heic_keeps_its_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, twelve: bool
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", twelve)
    array = np.ascontiguousarray(DEEP[..., :channels])
    found = colours(read(heic(array), tmp_path))
    assert found.dtype == np.uint16
    # Colours go through YCbCr of this depth and back; white stays white.
    assert abs(found.astype(int) - array).max() < 65535 / (2000 if twelve else 500)


def test_8_bit_heic(tmp_path: Path) -> None:
    array = np.ascontiguousarray((DEEP >> 8).astype(np.uint8))
    found = colours(read(heic(array), tmp_path))
    assert (found.dtype, found.shape) == (np.uint8, array.shape)
    assert abs(found.astype(int) - array).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["HEIF", "AVIF"])
def test_turned_once(tmp_path: Path, orientation: int, fmt: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright, buffer = corner(), io.BytesIO()
    image = Image.fromarray(stored(upright, orientation))
    if fmt == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.from_pillow(image).save(buffer, quality=90, exif=exif.tobytes())
    else:
        image.save(buffer, "AVIF", exif=exif)
    bright = read(buffer.getvalue(), tmp_path).pixels[..., 0] > 127
    np.testing.assert_array_equal(bright, upright[..., 0] > 127)


def test_of_several_pictures_the_primary_one_is_used(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file, buffer = pillow_heif.from_pillow(Image.new("RGB", (64, 48), "red")), io.BytesIO()
    file.add_from_pillow(Image.new("RGB", (64, 48), "blue"))
    file.save(buffer, primary_index=1)
    (tmp_path / "burst.heic").write_bytes(buffer.getvalue())
    with pytest.warns(MEMatteWarning, match="holds 2 pictures; its primary one is used") as caught:
        photo = read_photo(tmp_path / "burst.heic")
    assert len(caught) == 1
    assert photo.pixels[9, 9, 2] > 200


# ---- AVIF ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_avif_keeps_its_depth(tmp_path: Path, bits: int, channels: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    array = np.ascontiguousarray(DEEP[..., :channels]) >> (16 - bits)
    array = array.astype(np.uint8) if bits == 8 else array
    data = imagecodecs.avif_encode(array, level=100, bitspersample=bits, speed=9)
    found = colours(read(data, tmp_path))
    whole = 255 if bits == 8 else 65535
    expected = np.rint(array * (whole / ((1 << bits) - 1))).astype(array.dtype)
    np.testing.assert_array_equal(found, expected if channels > 1 else expected.repeat(3, axis=2))


# ---- JPEG XL -------------------------------------------------------------------------------------


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 10), ("u2", 16), ("f4", 32)])
def test_jpeg_xl_keeps_its_depth(
    tmp_path: Path, dtype: str, bits: int, channels: int, *, boxes: bool
) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    pytest.importorskip("pillow_jxl")
    array = pixels(*SIZE, channels, dtype=dtype)
    array = array >> 6 if bits == 10 else array
    options = {"bitspersample": bits} if bits == 10 else {}
    data = imagecodecs.jpegxl_encode(array.squeeze(), lossless=True, usecontainer=boxes, **options)
    found = colours(read(data, tmp_path))
    expected = np.rint(array * (65535 / 1023)).astype(dtype) if bits == 10 else array
    expected = expected if channels > 1 else expected.repeat(3, axis=2)
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (256, 256), (7, 300), (513, 40), (40, 60)])
def test_every_coding_of_the_size_of_a_jpeg_xl(tmp_path: Path, size: tuple[int, int]) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    pytest.importorskip("pillow_jxl")
    data = imagecodecs.jpegxl_encode(pixels(*size, 3), lossless=True)
    assert read(data, tmp_path).size == size


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_jpeg_in_jpeg_xl_is_turned_once(tmp_path: Path, orientation: int) -> None:
    pytest.importorskip("pillow_jxl")
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored(corner(), orientation)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "a.jxl", lossless_jpeg=True)
    photo = read((tmp_path / "a.jxl").read_bytes(), tmp_path)
    bright = photo.pixels[..., 0] > 127
    assert abs(bright.astype(int) - (corner()[..., 0] > 127)).mean() < 0.01


def test_the_first_frame_of_a_jpeg_xl(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    pytest.importorskip("pillow_jxl")
    frames = np.stack([corner(), 255 - corner()])
    data = imagecodecs.jpegxl_encode(frames, lossless=True, photometric="rgb")
    with pytest.warns(MEMatteWarning, match="animated; its first frame"):
        photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, corner())


# ---- light ---------------------------------------------------------------------------------------


def test_radiance_is_light(tmp_path: Path) -> None:
    light = pixels(*SIZE, 3, dtype=np.float32) * 3
    data = cv2.imencode(".hdr", light[..., ::-1])[1].tobytes()
    photo = read(data, tmp_path)
    assert photo.linear
    assert abs(photo.pixels - light).max() < 0.02
    with pytest.raises(InputError, match="stored upside down or on its side"):
        read_photo(data.replace(b"-Y 48", b"+Y 48"))
    with pytest.raises(InputError, match="damaged or cut off"):
        read_photo(data[: len(data) // 2])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_camera_raw_is_developed_as_the_camera_saw_it(tmp_path: Path, orientation: int) -> None:
    pytest.importorskip("rawpy")
    seen = np.zeros((*SIZE, 3))
    seen[:24, :32], seen[:24, 32:] = (0.6, 0.6, 0.6), (0.5, 0.1, 0.1)
    seen[24:, :32], seen[24:, 32:] = (0.1, 0.5, 0.1), (0.1, 0.1, 0.5)
    photo = read(dng_bytes(seen, orientation), tmp_path)
    assert (photo.linear, photo.bits, photo.icc_profile) == (True, 16, None)
    turned = stored(seen, {1: 1, 3: 3, 6: 8, 8: 6}[orientation])
    assert photo.size == turned.shape[:2]
    middles = np.array([(9, 9), (9, -9), (-9, 9), (-9, -9)])
    for y, x in middles:
        np.testing.assert_allclose(photo.as_float()[y, x], turned[y, x], atol=1e-3)


def test_a_raw_file_that_is_too_large_or_cut_off() -> None:
    pytest.importorskip("rawpy")
    data = dng_bytes(pixels(*SIZE, 3, dtype=np.float64))
    with pytest.raises(InputError, match="64×48"):
        read_photo(data, max_pixels=3000)
    with pytest.raises(InputError, match="camera raw file is damaged or cut off"):
        read_photo(data[: len(data) // 2])


# ---- limits and packages -------------------------------------------------------------------------


def _jxl() -> bytes:
    return bytes(pytest.importorskip("imagecodecs").jpegxl_encode(corner()))


def _avif() -> bytes:
    return bytes(
        pytest.importorskip("imagecodecs").avif_encode(DEEP[..., :3] >> 6, bitspersample=10)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: heic(corner()),
        _jxl,
        _avif,
        cv2.imencode(".hdr", np.ones((*SIZE, 3), np.float32))[1].tobytes,
    ],
    ids=["HEIC", "JXL", "AVIF", "HDR"],
)
def test_bombs_are_refused_by_their_header(make: Callable[[], bytes]) -> None:
    with pytest.raises(InputError, match="claims 64×48 pixels"):
        read_photo(make(), max_pixels=3000)


BARE = """
import sys
for name in ("imagecodecs", "pillow_heif", "pillow_jxl", "rawpy"):
    sys.modules[name] = None
import warnings
from mematte_plugin.errors import InputError
from mematte_plugin import read_photo
from mematte_plugin.images.decode import read_header
warnings.simplefilter("error")
for path in sys.argv[1:]:
    for read in (read_photo, read_header):
        try:
            read(path)
            print("read")
        except (InputError, UserWarning) as error:
            print(error)
"""


def test_without_the_extra_the_package_is_named(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    files = {
        "a.heic": (heic(corner()), "pillow-heif"),
        "a.jxl": (_jxl(), "pillow-jxl-plugin"),
        "a.dng": (dng_bytes(corner() / 255.0), "rawpy"),
        "a.avif": (_avif(), "imagecodecs"),
    }
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", BARE, *(str(tmp_path / name) for name in files)],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    said = iter(done.stdout.splitlines())
    for name, (_, package) in files.items():
        photo, header = next(said), next(said)
        assert f"{package}" in photo, photo
        assert 'pip install "mematte-plugin[formats]"' in photo
        ours = name in ("a.avif", "a.jxl")  # read without any package
        assert (header == "read") if ours else (package in header)


def test_pillow_learns_nothing_behind_the_programs_back() -> None:
    code = (
        "import sys; from PIL import Image; Image.init(); before = set(Image.OPEN)\n"
        "from mematte_plugin import read_photo; read_photo(sys.stdin.buffer.read())\n"
        "print(sorted(set(Image.OPEN) - before))"
    )
    pytest.importorskip("pillow_heif")
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=heic(corner()), capture_output=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.stdout.strip() == b"[]"


def test_suffixes_for_folders() -> None:
    for suffix in (".png", ".jpeg", ".tiff", ".heic", ".avif", ".jxl", ".hdr", ".exr", ".cr3"):
        assert suffix in READABLE
    assert not READABLE & {"", ".", ".txt", ".mp4", ".psd", ".svg", ".json"}
