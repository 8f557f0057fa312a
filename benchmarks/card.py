"""The hour with a card: what only a real one can tell, in one command of under nine minutes.

    python -m benchmarks.card

First parity: what the card computes, against what the official code computed (the fixtures of the
tests). Then `benchmarks.prediction`, alone and with random budgets; runs in a limited share of the
card, a training step, and ComfyUI's real server with its memory flags (where COMFYUI_PATH and
COMFYUI_PYTHON name one; see CONTRIBUTING.md); and `benchmarks.compare`. Each writes its own report;
the same command goes on where it was stopped. What cannot run here is skipped, with the reason.
Exit code 1 if an alpha is wrong, a run fails, or a budget is exceeded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from safetensors.torch import load_file

from mematte_plugin import MattingPipeline, load_network
from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.network import Chunking, MEMatte, NetworkConfig
from mematte_plugin.torch_state import own_state
from tests.parity import ROOT, read_pair

from . import card_runs
from .command import Device, Quick, limits_of, main, write_report
from .compare import compare
from .prediction import prediction
from .results import RESULTS, Record, Store, file_of, machine
from .runner import Task, run
from .scenes import make_scene

EXACT = 1e-5
"""How far float32 may differ from the official code."""
PIPELINE = 1e-4
"""The same for the whole pipeline against the CPU: its guidance is solved step by step."""
PRECISIONS = ("float32", "float16", "bfloat16")
WAYS: dict[str, tuple[str, Chunking]] = {
    # decoder, chunking
    "whole": ("exact", Chunking()),
    "chunked": ("exact", Chunking(tokens=7, tile=48)),
    "host features": ("exact", Chunking(tile=48, host_features=True)),
    "official decoder": ("official", Chunking()),
    "official decoder, host features": ("official", Chunking(host_features=True)),
}


def card(
    *,
    device: Device = "cuda",
    official: Annotated[
        Path | None,
        typer.Option(
            envvar="MEMATTE_OFFICIAL", help="A checkout of the official code, for its speed."
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Stop after this time.")] = 8.7,
    quick: Quick = False,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Measure a card: parity, memory, budgets, training, ComfyUI, speed."""
    here = machine(device)
    end = time.monotonic() + 60 * minutes

    def file(name: str) -> Path:
        return out / file_of(here, f"card-{name}-").name

    store = Store(file("parity"), here, {})
    run(parity_tasks(device, quick), store, limits_of(None, minutes / 4))
    write_report(store, as_markdown)
    wrong = any(faults(one) for one in store.records)
    for part, share in (("memory", 0.35), ("budgets", 0.3), ("runs", 0.6), ("speed", 1.0)):
        left = share * (end - time.monotonic()) / 60
        try:
            if part == "runs":
                store = Store(file(part), here, {})
                run(card_runs.run_tasks(device, quick), store, limits_of(None, left))
                write_report(store, card_runs.as_markdown)
                wrong = wrong or any(card_runs.faults(one) for one in store.records)
            elif part == "speed":
                compare(device=device, official=official, minutes=left, quick=quick, out=file(part))
            else:
                count = 24 if part == "budgets" else None
                prediction(device=device, random=count, minutes=left, quick=quick, out=file(part))
        except typer.Exit:
            wrong = True
    if wrong:
        raise typer.Exit(1)


def parity_tasks(device: str, quick: bool) -> list[list[Task]]:
    """Every precision in every way, in one process."""
    return [
        [Task(case, parity, {"device": device, "quick": quick, **case}, "card")]
        for precision in (PRECISIONS[:1] if quick else PRECISIONS)
        for case in ({"precision": precision, "way": way} for way in (*WAYS, "pipeline"))
    ]


def faults(record: Record) -> str:
    """What is wrong with a result, in words; half precision only has to be finite."""
    if not record.runs:
        return record.failed or record.skipped
    if record.get("largest") is None:
        return "not finite"
    pipeline = record.case["way"] == "pipeline"
    if record.case["precision"] != "float32":
        return ""
    if record.get("largest") >= (PIPELINE if pipeline else EXACT):
        return "too far from the expected alpha"
    return "decisions changed" if record.get("changed") and not pipeline else ""


