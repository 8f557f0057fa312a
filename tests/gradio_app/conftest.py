"""One service for the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gradio_app.harness import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    pytest.importorskip("gradio")
    from gradio_app.settings import Settings
    from tests.gradio_app.harness import running

    settings = Settings(
        max_megapixels=12, max_mb=20, queue_size=2, mcp=find_spec("mcp") is not None
    )
    with running(tmp_path_factory.mktemp("demo"), settings) as service:
        yield service
