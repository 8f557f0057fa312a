"""The trainer learns, and continues where it was stopped."""

from __future__ import annotations

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mematte_plugin.errors import MEMatteError, OutputError, SettingError, WeightsError
from mematte_plugin.training.batches import Feed, Share, network_input
from mematte_plugin.training.checkpoint import CHECKPOINT, FORMER, save_state
from mematte_plugin.training.recipe import Recipe, Stage
from mematte_plugin.training.records import LOG, PREVIEWS, VALIDATION
from mematte_plugin.training.run_options import RunOptions
from mematte_plugin.training.start import trained_network
from mematte_plugin.training.stopping import stop_requests
from mematte_plugin.training.trainer import CROPS, Trainer
from mematte_plugin.weights.save import save_network
from tests.networks import SMALL, random_input, random_network

from .trainer_bank import small_bank

NETWORK = {k: list(v) if isinstance(v, tuple) else v for k, v in SMALL.items()}
NETWORK |= {"guidance": "nearest", "abs_pos": False, "padding": "each"}
DENSE = {**NETWORK, "routed": False}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bank(tmp_path_factory.mktemp("data") / "bank")


def recipe(*stages: tuple[int, int, int], **changes: object) -> Recipe:
    values: dict[str, object] = {
        "network": NETWORK,
        "stages": tuple(Stage(*stage) for stage in stages or [(96, 4, 40)]),
        "warmup": 5,
        "lr": 2e-3,
        "ema": 0.9,
        "pool": 8,
    }
    return Recipe(**{**values, **changes})  # type: ignore[arg-type]


def trainer(plan: Recipe, bank: Path, folder: Path, workers: int = 0, **options: object) -> Trainer:
    return Trainer(
        plan,
        bank,
        folder,
        device="cpu",
        workers=workers,
        options=RunOptions(**{"preview_every": 0, **options}),  # type: ignore[arg-type]
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def same_weights(one: Trainer, other: Trainer) -> bool:
    pairs = zip(
        [*one.network.state_dict().values(), *one.average.state_dict().values()],
        [*other.network.state_dict().values(), *other.average.state_dict().values()],
        strict=True,
    )
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_loss_falls_and_is_logged(bank: Path, tmp_path: Path) -> None:
    plan = recipe((64, 4, 30), network=DENSE)
    trainer(plan, bank, tmp_path, log_every=3, preview_every=30).run()
    log = rows(tmp_path / LOG)
    assert [int(row["step"]) for row in log] == list(range(3, 31, 3))
    found = [float(row["loss"]) for row in log]
    assert sum(found[-3:]) < 0.8 * sum(found[:3])
    assert float(log[-1]["crops_per_second"]) > 0
    assert float(log[-1]["generator_per_second"]) > 0
    picture = cv2.imread(str(tmp_path / PREVIEWS / "step-0000030.png"))
    # 4 crops, two side by side, of 4 pictures each, with 4 pixels between and around them.
    assert picture.shape == (2 * 68 + 4, 8 * 68 + 4, 3)


def test_an_interrupted_run_ends_like_an_uninterrupted_one(bank: Path, tmp_path: Path) -> None:
    # The cut is in the second stage, so the sizes' bookkeeping is part of what is continued.
    network = {**NETWORK, "guidance": "flow"}
    plan = recipe((64, 4, 3), (96, 2, 4), network=network, pool=8, cells=(2, 4))
    whole = trainer(plan, bank, tmp_path / "whole")
    whole.run()
    assert trainer(plan, bank, tmp_path / "cut").run(until=5).step == 5
    cut = trainer(plan, bank, tmp_path / "cut")
    assert cut.step == 5
    cut.run()
    assert cut.step == whole.step == 7
    assert same_weights(whole, cut)
    assert not (tmp_path / "cut" / CROPS).exists()  # deleted at the end


@pytest.mark.slow
def test_batches_do_not_depend_on_the_number_of_workers(bank: Path) -> None:
    plan = recipe((64, 4, 5))
    feeds = [
        Feed(plan, bank, device=torch.device("cpu"), workers=workers, share=Share())
        for workers in (0, 2)
    ]
    for step in (1, 2, 3):
        one, other = (feed.batch(step) for feed in feeds)
        assert one is not None
        assert other is not None
        assert torch.equal(one.inputs.crop(0, 0, 64, 64), other.inputs.crop(0, 0, 64, 64))
        assert torch.equal(one.alpha, other.alpha)


def test_steps_repeated_after_a_kill_are_logged_once(bank: Path, tmp_path: Path) -> None:
    plan = recipe((64, 2, 4))
    trainer(plan, bank, tmp_path, log_every=1).run(until=2)
    saved = (tmp_path / CHECKPOINT).read_bytes()
    trainer(plan, bank, tmp_path, log_every=1).run(until=4)
    (tmp_path / CHECKPOINT).write_bytes(saved)  # as if killed before the checkpoint of step 4
    trainer(plan, bank, tmp_path, log_every=1).run()
    assert [row["step"] for row in rows(tmp_path / LOG)] == ["1", "2", "3", "4"]


def test_minutes_and_signals_end_a_run_between_steps(bank: Path, tmp_path: Path) -> None:
    late = trainer(recipe(), bank, tmp_path / "late")
    assert late.run(minutes=0).step == 0
    with stop_requests() as wish:
        outcome = trainer(recipe(), bank, tmp_path / "signal").run(
            should_stop=wish,
            progress=lambda done, *_: os.kill(os.getpid(), signal.SIGTERM) if done == 2 else None,
        )
    assert outcome.step == 2
    assert wish.signal == signal.SIGTERM
    assert trainer(recipe(), bank, tmp_path / "signal").step == 2


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    bank: Path, tmp_path: Path
) -> None:
    plan = recipe((64, 2, 6), seed=3)
    trainer(plan, bank, tmp_path).run(until=2)
    before = (tmp_path / CHECKPOINT).read_bytes()
    broken = trainer(plan, bank, tmp_path)
    with torch.no_grad():
        broken.network.decoder.matting_head.matting_convs[3].bias.fill_(float("nan"))
    # Batch seed (3 · 1000003 + 2) · 1009: enough to make that batch again.
    with pytest.raises(MEMatteError, match=r"step 2 \(batch seed 3027011099\)"):
        broken.run()
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_checkpoint_that_cannot_be_written_leaves_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / CHECKPOINT
    save_state(path, {"step": 1})
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        save_state(path, {"step": 2})
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} <= {CHECKPOINT, FORMER}


