"""Several runs at work on one folder: nothing twice, nothing left, nobody waits for the dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.batch.claims import claim_file, claimed
from mematte_plugin.batch.options import BatchOptions
from mematte_plugin.batch.report import BatchReport
from mematte_plugin.batch.run import run_batch
from mematte_plugin.pipeline import MattingPipeline
from mematte_plugin.weights.save import save_network

from ..networks import random_network
from ..patience import PATIENCE, until

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def folders(tmp_path):
    photos, trimaps = tmp_path / "photos", tmp_path / "trimaps"
    for folder in (photos, trimaps):
        folder.mkdir()
    trimap = np.zeros((48, 40), np.uint8)
    trimap[8:-8, 8:-8] = 128
    trimap[16:-16, 14:-14] = 255
    for name in NAMES:
        Image.new("RGB", (40, 48), "red").save(photos / f"{name}.jpg")
        Image.fromarray(trimap).save(trimaps / f"{name}.png")
    return photos, trimaps, tmp_path / "out"


@pytest.fixture(scope="module")
def pipeline():
    return MattingPipeline(random_network(), device="cpu")


class Gated(MattingPipeline):
    """Waits at the photos of some names until it is let through."""

    def __init__(self, at: str) -> None:
        super().__init__(random_network(), device="cpu")
        self.at, self.reached, self.go = at, threading.Event(), threading.Event()
        self.cut: list[str] = []

    def __call__(self, image, *args, **options):
        self.cut.append(Path(image.name).stem)
        if self.cut[-1] == self.at:
            self.reached.set()
            assert self.go.wait(PATIENCE)
        return super().__call__(image, *args, **options)


def in_thread(run: Callable[[], BatchReport]) -> tuple[threading.Thread, list[BatchReport]]:
    reports: list[BatchReport] = []
    thread = threading.Thread(target=lambda: reports.append(run()), daemon=True)
    thread.start()
    return thread, reports


def statuses(report: BatchReport) -> dict[str, str]:
    return {item.photo.stem: item.status for item in report.items}


@pytest.mark.parametrize("overwrite", [False, True])
def test_each_photo_is_done_by_one_of_two_runs(folders, pipeline, overwrite):
    photos, trimaps, out = folders
    options = BatchOptions(overwrite=overwrite)
    if overwrite:
        run_batch(photos, trimaps, out, load=lambda: pipeline)
    first, second = Gated(at="b"), Gated(at="none")
    thread, reports = in_thread(
        lambda: run_batch(photos, trimaps, out, options, load=lambda: first)
    )
    assert first.reached.wait(PATIENCE)
    # The second has come to an end with all but b, and waits for that.
    other, others = in_thread(lambda: run_batch(photos, trimaps, out, options, load=lambda: second))
    until(lambda: len(second.cut) == (3 if overwrite else 2), lambda: str(second.cut))
    assert other.is_alive()
    first.go.set()
    thread.join(PATIENCE)
    other.join(PATIENCE)
    # With overwrite a was done before the second run began, and that is asked to do it anew.
    assert first.cut == ["a", "b"]
    assert second.cut == (["a", "c", "d"] if overwrite else ["c", "d"])
    assert statuses(reports[0]) == {"a": "done", "b": "done", "c": "elsewhere", "d": "elsewhere"}
    assert statuses(others[0])["b"] == "elsewhere"
    assert others[0].failed == ()
    assert sorted(path.name for path in out.iterdir()) == [f"{name}.png" for name in NAMES]


def test_what_another_run_fails_at_is_tried_again_and_told(folders, pipeline):
    photos, trimaps, out = folders
    (photos / "b.jpg").write_bytes(b"text")
    for _ in range(2):
        report = run_batch(photos, trimaps, out, load=lambda: pipeline)
        assert statuses(report)["b"] == "failed"
    assert not claim_file(out / "b.png").exists()


def test_a_claim_is_one_runs_alone_and_goes_with_it(tmp_path):
    output = tmp_path / "a.png"
    with claimed(output) as ours:
        assert ours
        with claimed(output) as theirs:
            assert not theirs
        assert claim_file(output).exists()
    assert list(tmp_path.iterdir()) == []
    with claimed(output) as again:
        assert again


def test_claims_that_killed_runs_left_are_removed(folders, pipeline):
    photos, trimaps, out = folders
    out.mkdir()
    (out / "a.png").write_bytes(b"done before")
    for name in ("a", "b"):
        claim_file(out / f"{name}.png").touch()
    (out / ".other.png.claim").touch()
    report = run_batch(photos, trimaps, out, load=lambda: pipeline)
    assert statuses(report) == {"a": "skipped", "b": "done", "c": "done", "d": "done"}
    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == [
        ".other.png.claim"
    ]


STOPS_IN_THE_NETWORK = """
import sys, time
from mematte_plugin import pipeline
from mematte_plugin.cli import main
def stop(*_, **__):
    print("claimed", flush=True)
    time.sleep(3600)
pipeline.MattingPipeline.__call__ = stop
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_run_takes_over_from_one_that_is_killed(folders, tmp_path):
    photos, trimaps, out = folders
    model = save_network(random_network(), tmp_path / "model")
    command = ["batch", photos, "--trimaps", trimaps, "-o", out, "--model", model, "--json"]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}

    def start(*code: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *code, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
        )

    dying = start("-c", STOPS_IN_THE_NETWORK)
    heir = None
    try:
        assert dying.stdout is not None
        assert dying.stdout.readline() == b"claimed\n"
        heir = start("-m", "mematte_plugin")
        assert heir.stderr is not None
        assert heir.stderr.readline() == b"waiting: another run is working on a.jpg\n"
        assert sorted(path.name for path in out.glob("*.png")) == ["b.png", "c.png", "d.png"]
        dying.send_signal(signal.SIGKILL)
        stdout, stderr = heir.communicate(timeout=PATIENCE)
    finally:
        for process in (dying, heir):
            if process is not None:
                process.kill()
                process.communicate()
    assert heir.returncode == 0, stderr
    facts = json.loads(stdout)
    assert (facts["done"], facts["elsewhere"], facts["failed"]) == (4, 0, 0)
    assert [Path(item["photo"]).stem for item in facts["items"]] == ["b", "c", "d", "a"]
    assert sorted(path.name for path in out.iterdir()) == [f"{name}.png" for name in NAMES]
