"""A trained run becomes a model that loads, with a card that says what it was made of."""

from pathlib import Path

import pytest
import torch

from mematte_plugin.errors import InputError, WeightsError
from mematte_plugin.training.export import export
from mematte_plugin.training.recipe import Recipe, Stage
from mematte_plugin.training.start import trained_network
from mematte_plugin.training.trainer import Trainer
from mematte_plugin.weights.load import load_network
from tests.networks import SMALL

from .trainer_bank import small_bank

NETWORK = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}
REPORT = {
    "scores": {
        "narrow": {
            "model": {"pictures": 9, "sad": 1.25, "mse": 2.5, "mad": 0.125, "kept": 0.4},
            "knn": {"pictures": 9, "sad": 2.0, "mse": 3.0, "mad": 0.25},
        }
    },
    "routing": {
        "narrow": {"model": [{"block": 2, "overall": 0.3, "inside": 0.75, "outside": None}]}
    },
}


def test_export_keeps_the_weights_and_writes_the_card(tmp_path: Path) -> None:
    bank = small_bank(tmp_path / "bank", count=2)
    recipe = Recipe(
        network=NETWORK,
        stages=(Stage(64, 2, 2), Stage(96, 1, 9)),
        pool=4,
        warmup=1,
        notes="Cut short.",
    )
    Trainer(recipe, bank, tmp_path / "run", device="cpu", workers=0).run(until=3)
    export(tmp_path / "run", tmp_path / "our-model", bank, REPORT, limits="Glass stays opaque.")

    trained = trained_network(tmp_path / "run")
    shipped = load_network(str(tmp_path / "our-model")).state_dict()
    for name, tensor in trained.state_dict().items():
        assert torch.allclose(tensor, shipped[name], atol=1e-3, rtol=1e-3), name
    card = (tmp_path / "our-model" / "README.md").read_text()
    assert "# our-model" in card
    assert "| rendered: blob | this project | rendered | foreground | 2 |" in card
    assert "| trimap | method | pictures | SAD | MSE | MAD | kept |" in card
    assert "| narrow | model | 9 | 1.25 | 2.5 | 0.1250 | 40% |" in card
    assert "| narrow | knn | 9 | 2.00 | 3.0 | 0.2500 | – |" in card
    assert "| narrow | model | 2 | 30% | 75% | – |" in card
    # What was trained, not what the recipe had left to do.
    assert "2 steps of 2 stored crops of 64 px and 1 steps of 1 stored crops of 96 px" in card
    assert "(5 crops in all, about 2 of them different)" in card
    assert "Cut short." in card
    assert "Glass stays opaque." in card


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"checkpoint\.pt"):
        export(tmp_path, tmp_path / "model", tmp_path)
    recipe = Recipe(network=NETWORK, stages=(Stage(64, 1, 1),), pool=2)
    bank = small_bank(tmp_path / "bank", count=2)
    Trainer(recipe, bank, tmp_path / "run", device="cpu", workers=0).run()
    with pytest.raises(InputError, match="mematte eval"):
        export(tmp_path / "run", tmp_path / "model", bank, {"results": []})
    (bank / "manifest.json").unlink()
    with pytest.raises(InputError, match="manifest"):
        export(tmp_path / "run", tmp_path / "model", bank)
    assert not (tmp_path / "model").exists()
