"""A cache of the Hub that holds the default networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mematte_plugin.subject.ready import release_subjects
from tests.weights.hub_server import COMMIT

DEFAULTS = {
    "onnx-community/BiRefNet_lite-ONNX": "birefnet",
    "facebook/sam2.1-hiera-tiny": "sam_video",
    "IDEA-Research/grounding-dino-tiny": "dino",
}
"""The folder of each repository's small random network."""


@contextmanager
def in_cache(cache: Path, networks: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within it the Hub's cache is this folder, and nothing else can be reached."""
    for repo_id, name in DEFAULTS.items():
        put(cache, repo_id, networks / name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    release_subjects()
    yield
    release_subjects()


def put(cache: Path, repo_id: str, network: Path) -> None:
    """Put a folder into the Hub's cache, under the name of a repository."""
    repository = cache / f"models--{repo_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / COMMIT).symlink_to(network, target_is_directory=True)
