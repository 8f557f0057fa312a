"""Names, paths and broken files: what loads, and what is said about the rest."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mematte_plugin.errors import OutputError, WeightsError
from mematte_plugin.network import VARIANTS, MEMatte
from mematte_plugin.weights.catalog import CATALOG, closest, find
from mematte_plugin.weights.load import list_models, load_network, resolve
from mematte_plugin.weights.publish import Card, render
from mematte_plugin.weights.save import convert_weights, save_network
from tests.weights.samples import SMALL, UNROUTED, assert_same, random_network, write_transformers


@pytest.fixture(scope="module")
def network() -> MEMatte:
    return random_network()


@pytest.fixture
def folder(network, tmp_path) -> Path:
    return save_network(network, tmp_path / "model")


class Evil:
    """Unpickling it would run a command."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"echo > {self.trace}",)


def refusal(path: Path | str) -> str:
    """The one-line message with which loading fails."""
    with pytest.raises(WeightsError) as caught:
        load_network(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_our_layout_comes_back(network, folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert_same(load_network(folder), network)
    assert_same(load_network(f"{folder}/"), network)
    assert_same(load_network(folder / "model.safetensors"), network)
    assert resolve(folder).weights == folder / "model.safetensors"


def test_our_safetensors_stand_alone(tmp_path):
    """Mean and std are not visible in shapes: the file's header carries them."""
    odd = random_network(replace(SMALL, pixel_mean=(0.1, 0.2, 0.3), padding="each"))
    folder = save_network(odd, tmp_path / "odd")
    alone = tmp_path / "alone.safetensors"
    (folder / "model.safetensors").rename(alone)
    assert_same(load_network(alone), odd)


def test_half_precision_keeps_what_does_not_fit(tmp_path):
    network = random_network()
    with torch.no_grad():
        network.decoder.matting_head.matting_convs[0].weight[0, 0, 0, 0] = 70000.0
    folder = save_network(network, tmp_path / "half", dtype=torch.float16)
    stored = load_file(folder / "model.safetensors")
    full = {k for k, v in stored.items() if v.dtype == torch.float32}
    assert "decoder.matting_head.matting_convs.0.weight" in full
    assert "decoder.convstream.convs.0.bn.running_var" in full
    assert stored["backbone.patch_embed.proj.weight"].dtype == torch.float16
    assert load_network(folder).decoder.matting_head.matting_convs[0].weight.max() == 70000
    with pytest.raises(ValueError, match="float32 or float16"):
        save_network(network, tmp_path / "x", dtype=torch.bfloat16)


def test_metadata_lands_in_the_config_but_cannot_replace_it(network, tmp_path):
    folder = save_network(network, tmp_path / "m", metadata={"steps": 7, "format": "other"})
    config = json.loads((folder / "config.json").read_text())
    assert config["steps"] == 7
    assert config["format"] == "mematte"
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["mematte"]) == config["network"]


def test_a_card_of_ones_own_is_written_as_it_is(network, tmp_path):
    folder = save_network(network, tmp_path / "m", card="# My model\n")
    assert (folder / "README.md").read_text() == "# My model\n"


def test_saving_is_all_or_nothing(network, folder):
    before = (folder / "model.safetensors").read_bytes()
    (folder / "README.md").unlink()
    (folder / "README.md").mkdir()  # a file cannot be moved onto a folder
    with pytest.raises(OutputError, match="cannot be written"):
        save_network(random_network(seed=1), folder)
    assert not [p for p in folder.iterdir() if p.name.endswith(".tmp")]
    assert (folder / "config.json").exists()
    assert len((folder / "model.safetensors").read_bytes()) == len(before)
    with pytest.raises(OutputError, match=r"model.safetensors: cannot be written"):
        save_network(network, folder / "model.safetensors")


def test_loaded_weights_do_not_hang_on_the_file(network, folder):
    loaded = load_network(folder)
    save_network(random_network(seed=1), folder)
    (folder / "model.safetensors").write_bytes(b"gone")
    assert_same(loaded, network)


def test_convert(network, tmp_path):
    torch.save({"model": network.state_dict()}, tmp_path / "MEMatte_ViTS_DIM.pth")
    out = convert_weights(tmp_path / "MEMatte_ViTS_DIM.pth", tmp_path / "out")
    assert_same(load_network(out), network)
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlicense: other\nlicense_name: unknown\n")
    assert "non-commercial" in card
    assert "MEMatte_ViTS_DIM.pth" in card
    assert json.loads((out / "config.json").read_text())["converted_from"] == "MEMatte_ViTS_DIM.pth"
    with pytest.raises(OutputError, match="already holds"):
        convert_weights(tmp_path / "MEMatte_ViTS_DIM.pth", out)
    convert_weights(tmp_path / "MEMatte_ViTS_DIM.pth", out, overwrite=True, licence="CC-BY-NC-4.0")
    assert "license: cc-by-nc-4.0" in (out / "README.md").read_text()
    assert json.loads((out / "config.json").read_text())["licence"] == "CC-BY-NC-4.0"
    again = convert_weights(
        write_transformers(random_network(UNROUTED), tmp_path / "hf"), tmp_path / "t"
    )
    assert_same(load_network(again), random_network(UNROUTED))


def test_card_is_valid_front_matter_and_names_the_model():
    yaml = pytest.importorskip("yaml")
    card = Card("Tiny", "Apache-2.0", "Do as you like.", "Trained here.", "## Limits\n\nNone.")
    text = render(card, VARIANTS["tiny"], "mematte-tiny")
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "apache-2.0"
    assert front["library_name"] == "mematte-plugin"
    assert front["pipeline_tag"] == "image-segmentation"
    assert "--model mematte-tiny" in text
    assert text.endswith("None.\n")


def test_catalog_names():
    for name, entry in CATALOG.items():
        assert entry.name == name
        assert find(name) is entry
        if entry.repo_id:
            assert find(entry.repo_id) is entry
            assert not (entry.commercial and entry.purpose == "matting")
    assert find("someone/vitmatte-small-composition-1k") is None
    assert find("nothing") is None
    assert closest("mematte-tinny")[0] == "mematte-tiny"
    assert closest("vitmatte-small")[0].startswith("vitmatte-small")
    assert {item.entry.name for item in list_models(purpose=None)} == set(CATALOG)


def test_bundled_weights_are_found(folder, network, monkeypatch, tmp_path):
    monkeypatch.setattr("mematte_plugin.weights.load.BUNDLE_ROOT", tmp_path)
    assert "install mematte-plugin again" in refusal("mematte-tiny")
    folder.rename(tmp_path / "mematte-tiny")
    assert_same(load_network("mematte-tiny"), network)
    assert list_models()[0].path == tmp_path / "mematte-tiny" / "model.safetensors"
    assert "no revisions" in refusal("mematte-tiny@main")


def test_unknown_names_and_missing_paths_are_told_apart(tmp_path):
    assert "did you mean mematte-tiny?" in refusal("mematte-tini")
    for missing in ("./model", "folder/model.pth", "a/b/c", "model.safetensors", "~/nope"):
        assert "does not exist" in refusal(missing)
    assert "does not exist" in refusal(tmp_path / "mematte-tiny")
    assert "holds no weights" in refusal(tmp_path)
    (tmp_path / "a.pth").write_bytes(b"x")
    (tmp_path / "b.pth").write_bytes(b"x")
    assert "2 checkpoints (a.pth, b.pth)" in refusal(tmp_path)
    with pytest.raises(WeightsError, match="no revisions"):
        load_network(tmp_path, revision="main")


@pytest.mark.parametrize("form", ["zip", "old", "protocol4"])
def test_pickles_that_want_more_are_refused_and_named(form, tmp_path):
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    payload = {"model": {"backbone.x": Evil(trace)}}
    if form == "protocol4":
        path.write_bytes(pickle.dumps(payload, protocol=4))
    else:
        torch.save(payload, path, _use_new_zipfile_serialization=form == "zip")
    message = refusal(path)
    assert f"{os.name}.system" in message
    assert "evil.pth is refused" in message
    assert "save_file" in message
    assert not trace.exists()


def test_a_whole_module_is_refused_with_the_remedy(network, tmp_path):
    torch.save(network, tmp_path / "module.pth")
    assert "wants to load mematte_plugin.network.mematte.MEMatte" in refusal(
        tmp_path / "module.pth"
    )


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_files_that_are_no_checkpoint(name, network, tmp_path):
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save({"model": network.state_dict()}, path)
    else:
        save_file(dict(network.state_dict()), path)
    whole = path.read_bytes()
    for content, word in [
        (b"", "is empty"),
        (whole[: len(whole) // 2], "not a whole"),
        (whole[:100], "not a whole"),
        (b"just some text, renamed", "not a whole"),
        (bytes(range(256)) * 40, "not a whole"),
        (b"\xff" * 5000, "not a whole"),
        (b"<!DOCTYPE html><html>quota exceeded</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
    ]:
        path.write_bytes(content)
        assert word in refusal(path)
    path.unlink()
    path.mkdir()
    assert "holds no weights" in refusal(path)
    picture = tmp_path / "photo.jpg"
    picture.write_bytes(b"x")
    assert "is not a checkpoint; give one of .safetensors" in refusal(picture)


def test_flipped_bytes_never_escape_as_other_errors(network, tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"model": network.state_dict()}, path)
    whole = bytearray(path.read_bytes())
    generator = torch.Generator().manual_seed(0)
    for place in torch.randint(0, 4000, (60,), generator=generator).tolist():
        damaged = whole.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            load_network(path)
        except WeightsError:
            continue


def test_zip_bombs_are_refused_unopened(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(50 << 20))
    assert path.stat().st_size < 1 << 20
    assert "would unpack to 52,428,800 bytes" in refusal(path)


def test_huge_claims_allocate_nothing(network, folder, tmp_path):
    state = dict(network.state_dict())
    for tokens, word in [(1 << 40, "not a square grid"), ((1 << 38) + 1, "many times the file")]:
        state["backbone.pos_embed"] = torch.zeros(1).expand(1, tokens, 32)
        torch.save(state, tmp_path / "huge.pth")
        assert word in refusal(tmp_path / "huge.pth")
    config = json.loads((folder / "config.json").read_text())
    for change, word in [
        ({"embed_dim": 1 << 19}, "does not fit"),
        ({"embed_dim": 1 << 40}, "embed_dim"),
        ({"depth": 10**6}, "depth"),
        ({"depth": -1}, "depth"),
        ({"num_heads": 0}, "num_heads"),
        ({"num_heads": True}, "num_heads"),
        ({"detail_chans": "many"}, "detail_chans"),
        ({"detail_chans": []}, "config|fit"),
        ({"fusion_chans": [8]}, "configuration|fit"),
        ({"pixel_std": [1, 0, 1]}, "zero"),
        ({"pixel_mean": [1, 1]}, "pixel_mean"),
        ({"guidance": "psychic"}, "psychic"),
        ({"flux": 3}, "unknown field flux"),
        ({"global_blocks": [7]}, "outside depth"),
    ]:
        changed = {**config, "network": {**config["network"], **change}}
        (folder / "config.json").write_text(json.dumps(changed))
        with pytest.raises(WeightsError, match=word):
            load_network(folder)


def test_configs_that_do_not_belong(folder):
    path = folder / "config.json"
    good = json.loads(path.read_text())
    for content, word in [
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100000, "not valid JSON"),
        (json.dumps({"model_type": "sam"}), "neither a mematte nor a vitmatte network but 'sam'"),
        (json.dumps({**good, "format_version": 2}), "update mematte-plugin"),
        (json.dumps({**good, "network": 3}), "no 'network' entry"),
        (json.dumps({"model_type": "vitmatte"}), "preprocessor_config.json is missing"),
    ]:
        path.write_text(content)
        assert word in refusal(folder)


def test_keys_are_strict(network, tmp_path):
    path = tmp_path / "w.pth"
    for change, word in [
        ({"backbone.blocks.0.norm1.bias": None}, r"1 missing \(backbone.blocks.0.norm1.bias\)"),
        ({"head.a": torch.ones(1)}, r"1 unexpected \(head.a\)"),
        (
            {"backbone.blocks.0.norm1.bias": torch.ones(5)},
            r"1 of another shape \(backbone.blocks.0.norm1.bias is \[5\] instead of \[32\]\)",
        ),
        ({f"head.{i}": torch.ones(1) for i in range(9)}, r"9 unexpected \(.* and 6 more\)"),
        (
            {"backbone.blocks.0.norm1.bias": torch.full((32,), float("nan"))},
            "norm1.bias holds NaN",
        ),
        (
            {"backbone.blocks.0.norm1.bias": torch.full((32,), float("inf"))},
            "norm1.bias holds NaN or inf",
        ),
        ({"backbone.blocks.0.norm1.bias": torch.ones(32, dtype=torch.int8)}, "int8"),
        ({"backbone.blocks.0.norm1.bias": "text"}, "is a str"),
        ({"backbone.blocks.0.norm1.bias": torch.ones(32).to_sparse()}, "sparse"),
    ]:
        state = {**network.state_dict(), **change}
        torch.save({k: v for k, v in state.items() if v is not None}, path)
        with pytest.raises(WeightsError, match=rf"w.pth.*{word}"):
            load_network(path)
    for content, word in [({}, "no tensors"), (torch.ones(3), "a Tensor"), ([1], "a list")]:
        torch.save(content, path)
        assert word in refusal(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_running_out_of_memory_is_not_called_damage(suffix, network, tmp_path, monkeypatch):
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(network.state_dict(), path)
    else:
        save_file(dict(network.state_dict()), path)

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr("torch.load", full)
    monkeypatch.setattr("safetensors.safe_open", full)
    message = refusal(path)
    assert "out of memory" in message
    assert "download" not in message
