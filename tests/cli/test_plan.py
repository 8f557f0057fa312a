"""Memory on the command line: `mematte plan`, --memory-budget, and what is reported."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from mematte_plugin import plan_memory
from mematte_plugin.images.encode import write_image
from mematte_plugin.network import MEMatte

from ..patience import PATIENCE
from .cases import FAILURE, HEIGHT, USAGE, WIDTH, assert_refused


def least_of(scene) -> int:
    """The smallest budget for the scene's photo, from the error that names it."""
    done = scene.cut("photo.png", "trimap.png", "--memory-budget", "1kB", "--json")
    amount, unit = done.err.split("at least ")[1].split(" are needed")[0].split()
    # Three digits are shown, rounded to the nearest.
    return int(1.005 * float(amount) * {"kB": 1e3, "MB": 1e6}[unit]) + 1


# ---- plan ----------------------------------------------------------------------------------------

GIVEN = ("--memory-budget", "2GB", "--device", "cuda")


def test_plan_says_what_plan_memory_says(scene):
    done = scene.run("plan", "7680x4320", *GIVEN, "--json")
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.text)
    expected = plan_memory((4320, 7680), "mematte-tiny", "2GB", "cuda")
    assert facts["predicted_peak"] == expected.predicted_peak <= facts["budget"] == 2 * 10**9
    assert (facts["width"], facts["height"]) == (7680, 4320)
    assert (facts["model"], facts["dtype"]) == ("mematte-tiny", "float16")
    assert facts["chunking"] == expected.to_dict()["chunking"]
    assert facts["lost"] == []


def test_plan_as_a_table(scene):
    done = scene.run("plan", "7680×4320", *GIVEN)
    assert (done.code, done.err) == (0, "")
    lines = dict(line.split("  ", 1) for line in done.text.splitlines())
    assert lines["budget"].strip() == "2.00 GB (given)"
    assert lines["lost"].strip() == "nothing beyond float16"
    assert {"picture", "model", "device", "predicted peak", "chunks"} <= lines.keys()
    assert done.out == scene.run("plan", "8k", *GIVEN).out


def test_plan_for_what_is_free_here(scene):
    facts = json.loads(scene.run("plan", "64x80", "--device", "cpu", "--json").text)
    assert "free" in facts["budget_from"]
    assert facts["predicted_peak"] < facts["budget"]


def test_plan_reads_the_header_of_a_photograph(scene):
    write_image(scene.folder / "deep.png", scene.pixels.astype(np.uint16) * 257, bits=16)
    facts = [
        json.loads(scene.run("plan", name, "--budget", "1GB", "--device", "cpu", "--json").text)
        for name in (f"{WIDTH}x{HEIGHT}", "photo.png", "deep.png")
    ]
    assert facts[0] == facts[1]
    # One more byte for each of the three colours while the picture is read.
    more = facts[2]["phases"]["reading"] - facts[1]["phases"]["reading"]
    assert more == 3 * HEIGHT * WIDTH


def test_plan_heeds_retention_and_unknown(scene):
    base = json.loads(scene.run("plan", "4K", *GIVEN, "--model", "small", "--json").text)
    options = ("--retention", "0.25", "--unknown", "0.9")
    other = json.loads(scene.run("plan", "4K", *GIVEN, "--model", "small", *options, "--json").text)
    assert base["max_tokens"] is None
    # 2160 rows are no multiple of 32: both sides are padded, to 3872×2176.
    assert other["max_tokens"] == (3872 // 16) * (2176 // 16) // 4
    assert other["unknown"] == 0.9


def test_the_table_fits_a_terminal(scene):
    done = scene.run("plan", "--table")
    assert (done.code, done.err) == (0, "")
    assert all(len(line) <= 80 for line in done.text.splitlines())
    rows = {line.split("  ")[0] for line in done.text.splitlines()}
    assert {"cuda 2 GB", "cuda 24 GB", "cpu 2 GB", "cpu 16 GB"} <= rows
    assert "8K 7680×4320" in done.text
    done = scene.run("plan", "1000x1500", "--table", "--json")
    for row in json.loads(done.text)["rows"]:
        assert row["fits"] == (row["least"] <= row["budget"])
        alone = plan_memory((1500, 1000), "mematte-tiny", row["budget"], row["device"])
        assert row["predicted_peak"] == alone.predicted_peak
        assert row["exact"] == (row["device"] == "cpu")


def test_the_table_says_what_is_too_small(scene):
    done = scene.run("plan", "17000x17000", "--table", "--model", "base", "--device", "cuda")
    (row,) = [line for line in done.text.splitlines() if line.startswith("cuda 2 GB")]
    assert "needs" in row
    assert "needs: too small" in done.text
    assert "cpu" not in done.text
    command = ("plan", "17000x17000", "--table", "--model", "base", "--device", "cuda", "--json")
    rows = json.loads(scene.run(*command).text)["rows"]
    assert len(rows) == 7
    assert rows[0]["fits"] is False
    assert rows[0]["least"] > rows[0]["budget"]
    plan_memory((17000, 17000), "base", rows[0]["least"], "cuda")


def test_planning_for_a_budget_needs_no_torch():
    code = (
        "import sys; from mematte_plugin.cli.shell import run\n"
        "codes = [run(['plan', '8K', '--budget', '2GB', '--device', d]) for d in ('cpu', 'cuda')]\n"
        "codes.append(run(['plan', '--table']))\n"
        "sys.exit(codes != [0, 0, 0] or 'torch' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), USAGE, ["--table"]),
        (("nothing.jpg",), USAGE, ["nothing.jpg", "7680x4320"]),
        (("x" * 5000,), USAGE, ["neither a size"]),
        (("0x10",), USAGE, ["0×10"]),
        (("99999x99999",), USAGE, ["limit"]),
        ((".",), FAILURE, ["folder"]),
        (("8K", "--budget", "4XB"), USAGE, ["unknown unit", "1.5 GiB"]),
        (("8K", "--budget", "-1GB"), USAGE, ["at least one byte"]),
        (("8K", "--budget", "10MB", "--device", "cuda"), USAGE, ["10.0 MB", "at least"]),
        (("8K", "--device", "cuda:99"), USAGE, ["cuda:99", "--memory-budget"]),
        (("8K", "--device", "gpu", "--budget", "1GB"), USAGE, ["'gpu'"]),
        (("8K", "--dtype", "int8", *GIVEN), USAGE, ["int8"]),
        (("8K", "--retention", "7", *GIVEN), USAGE, ["retention 7"]),
        (("8K", "--unknown", "2", *GIVEN), USAGE, ["--unknown"]),
        (("8K", "--model", "nonsense", *GIVEN), FAILURE, ["nonsense"]),
        (("--table", "--budget", "1GB"), USAGE, ["--table"]),
        (("--table", "--device", "mps"), USAGE, ["mps"]),
    ],
)
def test_what_cannot_be_planned(scene, arguments, code, words):
    before = scene.files()
    assert_refused(scene, scene.run("plan", *arguments), before, code, *words)


