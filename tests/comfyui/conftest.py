"""The servers that the tests share: one for each checkout in COMFYUI_PATH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.comfyui.graphs import Sketch
from tests.comfyui.server import HERE, REPOSITORY, Checkout, Server, checkouts, prepare, running

CHECKOUTS = checkouts()


@pytest.fixture(scope="session", params=CHECKOUTS or [None], ids=lambda c: c.version if c else "")
def checkout(request: pytest.FixtureRequest) -> Checkout:
    if request.param is None:
        pytest.skip("COMFYUI_PATH names no checkout of ComfyUI")
    return request.param


@pytest.fixture(scope="session")
def server(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With this repository and the nodes of `pack` in custom_nodes; no connection anywhere."""
    base = prepare(tmp_path_factory.mktemp("comfyui"), [REPOSITORY, HERE / "pack"])
    environment = {"HF_HOME": str(base / "hub"), "HF_HUB_OFFLINE": "1"}
    with running(checkout, base, environment=environment) as server:
        yield server


@pytest.fixture
def sketch(tmp_path: Path) -> Sketch:
    """An empty graph."""
    return Sketch(tmp_path)
