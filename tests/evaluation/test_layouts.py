"""Data sets are recognised by their folders, and missing files are reported."""

import subprocess
import sys
from pathlib import Path

import pytest

from mematte_plugin.errors import InputError, SettingError
from mematte_plugin.evaluation.layouts import LAYOUTS, scan


def made(root: Path, *files: str) -> Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.mark.parametrize(
    ("layout", "files", "items"),
    [
        (
            "composition-1k",
            ("merged/hair_0.png", "alpha_copy/hair_0.png", "trimaps/hair_0.png"),
            {("hair_0", "trimaps"): ("alpha_copy/hair_0.png", "trimaps/hair_0.png")},
        ),
        (
            "composition-1k",  # as composed from Adobe's archive: composites share an alpha
            (
                "Test_set/merged/hair_0.png",
                "Test_set/merged/hair_1.png",
                "Test_set/Adobe-licensed images/alpha/hair.png",
                "Test_set/Adobe-licensed images/trimaps/hair_0.png",
                "Test_set/Adobe-licensed images/trimaps/hair_1.png",
            ),
            {
                (f"hair_{n}", "trimaps"): (
                    "Test_set/Adobe-licensed images/alpha/hair.png",
                    f"Test_set/Adobe-licensed images/trimaps/hair_{n}.png",
                )
                for n in (0, 1)
            },
        ),
        (
            "aim-500",
            ("original/o_1.jpg", "mask/o_1.png", "trimap/o_1.png", "usr/o_1.png"),
            {("o_1", "trimap"): ("mask/o_1.png", "trimap/o_1.png")},
        ),
        (
            "distinctions-646",
            ("Test/merged/a_3.jpg", "Test/GT/a.png", "Test/Trimap/a_3.png", "Test/FG/a.jpg"),
            {("a_3", "Trimap"): ("Test/GT/a.png", "Test/Trimap/a_3.png")},
        ),
        (
            "uhr-395",
            ("test/merged/a_3.jpg", "test/alpha_copy/a_3.png", "test/trimaps/a_3.png"),
            {("a_3", "trimaps"): ("test/alpha_copy/a_3.png", "test/trimaps/a_3.png")},
        ),
        (
            "alphamatting",
            (
                "input_training_lowres/GT01.png",
                "gt_training_lowres/GT01.png",
                "trimap_training_lowres/Trimap1/GT01.png",
                "trimap_training_lowres/Trimap2/GT01.png",
            ),
            {
                ("GT01", f"Trimap{n}"): (
                    "gt_training_lowres/GT01.png",
                    f"trimap_training_lowres/Trimap{n}/GT01.png",
                )
                for n in (1, 2)
            },
        ),
        (
            "folder",
            ("image/a.JPG", "alpha/a.tif", "trimap_narrow/a.png", "trimap_wide/a.png"),
            {
                ("a", "narrow"): ("alpha/a.tif", "trimap_narrow/a.png"),
                ("a", "wide"): ("alpha/a.tif", "trimap_wide/a.png"),
            },
        ),
    ],
)
def test_layouts_are_recognised(tmp_path: Path, layout: str, files: tuple, items: dict) -> None:
    root = made(tmp_path / "some" / "data", *files)  # the path tells nothing
    dataset = scan(root)
    assert dataset.layout == layout
    assert dataset.problems == ()
    found = {
        (one.name, one.trimap_name): tuple(
            path.relative_to(root).as_posix() for path in (one.alpha, one.trimap)
        )
        for one in scan(root, layout).items
    }
    assert found == items


def test_the_path_distinguishes_data_sets_with_the_same_folders(tmp_path: Path) -> None:
    for folder, layout in (("UHR-395", "uhr-395"), ("d646", "distinctions-646")):
        files = ("merged/a.png", "alpha_copy/a.png", "trimaps/a.png")
        assert scan(made(tmp_path / folder / "x", *files)).layout == layout


def test_what_is_missing_or_too_much_is_named_and_the_rest_found(tmp_path: Path) -> None:
    made(
        tmp_path,
        *("image/whole.png", "alpha/whole.png", "trimap_1/whole.png", "trimap_2/whole.png"),
        *("image/bare.png", "trimap_1/bare.png", "trimap_2/bare.png"),
        *("image/half.png", "alpha/half.png", "trimap_2/half.png"),
        *("alpha/lost.png", "trimap_2/odd.png"),
        *("image/twice.png", "image/twice.jpg"),
        *("image/.DS_Store", "image/._whole.png", "alpha/readme.txt"),
    )
    dataset = scan(tmp_path)
    assert [one.name for one in dataset.pictures] == ["half", "whole"]
    found = [(one.name, one.trimap_name) for one in dataset.items]
    assert found == [("half", "2"), ("whole", "1"), ("whole", "2")]
    expected = [
        "image/: holds twice.jpg and twice.png",
        "bare.png: has no alpha in alpha/",
        "half.png: has no trimap in trimap_1/",
        "alpha/lost.png: belongs to no photograph",
        "trimap_2/odd.png: belongs to no photograph",
    ]
    assert len(dataset.problems) == len(expected)
    assert all(words in line for words, line in zip(expected, dataset.problems, strict=True))


def test_a_data_set_may_come_without_trimaps(tmp_path: Path) -> None:
    made(tmp_path, "image/a.png", "alpha/a.png")
    assert [one.name for one in scan(tmp_path).pictures] == ["a"]
    assert scan(tmp_path).items == ()


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    made(tmp_path, "image/a.png", "alpha/b.png", "file")
    with pytest.raises(InputError, match=r"no photograph with an alpha .*a\.png: has no alpha"):
        scan(tmp_path)
    with pytest.raises(InputError, match=r"does not hold the folders .*aim-500: original/"):
        scan(tmp_path / "image")
    with pytest.raises(InputError, match="is not a folder"):
        scan(tmp_path / "file")
    with pytest.raises(InputError, match="does not hold the folders"):
        scan(tmp_path, "aim-500")
    with pytest.raises(SettingError, match="choose auto, " + ", ".join(LAYOUTS)):
        scan(tmp_path, "coco")


def test_layouts_and_metrics_need_only_numpy_and_opencv() -> None:
    code = (
        "import sys, numpy as np\n"
        "from mematte_plugin.evaluation import layouts, metrics\n"
        "metrics.errors(np.zeros((9, 9)), np.ones((9, 9)), np.full((9, 9), 0.5))\n"
        "heavy = {'torch', 'PIL', 'scipy', 'typer', 'pymatting', 'numba'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
