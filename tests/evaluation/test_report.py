"""Means and tables."""

import json

import pytest

from mematte_plugin.evaluation.metrics import Errors
from mematte_plugin.evaluation.report import as_dict, as_json, as_markdown, make_report
from mematte_plugin.evaluation.runner import Failure, Kept, Result


def result(picture: str, method: str, trimap: str, value: float, *routing: Kept) -> Result:
    errors = Errors(value, 10 * value, value / 100, 2 * value, 3 * value)
    return Result(picture, trimap, method, {}, "", errors, value / 10, routing)


OUTCOMES = [
    result("a", "knn", "narrow", 1),
    Failure("b (narrow)", "is cut off"),
    result("c", "knn", "narrow", 3),
    result("a", "knn", "wide", 6),
    result("a", "m|x", "narrow", 2, Kept(3, 0.4, 0.8, None), Kept(6, 0.2, 0.4, 0.1)),
    Failure("b (narrow)", "is cut off"),
    result("c", "m|x", "narrow", 4, Kept(3, 0.2, 0.6, 0.1), Kept(6, 0, 0.2, 0.3)),
]
REPORT = make_report("photos", "folder", OUTCOMES, ["image/d.png: has no alpha"])


def test_each_picture_counts_the_same() -> None:
    scores = as_dict(REPORT)["scores"]
    assert list(scores) == ["narrow", "wide"]
    knn = scores["narrow"]["knn"]
    assert knn["pictures"] == 2
    assert knn["sad"] == 2
    assert knn["mse"] == 20
    assert knn["seconds"] == pytest.approx(0.2)
    assert "kept" not in knn
    assert scores["narrow"]["m|x"]["kept"] == pytest.approx(0.2)
    assert scores["wide"]["knn"]["conn"] == 18


def test_routing_is_averaged_per_block() -> None:
    first, second = as_dict(REPORT)["routing"]["narrow"]["m|x"]
    assert first == {"block": 3, "overall": pytest.approx(0.3), "inside": 0.7, "outside": 0.1}
    assert second["outside"] == pytest.approx(0.2)


def test_problems_are_reported_once() -> None:
    assert REPORT.problems == ("image/d.png: has no alpha", "b (narrow): is cut off")


def test_json_can_be_read_back() -> None:
    values = json.loads(as_json(REPORT))
    assert values["scores"]["narrow"]["knn"]["mad"] == pytest.approx(0.02)
    assert len(values["results"]) == 5
    assert values["results"][0]["errors"]["grad"] == 2


def test_markdown_has_a_table_for_each_trimap_and_one_across() -> None:
    lines = as_markdown(REPORT).splitlines()
    assert "| knn | 2 | 2.00 | 20.00 | 0.0200 | 4.00 | 6.00 | – | 0.20 |" in lines
    assert "| m\\|x | 2 | 3.00 | 30.00 | 0.0300 | 6.00 | 9.00 | 20% | 0.30 |" in lines
    assert "| knn | 1 | 6.00 | 60.00 | 0.0600 | 12.00 | 18.00 | – | 0.60 |" in lines
    assert "| SAD | narrow | wide | wide ÷ narrow |" in lines
    assert "| knn | 2.00 | 6.00 | 3.00 |" in lines
    assert "| m\\|x | 3.00 | – | – |" in lines
    assert "| m\\|x | 30.00 | – |" in lines
    assert "| m\\|x | narrow | 6 | 10% | 30% | 20% |" in lines
    assert "- b (narrow): is cut off" in lines
