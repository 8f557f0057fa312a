"""Recipes and their schedules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mematte_plugin.errors import SettingError
from mematte_plugin.network import MEMatte, NetworkConfig
from mematte_plugin.network.config import VARIANTS
from mematte_plugin.training.optimizer import averaged, parameter_groups, set_learning_rate
from mematte_plugin.training.recipe import (
    RECIPES,
    Recipe,
    Stage,
    decisions_learn,
    hint_weight,
    learning_rate,
)
from tests.networks import SMALL


def recipe(**changes: object) -> Recipe:
    values: dict[str, object] = {
        "network": {},
        "stages": (Stage(224, 8, 60), Stage(448, 2, 40)),
        "lr": 1.0,
        "warmup": 10,
    }
    return Recipe(**{**values, **changes})  # type: ignore[arg-type]


def test_stages_follow_each_other() -> None:
    plan = recipe()
    assert plan.steps == 100
    assert plan.stage_at(0) == plan.stage_at(59) == (0, 0)
    assert plan.stage_at(60) == plan.stage_at(99) == plan.stage_at(100) == (1, 60)
    assert plan.crops_until(70) == 60 * 8 + 10 * 2
    assert plan.crops_until(plan.steps) == 60 * 8 + 40 * 2


def test_learning_rates() -> None:
    cosine = [learning_rate(recipe(), step) for step in range(100)]
    assert cosine[0] == pytest.approx(0.1, rel=1e-3)
    assert cosine[50] == pytest.approx(0.5)  # half way down, half way through
    assert cosine[99] < 1e-3
    plateau = [learning_rate(recipe(schedule="plateau", cooldown=0.2), s) for s in range(100)]
    assert plateau[10:80] == [1.0] * 70
    assert plateau[-1] == pytest.approx(0.05)  # one of the last 20 steps is left
    steps = [learning_rate(recipe(schedule="step", milestones=(0.2, 0.8)), s) for s in range(100)]
    assert (steps[19], steps[20], steps[79]) == pytest.approx((1.0, 0.1, 0.1))
    assert steps[80] == pytest.approx(0.01)


def test_routers_are_led_and_then_let_go() -> None:
    plan = recipe(routing_hint=((0.1, 1.0), (0.5, 0.2)), decisions_learn_from=0.3)
    assert hint_weight(plan, 0) == hint_weight(plan, 10) == 1.0
    assert hint_weight(plan, 30) == pytest.approx(0.6)  # half way between the points
    assert hint_weight(plan, 50) == hint_weight(plan, 99) == pytest.approx(0.2)
    assert [decisions_learn(plan, step) for step in (0, 29, 30)] == [False, False, True]
    assert hint_weight(recipe(), 50) == 0
    assert not decisions_learn(recipe(decisions_learn_from=None), 99)


def test_layer_decay_spares_early_layers() -> None:
    network = MEMatte(NetworkConfig(**SMALL))  # four blocks
    plan = recipe(layer_decay=0.5)
    optimizer = torch.optim.AdamW(parameter_groups(network, plan))
    set_learning_rate(optimizer, 1.0)
    rates = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(rates) == len(list(network.parameters()))
    backbone = network.backbone
    assert rates[id(backbone.patch_embed.proj.weight)] == (0.5**5, plan.weight_decay)
    assert rates[id(backbone.blocks[0].mlp.fc1.weight)] == (0.5**4, plan.weight_decay)
    assert rates[id(backbone.blocks[3].norm1.weight)] == (0.5, 0.0)
    assert rates[id(network.decoder.matting_head.matting_convs[0].weight)][0] == 1.0
    assert rates[id(backbone.routers[0].out_conv[0].weight)][0] == 1.0


def test_the_average_moves_towards_the_weights() -> None:
    average, source = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    with torch.no_grad():
        source.weight.fill_(3.0)
        source.num_batches_tracked.fill_(7)
    averaged(average, source, 0.75)
    assert average.weight.tolist() == [1.5, 1.5]  # 0.75 · 1 + 0.25 · 3
    assert average.num_batches_tracked == 7


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.json")))
def test_shipped_recipes_can_be_read_and_built(name: str) -> None:
    plan = Recipe.read(name)
    assert Recipe.from_dict(plan.to_dict()) == plan
    assert plan.notes
    with torch.device("meta"):
        network = MEMatte(NetworkConfig.from_dict(plan.network))
    # Every parameter gets its share of the learning rate, the last step one above zero.
    groups = parameter_groups(network, plan)
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    assert 0 < learning_rate(plan, plan.steps - 1) < learning_rate(plan, plan.warmup) <= plan.lr


def test_the_built_in_models_recipes_train_the_built_in_network() -> None:
    for name in ("mematte-tiny", "mematte-tiny-finetune"):
        assert NetworkConfig.from_dict(Recipe.read(name).network) == VARIANTS["tiny"]
    tuned = Recipe.read("mematte-tiny-finetune")
    assert tuned.init == "mematte-tiny"
    assert tuned.lr < Recipe.read("mematte-tiny").lr


def test_the_papers_recipe_is_the_papers() -> None:
    plan = Recipe.read("paper-vits")
    assert NetworkConfig.from_dict(plan.network) == VARIANTS["small"]
    composites, epochs = 43_100, 30
    assert abs(plan.crops_until(plan.steps) - composites * epochs) < 16
    rates = [learning_rate(plan, epoch * composites // 16) for epoch in (1, 5, 7, 25, 27, 29)]
    assert rates == pytest.approx([5e-4, 5e-4, 5e-5, 5e-5, 5e-6, 5e-6])
    assert (plan.retention, plan.distillation, plan.squared, plan.routing_hint) == (0.25, 1, 0, ())
    assert decisions_learn(plan, 0)


def test_fields_of_older_recipes_are_ignored_only_where_nothing_changes() -> None:
    values = {"network": {}, "stages": [{"crop": 96, "batch": 1, "steps": 1}]}
    for former in ("stored", "composed", "recomposed"):
        old = {**values, "data": former, "init_backbone": None}
        assert Recipe.from_dict(old) == Recipe.from_dict(values)
    with pytest.raises(SettingError, match="init_backbone 'vit\\.pth' is no longer supported"):
        Recipe.from_dict({**values, "init_backbone": "vit.pth"})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"stages": []}, "no stages"),
        ({"stages": [{"crop": 100, "batch": 1, "steps": 1}]}, "multiples of 32"),
        ({"stages": [{"crop": 96, "batch": 0, "steps": 1}]}, "below 1"),
        ({"stages": [{"side": 96}]}, "not a recipe"),
        ({"schedule": "linear"}, "cosine, plateau, step"),
        ({"data": "photos"}, "data 'photos' is no longer supported"),
        ({"precision": "int8"}, "bf16"),
        ({"routing_hint": [[0.5, 1.0], [0.1, 0.0]]}, "sort"),
        ({"learning_rate": 1}, "unknown recipe field learning_rate"),
        ({"lr": "fast"}, "lr"),
    ],
)
def test_faults_of_a_recipe_are_named(
    change: dict[str, object], named: str, tmp_path: Path
) -> None:
    values = {"network": {}, "stages": [{"crop": 96, "batch": 1, "steps": 1}]}
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({**values, **change}))
    with pytest.raises(SettingError, match=named):
        Recipe.read(path)


def test_a_missing_or_broken_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="mematte-tiny, mematte-tiny-finetune"):
        Recipe.read("mematte-huge")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SettingError, match="not JSON"):
        Recipe.read(tmp_path / "broken.json")
