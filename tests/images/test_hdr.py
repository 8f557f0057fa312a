"""Colours beyond white, and light of other primaries: kept in files, clipped for networks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from mematte_plugin.batch.options import BatchOptions
from mematte_plugin.batch.run import run_batch
from mematte_plugin.errors import InputError, MEMatteWarning, OutputError, SettingError
from mematte_plugin.images.arrays import linear_to_srgb
from mematte_plugin.images.encode import write_image
from mematte_plugin.images.photo import Photo
from mematte_plugin.images.read import read_gray, read_photo
from mematte_plugin.matte import Matte
from mematte_plugin.network import Light
from mematte_plugin.network.inputs import NetworkInput
from mematte_plugin.pipeline import MattingPipeline

from ..networks import random_network

ACESCG = (
    (1.70505, -0.62179, -0.08326),
    (-0.13026, 1.14080, -0.01055),
    (-0.02400, -0.12897, 1.15297),
)
ACES = ((2.52169, -1.13413, -0.38756), (-0.27648, 1.37272, -0.09624), (-0.01538, -0.15298, 1.16835))
"""To linear Rec. 709, as the Academy's reference implementation has them (Bradford, D60 to D65)."""

rng = np.random.default_rng(3)
LIGHT = rng.uniform(0.02, 0.9, (12, 10, 3)).astype(np.float32)
LIGHT[2, 3] = (6.5, 0.2, -0.125)
ONE = np.ones(LIGHT.shape[:2], np.float32)


def exr(path: Path, pixels: np.ndarray, **header: Any) -> Path:
    openexr = pytest.importorskip("OpenEXR")
    base = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    name = {2: "Y", 3: "RGBA"[: pixels.shape[-1]]}[pixels.ndim]
    with openexr.File({**base, **header}, {name: np.ascontiguousarray(pixels)}) as file:
        file.write(str(path))
    return path


def header_of(path: Path) -> dict[str, Any]:
    openexr = pytest.importorskip("OpenEXR")
    with openexr.File(str(path), header_only=True) as file:
        return dict(file.header())


def matte_of(photo: Photo) -> Matte:
    one = np.ones(photo.size, np.float32)
    return Matte(one, photo, one)


def test_what_is_beyond_white_and_black_survives_from_exr_to_exr(tmp_path: Path) -> None:
    photo = read_photo(exr(tmp_path / "plate.exr", LIGHT))
    np.testing.assert_array_equal(photo.pixels, LIGHT)
    matte_of(photo).save(tmp_path / "out.exr")
    np.testing.assert_array_equal(read_photo(tmp_path / "out.exr").pixels, LIGHT)
    mixed = matte_of(photo).composite_array("black")
    np.testing.assert_array_equal(mixed, LIGHT)
    shown = photo.for_network()
    assert (shown.min(), shown.max()) == (0, 1)


def test_a_background_may_be_brighter_than_white(tmp_path: Path) -> None:
    behind = read_photo(exr(tmp_path / "sky.exr", LIGHT * 20))
    photo = read_photo(exr(tmp_path / "plate.exr", LIGHT))
    mixed = Matte(0 * ONE, photo, 0 * ONE).composite_array(behind)
    np.testing.assert_allclose(mixed, LIGHT * 20, rtol=1e-6)