def test_the_checkpoint_before_the_last_is_kept(bank: Path, tmp_path: Path) -> None:
    trainer(recipe((64, 2, 3)), bank, tmp_path, save_every=1).run(until=2)
    (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 half of it")
    with pytest.raises(WeightsError, match=FORMER):
        trainer(recipe((64, 2, 3)), bank, tmp_path)
    (tmp_path / FORMER).replace(tmp_path / CHECKPOINT)
    assert trainer(recipe((64, 2, 3)), bank, tmp_path).step == 1


def test_a_damaged_checkpoint_is_named(bank: Path, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 half of it")
    with pytest.raises(WeightsError, match="not a whole checkpoint"):
        trainer(recipe(), bank, tmp_path)


def test_a_directory_of_another_network_is_refused(bank: Path, tmp_path: Path) -> None:
    trainer(recipe((64, 2, 1)), bank, tmp_path).run()
    with pytest.raises(SettingError, match="another network"):
        trainer(recipe((64, 2, 1), network={**NETWORK, "embed_dim": 64}), bank, tmp_path)


def test_corrupt_pictures_are_skipped_and_counted(tmp_path: Path) -> None:
    bank = small_bank(tmp_path / "bank")
    for name in ("rendered-000001", "rendered-000004"):
        (bank / f"foregrounds/{name}.webp").write_bytes(b"RIFF....WEBPVP8 and no more")
    outcome = trainer(recipe((64, 8, 2)), bank, tmp_path / "run").run()
    assert (outcome.step, outcome.skipped) == (2, 2)
    for path in (bank / "foregrounds").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(MEMatteError, match="no readable foreground"):
        trainer(recipe((64, 2, 2)), bank, tmp_path / "hopeless", workers=1).run()


@pytest.mark.slow
def test_a_student_starts_from_its_dense_teacher_and_follows_it(bank: Path, tmp_path: Path) -> None:
    trainer(recipe((64, 4, 20), network=DENSE), bank, tmp_path / "teacher").run()
    source = str(tmp_path / "teacher")
    plan = recipe((64, 4, 20), teacher=source, init=source, distillation=5.0, retention=0.5)
    alike = trainer(plan, bank, tmp_path / "alike")
    taught = trained_network(source)
    assert not taught.config.routed
    assert torch.equal(
        alike.network.backbone.blocks[0].mlp.fc1.weight, taught.backbone.blocks[0].mlp.fc1.weight
    )
    plan = replace(plan, init=None)
    student = trainer(plan, bank, tmp_path / "student", log_every=2)
    before = [p.clone() for p in student.teacher.state_dict().values()]  # type: ignore[union-attr]
    student.run()
    after = student.teacher.state_dict().values()  # type: ignore[union-attr]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    log = rows(tmp_path / "student" / LOG)
    assert float(log[-1]["distillation"]) < 0.8 * float(log[0]["distillation"])


def test_a_teacher_that_cannot_teach_is_refused(bank: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--teacher"):
        trainer(recipe(distillation=1.0), bank, tmp_path)
    wide = {**DENSE, "embed_dim": 64}
    trainer(recipe((64, 2, 1), network=wide), bank, tmp_path / "wide").run()
    plan = recipe(distillation=1.0, teacher=str(tmp_path / "wide"))
    with pytest.raises(SettingError, match="embed_dim is 64"):
        trainer(plan, bank, tmp_path / "student")


def test_a_teacher_gets_its_own_pixel_statistics(bank: Path, tmp_path: Path) -> None:
    """ViTMatte's published networks have other pixel statistics than the paper's recipe."""
    normal = random_network(routed=False, padding="both")
    save_network(normal, tmp_path / "normal")
    # The same function of the picture: each pixel's channels are exactly half as large.
    mean, std = normal.config.pixel_mean, tuple(2 * s for s in normal.config.pixel_std)
    other = random_network(routed=False, padding="both", pixel_mean=mean, pixel_std=std)
    assert torch.equal(other.backbone.pos_embed, normal.backbone.pos_embed)
    with torch.no_grad():
        other.backbone.patch_embed.proj.weight[:, :3].mul_(2)
    save_network(other, tmp_path / "other")
    found = {}
    for name in ("normal", "other"):
        network = {**NETWORK, "guidance": "none"}
        plan = recipe((64, 2, 1), network=network, distillation=1.0, teacher=str(tmp_path / name))
        trainer(plan, bank, tmp_path / f"{name}-run").run()
        found[name] = float(rows(tmp_path / f"{name}-run" / LOG)[0]["distillation"])
    assert found["other"] == pytest.approx(found["normal"], rel=1e-3)


def test_the_hint_fades_and_then_the_matte_reaches_the_routers(bank: Path, tmp_path: Path) -> None:
    plan = recipe(
        (64, 2, 8),
        routing_hint=((0.0, 1.0), (0.5, 0.0)),
        retention_weight=0.0,
        decisions_learn_from=0.75,
    )
    trainer(plan, bank, tmp_path, log_every=1).run()
    log = {int(row["step"]): row for row in rows(tmp_path / LOG)}  # step n was made as n - 1
    assert float(log[2]["hint"]) > float(log[4]["hint"]) > 0
    # Neither hint nor retention nor matte: nothing teaches the routers.
    assert log[6]["hint"] == ""
    assert float(log[6]["router_norm"]) == 0
    assert float(log[8]["router_norm"]) > 0


def test_flow_guidance_uses_all_cells_of_the_recipe() -> None:
    plan = recipe(network={**DENSE, "guidance": "flow"}, cells=(2, 4, 8))
    image, trimap = random_input(64, 64)
    steps, cells = range(12), {}
    for cell in plan.cells:
        inputs = network_input(replace(plan, cells=(cell,)), 0, image, trimap)
        cells[cell] = inputs.crop(0, 0, 64, 64)
    chosen = set()
    for step in steps:
        made = network_input(plan, step, image, trimap).crop(0, 0, 64, 64)
        chosen |= {cell for cell, wanted in cells.items() if torch.equal(made, wanted)}
    assert chosen == {2, 4, 8}


def test_the_last_step_is_always_logged(bank: Path, tmp_path: Path) -> None:
    for steps in (1, 3):
        trainer(recipe((64, 2, steps)), bank, tmp_path / str(steps), log_every=2).run()
        assert rows(tmp_path / str(steps) / LOG)[-1]["step"] == str(steps)
    assert [row["step"] for row in rows(tmp_path / "3" / LOG)] == ["2", "3"]


@pytest.mark.slow
def test_the_retention_loss_holds_the_share_of_kept_tokens_down(bank: Path, tmp_path: Path) -> None:
    plan = recipe((64, 4, 25), lr=3e-2, retention=0.1, retention_weight=20.0, warmup=0)
    trainer(plan, bank, tmp_path, log_every=2).run()
    kept = [float(row["kept"]) for row in rows(tmp_path / LOG)]
    assert kept[0] > 0.3
    later = kept[len(kept) // 2 :]  # single steps are noisy
    assert sum(later) / len(later) < 0.5 * kept[0]


def test_the_losses_stay_float32_in_half_precision(bank: Path, tmp_path: Path) -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)  # accelerate remembers the precision for the process
    try:
        learned = trainer(recipe((64, 2, 2), precision="bf16"), bank, tmp_path)
        seen = []
        hook = learned.network.backbone.blocks[0].mlp.fc1.register_forward_hook(
            lambda *args: seen.append(args[2].dtype)
        )
        learned.run()
        hook.remove()
        assert set(seen) == {torch.bfloat16}
        assert learned.network.dtype == torch.float32
        feed = Feed(learned.recipe, bank, device=torch.device("cpu"), workers=0, share=Share())
        batch = feed.batch(0)
        assert batch is not None
        terms, _ = learned._terms(batch)
        assert {term.dtype for term in terms.values()} == {torch.float32}
        # A loss rounded to bfloat16 would have 16 zero bits at its end.
        convolved = torch.stack([terms["laplacian"], terms["gradient"]])
        bits = convolved.detach().view(torch.int32)
        assert (bits & 0xFFFF).all()
        with pytest.raises(SettingError, match="CUDA"):
            trainer(recipe(precision="fp16"), bank, tmp_path / "other")
    finally:
        AcceleratorState._reset_state(True)


def test_real_photographs_are_measured_at_full_size(bank: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    trimap = np.zeros((70, 90), np.uint8)
    trimap[20:50, 30:60] = 128
    trimap[30:40, 40:50] = 255
    for name, picture in (
        ("image", rng.integers(0, 255, (70, 90, 3), np.uint8)),
        ("alpha", (trimap // 2 + trimap % 2).astype(np.uint8)),
        ("trimap_narrow", trimap),
        ("trimap_wide", trimap),
    ):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for stem in ("one", "two"):
            cv2.imwrite(str(tmp_path / "photos" / name / f"{stem}.png"), picture)
    (tmp_path / "photos/image/two.png").write_bytes(b"damaged")
    options = {"validate": tmp_path / "photos", "validate_every": 2}
    trainer(recipe((64, 2, 3)), bank, tmp_path / "run", **options).run()
    found = rows(tmp_path / "run" / VALIDATION)
    assert [(row["step"], row["trimap"]) for row in found] == [
        ("2", "narrow"),
        ("2", "wide"),
        ("3", "narrow"),
        ("3", "wide"),
    ]
    assert {row["pictures"] for row in found} == {"1.0"}
    # 800 unknown pixels (900 less the 100 of the core) of error at most 1: SAD below 0.8 thousand.
    assert all(0 < float(row["sad"]) < 0.8 for row in found)
