"""Subjects by clicks and boxes, with small random networks in SAM 2's format."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mematte_plugin import find_subject
from mematte_plugin.errors import InputError, MEMatteError, SettingError, WeightsError
from mematte_plugin.images.read import read_photo
from mematte_plugin.subject.clicks import SAM2
from mematte_plugin.subject.found import SubjectMask
from mematte_plugin.subject.pixels import IMAGENET_MEAN, IMAGENET_STD, network_pixels
from mematte_plugin.subject.ready import _ready, release_subjects
from mematte_plugin.subject.torch_network import TorchNetwork
from mematte_plugin.weights.subjects import subject_files
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("cached")

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
OTHER = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
IN, OUT = (10, 20, 1), (60, 40, 0)


def found(image: Any = PHOTO, points: Any = (IN,), **options: Any) -> SubjectMask:
    return find_subject(image, points=points, **options)


def encodes(image: Any) -> bool:
    """Whether a click in this photo has to look at all of it first."""
    ticks: list[Any] = []
    found(image, progress=lambda *tick: ticks.append(tick))
    return bool(ticks)


def test_a_click_gives_a_soft_mask_with_its_source() -> None:
    mask = found()
    assert mask.native.shape == (16, 16)
    assert mask.native.dtype == np.float32
    assert 0 <= mask.native.min() < mask.native.max() <= 1
    assert mask.mask.shape == (60, 80)
    assert 0 < mask.confidence < 1
    assert (mask.source, mask.model) == ("points", "sam2.1-hiera-tiny")
    assert mask.licence == "Apache-2.0"
    box = find_subject(PHOTO, box=(5, 5, 50, 40))
    assert box.source == "box"
    assert not np.array_equal(box.native, mask.native)
    both = find_subject(PHOTO, box=(5, 5, 50, 40), points=[OUT])
    assert both.source == "points"
    assert not np.array_equal(both.native, box.native)


def test_the_second_click_in_a_photo_uses_what_the_first_saw_and_says_the_same() -> None:
    assert encodes(PHOTO)
    assert not encodes(PHOTO)
    second = found(points=[OUT[:2]])
    release_subjects()
    np.testing.assert_array_equal(found(points=[OUT[:2]]).native, second.native)


def test_another_photo_or_an_edited_one_is_looked_at_anew() -> None:
    edited = PHOTO.copy()
    first, other = found(edited), found(OTHER)
    assert not np.array_equal(first.native, other.native)
    assert not encodes(edited)  # two are kept
    edited[10:30, 10:30] = 255
    changed = found(edited)
    assert not np.array_equal(changed.native, first.native)
    np.testing.assert_array_equal(found(PHOTO).native, first.native)
    release_subjects()
    np.testing.assert_array_equal(found(edited).native, changed.native)


def test_the_order_of_points_means_nothing() -> None:
    points = [IN, (30, 30, 1), OUT, (5, 50, 0)]
    one, other = found(points=points), found(points=points[::-1])
    np.testing.assert_array_equal(one.native, other.native)


def test_points_are_places_in_the_photo_whatever_its_size() -> None:
    large = cv2.resize(PHOTO[:6, :8], (160, 120), interpolation=cv2.INTER_CUBIC)
    small = found(cv2.resize(large, (80, 60), interpolation=cv2.INTER_AREA)).native
    same, elsewhere = found(large, [(20, 40)]).native, found(large, [(10, 20)]).native
    assert np.abs(same - small).mean() < np.abs(elsewhere - small).mean() / 2


def test_clicks_add_to_the_previous_mask_and_take_from_it() -> None:
    previous = find_subject(PHOTO, box=(20, 5, 70, 50))
    shown, hidden = found(points=[IN, OUT]), found(points=[(*OUT[:2], 1), (*IN[:2], 0)])
    mask = found(points=[IN, OUT], previous=previous)
    expected = np.minimum(np.maximum(previous.native, shown.native), 1 - hidden.native)
    np.testing.assert_array_equal(mask.native, expected)
    assert mask.source == "points"
    added = found(previous=previous)
    np.testing.assert_array_equal(added.native, np.maximum(previous.native, found().native))
    taken = found(points=[OUT], previous=previous)
    alone = found(points=[OUT[:2]])
    np.testing.assert_array_equal(taken.native, np.minimum(previous.native, 1 - alone.native))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"points": [OUT]}, "all points are outside the subject"),
        ({"points": [(80, 3)]}, "lies outside the photo of 80×60 pixels"),
        ({"points": [(-1, 3)]}, "lies outside"),
        ({"points": [(3, 3, 1), (3.5, 3, 0)]}, "as inside and as outside"),
        ({"points": [(3, 3, 2)]}, "its label is 2"),
        ({"points": [(float("nan"), 3)]}, "finite"),
        ({"points": []}, "give (x, y)"),
        ({"points": "here"}, "give numbers"),
        ({"points": np.random.default_rng(0).random((5000, 2))}, "5000 are given; give at most"),
        ({"box": (10, 10, 10, 20)}, "has no area"),
        ({"box": (10, 10, 90, 20)}, "reaches outside"),
        ({"box": (10, 10)}, "give (left, top, right, bottom)"),
        ({"points": [IN], "text": "dog"}, "cannot be joined"),
        ({"points": [IN], "previous": PHOTO}, "what find_subject returned"),
        ({"points": [IN], "device": "gpu7"}, "is not available here"),
    ],
)
def test_what_says_nothing_of_the_photo_is_refused_in_a_line(asked: Any, told: str) -> None:
    with pytest.raises((InputError, SettingError)) as raised:
        find_subject(PHOTO, **asked)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_mask_of_another_photo_is_refused() -> None:
    small = find_subject(PHOTO[:40], points=(5, 5))
    with pytest.raises(InputError, match="cannot be joined; find both in the same photo"):
        found(previous=small)


def test_the_smallest_and_thinnest_photos_get_a_mask() -> None:
    for size in ((1, 1), (1, 500), (700, 2)):
        with suppress(InputError):  # random weights may find nothing, or everything
            assert found(np.full((*size, 3), 90, np.uint8), (0, 0)).mask.shape == size


def test_deep_photos_and_those_of_light_are_seen_as_they_look() -> None:
    expected = found().native
    deep = PHOTO.astype(np.uint16) * 257
    for photo in (deep, (PHOTO / 255).astype(np.float32)):
        np.testing.assert_allclose(found(photo).native, expected, atol=0.02)


def test_an_image_network_and_a_video_network_both_load(networks: Path) -> None:
    for name in ("sam", "sam_video"):
        mask = found(model=str(networks / name))
        assert mask.model == name
        assert mask.licence == ""


def test_a_network_of_another_kind_says_which_fits(networks: Path, tmp_path: Path) -> None:
    for name in ("dino", "sam3"):
        with pytest.raises(WeightsError, match=r"takes no points and no box; choose a SAM 2 net"):
            found(model=str(networks / name))
    for model in ("birefnet-lite", "grounding-dino-tiny", "mematte-tiny"):
        with pytest.raises(WeightsError, match=r"sam2\.1-hiera-tiny"):
            found(model=model)
    (tmp_path / "net.onnx").write_bytes(b"0")
    with pytest.raises(WeightsError, match="SAM 2 network"):
        found(model=str(tmp_path / "net.onnx"))


def damaged(networks: Path, target: Path, change: Any) -> str:
    """A copy of a network with changed tensors."""
    from safetensors.torch import load_file, save_file

    target.mkdir()
    tensors = load_file(networks / "sam" / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors")
    (target / "config.json").write_bytes((networks / "sam" / "config.json").read_bytes())
    return str(target)


def test_damaged_networks_are_named(networks: Path, tmp_path: Path) -> None:
    key = "mask_decoder.iou_token.weight"
    lacking = damaged(networks, tmp_path / "lacking", lambda tensors: tensors.pop(key))
    with pytest.raises(WeightsError, match=rf"does not fit its config\.json: {key} missing"):
        found(model=lacking)
    shape = damaged(networks, tmp_path / "shape", lambda t: t.update({key: torch.ones(1, 5)}))
    with pytest.raises(WeightsError, match=f"{key} missing or of another shape"):
        found(model=shape)
    infinite = damaged(networks, tmp_path / "nan", lambda t: t.update({key: t[key] * torch.nan}))
    with pytest.raises(WeightsError, match="not finite; its weights are damaged"):
        found(model=infinite)
    half = tmp_path / "half"
    half.mkdir()
    content = (networks / "sam" / "model.safetensors").read_bytes()
    (half / "model.safetensors").write_bytes(content[: len(content) // 2])
    (half / "config.json").write_bytes((networks / "sam" / "config.json").read_bytes())
    with pytest.raises(WeightsError, match="download it again"):
        found(model=str(half))
    for config in ('{"model_type": "sam2", "vision_config": 7}', "{"):
        (half / "config.json").write_text(config)
        with pytest.raises(WeightsError) as raised:
            found(model=str(half))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("prompt_encoder_config", {"image_size": 0}),
        ("prompt_encoder_config", {"image_size": 128}),
        ("prompt_encoder_config", {"image_size": [64, 64]}),
        ("vision_config", {"backbone_feature_sizes": [[5, 5]]}),
        ("vision_config", {"backbone_config": {"model_type": "resnet"}}),
        ("vision_config", {"backbone_config": {"model_type": "timm_backbone"}}),
        ("vision_config", {"backbone_config": {"model_type": "sam9"}}),
        ("mask_decoder_config", {"mlp_dim": 10**12}),
    ],
)
def test_a_configuration_that_does_not_fit_is_told_in_a_line(
    networks: Path, tmp_path: Path, part: str, changes: dict[str, Any]
) -> None:
    folder = changed(networks, tmp_path, part, changes)
    with pytest.raises(MEMatteError) as raised:
        found(model=folder)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


def changed(networks: Path, target: Path, part: str, changes: dict[str, Any]) -> str:
    """A copy of a network with a changed part of its configuration."""
    config = json.loads((networks / "sam" / "config.json").read_text())
    config[part] |= changes
    (target / "config.json").write_text(json.dumps(config))
    (target / "model.safetensors").symlink_to(networks / "sam" / "model.safetensors")
    return str(target)


def test_a_configuration_that_names_code_runs_none(networks: Path, tmp_path: Path) -> None:
    code = {"auto_map": {"AutoModel": "someone/code--its.Network"}}
    kernel = {"attn_implementation": "someone/kernel", "_attn_implementation": "someone/kernel"}
    folder = changed(networks, tmp_path, "vision_config", code | kernel)
    expected = found(model=str(networks / "sam")).native
    np.testing.assert_array_equal(found(model=folder).native, expected)


def test_quantised_weights_are_refused(networks: Path, tmp_path: Path) -> None:
    folder = Path(changed(networks, tmp_path, "mask_decoder_config", {}))
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"are quantised.*take the unquantised ones"):
        found(model=str(folder))


def test_replaced_weights_are_noticed(networks: Path, tmp_path: Path) -> None:
    folder = damaged(networks, tmp_path / "mine", lambda tensors: None)
    before = found(model=folder)
    damaged(networks, tmp_path / "new", lambda t: t.update({k: v * 0.9 for k, v in t.items()}))
    os.replace(tmp_path / "new" / "model.safetensors", tmp_path / "mine" / "model.safetensors")
    assert not np.array_equal(found(model=folder).native, before.native)


def test_loading_and_clicking_write_and_warn_of_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from transformers.utils import logging as theirs

    def state() -> tuple[Any, ...]:
        bars = theirs.is_progress_bar_enabled(), are_progress_bars_disabled()
        return theirs.get_verbosity(), *bars

    before = state()
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter("error")
        found()
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("transformers")]
    assert state() == before
    release_subjects()
    disable_progress_bars()
    try:
        before = state()
        found()
        assert state() == before
    finally:
        enable_progress_bars()


def test_what_the_host_set_in_torch_changes_nothing() -> None:
    expected = found(points=[IN, OUT]).native
    release_subjects()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            mask = found(points=[IN, OUT])
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    np.testing.assert_array_equal(mask.native, expected)


def test_a_cancelled_click_leaves_nothing_behind() -> None:
    expected = found(OTHER)
    release_subjects()
    ticks: list[Any] = []

    def stop(*tick: Any) -> None:
        ticks.append(tick)
        if len(ticks) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        found(OTHER, progress=stop)
    assert [done for done, *_ in ticks] == sorted(done for done, *_ in ticks)
    assert {stage for *_, stage in ticks} == {"subject"}
    np.testing.assert_array_equal(found(OTHER).native, expected.native)
    assert len(ticks) == 4  # nothing calls it any more


def test_what_progress_raises_comes_through_as_it_is() -> None:
    class Stop(RuntimeError):
        pass

    for last in (1, 2, 4):
        release_subjects()
        ticks: list[Any] = []

        def stop(*tick: Any, ticks: list[Any] = ticks, last: int = last) -> None:
            ticks.append(tick)
            if len(ticks) == last:
                raise Stop

        with pytest.raises(Stop):
            found(progress=stop)


def test_releasing_gives_the_network_and_what_it_saw_back() -> None:
    found()
    held = weakref.ref(_ready["clicks"][1])
    release_subjects()
    gc.collect()
    assert held() is None
    release_subjects()  # again: nothing to do


def test_threads_do_not_mix_their_photos() -> None:
    photos = [PHOTO, OTHER, PHOTO[::-1].copy(), OTHER[:, ::-1].copy()]
    expected = [found(photo).native for photo in photos]
    release_subjects()
    got: list[Any] = [None] * len(photos)

    def click(i: int) -> None:
        for _ in range(3):
            got[i] = found(photos[i]).native

    threads = [threading.Thread(target=click, args=(i,)) for i in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_that_finds_no_memory_says_so(networks: Path) -> None:
    network = TorchNetwork(subject_files(str(networks / "sam"), "clicks"), SAM2, "auto")

    def fails(_: Any) -> None:
        raise MemoryError

    with pytest.raises(MEMatteError, match=r"^photo: no memory for finding the subject with sam"):
        network.run(fails, "photo")


FORKED = """
import multiprocessing, sys
import numpy as np
from mematte_plugin import find_subject

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)