def test_estimated_colours_may_be_beyond_white_and_black() -> None:
    ys, xs = np.mgrid[:48, :48]
    alpha = ((30 - np.hypot(ys - 24, xs - 24)) / 20).clip(0, 1).astype(np.float32)
    subject, behind = np.float32((6.5, 0.3, -0.1)), np.float32((0.1, 0.2, 9))
    mixed = alpha[..., None] * subject + (1 - alpha[..., None]) * behind
    matte = Matte(alpha, read_photo(mixed, input_space="linear-srgb"), alpha)
    band = (alpha > 0.3) & (alpha < 1)
    np.testing.assert_allclose(
        matte.foreground[band], subject[None].repeat(band.sum(), 0), atol=0.05
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_whole_numbers_are_clipped_and_that_is_said(tmp_path: Path, bits: int) -> None:
    photo = read_photo(exr(tmp_path / "plate.exr", LIGHT))
    with pytest.warns(MEMatteWarning, match=r"plate.exr: colours up to 6.5 times white are clip"):
        matte_of(photo).save(tmp_path / "out.png", bits=bits)
    # 32 bits of TIFF keep them, display-encoded
    matte_of(photo).save(tmp_path / "out.tif")
    kept = read_photo(tmp_path / "out.tif").pixels
    np.testing.assert_allclose(kept, linear_to_srgb(LIGHT), atol=1e-6)
    assert kept.max() > 2


def test_float_tiff_and_arrays_keep_hdr() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, LIGHT, photometric="rgb")
    for source in (file.getvalue(), LIGHT, LIGHT.astype(np.float16), torch.from_numpy(LIGHT)):
        photo = read_photo(source)
        assert photo.pixels.max() == 6.5
        assert photo.for_network().max() == 1


def test_colours_outside_srgb_come_back_from_float_tiff(tmp_path: Path) -> None:
    saturated = np.zeros((6, 6, 3), np.float32)
    for channel in range(3):
        saturated[2 * channel : 2 * channel + 2, :, channel] = 1
    photo = read_photo(saturated, input_space="aces2065-1")
    matte_of(photo).save(tmp_path / "out.tif")
    kept = read_photo(tmp_path / "out.tif")
    assert kept.pixels.min() < -0.5
    back = read_photo(linear_to_srgb(saturated @ np.array(ACES, np.float32).T))
    np.testing.assert_allclose(kept.pixels, back.pixels, atol=1e-3)


