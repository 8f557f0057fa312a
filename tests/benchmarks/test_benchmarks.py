"""The benchmark programs: scenes, kept shares, results that resume."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from benchmarks import prediction
from benchmarks.card import as_markdown, card, faults, parity
from benchmarks.command import main
from benchmarks.compare import CPU_METHODS, CUDA_METHODS, compare
from benchmarks.methods import Context, Method, build, cap_of, parse_method
from benchmarks.results import Record, Store, machine
from benchmarks.retention import retention
from benchmarks.runner import Limits, Task, run
from benchmarks.scenes import make_scene
from mematte_plugin import InputError, SettingError

from ..evaluation.photographs import photographs
from ..patience import PATIENCE
from ..simulated_card import DEVICE, Card

ROOT = Path(__file__).parents[2]
OURS = "ours:tiny:fp32:0.25"


# ---- scenes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "unknown"), [((512, 512), 0.05), ((360, 640), 0.15), ((128, 128), 0.4)]
)
def test_a_scene_leaves_the_stated_share_unknown(size: tuple[int, int], unknown: float) -> None:
    scene = make_scene(*size, unknown)
    assert scene.image.shape == (*size, 3)
    assert abs((scene.trimap == 128).mean() - unknown) < 0.005
    # What is called known is known, and there is some of both.
    for value in (0, 255):
        known = scene.trimap == value
        assert known.mean() > 0.1
        assert (scene.alpha[known] == value).all()
    again = make_scene(*size, unknown)
    assert (scene.image == again.image).all()
    assert (scene.trimap == again.trimap).all()


def test_a_share_below_the_hair_itself_is_refused() -> None:
    with pytest.raises(SettingError, match="give more than"):
        make_scene(64, 64, 0.05)


# ---- methods -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "share", "size"),
    [("tiny", 0.25, (128, 128)), ("tiny", 0.0, (128, 128)), ("small", 0.25, (96, 150))],
)
def test_exactly_the_forced_share_is_kept(
    variant: str, share: float, size: tuple[int, int]
) -> None:
    scene = make_scene(*size, 0.5)
    found = build(Method("ours", variant, "fp32", share), Context())(scene.image, scene.trimap)
    # 96×150: both sides grow by 32 - r as soon as one has a remainder, to 128×160, 8×10 tokens.
    tokens = {(128, 128): 64, (96, 150): 80}[size]
    assert found["kept"] == pytest.approx(math.ceil(share * tokens) / tokens)
    assert cap_of(share, *size) == math.ceil(share * tokens)
    known = scene.trimap != 128
    assert (found["alpha"][known] == scene.trimap[known] / 255).all()


def test_trained_routers_can_be_forced_too() -> None:
    scene = make_scene(128, 128, 0.5)
    run = build(Method("forced", "mematte-tiny", "fp32", 0.5), Context())
    assert run(scene.image, scene.trimap)["kept"] == pytest.approx(0.5)


@pytest.mark.parametrize("name", sorted({*CPU_METHODS, *CUDA_METHODS, "model:mematte-tiny:fp32"}))
def test_a_method_is_named_as_it_is_parsed(name: str) -> None:
    assert parse_method(name).name == name


@pytest.mark.parametrize(
    "name", ["", "ours", "ours:small:fp32", "ours:huge:fp32:1", "official:tiny:fp32:1"]
)
def test_anything_but_a_method_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="method"):
        parse_method(name)


# ---- comparing -----------------------------------------------------------------------------------


def small_run(out: Path, **changes: Any) -> Any:
    options: dict[str, Any] = {
        "sizes": "128x128",
        "unknown": "0.4",
        "methods": OURS,
        "repeats": 1,
        "threads": 1,
        "out": out,
    }
    compare(**{**options, **changes})
    return json.loads(out.read_text())["results"] if out.exists() else []


@pytest.mark.slow
def test_a_comparison_is_written_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "results" / "here.json"
    both = f"{OURS},official:small:fp32:0.25"
    first = small_run(out, methods=both)
    assert [one["case"]["method"] for one in first] == both.split(",")
    ours, official = first
    assert ours["runs"][0]["kept"] == pytest.approx(0.25)
    assert ours["runs"][0]["seconds"] > 0
    assert ours["runs"][0]["peak"] > 0
    assert "--official" in official["skipped"]
    table = out.with_suffix(".md").read_text()
    assert f"| 128×128 | **{OURS}** |" in table
    assert "skipped: the official code is not there" in table

    second = small_run(out, sizes="128x128,160x128")
    assert second[:2] == first, "what is there is not measured again"
    assert second[2]["case"]["width"] == 160

    with pytest.raises(SettingError, match="another threads"):
        small_run(out, threads=2)


def test_without_time_there_is_no_result(tmp_path: Path) -> None:
    assert small_run(tmp_path / "none.json", minutes=0) == []


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "package.json"
    foreign.write_text("{}")
    with pytest.raises(InputError, match="no results"):
        small_run(foreign)
    assert foreign.read_text() == "{}"


def test_a_worker_and_what_it_started_end_with_the_program(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "from pathlib import Path\n"
        "from benchmarks.results import Store\n"
        "from benchmarks.runner import Limits, Task, run\n"
        "def groups():\n"
        "    yield [Task({}, os.getpid, {}, 'one')]\n"
        "    sleep = {'mode': os.P_NOWAIT, 'file': 'sleep', 'args': ['sleep', '600']}\n"
        "    yield [Task({'name': 'child'}, os.spawnvp, sleep, 'one')]\n"
        "    os.kill(os.getpid(), 9)\n"
        f"run(groups(), Store(Path({str(tmp_path / 'store.json')!r}), {{}}, {{}}), Limits(1))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -9
    results = json.loads((tmp_path / "store.json").read_text())["results"]
    processes = [process for one in results for process in one["runs"]]
    assert len(processes) == 2
    end = time.monotonic() + PATIENCE
    while any(is_running(process) for process in processes):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_fails_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.json", {}, {})
    small = {"height": 64, "width": 64, "unknown": 0.05}
    tasks = [
        Task({"name": "wrong"}, make_scene, {"colour": 1}, "one"),
        Task({"name": "dies"}, os._exit, {"status": 3}, "one"),
        Task({"name": "refused"}, make_scene, small, "one"),
        Task({"name": "right"}, machine, {"device": "cpu"}, "one"),
    ]
    before = dict(os.environ)
    run([tasks], store, Limits(3, PATIENCE, time.monotonic() + PATIENCE))
    assert os.environ == before  # the workers' number of threads is theirs alone
    wrong, dies, refused, right = store.records
    assert "TypeError" in wrong.failed
    assert dies.failed == "the process ended with code 3"
    assert "give more than" in refused.skipped
    assert right.get("device") == "cpu"
    assert len(Store(store.path, {}, {}).records) == len(tasks)


def test_an_error_is_one_line_and_a_usage_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["compare", "--methods", "mine"])
    with pytest.raises(SystemExit) as ended:
        main(compare)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: method 'mine'")
    assert message.count("\n") == 1


# ---- prediction ----------------------------------------------------------------------------------


def test_a_refused_budget_is_replaced_by_the_least_and_the_alpha_stays() -> None:
    case = prediction.case_of("tiny", (256, 256), unknown=0.4, budget=0.5)
    record = Record(case, [prediction.measure("cpu", **case)])
    assert record.get("predicted") <= record.get("granted")
    assert record.get("difference") < prediction.CLOSE
    assert prediction.faults(record) == []
    record.runs[0]["difference"] = 0.1
    assert prediction.faults(record) == ["alpha differs by 1.0e-01"]
    assert "alpha differs by" in prediction.cells(record)[-1]


def test_random_cases_are_the_same_every_time() -> None:
    assert prediction.drawn(6) == prediction.drawn(6)


# ---- retention -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_retention_curve_is_written_and_goes_on(tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "disc", widths=(6,))
    out = tmp_path / "curve.json"
    options: dict[str, Any] = {"shares": "0.5", "threads": 1, "out": out}
    retention(folder, **options)
    points = json.loads(out.read_text())["results"]
    assert [one["case"]["share"] for one in points] == ["auto", "0.5"]
    runs = [one["runs"][0] for one in points]
    assert runs[1]["kept"] == pytest.approx(0.5)
    assert all(np.isfinite(one["mse"]) for one in runs)
    table = out.with_suffix(".md").read_text()
    assert "| 0.5 | 50.0% |" in table
    if importlib.util.find_spec("matplotlib"):
        assert out.with_suffix(".png").exists()
    retention(folder, **options)
    assert json.loads(out.read_text())["results"] == points


# ---- the hour with a card ------------------------------------------------------------------------


@pytest.mark.slow
def test_the_hour_with_a_card_is_rehearsed_on_the_cpu_and_goes_on(tmp_path: Path) -> None:
    card(device="cpu", minutes=60, quick=True, out=tmp_path)
    found = {path.stem.split("-")[1]: path for path in tmp_path.glob("*.json")}
    assert set(found) == {"parity", "memory", "budgets", "runs", "speed"}
    report = found["parity"].with_suffix(".md").read_text()
    assert "| float32 | whole |" in report
    assert "FAIL" not in report
    runs = {one.case["run"]: one for one in Store(found["runs"], {}, {}).records}
    assert "CUDA" in runs["limited"].skipped
    assert np.isfinite(runs["training"].get("loss"))
    assert runs["training"].peak > 0
    if "COMFYUI_PATH" not in os.environ:
        assert "COMFYUI_PATH" in runs["comfyui"].skipped
    before = {path: path.read_bytes() for path in tmp_path.glob("*.json")}
    card(device="cpu", minutes=60, quick=True, out=tmp_path)
    for path in found.values():  # of speed what was skipped is tried again
        assert path.read_bytes() == before[path], "what is there is not measured again"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, False),
        ({"largest": 5e-5}, True),
        ({"changed": 1}, True),
        ({"largest": None}, True),
    ],
)
def test_an_alpha_that_is_not_the_official_one_is_wrong(
    values: dict[str, Any], wrong: bool, tmp_path: Path
) -> None:
    store = Store(tmp_path / "card.json", {"device": "a card"}, {})
    right = {"seconds": 1.0, "largest": 5e-6, "mean": 1e-7, "changed": 0, "decisions": 9}
    record = Record({"precision": "float32", "way": "whole"}, [{**right, **values}])
    store.put(record)
    assert bool(faults(record)) == wrong
    assert ("FAIL" in as_markdown(store)) == wrong


@pytest.mark.parametrize("way", ["chunked", "official decoder, host features"])
def test_the_parity_of_a_card_mixes_no_devices(way: str) -> None:
    with Card():
        found = parity(str(DEVICE), "float32", way, quick=True)
    assert found["largest"] < 1e-5
    assert found["decisions"] > 0
    assert found["changed"] == 0
