"""Folders: matching by name, going on after failures, skipping, starting again after a kill."""

import os
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mematte_plugin.batch.listing import list_batch
from mematte_plugin.batch.options import BatchOptions
from mematte_plugin.batch.report import BatchItem, BatchReport
from mematte_plugin.batch.run import run_batch
from mematte_plugin.errors import (
    InputError,
    MEMatteWarning,
    OutputError,
    SettingError,
    WeightsError,
)
from mematte_plugin.pipeline import MattingPipeline
from mematte_plugin.weights.save import save_network

from ..networks import random_network
from ..patience import PATIENCE


@pytest.fixture(scope="module")
def pipeline():
    return MattingPipeline(random_network(), device="cpu", model="random")


@pytest.fixture
def folders(tmp_path):
    photos, guides = tmp_path / "photos", tmp_path / "trimaps"
    photos.mkdir()
    guides.mkdir()
    return photos, guides, tmp_path / "out"


def photo_at(path: Path, size=(48, 40)) -> Path:
    values = np.random.default_rng(len(path.name)).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(values).save(path)
    return path


def trimap_at(path: Path, size=(48, 40)) -> Path:
    values = np.zeros(size, np.uint8)
    values[8:-8, 8:-8] = 128
    values[16:-16, 14:-14] = 255
    Image.fromarray(values).save(path)
    return path


def mask_at(path: Path, size=(48, 40)) -> Path:
    values = np.zeros(size, np.uint8)
    values[12:-12, 12:-12] = 255
    Image.fromarray(values).save(path)
    return path


def statuses(report: BatchReport) -> dict[str, str]:
    return {item.photo.name: item.status for item in report.items}


def test_every_photo_is_cut_with_the_trimap_of_its_name(folders, pipeline):
    photos, guides, out = folders
    photo_at(photos / "a.jpg")
    photo_at(photos / "b.PNG")
    photo_at(photos / "c.tif")
    trimap_at(guides / "a.png")
    trimap_at(guides / "b_trimap.bmp")
    mask_at(guides / "c_mask.png")  # a hard mask is a trimap without unknown pixels
    (photos / "notes.txt").write_text("not a photo")
    (photos / "inner.png").mkdir()
    finished: list[BatchItem] = []
    with pytest.warns(MEMatteWarning, match="^c.tif: trimap .*has no grey"):
        report = run_batch(photos, guides, out, load=lambda: pipeline, on_item=finished.append)
    assert statuses(report) == {"a.jpg": "done", "b.PNG": "done", "c.tif": "done"}
    assert tuple(finished) == report.items
    assert [len(item.notes) for item in report.items] == [0, 0, 1]
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.png", "c.png"]
    with Image.open(out / "a.png") as image:
        assert image.mode == "RGBA"
        assert image.size == (40, 48)


def test_one_object_of_every_mask_is_cut(folders, pipeline):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    labels = np.zeros((48, 40), np.uint8)
    labels[8:20, 10:30], labels[28:40, 10:30] = 1, 2
    Image.fromarray(labels).save(guides / "a.png")
    failed = run_batch(photos, guides, out, BatchOptions(masks=True), load=lambda: pipeline)
    assert "is a map of 2 objects" in failed.items[0].reason
    options = BatchOptions(masks=True, objects=[2], kind="alpha", inside=1, outside=1, unit="px")
    assert run_batch(photos, guides, out, options, load=lambda: pipeline).count("done") == 1
    with Image.open(out / "a_alpha.png") as image:
        alpha = np.asarray(image)
    assert (alpha[30:38, 12:28] == 255).all()
    assert (alpha[:25] == 0).all()


def test_masks_become_trimaps(folders, pipeline):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    mask_at(guides / "a.png")
    options = BatchOptions(masks=True, inside=2, outside=3, unit="px", kind="alpha", bits=16)
    report = run_batch(photos, guides, out, options, load=lambda: pipeline)
    assert statuses(report) == {"a.png": "done"}
    with Image.open(out / "a_alpha.png") as image:
        alpha = np.asarray(image)
    assert alpha.dtype in (np.uint16, np.int32)
    assert alpha[0, 0] == 0
    assert alpha[24, 20] == 65535
    assert 0 < alpha[11, 20] < 65535  # the band


