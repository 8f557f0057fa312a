"""Clicks and words with networks from the Hub, by the real client from the local server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.subject.cache import DEFAULTS
from tests.weights.hub_server import Server
from tests.weights.test_hub import client

FIND = """
import io, logging
import numpy as np
from contextlib import redirect_stderr, redirect_stdout
from mematte_plugin import MEMatteError, find_subject

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
written = io.StringIO()
logging.basicConfig(stream=written, level=logging.WARNING)
with redirect_stdout(written), redirect_stderr(written):
    outcome["click"] = find_subject(PHOTO, points=(10, 20)).facts()
    outcome["word"] = find_subject(PHOTO, text="dog").facts()
    outcome["id"] = find_subject(PHOTO, points=(10, 20), model="someone/sam").facts()
    try:
        find_subject(PHOTO, text="dog", model="sam3")
    except MEMatteError as error:
        outcome["gated"] = str(error)
outcome["written"] = written.getvalue()
"""


@pytest.mark.slow
def test_clicks_and_words_with_networks_from_the_hub(networks: Path, tmp_path: Path) -> None:
    repos = {**DEFAULTS, "someone/sam": "sam", "facebook/sam3": "sam3"}
    with Server() as hub:
        for repo_id, name in repos.items():
            files = (networks / name).iterdir()
            hub.repos[repo_id] = {path.name: path.read_bytes() for path in files}
        hub.gated.add("facebook/sam3")
        seen = client(FIND, tmp_path, HF_ENDPOINT=hub.endpoint)
        asked = [request.path for request in hub.requests]
    assert seen["click"]["model"] == "sam2.1-hiera-tiny"
    assert (seen["word"]["model"], seen["word"]["prompt"]) == ("grounding-dino-tiny", "dog")
    assert seen["id"]["model"] == "someone/sam"
    assert seen["id"]["licence"] == ""
    assert "is gated; accept its licence there" in seen["gated"]
    assert seen["written"] == ""
    wanted = ("config.json", "tokenizer.json", "_map.json", "model.safetensors")
    assert [p for p in asked if not p.startswith("/cdn/") and not p.endswith(wanted)] == []

    offline = client(FIND, tmp_path, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE forbids downloading" in offline.pop("gated")
    assert {**offline, "gated": seen["gated"]} == seen
