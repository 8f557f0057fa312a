"""Training on a GPU equals training on the CPU and seldom waits for it: a simulated card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, PartialState

from mematte_plugin.errors import MEMatteError, SettingError
from mematte_plugin.memory import free as devices
from mematte_plugin.memory.limits import MIB, Limit
from mematte_plugin.training.checkpoint import CHECKPOINT
from mematte_plugin.training.recipe import Recipe, Stage
from mematte_plugin.training.records import LOG, PREVIEWS, VALIDATION
from mematte_plugin.training.run_options import RunOptions, accelerator, mixed_precision
from mematte_plugin.training.trainer import Trainer
from mematte_plugin.training.validate import validate
from mematte_plugin.weights.save import save_network
from tests import simulated_card
from tests.memory.live import LiveTensors
from tests.networks import SMALL, random_input, random_network
from tests.simulated_card import DEVICE, Card, OnCard, moved

from .test_trainer import rows
from .trainer_bank import small_bank

NETWORK: dict[str, Any] = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}
GUIDED: dict[str, Any] = {"guidance": "nearest", "abs_pos": False, "padding": "each"}
NETWORK |= GUIDED


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bank(tmp_path_factory.mktemp("data") / "bank")


@pytest.fixture
def forget() -> Iterator[None]:
    """accelerate remembers device and precision for the process."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


@pytest.fixture
def card(forget: None, monkeypatch: pytest.MonkeyPatch) -> Card:
    """A card that accelerate has found, with room for plans."""
    PartialState(cpu=True)
    monkeypatch.setitem(PartialState._shared_state, "device", DEVICE)
    monkeypatch.setattr(torch, "Generator", simulated_card.Generator)
    free(monkeypatch, 2**30)
    return Card()


def free(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    """Let a plan use this much of the card's memory."""
    limit = Limit(int((budget + 256 * MIB) / 0.85) + 1, 2**34, "the card's")
    monkeypatch.setitem(devices._FINDERS, DEVICE.type, lambda _: limit)


def trainer(plan: Recipe, bank: Path, folder: Path, **options: Any) -> Trainer:
    AcceleratorState._reset_state()
    whole = RunOptions(**{"preview_every": 0, "log_every": 1, **options})
    return Trainer(plan, bank, folder, device="cpu", workers=0, options=whole)


def photograph(folder: Path, side: int) -> Path:
    """A folder with one photograph to validate on."""
    image, trimap = random_input(side, side)
    values = {"image": image[0].permute(1, 2, 0), "alpha": trimap[0, 0], "trimap": trimap[0, 0]}
    for name, content in values.items():
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "one.png"), (content * 255).byte().numpy())
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*from a non-meta parameter")  # our card does copy it
@pytest.mark.parametrize("taught", [False, True])
def test_a_run_on_the_card_equals_one_on_the_cpu(
    taught: bool, bank: Path, tmp_path: Path, request: Any
) -> None:
    given: dict[str, Any] = {}
    if taught:  # with another deviation of pixels, so that it has an input of its own
        network = {**GUIDED, "routed": False, "pixel_std": (0.5, 0.5, 0.5)}
        save_network(random_network(**network), tmp_path / "teacher")
        given = {"distillation": 1.0, "teacher": str(tmp_path / "teacher")}
    stages = (Stage(64, 2, 1), Stage(96, 2, 2))
    plan = Recipe(NETWORK, stages, pool=4, warmup=1, cells=(4,), **given)
    photos = photograph(tmp_path / "photos", 80)
    options = {"preview_every": 1, "validate_every": 2, "validate": photos}
    expected = trainer(plan, bank, tmp_path / "cpu", **options)
    expected.run()
    with request.getfixturevalue("card"):
        trainer(plan, bank, tmp_path / "card", **options).run(until=2)
        found = trainer(plan, bank, tmp_path / "card", **options)  # the second step's checkpoint
        found.run()
        there = {**found.network.state_dict(), **found.average.state_dict(prefix="average.")}
    assert found.step == expected.step == 3
    wanted = {**expected.network.state_dict(), **expected.average.state_dict(prefix="average.")}
    weights, counted = dict(expected.network.named_parameters()), []
    for name, value in there.items():
        assert isinstance(value, OnCard), name
        weight = weights.get(name.removeprefix("average."))
        if weight is None:  # statistics of a norm
            torch.testing.assert_close(value.held, wanted[name], atol=1e-4, rtol=1e-3)
            continue
        # Where a gradient is nothing, as a bias' before a norm, Adam makes steps of its rounding.
        felt = expected.optimizer.state[weight]["exp_avg_sq"].sqrt() > 1e-6
        counted.append(felt.float().mean())
        away = (value.held - wanted[name])[felt].abs()
        assert not len(away) or away.mean() < 2e-3 * plan.lr, name
    assert np.mean(counted) > 0.5
    timeless = {"crops_per_second", "generator_per_second", "waited", "seconds"}
    for table in (LOG, VALIDATION):
        pairs = zip(rows(tmp_path / "card" / table), rows(tmp_path / "cpu" / table), strict=True)
        for row, alike in pairs:
            assert row.keys() == alike.keys()
            for name in row.keys() - timeless - {"trimap"}:
                assert float(row[name] or 0) == pytest.approx(float(alike[name] or 0), rel=1e-3)
    assert len(list((tmp_path / "card" / PREVIEWS).iterdir())) == 3


