"""The real huggingface_hub client against a server on this machine.

The client reads its environment when it is imported, so each situation is one fresh process. It
runs all cases of that situation and prints what came of them; the tests look at the outcomes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mematte_plugin.errors import WeightsError
from mematte_plugin.network import VARIANTS
from mematte_plugin.weights import hub as our_hub
from mematte_plugin.weights.save import save_network
from tests.patience import PATIENCE
from tests.weights.hub_server import COMMIT, Hub, Server
from tests.weights.samples import UNROUTED, random_network, write_transformers

CATALOGUED = "vitmatte-small-composition-1k"
LARGE = "someone/large"
BROKEN = "someone/broken"

PREAMBLE = """
import json, logging, sys
from mematte_plugin.errors import MEMatteError
from mematte_plugin.weights.load import list_models, load_network, resolve
from mematte_plugin.weights.publish import push_to_hub
from mematte_plugin.weights.save import save_network

outcome = {}

def attempt(label, action, *args, **options):
    try:
        result = action(*args, **options)
        told = result if isinstance(result, str) else "ok"
        outcome[label] = str(getattr(result, "weights", told))
    except MEMatteError as error:
        outcome[label] = f"{type(error).__name__}: {error}"

def present():
    return [item.entry.name for item in list_models() if item.path and item.entry.where == "hub"]
"""

FRESH = f"""
steps = []
outcome["present before"] = present()
attempt("fresh", resolve, "{CATALOGUED}", progress=lambda *step: steps.append(step))
outcome["present after"] = present()
outcome["steps"] = list(steps)
attempt("network", load_network, "hustvl/{CATALOGUED}")
attempt("revision", resolve, "{CATALOGUED}@{COMMIT}")

attempt("absent", load_network, "someone/absent")
attempt("gated", load_network, "someone/gated")
attempt("no weights", load_network, "someone/no-weights")
attempt("no branch", load_network, "{LARGE}@v9")
attempt("foreign", load_network, "someone/foreign")
attempt("pickle", load_network, "someone/pickle")

steps.clear()
attempt("large", load_network, "{LARGE}", progress=lambda *step: steps.append(step))
outcome["large steps"] = list(steps)
attempt("broken", load_network, "{BROKEN}")

class Stop(OSError):
    pass

def stop(*_):
    raise Stop

try:
    load_network("someone/stopped", progress=stop)
except Stop:
    outcome["stopped"] = True

attempt("push", push_to_hub, sys.argv[1], "me/mine", private=True, token="may-write")
attempt("pushed", load_network, "me/mine")
attempt("push refused", push_to_hub, sys.argv[1], "me/other", token="may-not")
attempt("push nothing", push_to_hub, sys.argv[2], "me/other", token="may-write")
"""

WITHOUT_NETWORK = f"""
outcome["present"] = present()
attempt("cached", load_network, "{CATALOGUED}")
attempt("cached by id", load_network, "{LARGE}")
attempt("uncached", load_network, "vitmatte-base-composition-1k")
attempt("unknown id", load_network, "someone/else@v2")
attempt("push", push_to_hub, sys.argv[1], "me/mine", token="may-write")
"""


def client(script: str, home: Path, *arguments: str | Path, **variables: str) -> dict[str, Any]:
    """Outcomes of a script in a process of its own, with its own cache."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE"))}
    environment = {
        **inherited,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **variables,
    }
    code = PREAMBLE + textwrap.dedent(script) + "\nprint('\\n' + json.dumps(outcome))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class World:
    """The server, a cache folder, and what the first client saw."""

    def __init__(self, hub: Hub, tmp: Path) -> None:
        self.hub, self.home = hub, tmp / "home"
        vitmatte = write_transformers(random_network(UNROUTED), tmp / "vitmatte")
        self.mine = save_network(random_network(), tmp / "mine")
        large = save_network(random_network(VARIANTS["tiny"]), tmp / "large")
        files = {name: _files(tmp / name) for name in ("vitmatte", "mine", "large")}
        pickled = {k: v for k, v in files["vitmatte"].items() if k != "model.safetensors"}
        torch.save(load_file(vitmatte / "model.safetensors"), tmp / "pytorch_model.bin")
        pickled["pytorch_model.bin"] = (tmp / "pytorch_model.bin").read_bytes()
        hub.repos = {
            f"hustvl/{CATALOGUED}": files["vitmatte"],
            "someone/gated": files["mine"],
            "someone/no-weights": {"config.json": files["mine"]["config.json"]},
            "someone/foreign": {**files["mine"], "config.json": b'{"model_type": "bert"}'},
            "someone/pickle": pickled,
            "someone/stopped": files["mine"],
            LARGE: files["large"],
            # Other bytes, since the server tells contents apart by their hash.
            BROKEN: {
                **files["mine"],
                "model.safetensors": files["mine"]["model.safetensors"] + b".",
            },
        }
        hub.gated.add("someone/gated")
        hub.writers.add("may-write")
        self.large_size = (large / "model.safetensors").stat().st_size
        hub.cuts[_sha256(files["large"]["model.safetensors"])] = [self.large_size - 1000]
        hub.cuts[_sha256(hub.repos[BROKEN]["model.safetensors"])] = [0] * 20
        self.sha256 = _sha256(files["vitmatte"]["model.safetensors"])
        nothing = tmp / "nothing"
        nothing.mkdir()
        self.first = client(FRESH, self.home, self.mine, nothing, HF_ENDPOINT=hub.endpoint)
        self.asked = list(hub.requests)


