"""Cut-outs cropped to the subject, whose files tell where in the photo they lay."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from mematte_plugin import SettingError, collect_notes, read_photo
from mematte_plugin.images.crops import Crop
from mematte_plugin.images.photo import Photo
from mematte_plugin.matte import Matte


def make(dtype: Any = np.uint8, dpi: tuple[float, float] | None = None) -> Matte:
    """A soft red bar before grey: rows 21 to 43, columns 30 to 79 of 70 × 100."""
    alpha = np.zeros((70, 100), np.float32)
    alpha[21:44, 30:80] = 0.5
    alpha[24:40, 34:76] = 1
    mixed = alpha[..., None] * np.float32([0.8, 0.2, 0.1]) + (1 - alpha[..., None]) * 0.4
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = (mixed * top).astype(dtype)
    trimap = np.where(alpha == 0, 0, np.where(alpha == 1, 1, 0.5)).astype(np.float32)
    return Matte(alpha, Photo(pixels, dpi=dpi), trimap)


def test_a_crop_is_the_whole_matte_without_what_is_empty() -> None:
    whole = make()
    part = whole.shaped(crop=True, margin=3)
    assert part.crop == Crop(27, 18, 56, 29, 100, 70)
    box = part.crop.box
    np.testing.assert_array_equal(part.alpha, whole.alpha[box])
    np.testing.assert_array_equal(part.trimap, whole.trimap[box])
    np.testing.assert_array_equal(part.photo.pixels, whole.photo.pixels[box])
    np.testing.assert_array_equal(part.foreground, whole.foreground[box])
    np.testing.assert_array_equal(np.asarray(part.cutout()), np.asarray(whole.cutout())[box])
    behind = np.random.default_rng(0).integers(0, 256, (35, 50, 3), np.uint8)
    np.testing.assert_array_equal(part.composite_array(behind), whole.composite_array(behind)[box])
    assert part.facts()["crop"] == {
        "left": 27, "top": 18, "width": 56, "height": 29, "full_width": 100, "full_height": 70,
    }  # fmt: skip
    assert whole.facts()["crop"] is None


def test_a_margin_ends_at_the_photos_border() -> None:
    part = make().cropped(1000)
    assert part.alpha.shape == (70, 100)
    with pytest.raises(SettingError, match="margin -1"):
        make().cropped(-1)


def test_the_box_is_that_of_the_shaped_edge() -> None:
    part = make().shaped(levels=(0.5, 1), crop=True)
    assert part.crop == Crop(34, 24, 42, 16, 100, 70)
    wider = part.shaped(choke=-2)
    assert wider.crop == Crop(32, 22, 46, 20, 100, 70)


def test_invisible_rests_do_not_widen_the_box() -> None:
    matte = make()
    matte.alpha[0, 0] = 1e-3
    assert matte.cropped().crop == Crop(30, 21, 50, 23, 100, 70)
    deep = make(np.uint16)
    deep.alpha[0, 0] = 1e-3
    assert deep.cropped().crop == Crop(0, 0, 80, 44, 100, 70)


def test_nothing_is_cropped_where_nothing_is_opaque() -> None:
    matte = make()
    matte.alpha[:] = 0
    with collect_notes() as notes:
        same = matte.shaped(crop=True)
    assert same.alpha.shape == (70, 100)
    assert same.crop is None
    assert "not cropped" in notes[0]


def chunks(path: Path) -> dict[bytes, bytes]:
    data, found, at = path.read_bytes(), {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.setdefault(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return found


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("dpi", [None, (300.0, 300.0)])
def test_png_records_the_offset(tmp_path: Path, bits: int, dpi: Any) -> None:
    path = tmp_path / "part.png"
    make(dpi=dpi).cropped(2).save(path, bits=bits)
    with Image.open(path) as picture:
        picture.load()
        assert picture.size == (54, 27)
        assert ("dpi" in picture.info) == (dpi is not None)
    found = chunks(path)
    assert struct.unpack(">iiB", found[b"oFFs"]) == (28, 19, 0)
    assert struct.unpack(">IIii", found[b"caNv"]) == (100, 70, 28, 19)
    names = list(found)
    assert names.index(b"oFFs") < names.index(b"IDAT")
    make().save(tmp_path / "whole.png", bits=bits)
    assert b"oFFs" not in chunks(tmp_path / "whole.png")


@pytest.mark.parametrize(("dtype", "dpi"), [(np.uint8, None), (np.uint16, (300, 150.5))])
def test_tiff_records_the_offset(tmp_path: Path, dtype: Any, dpi: Any) -> None:
    path = tmp_path / "part.tif"
    make(dtype, dpi).cropped(2).save(path)
    with tifffile.TiffFile(path) as file:
        tags = {tag.name: tag.value for tag in file.pages[0].tags}
    x, y = (tags[f"{axis}Position"][0] / tags[f"{axis}Position"][1] for axis in "XY")
    across, down = (tags[f"{axis}Resolution"][0] / tags[f"{axis}Resolution"][1] for axis in "XY")
    assert (x * across, y * down) == (pytest.approx(28, abs=0.02), pytest.approx(19, abs=0.02))
    assert (tags["ImageFullWidth"], tags["ImageFullLength"]) == (100, 70)


@pytest.mark.parametrize("suffix", [".webp", ".jpg"])
@pytest.mark.parametrize("dpi", [None, (300.0, 300.0)])
def test_exif_records_the_offset(tmp_path: Path, suffix: str, dpi: Any) -> None:
    path = tmp_path / f"part_alpha{suffix}"
    make(dpi=dpi).cropped(2).save(path)
    with Image.open(path) as picture:
        exif = picture.getexif()
        assert picture.size == (54, 27)
    scale = dpi[0] if dpi else 1
    assert float(exif[286]) * scale == pytest.approx(28, abs=0.02)
    assert float(exif[287]) * scale == pytest.approx(19, abs=0.02)
    assert (exif[33300], exif[33301]) == (100, 70)


def test_exr_is_read_back_at_its_place(tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    import OpenEXR

    part = make().cropped(2)
    part.save(tmp_path / "part.exr")
    with OpenEXR.File(str(tmp_path / "part.exr")) as file:
        windows = [
            [*np.ravel(file.header()[name]).tolist()] for name in ("dataWindow", "displayWindow")
        ]
    assert windows == [[28, 19, 81, 45], [0, 0, 99, 69]]
    back = read_photo(tmp_path / "part.exr")
    assert back.size == (70, 100)
    assert back.alpha is not None
    np.testing.assert_allclose(back.alpha, make().alpha, atol=1e-3)


@pytest.mark.parametrize("name", ["hair.webp", "hair_alpha.jpg", "hair_alpha.webp"])
def test_less_quality_makes_smaller_files(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    alpha = rng.random((64, 64), np.float32)
    photo = Photo(rng.integers(0, 256, (64, 64, 3), np.uint8))
    matte = Matte(alpha, photo, np.full_like(alpha, 0.5)).shaped(colors="photo")
    sizes = []
    for quality in (10, 60, 100):
        matte.save(tmp_path / name, quality=quality, overwrite=True)
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("quality", [0, 101, 50.5, "high", True])
def test_impossible_qualities(tmp_path: Path, quality: Any) -> None:
    with pytest.raises(SettingError, match=r"quality .* from 1 to 100"):
        make().save(tmp_path / "part_alpha.jpg", quality=quality)
    assert list(tmp_path.iterdir()) == []


def test_quality_of_a_format_without_one(tmp_path: Path) -> None:
    from mematte_plugin import OutputError

    with pytest.raises(OutputError, match=r"png is lossless.*\.jpg or \.webp"):
        make().save(tmp_path / "part.png", quality=50)
    assert list(tmp_path.iterdir()) == []
