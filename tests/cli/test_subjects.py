"""Cutting without a trimap: nothing given, points, a box, words, soft masks; `mematte subject`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mematte_plugin.subject.ready import release_subjects

from .cases import FAILURE, HEIGHT, USAGE, WIDTH, assert_refused

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from tests.subject.onnx_files import save_bright

DISC = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - np.array([[[30.0]], [[50.0]]]))) <= 20


@pytest.fixture
def bright(scene) -> Path:
    """A network that finds what is bright; disc.png has a bright disc."""
    scene.save("disc.png", np.where(DISC[..., None], 230, 20).astype(np.uint8).repeat(3, axis=2))
    yield save_bright(scene.folder / "bright.onnx")
    release_subjects()


@pytest.fixture(scope="module")
def sam(tmp_path_factory) -> Path:
    pytest.importorskip("transformers")
    from tests.subject.networks import save_sam2

    return save_sam2(tmp_path_factory.mktemp("networks") / "sam")


def test_a_photo_alone_is_enough(scene, bright) -> None:
    done = scene.run("cut", "disc.png", "--subject-model", bright, "-o", "out.png")
    assert done.code == 0, done.err
    assert "subject found by bright" in done.text
    assert np.abs(scene.load("out.png")[..., 3] / 255 - DISC).mean() < 0.02
    done = scene.cut("disc.png", "--subject-model", bright, "--alpha-only", "--json")
    found = json.loads(done.text)["subject"]
    assert found["source"] == "segmentation"
    assert found["model"] == "bright.onnx"
    assert 0.9 < found["confidence"] <= 1
    assert "licence" in found


def test_subject_writes_what_was_found(scene, bright) -> None:
    done = scene.run("subject", "disc.png", "--subject-model", bright)
    assert done.code == 0, done.err
    mask = scene.load("disc_mask.png")
    assert ((mask > 127) == DISC).mean() > 0.98
    done = scene.run("subject", "disc.png", "--subject-model", bright, "-o", "m.png", "--json")
    assert json.loads(done.text)["confidence"] > 0.9
    before = scene.files()
    done = scene.run("subject", "disc.png", "--subject-model", bright)
    assert_refused(scene, done, before, FAILURE, "disc_mask.png", "--overwrite")


def test_points_in_pixels_and_shares_are_the_same_places(scene, sam) -> None:
    masks = []
    for place in (("--point", "39.5,31.5"), ("--point", "0.5,0.5")):
        done = scene.run("subject", "photo.png", *place, "--subject-model", sam, "-o", "m.png")
        assert done.code == 0, done.err
        masks.append(scene.load("m.png"))
        (scene.folder / "m.png").unlink()
    assert np.array_equal(*masks)
    done = scene.cut(
        "photo.png", *("--point", "10,12", "--not", "70,60", "--box", "0.1,0.1,0.9,0.9"),
        *("--subject-model", sam, "--alpha-only", "--json"),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.text)["subject"]["source"] == "points"


def test_a_soft_mask_of_any_resolution_is_finished(scene) -> None:
    soft = np.where(DISC, 255, 0).astype(np.uint8)[::2, ::2]
    scene.save("soft.png", soft)
    done = scene.cut("photo.png", "--alpha", "soft.png", "-o", "a_alpha.png")
    assert done.code == 0, done.err
    assert done.err == ""
    assert ((scene.load("a_alpha.png") > 127) == DISC).mean() > 0.9


def test_islands_of_a_soft_mask_go_unless_they_are_wanted(scene) -> None:
    soft = DISC.copy()
    soft[2:4, 2:4] = True
    scene.save("soft.png", np.where(soft, 255, 0).astype(np.uint8))
    for islands, kept in (("3", False), ("0", True)):
        arguments = ("--alpha", "soft.png", "--unit", "px", "--islands", islands, "--overwrite")
        assert scene.cut("photo.png", *arguments, "-o", "a_alpha.png").code == 0
        assert (scene.load("a_alpha.png")[:8, :8] > 0).any() == kept


def test_alpha_without_a_file_still_means_the_opacity_alone(scene) -> None:
    for options in (["--alpha"], ["--alpha", "--unit", "px", "--inside", "2"]):
        done = scene.cut("photo.png", "--mask", "mask.png", *options, "--overwrite")
        assert done.code == 0, done.err
        assert scene.load("photo_alpha.png").ndim == 2


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--point", "900,10"), FAILURE, "outside the photo of 80×64"),
        (("--point", "10,10", "--not", "10,10"), FAILURE, "as inside and as outside"),
        (("--not", "10,10"), FAILURE, "outside the subject"),
        (("--point", "ten,10"), USAGE, "such as 420,310 or 0.4,0.6"),
        (("--point", "nan,10"), USAGE, "such as 420,310"),
        (("--box", "10,10,10,40"), FAILURE, "has no area"),
        (("--box", "10,10,40"), USAGE, "left,top,right,bottom"),
        (("--box", "0,0,200,60"), FAILURE, "outside the photo"),
        (("--subject", "  "), USAGE, "holds no words"),
        (("--subject", "dog", "--point", "1,1"), USAGE, "--subject"),
        (("trimap.png", "--point", "10,10"), USAGE, "both a trimap and points"),
        (("--mask", "mask.png", "--alpha", "mask.png"), USAGE, "both --mask and --alpha"),
        (("trimap.png", "--subject-model", "x.onnx"), USAGE, "--subject-model"),
        (("--subject-model", "gone.onnx"), FAILURE, "gone.onnx"),
        (("--mask", "mask.png", "--islands", "5"), USAGE, "--islands"),
        (("--alpha", "mask.png", "--islands", "-5"), USAGE, "islands"),
    ],
)
def test_what_cannot_be_meant_is_refused(scene, options, code, says) -> None:
    before = scene.files()
    assert_refused(scene, scene.cut("photo.png", *options, "-o", "out.png"), before, code, says)


def test_nothing_found_writes_nothing(scene, bright) -> None:
    scene.save("dark.png", np.full((HEIGHT, WIDTH, 3), 10, np.uint8))
    before = scene.files()
    done = scene.cut("dark.png", "--subject-model", bright, "-o", "out.png")
    assert_refused(scene, done, before, FAILURE, "no subject was found", "--point")


def test_a_batch_finds_the_subject_of_each_photo(scene, bright) -> None:
    (scene.folder / "photos").mkdir()
    for name in ("one.png", "two.png"):
        scene.save(f"photos/{name}", scene.load("disc.png"))
    scene.save("photos/dark.png", np.full((HEIGHT, WIDTH, 3), 10, np.uint8))
    arguments = ("photos", "-o", "out", "--subject-model", bright, "--alpha-only", "--json")
    done = scene.run("batch", *arguments)
    assert done.code == 1
    items = {Path(item["photo"]).name: item for item in json.loads(done.text)["items"]}
    assert items["one.png"]["subject"]["source"] == "segmentation"
    assert "no subject was found" in items["dark.png"]["reason"]
    for name in ("one", "two"):
        assert np.abs(scene.load(f"out/{name}_alpha.png") / 255 - DISC).mean() < 0.02


def test_a_batch_without_guides_does_not_cut_masks(scene, bright) -> None:
    before = scene.files()
    done = scene.run("batch", ".", "-o", "out", "--subject-model", bright)
    assert_refused(scene, done, before, FAILURE, "mask.png", "--masks")


def test_a_batch_takes_a_folder_of_soft_masks(scene) -> None:
    for folder in ("photos", "soft"):
        (scene.folder / folder).mkdir()
    scene.save("photos/one.png", scene.pixels)
    scene.save("soft/one.png", np.where(DISC, 255, 0).astype(np.uint8)[::2, ::2])
    arguments = ("photos", "--alphas", "soft", "-o", "out", "--alpha-only")
    done = scene.run("batch", *arguments, "--model", scene.model, "--device", "cpu")
    assert done.code == 0, done.err
    assert done.err == ""
    assert ((scene.load("out/one_alpha.png") > 127) == DISC).mean() > 0.9
