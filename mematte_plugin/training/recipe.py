"""What a training run computes, as a JSON file, and its schedules over the steps."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any

from ..errors import SettingError

RECIPES = Path(__file__).parent / "recipes"
PRECISIONS = ("auto", "no", "bf16", "fp16")
_CROP_MULTIPLE = 32
_RETIRED: dict[str, tuple[str | None, ...]] = {
    "data": ("stored", "composed", "repeated", "recomposed"),
    "init_backbone": (None,),
}
"""Fields of older recipes, with the values that can be ignored: all train on stored crops now."""


@dataclass(frozen=True)
class Stage:
    """A part of the run with crops of one size."""

    crop: int
    """Side of a training crop in pixels; 224 and 448 fill the 14-token windows exactly."""
    batch: int
    """Crops per step, over all processes together."""
    steps: int
    """Length of the stage."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes; a JSON file under recipes/.

    Times are shares of the whole run, 0 to 1, so that the stages alone decide its length.
    """

    network: dict[str, Any]
    """Fields of NetworkConfig."""
    stages: tuple[Stage, ...]
    """In order, small crops first."""
    reuse: int = 2
    """Uses of each stored crop on average; with a GPU, raise it until training never waits."""
    pool: int = 256
    """Crops per process held on the device to draw from."""
    cells: tuple[int, ...] = ()
    """Cells of the flow guidance in pixels (see NetworkInput), drawn per item, since a crop stands
    for a part of a photo of any size. Empty: the cell that suits the crop's own size."""
    lr: float = 5e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.05
    """Of AdamW; biases, norms and position tables are not decayed."""
    layer_decay: float = 1.0
    """Learning rate of an encoder block over that of the next one; below 1 spares pretrained early
    layers."""
    warmup: int = 200
    """Steps over which the learning rate rises, at the start of the run."""
    schedule: str = "cosine"
    """Shape of the learning rate after that: "cosine", "step" or "plateau"."""
    cooldown: float = 0.3
    """Plateau only: share of the run, at its end, over which the learning rate falls to zero."""
    milestones: tuple[float, ...] = (0.2, 0.87)
    """Step only: when the learning rate drops to a tenth."""
    clip: float = 1.0
    """Largest gradient norm of everything but the routers."""
    router_clip: float = 0.5
    """Largest gradient norm of the routers, clipped apart: sampling the decisions makes their
    gradient noisy and several times larger than all others."""
    ema: float = 0.999
    """Decay of the averaged weights that are evaluated and shipped."""
    squared: float = 0.0
    """Weight of the squared error, added to the absolute one (losses.unknown_squared)."""
    retention: float = 0.25
    """Share of tokens that routed blocks should keep on average."""
    retention_weight: float = 1.0
    """Weight of the retention loss."""
    routing_hint: tuple[tuple[float, float], ...] = ()
    """Weight of losses.routing_hint as points (share of the run, weight), linear between them and
    constant outside; empty for none."""
    decisions_learn_from: float | None = 0.0
    """When the matte's error starts to reach the routers, as in the paper; None for never. Early on
    that gradient is mostly sampling noise."""
    distillation: float = 0.0
    """Weight of the feature distillation; needs a teacher."""
    teacher: str | None = None
    """Weights of the frozen teacher: run, folder, file, name or Hub id."""
    init: str | None = None
    """Weights to start from, likewise, where names and shapes agree."""
    precision: str = "auto"
    """"no", "bf16" or "fp16"; "auto" is bf16 on CUDA cards that have it, "no" elsewhere."""
    seed: int = 0
    """Seeds the initial weights, every crop and every decision."""
    notes: str = field(default="")
    """Remarks for readers."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, default = getattr(self, f.name), f.default
            if isinstance(default, (int, float)) and not isinstance(value, (int, float, NoneType)):
                raise SettingError(f"recipe: {f.name} {value!r}; give a number such as {default}")
        for what, ok, remedy in _requirements(self):
            if not ok:
                raise SettingError(f"recipe: {what}; {remedy}")

    @property
    def steps(self) -> int:
        """Length of the run."""
        return sum(stage.steps for stage in self.stages)

    def crops_until(self, step: int) -> int:
        """Crops seen in the first `step` steps."""
        total = 0
        for stage in self.stages:
            total += min(step, stage.steps) * stage.batch
            step = max(0, step - stage.steps)
        return total

    def stage_at(self, step: int) -> tuple[int, int]:
        """(number, first step) of the stage that a step belongs to."""
        first = 0
        for number, stage in enumerate(self.stages):
            if step < first + stage.steps:
                return number, first
            first += stage.steps
        return len(self.stages) - 1, first - self.stages[-1].steps

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "recipe") -> Recipe:
        """Inverse of `to_dict`. Raises SettingError for an unknown field or an invalid value."""
        values = _without_retired(values, source)
        known = {f.name for f in fields(cls)}
        odd = sorted(set(values) - known)
        if odd:
            raise SettingError(f"{source}: unknown recipe field {', '.join(odd)}; remove it")
        missing = [name for name in ("network", "stages") if name not in values]
        if missing:
            raise SettingError(f"{source}: recipe without {' and '.join(missing)}; add it")
        try:
            stages = tuple(Stage(**stage) for stage in values["stages"])
            return cls(**{k: _frozen(v) for k, v in values.items() if k != "stages"}, stages=stages)
        except (TypeError, AttributeError, ValueError) as error:
            raise SettingError(
                f"{source}: not a recipe ({error}); compare it with {RECIPES / 'mematte-tiny.json'}"
            ) from None

    @classmethod
    def read(cls, name_or_path: str | Path) -> Recipe:
        """Read a recipe from a JSON file, or a built-in one by name. Raises SettingError."""
        path = Path(name_or_path)
        named = RECIPES / f"{name_or_path}.json"
        if not path.is_file() and named.is_file():
            path = named
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            names = ", ".join(sorted(p.stem for p in RECIPES.glob("*.json")))
            raise SettingError(
                f"recipe {name_or_path}: {error.strerror}; give a JSON file, or one of {names}"
            ) from None
        except ValueError as error:
            raise SettingError(f"recipe {path}: not JSON ({error}); correct the file") from None
        if not isinstance(values, dict):
            raise SettingError(f"recipe {path}: not a JSON object; correct the file")
        return cls.from_dict(values, str(path))


def _without_retired(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Drop fields that only older recipes and checkpoints have."""
    for name, harmless in _RETIRED.items():
        if name in values and values[name] not in harmless:
            raise SettingError(
                f"{source}: recipe field {name} {values[name]!r} is no longer supported; remove it"
            )
    return {name: value for name, value in values.items() if name not in _RETIRED}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def _requirements(recipe: Recipe) -> Sequence[tuple[str, bool, str]]:
    """(fault, whether it is absent, remedy) of everything that can be wrong."""
    sides = [stage.crop for stage in recipe.stages]
    counts = [n for stage in recipe.stages for n in (stage.batch, stage.steps)]
    shares = [share for share, _ in recipe.routing_hint]
    return (
        ("no stages", bool(recipe.stages), "give at least one"),
        (
            f"crops of {sides} px",
            all(side > 0 and side % _CROP_MULTIPLE == 0 for side in sides),
            f"use multiples of {_CROP_MULTIPLE}",
        ),
        ("a batch or length below 1", all(n >= 1 for n in counts), "use 1 or more"),
        (f"cells {recipe.cells}", all(c >= 1 for c in recipe.cells), "use 1 or more"),
        ("reuse or pool below 1", min(recipe.reuse, recipe.pool) >= 1, "use 1 or more"),
        (
            f"schedule {recipe.schedule!r}",
            recipe.schedule in SCHEDULES,
            f"use {', '.join(SCHEDULES)}",
        ),
        (
            f"precision {recipe.precision!r}",
            recipe.precision in PRECISIONS,
            f"use {', '.join(PRECISIONS)}",
        ),
        ("routing_hint out of order", shares == sorted(shares), "sort its points by share"),
    )


