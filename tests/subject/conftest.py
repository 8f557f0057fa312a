"""Small random networks that find subjects, in a cache of the Hub as users have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mematte_plugin.subject.ready import release_subjects


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of networks: sam, sam_video, dino, unsure, choosy, sam3, absent3."""
    pytest.importorskip("transformers")
    from tests.subject.networks import save_dino, save_sam2, save_sam3

    root = tmp_path_factory.mktemp("networks")
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
    from tests.subject.networks import DINO_ID, SAM2_ID, in_cache

    for repo_id, name in ((SAM2_ID, "sam_video"), (DINO_ID, "dino")):
        snapshot = in_cache(tmp_path, repo_id)
        snapshot.parent.mkdir()
        snapshot.symlink_to(networks / name, target_is_directory=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    yield
    release_subjects()
