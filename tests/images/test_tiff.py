"""TIFF: every layout comes out as it was written, once upright, or is named for what it is."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from mematte_plugin.errors import InputError, MEMatteWarning
from mematte_plugin.images.decode import read_header
from mematte_plugin.images.decoded import Header
from mematte_plugin.images.read import read_gray, read_photo
from mematte_plugin.trimap.masks import read_mask

from ..fuzz.seeds import tiff_bytes
from ..patience import PATIENCE

HEIGHT, WIDTH = 37, 52


def picture(channels: int, dtype: Any) -> np.ndarray:
    """(H, W, channels): slopes, different in every channel."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [y / HEIGHT, x / WIDTH, (x + y) / 100, 1 - y / HEIGHT, 1 - x / WIDTH]
    unit = np.stack(planes[:channels], axis=2) * 0.8 + 0.1
    if np.dtype(dtype).kind == "f":
        return unit.astype(dtype)
    return np.rint(unit * np.iinfo(dtype).max).astype(dtype)


def read(data: bytes, tmp_path: Path) -> np.ndarray:
    """Colours and alpha, after checking that the header tells the same."""
    path = tmp_path / "photo.tif"
    path.write_bytes(data)
    photo = read_photo(path)
    assert read_header(path) == Header(*photo.size, photo.pixels.dtype.itemsize)
    return photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])


def grey(plane: np.ndarray) -> np.ndarray:
    return np.stack([plane] * 3, axis=2)


LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 7},
    "one strip": {"rowsperstrip": HEIGHT},
    "tiles": {"tile": (16, 32)},
    "planar": {"planarconfig": "separate", "rowsperstrip": 7},
    "planar tiles": {"planarconfig": "separate", "tile": (16, 16)},
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f2", "f4"])
@pytest.mark.parametrize(
    "compression", [None, "packbits", "zlib", "zlib+", "lzma", "lzw", "lzw+", "zstd+"]
)
def test_samples_come_out_as_they_were_written(
    tmp_path: Path, layout: str, dtype: str, compression: str | None
) -> None:
    floating = dtype.startswith("f")
    packed: dict[str, Any] = {"compression": compression and compression.rstrip("+")}
    if compression and compression.endswith("+"):
        packed["predictor"] = 3 if floating else 2
    if packed["compression"] in ("lzw", "zstd") or packed.get("predictor") == 3:
        pytest.importorskip("imagecodecs")  # writes it, too
    pixels = picture(3, dtype)
    stored = np.moveaxis(pixels, 2, 0).copy() if "planar" in layout else pixels
    data = tiff_bytes(stored, photometric="rgb", **packed, **LAYOUTS[layout])
    expected = pixels.astype("f4") if floating else pixels
    np.testing.assert_array_equal(read(data, tmp_path), expected, strict=True)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize(
    "kind",
    [
        ("minisblack", ["unassalpha"], [0, 0, 0, 1]),
        ("minisblack", ["unspecified"] * 4, [0]),
        ("rgb", ["unassalpha"], [0, 1, 2, 3]),
        ("rgb", ["unspecified"], [0, 1, 2]),
        ("rgb", ["unspecified", "unspecified"], [0, 1, 2]),
        ("rgb", ["unassalpha", "unspecified"], [0, 1, 2, 3]),
        ("rgb", ["unspecified", "unassalpha"], [0, 1, 2, 4]),
    ],
)
def test_alpha_is_distinguished_from_selections(
    tmp_path: Path, kind: tuple[str, list[str], list[int]], dtype: str, compression: str | None
) -> None:
    photometric, extra, taken = kind
    pixels = picture((3 if photometric == "rgb" else 1) + len(extra), dtype)
    data = tiff_bytes(
        pixels, photometric=photometric, extrasamples=extra, planarconfig="contig",
        compression=compression,
    )  # fmt: skip
    expected = grey(pixels[..., 0]) if taken == [0] else pixels[..., taken]
    np.testing.assert_array_equal(read(data, tmp_path), expected, strict=True)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("extra", [None, "unassalpha", "unspecified"])