def test_one_bad_photo_does_not_stop_the_rest(folders, pipeline):
    photos, guides, out = folders
    for name in ("a", "b", "c", "d", "e"):
        photo_at(photos / f"{name}.png")
    (photos / "b.png").write_text("text")
    for name in ("a", "b", "d", "e"):
        trimap_at(guides / f"{name}.png")
    trimap_at(guides / "d.png", size=(48, 90))
    report = run_batch(photos, guides, out, load=lambda: pipeline)
    assert statuses(report) == {
        "a.png": "done",
        "b.png": "failed",
        "c.png": "failed",
        "d.png": "failed",
        "e.png": "done",
    }
    reasons = {item.photo.name: item.reason for item in report.failed}
    assert "text" in reasons["b.png"]
    assert str(photos) not in reasons["b.png"]
    assert "has no trimap" in reasons["c.png"]
    assert "90×48" in reasons["d.png"]
    assert not any("\n" in reason for reason in reasons.values())
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "e.png"]
    assert (report.count("done"), report.count("skipped"), report.count("failed")) == (2, 0, 3)


def test_what_is_not_ours_fails_one_photo_only(folders, pipeline):
    photos, guides, out = folders
    for name in ("a", "b"):
        photo_at(photos / f"{name}.png")
        trimap_at(guides / f"{name}.png")

    class Moody(MattingPipeline):
        calls = 0

        def cut_guided(self, *args, **options):
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("the driver\nsaid no")
            return super().cut_guided(*args, **options)

    moody = Moody(pipeline.network, device="cpu")
    report = run_batch(photos, guides, out, load=lambda: moody)
    assert statuses(report) == {"a.png": "failed", "b.png": "done"}
    assert report.failed[0].reason == "unexpected RuntimeError: the driver said no"


def test_existing_outputs_are_skipped_without_loading_the_network(folders, pipeline):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    trimap_at(guides / "a.png")
    run_batch(photos, guides, out, load=lambda: pipeline)
    before = (out / "a.png").stat().st_mtime_ns

    def load():
        raise AssertionError("nothing to do")

    report = run_batch(photos, guides, out, load=load)
    assert statuses(report) == {"a.png": "skipped"}
    again = run_batch(photos, guides, out, BatchOptions(overwrite=True), load=lambda: pipeline)
    assert statuses(again) == {"a.png": "done"}
    assert (out / "a.png").stat().st_mtime_ns > before


def test_photos_that_would_have_one_result_are_refused_before_the_work(folders):
    photos, guides, out = folders
    photo_at(photos / "a.jpg")
    photo_at(photos / "a.png")
    trimap_at(guides / "a.png")
    with pytest.raises(InputError, match=r"a\.png: would have the same result as a\.jpg"):
        list_batch(photos, guides, out, BatchOptions())
    # The remedy of the message.
    with pytest.raises(InputError, match=r"--pair '(.*)'") as refused:
        list_batch(photos, guides, out, BatchOptions())
    pair = str(refused.value).split("'")[1]
    (entry,) = list_batch(photos, guides, out, BatchOptions(pair=pair)).entries
    assert (entry.photo.name, entry.guide) == ("a.jpg", guides / "a.png")


def test_a_raw_file_next_to_its_jpeg_is_left_out_and_alone_it_counts(folders):
    photos, guides, out = folders
    photo_at(photos / "a.jpg")
    for name in ("a.CR2", "b.NEF"):
        (photos / name).write_bytes(b"raw")
    for name in ("a.png", "b.png"):
        trimap_at(guides / name)
    listing = list_batch(photos, guides, out, BatchOptions())
    assert [entry.photo.name for entry in listing.entries] == ["a.jpg", "b.NEF"]
    assert any("left out next to the same photo: a.CR2" in note for note in listing.notes)


def test_two_trimaps_for_one_photo_are_not_guessed_about(folders):
    photos, guides, out = folders
    photo_at(photos / "a.jpg")
    trimap_at(guides / "a.png")
    trimap_at(guides / "a.bmp")
    (entry,) = list_batch(photos, guides, out, BatchOptions()).entries
    assert entry.guide is None
    assert "has 2 trimaps (a.bmp, a.png" in entry.problem


