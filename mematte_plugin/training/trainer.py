"""The training loop: crops in, checkpoints out; resumable to the step after a kill."""

from __future__ import annotations

import copy
import csv
import json
import logging
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ..errors import MEMatteError, SettingError
from ..network import MEMatte, NetworkConfig
from . import losses
from .data.compose import Composer

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes; one JSON file under recipes/."""

    network: dict[str, Any]
    """Fields of NetworkConfig."""
    crop: int = 224
    """Side of a training crop in pixels; 224 and 448 fill the 14-token windows exactly."""
    batch: int = 16
    """Crops per step."""
    steps: int = 5000
    """Length of the run."""
    lr: float = 5e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.05
    """Of AdamW."""
    warmup: int = 200
    """Steps over which the learning rate rises."""
    cooldown: float = 0.3
    """Last share of the steps, over which the learning rate falls to zero."""
    clip: float = 1.0
    """Largest gradient norm."""
    ema: float = 0.999
    """Decay of the averaged weights that are evaluated and shipped."""
    retention: float = 0.25
    """Share of tokens that routed blocks should keep on average."""
    retention_weight: float = 1.0
    """Weight of the retention loss."""
    routing_hint: float = 0.0
    """Weight of the hint that unknown tokens are the informative ones (losses.routing_hint)."""
    decisions_learn: bool = True
    """Whether the matte's error reaches the routers (paper). Early on that gradient is mostly noise
    of the sampling, many times the network's own, and clipping then slows everything down."""
    seed: int = 0
    """Seeds the initial weights and every crop."""
    notes: str = field(default="")
    """For the reader."""

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe file. Raises SettingError for a field that is not one of a recipe's."""
        values = json.loads(path.read_text())
        odd = sorted(set(values) - {f.name for f in fields(cls)})
        if odd:
            raise SettingError(f"{path}: unknown recipe field {', '.join(odd)}")
        return cls(**values)


