"""Reading: everything people hand in, kept exactly or refused in one clear line."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from mematte_plugin.errors import InputError, MEMatteWarning
from mematte_plugin.images.read import read_gray, read_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(*shape: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def encoded(im: Image.Image, fmt: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    im.save(buffer, fmt, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png16(array: np.ndarray, extra: bytes = b"") -> bytes:
    """A 16-bit PNG from OpenCV with chunks of our own behind its header."""
    bgr = array[..., [2, 1, 0, 3][: array.shape[2]]] if array.ndim == 3 else array
    data = cv2.imencode(".png", np.ascontiguousarray(bgr))[1].tobytes()
    return data[:33] + extra + data[33:]


# ---- what must be kept ---------------------------------------------------------------------------


def test_files_bytes_streams_and_pillow_images_give_the_same_photo(tmp_path: Path) -> None:
    pixels = noise(9, 7, 3)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    for source in (path, str(path), path.read_bytes(), path.open("rb"), Image.open(path), pixels):
        photo = read_photo(source)
        np.testing.assert_array_equal(photo.pixels, pixels)
        assert (photo.size, photo.pixels.dtype, photo.alpha) == ((9, 7), np.uint8, None)
        if hasattr(source, "close"):
            source.close()
    assert read_photo(path).name == str(path)
    assert read_photo(pixels).name == "image"


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_16_bit_png_loses_nothing(channels: tuple[int, ...]) -> None:
    pixels = noise(6, 5, *channels, dtype=np.uint16)
    extra = png_chunk(b"iCCP", b"x\0\0" + zlib.compress(SRGB))
    extra += png_chunk(b"pHYs", struct.pack(">IIB", 11811, 5906, 1))
    photo = read_photo(png16(pixels, extra))
    colour = np.stack([pixels] * 3, axis=2) if not channels else pixels[..., :3]
    np.testing.assert_array_equal(photo.pixels, colour)
    if channels == (4,):
        assert photo.alpha is not None
        np.testing.assert_array_equal(photo.alpha, pixels[..., 3])
    assert photo.icc_profile == SRGB
    assert photo.dpi == pytest.approx((300, 150), abs=0.1)


def test_transparent_colour_of_a_16_bit_grey_png_becomes_alpha() -> None:
    pixels = noise(6, 5, dtype=np.uint16)
    pixels[2, 3] = 777
    photo = read_photo(png16(pixels, png_chunk(b"tRNS", struct.pack(">H", 777))))
    assert photo.alpha is not None
    assert (photo.alpha[2, 3], photo.alpha[0, 0]) == (0, 65535)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_deep_tiff_loses_nothing(tmp_path: Path, dtype: Any, compression: str | None) -> None:
    pixels, path = noise(6, 5, 4, dtype=dtype), tmp_path / "photo.tif"
    tifffile.imwrite(
        path, pixels, photometric="rgb", extrasamples=["unassalpha"], compression=compression,
        iccprofile=SRGB, resolution=(300, 200), resolutionunit="INCH",
    )  # fmt: skip
    photo = read_photo(path)
    assert photo.alpha is not None
    np.testing.assert_array_equal(np.dstack([photo.pixels, photo.alpha]), pixels)
    assert photo.pixels.dtype == dtype
    assert (photo.icc_profile, photo.dpi) == (SRGB, (300, 200))


def test_lzw_tiff_as_photoshop_and_gimp_write_it(tmp_path: Path) -> None:
    pixels, path = noise(6, 5, 3, dtype=np.uint16), str(tmp_path / "photo.tif")
    cv2.imwrite(path, pixels[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    np.testing.assert_array_equal(read_photo(path).pixels, pixels)


def test_premultiplied_tiff_comes_out_straight(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    premultiplied = np.full((2, 2, 4), (10000, 5000, 0, 20000), np.uint16)
    tifffile.imwrite(path, premultiplied, photometric="rgb", extrasamples=["assocalpha"])
    assert read_photo(path).pixels[0, 0].tolist() == [32768, 16384, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "png16", "tiff", "tiff16", "pillow"])
def test_photos_come_out_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    upright = np.zeros((8, 16, 3), np.uint8)
    upright[:4, :8] = 255  # one white corner tells the eight orientations apart by shape and place
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright), 7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    im = Image.fromarray(np.ascontiguousarray(stored))
    source: Any
    if kind == "png16":
        source = png16(stored.astype(np.uint16) * 257, png_chunk(b"eXIf", exif.tobytes()[6:]))
    elif kind == "tiff16":
        source = tmp_path / "photo.tif"
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(source, stored.astype(np.uint16) * 257, photometric="rgb", extratags=[tag])
    elif kind == "pillow":
        source = Image.open(io.BytesIO(encoded(im, exif=exif)))
    elif kind == "tiff":
        source = encoded(im, "TIFF", exif=exif)
    else:
        source = encoded(im, kind.upper(), exif=exif)
    found = read_photo(source)
    assert found.size == (8, 16)
    bright = found.as_float()[..., 0] > 0.5
    np.testing.assert_array_equal(bright, upright[..., 0] > 127)


@pytest.mark.parametrize(("unit", "dpi"), [(2, (300, 150)), (3, (762, 381)), (1, None), (7, None)])
def test_resolution_of_a_webp_is_in_its_exif(unit: Any, dpi: Any) -> None:
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 150.0, unit
    data = encoded(Image.new("RGB", (4, 5)), "WEBP", exif=exif)
    assert read_photo(data).dpi == (dpi and pytest.approx(dpi))


def test_icc_and_dpi_are_kept() -> None:
    im = Image.fromarray(noise(5, 4, 3))
    for fmt in ("PNG", "JPEG", "TIFF", "WEBP"):
        photo = read_photo(encoded(im, fmt, icc_profile=SRGB, dpi=(300, 300)))
        assert photo.icc_profile == SRGB
        if fmt != "WEBP":  # where Pillow leaves it out
            assert photo.dpi == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"]
)
def test_every_usual_mode_works(mode: str) -> None:
    if mode == "I;16":
        im = Image.fromarray(noise(6, 5, dtype=np.uint16))
    else:
        grey = Image.fromarray(noise(6, 5, 3) // 2 + 64).convert("RGB")
        im = grey.convert("P").convert("PA") if mode == "PA" else grey.convert(mode)
    photo = read_photo(im)
    assert photo.size == (6, 5)
    assert (photo.alpha is not None) == (mode in ("LA", "PA", "RGBA"))
    assert photo.pixels.dtype == (np.uint16 if mode == "I;16" else np.uint8)


def test_palette_transparency_becomes_alpha() -> None:
    im = Image.new("P", (4, 3), 1)
    im.putpalette([0, 0, 0, 200, 100, 50])
    im.putpixel((2, 1), 0)
    photo = read_photo(encoded(im, transparency=0))
    assert photo.alpha is not None
    assert (photo.alpha[1, 2], photo.alpha[0, 0]) == (0, 255)
    assert photo.pixels[0, 0].tolist() == [200, 100, 50]


def test_cmyk_jpeg_becomes_rgb_without_its_profile() -> None:
    im = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red
    fake = SRGB[:16] + b"CMYK" + SRGB[20:]  # a broken profile must not cost the photograph
    for options in ({}, {"icc_profile": fake}):
        photo = read_photo(encoded(im, "JPEG", quality=95, **options))
        red, green, blue = (int(v) for v in photo.pixels[4, 4])
        assert red > 180
        assert max(green, blue) < 80
        assert photo.icc_profile is None


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation_with_a_warning(fmt: str) -> None:
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], fmt, save_all=True, append_images=frames[1:], duration=50)
    with pytest.warns(MEMatteWarning, match="animated; its first frame") as caught:
        photo = read_photo(data)
    assert photo.pixels[2, 2, 0] > 240
    assert caught[0].filename == __file__  # it points at the user's line


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_first_page_of_a_tiff_with_a_warning(tmp_path: Path, dtype: Any) -> None:
    pages = noise(2, 20, 30, 3, dtype=dtype)
    tifffile.imwrite(tmp_path / "scan.tif", pages, photometric="rgb")
    with pytest.warns(MEMatteWarning, match=r"scan\.tif: has several pages") as caught:
        photo = read_photo(tmp_path / "scan.tif")
    np.testing.assert_array_equal(photo.pixels, pages[0])
    assert len(caught) == 1


@pytest.mark.parametrize(("size", "kind"), [((20, 30), 1), ((10, 15), 1), ((5, 7), 0)])
def test_thumbnails_and_masks_behind_a_tiff_are_no_pages(
    tmp_path: Path, size: tuple[int, int], kind: int
) -> None:
    first = noise(20, 30, 3)
    with tifffile.TiffWriter(tmp_path / "photo.tif") as tif:
        tif.write(first, photometric="rgb")
        tif.write(noise(*size, 3), photometric="rgb", subfiletype=kind)
        mask = np.ones((20, 30), bool)
        tif.write(mask, photometric="minisblack", subfiletype=4)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.tif").pixels, first)


def test_exr(tmp_path: Path) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    path = str(tmp_path / "plate.exr")
    stored = np.zeros((4, 6, 4), np.float16)
    stored[1, 2] = (0.25, 0.5, 2.0, 0.5)  # premultiplied, blue brighter than white
    header = {
        "displayWindow": (np.array([0, 0], np.int32), np.array([9, 7], np.int32)),
        "dataWindow": (np.array([3, 2], np.int32), np.array([8, 5], np.int32)),
        "type": OpenEXR.scanlineimage,
    }
    with OpenEXR.File(header, {"RGBA": stored}) as file:
        file.write(path)
    photo = read_photo(path)
    assert (photo.size, photo.linear, photo.pixels.dtype) == ((8, 10), True, np.float32)
    assert photo.pixels[3, 5].tolist() == [0.5, 1.0, 4.0]
    assert photo.alpha is not None
    assert photo.alpha[3, 5] == 0.5
    shown = photo.for_network()[3, 5]
    assert shown.tolist() == pytest.approx([0.7354, 1, 1], abs=1e-3)  # sRGB of 0.5, and clipped
    with pytest.raises(InputError, match="damaged or cut off"):
        read_photo(Path(path).read_bytes()[:-40])


# ---- what must be refused ------------------------------------------------------------------------

PNG = encoded(Image.fromarray(noise(40, 40, 3)))
JPEG = encoded(Image.fromarray(noise(64, 64, 3)), "JPEG")
BOMB = PNG[:16] + struct.pack(">II", 60000, 60000) + PNG[24:]

BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"Dear Sir or Madam,\n", "is text, not an image"),
    "svg": (b"<?xml version='1.0'?><svg xmlns='x'/>", "SVG drawing"),
    "pdf": (b"%PDF-1.7\n\x00\x01", "PDF document"),
    "zip": (b"PK\x03\x04\x14\0\0\0", "zip archive"),
    "web page": (b"<!DOCTYPE html><html>404</html>", "web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF file is damaged"),
    "rubbish": (bytes(range(256)), "not an image that can be read"),
    "cut png": (PNG[: len(PNG) // 2], "cut off"),
    "cut png end": (PNG[:-6], "cut off"),
    "broken png": (PNG[:200] + b"\xff\xff" + PNG[202:], "damaged"),
    "cut 16-bit png": (png16(noise(40, 40, 3, dtype=np.uint16))[:-500], "cut off"),
    "png header only": (PNG[:20], "damaged or cut off"),
    "cut jpeg": (JPEG[: len(JPEG) // 2], "damaged or cut off"),
    "cut webp": (encoded(Image.fromarray(noise(40, 40, 3)), "WEBP")[:300], "damaged or cut off"),
    "cut gif": (encoded(Image.fromarray(noise(40, 40)), "GIF")[:600], "damaged or cut off"),
    "cut tiff": (encoded(Image.fromarray(noise(40, 40, 3)), "TIFF")[:900], "damaged or cut off"),
    "bomb": (BOMB, "3600 megapixels"),
}


@pytest.mark.parametrize("case", BAD_FILES)
@pytest.mark.parametrize("read", [read_photo, read_gray])
def test_bad_files_give_one_clear_line(tmp_path: Path, case: str, read: Callable[..., Any]) -> None:
    data, fault = BAD_FILES[case]
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match=fault) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message


def test_cut_16_bit_tiff_is_refused(tmp_path: Path) -> None:
    for options in ({}, {"compression": "zlib"}):
        path = tmp_path / "photo.tif"
        tifffile.imwrite(path, noise(50, 50, 3, dtype=np.uint16), photometric="rgb", **options)
        path.write_bytes(path.read_bytes()[:-4000])
        with pytest.raises(InputError, match="damaged or cut off"):
            read_photo(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.png: there is no such file"):
        read_photo(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match="is a folder"):
        read_photo(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="Not a directory"):
        read_photo(tmp_path / "file" / "photo.png")
    for name, fault in (("a" * 5000 + ".png", "too long"), ("a\0b.png", r"a\\0b\.png.*null")):
        with pytest.raises(InputError, match=fault):
            read_photo(name)
    with pytest.raises(InputError, match="binary mode"):
        read_photo(io.StringIO("x"))


def test_large_cameras_are_read_and_the_limit_can_be_raised(monkeypatch: Any) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own limit must not interfere
    assert read_photo(PNG).size == (40, 40)
    with pytest.raises(InputError, match=r"crop it or scale it down first$"):
        read_photo(PNG, max_pixels=1599)


# ---- trimaps and masks ---------------------------------------------------------------------------

GREY = np.array([[0, 128, 255], [255, 64, 0]], np.uint8)


@pytest.mark.parametrize(
    "source",
    [
        GREY,
        GREY.astype(np.uint16) * 257,
        GREY / 255,
        torch.from_numpy(GREY)[None],
        Image.fromarray(GREY),
        np.dstack([GREY, GREY, GREY]),
        np.dstack([GREY, GREY, np.clip(GREY.astype(int) + 2, 0, 255).astype(np.uint8)]),
        np.dstack([GREY, GREY, GREY, np.full_like(GREY, 9)]),
        png16(GREY.astype(np.uint16) * 257),
        encoded(Image.fromarray(GREY), "TIFF"),
    ],
)
def test_grey_in_all_its_forms(source: Any) -> None:
    found = read_gray(source)
    assert (found.dtype, found.shape) == (np.float32, (2, 3))
    np.testing.assert_allclose(found, GREY / 255, atol=1e-6)


@pytest.mark.parametrize(
    "source",
    [
        np.array([[True, False]]),
        np.array([[1, 0]], np.uint8),
        np.array([[1, 0]]),
        torch.tensor([[1, 0]]),
        np.array([[255, 0]], np.uint8),
        Image.fromarray(np.array([[255, 0]], np.uint8)).convert("1"),
    ],
)
def test_masks_of_zero_and_one(source: Any) -> None:
    assert read_gray(source, name="mask").tolist() == [[1.0, 0.0]]


def test_alpha_as_a_mask_only_if_it_says_something() -> None:
    rgba = np.dstack([GREY, GREY, GREY, GREY[::-1]])
    np.testing.assert_allclose(read_gray(rgba, use_alpha=True), GREY[::-1] / 255)
    rgba[..., 3] = 255
    np.testing.assert_allclose(read_gray(rgba, use_alpha=True), GREY / 255)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (noise(5, 5, 3), "is a colour picture"),
        (np.array([[0, 1, 2]], np.uint8), "labels 0, 1 and 2"),
        (np.array([[0, 128, 255]], np.uint16), "save it as 8 bit"),
        (np.array([[0, 128, 255]]), "int64 values from 0 to 255"),
        (np.array([[-1, 1]]), "from -1 to 1"),
        (np.array([[0.0, 128.0]]), "divide by 255"),
    ],
)
def test_trimaps_that_are_none(source: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        read_gray(source)
