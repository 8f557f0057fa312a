"""Small random networks that find subjects, in a cache of the Hub as users have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .cache import in_cache


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of networks: birefnet, sam, sam_video, dino, unsure, choosy, sam3, absent3."""
    pytest.importorskip("transformers")
    pytest.importorskip("onnx")
    from tests.subject.networks import save_dino, save_sam2, save_sam3
    from tests.subject.onnx_files import save_birefnet

    root = tmp_path_factory.mktemp("networks")
    save_birefnet(root / "birefnet")
    save_sam2(root / "sam")
    save_sam2(root / "sam_video", video=True)
    save_dino(root / "dino", bias=2)
    save_dino(root / "unsure", bias=-3)
    save_dino(root / "choosy")
    save_sam3(root / "sam3", presence=2)
    save_sam3(root / "absent3", presence=-2)
    return root


@pytest.fixture
def cached(networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The default networks are in the Hub's cache; nothing else can be reached."""
    with in_cache(tmp_path / "cache", networks, monkeypatch):
        yield