class Crops(IterableDataset[dict[str, Tensor]]):
    """Composed crops number `first`, `first + 1`, …; crop n depends on the seed and n only."""

    def __init__(self, bank: Path, recipe: Recipe, first: int) -> None:
        self.bank = bank
        self.recipe = recipe
        self.first = first

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = torch.utils.data.get_worker_info()
        number, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        composer = Composer(self.bank, size=self.recipe.crop)
        # DataLoader takes whole batches from its workers in turn.
        batch = self.recipe.batch
        first_batch = self.first // batch + number
        while True:
            for n in range(first_batch * batch, (first_batch + 1) * batch):
                sample = composer.sample(np.random.default_rng([self.recipe.seed, n]))
                trimap = torch.from_numpy(sample.trimap)[None].float()
                yield {
                    "image": torch.from_numpy(sample.image).permute(2, 0, 1).float() / 255,
                    "trimap": torch.where(trimap == 128, 0.5, trimap / 255),
                    "alpha": torch.from_numpy(sample.alpha)[None],
                }
            first_batch += step


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, plateau, linear cool-down to zero."""
    cooldown = max(1, round(recipe.steps * recipe.cooldown))
    return recipe.lr * min(1.0, (step + 1) / recipe.warmup, (recipe.steps - step) / cooldown)


class Trainer:
    """Trains a routed network with the paper's losses, without a teacher.

    Args:
        recipe: what to compute.
        bank: folder of training pictures (see training/data).
        directory: where checkpoint and log live; a run found there is continued.
        device: torch device.
    """

    def __init__(self, recipe: Recipe, bank: Path, directory: Path, device: str = "cpu") -> None:
        self.recipe = recipe
        self.bank = bank
        self.directory = directory
        self.device = torch.device(device)
        directory.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.network = MEMatte(NetworkConfig.from_dict(recipe.network)).initialise()
        self.network.to(self.device).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self._groups(), lr=recipe.lr, betas=(0.9, 0.99))
        self.step = 0
        if (directory / CHECKPOINT).exists():
            self._resume(directory / CHECKPOINT)

    def run(
        self,
        *,
        minutes: float = math.inf,
        until: int | None = None,
        workers: int = 1,
        save_every: int = 200,
    ) -> None:
        """Train to the recipe's last step, to step `until` or for some minutes, then save.

        Raises MEMatteError on a loss that is not finite, naming the step; the last checkpoint
        stays as it was.
        """
        end = time.monotonic() + minutes * 60
        crops = Crops(self.bank, self.recipe, self.step * self.recipe.batch)
        loader = iter(DataLoader(crops, batch_size=self.recipe.batch, num_workers=workers))
        started, first = time.monotonic(), self.step
        last = self.recipe.steps if until is None else min(until, self.recipe.steps)
        while self.step < last and time.monotonic() < end:
            figures = self.train_batch(next(loader))
            if self.step % 20 == 0:
                rate = (self.step - first) * self.recipe.batch / (time.monotonic() - started)
                self._log({"step": self.step, **figures, "crops_per_second": rate})
            if self.step % save_every == 0:
                self.save()
        self.save()

    def train_batch(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One optimiser step; returns the losses by name."""
        lr = learning_rate(self.recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        # Decisions are sampled: tie the draw to the step, so that a resumed run repeats it.
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        image, trimap, truth = (batch[k].to(self.device) for k in ("image", "trimap", "alpha"))
        unknown = ((trimap > 0) & (trimap < 1)).float()
        out = self.network.training_step(image, trimap, decisions_learn=self.recipe.decisions_learn)
        terms = {
            "unknown": losses.unknown_l1(out.alpha, truth, unknown),
            "known": losses.known_l1(out.alpha, truth, unknown),
            "laplacian": losses.laplacian(out.alpha, truth),
            "gradient": losses.gradient_penalty(out.alpha, truth, unknown),
        }
        if out.keep:
            constraint = losses.retention(out.keep, self.recipe.retention)
            terms["retention"] = self.recipe.retention_weight * constraint
        if out.keep and self.recipe.routing_hint:
            hint = losses.routing_hint(out.margins, unknown)
            terms["hint"] = self.recipe.routing_hint * hint
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise MEMatteError(
                f"training: the loss is {loss.item()} at step {self.step} (seed "
                f"{self.recipe.seed}); lower the learning rate and resume from the last checkpoint"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.step += 1
        self._average()
        figures = {name: value.item() for name, value in terms.items()}
        if out.keep:
            figures["kept"] = float(np.mean([k.float().mean().item() for k in out.keep]))
        return {"loss": loss.item(), **figures}

    def save(self) -> None:
        """Write the checkpoint; a kill while writing leaves the former one."""
        state = {
            "step": self.step,
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        target = self.directory / CHECKPOINT
        temporary = target.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, target)
        logger.info("step %d saved to %s", self.step, target)

    def _resume(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"]["network"] != self.recipe.network:
            raise SettingError(
                f"{path}: holds a run of another network; give another directory to start anew"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def _groups(self) -> list[dict[str, Any]]:
        # Biases, norms and relative positions are not decayed, as is usual for ViTs.
        decayed: list[Tensor] = []
        free: list[Tensor] = []
        for name, parameter in self.network.named_parameters():
            plain = parameter.ndim < 2 or "rel_pos" in name or "pos_embed" in name
            (free if plain else decayed).append(parameter)
        return [
            {"params": decayed, "weight_decay": self.recipe.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ]

    @torch.no_grad()
    def _average(self) -> None:
        # A young average would remember the random start: let the decay grow with the steps.
        decay = min(self.recipe.ema, (self.step + 1) / (self.step + 10))
        source = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(source[name], 1 - decay)
            else:
                value.copy_(source[name])

    def _log(self, row: dict[str, float]) -> None:
        path = self.directory / LOG
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow({k: round(v, 5) for k, v in row.items()})
