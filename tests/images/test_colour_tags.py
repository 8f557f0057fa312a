"""Colours that a file tells otherwise than by a profile mean the same in the result."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from mematte_plugin.errors import MEMatteWarning
from mematte_plugin.images.colour_spaces import Primaries
from mematte_plugin.images.colour_tags import tags_of_bmff
from mematte_plugin.images.photo import Photo
from mematte_plugin.images.profiles import icc_profile, space_of
from mematte_plugin.images.read import read_gray, read_photo
from mematte_plugin.matte import Matte

from ..colours import EIGHT, chrm, encoded, exif, gama, png, shown, with_chunk

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ADOBE = ((1.3984, -0.3984, 0), (0, 1, 0), (0, -0.0429, 1.0429))
P3 = ((1.2249, -0.2247, 0), (-0.0420, 1.0419, 0), (-0.0197, -0.0786, 1.0979))
REC2020 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
SAME = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
"""To linear Rec. 709, as the literature has them."""

ADOBE_XY = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, 0.3127, 0.329)
P3_XY = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329)
SRGB_XY = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.329)


def srgb_light(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def in_srgb(matrix: Any, decode: Any) -> np.ndarray:
    """What EIGHT is in sRGB, 0 to 255, if it is in that space."""
    light = (decode(EIGHT / 255.0) @ np.array(matrix).T).clip(0, 1)
    high = 1.055 * light ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, high) * 255


def power(gamma: float) -> Any:
    return lambda values: values**gamma


def rec709_light(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0.081, values / 4.5, ((values + 0.099) / 1.099) ** (1 / 0.45))


def avif(primaries: int, transfer: int) -> bytes:
    """An AVIF whose nclx is patched: Pillow always writes sRGB's."""
    data = encoded(EIGHT, "AVIF", quality=100, subsampling="4:4:4")
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def tiff(*tags: Any, exif_space: int | None = None) -> bytes:
    """A TIFF with these tags, and an EXIF directory at its end."""
    data = b""
    for _ in range(2):
        file = io.BytesIO()
        more = [] if exif_space is None else [(65000, 4, 1, len(data))]
        tifffile.imwrite(file, EIGHT, photometric="rgb", extratags=[*tags, *more], byteorder="<")
        data = file.getvalue()
    if exif_space is not None:
        # tifffile writes no tag of EXIF's
        data = data.replace(struct.pack("<HHI", 65000, 4, 1), struct.pack("<HHI", 34665, 4, 1))
        data += struct.pack("<HHHIII", 1, 0xA001, 3, 1, exif_space, 0)
    return data


def rationals(*numbers: float) -> tuple[int, ...]:
    return tuple(part for number in numbers for part in (round(number * 10000), 10000))


WHITE = (318, 5, 2, rationals(0.3127, 0.329))
CORNERS = (319, 5, 6, rationals(*ADOBE_XY[:6]))
CURVE18 = (301, 3, 768, tuple(round((i / 255) ** 1.8 * 65535) for i in range(256)) * 3)
CAMERA = {318: ADOBE_XY[6:], 319: ADOBE_XY[:6], 0xA500: 2.2}
ADOBE_SHOWN = in_srgb(ADOBE, power(563 / 256))
P3_SHOWN = in_srgb(P3, srgb_light)

