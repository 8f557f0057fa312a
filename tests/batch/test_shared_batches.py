"""Several runs on one folder: nothing twice, nothing left, and no run waits for a dead one."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.batch.claims import claim_file, claimed
from mematte_plugin.batch.listing import BatchEntry, list_batch
from mematte_plugin.batch.options import BatchOptions
from mematte_plugin.batch.report import BatchReport
from mematte_plugin.batch.run import cut_all, run_batch
from mematte_plugin.pipeline import MattingPipeline

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

    def cut_guided(self, photo, *args, **options):
        self.cut.append(Path(photo.name).stem)
        if self.cut[-1] == self.at:
            self.reached.set()
            assert self.go.wait(PATIENCE)
        return super().cut_guided(photo, *args, **options)


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
    # With overwrite, a was done before the second run began, which has to do it again.
    assert first.cut == ["a", "b"]
    assert second.cut == (["a", "c", "d"] if overwrite else ["c", "d"])
    assert statuses(reports[0]) == {"a": "done", "b": "done", "c": "elsewhere", "d": "elsewhere"}
    assert statuses(others[0])["b"] == "elsewhere"
    assert others[0].failed == ()
    assert sorted(path.name for path in out.iterdir()) == [f"{name}.png" for name in NAMES]


def test_a_photo_that_another_run_failed_at_is_tried_again(folders, pipeline):
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


HOLDS_A_CLAIM = """
import sys, time
from pathlib import Path
from mematte_plugin.batch.claims import claimed
with claimed(Path(sys.argv[1])) as ours:
    print(ours, flush=True)
    time.sleep(3600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_run_takes_over_from_one_that_is_killed(folders, pipeline):
    photos, trimaps, out = folders
    out.mkdir()
    options = BatchOptions()
    left: list[str] = []
    dying = subprocess.Popen(
        [sys.executable, "-c", HOLDS_A_CLAIM, str(out / "a.png")], stdout=subprocess.PIPE
    )

    def kill(entries: Sequence[BatchEntry]) -> None:
        left.extend(entry.photo.name for entry in entries)
        assert sorted(path.name for path in out.glob("*.png")) == ["b.png", "c.png", "d.png"]
        dying.send_signal(signal.SIGKILL)

    try:
        assert dying.stdout is not None
        assert dying.stdout.readline() == b"True\n"
        listing = list_batch(photos, trimaps, out, options)
        items = list(cut_all(listing, options, load=lambda: pipeline, on_wait=kill))
    finally:
        dying.kill()
        dying.communicate()
    assert left == ["a.jpg"]
    assert [(item.photo.stem, item.status) for item in items] == [(name, "done") for name in "bcda"]
    assert sorted(path.name for path in out.iterdir()) == [f"{name}.png" for name in NAMES]