def _files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Server() as hub:
        yield World(hub, tmp_path_factory.mktemp("hub"))


def test_fresh_download_with_progress(world):
    first = world.first
    assert first["present before"] == []
    assert first["present after"] == [CATALOGUED]
    path = Path(first["fresh"])
    assert path.is_relative_to(world.home)
    assert _sha256(path.read_bytes()) == world.sha256
    assert first["revision"] == first["fresh"]
    assert first["network"] == "ok"
    done, total, stage = first["steps"][-1]
    assert done == total == path.stat().st_size
    assert stage == f"{CATALOGUED}: model.safetensors"
    assert {s.split(": ")[1] for _, _, s in first["steps"]} == {
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    }


def test_every_request_went_to_hf_endpoint(world):
    # Nothing else can be reached: had the client asked huggingface.co, it would have failed.
    downloads = [r for r in world.asked if r.path.startswith(f"/hustvl/{CATALOGUED}/resolve/main/")]
    assert downloads
    assert any(r.method == "GET" and r.path == f"/cdn/{world.sha256}" for r in world.asked)
    assert not any("xet" in r.path for r in world.asked)


def test_missing_repository_file_branch(world):
    first, endpoint = world.first, world.hub.endpoint
    assert f"{endpoint}/someone/absent does not exist or is private" in first["absent"]
    assert f"{endpoint}/someone/no-weights has no pytorch_model.bin at main" in first["no weights"]
    assert "has no revision 'v9'" in first["no branch"]
    assert "but 'bert'; choose another model" in first["foreign"]
    assert first["pickle"] == "ok"  # pytorch_model.bin where there is no model.safetensors


def test_gated(world):
    assert (
        f"{world.hub.endpoint}/someone/gated is gated; accept its licence" in world.first["gated"]
    )
    assert "hf auth login" in world.first["gated"]


def test_cut_connection_is_resumed(world):
    assert world.first["large"] == "ok"
    ranges = [r.range for r in world.asked if r.range]
    assert len(ranges) == 1
    start = int(ranges[0].removeprefix("bytes=").rstrip("-"))
    assert 0 < start < world.large_size
    done = [step[0] for step in world.first["large steps"] if step[2].endswith("model.safetensors")]
    assert done == sorted(done)
    assert done[-1] == world.large_size


def test_connection_that_always_breaks(world):
    message = world.first["broken"]
    assert (
        f"model.safetensors is not in the cache and downloading it from {world.hub.endpoint} "
        in (message)
    )
    assert f"{world.hub.endpoint}/{BROKEN}/resolve/main/model.safetensors" in message
    assert "\n" not in message


def test_what_the_callback_raises_passes_through(world):
    assert world.first["stopped"] is True


def test_push(world):
    first, hub = world.first, world.hub
    assert first["push"] == f"{hub.endpoint}/me/mine"
    assert hub.repos["me/mine"] == _files(world.mine)
    assert first["pushed"] == "ok"
    assert "OutputError: me/other" in first["push refused"]
    assert "hf auth login" in first["push refused"]
    assert "holds no weights" in first["push nothing"]
    assert "me/other" not in hub.repos


def test_offline_by_setting(world):
    before = len(world.hub.requests)
    seen = client(
        WITHOUT_NETWORK, world.home, world.mine, HF_HUB_OFFLINE="1", HF_ENDPOINT=world.hub.endpoint
    )
    assert len(world.hub.requests) == before
    assert seen["present"] == [CATALOGUED]
    assert seen["cached"] == seen["cached by id"] == "ok"
    base = f"{world.hub.endpoint}/hustvl/vitmatte-base-composition-1k/resolve/main"
    assert seen["uncached"] == (
        "WeightsError: vitmatte-base-composition-1k: config.json is not in the cache and "
        f"HF_HUB_OFFLINE forbids downloading; unset it, or download {base}/config.json, "
        f"{base}/preprocessor_config.json and {base}/model.safetensors into one folder and give "
        "that folder instead of the name"
    )
    assert "/someone/else/resolve/v2/preprocessor_config.json (if it exists)" in seen["unknown id"]
    assert "OutputError: me/mine" in seen["push"]


def test_nobody_listening(world):
    with Server() as other:
        closed = other.endpoint
    seen = client(WITHOUT_NETWORK, world.home, world.mine, HF_ENDPOINT=closed)
    assert seen["cached"] == seen["cached by id"] == "ok"
    assert f"downloading it from {closed} failed (" in seen["uncached"]
    assert (
        f"{closed}/hustvl/vitmatte-base-composition-1k/resolve/main/config.json"
        in (seen["uncached"])
    )
    assert "give that folder instead of the name" in seen["uncached"]
    assert "check the id and the connection" in seen["push"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left below"), (errno.EROFS, "is not writable; set HF_HOME")],
)
def test_disk_problems_are_explained(number, words):
    # A full disk cannot be had without a mount: this looks at the translation alone.
    source = our_hub._Source("owner/name", "main", None)
    message = our_hub._explained(OSError(number, os.strerror(number)), source, "model.safetensors")
    assert isinstance(message, WeightsError)
    assert words in str(message)
