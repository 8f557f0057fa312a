"""The files of networks that find subjects, with the real huggingface_hub client as in test_hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mematte_plugin import list_models
from mematte_plugin.errors import WeightsError
from mematte_plugin.weights.catalog import CATALOG
from mematte_plugin.weights.load import load_network
from mematte_plugin.weights.subjects import subject_files
from tests.weights.hub_server import Hub, Server
from tests.weights.test_hub import client

BIREFNET, SAM = "onnx-community/BiRefNet_lite-ONNX", "facebook/sam2.1-hiera-tiny"
SPLIT = "someone/split"

IMPORTS = """
from mematte_plugin.weights.subjects import download_subject, subject_files
def all_present():
    return [one.entry.name for one in list_models(purpose=None) if one.path][1:]
"""

FRESH = f"""{IMPORTS}
steps = []
outcome["before"] = all_present()
attempt("subject", subject_files, None, "subject", progress=lambda *step: steps.append(step))
outcome["steps"] = steps
attempt("clicks", subject_files, "{SAM}", "clicks")
attempt("words", download_subject, "grounding-dino-tiny")
outcome["after"] = all_present()
attempt("split", subject_files, "{SPLIT}", "subject")
attempt("escaping", subject_files, "someone/escaping", "subject")
attempt("gated", subject_files, "sam3", "words")
attempt("foreign", subject_files, "someone/foreign", "subject")
attempt("foreign clicks", subject_files, "someone/foreign", "clicks")
attempt("absent", download_subject, "someone/absent", "subject")

class Stop(OSError):
    pass

def stop(*_):
    raise Stop

try:
    subject_files("someone/stopped", "subject", progress=stop)
except Stop:
    outcome["stopped"] = True