def as_markdown(store: Store) -> str:
    """A line for each measurement."""
    headers = ("precision", "way", "largest difference", "mean", "decisions changed", "")
    rows = []
    for one in store.records:
        largest, verdict = one.get("largest"), faults(one)
        numbers = ["", "", ""]
        if largest is not None:
            changed = f"{one.get('changed')} of {one.get('decisions')}"
            numbers = [f"{largest:.1e}", f"{one.get('mean'):.1e}", changed]
        word = f"FAIL: {verdict}" if verdict else "pass"
        rows.append((one.case["precision"], one.case["way"], *numbers, word))
    return f"# Parity\n\n{store.about}\n\n{markdown_table(headers, rows)}\n"


# ---- in the worker -------------------------------------------------------------------------------

Alphas = tuple[torch.Tensor, NDArray[Any], list[NDArray[Any]], list[NDArray[Any]]]
"""The alpha that was found and the expected one, then the keep masks of both."""


def parity(device: str, precision: str, way: str, *, quick: bool) -> dict[str, Any]:
    """How far alphas differ from the expected ones; called in a worker.

    way: a key of `WAYS` for the official code's fixtures; "pipeline" for the bundled model with its
        guidance, against the CPU in float32.
    quick: only the smallest fixtures.

    Returns: "largest" (None where a value is not finite) and "mean" difference; "changed" of
    "decisions" to keep a token.
    """
    begin = time.perf_counter()
    if way == "pipeline":
        found = [_pipeline(device, precision, 128 if quick else 1024)]
    else:
        found = list(_fixtures(torch.device(device), getattr(torch, precision), way, quick=quick))
    differences = [np.abs(mine.float().cpu().numpy() - other) for mine, other, _, _ in found]
    largest = max(float(one.max()) for one in differences)
    pairs = [pair for _, _, ours, theirs in found for pair in zip(ours, theirs, strict=True)]
    return {
        "seconds": time.perf_counter() - begin,
        "largest": largest if np.isfinite(largest) else None,
        "mean": float(np.concatenate([one.ravel() for one in differences]).mean()),
        "changed": sum(int((mine != other).sum()) for mine, other in pairs),
        "decisions": sum(other.size for _, other in pairs),
    }


def _pipeline(device: str, precision: str, side: int) -> Alphas:
    scene = make_scene(side, side, 0.25)
    mine, other = (
        MattingPipeline.from_pretrained("mematte-tiny", device=where, dtype=dtype)(
            scene.image, scene.trimap
        )
        for where, dtype in ((device, precision), ("cpu", "float32"))
    )
    return torch.from_numpy(mine.alpha), other.alpha, mine.routing, other.routing


def _fixtures(
    device: torch.device, dtype: torch.dtype, way: str, *, quick: bool
) -> Iterator[Alphas]:
    decoder, chunking = WAYS[way]
    state = load_file(ROOT / "mematte" / "model.safetensors")
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    cases = [case for case in _cases("mematte") if len(case["inputs"]) == 1]
    for case in cases[:2] if quick else cases:
        network = MEMatte(NetworkConfig(embed_dim=32, num_heads=2)).eval()
        network.load_state_dict(state)
        with torch.no_grad():
            for router in network.backbone.routers:
                router.out_conv[4].bias[0] += case["router_bias_delta"]
        unknown = 0.5 if case["trimap_unknown_value"] == "0.5" else 128 / 255
        with own_state(device, inference=False):
            found = network.copied(device, dtype).predict(
                *read_pair("mematte", case["inputs"][0], unknown),
                chunking=chunking,
                decoder=decoder,
                max_tokens=case["max_number_token"],
            )
        file = case["files"]["alpha" if decoder == "official" else "alpha_whole"]
        keep = np.load(ROOT / "mematte" / case["files"]["keep"])
        masks = [mask.cpu().numpy() for mask in found.keep]
        theirs = [
            keep[f"router{i}"].astype(bool).reshape(mask.shape) for i, mask in enumerate(masks)
        ]
        yield found.alpha, np.load(ROOT / "mematte" / file), masks, theirs
    for case in _cases("vitmatte")[: 1 if quick else None] if decoder == "exact" else ():
        with own_state(device, inference=False):
            network = load_network(str(ROOT / "vitmatte")).copied(device, dtype)
            found = network.predict(*read_pair("vitmatte", case["name"]), chunking=chunking)
        yield found.alpha, np.load(ROOT / "vitmatte" / f"{case['name']}.alpha.npy"), [], []


def _cases(name: str) -> list[dict[str, Any]]:
    return list(json.loads((ROOT / name / "manifest.json").read_text())["cases"])


if __name__ == "__main__":
    main(card)
