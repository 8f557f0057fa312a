"""The licence on a card follows from the pictures and weights that were used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mematte_plugin.cli.shell import run
from mematte_plugin.training.origins import Terms, ingredients_of_run, of_card, terms_of
from mematte_plugin.training.recipe import Recipe, Stage
from mematte_plugin.weights.load import load_network
from mematte_plugin.weights.publish import Card
from mematte_plugin.weights.save import convert_weights, save_network
from tests.networks import SMALL, random_network
from tests.weights.hub_server import Server
from tests.weights.test_hub import client

from .trainer_bank import small_bank

NETWORK = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}
VITMATTE = "vitmatte-small-composition-1k"


def picture(licence: str, author: str = "Ann") -> dict[str, str]:
    return {
        "file": "backgrounds/a.jpg",
        "source": "s",
        "original": "a.jpg",
        "author": author,
        "licence": licence,
        "use": "background",
    }


def terms(*licences: str, **recipe: Any) -> Terms:
    plan = Recipe(network=NETWORK, stages=(Stage(64, 1, 1),), **recipe)
    return terms_of(ingredients_of_run(plan, [picture(licence) for licence in licences]))


def model(folder: Path, licence: str, words: str = "As its owner says.") -> str:
    save_network(random_network(), folder, card=Card(folder.name, licence, words, "Made."))
    return str(folder)


FREE = ("rendered", "CC0-1.0", "CC-BY-4.0", "MIT", "public domain", "CC BY 4.0")


def test_free_pictures_and_weights_make_free_weights() -> None:
    found = terms(*FREE)
    assert (found.kind, found.licence) == ("free", "Apache-2.0")
    assert "permit commercial use" in found.words
    gone_on = terms(*FREE, init="mematte-tiny")
    assert (gone_on.kind, gone_on.licence) == ("free", "Apache-2.0")
    assert "started from mematte-tiny (Apache-2.0)" in gone_on.words


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0", "CC BY-NC-SA 2.0", "non-commercial", "NC"])
def test_one_non_commercial_picture_decides(licence: str) -> None:
    found = terms(*FREE, licence)
    assert (found.kind, found.licence) == ("non-commercial", "non-commercial")
    assert licence in found.words
    assert "Ann" in found.words
    assert "commercially" in found.words


@pytest.mark.parametrize("licence", ["unknown", "", "Unknown"])
def test_peoples_own_pictures_without_a_licence_are_unknown(licence: str) -> None:
    found = terms("CC0-1.0", licence)
    assert (found.kind, found.licence) == ("unknown", "unknown")
    assert "sk the owner" in found.words
    assert terms(licence, "CC-BY-NC-4.0").kind == "non-commercial"  # certainty first


def test_peoples_own_pictures_with_a_licence_of_their_own() -> None:
    found = terms("CC0-1.0", "Studio Ann, in-house use")
    assert (found.kind, found.licence) == ("other", "Studio Ann, in-house use")
    assert "apply to these weights too" in found.words
    assert terms("CC-BY-SA-4.0").licence == "CC-BY-SA-4.0"


@pytest.mark.parametrize("name", [VITMATTE, f"hustvl/{VITMATTE}", f"{VITMATTE}@main"])
def test_non_commercial_weights_are_recognised_by_name(name: str) -> None:
    for role in ({"init": name}, {"teacher": name, "distillation": 1.0}):
        found = terms("CC0-1.0", **role)
        assert found.licence == "non-commercial"
        assert "Composition-1k" in found.words
    assert terms("CC0-1.0", teacher=name).kind == "free"  # named but unused


@pytest.mark.parametrize("name", ["MEMatte_ViTS_DIM.pth", "ViTMatte_B_Com.pth"])
def test_official_checkpoints_are_recognised_by_file_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    assert terms("CC0-1.0", init=str(tmp_path / name)).licence == "non-commercial"


def test_a_file_without_a_card_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"whatever")
    found = terms("CC0-1.0", init=str(tmp_path / "weights.pth"))
    assert (found.kind, found.licence) == ("unknown", "unknown")
    assert "weights.pth" in found.words
    assert str(tmp_path) not in found.words  # local folders stay off a public card
    gone = terms("CC0-1.0", init=str(tmp_path / "gone"))
    assert (gone.kind, "gone" in gone.words) == ("unknown", True)


@pytest.mark.parametrize(
    ("licence", "words", "kind"),
    [
        ("Apache-2.0", "Free for all.", "free"),
        ("MIT", "", "free"),
        ("cc-by-nc-4.0", "", "non-commercial"),
        ("Apache-2.0", "The data are for non-commercial research only.", "non-commercial"),
        ("unknown", "Nobody knows.", "unknown"),
        ("Studio licence", "Ask Ann.", "other"),
    ],
)
def test_the_card_of_a_model_folder_counts(
    licence: str, words: str, kind: str, tmp_path: Path
) -> None:
    assert terms("CC0-1.0", init=model(tmp_path / "theirs", licence, words)).kind == kind


def test_a_converted_model_has_the_terms_of_its_source(tmp_path: Path) -> None:
    source = model(tmp_path / "MEMatte_ViTS_DIM", "unknown")
    (tmp_path / "MEMatte_ViTS_DIM/model.safetensors").rename(tmp_path / "MEMatte.safetensors")
    convert_weights(tmp_path / "MEMatte.safetensors", tmp_path / "mine", licence="Apache-2.0")
    assert terms("CC0-1.0", init=str(tmp_path / "mine")).licence == "non-commercial"
    Path(source, "README.md").unlink()
    (tmp_path / "MEMatte.safetensors").rename(tmp_path / "ours.safetensors")
    convert_weights(tmp_path / "ours.safetensors", tmp_path / "known", licence="Apache-2.0")
    assert terms("CC0-1.0", init=str(tmp_path / "known")).kind == "free"
    convert_weights(tmp_path / "ours.safetensors", tmp_path / "unknown")
    assert terms("CC0-1.0", init=str(tmp_path / "unknown")).kind == "unknown"


@pytest.mark.parametrize(
    ("front", "licence", "kind"),
    [
        ("license: apache-2.0", "apache-2.0", "free"),
        ('license: "mit"', "mit", "free"),
        ("license: [mit]", "mit", "free"),
        ("license: cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0", "non-commercial"),
        ("license: other\nlicense_name: nvidia-research", "nvidia-research", "non-commercial"),
        ("license: other\nlicense_name: studio", "studio", "other"),
        ("license: openrail", "openrail", "other"),
        ("license: other", "unknown", "unknown"),
        ("tags:\n- mit", "unknown", "unknown"),
    ],
)
def test_cards_of_the_hub(front: str, licence: str, kind: str) -> None:
    assert of_card(f"---\n{front}\n---\n\n# A model\n")[:2] == (kind, licence)


HUB = """
from mematte_plugin.training.origins import ingredients_of_run
from mematte_plugin.training.recipe import Recipe, Stage

