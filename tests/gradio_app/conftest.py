"""One service for the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gradio_app.settings import Settings
    from tests.gradio_app.harness import Service


@pytest.fixture(scope="session")
def finders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As `save_finders` gives them; nothing where they cannot be made."""
    if not (find_spec("onnx") and find_spec("onnxruntime") and find_spec("transformers")):
        return {}
    from tests.gradio_app.networks import save_finders

    return save_finders(tmp_path_factory.mktemp("finders"))


@pytest.fixture(scope="session")
def settings(finders: dict[str, str]) -> Settings:
    """Of a demo that finds subjects."""
    pytest.importorskip("gradio")
    if not finders:
        pytest.skip("needs onnx and the extra subject")
    from gradio_app.settings import Settings

    return Settings(device="cpu", **finders)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, finders: dict[str, str]) -> Iterator[Service]:
    pytest.importorskip("gradio")
    from gradio_app.settings import Settings
    from tests.gradio_app.harness import running

    settings = Settings(
        max_megapixels=12,
        max_mb=20,
        queue_size=2,
        mcp=find_spec("mcp") is not None,
        **finders,
    )
    with running(tmp_path_factory.mktemp("demo"), settings) as service:
        yield service
