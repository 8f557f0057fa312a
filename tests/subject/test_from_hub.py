"""Networks that find subjects from the Hub, by the real client from the local server."""

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
            hub.repos[repo_id] = _files(networks / name)
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


BY_ITSELF = """
import numpy as np
from mematte_plugin import MEMatteError, cut, find_subject

photo = np.zeros((60, 80, 3), np.uint8)
photo[10:40, 20:60] = 255
for name in (None, "someone/corrupt", "someone/pointer", "someone/classes"):
    try:
        outcome[str(name)] = find_subject(photo, model=name).facts()
    except MEMatteError as error:
        outcome[str(name)] = str(error)
outcome["share"] = float(cut(photo).alpha.mean())
"""


def test_the_subject_by_itself_with_a_network_from_the_hub(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from tests.subject.onnx_files import save_birefnet, save_foreign

    picture = [1, 3, 64, 64]
    classes = save_foreign(tmp_path / "classes" / "model.onnx", picture, picture)
    with Server() as hub:
        hub.repos = {
            "onnx-community/BiRefNet_lite-ONNX": _files(save_birefnet(tmp_path / "birefnet")),
            "someone/corrupt": {"onnx/model.onnx": b"\x08\x09\x12" + b"\x00corrupt" * 500},
            "someone/pointer": {"model.onnx": b"version https://git-lfs.github.com/spec/v1\n"},
            "someone/classes": _files(classes.parent),
        }
        seen = client(BY_ITSELF, tmp_path / "home", HF_ENDPOINT=hub.endpoint)
    assert seen["None"]["model"] == "birefnet-lite"
    assert seen["None"]["licence"] == "MIT"
    assert seen["None"]["confidence"] > 0.9
    assert seen["share"] == pytest.approx(0.25, abs=0.02)
    assert "is not an ONNX network, or is damaged; download it again" in seen["someone/corrupt"]
    assert "is not an ONNX network, or is damaged; download it again" in seen["someone/pointer"]
    assert "is not a segmentation network" in seen["someone/classes"]


def _files(folder: Path) -> dict[str, bytes]:
    every = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in every}
