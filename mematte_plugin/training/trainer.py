"""The training loop: batches in, checkpoints out; resumable to the step after a kill.

One process, or several on GPUs and machines started by `accelerate launch` or `torchrun`.
"""

from __future__ import annotations

import copy
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import MEMatteError, SettingError
from ..memory.exhaustion import is_out_of_memory
from ..network import MEMatte, NetworkConfig
from ..network.inputs import NetworkInput
from ..network.mematte import TrainingOutput
from . import losses
from .batches import Batch, Feed, Part, batch_seed
from .checkpoint import CHECKPOINT, VERSION, load_state, save_state
from .data.storing import make_folder
from .habits import Habits, Outcome, Pace, accelerator
from .optimizer import averaged, parameter_groups, router_parameters, set_learning_rate
from .recipe import Recipe, decisions_learn, hint_weight, learning_rate
from .records import (
    LOG,
    PREVIEWS,
    SHOWN,
    TRAINING_COLUMNS,
    VALIDATION,
    VALIDATION_COLUMNS,
    Table,
    tensorboard,
    write_preview,
)
from .start import start_from, trained_network
from .validate import validate

logger = logging.getLogger(__name__)

CROPS = "crops"
"""Folder of a run with the stored crops of its pool; they are made again where it is missing, and
deleted where nothing is left to train."""


class Learner(nn.Module):
    """A network whose forward pass is the training pass, as accelerate's wrappers want it."""

    def __init__(self, network: MEMatte) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: NetworkInput, learn: bool) -> TrainingOutput:
        """See MEMatte.training_pass."""
        return self.network.training_pass(inputs, decisions_learn=learn)


