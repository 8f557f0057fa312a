"""EXR: whatever its channels are called, the photo and the mask in it are found, or listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mematte_plugin import Layer, cut, from_mask
from mematte_plugin.cli.shell import run
from mematte_plugin.errors import InputError, MEMatteWarning
from mematte_plugin.images.decode import read_header
from mematte_plugin.images.decoded import Header
from mematte_plugin.images.exr import rgb_from_chroma
from mematte_plugin.images.read import read_gray, read_photo

OpenEXR = pytest.importorskip("OpenEXR")

SIZE = (12, 10)
SLOPE = np.linspace(0, 1, 120, dtype=np.float32).reshape(SIZE)
INSIDE = (SLOPE > 0.5).astype(np.float32)
HALF = np.float16

Channels = dict[str, np.ndarray]


def colour(before: str = "", ends: str = "RGB", alpha: np.ndarray | None = None) -> Channels:
    """Three channels of different brightness, premultiplied with any alpha."""
    over = 1 if alpha is None else alpha
    found = {
        before + end: (SLOPE * share * over).astype(HALF)
        for end, share in zip(ends, (1, 0.8, 0.6), strict=False)
    }
    return found if alpha is None else {**found, before + ends[3]: alpha.astype(HALF)}


def exr(path: Path, *parts: Channels | tuple[str, Channels], **header: Any) -> Path:
    """An EXR of these parts, with or without names."""
    made = []
    for part in parts:
        name, channels = part if isinstance(part, tuple) else ("", part)
        whole = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION, **header}
        made.append(OpenEXR.Part({**whole, **({"name": name} if name else {})}, channels))
    with OpenEXR.File(made) as file:
        file.write(str(path))
    return path


PHOTOS: dict[str, list[Any]] = {
    "plain": [colour()],
    "lower case": [colour(ends="rgb")],
    "a layer": [colour("ViewLayer.Combined.")],
    "a layer with alpha": [colour("ViewLayer.Combined.", "RGBA", np.ones(SIZE))],
    "whole words": [{f"beauty.{word}": p for word, p in zip(("red", "green", "blue"),
                                                           colour().values(), strict=True)}],
    "and depth": [{**colour("rgb."), "depth.Z": SLOPE * 1000}],
    "and its passes": [{**colour(), **colour("diffuse."), **colour("specular.")}],
    "and a matte": [{**colour(), "matte.A": INSIDE, "id": INSIDE.astype(np.uint32)}],
    "a part": [("depth", {"Z": SLOPE}), ("rgba", colour("", "RGBA", np.ones(SIZE)))],
    "a part with a layer": [("beauty", colour("beauty.")), ("matte", {"matte.A": INSIDE})],
}  # fmt: skip


@pytest.mark.parametrize("kind", PHOTOS)
def test_the_one_colour_layer_is_the_photo(tmp_path: Path, kind: str) -> None:
    path = exr(tmp_path / "plate.exr", *PHOTOS[kind])
    photo = read_photo(path)
    expected = np.dstack(list(colour().values())).astype(np.float32)
    np.testing.assert_array_equal(photo.pixels, expected)
    assert photo.linear
    assert read_header(path) == Header(*SIZE, 4)


MASKS: dict[str, list[Any]] = {
    **{f"alone: {name}": [{name: INSIDE}] for name in ("A", "R", "Y", "Z", "id", "roto.hero")},
    "unsigned": [{"id": INSIDE.astype(np.uint32)}],
    "half": [{"A": INSIDE.astype(HALF)}],
    "a layer's alpha": [{"matte.A": INSIDE, "depth.Z": SLOPE}],
    "and a photo": [{**colour(), "matte.Y": INSIDE}],
    "alpha of the photo": [colour("ViewLayer.Combined.", "RGBA", INSIDE)],
    "white in colours": [{end: INSIDE for end in "RGB"}],
    "black with alpha": [{**{end: INSIDE * 0 for end in "RGB"}, "A": INSIDE}],
    "colours with all opaque": [{**{end: INSIDE for end in "RGB"}, "A": INSIDE * 0 + 1}],
    "and its passes": [{**colour("", "RGBA", INSIDE), **colour("crypto00.", "RGBA", SLOPE)}],
    "a part": [("rgb", colour()), ("matte", {"A": INSIDE})],
    "and normals": [{"A": INSIDE, "N.X": SLOPE, "N.Y": SLOPE, "N.Z": SLOPE}],
    "a breath above 1": [{"Y": INSIDE * np.float32(1.0001)}],
}


@pytest.mark.parametrize("kind", MASKS)
def test_the_one_channel_that_can_be_is_the_mask(tmp_path: Path, kind: str) -> None:
    path = exr(tmp_path / "matte.exr", *MASKS[kind])
    np.testing.assert_array_equal(read_gray(path, name="mask", use_alpha=True), INSIDE)


SEVERAL = {
    **colour("ViewLayer.Combined."), **colour("ViewLayer.DiffCol.", "rgb"),
    "hero.A": INSIDE, "set.A": 1 - INSIDE,
}  # fmt: skip


def test_several_layers_are_listed_and_one_can_be_named(tmp_path: Path) -> None:
    path = exr(tmp_path / "shot.exr", SEVERAL)
    listed = r"ViewLayer\.Combined \(R, G, B\); ViewLayer\.DiffCol \(r, g, b\)"
    with pytest.raises(InputError, match=listed + "; name one with --layer NAME"):
        read_photo(path)
    with pytest.raises(InputError, match=r"masks: hero \(A\); set \(A\); .*--mask-layer NAME"):
        read_gray(path, name="mask", use_alpha=True)
    for name in ("ViewLayer.DiffCol", "diffcol", "viewlayer.diffcol"):
        assert read_photo(path, layer=name).pixels.max() == 1
        assert read_photo(Layer(path.read_bytes(), name)).size == SIZE
    for name in ("hero", "hero.A", "HERO.a"):
        np.testing.assert_array_equal(read_gray(path, layer=name), INSIDE)
    for name in ("Normal", "DiffCol.R", "hero"):
        with pytest.raises(InputError, match=r"shot\.exr"):
            read_photo(path, layer=name)


def test_parts_are_named_like_layers(tmp_path: Path) -> None:
    path = exr(tmp_path / "shot.exr", ("left", colour()), ("right", colour("", "RGBA", INSIDE)))
    with pytest.raises(InputError, match=r"left \(R, G, B\); right \(R, G, B, A\)"):
        read_photo(path)
    assert read_photo(path, layer="Right").alpha is not None
    assert read_photo(path, layer="left").alpha is None


def test_a_layer_serves_wherever_a_mask_does(tmp_path: Path) -> None:
    path = exr(tmp_path / "shot.exr", SEVERAL)
    hero = Layer(path, "hero")
    trimap = from_mask(hero, inside=0, outside=0, unit="px", keep_soft=False)
    np.testing.assert_array_equal(trimap == 255, INSIDE == 1)
    matte = cut(Layer(path, "Combined"), mask=hero, inside=0, outside=0)
    np.testing.assert_array_equal(matte.alpha, INSIDE)
    with pytest.raises(InputError, match=r"no layers, so there is no 'hero'"):
        from_mask(Layer(INSIDE, "hero"))


def test_photo_and_mask_have_their_own_messages(tmp_path: Path) -> None:
    matte = exr(tmp_path / "matte.exr", {"A": INSIDE})
    plate = exr(tmp_path / "plate.exr", {"N.X": SLOPE, "N.Y": SLOPE * 2, "N.Z": SLOPE})
    with pytest.raises(InputError, match=r"matte\.exr.*no colour layer.*is it the mask"):
        read_photo(matte)
    with pytest.raises(InputError, match=r"no colour layer \(R, G, B\) for a background"):
        read_photo(matte, role="background")
    depth = exr(tmp_path / "depth.exr", {"Z": SLOPE * 100 + 0.5})
    with pytest.raises(InputError, match=r"mask .*depth\.exr: its values run from 0.5 to 100.5"):
        read_gray(depth, name="mask", use_alpha=True)
    with pytest.raises(InputError, match=r"plate\.exr.*no colour layer.*holds N \(Z, Y, X\)"):
        read_photo(plate)


def test_mask_values_beyond_one(tmp_path: Path) -> None:
    with pytest.warns(MEMatteWarning, match=r"from 0 to 1.5 are clipped"):
        found = read_gray(exr(tmp_path / "added.exr", {"Y": INSIDE * 1.5}), use_alpha=True)
    np.testing.assert_array_equal(found, INSIDE)
    scaled = read_gray(exr(tmp_path / "scaled.exr", {"Y": INSIDE * 255}), use_alpha=True)
    np.testing.assert_array_equal(scaled, INSIDE)


def test_data_windows_are_laid_into_the_display_window(tmp_path: Path) -> None:
    shown = (np.array([0, 0], np.int32), np.array([9, 11], np.int32))
    for left, top, right, bottom in ((-2, -1, 2, 2), (3, 4, 6, 8), (-3, -2, 14, 16)):
        stored = (np.array([left, top], np.int32), np.array([right, bottom], np.int32))
        ones = np.ones((bottom - top + 1, right - left + 1), np.float32)
        path = exr(tmp_path / "crop.exr", {"A": ones}, dataWindow=stored, displayWindow=shown)
        expected = np.zeros((12, 10))
        expected[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = 1
        np.testing.assert_array_equal(read_gray(path, use_alpha=True), expected)
        assert read_header(path) == Header(12, 10, 4)


def test_a_part_that_is_cut_off_is_not_taken_from_another(tmp_path: Path) -> None:
    path = exr(tmp_path / "shot.exr", ("rgb", colour()), ("matte", {"A": INSIDE}))
    path.write_bytes(path.read_bytes()[:-30])
    assert read_photo(path).size == SIZE
    with pytest.raises(InputError, match="damaged or cut off"):
        read_gray(path, use_alpha=True)


def test_layers_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = exr(tmp_path / "shot.exr", SEVERAL), tmp_path / "trimap.png"
    assert run(["trimap", str(path), "-o", str(out)]) == 1
    assert "--mask-layer NAME" in capsys.readouterr().err
    assert run(["trimap", str(path), "--mask-layer", "hero", "-o", str(out)]) == 0
    assert set(np.unique(read_photo(out).pixels)) == {0, 128, 255}
    # A trimap without anything unknown: no network is needed.
    known = exr(tmp_path / "known.exr", {"a.A": INSIDE, "b.A": INSIDE})
    command = ["cut", str(path), str(known), "-o", str(tmp_path / "cut.png")]
    assert run(command) == 1
    assert "name one with --layer NAME" in capsys.readouterr().err
    assert run([*command, "--layer", "combined"]) == 1
    assert "name one with --trimap-layer NAME" in capsys.readouterr().err
    assert run([*command, "--layer", "combined", "--trimap-layer", "b"]) == 0
    alpha = read_photo(tmp_path / "cut.png").alpha
    assert alpha is not None
    np.testing.assert_array_equal(alpha > 0, INSIDE > 0)


def test_chroma_of_half_the_size_becomes_colour() -> None:
    colours = np.full((16, 20, 3), (0.5, 0.25, 0.125), np.float32)
    luminance = colours @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    red, blue = ((colours[::2, ::2, i] / luminance[::2, ::2]) - 1 for i in (0, 2))
    np.testing.assert_allclose(np.dstack(rgb_from_chroma(luminance, red, blue)), colours, atol=1e-6)