def click():
    return find_subject(PHOTO, points=(10, 20), model=sys.argv[1]).native

here = click()
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert np.allclose(pool.apply(click), here, atol=1e-5)
print("same")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_clicks_on(networks: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, str(networks / "sam")],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert done.stdout == "same\n", done.stderr


def test_without_transformers_the_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MEMatteError, match=r'pip install "mematte-plugin\[subject\]"'):
        found()


@pytest.mark.slow
def test_a_torchvision_that_does_not_fit_torch_is_named(networks: Path, tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    fails = 'raise RuntimeError("operator torchvision::nms does not exist")'
    (tmp_path / "torchvision" / "__init__.py").write_text(fails)
    about = tmp_path / "torchvision-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{FORKED.partition('here = ')[0]}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code + "click()", str(networks / "sam")],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=Path(__file__).parents[2],
    )
    told = done.stderr.splitlines()[-1]
    assert "torchvision does not fit torch: install both anew, or uninstall torchvision" in told


def test_pixels_are_those_of_the_image_processor() -> None:
    pytest.importorskip("torchvision")
    from transformers import Sam2ImageProcessor

    photo = np.random.default_rng(2).integers(0, 256, (300, 420, 3), np.uint8)
    expected = Sam2ImageProcessor()(images=photo, return_tensors="pt")["pixel_values"]
    ours = network_pixels(read_photo(photo), (1024, 1024), IMAGENET_MEAN, IMAGENET_STD)
    grey_level = 1 / 255 / min(IMAGENET_STD)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1.01 * grey_level)