TAGGED: dict[str, tuple[bytes, np.ndarray]] = {
    "JPEG, uncalibrated with R03": (
        encoded(EIGHT, "JPEG", quality=100, subsampling=0, exif=exif(space=65535, index="R03")),
        ADOBE_SHOWN,
    ),
    "JPEG, ColorSpace 2": (
        encoded(EIGHT, "JPEG", quality=100, subsampling=0, exif=exif(space=2)),
        ADOBE_SHOWN,
    ),
    "JPEG, R03 alone": (
        encoded(EIGHT, "JPEG", quality=100, subsampling=0, exif=exif(space=None, index="R03")),
        ADOBE_SHOWN,
    ),
    "JPEG, chromaticities and gamma": (
        encoded(EIGHT, "JPEG", quality=100, subsampling=0, exif=exif(space=65535, more=CAMERA)),
        ADOBE_SHOWN,
    ),
    "WebP, EXIF": (
        encoded(EIGHT, "WEBP", lossless=True, exif=exif(space=65535, index="R03").tobytes()),
        ADOBE_SHOWN,
    ),
    "PNG, EXIF": (encoded(EIGHT, "PNG", exif=exif(space=65535, index="R03")), ADOBE_SHOWN),
    "TIFF, EXIF": (tiff(exif_space=2), ADOBE_SHOWN),
    "TIFF, chromaticities": (tiff(WHITE, CORNERS), in_srgb(ADOBE, srgb_light)),
    "TIFF, transfer function": (tiff(WHITE, CORNERS, CURVE18), in_srgb(ADOBE, power(1.8))),
    "AVIF, P3": (avif(12, 13), P3_SHOWN),
    "AVIF, Rec. 2020": (avif(9, 14), in_srgb(REC2020, rec709_light)),
    "AVIF, gamma 2.2": (avif(1, 4), in_srgb(SAME, power(2.2))),
    "PNG, cICP P3": (png(EIGHT, (b"cICP", bytes([12, 13, 0, 1]))), P3_SHOWN),
    "PNG, cICP Rec. 2020": (
        png(EIGHT, (b"cICP", bytes([9, 1, 0, 1]))),
        in_srgb(REC2020, rec709_light),
    ),
    "PNG, cICP linear": (png(EIGHT, (b"cICP", bytes([1, 8, 0, 1]))), in_srgb(SAME, power(1))),
    "PNG, gAMA 1": (png(EIGHT, gama(1)), in_srgb(SAME, power(1))),
    "PNG, gAMA 1/1.8": (png(EIGHT, gama(1 / 1.8)), in_srgb(SAME, power(1.8))),
    "PNG, gAMA and cHRM": (png(EIGHT, gama(1 / 2.2), chrm(*ADOBE_XY)), ADOBE_SHOWN),
    "PNG, cHRM alone": (png(EIGHT, chrm(*P3_XY)), P3_SHOWN),
    "PNG, cICP before iCCP": (
        with_chunk(encoded(EIGHT, "PNG", icc_profile=SRGB), b"cICP", bytes([12, 13, 0, 1])),
        P3_SHOWN,
    ),
}


@pytest.mark.parametrize("case", TAGGED)
def test_the_profile_matches_the_files_tags(case: str) -> None:
    data, expected = TAGGED[case]
    photo = read_photo(data)
    assert photo.icc_profile is not None
    assert not photo.linear
    lossy = 6 if case.startswith(("JPEG", "AVIF")) else 0
    np.testing.assert_allclose(photo.pixels.astype(int), EIGHT, atol=lossy)
    # AVIF and JPEG shift a value a little, and a wide gamut shows that more.
    np.testing.assert_allclose(shown(photo.pixels, photo.icc_profile), expected, atol=2 + 3 * lossy)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((12, 13), P3_SHOWN),
        ((9, 1), in_srgb(REC2020, rec709_light)),
        ((1, 13), EIGHT.astype(float)),
    ],
)
def test_heic_says_its_space_by_nclx(numbers: tuple[int, int], expected: np.ndarray) -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    large = np.kron(EIGHT, np.ones((16, 16, 1), np.uint8))
    heif.from_pillow(Image.fromarray(large)).save(
        file,
        quality=-1,
        chroma=444,
        save_nclx_profile=True,
        color_primaries=numbers[0],
        transfer_characteristics=numbers[1],
        matrix_coefficients=6,
        full_range_flag=1,
    )
    photo = read_photo(file.getvalue())
    assert (photo.icc_profile is None) == (numbers == (1, 13))
    seen = shown(photo.pixels[8::16, 8::16].copy(), photo.icc_profile)
    np.testing.assert_allclose(seen, expected, atol=4)


NOT_TAGGED: dict[str, bytes] = {
    "JPEG, sRGB": encoded(EIGHT, "JPEG", exif=exif(space=1, index="R98")),
    "JPEG, uncalibrated": encoded(EIGHT, "JPEG", exif=exif(space=65535)),
    "AVIF": encoded(EIGHT, "AVIF"),
    "AVIF, unspecified": avif(2, 2),
    "AVIF, unknown numbers": avif(77, 99),
    "PNG, sRGB before gAMA": png(EIGHT, (b"sRGB", b"\0"), gama(1), chrm(*P3_XY)),
    "PNG, gAMA of sRGB": png(EIGHT, gama(0.45455)),
    "PNG, gAMA and cHRM of sRGB": png(EIGHT, gama(0.45455), chrm(*SRGB_XY)),
    "PNG, cICP of sRGB": png(EIGHT, (b"cICP", bytes([1, 13, 0, 1])), gama(1)),
    "PNG, gAMA 0": png(EIGHT, gama(0)),
    "PNG, impossible cHRM": png(EIGHT, chrm(*(0.3,) * 8)),
    "PNG, short cICP": png(EIGHT, (b"cICP", b"\1")),
    "TIFF, sRGB": tiff(WHITE, (319, 5, 6, rationals(*SRGB_XY[:6]))),
}


