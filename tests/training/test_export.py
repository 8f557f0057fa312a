"""A trained run becomes a model that loads, with a card that says what it was made of."""

from pathlib import Path

import pytest
import torch

from mematte_plugin.errors import WeightsError
from mematte_plugin.training.data import build_bank
from mematte_plugin.training.export import averaged_network, export
from mematte_plugin.training.trainer import Recipe, Trainer
from mematte_plugin.weights.load import load_network
from tests.networks import SMALL

NETWORK = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}
SCORES = {"narrow": {"model": {"sad": 1.25, "mse": 2.5, "mad": 0.125, "kept": 0.4}}}


def test_export_keeps_the_weights_and_writes_the_card(tmp_path: Path) -> None:
    build_bank(tmp_path / "bank", count=2, size=128)
    recipe = Recipe(network=NETWORK, crop=64, batch=2, steps=2, warmup=1)
    Trainer(recipe, tmp_path / "bank", tmp_path / "run").run(workers=0)
    export(tmp_path / "run", tmp_path / "our-model", tmp_path / "bank", SCORES)

    trained, _ = averaged_network(tmp_path / "run")
    shipped = load_network(str(tmp_path / "our-model")).state_dict()
    for name, tensor in trained.state_dict().items():
        assert torch.allclose(tensor, shipped[name], atol=1e-3, rtol=1e-3), name
    card = (tmp_path / "our-model" / "README.md").read_text()
    assert "# our-model" in card
    assert "| rendered | this project | rendered | foreground | 2 |" in card
    assert "| narrow | model | 1.25 | 2.5 | 0.1250 | 40% |" in card
    assert "4 crops of 64 px" in card


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"checkpoint\.pt"):
        averaged_network(tmp_path)
