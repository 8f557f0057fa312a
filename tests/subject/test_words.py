"""Subjects by words, with small random networks in the formats of Grounding DINO and SAM 3."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mematte_plugin import find_subject
from mematte_plugin.errors import InputError, MEMatteError, SettingError, WeightsError
from mematte_plugin.images.read import read_photo
from mematte_plugin.subject.found import SubjectMask
from mematte_plugin.subject.pixels import IMAGENET_MEAN, IMAGENET_STD, network_pixels
from mematte_plugin.subject.words import GroundingDino, detector_size
from mematte_plugin.weights.subjects import subject_files

pytestmark = pytest.mark.usefixtures("cached")

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def found(text: str, image: Any = PHOTO, **options: Any) -> SubjectMask:
    return find_subject(image, text=text, **options)


def test_a_word_that_is_there_gives_a_mask() -> None:
    ticks: list[Any] = []
    mask = found("The Dog!", progress=lambda *tick: ticks.append(tick))
    assert mask.native.shape == (16, 16)
    assert 0 < mask.confidence < 1
    assert (mask.source, mask.model, mask.prompt) == ("text", "grounding-dino-tiny", "The Dog!")
    assert mask.licence == "Apache-2.0"
    assert len(ticks) > 10


def test_all_boxes_of_a_word_are_joined(networks: Path) -> None:
    dino = GroundingDino(subject_files(str(networks / "dino"), "words"), "auto")
    boxes, sure = dino.boxes(read_photo(PHOTO), ["dog"], None)
    assert sure == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4)
    assert 1 < len(boxes) <= 10
    apart = []
    for left, top, right, bottom in boxes:
        assert 0 <= left <= right <= 80
        assert 0 <= top <= bottom <= 60
        if right - left >= 1 and bottom - top >= 1:
            apart.append(find_subject(PHOTO, box=(left, top, right, bottom)).native)
    joined = found("dog").native
    assert (joined >= np.maximum.reduce(apart) - 1e-3).all()


def test_a_word_that_is_not_there_never_gives_a_mask_of_something_else(networks: Path) -> None:
    for name in ("unsure", "absent3"):
        with pytest.raises(InputError, match=r"^image: no 'dog' in this picture \(.*try another"):
            found("The dog", model=str(networks / name))


def test_of_several_things_each_must_be_there(networks: Path) -> None:
    model = str(networks / "choosy")
    told = {}
    for thing in ("dog", "cat", "red", "a", "b", "c"):
        told[thing] = ""
        try:
            found(thing, model=model)
        except InputError as error:
            told[thing] = str(error)
    there = [thing for thing in told if not told[thing]]
    absent = [thing for thing in told if f"no {thing!r} in this picture" in told[thing]]
    assert there
    assert absent
    with pytest.raises(InputError, match=f"no {absent[0]!r} in this picture"):
        found(f"{there[0]}, {absent[0]}", model=model)
    assert found(f"{there[0]}; {there[-1]}.", model=model).source == "text"


@pytest.mark.parametrize("text", ["собака", "狗", "الكلب", "dog und собака", "κύων"])
def test_other_scripts_are_refused_in_a_line(text: str, networks: Path) -> None:
    for model in (None, str(networks / "sam3")):
        with pytest.raises(SettingError, match=r"read English; write it in English, such as 'dog'"):
            found(text, model=model)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no words"),
        ("🐶", "holds no words"),
        (" ... ", "holds no words"),
        ("42", "names nothing"),
        ("a dog " * 40, "is too long for the network"),
        ("dog" * 5000, "is too long"),
        (7, "give words"),
    ],
)
def test_what_names_nothing_is_refused_in_a_line(text: Any, told: str, networks: Path) -> None:
    for model in (None, str(networks / "sam3")):
        with pytest.raises(SettingError) as raised:
            found(text, model=model)
        assert told in str(raised.value)
        assert len(str(raised.value)) < 250


def test_signs_accents_and_wide_letters_do_not_matter() -> None:
    expected = found("the dog").native
    for text in ("The  DOG", "the dog 🐶", "ｔｈｅ ｄｏｇ", "the dóg", '"the dog"'):
        np.testing.assert_array_equal(found(text).native, expected)


def test_a_word_is_added_to_the_previous_mask() -> None:
    previous = find_subject(PHOTO, box=(20, 5, 70, 50))
    joined = found("dog", previous=previous).native
    np.testing.assert_array_equal(joined, np.maximum(previous.native, found("dog").native))


def test_sam3_gives_the_mask_itself(networks: Path) -> None:
    model = str(networks / "sam3")
    dog, cat = found("dog", model=model), found("cat", model=model)
    assert (dog.source, dog.model, dog.prompt) == ("text", "sam3", "dog")
    assert dog.confidence == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4)
    assert not np.array_equal(dog.native, cat.native)
    both = found("dog, cat", model=model)
    np.testing.assert_allclose(both.native, np.maximum(dog.native, cat.native), atol=1e-6)


def test_sam3_also_loads_as_the_part_of_a_video_network(networks: Path, tmp_path: Path) -> None:
    source = networks / "sam3"
    tensors = load_file(source / "model.safetensors")
    inner = {f"detector_model.{key}": tensor for key, tensor in tensors.items()}
    save_file({**inner, "tracker_model.mask": torch.ones(1)}, tmp_path / "model.safetensors")
    config = {"detector_config": json.loads((source / "config.json").read_text())}
    config |= {"model_type": "sam3_video", "tracker_config": {"model_type": "sam3_tracker_video"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).symlink_to(source / file)
    mask = found("dog", model=str(tmp_path))
    np.testing.assert_array_equal(mask.native, found("dog", model=str(source)).native)


def test_a_network_of_another_kind_says_which_fits(networks: Path, tmp_path: Path) -> None:
    for model in ("sam2.1-hiera-tiny", "birefnet-lite", "facebook/sam2.1-hiera-tiny"):
        with pytest.raises(WeightsError, match="grounding-dino-tiny"):
            found("dog", model=model)
    with pytest.raises(WeightsError, match=r"tokenizer\.json"):
        found("dog", model=str(networks / "sam"))
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).symlink_to(networks / "sam" / file)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).symlink_to(networks / "dino" / file)
    with pytest.raises(WeightsError, match=r"takes no words; choose a Grounding DINO or SAM 3"):
        found("dog", model=str(tmp_path))


def test_a_damaged_tokenizer_is_named(networks: Path, tmp_path: Path) -> None:
    for file in ("config.json", "model.safetensors", "tokenizer_config.json"):
        (tmp_path / file).symlink_to(networks / "dino" / file)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(MEMatteError, match=r"tokenizer\.json is not a tokenizer"):
        found("dog", model=str(tmp_path))


def test_the_thinnest_photos_are_searched() -> None:
    for size in ((1, 1), (2, 900), (900, 3)):
        with suppress(InputError):  # random weights may find nothing, or everything
            assert found("dog", np.full((*size, 3), 90, np.uint8)).mask.shape == size


@pytest.mark.parametrize("size", [(480, 640), (3000, 4000), (4000, 3000), (700, 2000), (800, 800)])
def test_photos_are_shown_as_the_image_processor_would(size: tuple[int, int]) -> None:
    from transformers.image_transforms import get_size_with_aspect_ratio

    assert detector_size(size) == get_size_with_aspect_ratio(size, 800, 1333)


def test_pixels_are_those_of_the_image_processor() -> None:
    pytest.importorskip("torchvision")
    from transformers import GroundingDinoImageProcessor

    photo = np.random.default_rng(2).integers(0, 256, (300, 420, 3), np.uint8)
    expected = GroundingDinoImageProcessor()(images=photo, return_tensors="pt")["pixel_values"]
    ours = network_pixels(
        read_photo(photo), detector_size(photo.shape[:2]), IMAGENET_MEAN, IMAGENET_STD
    )
    grey_level = 1 / 255 / min(IMAGENET_STD)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1.01 * grey_level)
