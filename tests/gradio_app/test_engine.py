"""Jobs of the demo: the same files as the command line's, and nothing left of those given up."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")

from gradio_app.edges import reshape
from gradio_app.engine import Guide, Result, Step, Task, carry_out, trimap_of, warm_up
from gradio_app.models import chosen, offered
from gradio_app.settings import Settings
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

EXAMPLES = Path(__file__).parents[2] / "mematte_plugin" / "examples"
PHOTO, TRIMAP, MASK = (
    EXAMPLES / name for name in ("astronaut.jpg", "astronaut_trimap.png", "astronaut_mask.png")
)
SETTINGS = Settings(device="cpu")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A job whose photo has a name of its own."""
    photo = tmp_path / "Ada & I.jpg"
    shutil.copy(PHOTO, photo)
    folder = tmp_path / "job"
    folder.mkdir()
    return Task(photo=photo, guide=Guide("trimap", TRIMAP), folder=folder)


def finish(task: Task, settings: Settings = SETTINGS) -> tuple[list[Step], Result]:
    """All of a job."""
    *steps, result = carry_out(task, settings)
    assert isinstance(result, Result)
    return [step for step in steps if isinstance(step, Step)], result


def test_files_are_the_command_lines(task: Task, tmp_path: Path) -> None:
    steps, result = finish(replace(task, for_page=True))
    assert result.tiff is not None
    assert result.view is not None
    assert result.cutout.name == "Ada & I_cutout.png"
    assert result.alpha.name == "Ada & I_alpha.png"
    assert result.tiff.name == "Ada & I_cutout.tif"
    for made, options in (
        (result.cutout, []),
        (result.alpha, ["--bits", "16"]),
        (result.tiff, []),
    ):
        ours = tmp_path / made.name
        assert run(["cut", str(task.photo), str(TRIMAP), "-o", str(ours), *options]) == 0
        assert made.read_bytes() == ours.read_bytes()
    assert {"encoder", "decoder"} <= {step.stage for step in steps}
    assert result.report["photo"] == "Ada & I.jpg"
    assert result.report["width"] == 512
    assert result.report["plan"]["measured_peak"] > 0


SHAPED = Edge(levels=(0.05, 0.95), choke=0.75, feather=0.5, crop=True, margin=5)
AS_OPTIONS = ["--levels", "0.05,0.95", "--choke", "0.75", "--feather", "0.5"]
AS_OPTIONS += ["--crop", "--margin", "5"]


def test_a_shaped_edge_is_the_command_lines(task: Task, tmp_path: Path) -> None:
    _, plain = finish(replace(task, for_page=True))
    shaped = reshape(plain, SHAPED, SETTINGS)
    assert shaped.tiff is not None
    assert shaped.view is not None
    for made, options in ((shaped.cutout, []), (shaped.alpha, ["--bits", "16"]), (shaped.tiff, [])):
        ours = tmp_path / made.name
        given = ["cut", str(task.photo), str(TRIMAP), "-o", str(ours), *options, *AS_OPTIONS]
        assert run(given) == 0
        assert made.read_bytes() == ours.read_bytes()
    assert shaped.report["crop"]["full_width"] == 512
    assert read_photo(shaped.view.cutout).size == read_photo(shaped.cutout).size
    assert shaped.view.routing == (plain.view.routing if plain.view else ())
    assert reshape(shaped, Edge(), SETTINGS) is plain
    assert pickle.loads(pickle.dumps(shaped)) == shaped


def test_the_edge_of_a_result_that_was_swept(task: Task) -> None:
    _, plain = finish(replace(task, for_page=True))
    assert plain.source is not None
    plain.source.alpha.unlink()
    with pytest.raises(InputError, match="press Cut again"):
        reshape(plain, Edge(choke=1), SETTINGS)


def test_view_shows_the_matte(task: Task) -> None:
    _, result = finish(replace(task, for_page=True))
    assert result.view is not None
    cutout, alpha = read_photo(result.view.cutout), read_photo(result.alpha)
    assert cutout.alpha is not None
    # The same picture in 8 bits instead of 16.
    assert np.abs(cutout.alpha / 255.0 - alpha.pixels[..., 0] / 65535.0).max() <= 0.5 / 255 + 1e-6
    assert len(result.view.routing) == len(result.report["kept"]) == len(result.view.captions)


def test_a_job_travels_between_processes(task: Task) -> None:
    _, result = finish(replace(task, for_page=True))
    assert pickle.loads(pickle.dumps(result)) == result
    assert pickle.loads(pickle.dumps(task)).photo == task.photo


def test_closing_ends_the_job_and_leaves_nothing(task: Task) -> None:
    # Large enough that it is still busy when it is given up.
    large = task.folder.with_name("large.png")
    write_image(large, np.kron(read_photo(PHOTO).pixels, np.ones((4, 4, 1), np.uint8)))
    job = carry_out(replace(task, photo=large), SETTINGS)
    for step in job:
        if isinstance(step, Step) and step.stage == "encoder":
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
    assert str(task.photo.parent) not in str(caught.value), "says where uploads lie"
    assert not task.folder.exists()


def test_strokes_of_a_proxy() -> None:
    labels = np.full((30, 40), int(Stroke.UNPAINTED), np.uint8)
    labels[:10], labels[20:] = Stroke.BACKGROUND, Stroke.FOREGROUND
    trimap = trimap_of(Guide("strokes", labels), (300, 400), SETTINGS)
    assert trimap.shape == (300, 400)
    assert [trimap[row, 7] for row in (0, 99, 100, 199, 200, 299)] == [0, 0, 128, 128, 255, 255]
    with pytest.raises(InputError, match="strokes: is 40×30, but the photo is 300×300"):
        trimap_of(Guide("strokes", labels), (300, 300), SETTINGS)


def test_mask_painted_on_a_proxy() -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[10:20, 10:30] = 255
    mask[10:20, 30:35] = 127
    with collect_notes() as notes:
        trimap = trimap_of(Guide("mask", mask, inside=0, outside=0), (300, 400), SETTINGS)
    assert not notes, "the visitor did not choose the proxy's size"
    assert trimap.shape == (300, 400)
    assert [trimap[150, column] for column in (50, 200, 320, 380)] == [0, 255, 128, 0]


def test_the_operators_model_is_offered_by_its_name_alone() -> None:
    settings = Settings(model="/secret/place/hair.safetensors")
    assert list(offered(settings))[:2] == ["hair", "mematte-tiny"]
    assert chosen(None, settings).source == "/secret/place/hair.safetensors"
    assert "/secret" not in repr(offered(settings)["hair"]).replace(settings.model, "")
    with pytest.raises(SettingError, match="hair, mematte-tiny"):
        chosen("/secret/place/hair.safetensors", settings)


def test_a_model_that_fails_in_warming_up_does_not_stop_the_queue(task: Task) -> None:
    broken = replace(SETTINGS, model="missing.safetensors")
    warming = warm_up(broken)
    assert warming is not None
    warming.result()
    _, result = finish(replace(task, model="mematte-tiny"), broken)
    assert result.cutout.exists()
