"""Which models a folder offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from mematte_plugin import load_network, models_in
from mematte_plugin.weights.save import save_network
from tests.weights.samples import UNROUTED, random_network, write_transformers


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_files_and_model_folders_by_their_names(tmp_path):
    save_network(random_network(), tmp_path / "mine")
    write_transformers(random_network(UNROUTED), tmp_path / "hub" / "vitmatte")
    touch(
        tmp_path / "b.safetensors",
        tmp_path / "A.PTH",
        tmp_path / "old" / "c.ckpt",
        tmp_path / "old" / "config.json",
        tmp_path / "old" / "d.pt",
        tmp_path / "one" / "config.json",
        tmp_path / "one" / "other-name.bin",
        tmp_path / "notes.txt",
        tmp_path / "unfinished" / "config.json",
        tmp_path / "hub" / "vitmatte" / ".cache" / "huggingface" / "x.safetensors",
        tmp_path / ".hidden" / "e.pth",
        tmp_path / ".f.pth",
        tmp_path / "g.safetensors.incomplete",
    )
    found = models_in(tmp_path)
    assert list(found) == [
        "A.PTH", "b.safetensors", "hub/vitmatte", "mine", "old/c.ckpt", "old/d.pt", "one"
    ]  # fmt: skip
    assert all(path == tmp_path / name for name, path in found.items())
    for name in ("mine", "hub/vitmatte"):
        assert load_network(found[name]).config in (random_network().config, UNROUTED)


def test_a_model_that_lies_in_the_folder_itself_is_a_file(tmp_path):
    save_network(random_network(), tmp_path)
    assert models_in(str(tmp_path)) == {"model.safetensors": tmp_path / "model.safetensors"}
    assert load_network(models_in(tmp_path)["model.safetensors"]).config == random_network().config


def test_no_folder_no_models(tmp_path):
    (tmp_path / "file").touch()
    assert models_in(tmp_path / "nowhere") == models_in(tmp_path / "file") == {}
    assert models_in(tmp_path) == {}


def test_links_are_followed_and_circles_left(tmp_path):
    touch(tmp_path / "elsewhere" / "a.pth")
    (tmp_path / "models").mkdir()
    try:
        (tmp_path / "models" / "linked").symlink_to(tmp_path / "elsewhere", True)
        (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "models", True)
    except OSError:
        pytest.skip("this system makes no links")
    assert list(models_in(tmp_path / "models")) == ["linked/a.pth"]
