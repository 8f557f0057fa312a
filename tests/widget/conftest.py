"""A small photo and a tiny network for the widget's tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mematte_plugin import MattingPipeline
from mematte_plugin.subject.ready import release_subjects
from tests.networks import random_input, random_network
from tests.widget.guides import SIZE


@pytest.fixture(scope="session")
def pipe() -> MattingPipeline:
    return MattingPipeline(random_network(), device="cpu", model="random")


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """(H, W, 3) uint8."""
    image, _ = random_input(*SIZE, seed=4)
    return (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


@pytest.fixture(scope="session")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder with a small random SAM 2 network."""
    pytest.importorskip("transformers")
    from tests.subject.networks import save_sam2

    yield str(save_sam2(tmp_path_factory.mktemp("wand") / "sam"))
    release_subjects()


@pytest.fixture(scope="session")
def bright(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An ONNX network that takes what is bright for the subject."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from tests.subject.onnx_files import save_bright

    return str(save_bright(tmp_path_factory.mktemp("bright") / "bright.onnx", threshold=0.5))
