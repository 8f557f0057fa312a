"""`mematte eval`, as a user or a script meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.evaluation.report import HEADERS

from ..evaluation.photographs import photographs
from .cases import FAILURE, USAGE, Scene, assert_refused


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    """A folder of photographs with alphas."""
    photographs(tmp_path / "data", "a", "b")


@pytest.mark.slow
def test_methods_are_compared_in_one_run(scene: Scene) -> None:
    done = scene.run(
        *("eval", "data", "--model", scene.model, "--retention", "auto,0.25", "--shortcuts", 32),
        *("--method", "distance-ratio", "--method", "closed-form", "--device", "cpu"),
        *("-o", "report.md", "-o", "report.json", "--save-alphas", "alphas"),
    )
    assert done.code == 0, done.err
    expected = ["distance-ratio", "closed-form"]
    expected += [scene.model + suffix for suffix in ("", " @ 0.25", " +D32", " +P32")]
    lines = done.text.splitlines()
    assert lines[0].split() == ["trimap", *HEADERS]
    assert len(lines) == 1 + 2 * len(expected)
    report = json.loads((scene.folder / "report.json").read_text())
    assert report["layout"] == "folder"
    assert list(report["scores"]) == ["2", "6"]
    assert list(report["scores"]["2"]) == expected
    best = report["scores"]["2"]["closed-form"]
    assert best["pictures"] == 2
    assert best["mse"] < report["scores"]["2"]["distance-ratio"]["mse"]
    assert best["conn"] < report["scores"]["2"][scene.model]["conn"]  # a random network
    assert list(report["routing"]["6"]) == expected[2:4]
    assert "## Trimap: 6" in (scene.folder / "report.md").read_text()
    assert len(list((scene.folder / "alphas").rglob("*.png"))) == 2 * 2 * len(expected)


def test_a_budget_that_is_too_small_is_named_for_each_photograph(scene: Scene) -> None:
    command = ("eval", "data", "--model", scene.model, "--device", "cpu", "--json")
    done = scene.run(*command, "--method", "distance-ratio", "--memory-budget", "1kB")
    assert done.code == FAILURE
    report = json.loads(done.out)
    assert {one["method"] for one in report["results"]} == {"distance-ratio"}
    assert len(report["problems"]) == 2 * 2
    assert all("at least" in problem for problem in report["problems"])
    enough = scene.run(*command, "--memory-budget", "1GB", "--limit", 1)
    assert enough.code == 0, enough.err
    assert json.loads(enough.out)["results"][0]["settings"]["memory_budget"] == 10**9


def test_json_goes_to_stdout(scene: Scene) -> None:
    done = scene.run("eval", "data", "--method", "distance-ratio", "--limit", 1, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert [one["picture"] for one in report["results"]] == ["a", "a"]
    assert report["problems"] == report["warnings"] == []


def test_wider_trimaps_can_be_made(scene: Scene) -> None:
    done = scene.run("eval", "data", "--method", "distance-ratio", "--widths", "3,0,6", "--json")
    scores = json.loads(done.out)["scores"]
    assert list(scores) == ["3 px", "0 px", "6 px"]
    sads = [scores[trimap]["distance-ratio"]["sad"] for trimap in ("0 px", "3 px", "6 px")]
    assert sads == sorted(sads)


def test_incomplete_data_is_named_and_the_rest_evaluated(scene: Scene) -> None:
    (scene.folder / "data" / "trimap_2" / "b.png").unlink()
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(scene.folder / "data" / "alpha" / "a.png")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(scene.folder / "data" / "alpha" / "c.png")
    done = scene.run("eval", "data", "--method", "distance-ratio", "-o", "report.json", "--json")
    assert done.code == FAILURE
    assert "Traceback" not in done.err
    report = json.loads(done.out)
    assert [(one["picture"], one["trimap"]) for one in report["results"]] == [("b", "6")]
    problems = "\n".join(report["problems"])
    assert "b.png: has no trimap in trimap_2/" in problems
    assert "alpha/c.png: belongs to no photograph" in problems
    assert "alpha/a.png: is 5×5, but the photograph is" in problems
    assert json.loads((scene.folder / "report.json").read_text())["problems"] == report["problems"]

    done = scene.run("eval", "data", "--method", "distance-ratio")
    assert done.code == FAILURE
    assert len(done.text.splitlines()) == 2
    assert done.err.count("problem: ") == len(report["problems"])


def test_a_second_run_computes_nothing_twice(scene: Scene) -> None:
    line = ("eval", "data", "--model", scene.model, "--device", "cpu", "--resume", "state.jsonl")
    first = scene.run(*line, "--limit", 1, "--json")
    before = (scene.folder / "state.jsonl").read_text().splitlines()
    assert len(before) == 2
    second = scene.run(*line, "--json")
    after = (scene.folder / "state.jsonl").read_text().splitlines()
    assert len(after) == 4
    assert after[:2] == before
    known, results = (json.loads(done.out)["results"] for done in (first, second))
    assert [one for one in results if one["picture"] == "a"] == known


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("data", "--widths", "5,x"), USAGE, ("--widths 5,x", "as in 5,10,20")),
        (("data", "--widths", "-1"), USAGE, ("--widths -1",)),
        (("data", "--retention", "auto,lots"), USAGE, ("--retention lots",)),
        (("data", "--shortcuts", "8"), USAGE, ("--shortcuts 8", "32")),
        (("data", "--layout", "coco"), USAGE, ("coco", "aim-500")),
        (("data", "--method", "magic"), USAGE, ("magic", "closed-form")),
        (("data", "--limit", "0"), USAGE, ("limit",)),
        (("data", "-o", "report.txt"), USAGE, (".txt", ".md")),
        (("data", "-o", "none/report.md"), FAILURE, ("none", "create it first")),
        (("data", "-o", "old.md"), FAILURE, ("old.md", "--overwrite")),
        (("data", "--resume", "photo.png"), FAILURE, ("photo.png", "another file")),
        (("data", "--model", "no-such"), FAILURE, ("no-such",)),
        (("nowhere",), FAILURE, ("nowhere", "not a folder")),
        (("data/image",), FAILURE, ("does not hold the folders",)),
        (("data", "--device", "tpu"), USAGE, ("device 'tpu'",)),
    ],
)
def test_bad_arguments_are_refused(scene: Scene, arguments: tuple, code: int, words: tuple) -> None:
    (scene.folder / "old.md").write_text("mine")
    before = scene.files()
    done = scene.run("eval", *arguments)
    assert_refused(scene, done, before, code, *words)