@pytest.mark.parametrize("planar", [False, True])
def test_cmyk_keeps_its_depth_and_its_alpha(
    tmp_path: Path, dtype: str, extra: str | None, planar: bool
) -> None:
    inks = picture(4 if extra is None else 5, dtype)
    stored = np.moveaxis(inks, 2, 0).copy() if planar else inks
    data = tiff_bytes(
        stored, photometric="separated", extrasamples=[extra] if extra else None,
        planarconfig="separate" if planar else "contig",
    )  # fmt: skip
    top = np.iinfo(dtype).max
    unit = inks / top
    expected = np.rint((1 - unit[..., :3]) * (1 - unit[..., 3:4]) * top)
    found = read(data, tmp_path)
    assert found.dtype == dtype
    np.testing.assert_allclose(found[..., :3].astype(float), expected, atol=1)
    if extra == "unassalpha":
        np.testing.assert_array_equal(found[..., 3], inks[..., 4])
    else:
        assert found.shape[2] == 3


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_odd_depths_fill_the_range(tmp_path: Path, bits: int, photometric: str) -> None:
    if bits > 1:
        pytest.importorskip("imagecodecs")
    top = (1 << bits) - 1
    steps = np.rint(picture(1, "f8")[..., 0] * top)
    stored = steps.astype(bool if bits == 1 else "u1" if bits <= 8 else "u2")
    packed = {} if bits == 1 else {"bitspersample": bits}
    found = read(tiff_bytes(stored, photometric=photometric, **packed), tmp_path)
    whole = 255 if bits <= 8 else 65535
    light = steps if photometric == "minisblack" else top - steps
    np.testing.assert_array_equal(found, grey(np.rint(light * whole / top).astype(found.dtype)))
    assert found.dtype == (np.uint8 if bits <= 8 else np.uint16)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_palettes(tmp_path: Path, compression: str) -> None:
    image = Image.fromarray(picture(3, "u1")).quantize(17)
    image.save(tmp_path / "palette.tif", compression=compression)
    found = read((tmp_path / "palette.tif").read_bytes(), tmp_path)
    np.testing.assert_array_equal(found, np.array(image.convert("RGB")))


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_lzw"])
def test_faxes_are_masks(tmp_path: Path, compression: str) -> None:
    inside = picture(1, "f4")[..., 0] > 0.5
    Image.fromarray(inside).save(tmp_path / "mask.tif", compression=compression)
    np.testing.assert_array_equal(read_gray(tmp_path / "mask.tif"), inside.astype(np.float32))


def test_lab_is_seen_as_little_cms_sees_it(tmp_path: Path) -> None:
    image = Image.fromarray(picture(3, "u1"))
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(image, to_lab)
    assert lab is not None
    lab.save(tmp_path / "lab.tif")
    found = read((tmp_path / "lab.tif").read_bytes(), tmp_path)
    assert abs(found.astype(int) - np.array(image)).mean() < 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("dtype", "compression"), [("u2", "lzw"), ("u1", "lzw"), ("u1", "jpeg"), ("u2", None)]
)
def test_orientation_is_applied_once(
    tmp_path: Path, orientation: int, dtype: str, compression: str | None
) -> None:
    if compression:
        pytest.importorskip("imagecodecs")
    upright = np.zeros((16, 32, 3), dtype)
    upright[:8, :16] = np.iinfo(dtype).max
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright), 7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    data = tiff_bytes(
        np.ascontiguousarray(stored), photometric="rgb", compression=compression,
        extratags=[(274, "H", 1, orientation, True)],
    )  # fmt: skip
    bright = read(data, tmp_path)[..., 0] > np.iinfo(dtype).max // 2
    np.testing.assert_array_equal(bright, upright[..., 0] > 0)


def test_premultiplied_colours_come_out_straight(tmp_path: Path) -> None:
    straight = picture(4, "u2")
    stored = straight.copy()
    stored[..., :3] = np.rint(straight[..., :3] * (straight[..., 3:] / 65535))
    found = read(tiff_bytes(stored, photometric="rgb", extrasamples=["assocalpha"]), tmp_path)
    np.testing.assert_allclose(found.astype(float), straight, atol=8)


