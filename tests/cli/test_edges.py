"""Edges on the command line: the same as in Python, checked before the work."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin import MattingPipeline, cut
from mematte_plugin.batch.options import BatchOptions
from mematte_plugin.batch.run import run_batch
from mematte_plugin.foreground.edges import Edge

from .cases import USAGE, Scene

SHAPED = ("--levels", "0.1,0.9", "--choke", "-0.5", "--feather", "0.5")


def test_cut_shapes_the_edge_as_python_does(scene: Scene) -> None:
    done = scene.cut("photo.png", "trimap.png", "-o", "a_alpha.png", *SHAPED)
    assert done.code == 0, done.err
    matte = cut(
        "photo.png", "trimap.png", model=scene.model, levels=(0.1, 0.9), choke=-0.5, feather=0.5
    )
    with Image.open("a_alpha.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.rint(matte.alpha * 255))


@pytest.mark.parametrize("more", [(), ("--background", "white")])
def test_a_crop_stands_in_the_json_and_in_the_file(scene: Scene, more: tuple[str, ...]) -> None:
    options = ("-o", "out.png", "--crop", "--margin", "2", "--json", *more)
    done = scene.cut("photo.png", "trimap.png", *options)
    assert done.code == 0, done.err
    facts = json.loads(done.text)
    crop = facts["crop"]
    with Image.open("out.png") as picture:
        assert picture.size == (crop["width"], crop["height"]) == (facts["width"], facts["height"])
    assert (crop["full_width"], crop["full_height"]) == (80, 64)
    data = Path("out.png").read_bytes()
    at = data.index(b"oFFs") + 4
    assert struct.unpack(">ii", data[at : at + 8]) == (crop["left"], crop["top"])
    plain = scene.cut("photo.png", "trimap.png", "-o", "whole.png", "--json")
    assert json.loads(plain.text)["crop"] is None


def test_the_photos_own_colours(scene: Scene) -> None:
    done = scene.cut("photo.png", "trimap.png", "-o", "own.png", "--colors", "photo")
    assert done.code == 0, done.err
    with Image.open("own.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture)[..., :3], scene.pixels)


def test_despill_without_a_screen_is_said(scene: Scene) -> None:
    options = ("-o", "out.png", "--despill", "auto", "--json")
    done = scene.cut("photo.png", "trimap.png", *options)
    assert done.code == 0, done.err
    assert any(
        "finds no green, blue or red screen" in note for note in json.loads(done.text)["warnings"]
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--levels", "0.5"), "--levels 0.5: give two numbers"),
        (("--levels", "10,245"), "of 255: 0.0392, 0.961"),
        (("--choke", "500"), "choke 500.0: give pixels from -100 to 100"),
        (("--feather", "-1"), "feather -1.0"),
        (("--margin", "4"), "--margin: needs --crop"),
        (("--despill", "grey"), "is a grey"),
        (("--colors", "mine"), "use foreground or photo"),
        (("--alpha", "--despill", "green"), "--despill: changes colours"),
        (("--quality", "50"), "png is lossless"),
        (("--quality", "0"), "quality 0: give a whole number"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(
    scene: Scene, options: tuple[str, ...], says: str
) -> None:
    done = scene.cut("photo.png", "trimap.png", "-o", "out.png", *options)
    assert done.code == USAGE
    assert says in done.err
    assert not Path("out.png").exists()


def test_batch_shapes_every_photo(scene: Scene) -> None:
    for folder in ("photos", "guides"):
        Path(folder).mkdir()
    for name in ("a", "b"):
        scene.save(f"photos/{name}.png", scene.pixels)
        scene.save(f"guides/{name}.png", scene.trimap)
    options = ("--trimaps", "guides", "-o", "out", "--suffix", "webp", "--quality", "30", "--crop")
    done = scene.run("batch", "photos", *options, *SHAPED, "--model", scene.model, "--json")
    assert done.code == 0, done.err
    matte = cut(
        "photo.png", "trimap.png", model=scene.model, levels=(0.1, 0.9), choke=-0.5, feather=0.5,
        crop=True,
    )  # fmt: skip
    assert matte.crop is not None
    assert json.loads(done.text)["items"][0]["crop"] == matte.crop.to_dict()
    with Image.open("out/a.webp") as picture:
        assert picture.size == (matte.crop.width, matte.crop.height)
        assert float(picture.getexif()[286]) == matte.crop.left
        np.testing.assert_array_equal(np.asarray(picture)[..., 3], np.rint(matte.alpha * 255))
    wrong = scene.run("batch", "photos", "--trimaps", "guides", "-o", "bad", "--quality", "30")
    assert wrong.code == USAGE
    assert "png is lossless" in wrong.err
    assert not Path("bad").exists()


def test_batch_in_python_takes_an_edge(scene: Scene) -> None:
    for folder in ("photos", "guides"):
        Path(folder).mkdir()
    scene.save("photos/a.png", scene.pixels)
    scene.save("guides/a.png", scene.trimap)
    report = run_batch(
        "photos",
        "guides",
        "out",
        BatchOptions(edge=Edge(crop=True, margin=1)),
        load=lambda: MattingPipeline.from_pretrained(scene.model),
    )
    assert report.count("done") == 1
    with Image.open("out/a.png") as picture:
        assert picture.size != (80, 64)
