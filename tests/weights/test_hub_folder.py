"""Downloads into a folder of models, with the real huggingface_hub client as in test_hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mematte_plugin import models_in
from mematte_plugin.network import VARIANTS
from mematte_plugin.weights.save import save_network
from tests.weights.hub_server import COMMIT, Hub, Server
from tests.weights.samples import UNROUTED, random_network, write_transformers
from tests.weights.test_hub import CATALOGUED, LARGE, _files, _sha256, client

OTHER = "vitmatte-base-composition-1k"

ONLINE = f"""
from pathlib import Path
from mematte_plugin import list_models, models_in
folder = Path(sys.argv[1])

def here():
    return [item.entry.name for item in list_models(folder) if item.path]

steps = []
outcome["before"] = here()
attempt("fresh", resolve, "{CATALOGUED}", folder=folder, progress=lambda *one: steps.append(one))
outcome["steps"] = steps
outcome["after"] = here()
attempt("network", load_network, "hustvl/{CATALOGUED}", folder=folder)
attempt("id", resolve, "{LARGE}", folder=folder)
attempt("commit", resolve, "{LARGE}@{COMMIT}", folder=folder)
outcome["models"] = list(models_in(folder))
attempt("absent", load_network, "someone/absent", folder=folder)
attempt("in the way", load_network, "{LARGE}", folder=folder / "file")
"""

OFFLINE = f"""
from pathlib import Path
folder = Path(sys.argv[1])
attempt("kept", load_network, "{CATALOGUED}", folder=folder)
attempt("kept id", load_network, "{LARGE}", folder=folder)
attempt("missing", load_network, "{OTHER}", folder=folder)
attempt("missing id", load_network, "someone/else@v2", folder=folder)
attempt("not in the cache", load_network, "{CATALOGUED}")
"""

CANCELLED = f"""
from pathlib import Path

class Stop(Exception):
    pass

told = []

def stop(*one):
    told.append(one)
    if len(told) > int(sys.argv[2]) and one[2].endswith(sys.argv[3]):
        raise Stop

try:
    load_network("{LARGE}", folder=Path(sys.argv[1]), progress=stop)
except Stop:
    outcome["told"] = told
"""

CACHED = f"""
from pathlib import Path
attempt("cached", resolve, "{LARGE}", folder=Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    tmp = tmp_path_factory.mktemp("repositories")
    with Server() as hub:
        write_transformers(random_network(UNROUTED), tmp / "vitmatte")
        save_network(random_network(VARIANTS["tiny"]), tmp / "large")
        hub.repos = {
            f"hustvl/{CATALOGUED}": _files(tmp / "vitmatte"),
            LARGE: _files(tmp / "large"),
        }
        yield hub


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home without a cache, and a folder of models with a file that is none."""
    tmp = tmp_path_factory.mktemp("machine")
    (tmp / "models").mkdir()
    (tmp / "models" / "file").touch()
    return tmp


@pytest.fixture(scope="module")
def online(hub: Hub, place: Path) -> dict:
    return client(ONLINE, place / "home", place / "models", HF_ENDPOINT=hub.endpoint)


def test_models_get_folders_of_their_own(online, place):
    models = place / "models"
    assert Path(online["fresh"]) == models / CATALOGUED / "model.safetensors"
    assert sorted(p.name for p in (models / CATALOGUED).iterdir() if p.name[0] != ".") == [
        "config.json", "model.safetensors", "preprocessor_config.json"
    ]  # fmt: skip
    assert online["network"] == "ok"
    owner = LARGE.replace("/", "--")
    assert Path(online["id"]) == models / owner / "model.safetensors"
    assert Path(online["commit"]) == models / f"{owner}@{COMMIT}" / "model.safetensors"
    assert online["models"] == [owner, f"{owner}@{COMMIT}", CATALOGUED]
    assert CATALOGUED not in online["before"]
    assert CATALOGUED in online["after"]
    assert not list((place / "home").rglob("*.safetensors"))


def test_progress_begins_before_the_first_byte_and_ends_with_the_last(online):
    assert online["steps"][0] == [0, 0, f"{CATALOGUED}: config.json"]
    done, total, stage = online["steps"][-1]
    assert stage == f"{CATALOGUED}: model.safetensors"
    assert done == total == Path(online["fresh"]).stat().st_size


def test_what_cannot_be_stored_is_explained(online, place, hub):
    assert f"{hub.endpoint}/someone/absent does not exist" in online["absent"]
    assert not (place / "models" / "someone--absent").exists()
    assert str(place / "models" / "file" / "someone--large") in online["in the way"]


def test_without_a_connection_the_folder_is_enough(online, hub, place):
    for unreachable in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:1"}):
        seen = client(OFFLINE, place / "home2", place / "models", **unreachable)
        assert seen["kept"] == seen["kept id"] == "ok"
        target = place / "models" / OTHER
        assert f"{OTHER}: config.json is not in {target} and " in seen["missing"]
        for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
            assert f"/hustvl/{OTHER}/resolve/main/{name}" in seen["missing"]
        assert seen["missing"].endswith(f"model.safetensors into {target}")
        assert seen["missing id"].endswith(f" into {place / 'models' / 'someone--else@v2'}")
        assert "config.json is not in the cache" in seen["not in the cache"]


def test_a_cancel_lands_while_nothing_arrives(hub, tmp_path):
    body = hub.repos[LARGE]["model.safetensors"]
    hub.holds[_sha256(body)] = threading.Event()  # the server stops half way
    options = {"HF_ENDPOINT": hub.endpoint}
    seen = client(CANCELLED, tmp_path / "home", tmp_path, 8, "model.safetensors", **options)
    released = hub.holds.pop(_sha256(body))
    assert not released.is_set()
    released.set()
    done, total, _ = seen["told"][-1]
    assert 0 < done < total == len(body)
    target = tmp_path / LARGE.replace("/", "--")
    assert not (target / "model.safetensors").exists()

    before = len(hub.requests)
    seen = client(CANCELLED, tmp_path / "home", tmp_path, 10**6, "", **options)
    assert seen == {}  # nothing stopped it
    assert (target / "model.safetensors").read_bytes() == body
    assert not any(one.path.endswith("config.json") for one in hub.requests[before:])
    assert list(models_in(tmp_path)) == [target.name]


def test_a_cancel_before_the_first_byte_asks_for_nothing(hub, tmp_path):
    before = len(hub.requests)
    home = tmp_path / "home"
    seen = client(CANCELLED, home, tmp_path, 0, "config.json", HF_ENDPOINT=hub.endpoint)
    assert seen["told"] == [[0, 0, f"{LARGE}: config.json"]]
    assert len(hub.requests) == before


def test_what_is_in_the_cache_is_not_loaded_again(hub, tmp_path):
    home, options = tmp_path / "home", {"HF_ENDPOINT": hub.endpoint}
    client(f'load_network("{LARGE}")', home, **options)
    before = len(hub.requests)
    seen = client(CACHED, home, tmp_path / "models", **options)
    assert Path(seen["cached"]).is_relative_to(home)
    assert len(hub.requests) == before