@pytest.mark.parametrize("dtype", ["u4", "i2", "i4", "i1"])
def test_ids_are_masks_and_no_photos(tmp_path: Path, dtype: str) -> None:
    inside = picture(1, "f4")[..., 0] > 0.5
    path = tmp_path / "labels.tif"
    path.write_bytes(tiff_bytes((inside * 7).astype(dtype), photometric="minisblack"))
    np.testing.assert_array_equal(read_mask(path), inside.astype(np.float32))
    for refuse in (read_photo, read_header):
        with pytest.raises(InputError, match=r"samples \(grey, no compression\), .* ids"):
            refuse(path)


def test_the_palette_of_a_tiff_counts_by_index() -> None:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[9:20, 9:20] = 1
    colours = np.zeros((3, 256), np.uint16)
    colours[:, 1] = (0x8000, 0, 0)
    data = tiff_bytes(labels, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(read_mask(data), labels.astype(np.float32))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"array": picture(3, "f4").astype("i2"), "photometric": "rgb"}, "16 bit signed samples"),
        ({"array": picture(1, "f4")[..., 0].astype("c8")}, "bit complex samples"),
        ({"array": picture(4, "u1"), "photometric": "separated", "sub": (332, 2)}, "other inks"),
    ],
)
def test_what_is_no_picture_is_named(options: dict[str, Any], named: str) -> None:
    tag, value = options.pop("sub", (332, 1))
    data = tiff_bytes(
        options["array"], photometric=options.get("photometric", "minisblack"),
        extratags=[(tag, "H", 1, value, True)],
    )  # fmt: skip
    with pytest.raises(InputError, match=named) as caught:
        read_photo(data)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "named"), [(32809, "THUNDERSCAN"), (34661, "JBIG"), (34676, "SGILOG"), (777, "777")]
)
def test_compressions_that_nothing_undoes_are_named(number: int, named: str) -> None:
    data = bytearray(tiff_bytes(picture(3, "u1"), photometric="rgb"))
    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        at = tif.pages[0].tags[259].valueoffset
    data[at : at + 2] = number.to_bytes(2, "little")
    with pytest.raises(InputError, match=rf"RGB, .*{named}.*, which cannot be read") as caught:
        read_photo(bytes(data))
    assert "damaged" not in str(caught.value)


