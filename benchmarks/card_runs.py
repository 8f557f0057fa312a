"""What `benchmarks.card` runs besides parity: limited memory, a training step, ComfyUI's server."""

from __future__ import annotations

import csv
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mematte_plugin import MattingPipeline, SettingError
from mematte_plugin.errors import BudgetError
from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.memory.exhaustion import release
from mematte_plugin.memory.free import budget_for
from mematte_plugin.memory.meter import PeakMeter
from mematte_plugin.memory.units import show_bytes
from mematte_plugin.training.recipe import Recipe, Stage
from mematte_plugin.training.records import LOG
from mematte_plugin.training.run_options import RunOptions
from mematte_plugin.training.trainer import Trainer
from tests.comfyui.graphs import Sketch, kept
from tests.comfyui.pictures import photo, trimap
from tests.comfyui.server import HERE, REPOSITORY, checkouts, prepare, running
from tests.training.trainer_bank import small_bank

from .prediction import pipeline
from .results import Record, Store
from .runner import Task
from .scenes import make_scene

EXACT = 1e-5
"""How far an alpha may differ from the one without a limit."""
SERVED = 1e-4
"""The same for ComfyUI's, against the CPU."""
SIZES = ((512, 512), (2048, 2048), (3840, 2160), (7680, 4320))
"""(width, height) in pixels that are computed in limited memory."""
TIMES = (1.05, 1.2, 2.0)
"""Times the least budget that torch may take."""
FLAGS: tuple[list[str], ...] = ([], ["--lowvram"], ["--novram"], ["--reserve-vram", "2"])
"""Of ComfyUI's server."""
STEPS = 5
"""Training steps that are timed, after the first one."""
SHOWN = ("seconds", "peak", "difference", "budget", "lossy", "loss", "precision")


def run_tasks(device: str, quick: bool) -> list[list[Task]]:
    """Every measurement, a process for each kind."""
    crop, batch, side = (64, 2, 128) if quick else (448, 8, 1024)
    cases: list[tuple[Callable[..., dict[str, Any]], dict[str, Any]]] = [
        *(
            (limited, {"width": width, "height": height, "times": times})
            for width, height in (SIZES[:1] if quick else SIZES)
            for times in TIMES
        ),
        (training, {"crop": crop, "batch": batch}),
        *((comfyui, {"flags": flags, "side": side}) for flags in FLAGS),
    ]
    return [
        [Task({"run": name, **case}, function, {"device": device, **case}, name)]
        for function, case in cases
        for name in [function.__name__]
    ]


def faults(record: Record) -> str:
    """What is wrong with a result, in words; what cannot run here is not wrong."""
    return record.failed or record.get("wrong") or ""


def as_markdown(store: Store) -> str:
    """A line for each measurement."""
    rows = []
    for one in store.records:
        case = ", ".join(f"{name} {value}" for name, value in one.case.items())
        values = {name: one.get(name) for name in SHOWN if one.get(name) not in (None, "")}
        values.update({n: show_bytes(values[n]) for n in ("peak", "budget") if n in values})
        found = ", ".join(f"{name} {value}" for name, value in values.items())
        word = f"skipped: {one.skipped}" if one.skipped else "pass"
        rows.append((case, found, f"FAIL: {faults(one)}" if faults(one) else word))
    table = markdown_table(("case", "found", ""), rows)
    return f"# Limited memory, training, ComfyUI\n\n{store.about}\n\n{table}\n"


# ---- in the worker -------------------------------------------------------------------------------


