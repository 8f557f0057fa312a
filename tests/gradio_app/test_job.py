"""Jobs of the demo: the same files as the command line's, and nothing left of cancelled ones."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from gradio_app.edges import reshape
from gradio_app.inputs import Guide, trimap_of
from gradio_app.job import Result, Step, Task, carry_out, warm_up
from gradio_app.models import chosen, offered
from gradio_app.settings import Settings
from gradio_app.wording import STAGES
from mematte_plugin import (
    Edge,
    InputError,
    MEMatteError,
    SettingError,
    Stroke,
    collect_notes,
    read_photo,
    write_image,
)
from mematte_plugin.cli.shell import run

from .harness import MASK, PHOTO, TRIMAP

SETTINGS = Settings(device="cpu")
SIDE = 192
"""Pixels of a job's photo."""


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A small job whose photo has a name of its own."""
    photo, trimap, folder = (tmp_path / name for name in ("Ada & I.jpg", "trimap.png", "job"))
    for source, target in ((PHOTO, photo), (TRIMAP, trimap)):
        with Image.open(source) as picture:
            picture.resize((SIDE, SIDE), Image.Resampling.NEAREST).save(target)
    folder.mkdir()
    return Task(photo=photo, guide=Guide("trimap", trimap), folder=folder)


def finish(task: Task, settings: Settings = SETTINGS) -> tuple[list[Step], Result]:
    """All of a job."""
    *steps, result = carry_out(task, settings)
    assert isinstance(result, Result)
    return [step for step in steps if isinstance(step, Step)], result


def assert_command_lines(result: Result, task: Task, folder: Path, *options: str) -> None:
    """The three files are those of `mematte cut`, byte by byte."""
    assert result.tiff is not None
    trimap = folder / "trimap.png"
    for made, bits in ((result.cutout, []), (result.alpha, ["--bits", "16"]), (result.tiff, [])):
        ours = folder / made.name
        given = ["cut", str(task.photo), str(trimap), "-o", str(ours), "--overwrite", *bits]
        assert run([*given, *options]) == 0
        assert made.read_bytes() == ours.read_bytes()


SHAPED = Edge(levels=(0.05, 0.95), choke=0.75, feather=0.5, crop=True, margin=5)
AS_OPTIONS = ["--levels", "0.05,0.95", "--choke", "0.75", "--feather", "0.5"]
AS_OPTIONS += ["--crop", "--margin", "5"]


def test_files_are_the_command_lines_also_with_a_shaped_edge(task: Task, tmp_path: Path) -> None:
    steps, result = finish(replace(task, for_page=True))
    assert result.pictures is not None
    assert result.tiff is not None
    names = [path.name for path in (result.cutout, result.alpha, result.tiff)]
    assert names == [f"Ada & I_{end}" for end in ("cutout.png", "alpha.png", "cutout.tif")]
    assert_command_lines(result, task, tmp_path)
    assert {step.stage for step in steps} <= set(STAGES)
    assert result.report["photo"] == "Ada & I.jpg"
    assert result.report["width"] == SIDE
    assert result.report["plan"]["measured_peak"] > 0
    # The page's cut-out is the same picture in 8 bits instead of 16.
    cutout, alpha = read_photo(result.pictures.cutout), read_photo(result.alpha)
    assert cutout.alpha is not None
    assert np.abs(cutout.alpha / 255.0 - alpha.pixels[..., 0] / 65535.0).max() <= 0.5 / 255 + 1e-6
    assert len(result.pictures.routing) == len(result.report["kept"])

    shaped = reshape(result, SHAPED, SETTINGS)
    assert shaped.pictures is not None
    assert_command_lines(shaped, task, tmp_path, *AS_OPTIONS)
    assert shaped.report["crop"]["full_width"] == SIDE
    assert read_photo(shaped.pictures.cutout).size == read_photo(shaped.cutout).size
    assert shaped.pictures.routing == result.pictures.routing
    assert reshape(shaped, Edge(), SETTINGS) is result
    assert pickle.loads(pickle.dumps(shaped)) == shaped  # for ZeroGPU

    swept = replace(result, folder=tmp_path / "swept")
    with pytest.raises(InputError, match="press Cut again"):
        reshape(swept, Edge(choke=1), SETTINGS)


def test_closing_ends_the_job_and_leaves_nothing(task: Task) -> None:
    # Large enough that it is still busy when it is closed.
    large = task.folder.with_name("large.png")
    write_image(large, np.zeros((1536, 1536, 3), np.uint8))
    job = carry_out(replace(task, photo=large), SETTINGS)
    for step in job:
        if isinstance(step, Step) and step.stage != "reading":
            break
    job.close()  # type: ignore[attr-defined]  # it is a generator
    again = task.folder.with_name("next")
    again.mkdir()
    _, result = finish(replace(task, folder=again))  # the queue goes on
    assert result.cutout.exists()
    assert not task.folder.exists()


def no_picture(task: Task) -> Task:
    task.photo.write_bytes(b"%PDF-1.7 no picture at all")
    return task


def too_large(task: Task) -> Task:
    write_image(task.photo, np.zeros((1100, 1000, 3), np.uint8), overwrite=True)
    return task


def gone(task: Task) -> Task:
    task.photo.unlink()
    return task


BAD: tuple[tuple[Callable[[Task], Task], str], ...] = (
    (no_picture, r"^Ada & I\.jpg: "),
    (too_large, r"^Ada & I\.jpg: claims 1000×1100 pixels"),
    (gone, r"^Ada & I\.jpg: .* upload it again"),
    (lambda task: replace(task, guide=Guide("trimap", PHOTO)), "^trimap: is a colour picture"),
    (lambda task: replace(task, guide=Guide("trimap", MASK)), "^trimap: leaves nothing unknown"),
    (lambda task: replace(task, retention=float("nan")), "^retention nan: give"),
    (lambda task: replace(task, retention=1.5), r"^retention 1\.5: give"),
    (lambda task: replace(task, memory_budget_gb=-1.0), r"^memory_budget_gb -1\.0: give"),
    (lambda task: replace(task, memory_budget_gb=0.001), "at least .* MB are needed"),
    (lambda task: replace(task, model="/etc/passwd"), "^model '/etc/passwd': is not offered"),
    (lambda task: replace(task, model="hustvl/other"), "^model 'hustvl/other': is not offered"),
)


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_bad_input(task: Task, spoil: Callable[[Task], Task], message: str) -> None:
    settings = replace(SETTINGS, max_megapixels=1.0)
    with pytest.raises(MEMatteError, match=message) as caught:
        finish(spoil(task), settings)
    assert str(task.photo.parent) not in str(caught.value), "says where uploads are"
    assert not task.folder.exists()


def test_a_painting_of_the_proxy_fits_the_photo() -> None:
    labels = np.full((30, 40), int(Stroke.UNPAINTED), np.uint8)
    labels[10:20, 10:30] = Stroke.FOREGROUND
    labels[10:20, 30:35] = Stroke.UNKNOWN
    guide = Guide("painting", labels, inside=0, outside=0)
    with collect_notes() as notes:
        trimap = trimap_of(guide, (300, 400), SETTINGS)
    assert not notes, "the user did not choose the proxy's size"
    assert trimap.shape == (300, 400)
    assert [trimap[150, column] for column in (50, 200, 320, 380)] == [0, 255, 128, 0]


def test_the_operators_model_is_offered_by_its_name_alone(task: Task, tmp_path: Path) -> None:
    settings = Settings(model="/secret/place/hair.safetensors")
    assert list(offered(settings))[:2] == ["hair", "mematte-tiny"]
    assert chosen(None, settings).source == "/secret/place/hair.safetensors"
    assert "/secret" not in repr(offered(settings)["hair"]).replace(settings.model, "")
    with pytest.raises(SettingError, match="hair, mematte-tiny"):
        chosen("/secret/place/hair.safetensors", settings)


def test_the_report_names_the_operators_model_without_its_path(task: Task, tmp_path: Path) -> None:
    from mematte_plugin import load_network, save_network

    save_network(load_network("mematte-tiny"), tmp_path / "own")
    _, result = finish(task, replace(SETTINGS, model=str(tmp_path / "own")))
    assert result.report["model"] == "own"
    assert str(tmp_path) not in repr(result.report)


def test_a_model_that_fails_in_warming_up_does_not_stop_the_queue(task: Task) -> None:
    broken = replace(SETTINGS, model="missing.safetensors")
    warming = warm_up(broken)
    assert warming is not None
    assert warming.wait(60)
    _, result = finish(replace(task, model="mematte-tiny"), broken)
    assert result.cutout.exists()