@pytest.mark.parametrize("case", NOT_TAGGED)
def test_srgb_and_untagged_pictures_get_no_profile(case: str) -> None:
    assert read_photo(NOT_TAGGED[case]).icc_profile is None


def test_a_profile_stands_above_tags() -> None:
    tagged = encoded(EIGHT, "JPEG", icc_profile=SRGB, exif=exif(space=65535, index="R03"))
    assert read_photo(tagged).icc_profile == SRGB
    whole = with_chunk(encoded(EIGHT, "PNG", icc_profile=SRGB), *gama(1))
    assert read_photo(whole).icc_profile == SRGB


def test_a_pillow_image_has_the_same_tags() -> None:
    camera = Image.open(io.BytesIO(encoded(EIGHT, "JPEG", exif=exif(space=65535, index="R03"))))
    linear = Image.open(io.BytesIO(png(EIGHT, gama(1), chrm(*P3_XY))))
    icc = read_photo(camera).icc_profile
    assert icc is not None
    assert b"Adobe RGB" in icc
    of_linear = space_of(read_photo(linear).icc_profile)
    assert of_linear is not None
    p3 = Primaries.of(P3_XY)
    assert p3 is not None
    np.testing.assert_allclose(of_linear.to_d50, p3.to_d50(), atol=1e-3)
    assert read_photo(camera.convert("L").convert("RGB")).icc_profile == icc


@pytest.mark.parametrize("grey", [False, True])
def test_16_bits_of_linear_gamma_look_right(tmp_path: Path, grey: bool) -> None:
    """The network sees them display-encoded; the file shows what the photo shows."""
    display = np.linspace(0.05, 0.95, 64, dtype=np.float32).reshape(8, 8)
    light = np.rint(srgb_light(display) * 65535).astype(np.uint16)
    photo = read_photo(png(light if grey else np.dstack([light] * 3), gama(1)))
    np.testing.assert_allclose(photo.for_network()[..., 0], display, atol=1e-3)
    alpha = np.ones((8, 8), np.float32)
    Matte(alpha, photo, alpha).save(tmp_path / "out.png")
    kept = read_photo(tmp_path / "out.png")
    np.testing.assert_array_equal(kept.pixels, photo.pixels)
    assert kept.icc_profile == photo.icc_profile
    np.testing.assert_allclose(kept.for_network()[..., 0], display, atol=1e-3)
    # Seen through the profile: 8 bits of light are coarse, so only where it is bright.
    eight = (kept.pixels[5:] >> 8).astype(np.uint8)
    np.testing.assert_allclose(shown(eight, kept.icc_profile)[..., 0], display[5:] * 255, atol=2)


def test_16_bit_grey_with_a_profile_of_grey_keeps_its_curve() -> None:
    import zlib

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(1.8 * 256))
    icc = bytearray(icc_profile(*_space(1.8), "x"))
    icc[16:20] = b"GRAY"
    at = bytes(icc).index(b"rTRC")
    icc[at : at + 4] = b"kTRC"
    assert curve[:12] in icc
    body = b"x\0\0" + zlib.compress(bytes(icc))
    photo = read_photo(png(EIGHT[..., 0].astype(np.uint16) * 257, (b"iCCP", body)))
    space = space_of(photo.icc_profile)
    assert space is not None
    assert space.curves[0].decode(np.float32([0.5]))[0] == pytest.approx(0.5**1.8, abs=1e-3)


def _space(gamma: float) -> Any:
    from mematte_plugin.images.colour_spaces import REC709, Curve

    return REC709, Curve(gamma)


@pytest.mark.parametrize("transfer", [16, 18])
def test_pq_and_hlg_become_light_with_diffuse_white_at_one(transfer: int) -> None:
    """58% of PQ and 75% of HLG are 203 cd/m² (ITU-R BT.2408)."""
    white = {16: 0.5807, 18: 0.75}[transfer]
    pixels = np.full((4, 4, 3), round(white * 65535), np.uint16)
    pixels[0] = 65535
    pixels[1] = 0
    with pytest.warns(MEMatteWarning, match="HDR picture .* white at 203"):
        photo = read_photo(png(pixels, (b"cICP", bytes([9, transfer, 0, 1]))))
    assert photo.linear
    np.testing.assert_allclose(photo.pixels[2:], 1, atol=0.02)
    np.testing.assert_allclose(photo.pixels[0], {16: 10000, 18: 1000}[transfer] / 203, rtol=1e-3)
    np.testing.assert_allclose(photo.pixels[1], 0, atol=1e-3)
    assert photo.for_network().max() <= 1


