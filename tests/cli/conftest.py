"""Fixtures that the tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from .cases import Scene, saved_models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random network of either kind: routed, unrouted."""
    return saved_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def scene(
    tmp_path: Path,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> Scene:
    """A folder with a photo, a trimap and a mask, and the command line run in it."""
    return Scene(tmp_path, models / "routed", monkeypatch, capsysbinary)
