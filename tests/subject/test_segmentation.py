"""The subject by itself, with small ONNX networks that find what is bright."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mematte_plugin import cut, find_subject
from mematte_plugin.errors import InputError, MEMatteError, WeightsError
from mematte_plugin.images.photo import Photo
from mematte_plugin.subject.found import SubjectMask
from mematte_plugin.subject.preparation import preparation_in
from mematte_plugin.subject.ready import _ready, release_subjects
from mematte_plugin.weights.files import PREPROCESSOR
from tests.patience import PATIENCE

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from tests.subject.onnx_files import save_bright, save_endless, save_foreign, save_reshaped

HEIGHT, WIDTH = 90, 120
DISC = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - np.array([[[40.0]], [[70.0]]]))) <= 25
PHOTO = np.where(DISC[..., None], 230, 20).astype(np.uint8).repeat(3, axis=2)


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    yield
    release_subjects()


def found(network: Path, photo: Any = PHOTO, **options: Any) -> SubjectMask:
    return find_subject(photo, model=str(network), **options)


def is_disc(mask: SubjectMask) -> bool:
    """Whether it is the bright disc, give or take its edge."""
    inside = mask.mask >= 0.5
    return bool((inside & DISC).sum() > 0.95 * (inside | DISC).sum())


FORMATS: dict[str, dict[str, Any]] = {
    "BiRefNet": {"size": ("height", "width"), "batch": "batch"},
    "U²-Net": {"values": "probabilities", "more_outputs": 6},
    "float16": {"dtype": "float16"},
    "double": {"dtype": "double"},
    "oblong": {"size": (48, 96)},
    "one side open": {"size": (48, "width")},
    "NHWC": {"channels_last": True, "output": "1hwc"},
    "NCHW to NHWC": {"output": "1hwc"},
    "(1, h, w)": {"output": "1hw"},
    "(h, w)": {"output": "hw"},
    "bytes": {"values": "bytes"},
    "resized": {"values": "overshooting"},
    "no shape declared": {"declared": False},
    "weights beside": {"beside": "weights.bin"},
}


@pytest.mark.parametrize("case", FORMATS)
def test_a_network_of_any_usual_form_finds_the_subject(case: str, tmp_path: Path) -> None:
    mask = found(save_bright(tmp_path / "bright.onnx", **FORMATS[case]))
    assert is_disc(mask)
    assert mask.native.dtype == np.float32
    assert 0 <= mask.native.min() < mask.native.max() <= 1
    assert mask.confidence > 0.9
    assert (mask.source, mask.model, mask.licence) == ("segmentation", "bright.onnx", "")


@pytest.mark.parametrize(
    ("given", "size", "shape"),
    [
        ({"size": {"height": 40, "width": 56}}, ("h", "w"), (40, 56)),
        ({"size": 72}, ("h", "w"), (72, 72)),
        ({"size": {"height": 40, "width": 56}}, (64, 64), (64, 64)),  # the network insists
        ({"size": {"shortest_edge": 96}, "size_divisor": 32}, ("h", "w"), (96, 128)),
        ({"size": {"longest_edge": 64}, "size_divisor": 16}, ("h", "w"), (48, 64)),
        ({"do_center_crop": True, "crop_size": 48, "size": 64}, ("h", "w"), (48, 48)),
        (None, ("h", "w"), (1024, 1024)),
        (None, (32, 48), (32, 48)),
    ],
)
def test_the_size_is_the_networks_or_its_configurations(
    given: Any, size: Any, shape: tuple[int, int], tmp_path: Path
) -> None:
    network = save_bright(tmp_path / "onnx" / "model.onnx", size=size)
    if given is not None:
        (tmp_path / PREPROCESSOR).write_text(json.dumps(given))
    mask = found(tmp_path if given else network)
    assert mask.native.shape == shape
    assert is_disc(mask)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({}, [0.8789, 0.0476, -1.3687]),
        ({"do_normalize": False}, [0.6863, 0.4667, 0.0980]),
        ({"do_normalize": False, "do_rescale": False}, [175, 119, 25]),
        ({"image_mean": [0.5] * 3, "image_std": [1.0] * 3}, [0.1863, -0.0333, -0.4020]),
        ({"image_mean": 0.5, "image_std": 0.5}, [0.3725, -0.0667, -0.8039]),
        (
            {"do_rescale": False, "image_mean": 127.5, "image_std": 127.5},
            [0.3725, -0.0667, -0.8039],
        ),
        ({"do_normalize": False, "do_flip_channel_order": True}, [0.0980, 0.4667, 0.6863]),
    ],
)
def test_pixels_are_normalised_as_the_configuration_says(
    given: dict[str, Any], values: list[float], tmp_path: Path
) -> None:
    (tmp_path / PREPROCESSOR).write_text(json.dumps(given))
    photo = Photo(np.full((9, 7, 3), (175, 119, 25), np.uint8))
    pixels = preparation_in(tmp_path).pixels(photo, (4, 6))
    assert pixels.shape == (1, 3, 4, 6)
    np.testing.assert_allclose(pixels[0, :, 1, 2], values, atol=1e-3)


@pytest.mark.parametrize("side", [(1, 1), (1, 3000), (3000, 1)])
def test_a_photo_of_any_shape_is_seen(side: tuple[int, int], tmp_path: Path) -> None:
    network = save_bright(tmp_path / "bright.onnx", size=("h", "w"))
    photo = np.full((*side, 3), 10, np.uint8)
    photo.reshape(-1, 3)[: max(side) // 2] = 240
    (tmp_path / PREPROCESSOR).write_text('{"size": {"shortest_edge": 64}}')
    if side == (1, 1):
        with pytest.raises(InputError, match="no subject was found"):
            found(network, photo)
        return
    mask = found(network, photo)
    assert mask.mask.shape == side
    assert mask.native.mean() == pytest.approx(0.5, abs=0.02)


def test_deep_and_linear_photos_are_seen_as_they_look(tmp_path: Path) -> None:
    # Light of 0.3 looks like 0.58, above the threshold; 0.1 like 0.35.
    network = save_bright(tmp_path / "bright.onnx", threshold=0.5)
    (tmp_path / PREPROCESSOR).write_text('{"do_normalize": false}')
    light = np.where(DISC[..., None], 0.3, 0.1).astype(np.float32).repeat(3, axis=2)
    assert is_disc(found(network, Photo(light, linear=True)))
    assert is_disc(found(network, PHOTO.astype(np.uint16) * 257))


# ---- how sure it is ------------------------------------------------------------------------------


def test_confidence_tells_a_sure_answer_from_a_guess(tmp_path: Path) -> None:
    network = save_bright(tmp_path / "bright.onnx", threshold=0.5)
    (tmp_path / PREPROCESSOR).write_text('{"do_normalize": false}')
    # Logits of 40 · (grey - 0.5): 0.5 of a grey level beyond it is no certainty.
    guess = np.where(DISC[..., None], 130, 60).astype(np.uint8).repeat(3, axis=2)
    assert found(network).confidence > 0.95
    assert found(network, guess).confidence < 0.3


def test_a_mask_that_stops_short_of_full_is_stretched(tmp_path: Path) -> None:
    mask = found(save_bright(tmp_path / "bright.onnx", values="short"))
    assert mask.native.max() == 1
    assert is_disc(mask)
    assert mask.confidence == pytest.approx(0.4, abs=0.05)  # as the network said it: 0.7


def test_nothing_and_everything_are_refused(tmp_path: Path) -> None:
    network = save_bright(tmp_path / "bright.onnx")
    with pytest.raises(InputError, match="no subject was found; click on it"):
        found(network, np.full((50, 60, 3), 5, np.uint8))
    with pytest.raises(InputError, match="everything was taken for the subject"):
        found(network, np.full((50, 60, 3), 250, np.uint8))


# ---- files that are something else ---------------------------------------------------------------

PICTURE: list[Any] = [1, 3, 64, 64]
FOREIGN: dict[str, tuple[Any, str]] = {
    "classifier": (
        lambda path: save_foreign(path, PICTURE, [1, 3 * 64 * 64], operator="Flatten", axis=1),
        "its output is (1, 12288) instead of one mask",
    ),
    "undeclared classifier": (
        lambda path: save_foreign(path, PICTURE, None, operator="Flatten", axis=1),
        "its output is (1, 12288) instead of one mask",
    ),
    "global pooling": (
        lambda path: save_foreign(path, PICTURE, None, operator="GlobalAveragePool"),
        "its output is (1, 3, 1, 1) instead of one mask",
    ),
    "classes": (lambda path: save_foreign(path, PICTURE, PICTURE), "its output is (1, 3, 64, 64)"),
    "tokens": (
        lambda path: save_reshaped(path, PICTURE, [1, 64, 192]),
        "its output is (1, 64, 192) instead of one mask",
    ),
    "two inputs": (
        lambda path: save_foreign(path, PICTURE, PICTURE, inputs=2, operator="Add"),
        "it takes 2 inputs (in0, in1) instead of one picture",
    ),
    "no input": (
        lambda path: save_foreign(path, None, [1], inputs=0, operator="Constant", value_float=1.0),
        "it takes 0 inputs",
    ),
    "words": (
        lambda path: save_foreign(path, [1, "n"], [1, "n"], dtype="int64"),
        "its input is tensor(int64) of (1, ?) instead of one picture",
    ),
    "grey": (
        lambda path: save_foreign(path, [1, 1, 64, 64], [1, 1, 64, 64]),
        "its input is (1, 1, 64, 64) instead of one picture in RGB",
    ),
    "huge": (
        lambda path: save_foreign(path, [1, 3, 64, 99999], [1, 1, 64, 99999]),
        "its input is (1, 3, 64, 99999) instead of one picture",
    ),
    "batch of eight": (
        lambda path: save_foreign(path, [8, 3, 64, 64], [8, 3, 64, 64]),
        "its input is (8, 3, 64, 64) instead of one picture in RGB",
    ),
    "newer opset": (
        lambda path: save_foreign(path, PICTURE, PICTURE, opset=999),
        "needs opset 999, which onnxruntime",
    ),
    "newer format": (
        lambda path: save_foreign(path, PICTURE, PICTURE, version=999),
        "needs version 999 of the ONNX format, which onnxruntime",
    ),
    "unknown operator": (
        lambda path: save_foreign(path, PICTURE, PICTURE, operator="Nonsense"),
        "cannot be run by onnxruntime (",
    ),
    "name of an operator with odd bytes": (
        lambda path: path.write_bytes(
            save_bright(path).read_bytes().replace(b"ReduceMean", b"Reduce\x07\x1bMe")
        ),
        "cannot be run by onnxruntime (",
    ),
    "name that is not UTF-8": (
        lambda path: path.write_bytes(
            save_bright(path, more_outputs=1).read_bytes().replace(b"coarse0", b"coarse\xe5")
        ),
        "is not an ONNX network, or is damaged",
    ),
    "text": (lambda path: path.write_text("not a network\n" * 9), "is not an ONNX network"),
    "empty": (lambda path: path.write_bytes(b""), "is not an ONNX network, or is damaged"),
    "pickle": (lambda path: path.write_bytes(b"\x80\x02}q\x00."), "is not an ONNX network"),
    "fails while it runs": (
        lambda path: save_reshaped(path, [1, 3, "h", "w"], [1, 1, 7, 7]),
        "cannot be run by onnxruntime (",
    ),
    "NaN": (lambda path: save_bright(path, values="nan"), "its mask holds NaN or infinite values"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_is_not_a_segmentation_network_is_refused_in_one_line(
    case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, says = FOREIGN[case]
    path = tmp_path / "network.onnx"
    make(path)
    with pytest.raises(WeightsError) as caught:
        found(path)
    message = str(caught.value)
    assert says in message
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 400
    assert "choose another" in message or "use another" in message
    assert capfd.readouterr() == ("", "")


def test_a_truncated_network_is_refused(tmp_path: Path) -> None:
    whole = save_bright(tmp_path / "whole.onnx").read_bytes()
    for size in (len(whole) // 4, len(whole) // 2, len(whole) - 3):
        (tmp_path / "cut.onnx").write_bytes(whole[:size])
        with pytest.raises(WeightsError, match=r"cut\.onnx"):
            found(tmp_path / "cut.onnx")


def test_damaged_networks_are_refused_in_one_line_or_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = save_bright(tmp_path / "whole.onnx", values="probabilities", more_outputs=1)
    messages = []
    for seed in range(150):
        rng, data = random.Random(seed), bytearray(whole.read_bytes())
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "damaged.onnx").write_bytes(data)
        try:
            assert found(tmp_path / "damaged.onnx").mask.shape == DISC.shape
        except (WeightsError, InputError) as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all(message.isprintable() and len(message) < 400 for message in messages)
    assert capfd.readouterr() == ("", "")


def test_weights_beside_that_are_gone_short_or_elsewhere(tmp_path: Path) -> None:
    network = save_bright(tmp_path / "a" / "bright.onnx", beside="weights.bin")
    weights = network.parent / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:2])
    with pytest.raises(WeightsError, match=r"bright\.onnx cannot be run by onnxruntime"):
        found(network)
    weights.unlink()
    with pytest.raises(WeightsError, match=r"weights\.bin is missing next to it"):
        found(network)
    secret = network.read_bytes().replace(b"weights.bin", b"../root.bin")
    network.write_bytes(secret)
    with pytest.raises(WeightsError, match=r"reads its weights from '\.\./root\.bin'"):
        found(network)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ('{"image_std": [0, 1, 1]}', "image_std is not positive"),
        ('{"image_mean": ["a"]}', "does not say how photos are prepared"),
        ('{"size": {"height": -4, "width": 4}}', "-4 is not a number of pixels"),
        ('{"size": {"depth": 3}}', "does not say how photos are prepared"),
        ('{"size": 100000}', "100000 is not a number of pixels"),
        ('{"rescale_factor": 0}', "0 is not a positive number"),
        ("{", "is not valid JSON"),
    ],
)
def test_a_configuration_that_makes_no_sense(given: str, says: str, tmp_path: Path) -> None:
    network = save_bright(tmp_path / "bright.onnx")
    (tmp_path / PREPROCESSOR).write_text(given)
    with pytest.raises(WeightsError, match=PREPROCESSOR) as caught:
        found(network)
    assert says in str(caught.value)


# ---- in a program --------------------------------------------------------------------------------


class Stop(Exception):
    pass


def test_it_can_be_cancelled_while_it_runs(tmp_path: Path) -> None:
    network = save_endless(tmp_path / "endless.onnx")
    started = time.monotonic()

    def stop(done: int, total: int, stage: str) -> None:
        assert stage == "subject"
        if network_is_loaded() and time.monotonic() > started + 0.5:
            raise Stop

    def network_is_loaded() -> bool:
        return "segmentation" in _ready

    before = threading.active_count()
    with pytest.raises(Stop):
        found(network, progress=stop)
    end = time.monotonic() + PATIENCE
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.05)
    assert threading.active_count() == before  # it computes no longer


def test_progress_ends_full(tmp_path: Path) -> None:
    steps: list[Any] = []
    found(save_bright(tmp_path / "bright.onnx"), progress=lambda *step: steps.append(step))
    assert {stage for *_, stage in steps} == {"subject"}
    assert steps[0] == (0, 1, "subject")
    assert steps[-1] == (1, 1, "subject")


def test_a_network_stays_loaded_until_its_file_changes(tmp_path: Path) -> None:
    network = save_bright(tmp_path / "bright.onnx")
    found(network)
    first = _ready["segmentation"][1]
    found(network)
    assert _ready["segmentation"][1] is first
    save_bright(network, size=(32, 32))
    assert found(network).native.shape == (32, 32)


def test_cut_finds_the_subject(tmp_path: Path) -> None:
    matte = cut(PHOTO, subject_model=str(save_bright(tmp_path / "bright.onnx")))
    assert matte.alpha.shape == DISC.shape
    assert np.abs(matte.alpha - DISC).mean() < 0.01
    assert matte.facts()["subject"]["source"] == "segmentation"
    assert "segmentation" not in _ready


def test_without_onnxruntime_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = save_bright(tmp_path / "bright.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MEMatteError, match=r'pip install "mematte-plugin\[subject\]"'):
        found(network)


SILENT = """
import os, sys
before = dict(os.environ)
from mematte_plugin import find_subject
import numpy as np
photo = np.zeros((40, 50, 3), np.uint8)
photo[10:30, 10:30] = 255
assert find_subject(photo, model=sys.argv[1]).confidence > 0.9
assert dict(os.environ) == before
child = os.fork()
if child == 0:
    assert find_subject(photo, model=sys.argv[1]).confidence > 0.9
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_onnxruntime_says_reports_and_keeps_nothing_and_survives_a_fork(tmp_path: Path) -> None:
    network = save_bright(tmp_path / "bright.onnx")
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SILENT, str(network)],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))},
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path for path in home.rglob("*") if "onnxruntime" in str(path)] == []
