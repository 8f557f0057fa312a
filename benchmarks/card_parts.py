"""The measurements of `card.py`, run in a process of their own: one line of JSON for each."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

UNKNOWN = 0.15
"""Share of unknown pixels in the scenes; small scenes have more (see `_scene`)."""
RETENTION = 0.25
LAUNCHES = 2000
"""Small operations that are timed for what one launch costs."""


@dataclass(frozen=True)
class Item:
    """One measurement, and what came of it."""

    part: str
    """A key of `PARTS`, or "speed"."""
    name: str
    """What tells it from others of its part."""
    spec: dict[str, Any] = field(default_factory=dict)
    """What its function takes."""
    values: dict[str, Any] = field(default_factory=dict)
    """What was found."""
    seconds: tuple[float, ...] = ()
    """What it took, warming up included; of speed, each run's."""
    skipped: str = ""
    """Why it was not tried."""
    failed: str = ""
    """Why there is no result."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.part, self.name


class NotHere(Exception):
    """What an item needs is not there; the message says what."""


def serve() -> None:
    """Measure the items in the first argument (JSON) and print each as a line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    job = json.loads(sys.argv[1])
    for values in job["items"]:
        part, name, spec = values["part"], values["name"], values["spec"]
        begin = time.perf_counter()
        found: dict[str, Any] = {"values": {}, "skipped": "", "failed": ""}
        try:
            found["values"] = PARTS[part](job["device"], **spec)
        except NotHere as error:
            found["skipped"] = str(error)
        except (Exception, SystemExit) as error:  # whatever it is, the rest goes on
            found["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
        found["seconds"] = [] if found["skipped"] else [time.perf_counter() - begin]
        answers.write(json.dumps({"part": part, "name": name, "spec": spec, **found}) + "\n")
        answers.flush()


# ---- parity --------------------------------------------------------------------------------------


def parity(device: str, *, precision: str, way: str, side: int, quick: bool) -> dict[str, Any]:
    """The fixtures of the official code; with way "pipeline" the bundled model against the CPU."""
    import torch

    from .card_parity import fixtures_gap, pipeline_gap

    if way == "pipeline":
        return pipeline_gap(device, precision, side).values()
    return fixtures_gap(torch.device(device), precision, way, quick=quick).values()


# ---- memory --------------------------------------------------------------------------------------


def context(device: str) -> dict[str, Any]:
    """What a process takes of the card beside its tensors: to be the first of its process."""
    import torch

    from .device_meter import DeviceMeter

    before = _driver_used(device)
    meter = DeviceMeter(device)
    one = torch.ones(1, device=device)
    meter.synchronise()
    after = _driver_used(device)
    outside = meter.used() - meter.reserved()
    meter.reset()
    idle = meter.allocated()
    for dtype in (torch.float32, torch.float16) if meter.card else (torch.float32,):
        square = torch.ones(1, 64, 256, 256, device=device, dtype=dtype)
        weight = torch.ones(64, 64, 3, 3, device=device, dtype=dtype)
        torch.nn.functional.conv2d(square, weight, padding=1)
        torch.nn.functional.linear(square, square[0, 0])
    meter.synchronise()
    tensors = 3 * square.nbytes + weight.nbytes  # at most two results beside them
    known = before is not None and after is not None
    del one
    return {
        "context": after - before - meter.reserved() if known and after and before else None,
        "libraries": meter.used() - meter.reserved() - outside,
        "workspace": max(0, meter.top_allocated() - idle - tensors),
    }


def _driver_used(device: str) -> int | None:
    """Bytes of the card in use, asked without torch, which would take some for asking."""
    import shutil
    import subprocess

    program = shutil.which("nvidia-smi")
    if program is None or not device.startswith("cuda"):
        return None
    index = int(device.partition(":")[2] or 0)
    visible = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    chosen = visible[index] if index < len(visible) else str(index)
    asked = [program, "-i", chosen, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
    text = done.stdout.strip()
    return int(text) * 2**20 if text.isdigit() else None


def memory(device: str, **case: Any) -> dict[str, Any]:
    """Predicted against measured peak of one combination (a `peaks.Peak`)."""
    if not case:
        return context(device)
    from .device_meter import DeviceMeter
    from .peaks import Peak, budget_of

    one = Peak(**case)
    meter = DeviceMeter(device)
    pipe = _pipeline(device, one.variant, one.dtype)
    scene = _scene(one.height, one.width)
    budget = budget_of(one, pipe)
    meter.reset()
    allocated, reserved, outside = (
        meter.allocated(),
        meter.reserved(),
        meter.used() - meter.reserved(),
    )
    matte = pipe(scene.image, scene.trimap, retention=one.retention, memory_budget=budget)
    meter.synchronise()
    return {
        "predicted": matte.plan.predicted_peak,
        "measured": matte.plan.measured_peak or 0,
        "allocated": meter.top_allocated() - allocated,
        "reserved": meter.top_reserved() - reserved,
        "outside": meter.used() - meter.reserved() - outside,
        "phase": matte.plan.worst,
        "steps": list(matte.plan.steps),
    }


# ---- launches ------------------------------------------------------------------------------------


def launches(
    device: str, *, variant: str, dtype: str, width: int, height: int, repeats: int
) -> dict[str, Any]:
    """How much of a run is spent on launching: operations, and what one costs."""
    from statistics import median

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    from .device_meter import DeviceMeter

    counts: Counter[str] = Counter()

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            view = any(
                one.alias_info and not one.alias_info.is_write for one in func._schema.returns
            )
            there = any(getattr(leaf, "device", None) == meter.device for leaf in tree_leaves(out))
            if there and not view:
                counts[func._schema.name] += 1
            return out

    meter = DeviceMeter(device)
    if meter.card and meter.device.index is None:
        meter.device = torch.device("cuda", torch.cuda.current_device())
    pipe, scene = _pipeline(device, variant, dtype), _scene(height, width)

    def run() -> float:
        begin = meter.synchronise()
        pipe(scene.image, scene.trimap, retention=RETENTION)
        return meter.synchronise() - begin

    run()
    times = [run() for _ in range(repeats)]
    with Counting():
        run()
    small = torch.ones(1, device=device)
    begin = meter.synchronise()
    for _ in range(LAUNCHES):
        small.add_(1)
    asked = time.perf_counter()  # not waited for: what the host spends
    meter.synchronise()
    each, taken = (asked - begin) / LAUNCHES, median(times)
    operations = sum(counts.values())
    return {
        "time": taken,
        "operations": operations,
        "operations per second": operations / taken,
        "launch": each,
        "share": operations * each / taken,
        "most": dict(counts.most_common(8)),
    }


# ---- ladder --------------------------------------------------------------------------------------


def ladder(device: str, *, width: int, height: int, unknown: float, times: float) -> dict[str, Any]:
    """One picture on a card of which torch may take only a share: times the least that will do."""
    import numpy as np

    from mematte_plugin.errors import BudgetError
    from mematte_plugin.memory.limits import headroom

    from .device_meter import DeviceMeter
    from .scenes import make_scene

    meter = DeviceMeter(device)
    pipe = _bundled(device)
    scene = make_scene(height, width, unknown)
    whole = pipe(scene.image, scene.trimap).alpha
    try:
        pipe(scene.image, scene.trimap, memory_budget=1)
    except BudgetError as error:
        least = error.least
    room = int(times * least)
    meter.reset()
    share, margin = headroom()
    limited = meter.limit(int((room + margin) / share))  # so that the budget is that room
    try:
        matte = pipe(scene.image, scene.trimap, **({} if limited else {"memory_budget": room}))
    finally:
        meter.limit(None)
    return {
        "room": room,
        "limited": limited,
        "predicted": matte.plan.predicted_peak,
        "measured": matte.plan.measured_peak or 0,
        "lost": list(matte.plan.lost),
        "steps": list(matte.plan.steps),
        "difference": float(np.abs(matte.alpha - whole).max()),
    }


# ---- ComfyUI -------------------------------------------------------------------------------------


def comfyui(device: str, flags: list[str], side: int) -> dict[str, Any]:
    """A real server with these flags mattes a picture; its alpha against the pipeline's here."""
    import torch

    from mematte_plugin import MattingPipeline
    from tests.comfyui.graphs import Sketch, kept
    from tests.comfyui.pictures import photo, trimap
    from tests.comfyui.server import HERE, REPOSITORY, checkouts, prepare, running

    found = checkouts()
    if not found:
        raise NotHere("not run: COMFYUI_PATH is not set")
    with tempfile.TemporaryDirectory() as folder:
        base = prepare(Path(folder, "base"), [REPOSITORY, HERE / "pack"])
        sketch = Sketch(Path(folder))
        image, guide = photo(side, side), trimap(side, side)
        node = sketch.add(
            "MEMatteMatting",
            model=sketch.model("mematte-tiny", "float32"),
            image=sketch.image(image),
            trimap=sketch.mask(guide),
        )
        out = sketch.keep(alpha=node[0], report=node[3])
        environment = {"HF_HOME": str(base / "hub"), "HF_HUB_OFFLINE": "1"}
        with running(
            found[0], base, flags=flags, environment=environment, cpu=device == "cpu"
        ) as server:
            run = server.run(sketch.graph)
        if run.status != "success":
            raise RuntimeError(str((run.error or {}).get("exception_message", run.status)))
        alpha, report = kept(out)["alpha"], str(kept(out)["report"])
        seconds = run.seconds
    pipe = MattingPipeline.from_pretrained("mematte-tiny", device="cpu", dtype="float32")
    expected = pipe(image[0].numpy(), guide[0].numpy()).alpha
    apart = (alpha[0].float() - torch.from_numpy(expected)).abs().max()
    return {"difference": float(apart), "time": seconds, "report": report[:300]}


# ---- training ------------------------------------------------------------------------------------


def training(device: str, quick: bool) -> dict[str, Any]:
    """Training steps: time, peak, and whether a run that was cut goes on."""
    from mematte_plugin.network import VARIANTS
    from mematte_plugin.training.habits import Habits
    from mematte_plugin.training.recipe import Recipe, Stage
    from mematte_plugin.training.trainer import Trainer
    from tests.networks import SMALL
    from tests.training.trainer_bank import small_bank

    from .device_meter import DeviceMeter

    shape = SMALL if quick else asdict(VARIANTS["tiny"])
    network = {k: list(v) if isinstance(v, tuple) else v for k, v in shape.items()}
    network |= {"guidance": "flow", "abs_pos": False, "padding": "each"}
    crop, batch, count = (64, 2, 2) if quick else (448, 8, 5)
    stage = Stage(crop, batch, 2 * count + 2)
    recipe = Recipe(network=network, stages=(stage,), pool=8, warmup=2)
    meter = DeviceMeter(device)
    with tempfile.TemporaryDirectory() as folder:
        bank = small_bank(Path(folder, "bank"), count=4, side=160)

        def trainer() -> Trainer:
            return Trainer(
                recipe,
                bank,
                Path(folder, "run"),
                device=device,
                workers=0,
                habits=Habits(preview_every=0),
            )

        first = trainer()
        first.run(until=2)
        meter.reset()
        before = meter.allocated()
        begin = meter.synchronise()
        first.run(until=2 + count)
        taken = (meter.synchronise() - begin) / count
        peak = meter.top_allocated() - before
        del first
        again = trainer()
        at = again.step
        end = again.run().step
    return {
        "time": taken,
        "peak": peak,
        "resumed at": at,
        "cut at": 2 + count,
        "ended at": end,
        "to end at": 2 * count + 2,
    }


# ---- what is shared ------------------------------------------------------------------------------


@lru_cache(2)
def _pipeline(device: str, variant: str, dtype: str) -> Any:
    from .peaks import Peak, pipeline_for

    return pipeline_for(Peak(variant, 0, 0, UNKNOWN, RETENTION, dtype=dtype), device)


@lru_cache(1)
def _bundled(device: str) -> Any:
    from mematte_plugin import MattingPipeline

    return MattingPipeline.from_pretrained("mematte-tiny", device=device, dtype="float32")


@lru_cache(1)
def _scene(height: int, width: int) -> Any:
    from .scenes import make_scene

    return make_scene(height, width, 0.4 if min(height, width) < 400 else UNKNOWN)


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "parity": parity,
    "memory": memory,
    "launches": launches,
    "ladder": ladder,
    "comfyui": comfyui,
    "training": training,
}

if __name__ == "__main__":
    serve()