for name in ("some/free", "some/closed", "some/silent", "some/nothing"):
    plan = Recipe(network={}, stages=(Stage(64, 1, 1),), init=name)
    attempt(name, lambda: ingredients_of_run(plan, [])[0].kind)
"""


def test_cards_of_hub_models_are_fetched(tmp_path: Path) -> None:
    with Server() as hub:
        hub.repos = {
            "some/free": {"README.md": b"---\nlicense: apache-2.0\n---\n"},
            "some/closed": {"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"},
            "some/silent": {"config.json": b"{}"},
        }
        kinds = client(HUB, tmp_path, HF_ENDPOINT=hub.endpoint)
    assert kinds == {
        "some/free": "free",
        "some/closed": "non-commercial",
        "some/silent": "unknown",
        "some/nothing": "unknown",
    }


# ---- from the command line to the card -----------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_bank(tmp_path / "bank", count=2)
    recipe = {"network": NETWORK, "stages": [{"crop": 64, "batch": 1, "steps": 1}], "pool": 2}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(name: str, *options: str, data: str = "bank") -> str:
    """Train a run and export it; the card."""
    line = ["train", "run", name, "--data", data, "--recipe", "recipe.json", *options]
    assert run([*line, "--device", "cpu", "--workers", "0"]) == 0
    assert run(["train", "export", name, f"{name}-model", "--data", data]) == 0
    return Path(f"{name}-model/README.md").read_text()


def relicensed(bank: Path, licence: str) -> None:
    entries = json.loads((bank / "manifest.json").read_text())
    entries[0] |= {"source": "own", "licence": licence, "author": "Bob"}
    (bank / "manifest.json").write_text(json.dumps(entries))


def test_the_card_of_free_pictures_is_free(folder: Path) -> None:
    card = train("one")
    assert "license: apache-2.0" in card
    assert "permit commercial use" in card


def test_training_on_from_bundled_models_stays_free(folder: Path) -> None:
    recipe = json.loads((folder / "recipe.json").read_text())
    recipe["network"] = load_network("mematte-tiny").config.to_dict()
    (folder / "recipe.json").write_text(json.dumps(recipe))
    card = train("mine", "--init", "mematte-tiny")
    assert "license: apache-2.0" in card
    assert "started from mematte-tiny (Apache-2.0)" in card


def test_a_run_says_if_its_weights_are_not_free(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("free")
    assert "not free" not in capsys.readouterr().out
    relicensed(folder / "bank", "CC-BY-NC-4.0")
    train("closed")
    assert "not free for every use: pictures of Bob (CC-BY-NC-4.0)" in capsys.readouterr().out


def test_terms_are_passed_on_between_runs_and_models(folder: Path) -> None:
    first = train("first", "--init", model(folder / "theirs", "cc-by-nc-4.0"))
    assert "license_name: non-commercial" in first
    assert "started from theirs (cc-by-nc-4.0)" in first
    # The folders may be gone when the card is written, and the card of a model that may be edited.
    (folder / "first-model/README.md").write_text("---\nlicense: apache-2.0\n---\n")
    second = train("second", "--init", "first")
    third = train("third", "--init", "first-model")
    for card in (second, third):
        assert "license_name: non-commercial" in card
        assert "theirs" in card


def test_a_run_remembers_its_pictures_when_exported_with_others(folder: Path) -> None:
    relicensed(small_bank(folder / "closed", count=2), "CC-BY-NC-4.0")
    train("run", data="closed")
    assert run(["train", "export", "run", "again", "--data", "bank"]) == 0
    card = (folder / "again/README.md").read_text()
    assert "license_name: non-commercial" in card
    assert "pictures of Bob (CC-BY-NC-4.0)" in card


def test_own_pictures_without_licence_make_an_unknown_card(folder: Path) -> None:
    relicensed(folder / "bank", "unknown")
    card = train("run")
    assert "license_name: unknown" in card
    assert "Ask the owner" in card
    assert "Apache" not in card