"""

OFFLINE = f"""{IMPORTS}
attempt("subject", subject_files, "birefnet-lite", "subject")
attempt("split", subject_files, "{SPLIT}", "subject")
attempt("clicks", subject_files, None, "clicks")
attempt("words", subject_files, None, "words")
attempt("unknown", subject_files, "someone/else", "words")
"""


def graph(*locations: bytes) -> bytes:
    """What begins an ONNX file whose tensors lie in these files."""
    return b"".join(b"\n\x08location\x12" + bytes([len(name)]) + name for name in locations)


class World:
    """The server, a cache folder, and what the first client saw."""

    def __init__(self, hub: Hub, tmp: Path) -> None:
        self.hub, self.home = hub, tmp / "home"
        words = {name: name.encode() for name in ("config.json", "tokenizer.json")}
        words |= {"tokenizer_config.json": b"{}", "model.safetensors": b"dino" * 5000}
        hub.repos = {
            BIREFNET: {
                "README.md": b"",
                "config.json": b"{}",
                "preprocessor_config.json": b"{}",
                "onnx/model.onnx": b"birefnet" * 5000,
                "onnx/model_fp16.onnx": b"half" * 5000,
            },
            SAM: {"config.json": b"{}", "model.safetensors": b"sam" * 5000, "sam2.pt": b"pickle"},
            "IDEA-Research/grounding-dino-tiny": {**words, "pytorch_model.bin": b"pickle"},
            "facebook/sam3": words,
            SPLIT: {"model.onnx": graph(b"model.onnx_data"), "model.onnx_data": b"tensors" * 999},
            "someone/escaping": {"model.onnx": graph(b"../../secret")},
            "someone/foreign": {"config.json": b"{}"},
            "someone/stopped": {"model.onnx": b"stopped"},
        }
        hub.gated.add("facebook/sam3")
        self.first = client(FRESH, self.home, HF_ENDPOINT=hub.endpoint)
        self.asked = {request.path for request in hub.requests if "/cdn/" not in request.path}

    def got(self, repo_id: str) -> set[str]:
        """The files that lie in the cache now."""
        root = self.home / "hub" / f"models--{repo_id.replace('/', '--')}" / "snapshots"
        files = [path for path in root.rglob("*") if path.is_file()]
        return {"/".join(path.relative_to(root).parts[1:]) for path in files}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Server() as hub:
        yield World(hub, tmp_path_factory.mktemp("subjects"))


def test_a_use_gets_the_files_that_it_needs_and_no_others(world: World) -> None:
    first = world.first
    assert first["before"] == []
    assert first["after"] == ["birefnet-lite", "sam2.1-hiera-tiny", "grounding-dino-tiny"]
    assert Path(first["subject"]).read_bytes() == b"birefnet" * 5000
    assert world.got(BIREFNET) == {"preprocessor_config.json", "onnx/model.onnx"}
    assert world.got(SAM) == {"config.json", "model.safetensors"}
    assert world.got("IDEA-Research/grounding-dino-tiny") == {
        *("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    }
    done, total, stage = first["steps"][-1]
    assert (done, total, stage) == (40000, 40000, "birefnet-lite: onnx/model.onnx")


def test_a_download_for_words_brings_the_network_for_boxes_too(world: World) -> None:
    with Server() as hub:
        hub.repos = world.hub.repos
        home = world.home.parent / "words"
        script = IMPORTS + 'download_subject("grounding-dino-tiny"); outcome["has"] = all_present()'
        seen = client(script, home, HF_ENDPOINT=hub.endpoint)
    assert seen["has"] == ["sam2.1-hiera-tiny", "grounding-dino-tiny"]


def test_tensors_in_a_file_of_their_own_come_along(world: World) -> None:
    assert world.got(SPLIT) == {"model.onnx", "model.onnx_data"}
    assert (Path(world.first["split"]).parent / "model.onnx_data").read_bytes() == b"tensors" * 999


def test_tensors_outside_the_folder_are_refused(world: World) -> None:
    assert "is refused: it reads its weights from '../../secret'" in world.first["escaping"]
    assert not any("secret" in path for path in world.asked)


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("gated", "sam3: {}/facebook/sam3 is gated; accept its licence there"),
        ("foreign", "has no model.onnx at main; choose an ONNX segmentation network"),
        ("foreign clicks", "has no model.safetensors at main; choose a SAM 2 network"),
        ("absent", "someone/absent does not exist or is private"),
    ],
)
def test_repositories_without_the_files(world: World, case: str, says: str) -> None:
    assert says.format(world.hub.endpoint) in world.first[case]
    assert "\n" not in world.first[case]


def test_what_the_callback_raises_passes_through(world: World) -> None:
    assert world.first["stopped"] is True


def test_without_a_network_what_is_here_is_enough(world: World) -> None:
    asked = len(world.hub.requests)
    seen = client(OFFLINE, world.home, HF_HUB_OFFLINE="1", HF_ENDPOINT=world.hub.endpoint)
    assert len(world.hub.requests) == asked
    assert seen["subject"] == world.first["subject"]
    assert seen["split"] == world.first["split"]
    assert seen["clicks"] == world.first["clicks"]
    assert seen["words"] == world.first["words"]
    base = f"{world.hub.endpoint}/someone/else/resolve/main"
    assert f"unset it, or download {base}/config.json, {base}/tokenizer.json" in seen["unknown"]
    assert "model.safetensors into one folder and give that folder instead" in seen["unknown"]
    assert "special_tokens_map.json (if it exists)" in seen["unknown"]


def test_nothing_cached_and_nobody_listening(tmp_path: Path) -> None:
    with Server() as other:
        closed = other.endpoint
    seen = client(OFFLINE, tmp_path, HF_ENDPOINT=closed)
    base = f"{closed}/{BIREFNET}/resolve/main"
    assert f"downloading it from {closed} failed (" in seen["subject"]
    assert f"download {base}/preprocessor_config.json and {base}/onnx/model.onnx" in seen["subject"]


# ---- names, folders, files -----------------------------------------------------------------------


def refusal(name: str | Path, purpose: str) -> str:
    with pytest.raises(WeightsError) as caught:
        subject_files(name, purpose)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_matting_models_are_not_mixed_with_those_that_find_subjects() -> None:
    matting = [model.entry.name for model in list_models()]
    assert "mematte-tiny" in matting
    assert not set(matting) & {"birefnet-lite", "sam2.1-hiera-tiny", "grounding-dino-tiny", "sam3"}
    assert {model.entry.name for model in list_models(purpose=None)} == set(CATALOG)
    for name in ("birefnet-lite", SAM):
        with pytest.raises(WeightsError, match="choose one that computes alphas, such as mematte-"):
            load_network(name)
    assert "computes alphas; choose one that finds the subject by itself, such as birefnet" in (
        refusal("mematte-tiny", "subject")
    )
    assert "by itself; choose one that finds the subject by clicks" in (
        refusal("birefnet-lite", "clicks")
    )


def test_unknown_names_and_missing_paths() -> None:
    assert "did you mean birefnet-lite?" in refusal("birefnet", "subject")
    assert "did you mean sam2.1-hiera-tiny?" in refusal("sam2", "clicks")
    assert "name is empty" in refusal(" ", "subject")
    assert "too long" in refusal("x" * 5000, "subject")
    for missing in ("./network", "network.onnx", "a/b/c.onnx"):
        assert "does not exist; check the path" in refusal(missing, "subject")
    assert "does not exist" in refusal(Path("birefnet-lite"), "subject")


def test_files_and_folders(tmp_path: Path) -> None:
    assert "does not hold an ONNX segmentation network" in refusal(tmp_path, "subject")
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"x")
    assert "2 networks (a.onnx, b.onnx)" in refusal(tmp_path, "subject")
    found = subject_files(tmp_path / "a.onnx", "subject")
    assert (found.weights, found.folder, found.name) == (tmp_path / "a.onnx", tmp_path, "a.onnx")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"x")
    found = subject_files(tmp_path, "subject")
    assert (found.weights, found.folder) == (tmp_path / "onnx" / "model.onnx", tmp_path)
    (tmp_path / "weights.pth").write_bytes(b"x")
    assert "is not an ONNX" in refusal(tmp_path / "weights.pth", "subject")
    assert "is not a SAM 2 network" in refusal(tmp_path / "a.onnx", "clicks")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert "config.json is missing next to model.safetensors" in refusal(tmp_path, "clicks")
    (tmp_path / "config.json").write_bytes(b"{}")
    assert subject_files(tmp_path, "clicks").folder == tmp_path
