"""The trainer learns, and continues where it was stopped."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from mematte_plugin.errors import MEMatteError, SettingError
from mematte_plugin.training.data import build_bank
from mematte_plugin.training.trainer import LOG, Crops, Recipe, Trainer, learning_rate
from tests.networks import SMALL

NETWORK = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}
NETWORK |= {"guidance": "nearest", "abs_pos": False, "padding": "each"}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bank")
    build_bank(folder, count=6, size=160)
    return folder


def recipe(**changes: object) -> Recipe:
    values: dict[str, object] = {
        "network": NETWORK,
        "crop": 96,
        "batch": 4,
        "steps": 40,
        "warmup": 5,
        "lr": 2e-3,
    }
    return Recipe(**{**values, **changes})  # type: ignore[arg-type]


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return trainer.network.state_dict()


def test_the_loss_falls(bank: Path, tmp_path: Path) -> None:
    Trainer(recipe(steps=60), bank, tmp_path).run(workers=0)
    with (tmp_path / LOG).open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["unknown"]) < 0.8 * float(rows[0]["unknown"])


def test_a_run_that_was_cut_ends_like_one_that_was_not(bank: Path, tmp_path: Path) -> None:
    whole = Trainer(recipe(steps=6), bank, tmp_path / "whole")
    whole.run(workers=0)
    Trainer(recipe(steps=6), bank, tmp_path / "cut").run(workers=0, until=2)
    cut = Trainer(recipe(steps=6), bank, tmp_path / "cut")
    assert cut.step == 2
    cut.run(workers=0)
    assert cut.step == 6
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(cut)[name]), name


def test_crops_do_not_depend_on_the_number_of_workers(bank: Path) -> None:
    plan = recipe()
    alone = iter(DataLoader(Crops(bank, plan, 8), batch_size=4, num_workers=0))
    shared = iter(DataLoader(Crops(bank, plan, 8), batch_size=4, num_workers=2))
    for _ in range(3):
        a, b = next(alone), next(shared)
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    bank: Path, tmp_path: Path
) -> None:
    Trainer(recipe(steps=2), bank, tmp_path).run(workers=0)
    trainer = Trainer(recipe(steps=4), bank, tmp_path)
    with torch.no_grad():
        trainer.network.decoder.matting_head.matting_convs[3].bias.fill_(float("nan"))
    with pytest.raises(MEMatteError, match="step 2"):
        trainer.run(workers=0)
    assert Trainer(recipe(steps=4), bank, tmp_path).step == 2


def test_a_directory_of_another_network_is_refused(bank: Path, tmp_path: Path) -> None:
    Trainer(recipe(steps=1), bank, tmp_path).run(workers=0)
    with pytest.raises(SettingError, match="another network"):
        Trainer(recipe(network={**NETWORK, "embed_dim": 64}), bank, tmp_path)


def test_learning_rate_rises_and_falls() -> None:
    plan = recipe(steps=100, warmup=10, cooldown=0.2, lr=1.0)
    rates = [learning_rate(plan, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:80] == [1.0] * 70
    assert rates[-1] == pytest.approx(0.05)


def test_shipped_recipes_can_be_read() -> None:
    folder = Path(__file__).parents[2] / "mematte_plugin" / "training" / "recipes"
    assert [Recipe.read(path).crop % 224 for path in folder.glob("*.json")] == [0]