def test_photos_and_trimaps_may_share_a_folder(folders):
    photos, _, out = folders
    photo_at(photos / "a.png")
    trimap_at(photos / "a_trimap.png")
    photo_at(photos / "b.png")
    entries = list_batch(photos, photos, out, BatchOptions()).entries
    assert [(entry.photo.name, entry.guide and entry.guide.name) for entry in entries] == [
        ("a.png", "a_trimap.png"),
        ("b.png", None),
    ]


def test_umlauts_match_in_either_spelling(folders):
    photos, guides, out = folders
    photo_at(photos / (unicodedata.normalize("NFC", "müller") + ".png"))
    trimap_at(guides / (unicodedata.normalize("NFD", "müller") + ".png"))
    (entry,) = list_batch(photos, guides, out, BatchOptions()).entries
    assert entry.guide is not None


def test_leftovers_of_a_killed_run_count_for_nothing(folders, pipeline):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    (photos / ".b.png").write_bytes(b"half")
    (photos / ".a.png.0123abcd.tmp").write_bytes(b"half")
    trimap_at(guides / "a.png")
    out.mkdir()
    (out / ".a.png.0123abcd.tmp").write_bytes(b"half")
    report = run_batch(photos, guides, out, load=lambda: pipeline)
    assert statuses(report) == {"a.png": "done"}


@pytest.mark.parametrize(
    ("arrange", "error", "says"),
    [
        (lambda p, g, o: (p / "none", g, o), InputError, "no such folder"),
        (lambda p, g, o: (p, g / "none", o), InputError, "no such folder"),
        (lambda p, g, o: (p / "a.png", g, o), InputError, "is a file"),
        (lambda p, g, o: (g, g, o), InputError, "holds no photos"),
        (lambda p, g, o: (p, g, p), OutputError, "folder of the inputs"),
        (lambda p, g, o: (p, g, g), OutputError, "folder of the inputs"),
        (lambda p, g, o: (p, g, p / "a.png"), OutputError, "is a file"),
    ],
)
def test_folders_that_cannot_work_are_refused_before_anything_is_done(
    folders, arrange, error, says
):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    with pytest.raises(error, match=says):
        list_batch(*arrange(photos, guides, out), BatchOptions())
    assert not out.exists()


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "cutout"), (".gif", "alpha"), ("", "alpha")])
def test_formats_that_cannot_hold_the_result_are_refused(suffix, kind):
    with pytest.raises(SettingError, match="suffix"):
        BatchOptions(suffix=suffix, kind=kind)
    assert BatchOptions(suffix=".jpg", kind="alpha").suffix == ".jpg"


def test_what_is_wrong_for_all_ends_the_batch(folders, pipeline):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    trimap_at(guides / "a.png")
    with pytest.raises(SettingError, match="retention"):
        run_batch(photos, guides, out, BatchOptions(retention=-1), load=lambda: pipeline)

    def load():
        raise WeightsError("no such model")

    with pytest.raises(WeightsError):
        run_batch(photos, guides, out, load=load)


def test_a_missing_output_folder_is_made_but_not_its_parents(folders):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    trimap_at(guides / "a.png")
    with pytest.raises(OutputError, match=f"there is no folder {out}"):
        list_batch(photos, guides, out / "deep", BatchOptions())
    with pytest.raises(OutputError, match="cannot be made"):
        list_batch(photos, guides, out / ("long" * 1250), BatchOptions())
    assert not out.exists()


@pytest.mark.parametrize("made", [True, False])
def test_a_read_only_place_for_the_results_is_seen_at_once(folders, monkeypatch, made):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    trimap_at(guides / "a.png")
    if made:
        out.mkdir()
    refused = out if made else out.parent
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != refused)
    with pytest.raises(OutputError, match="read-only"):
        list_batch(photos, guides, out, BatchOptions())
    if made:  # nothing is to be written there
        (out / "a.png").write_text("done")
        assert len(list_batch(photos, guides, out, BatchOptions()).entries) == 1