def limited(device: str, width: int, height: int, times: float) -> dict[str, Any]:
    """One picture while torch may take a share of the card that leaves `times` the least budget.

    Raises SettingError for the CPU.
    """
    if not device.startswith("cuda"):
        raise SettingError("torch limits memory on CUDA devices only")
    pipe = pipeline("mematte-tiny", device, "float32")
    scene = make_scene(height, width, 0.15)
    whole = pipe(scene.image, scene.trimap).alpha
    try:
        pipe(scene.image, scene.trimap, memory_budget=1)
    except BudgetError as error:
        budget = int(times * error.least)
    release(device)
    total = torch.cuda.mem_get_info(device)[1]
    free = bisect_left(range(total), budget, key=budget_for)
    share = min(1.0, (torch.cuda.memory_reserved(device) + free) / total)
    torch.cuda.reset_peak_memory_stats(device)
    torch.cuda.set_per_process_memory_fraction(share, device)
    begin = time.perf_counter()
    try:
        matte = pipe(scene.image, scene.trimap)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    return {
        "seconds": round(time.perf_counter() - begin, 3),
        "peak": matte.plan.measured_peak or 0,
        "budget": budget,
        "lossy": "; ".join(matte.plan.lost),
        **_difference(matte.alpha, whole, float("inf") if matte.plan.lost else EXACT),
    }


def training(device: str, crop: int, batch: int) -> dict[str, Any]:
    """A step of the built-in model's recipe; its peak includes the weights.

    Raises MEMatteError if the loss is not finite.
    """
    stages = (Stage(crop, batch, STEPS + 1),)
    recipe = replace(Recipe.read("mematte-tiny"), stages=stages, pool=batch, reuse=100)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    with tempfile.TemporaryDirectory() as folder, PeakMeter(device) as meter:
        bank = small_bank(Path(folder, "bank"), count=4)
        options = RunOptions(log_every=1, preview_every=0)
        out = Path(folder, "run")
        trainer = Trainer(recipe, bank, out, device=device, workers=0, options=options)
        outcome = trainer.run()
        with (out / LOG).open() as file:
            loss = float(list(csv.DictReader(file))[-1]["loss"])
    return {
        "seconds": round(batch / outcome.crops_per_second * (1 - outcome.waited), 4),
        "peak": meter.peak or 0,
        "loss": round(loss, 4),
        "precision": trainer.accelerator.mixed_precision,
    }


def comfyui(device: str, flags: list[str], side: int) -> dict[str, Any]:
    """A real server with these flags mattes a picture.

    Raises SettingError without a checkout of ComfyUI, and for flags that need a card.
    """
    found = checkouts()
    if not found:
        raise SettingError("COMFYUI_PATH names no checkout of ComfyUI")
    if device == "cpu" and flags[-1:] in (["--lowvram"], ["--novram"]):
        raise SettingError("ComfyUI takes --cpu or this flag")
    number = device.partition(":")[2]
    chosen = [*flags, "--cuda-device", number] if number else flags
    with tempfile.TemporaryDirectory() as folder:
        base = prepare(Path(folder, "base"), [REPOSITORY, HERE / "pack"])
        sketch = Sketch(Path(folder))
        image, guide = photo(side, side), trimap(side, side)
        inputs = {"image": sketch.image(image), "trimap": sketch.mask(guide)}
        model = sketch.model("mematte-tiny", "float32")
        node = sketch.add("MEMatteMatting", model=model, **inputs)
        out = sketch.keep(alpha=node[0])
        offline = {"HF_HOME": str(base / "hub"), "HF_HUB_OFFLINE": "1"}
        cpu = device == "cpu"
        with running(found[0], base, flags=chosen, environment=offline, cpu=cpu) as server:
            run = server.run(sketch.graph)
        if run.status != "success":
            raise RuntimeError(str((run.error or {}).get("exception_message", run.status)))
        alpha = kept(out)["alpha"][0].float().numpy()
    pipe = MattingPipeline.from_pretrained("mematte-tiny", device="cpu", dtype="float32")
    expected = pipe(image[0].numpy(), guide[0].numpy()).alpha
    return {"seconds": run.seconds, **_difference(alpha, expected, SERVED)}


def _difference(alpha: NDArray[Any], expected: NDArray[Any], most: float) -> dict[str, Any]:
    largest = float(np.abs(alpha - expected).max())
    found = f"{largest:.1e}"
    return {"difference": found, "wrong": "" if largest < most else f"alpha differs by {found}"}