# ---- budgets of the other commands ---------------------------------------------------------------


def test_cut_tells_the_plan_and_what_was_measured(scene):
    done = scene.cut("photo.png", "trimap.png", "--json", "--memory-budget", "1GB")
    assert (done.code, done.err) == (0, "")
    plan = json.loads(done.text)["plan"]
    assert plan["size"] == [HEIGHT, WIDTH]
    assert plan["budget"] == 10**9
    assert plan["predicted_peak"] > 0
    assert "measured_peak" in plan
    assert {"chunking", "steps", "lost", "phases"} <= plan.keys()


def test_a_small_budget_changes_nothing(scene):
    assert scene.cut("photo.png", "trimap.png", "-o", "large_alpha.png").code == 0
    done = scene.cut(
        "photo.png",
        "trimap.png",
        "-o",
        "small_alpha.png",
        "--json",
        "--memory-budget",
        least_of(scene),
        "--dtype",
        "float32",
    )
    facts = json.loads(done.text)
    assert facts["plan"]["lost"] == []
    difference = scene.load("large_alpha.png").astype(int) - scene.load("small_alpha.png")
    assert np.abs(difference).max() <= 1


def test_nothing_computed_has_no_plan(scene):
    scene.save("known.png", np.where(scene.trimap > 128, 255, 0).astype(np.uint8))
    assert json.loads(scene.cut("photo.png", "known.png", "--json").text)["plan"] is None


@pytest.mark.parametrize("command", ["cut", "routing"])
@pytest.mark.parametrize(
    ("budget", "words"), [("1kB", ["1.00 kB", "at least"]), ("1 XB", ["unknown unit 'xb'"])]
)
def test_a_budget_that_cannot_be(scene, command, budget, words):
    before = scene.files()
    done = scene.run(
        command,
        "photo.png",
        "trimap.png",
        "-o",
        "r.png",
        "--model",
        scene.model,
        "--device",
        "cpu",
        "--memory-budget",
        budget,
    )
    assert_refused(scene, done, before, USAGE, *words)


def test_routing_tells_the_plan(scene):
    done = scene.run(
        "routing",
        "photo.png",
        "trimap.png",
        "-o",
        "r.png",
        "--model",
        scene.model,
        "--device",
        "cpu",
        "--memory-budget",
        "500MB",
        "--json",
    )
    assert json.loads(done.text)["plan"]["budget"] == 500 * 10**6


def test_running_out_of_memory_is_told(scene, monkeypatch):
    whole = MEMatte.predict
    failures = [RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]

    def short(self, *args, **options):
        if failures:
            raise failures.pop()
        return whole(self, *args, **options)

    monkeypatch.setattr(MEMatte, "predict", short)
    done = scene.cut("photo.png", "trimap.png", "--alpha")
    assert done.code == 0
    assert "memory was short: peak " in done.text
    assert scene.load("photo_alpha.png").shape == (HEIGHT, WIDTH)


def test_a_photo_too_large_for_the_budget_does_not_end_a_batch(scene):
    for name in ("photos", "trimaps"):
        (scene.folder / name).mkdir()
    for name, times in (("a", 12), ("b", 1)):
        grown = np.ones((times, times), np.uint8)
        scene.save(f"photos/{name}.png", np.kron(scene.pixels, grown[..., None]))
        scene.save(f"trimaps/{name}.png", np.kron(scene.trimap, grown))
    command = ("batch", "photos", "--trimaps", "trimaps", "-o", "out", "--model", scene.model)
    budget = ("--memory-budget", least_of(scene), "--device", "cpu")
    done = scene.run(*command, *budget, "--json")
    assert done.code == FAILURE
    items = json.loads(done.text)["items"]
    assert [item["status"] for item in items] == ["failed", "done"]
    assert "at least" in items[0]["reason"]
    wrong = scene.run(*command, "--memory-budget", "much")
    assert wrong.code == USAGE
    assert "much" in wrong.err