BYTES = rng.integers(0, 256, (12, 10, 3)).astype(np.float32)
MISTAKES: dict[str, tuple[np.ndarray, str]] = {
    "bytes as floats": (BYTES, "divide by 255"),
    "blurred bytes": (BYTES * 0.97 + 0.31, "divide by 255"),
    "dark bytes": (np.rint(BYTES / 40), "divide by 255"),
    "words as floats": (BYTES * 257, "divide by 65535"),
    "normalised": ((BYTES / 255 - 0.45) / 0.22, "many are darker than black; undo a normalisation"),
    "minus one to one": (BYTES / 127.5 - 1, "many are darker than black"),
    "far too bright": (BYTES / 255 * 3000 + 2, "most of them above 1; scale"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_floats_of_another_scale_are_no_hdr(case: str) -> None:
    values, fault = MISTAKES[case]
    with pytest.raises(InputError, match=fault):
        read_photo(values)
    # the remedy that the message names works
    assert read_photo(values, input_space="linear-srgb").linear


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_stays_an_error(tmp_path: Path, bad: float) -> None:
    pixels = LIGHT.copy()
    pixels[5, 5, 1] = bad
    for source in (pixels, exr(tmp_path / "plate.exr", pixels)):
        with pytest.raises(InputError, match="1 NaN or infinite values; repair"):
            read_photo(source)


def test_halves_that_overflowed_are_the_largest(tmp_path: Path) -> None:
    pixels = LIGHT.astype(np.float16)
    pixels[5, 5, 1] = np.inf
    with pytest.warns(MEMatteWarning, match="1 values are beyond what half floats hold; 65504"):
        assert read_photo(exr(tmp_path / "plate.exr", pixels)).pixels[5, 5, 1] == 65504
    with pytest.warns(MEMatteWarning, match="up to 1e.05 do not fit half floats"):
        write_image(tmp_path / "a.exr", LIGHT * 0 + np.float32(1e5), bits=16)
    assert read_photo(tmp_path / "a.exr").pixels.max() == 65504


def test_masks_of_exr_are_clipped_with_a_word(tmp_path: Path) -> None:
    values = np.linspace(-0.1, 1.3, 12, dtype=np.float32).reshape(3, 4)
    with pytest.warns(MEMatteWarning, match=r"mask .*m.exr: values from -0.1 to 1.3 are clipped"):
        grey = read_gray(exr(tmp_path / "m.exr", values), name="mask", use_alpha=True)
    np.testing.assert_array_equal(grey, values.clip(0, 1))


# ---- primaries -----------------------------------------------------------------------------------

SPACES: dict[str, Any] = {"acescg": ACESCG, "aces2065-1": ACES, "linear-srgb": np.eye(3)}


@pytest.mark.parametrize("space", SPACES)
def test_input_spaces(tmp_path: Path, space: str) -> None:
    """The network sees sRGB, EXR keeps the photo's own primaries, other files are sRGB."""
    light = LIGHT.clip(0.02, 0.9)
    photo = read_photo(light, input_space=space.upper())
    expected = linear_to_srgb((light @ np.array(SPACES[space], np.float32).T).clip(0, 1))
    np.testing.assert_allclose(photo.for_network(), expected, atol=2e-4)
    np.testing.assert_allclose(photo.proxy(100), expected * 255, atol=0.6)
    matte = matte_of(photo)
    matte.save(tmp_path / "out.exr")
    np.testing.assert_allclose(read_photo(tmp_path / "out.exr").pixels, light, atol=1e-6)
    found = header_of(tmp_path / "out.exr").get("chromaticities")
    assert (found is None) == (space == "linear-srgb")
    # Read again, the file names its own space.
    again = read_photo(tmp_path / "out.exr")
    np.testing.assert_allclose(again.for_network(), expected, atol=2e-4)
    matte.save(tmp_path / "out.png", bits=8)
    png = read_photo(tmp_path / "out.png")
    assert png.icc_profile is None
    np.testing.assert_allclose(png.pixels, expected * 255, atol=0.6)
    np.testing.assert_allclose(np.asarray(matte.cutout())[..., :3], expected * 255, atol=0.6)


@pytest.mark.parametrize(
    ("header", "red"),
    [
        ({"chromaticities": (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)}, 0.713),
        ({"colorInteropID": "lin_ap1_scene"}, 0.713),
        ({"oiio:ColorSpace": "ACEScg"}, 0.713),
        ({"acesImageContainerFlag": 1}, 0.7347),
        ({"chromaticities": (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)}, None),
        ({"chromaticities": (0.0,) * 8}, None),
        ({}, None),
    ],
)
def test_exr_says_its_primaries(tmp_path: Path, header: dict[str, Any], red: float | None) -> None:
    photo = read_photo(exr(tmp_path / "plate.exr", LIGHT, **header))
    assert photo.linear
    assert (None if photo.primaries is None else photo.primaries.red[0]) == pytest.approx(red)


def test_input_space_stands_above_the_file(tmp_path: Path) -> None:
    header = {"colorInteropID": "lin_ap1_scene"}
    path = exr(tmp_path / "plate.exr", LIGHT.clip(0, 1), **header)
    assert read_photo(path, input_space="linear-rec709").primaries is None
    display = read_photo(path, input_space="srgb")
    assert not display.linear
    np.testing.assert_array_equal(display.for_network(), LIGHT.clip(0, 1))
    adobe = read_photo((LIGHT.clip(0, 1) * 255).astype(np.uint8), input_space="adobe-rgb")
    assert adobe.icc_profile is not None
    with pytest.raises(SettingError, match="input space 'log': choose one of srgb, display-p3"):
        read_photo(path, input_space="log")


def test_the_network_sees_what_for_network_shows() -> None:
    """Strip by strip, through matrix and curve, clipped."""
    photo = read_photo(LIGHT, input_space="acescg")
    assert photo.to_display is not None
    gamma, matrix = photo.to_display
    assert matrix is not None
    light = Light(gamma, tuple(map(tuple, matrix.tolist())))
    image = torch.from_numpy(photo.pixels).permute(2, 0, 1)[None]
    config = random_network().config
    trimap = torch.ones(1, 1, 12, 10)
    inputs = NetworkInput(image, trimap, config, torch.float32, light=light)
    rows = inputs.strip(2, 7)[0][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(rows, photo.for_network()[2:7], atol=1e-5)


def test_hdr_and_its_clipped_copy_have_the_same_alpha() -> None:
    pipe = MattingPipeline(random_network(), device="cpu")
    pixels = np.random.default_rng(0).uniform(0, 1, (48, 48, 3)).astype(np.float32)
    pixels[10:14, 10:14] = 5
    trimap = np.full((48, 48), 0.5, np.float32)
    trimap[:8], trimap[40:] = 0, 1
    one, other = pipe(pixels, trimap), pipe(pixels.clip(0, 1), trimap)
    np.testing.assert_array_equal(one.alpha, other.alpha)


# ---- straight and premultiplied ------------------------------------------------------------------

SOFT = np.dstack([LIGHT.clip(0, 1), np.linspace(0.1, 1, 120, dtype=np.float32).reshape(12, 10)])


def test_exr_is_premultiplied_unless_asked_for_straight_and_says_so(tmp_path: Path) -> None:
    openexr = pytest.importorskip("OpenEXR")
    for straight in (False, True):
        path = tmp_path / f"{straight}.exr"
        write_image(path, SOFT, bits=32, premultiplied=False if straight else None)
        with openexr.File(str(path)) as file:
            stored = file.channels()["RGBA"].pixels
        factor = 1 if straight else SOFT[..., 3:]
        np.testing.assert_allclose(stored[..., :3], SOFT[..., :3] * factor, atol=1e-6)
        assert header_of(path).get("oiio:UnassociatedAlpha", 0) == int(straight)
        np.testing.assert_allclose(read_photo(path).pixels, SOFT[..., :3], atol=1e-5)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_tiff_is_straight_unless_asked_for_premultiplied_and_says_so(
    tmp_path: Path, bits: int
) -> None:
    for premultiplied in (None, False, True):
        path = tmp_path / f"{premultiplied}.tif"
        write_image(path, SOFT.copy(), bits=bits, premultiplied=premultiplied)
        with tifffile.TiffFile(path) as tif:
            page = tif.pages[0]
            assert int(page.extrasamples[0]) == (1 if premultiplied else 2)
            stored = page.asarray()
        top = 1 if bits == 32 else 2**bits - 1
        factor = SOFT[..., 3:] if premultiplied else 1
        np.testing.assert_allclose(
            stored[..., :3] / top, SOFT[..., :3] * factor, atol=0.6 / top + 1e-6
        )


def test_png_and_webp_are_straight(tmp_path: Path) -> None:
    for name in ("a.png", "a.webp"):
        with pytest.raises(OutputError, match=r"stores straight colours only; use .tif or .exr"):
            write_image(tmp_path / name, SOFT, bits=8, premultiplied=True)


def test_an_empty_alpha_is_not_the_photos(tmp_path: Path) -> None:
    """Compositing programs write one for each plate."""
    plate = np.dstack([LIGHT.clip(0, 1), 0 * ONE])
    for source in (plate, exr(tmp_path / "plate.exr", plate)):
        with pytest.warns(MEMatteWarning, match="alpha channel is empty"):
            photo = read_photo(source)
        assert photo.alpha is None
        np.testing.assert_array_equal(photo.pixels, LIGHT.clip(0, 1))


def test_batches_take_light_by_name_and_store_it_straight(tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    for name in ("photos", "trimaps"):
        (tmp_path / name).mkdir()
    exr(tmp_path / "photos" / "plate.exr", LIGHT)
    whole = np.full(LIGHT.shape[:2], 255, np.uint8)
    whole[:3], whole[3:5] = 0, 128
    write_image(tmp_path / "trimaps" / "plate.png", whole)
    options = BatchOptions(suffix=".exr", input_space="acescg", premultiplied=False)
    places = (tmp_path / "photos", tmp_path / "trimaps", tmp_path / "out")
    report = run_batch(
        *places, options, load=lambda: MattingPipeline(random_network(), device="cpu")
    )
    assert [item.status for item in report.items] == ["done"]
    header = header_of(tmp_path / "out" / "plate.exr")
    assert header["chromaticities"][0] == pytest.approx(0.713)
    assert header["oiio:UnassociatedAlpha"] == 1
    with pytest.raises(SettingError, match="input space 'x': choose one of"):
        BatchOptions(input_space="x")
    with pytest.raises(SettingError, match="stores straight colours only"):
        run_batch(*places, BatchOptions(suffix=".png", premultiplied=True))