def test_a_step_waits_for_the_card_once(card: Card, bank: Path, tmp_path: Path) -> None:
    plan = Recipe(NETWORK, (Stage(64, 3, 6),), pool=4, warmup=1)
    waits = []
    with card:
        trainer(plan, bank, tmp_path, log_every=10, save_every=10).run(
            until=5, progress=lambda *_: waits.append(card.waits.total())
        )
    assert np.diff(waits)[:3].tolist() == [1, 1, 1]  # the last step is logged


def test_running_out_of_memory_names_what_to_change(bank: Path, tmp_path: Path) -> None:
    plan = Recipe(NETWORK, (Stage(64, 2, 4),), pool=4)
    trainer(plan, bank, tmp_path).run(until=2)
    before = (tmp_path / CHECKPOINT).read_bytes()
    short = trainer(plan, bank, tmp_path)
    with (
        pytest.raises(MEMatteError, match=r"step 2, with 2 crops of 64 pixels.*smaller batch"),
        LiveTensors(room=2**20),
    ):
        short.run()
    assert (tmp_path / CHECKPOINT).read_bytes() == before


class SmallCard(Card):
    """A card on which no tensor may take more than `room` bytes, at first only half of them."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.turned_away = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if isinstance(out, OnCard) and out.nbytes > self.room // (1 if self.turned_away else 2):
            self.turned_away += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate too much")
        return out


@pytest.mark.slow
def test_validation_keeps_within_the_free_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = photograph(tmp_path / "photos", 768)
    network = random_network(**GUIDED)
    (expected,) = validate(network, folder, torch.device("cpu"))
    free(monkeypatch, 400 * MIB)
    with SmallCard(12 * MIB) as card:
        (found,) = validate(moved(network), folder, DEVICE)
        assert card.turned_away == 1
        free(monkeypatch, 0)
        assert validate(network, folder, DEVICE) == []  # a warning, and training continues
    assert found["sad"] == pytest.approx(expected["sad"], rel=1e-3)


def test_a_precision_must_be_supported_by_the_device(
    forget: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mixed_precision("auto", cuda=False) == "no"
    assert mixed_precision("bf16", cuda=False) == "bf16"
    with pytest.raises(SettingError, match="needs a CUDA device"):
        mixed_precision("fp16", cuda=False)
    for able in (True, False):  # new cards, and those before Ampere
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True, able=able: able
        )
        assert mixed_precision("auto", cuda=True) == ("bf16" if able else "no")
        assert mixed_precision("fp16", cuda=True) == "fp16"
    with pytest.raises(SettingError, match="bf16: this card does not"):
        mixed_precision("bf16", cuda=True)
    # Apple's GPU is never chosen: nothing was tested there.
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    assert accelerator("auto", "auto").device.type == "cpu"