def _cosine(recipe: Recipe, done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def _plateau(recipe: Recipe, done: float) -> float:
    return min(1.0, (1 - done) / recipe.cooldown) if recipe.cooldown else 1.0


def _step(recipe: Recipe, done: float) -> float:
    return float(0.1 ** sum(done >= milestone for milestone in recipe.milestones))


SCHEDULES: dict[str, Callable[[Recipe, float], float]] = {
    "cosine": _cosine,
    "plateau": _plateau,
    "step": _step,
}
"""Factor of the peak learning rate after a share of the run, 0 to 1."""


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, and the recipe's schedule."""
    rising = (step + 1) / recipe.warmup if recipe.warmup else 1.0
    return recipe.lr * min(1.0, rising) * SCHEDULES[recipe.schedule](recipe, step / recipe.steps)


def hint_weight(recipe: Recipe, step: int) -> float:
    """Weight of the routing hint at a step."""
    points, done = recipe.routing_hint, step / recipe.steps
    if not points:
        return 0.0
    for (start, low), (end, high) in itertools.pairwise(points):
        if start <= done < end:
            return low + (high - low) * (done - start) / (end - start)
    return points[0][1] if done < points[0][0] else points[-1][1]


def decisions_learn(recipe: Recipe, step: int) -> bool:
    """Whether the matte's error reaches the routers at a step."""
    start = recipe.decisions_learn_from
    return start is not None and step >= start * recipe.steps
