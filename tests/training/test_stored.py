"""Stored crops: precision of 8 bit, augmentation, and pools that survive a kill."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mematte_plugin.cli.shell import run
from mematte_plugin.network import NetworkConfig
from mematte_plugin.network.config import input_channels
from mematte_plugin.network.guidance import FARTHEST_LOG
from mematte_plugin.network.inputs import NetworkInput
from mematte_plugin.training.batches import Feed, Share
from mematte_plugin.training.checkpoint import CHECKPOINT
from mematte_plugin.training.recipe import Recipe, Stage
from mematte_plugin.training.run_options import RunOptions
from mematte_plugin.training.stored import (
    Pool,
    packed,
    read_crops,
    repeat,
    unpacked,
    write_crops,
)
from mematte_plugin.training.trainer import CROPS, Trainer
from tests.networks import SMALL, random_input

from .trainer_bank import small_bank

NETWORK = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}
NETWORK |= {"guidance": "flow", "abs_pos": False, "padding": "each"}
CONFIG = NetworkConfig.from_dict(NETWORK)
NAMES = input_channels(CONFIG)
SIDE = 64
Flip = Callable[[Tensor], Tensor]
LAID: tuple[Flip, ...] = tuple(
    lambda x, turns=turns, mirror=mirror: (x.flip(3) if mirror else x).rot90(turns, (2, 3))
    for turns in range(4)
    for mirror in (False, True)
)
"""All orientations of a square."""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bank(tmp_path_factory.mktemp("data") / "bank")


def recipe(*stages: tuple[int, int, int], **changes: object) -> Recipe:
    values: dict[str, object] = {
        "network": NETWORK,
        "stages": tuple(Stage(*stage) for stage in stages or [(SIDE, 2, 40)]),
        "pool": 24,
        "cells": (2, 4),
    }
    return Recipe(**{**values, **changes})  # type: ignore[arg-type]


def feed(plan: Recipe, bank: Path, folder: Path) -> Feed:
    device = torch.device("cpu")
    return Feed(plan, bank, device=device, workers=0, share=Share(), folder=folder)


def planes_at(fed: Feed, step: int) -> Tensor:
    """Input and truth of a step, (B, in_chans + 1, S, S)."""
    batch = fed.batch(step)
    assert batch is not None
    return torch.cat([batch.inputs.crop(0, 0, *batch.inputs.size), batch.alpha], 1)


def some_input(count: int = 3, dtype: torch.dtype = torch.float32) -> tuple[NetworkInput, Tensor]:
    """Of 8-bit pictures; the truth agrees with the trimap."""
    image, trimap = random_input(SIDE, SIDE, count)
    alpha = torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    alpha = torch.where(trimap == 0.5, alpha, trimap)
    return NetworkInput(image.mul(255).round().div(255), trimap, CONFIG, dtype), alpha


def test_storing_loses_at_most_half_a_grey_level() -> None:
    inputs, alpha = some_input()
    planes = packed(inputs, alpha)
    assert planes.dtype == torch.uint8
    assert planes.shape == (3, CONFIG.in_chans + 1, SIDE, SIDE)
    found, truth = unpacked(planes, CONFIG)
    before, after = (x.crop(0, 0, SIDE, SIDE) for x in (inputs, found))
    deviation = dict(zip(("red", "green", "blue"), CONFIG.pixel_std, strict=True))
    for i, name in enumerate(NAMES):
        levels = 255 * deviation.get(name.rpartition("_")[2], 1.0)
        if name.endswith("_distance"):
            levels = 255 / FARTHEST_LOG
        error = float((before[:, i] - after[:, i]).abs().max()) * levels
        assert error < 0.501, name  # of a grey level
    assert (alpha - truth).abs().max() * 255 < 0.501
    assert torch.allclose(found.image, inputs.image, atol=1e-6)
    assert (found.size, found.padded, found.grid) == (inputs.size, inputs.padded, inputs.grid)
    part = found.crop(16, 8, 48, 40)
    assert torch.equal(part, after[:, :, 16:48, 8:40])


def test_trimap_and_known_alpha_stay_exact() -> None:
    inputs, alpha = some_input()
    found, truth = unpacked(packed(inputs, alpha), CONFIG)
    assert set(inputs.trimap.unique().tolist()) == {0.0, 0.5, 1.0}
    assert torch.equal(found.trimap, inputs.trimap)
    known = inputs.trimap != 0.5
    assert torch.equal(truth[known], alpha[known])
    assert {0.0, 1.0} <= set(truth[known].tolist())


def test_turns_and_recolouring_apply_to_all_channels_alike() -> None:
    inputs, alpha = some_input(1)
    pool = Pool(1, torch.device("cpu"))
    pool.add(packed(inputs, alpha))
    original = pool.planes.clone()
    generator = torch.Generator().manual_seed(0)
    ways, orders = set(), set()
    for _ in range(80):
        got, truth = repeat(pool, 1, CONFIG, generator)
        planes = packed(got, truth)  # storing what was stored loses nothing
        way = next(
            i for i, lay in enumerate(LAID) if torch.equal(lay(planes)[:, 3:4], original[:, 3:4])
        )
        laid = LAID[way](planes)
        order = next(
            tuple(order)
            for order in torch.cartesian_prod(*[torch.arange(3)] * 3).tolist()
            if len(set(order)) == 3 and torch.equal(laid[:, :3], original[:, order])
        )
        for first in (NAMES.index("fore_red"), NAMES.index("back_red")):
            theirs = [first + tone for tone in order]
            assert torch.equal(laid[:, first : first + 3], original[:, theirs])
        others = [i for i, name in enumerate((*NAMES, "truth")) if "red" not in name]
        others = [
            i for i in others if (*NAMES, "truth")[i].rpartition("_")[2] not in ("green", "blue")
        ]
        assert torch.equal(laid[:, others], original[:, others])
        ways.add(way)
        orders.add(order)
    assert ways == set(range(8))
    assert len(orders) > 3
    assert torch.equal(pool.planes, original)


def test_only_filled_slots_are_drawn() -> None:
    pool = Pool(8, torch.device("cpu"))
    pool.add(torch.ones(2, 1, 2, 2, dtype=torch.uint8))
    pool.add(torch.ones(2, 1, 2, 2, dtype=torch.uint8))
    generator = torch.Generator().manual_seed(0)
    assert set(pool.draw(200, generator).tolist()) == {0, 1, 2, 3}
    for _ in range(5):
        pool.add(torch.ones(2, 1, 2, 2, dtype=torch.uint8))
    assert set(pool.draw(200, generator).tolist()) == set(range(8))


def test_training_starts_long_before_the_pool_is_full(bank: Path, tmp_path: Path) -> None:
    fed = feed(recipe((SIDE, 2, 200), pool=100), bank, tmp_path)
    planes_at(fed, 0)
    assert fed.throughput.crops == 8 * 2 + 1  # eight batches, and the step's own
    planes_at(fed, 1)
    assert fed.throughput.crops == 8 * 2 + 2  # two crops a step, each used twice: one new one


def test_the_folder_holds_what_the_pool_holds(bank: Path, tmp_path: Path) -> None:
    plan = recipe((SIDE, 2, 40), (96, 2, 3), pool=18)
    fed = feed(plan, bank, tmp_path)
    for step in range(40):
        planes_at(fed, step)
        assert len(list(tmp_path.rglob("*.npy"))) <= 18 + 1
    planes_at(fed, 40)  # of the next stage: the former one's are deleted
    assert {np.load(path).shape[-1] for path in tmp_path.rglob("*.npy")} == {96}


@pytest.mark.parametrize("lost", ["nothing", "everything", "the end of a file", "the right shape"])
# While the pool grows, and when it has lost its first.
@pytest.mark.parametrize("step", [3, pytest.param(15, marks=pytest.mark.slow)])
def test_a_resumed_run_gets_the_same_batches(
    step: int, lost: str, bank: Path, tmp_path: Path
) -> None:
    plan = recipe(pool=20)
    whole = feed(plan, bank, tmp_path / "whole")
    wanted = [planes_at(whole, n) for n in range(step + 4)]
    killed = feed(plan, bank, tmp_path / "killed")
    for n in range(step + 1):  # one step more than what was saved
        planes_at(killed, n)
    files = sorted((tmp_path / "killed").rglob("*.npy"))
    kept = {path: path.stat().st_mtime_ns for path in files}
    victim = files[-3]
    content = victim.read_bytes()
    if lost == "everything":
        for path in files:
            path.unlink()
        files[0].parent.rmdir()
    elif lost == "the end of a file":
        victim.write_bytes(content[: len(content) // 2])
    elif lost == "the right shape":
        write_crops(victim, torch.zeros(1, CONFIG.in_chans + 1, 32, 32, dtype=torch.uint8))
    resumed = feed(plan, bank, tmp_path / "killed")
    for n in range(step, step + 4):
        assert torch.equal(planes_at(resumed, n), wanted[n])
    if lost != "everything":
        again = {
            path for path, at in kept.items() if path.exists() and path.stat().st_mtime_ns != at
        }
        assert again == (set() if lost == "nothing" else {victim})
    if victim.exists():
        assert victim.read_bytes() == content


def test_damaged_files_of_crops_are_not_read(tmp_path: Path) -> None:
    crops = torch.randint(0, 256, (2, 5, 8, 8), dtype=torch.uint8)
    path = tmp_path / "deep" / "0.npy"
    write_crops(path, crops)
    shape = (2, 5, 8, 8)
    kept = read_crops(path, shape)
    assert kept is not None
    assert torch.equal(kept, crops)
    assert read_crops(tmp_path / "none.npy", shape) is None
    assert read_crops(path, (1, 5, 8, 8)) is None
    whole = path.read_bytes()
    for damaged in (b"", b"\x93NUMPY", whole[:40], whole[:-1], b"nonsense" * 9):
        path.write_bytes(damaged)
        assert read_crops(path, shape) is None
    np.save(path, np.array([{"an": "object"}], dtype=object))
    assert read_crops(path, shape) is None
    np.save(path, np.zeros(shape, np.float32))
    assert read_crops(path, shape) is None


def test_a_run_can_be_stopped_while_the_pool_fills(bank: Path, tmp_path: Path) -> None:
    plan = recipe((SIDE, 2, 4))
    trained = Trainer(
        plan, bank, tmp_path, device="cpu", workers=0, options=RunOptions(preview_every=0)
    )
    trained.run(until=2)
    before = (tmp_path / CHECKPOINT).read_bytes()
    for path in (tmp_path / CROPS).rglob("*.npy"):
        path.unlink()
    asked: list[int] = []
    resumed = Trainer(plan, bank, tmp_path, device="cpu", workers=0)
    outcome = resumed.run(should_stop=lambda: bool(asked.append(1)) or len(asked) > 4)
    assert outcome.step == 2
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    # Asked once before the step, then before each item of one crop.
    assert len(list((tmp_path / CROPS).rglob("*.npy"))) == 3


@pytest.mark.slow
def test_minutes_end_a_run_while_the_pool_fills(
    bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = recipe((256, 64, 4), pool=512)
    (tmp_path / "recipe.json").write_text(json.dumps(plan.to_dict()))
    command = ["train", "run", str(tmp_path / "run"), "--data", str(bank), "--device", "cpu"]
    command += ["--recipe", str(tmp_path / "recipe.json"), "--workers", "0", "--minutes", "0.02"]
    assert run(command) == 0
    assert "step 0 of 4" in capsys.readouterr().out
    assert not (tmp_path / "run" / CHECKPOINT).exists()
    items = len(list((tmp_path / "run" / CROPS).rglob("*.npy")))
    assert items < math.ceil(8 * 64 / 32)  # not even what it would begin with