def test_an_output_folder_that_cannot_be_made_ends_the_batch(folders, pipeline, monkeypatch):
    photos, guides, out = folders
    for name in ("a", "b"):
        photo_at(photos / f"{name}.png")
        trimap_at(guides / f"{name}.png")

    def refuse(self: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match="cannot be made \\(Permission denied"):
        run_batch(photos, guides, out, load=lambda: pipeline)


@pytest.mark.parametrize(
    ("suffix", "kind", "bits"),
    [(".png", "cutout", 7), (".png", "alpha", 32), (".webp", "cutout", 16), (".jpg", "alpha", 16)],
)
def test_a_depth_that_the_format_lacks_is_refused(folders, suffix, kind, bits):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    with pytest.raises(SettingError, match=f"suffix {suffix}: .* not {bits}"):
        list_batch(photos, guides, out, BatchOptions(suffix=suffix, kind=kind, bits=bits))


def test_a_batch_of_which_nothing_comes_leaves_no_folder(folders, pipeline):
    photos, guides, out = folders
    (photos / "a.png").write_text("text")
    trimap_at(guides / "a.png")
    assert statuses(run_batch(photos, guides, out, load=lambda: pipeline)) == {"a.png": "failed"}
    photo_at(photos / "a.png")
    with pytest.raises(SettingError):
        run_batch(photos, guides, out, BatchOptions(retention=7), load=lambda: pipeline)
    assert not out.exists()


def test_leftovers_are_removed_but_only_those_of_its_outputs(folders, pipeline):
    photos, guides, out = folders
    photo_at(photos / "a.png")
    photo_at(photos / "b.png")
    trimap_at(guides / "a.png")
    trimap_at(guides / "b.png")
    out.mkdir()
    (out / "b.png").write_text("done before")
    theirs = [".b.png.0123abcd.tmp", ".a.png.tmp", ".aapng.0123abcd.tmp", "a.png.0123abcd.tmp"]
    for name in [".a.png.0123abcd.tmp", ".a.png.fresh123.tmp", ".a.png.76543210.tmp", *theirs]:
        (out / name).write_bytes(b"half")
    an_hour_on = (out / "b.png").stat().st_mtime + 3600
    os.utime(out / ".a.png.76543210.tmp", (an_hour_on, an_hour_on))  # another run's, at work
    run_batch(photos, guides, out, load=lambda: pipeline)
    left = {path.name for path in out.iterdir()}
    assert left == {"a.png", "b.png", ".a.png.fresh123.tmp", ".a.png.76543210.tmp", *theirs}


KILLED_ON_SECOND_WRITE = """
import os, pathlib, signal, sys
from mematte_plugin.cli import main
replace, calls = pathlib.Path.replace, []
def dying(self, target):
    calls.append(self)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)  # the file is written, but not yet in place
    return replace(self, target)
pathlib.Path.replace = dying
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_batch_goes_on_where_it_stopped(folders, pipeline, tmp_path):
    photos, guides, out = folders
    for name in ("a", "b", "c"):
        photo_at(photos / f"{name}.png")
        trimap_at(guides / f"{name}.png")
    model = save_network(random_network(), tmp_path / "model")
    command = ["batch", photos, "--trimaps", guides, "-o", out, "--model", model]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_ON_SECOND_WRITE, *map(str, command)],
        check=False,
        capture_output=True,
        timeout=PATIENCE,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = sorted(p.name for p in out.iterdir())
    assert left[-1] == "a.png"
    assert len(left) == 3  # the claim and the unfinished file
    assert all(name.startswith(".b.png.") for name in left[:-1])
    report = run_batch(photos, guides, out, load=lambda: pipeline)
    assert statuses(report) == {"a.png": "skipped", "b.png": "done", "c.png": "done"}
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.png", "c.png"]
    for name in ("a", "b", "c"):
        with Image.open(out / f"{name}.png") as image:
            image.load()


def test_guides_and_a_search_exclude_each_other(folders):
    photos, guides, output = folders
    with pytest.raises(SettingError, match="nothing is searched for"):
        list_batch(photos, guides, output, BatchOptions(text="dog"))
