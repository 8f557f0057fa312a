"""The training loop: batches in, checkpoints out; a killed run resumes at its last checkpoint.

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
from ..progress import Progress, no_progress
from . import losses
from .batches import Batch, Feed, Share, batch_seed
from .checkpoint import CHECKPOINT, VERSION, load_state, save_state
from .data.storing import make_folder
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
from .run_options import Outcome, RunOptions, Stopwatch, accelerator
from .start import start_from
from .teacher import Teacher
from .validate import validate

logger = logging.getLogger(__name__)

CROPS = "crops"
"""Folder of a run with the stored crops of its pool: remade if missing, deleted at the end."""


class Learner(nn.Module):
    """A network whose forward pass is the training pass, as accelerate's wrappers expect."""

    def __init__(self, network: MEMatte) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: NetworkInput, learn: bool) -> TrainingOutput:
        """See MEMatte.training_pass."""
        return self.network.training_pass(inputs, decisions_learn=learn)


class Trainer:
    """Trains a network with the paper's losses, with or without routing and a teacher.

    Args:
        recipe: what to compute.
        bank: folder of training pictures (see training/data).
        directory: where checkpoint, log and previews go; a run found there is continued.
        device: "auto", "cpu" or "cuda"; a launcher's choice of GPU is respected.
        workers: processes that make batches; 0 makes them between the steps.
        options: logging, saving, validating.

    Raises SettingError for settings that do not fit together, WeightsError for weights that cannot
    be used.
    """

    def __init__(
        self,
        recipe: Recipe,
        bank: Path,
        directory: Path,
        *,
        device: str = "auto",
        workers: int = 1,
        options: RunOptions | None = None,
    ) -> None:
        self.recipe = recipe
        self.bank = Path(bank)
        self.directory = Path(directory)
        self.workers = workers
        self.options = options or RunOptions()
        self.accelerator = accelerator(device, recipe.precision)
        self.device: torch.device = self.accelerator.device
        self.share = Share(self.accelerator.process_index, self.accelerator.num_processes)
        if any(stage.batch < self.share.world for stage in recipe.stages):
            raise SettingError(f"a batch smaller than {self.share.world} processes; start fewer")
        state = self._saved()
        torch.manual_seed(recipe.seed)
        self.network = MEMatte(NetworkConfig.from_dict(recipe.network)).initialise()
        if state is None and recipe.init is not None:
            start_from(self.network, recipe.init)
        self.step = 0
        with self._enough_memory():
            self.network.to(self.device).train()
            self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
            self.teacher = Teacher(recipe).to(self.device) if recipe.distillation else None
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
        progress: Progress = no_progress,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Train to the recipe's last step, to step `until` or for some minutes, then save.

        Args:
            minutes: wall clock, until the last step; saving comes on top.
            until: step to stop at.
            progress: called with (steps done, steps, "training").
            should_stop: called after every step; if true, the run saves and returns.

        Raises MEMatteError if a loss or gradient is not finite, naming the step and the batch's
        seed, and if memory runs out; the last checkpoint stays valid.
        """
        end = time.monotonic() + minutes * 60
        last = self.recipe.steps if until is None else min(until, self.recipe.steps)
        feed = Feed(
            self.recipe,
            self.bank,
            device=self.device,
            workers=self.workers,
            share=self.share,
            folder=self.directory / CROPS,
        )
        log = None
        if self.accelerator.is_main_process:
            board = tensorboard(self.directory, self.step)
            log = Table(self.directory / LOG, TRAINING_COLUMNS, self.step, board)
        stopwatch = Stopwatch(self.recipe, feed, self.share.world)
        first, saved, validated = self.step, time.monotonic(), -1

        def due_to_stop() -> bool:
            return should_stop() or time.monotonic() > end

        def due_to_save() -> bool:
            return time.monotonic() - saved > self.options.save_minutes * 60

        (stop,) = self._any_process(due_to_stop())
        while self.step < last and not stop:
            with self._enough_memory():
                begins = feed.begins_at(self.step)
                batch = feed.batch(self.step, due_to_stop)
                if begins and self._any_process(batch is None)[0]:
                    break
                assert batch is not None
                figures = self.train_batch(batch)
                stop, save = self._checked(figures, due_to_stop(), due_to_save())
            if self.step == first + 1:  # the first one fills pools and caches
                stopwatch.start(self.step)
            if self.step % self.options.log_every == 0 or self.step == last:
                row = {**_numbers(figures), **stopwatch.figures(self.step)}
                if log is not None:
                    log.add(self.step, row)
            if self.options.preview_every and self.step % self.options.preview_every == 0:
                self._preview(batch)
            if save or self.step % self.options.save_every == 0:
                self.save()
                saved = time.monotonic()
            if self.step % self.options.validate_every == 0:
                self.validate()
                validated = self.step
            progress(self.step, self.recipe.steps, "training")
            # Several processes agree in their next step.
            stop = due_to_stop() if self.share.world == 1 else stop
        speed = stopwatch.figures(self.step)
        if self.step != self._saved_step:
            self.save()
        if self.step == self.recipe.steps:
            self._finish(measure=self.step not in (first, validated))
        if log is not None and log.board is not None:
            log.board.close()
        return Outcome(self.step, self.recipe.steps, **speed)

    def train_batch(self, batch: Batch) -> dict[str, Tensor | float]:
        """One optimiser step, without waiting for the device.

        Returns the loss terms and other figures by name.
        """
        lr = learning_rate(self.recipe, self.step)
        set_learning_rate(self.optimizer, lr)
        # Routing decisions are sampled: seed them by step, so that a resumed run repeats them.
        torch.manual_seed(batch_seed(self.recipe, self.step, self.share.rank))
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
        """The weighted losses by name, and the share of tokens kept."""
        recipe = self.recipe
        inputs, truth = batch.inputs, batch.alpha
        unknown = ((inputs.trimap > 0) & (inputs.trimap < 1)).float()
        # accelerate chooses the learner's precision; the losses are float32.
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
            with self.accelerator.autocast():
                wanted = self.teacher(inputs)
            terms["distillation"] = recipe.distillation * losses.distillation(out.features, wanted)
        if not out.keep:
            return terms, 1.0
        share = losses.kept_share(out.keep)
        if self.share.world > 1:  # the loss is on the batch of all processes
            mean = self.accelerator.reduce(share.detach(), reduction="mean")
            share = share + (mean - share.detach())
        terms["retention"] = recipe.retention_weight * losses.retention(share, recipe.retention)
        if weight := hint_weight(recipe, self.step):
            terms["hint"] = weight * losses.routing_hint(out.margins, unknown)
        return terms, share.detach()

    def _checked(self, figures: Mapping[str, Tensor | float], *votes: bool) -> list[bool]:
        """What `_any_process` makes of votes, once the step's loss is known to be finite.

        The one point in a step that waits for the device. Raises MEMatteError if the loss is not
        finite; the weights are then spoilt and must not be saved.
        """
        watched = torch.as_tensor(figures["loss"])
        if self.accelerator.scaler is None:
            # Under fp16 an infinite gradient only makes the scaler skip the step.
            watched = watched + 0 * (figures["gradient_norm"] + figures["router_norm"])
        failed, *agreed = self._any_process(~torch.isfinite(watched), *votes)
        if failed:
            found = _numbers(figures)
            step = self.step - 1
            raise MEMatteError(
                f"training: the loss is {found['loss']} and its gradient's norm "
                f"{found['gradient_norm'] + found['router_norm']} at step {step} (batch seed "
                f"{batch_seed(self.recipe, step, self.share.rank)}); lower the learning rate or use"
                " another precision, and run again: the last checkpoint is still valid"
            )
        return agreed

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        """Turn running out of memory into an error that says what to change."""
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
                "again: the last checkpoint is still valid"
            ) from error

    def save(self) -> None:
        """Write the checkpoint. Raises OutputError; the former one then stays."""
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
        """Measure the averaged weights on the folder of photos, if there is one."""
        folder = self.options.validate
        if folder is None or not self.accelerator.is_main_process:
            return
        table = Table(self.directory / VALIDATION, VALIDATION_COLUMNS, self.step)
        for row in validate(self.average, folder, self.device):
            table.add(self.step, row)

    def _finish(self, *, measure: bool) -> None:
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

    def _any_process(self, *votes: bool | Tensor) -> list[bool]:
        """Whether any process votes for each: all must leave the loop at the same step."""
        if self.share.world == 1:
            return [bool(vote) for vote in votes]
        own = torch.stack([torch.as_tensor(vote, device=self.device).float() for vote in votes])
        return [count > 0 for count in self.accelerator.reduce(own, reduction="sum").tolist()]

    def _saved(self) -> dict[str, Any] | None:
        path = self.directory / CHECKPOINT
        if not path.exists():
            return None
        state = load_state(path)
        if state.get("version") != VERSION:
            raise SettingError(
                f"{path}: a run of another version, which cannot be continued; give another folder "
                f"and start from its weights with --init {self.directory}"
            )
        if state["recipe"]["network"] != self.recipe.to_dict()["network"]:
            raise SettingError(
                f"{path}: a run of another network; give another folder to start a new run"
            )
        return state

    def _resume(self, state: dict[str, Any]) -> None:
        before, now = state["recipe"], self.recipe.to_dict()
        changed = [name for name in now if now[name] != before.get(name)]
        if changed:
            logger.warning("continued with a changed recipe: %s", ", ".join(changed))
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
    """All figures, read from the device at once."""
    there = [value for value in figures.values() if isinstance(value, Tensor)]
    numbers = iter(torch.stack(there).cpu().tolist() if there else [])
    return {
        name: next(numbers) if isinstance(value, Tensor) else float(value)
        for name, value in figures.items()
    }