class Trainer:
    """Trains a network with the paper's losses, with or without routing and teacher.

    Args:
        recipe: what to compute.
        bank: folder of training pictures (see training/data).
        directory: where checkpoint, log and pictures live; a run found there is continued.
        device: "auto", "cpu" or "cuda"; a launcher's choice of GPU is respected.
        workers: processes that make batches; 0 makes them between the steps.
        habits: logging, saving, validating.

    Raises SettingError for what does not fit together, WeightsError for weights that cannot be
    used.
    """

    def __init__(
        self,
        recipe: Recipe,
        bank: Path,
        directory: Path,
        *,
        device: str = "auto",
        workers: int = 1,
        habits: Habits | None = None,
    ) -> None:
        self.recipe = recipe
        self.bank = Path(bank)
        self.directory = Path(directory)
        self.workers = workers
        self.habits = habits or Habits()
        self.accelerator = accelerator(device, recipe.precision)
        self.device: torch.device = self.accelerator.device
        self.part = Part(self.accelerator.process_index, self.accelerator.num_processes)
        if any(stage.batch < self.part.world for stage in recipe.stages):
            raise SettingError(f"a batch smaller than {self.part.world} processes; start fewer")
        state = self._saved()
        torch.manual_seed(recipe.seed)
        self.network = MEMatte(NetworkConfig.from_dict(recipe.network)).initialise()
        if state is None:
            self._start()
        self.step = 0
        with self._enough_memory():
            self.network.to(self.device).train()
            self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
            self.teacher = self._teacher()
        optimizer = torch.optim.AdamW(
            parameter_groups(self.network, recipe),
            lr=recipe.lr,
            betas=(0.9, 0.99),
            fused=self.device.type == "cuda",
        )
        self.learner, self.optimizer = self.accelerator.prepare(Learner(self.network), optimizer)
        self.routers, self.others = router_parameters(self.network)
        if state is not None:
            self._resume(state)
        self._saved_step = self.step
        make_folder(self.directory)

    def run(
        self,
        *,
        minutes: float = math.inf,
        until: int | None = None,
        progress: Callable[[int, int, str], None] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Train to the recipe's last step, to step `until` or for some minutes, then save.

        Args:
            minutes: wall clock, from here to the last step; saving comes on top.
            until: step to stop at.
            progress: called with (steps done, steps, "training").
            should_stop: asked after every step; on true the run saves and returns.

        Raises MEMatteError on a loss or gradient that is not finite, naming the step and the
        batch's seed, and where memory runs out; the last checkpoint stays as it was.
        """
        end = time.monotonic() + minutes * 60
        last = self.recipe.steps if until is None else min(until, self.recipe.steps)
        feed = self._feed()
        log, board = self._table(LOG, TRAINING_COLUMNS), None
        if self.accelerator.is_main_process:
            board = tensorboard(self.directory, self.step)
        pace = Pace(self.recipe, feed, self.part.world)
        first, saved, validated = self.step, time.monotonic(), -1

        def due_to_stop() -> bool:
            return should_stop() or time.monotonic() > end

        def due_to_save() -> bool:
            return time.monotonic() - saved > self.habits.save_minutes * 60

        (stop,) = self._agreed(due_to_stop())
        while self.step < last and not stop:
            with self._enough_memory():
                begins = feed.begins_at(self.step)
                batch = feed.batch(self.step, due_to_stop)
                if begins and self._agreed(batch is None)[0]:
                    break
                assert batch is not None
                figures = self.train_batch(batch)
                stop, save = self._watched(figures, due_to_stop(), due_to_save())
            if self.step == first + 1:  # the first one fills pools and caches
                pace.start(self.step)
            if self.step % self.habits.log_every == 0 or self.step == last:
                row = {**_numbers(figures), **pace.figures(self.step)}
                self._record(log, board, row)
            if self.habits.preview_every and self.step % self.habits.preview_every == 0:
                self._preview(batch)
            if save or self.step % self.habits.save_every == 0:
                self.save()
                saved = time.monotonic()
            if self.step % self.habits.validate_every == 0:
                self.validate()
                validated = self.step
            if progress is not None:
                progress(self.step, self.recipe.steps, "training")
            # Several processes agree with their next step.
            stop = due_to_stop() if self.part.world == 1 else stop
        figures_at_end = pace.figures(self.step)
        if self.step != self._saved_step:
            self.save()
        if self.step == self.recipe.steps:
            self._finish(measure=self.step not in (first, validated))
        if board is not None:
            board.close()
        return Outcome(self.step, self.recipe.steps, **figures_at_end)

    def train_batch(self, batch: Batch) -> dict[str, Tensor | float]:
        """One optimiser step, without waiting for the device; returns the loss terms and other
        figures by name."""
        lr = learning_rate(self.recipe, self.step)
        set_learning_rate(self.optimizer, lr)
        # Decisions are sampled: tie the draw to the step, so that a resumed run repeats it.
        torch.manual_seed(batch_seed(self.recipe, self.step, self.part.rank))
        terms, share = self._terms(batch)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.unscale_gradients()
        norm = nn.utils.clip_grad_norm_(self.others, self.recipe.clip)
        router_norm = nn.utils.clip_grad_norm_(self.routers, self.recipe.router_clip)
        self.optimizer.step()
        self.step += 1
        averaged(self.average, self.network, min(self.recipe.ema, self.step / (self.step + 9)))
        return {
            "loss": loss.detach(),
            **{name: value.detach() for name, value in terms.items()},
            "kept": share,
            "lr": lr,
            "gradient_norm": norm,
            "router_norm": router_norm,
        }

    def _terms(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor | float]:
        """Every loss by name, weighted; and the share of tokens kept."""
        recipe = self.recipe
        inputs, truth = batch.inputs, batch.alpha
        unknown = ((inputs.trimap > 0) & (inputs.trimap < 1)).float()
        # The learner's own precision is accelerate's business; the losses are float32.
        out: TrainingOutput = self.learner(inputs, decisions_learn(recipe, self.step))
        terms = {
            "unknown": losses.unknown_l1(out.alpha, truth, unknown),
            "known": losses.known_l1(out.alpha, truth, unknown),
            "laplacian": losses.laplacian(out.alpha, truth),
            "gradient": losses.gradient_penalty(out.alpha, truth, unknown),
        }
        if recipe.squared:
            squared = losses.unknown_squared(out.alpha, truth, unknown)
            terms["squared"] = recipe.squared * squared
        if self.teacher is not None:
            with torch.no_grad(), self.accelerator.autocast():
                wanted = self.teacher.backbone(self._teachers(inputs)).features
            terms["distillation"] = recipe.distillation * losses.distillation(out.features, wanted)
        if not out.keep:
            return terms, 1.0
        share = losses.kept_share(out.keep)
        if self.part.world > 1:  # the constraint is on the batch of all processes
            mean = self.accelerator.reduce(share.detach(), reduction="mean")
            share = share + (mean - share.detach())
        terms["retention"] = recipe.retention_weight * losses.retention(share, recipe.retention)
        if weight := hint_weight(recipe, self.step):
            terms["hint"] = weight * losses.routing_hint(out.margins, unknown)
        return terms, share.detach()

    def _teachers(self, inputs: NetworkInput) -> NetworkInput:
        """The input as the teacher wants it, who may have another mean and deviation of pixels."""
        assert self.teacher is not None
        own, other = inputs.config, self.teacher.config
        if (own.pixel_mean, own.pixel_std) == (other.pixel_mean, other.pixel_std):
            return inputs
        return NetworkInput(inputs.image, inputs.trimap, other, inputs.dtype)

    def _watched(self, figures: Mapping[str, Tensor | float], *wishes: bool) -> list[bool]:
        """What the processes agree on of some wishes (see `_agreed`), once the step's loss is known
        to be finite: the one time in a step that the device is waited for.

        Raises MEMatteError where it is not; then the weights are spoilt, and must not be saved.
        """
        watched = torch.as_tensor(figures["loss"])
        if self.accelerator.scaler is None:
            # Under fp16 an infinite gradient only makes the scaler skip the step.
            watched = watched + 0 * (figures["gradient_norm"] + figures["router_norm"])
        failed, *agreed = self._agreed(~torch.isfinite(watched), *wishes)
        if failed:
            found = _numbers(figures)
            step = self.step - 1
            raise MEMatteError(
                f"training: the loss is {found['loss']} and its gradient's norm "
                f"{found['gradient_norm'] + found['router_norm']} at step {step} (batch seed "
                f"{batch_seed(self.recipe, step, self.part.rank)}); lower the learning rate, or use"
                " another precision, and run again: the last checkpoint is as it was"
            )
        return agreed

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        """Names what to change where memory runs out within it."""
        try:
            yield
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            stage = self.recipe.stages[self.recipe.stage_at(self.step)[0]]
            full = self.device.type == "cuda" and self.accelerator.mixed_precision == "no"
            half = "use --precision bf16 (fp16 on cards without it), or " if full else ""
            raise MEMatteError(
                f"training: out of memory on {self.device} at step {self.step}, with {stage.batch} "
                f"crops of {stage.crop} pixels a step and a pool of {self.recipe.pool}; {half}give "
                "a recipe with a smaller batch, crop or pool, or start more processes, and run "
                "again: the last checkpoint is as it was"
            ) from error

    def save(self) -> None:
        """Write the checkpoint; a kill or a full disk while writing leaves the former one.

        Raises OutputError where it cannot be written.
        """
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state = {
                "step": self.step,
                "recipe": self.recipe.to_dict(),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
            }
            save_state(self.directory / CHECKPOINT, state)
            logger.info("step %d saved to %s", self.step, self.directory / CHECKPOINT)
        self._saved_step = self.step
        self.accelerator.wait_for_everyone()

    def validate(self) -> None:
        """Measure the averaged weights on the folder of photographs, if there is one."""
        folder = self.habits.validate
        if folder is None or not self.accelerator.is_main_process:
            return
        table = self._table(VALIDATION, VALIDATION_COLUMNS)
        for row in validate(self.average, folder, self.device):
            self._record(table, None, row)

    def _finish(self, *, measure: bool) -> None:
        """After the last step, saved: leave no crops behind."""
        if self.accelerator.is_main_process:
            shutil.rmtree(self.directory / CROPS, ignore_errors=True)
        if measure:
            self.validate()

    def _preview(self, batch: Batch) -> None:
        if not self.accelerator.is_main_process:
            return
        image, trimap = batch.inputs.image[:SHOWN], batch.inputs.trimap[:SHOWN]
        with torch.no_grad():
            matte = self.average.predict(image, trimap).alpha
        path = self.directory / PREVIEWS / f"step-{self.step:07d}.png"
        write_preview(path, [image, trimap, batch.alpha[:SHOWN], matte])

    def _feed(self) -> Feed:
        return Feed(
            self.recipe,
            self.bank,
            device=self.device,
            workers=self.workers,
            part=self.part,
            folder=self.directory / CROPS,
        )

    def _table(self, name: str, columns: tuple[str, ...]) -> Table | None:
        if not self.accelerator.is_main_process:
            return None
        return Table(self.directory / name, columns, self.step)

    def _record(self, table: Table | None, board: Any, row: dict[str, Any]) -> None:
        if table is None:
            return
        table.add({"step": self.step, **row})
        shown = {k: v if isinstance(v, str) else f"{v:.5g}" for k, v in row.items()}
        logger.info("step %d: %s", self.step, ", ".join(f"{k} {v}" for k, v in shown.items()))
        if board is not None:
            for name, value in row.items():
                board.add_scalar(name, value, self.step)

    def _agreed(self, *wishes: bool | Tensor) -> list[bool]:
        """Whether any process wishes each: all have to leave the loop at the same step."""
        if self.part.world == 1:
            return [bool(wish) for wish in wishes]
        votes = torch.stack([torch.as_tensor(w, device=self.device).float() for w in wishes])
        return [count > 0 for count in self.accelerator.reduce(votes, reduction="sum").tolist()]

    def _start(self) -> None:
        if self.recipe.init is not None:
            start_from(self.network, self.recipe.init)

    def _teacher(self) -> MEMatte | None:
        if not self.recipe.distillation:
            return None
        if self.recipe.teacher is None:
            raise SettingError(
                "the recipe distils from a teacher and names none: give its run or weights with "
                "--teacher, or set distillation to 0"
            )
        teacher = trained_network(self.recipe.teacher).to(self.device).requires_grad_(False)
        own, other = self.network.config, teacher.config
        for name in ("embed_dim", "patch_size", "guidance"):
            if getattr(own, name) != getattr(other, name):
                raise SettingError(
                    f"teacher {self.recipe.teacher}: its {name} is {getattr(other, name)}, the "
                    f"recipe's {getattr(own, name)}; train a teacher of the recipe's shape"
                )
        return teacher

    def _saved(self) -> dict[str, Any] | None:
        path = self.directory / CHECKPOINT
        if not path.exists():
            return None
        state = load_state(path)
        if state.get("version") != VERSION:
            raise SettingError(
                f"{path}: a run of an older version, which cannot be continued; give another folder"
                f" and start from its weights with --init {self.directory}"
            )
        if state["recipe"]["network"] != self.recipe.to_dict()["network"]:
            raise SettingError(
                f"{path}: holds a run of another network; give another folder to start anew"
            )
        return state

    def _resume(self, state: dict[str, Any]) -> None:
        before, now = state["recipe"], self.recipe.to_dict()
        changed = [name for name in now if now[name] != before.get(name)]
        if changed:
            logger.warning("continued with another %s than before", ", ".join(changed))
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise SettingError(
                f"{self.directory / CHECKPOINT}: its optimiser does not fit the recipe ({error}); "
                f"start a new run with --init {self.directory}"
            ) from None
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]
        logger.info("continued at step %d of %d", self.step, self.recipe.steps)


def _numbers(figures: Mapping[str, Tensor | float]) -> dict[str, float]:
    """All of them read at once from the device."""
    there = [value for value in figures.values() if isinstance(value, Tensor)]
    numbers = iter(torch.stack(there).cpu().tolist() if there else [])
    return {
        name: next(numbers) if isinstance(value, Tensor) else float(value)
        for name, value in figures.items()
    }