def test_damage_is_called_damage() -> None:
    for options in ({}, {"compression": "zlib"}, {"compression": "packbits"}):
        data = tiff_bytes(picture(3, "u2"), photometric="rgb", **options)
        with pytest.raises(InputError, match="damaged or cut off"):
            read_photo(data[: len(data) // 2])
    zipped = bytearray(tiff_bytes(picture(3, "u2"), photometric="rgb", compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(zipped)) as tif:
        at = tif.pages[0].dataoffsets[0]
    zipped[at + 300 : at + 400] = bytes(100)
    with pytest.raises(InputError, match="damaged or cut off"):
        read_photo(bytes(zipped))


def test_a_thumbnail_in_front_is_not_the_picture(tmp_path: Path) -> None:
    pixels = picture(3, "u2")
    with tifffile.TiffWriter(tmp_path / "scan.tif") as tif:
        tif.write(pixels[::4, ::4], photometric="rgb", subfiletype=1)
        tif.write(pixels, photometric="rgb")
    found = read((tmp_path / "scan.tif").read_bytes(), tmp_path)
    np.testing.assert_array_equal(found, pixels)


BARE = """
import sys
for name in ("imagecodecs", "pillow_heif", "pillow_jxl", "rawpy"):
    sys.modules[name] = None
import numpy as np
from mematte_plugin.errors import InputError
from mematte_plugin import read_photo
for path in sys.argv[1:]:
    try:
        photo = read_photo(path)
        print(photo.pixels.dtype, *np.load(path + ".npy").shape[:2] == np.array(photo.size),
              np.array_equal(photo.pixels, np.load(path + ".npy")))
    except InputError as error:
        print(error)
"""


def test_without_imagecodecs_lzw_is_read_and_the_rest_is_named(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs")  # to write them
    pixels = picture(3, "u2")
    planar = np.moveaxis(pixels, 2, 0).copy()
    files = {
        "lzw": (pixels, {"compression": "lzw", "predictor": 2, "byteorder": ">"}),
        "planar": (planar, {"compression": "lzw", "planarconfig": "separate"}),
        "tiles": (pixels, {"compression": "lzw", "tile": (16, 16), "bigtiff": True}),
        "zstd": (pixels, {"compression": "zstd"}),
        "webp": (picture(3, "u1"), {"compression": "webp"}),
        "float": (picture(3, "f4"), {"compression": "zlib", "predictor": 3}),
    }
    for name, (stored, options) in files.items():
        (tmp_path / name).write_bytes(tiff_bytes(stored, photometric="rgb", **options))
        np.save(tmp_path / f"{name}.npy", pixels)
    done = subprocess.run(
        [sys.executable, "-c", BARE, *(str(tmp_path / name) for name in files)],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[:3] == ["uint16 True True True"] * 3
    pip = 'pip install "mematte-plugin[formats]"'
    for line, named in zip(lines[3:], ("ZSTD", "WEBP", "floating-point predictor"), strict=True):
        assert named in line
        assert pip in line
        assert "damaged" not in line
    assert done.stderr == ""


def test_16_bit_cmyk_goes_through_its_profile(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs")
    # A profile that is broken must not cost the photograph, nor its depth.
    inks = picture(4, "u2")
    fake = b"\0" * 16 + b"CMYK" + b"\0" * 108
    found = read(tiff_bytes(inks, photometric="separated", iccprofile=fake), tmp_path)
    assert found.dtype == np.uint16


def test_several_pages_are_warned_of_once(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "scan.tif") as tif:
        for _ in range(3):
            tif.write(picture(4, "u1"), photometric="separated")
    with pytest.warns(MEMatteWarning, match="several pages") as caught:
        read_photo(tmp_path / "scan.tif")
    assert len(caught) == 1


def press_profile() -> bytes:
    """A CMYK profile with a table of two steps a side, to L*a*b*: inks that darken and tint."""
    steps = np.array(list(np.ndindex(2, 2, 2, 2)))  # (16, 4)
    light = 255 * (1 - steps * (0.3, 0.4, 0.1, 0.9)).prod(axis=1)
    tint = 128 + steps @ np.array([[-30, -30], [40, 0], [0, 60], [0, 0]])
    table = np.rint(np.column_stack([light, tint])).astype(np.uint8).tobytes()
    straight = bytes(range(256))
    unit = struct.pack(">9i", *(np.eye(3, dtype=int).ravel() << 16))
    lut = b"mft1\0\0\0\0\4\3\2\0" + unit + straight * 4 + table + straight * 3
    white = struct.pack(">3i", 63190, 65536, 54061)
    tags = [(b"A2B0", lut), (b"wtpt", b"XYZ \0\0\0\0" + white)]
    at, index, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for key, data in tags:
        index += key + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI12s", at + len(body), b"", 0x02400000, b"prtrCMYKLab ")
    head = head.ljust(36, b"\0") + b"acsp"
    return (head.ljust(68, b"\0") + white).ljust(128, b"\0") + index + body


@pytest.mark.parametrize("extra", [None, "unassalpha"])
def test_cmyk_goes_through_its_profile_in_either_depth(tmp_path: Path, extra: str | None) -> None:
    pytest.importorskip("imagecodecs")
    options = {"photometric": "separated", "iccprofile": press_profile()}
    if extra:
        options["extrasamples"] = [extra]
    channels = 5 if extra else 4
    eight = picture(channels, "u1")
    narrow = read(tiff_bytes(eight, **options), tmp_path)
    wide = read(tiff_bytes(eight.astype(np.uint16) * 257, **options), tmp_path)
    assert (narrow.dtype, wide.dtype) == (np.uint8, np.uint16)
    assert abs(wide / 257 - narrow).max() < 2
    plain = (1 - eight[..., :3] / 255) * (1 - eight[..., 3:4] / 255) * 255
    assert abs(narrow[..., :3] - plain).mean() > 20  # the profile does tint


@pytest.mark.parametrize("size", [(1, 3), (3, 3), (5, 3), (3, 1)])
def test_planes_as_wide_as_there_are_samples(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = picture(3, "u2")[: size[0], : size[1]]
    planes = np.moveaxis(pixels, 2, 0).copy()
    data = tiff_bytes(planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read(data, tmp_path), pixels)