def test_video_levels_are_spread() -> None:
    pixels = np.stack([np.full((3, 3), value, np.uint8) for value in (16, 126, 235)], axis=2)
    photo = read_photo(png(pixels, (b"cICP", bytes([12, 13, 0, 0]))))
    np.testing.assert_array_equal(photo.pixels[0, 0], [0, 128, 255])


def test_a_trimap_or_mask_is_read_by_its_numbers() -> None:
    grey = np.array([[0, 128, 255]], np.uint8)
    for chunks in ([gama(1)], [(b"cICP", bytes([9, 16, 0, 1]))], [(b"cICP", bytes([1, 1, 0, 0]))]):
        np.testing.assert_array_equal(read_gray(png(grey, *chunks)), grey / np.float32(255))


def test_broken_containers_have_no_tags() -> None:
    whole = avif(12, 13)
    for length in range(8, len(whole), 7):
        tags_of_bmff(whole[:length])
    for at in range(12, 250):  # no byte of the boxes may hang or raise
        tags_of_bmff(whole[:at] + b"\xff" + whole[at + 1 :])


def test_every_front_end_writes_the_profile(tmp_path: Path) -> None:
    """cut-out, foreground and composite in PNG, TIFF, WebP and JPEG carry it."""
    photo = read_photo(TAGGED["PNG, cICP P3"][0])
    one = np.ones((4, 4), np.float32)
    matte = Matte(one, photo, one)
    for name in ("a.png", "a.tif", "a.webp"):
        matte.save(tmp_path / name)
        assert read_photo(tmp_path / name).icc_profile == photo.icc_profile
    matte.save(tmp_path / "f.jpg", kind="foreground")
    assert read_photo(tmp_path / "f.jpg").icc_profile == photo.icc_profile
    assert matte.composite("red").info["icc_profile"] == photo.icc_profile


def test_icc_photos_become_light_of_rec709_in_exr(tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    photo = read_photo(TAGGED["PNG, cICP P3"][0])
    one = np.ones((4, 4), np.float32)
    Matte(one, photo, one).save(tmp_path / "a.exr", bits=32)
    light = read_photo(tmp_path / "a.exr")
    assert light.primaries is None
    expected = srgb_light(EIGHT / 255.0) @ np.array(P3).T
    np.testing.assert_allclose(light.pixels, expected, atol=1e-3)
    assert isinstance(light, Photo)


def bmp(gamma: float, corners: tuple[float, ...]) -> bytes:
    """EIGHT as a BMP of version 4, calibrated by end points and gamma."""
    pixels = EIGHT[::-1, :, ::-1].tobytes()  # rows of four pixels need no padding
    white = np.array([corners[6] / corners[7], 1, (1 - corners[6] - corners[7]) / corners[7]])
    xyz = np.array([[x, y, 1 - x - y] for x, y in zip(corners[:6:2], corners[1:6:2], strict=True)])
    ends = np.rint((xyz.T * np.linalg.solve(xyz.T, white)).T.ravel() * 2**30).astype("<i4")
    head = struct.pack("<IiiHHIIiiII", 108, 4, 4, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    head += bytes(20) + ends.tobytes() + struct.pack("<3I", *(round(gamma * 65536),) * 3)
    return b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + head + pixels


def test_bmp_says_its_end_points_and_gamma() -> None:
    photo = read_photo(bmp(1.8, ADOBE_XY))
    seen = shown(photo.pixels, photo.icc_profile)
    np.testing.assert_allclose(seen, in_srgb(ADOBE, power(1.8)), atol=2)
    assert read_photo(bmp(2.2, SRGB_XY)).icc_profile is None
    assert read_photo(encoded(EIGHT, "BMP")).icc_profile is None


def test_radiance_says_its_primaries() -> None:
    import cv2

    data = cv2.imencode(".hdr", np.full((8, 8, 3), 0.5, np.float32))[1].tobytes()
    assert read_photo(data).primaries is None
    line = ("PRIMARIES= " + " ".join(map(str, P3_XY)) + "\n").encode()
    at = data.index(b"\n") + 1
    photo = read_photo(data[:at] + line + data[at:])
    assert photo.linear
    assert photo.primaries is not None
    np.testing.assert_allclose(photo.primaries.numbers, P3_XY)
