"""Mattes: cut-outs, composites and files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from mematte_plugin.errors import InputError, OutputError, SettingError
from mematte_plugin.images.arrays import linear_to_srgb, srgb_to_linear
from mematte_plugin.images.encode import write_image
from mematte_plugin.images.photo import Photo
from mematte_plugin.images.read import read_gray, read_photo
from mematte_plugin.matte import Matte

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RED, GREEN = (0.8, 0.2, 0.1), (0.1, 0.7, 0.1)


def make(dtype: Any = np.uint8, **photo: Any) -> Matte:
    """A red square with a soft edge of 8 pixels before green, 48 × 64."""
    ramp = np.clip((np.arange(64, dtype=np.float32) - 19.5) / 8, 0, 1)
    alpha = np.tile(ramp, (48, 1))
    pixels = alpha[..., None] * np.float32(RED) + (1 - alpha[..., None]) * np.float32(GREEN)
    if dtype is not np.float32:
        pixels = np.rint(pixels * np.iinfo(dtype).max)
    options = {"icc_profile": SRGB, "dpi": (300.0, 300.0), **photo}
    trimap = np.where(alpha == 0, 0, np.where(alpha == 1, 1, 0.5)).astype(np.float32)
    return Matte(alpha=alpha, photo=Photo(pixels.astype(dtype), **options), trimap=trimap)


def test_foreground_is_decontaminated_and_computed_once() -> None:
    matte = make()
    assert matte.foreground is matte.foreground
    visible = matte.alpha > 0.3
    assert np.abs(matte.foreground - RED)[visible].max() < 0.1
    assert np.abs(matte.photo.as_float() - RED)[visible].max() > 0.3


def test_foreground_is_computed_with_progress_and_once() -> None:
    matte, reports = make(), []

    def stop(*_: object) -> None:
        raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        matte.compute_foreground(stop)
    made = matte.compute_foreground(progress=lambda *one: reports.append(one))
    assert reports[-1] == (1, 1, "foreground")
    assert matte.foreground is made
    assert matte.compute_foreground(stop) is made  # nothing is left to cancel
    np.testing.assert_array_equal(make().foreground, made)


def test_cutout() -> None:
    matte = make()
    im = matte.cutout()
    assert (im.mode, im.size) == ("RGBA", (64, 48))
    array = np.asarray(im)
    np.testing.assert_array_equal(array[..., 3], np.rint(matte.alpha * 255))
    solid = matte.alpha == 1
    np.testing.assert_array_equal(array[solid][:, :3], matte.photo.pixels[solid])
    assert im.info["icc_profile"] == SRGB
    tinted = np.asarray(matte.cutout(decontaminate=False))
    np.testing.assert_array_equal(tinted[..., :3], matte.photo.pixels)
    with pytest.raises(SettingError, match="bits 16"):
        matte.cutout(bits=16)


@pytest.mark.parametrize(
    "background",
    ["white", "#ffffff", (255, 255, 255), (1.0, 1.0, 1.0), np.full((48, 64, 3), 255, np.uint8)],
)
def test_composite_on_a_colour_or_picture(background: Any) -> None:
    matte = make()
    im = matte.composite(background)
    assert (im.mode, im.size) == ("RGB", (64, 48))
    expected = matte.foreground * matte.alpha[..., None] + (1 - matte.alpha[..., None])
    np.testing.assert_allclose(np.asarray(im), expected * 255, atol=0.501)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_composite_array_keeps_the_depth_of_photo_and_background(
    tmp_path: Path, dtype: Any
) -> None:
    matte = make(dtype)
    deep = np.random.default_rng(0).integers(0, 65536, (48, 64, 3), dtype=np.uint16)
    write_image(tmp_path / "behind.png", deep)
    mixed = matte.composite_array(tmp_path / "behind.png")
    assert (mixed.dtype, mixed.shape) == (np.float32, (48, 64, 3))
    clear, solid = matte.alpha == 0, matte.alpha == 1
    np.testing.assert_array_equal(np.rint(mixed[clear] * 65535), deep[clear])
    np.testing.assert_array_equal(mixed[solid], matte.photo.as_float()[solid])
    shown = np.asarray(matte.composite(tmp_path / "behind.png"))
    np.testing.assert_array_equal(shown, np.rint(mixed * 255))


def test_composite_array_of_linear_light_is_linear() -> None:
    matte = make(np.float32, linear=True, icc_profile=None)
    behind = matte.composite_array((0.5, 0.5, 0.5))[10, 2]
    np.testing.assert_allclose(behind, srgb_to_linear(np.float32([0.5])).repeat(3), atol=1e-6)


def test_another_size_of_background_covers_and_is_cropped_in_the_middle(tmp_path: Path) -> None:
    wide = np.zeros((24, 96, 3), np.uint8)
    wide[:, 32:64] = 200  # the middle third is what 64:48 leaves of it
    Image.fromarray(wide).save(tmp_path / "wide.png")
    shown = np.asarray(make().composite(tmp_path / "wide.png"))
    assert shown.shape == (48, 64, 3)
    np.testing.assert_allclose(shown[:, 4:18], 200, atol=1)  # beyond the edge's ringing


@pytest.mark.parametrize(
    ("background", "fault"),
    [
        ("nowhere.png", "neither a colour .* nor a file"),
        ((300, 0, 0), "three numbers"),
        ((255, 0), "three numbers"),
        ([np.zeros((2, 2, 3))], "one colour or one image"),
    ],
)
def test_impossible_backgrounds(background: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        make().composite(background)


@pytest.mark.parametrize(
    ("dtype", "suffix", "bits"),
    [
        (np.uint8, ".png", 8), (np.uint16, ".png", 16), (np.float32, ".png", 16),
        (np.uint8, ".tif", 8), (np.uint16, ".tif", 16), (np.float32, ".tif", 32),
        (np.uint8, ".webp", 8), (np.uint16, ".webp", 8),
    ],
)  # fmt: skip
def test_saved_in_the_photos_own_depth_with_its_metadata(
    tmp_path: Path, dtype: Any, suffix: str, bits: int
) -> None:
    matte = make(dtype)
    matte.save(tmp_path / f"hair{suffix}")
    photo = read_photo(tmp_path / f"hair{suffix}")
    assert (photo.bits, photo.icc_profile) == (bits, SRGB)
    assert photo.dpi == pytest.approx((300, 300), abs=0.1)
    assert photo.alpha is not None
    top = 1 if bits == 32 else 2**bits - 1
    stored = photo.alpha.astype(np.float64)
    np.testing.assert_allclose(stored, matte.alpha.astype(np.float64) * top, atol=0.5)
    if bits == matte.photo.bits:
        solid = matte.alpha == 1
        np.testing.assert_array_equal(photo.pixels[solid], matte.photo.pixels[solid])


def test_names_and_kinds(tmp_path: Path) -> None:
    matte = make()
    for name, options in (
        ("hair_alpha.png", {}), ("hair_alpha.jpg", {}), ("a.png", {"kind": "alpha"}),
    ):  # fmt: skip
        matte.save(tmp_path / name, **options)
        with Image.open(tmp_path / name) as im:
            assert im.mode == "L"
        np.testing.assert_allclose(read_gray(tmp_path / name), matte.alpha, atol=0.01)
    matte.save(tmp_path / "hair_alpha.tif", kind="cutout", bits=16)
    assert read_photo(tmp_path / "hair_alpha.tif").alpha is not None
    matte.save(tmp_path / "f.jpg", kind="foreground")
    matte.save(tmp_path / "plain.png", decontaminate=False)
    pixels = read_photo(tmp_path / "plain.png").pixels
    np.testing.assert_array_equal(pixels, matte.photo.pixels)


def test_refused_outputs(tmp_path: Path) -> None:
    matte = make()
    with pytest.raises(OutputError, match=r"JPEG has no transparency; save as \.png"):
        matte.save(tmp_path / "hair.jpg")
    with pytest.raises(SettingError, match="kind 'mask'"):
        matte.save(tmp_path / "hair.png", kind="mask")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="unknown suffix"):
        matte.save(tmp_path / "hair.psd")
    for nowhere, fault in (
        (None, "give a path"),
        (b"a.png", "give a path"),
        ("", "no output name"),
    ):
        with pytest.raises(OutputError, match=fault):
            matte.save(nowhere)  # type: ignore[arg-type]
    assert "foreground" not in vars(matte)  # refused before the work
    matte.save(tmp_path / "hair.png")
    with pytest.raises(OutputError, match="exists"):
        matte.save(tmp_path / "hair.png")
    matte.save(tmp_path / "hair.png", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["hair.png"]


def test_exr_is_linear_and_premultiplied_and_comes_back(tmp_path: Path) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    matte = make(np.uint16)
    path = tmp_path / "hair.exr"
    matte.save(path)
    with OpenEXR.File(str(path)) as file:
        stored = np.array(file.channels()["RGBA"].pixels)
    expected = srgb_to_linear(matte.foreground) * matte.alpha[..., None]
    np.testing.assert_allclose(stored[..., :3], expected, atol=1e-6)
    np.testing.assert_array_equal(stored[..., 3], matte.alpha)

    linear = Matte(matte.alpha, read_photo(path), matte.trimap)
    assert linear.photo.linear
    solid = matte.alpha == 1
    linear.save(tmp_path / "again.png")
    again = read_photo(tmp_path / "again.png").pixels
    np.testing.assert_allclose(again[solid], matte.photo.pixels[solid], atol=1)
    np.testing.assert_allclose(
        np.asarray(linear.cutout())[solid][:, :3] / 255, matte.photo.as_float()[solid], atol=0.003
    )
    assert np.asarray(linear.composite("#808080"))[10, 2].tolist() == [128, 128, 128]


def test_transfer_curve_is_its_own_inverse() -> None:
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=2e-6)
