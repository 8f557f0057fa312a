"""The hour with a card: all that only a real one can tell, in one command of under nine minutes.

    python -m benchmarks.card

In order of worth: parity with the official code, predicted against measured memory, speed, limits
on memory, ComfyUI's memory flags, training steps. Every measurement is kept at once: the same
command goes on where it was stopped. Exit code 1 where something that must be right is not.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mematte_plugin import MEMatteError, SettingError
from mematte_plugin.images.files import write_text
from mematte_plugin.memory.free import cpu_count

from .card_parts import Item
from .card_report import as_markdown, verdicts
from .cases import make_cases
from .command import main
from .ladder import drawn
from .store import Measurement, Store, kind, machine, open_store
from .turns import ROOT, OutOfTime, Setup

RESULTS = ROOT / "benchmarks" / "results"
BUDGETS = {
    # seconds; what a part does not need goes to those after it
    "parity": 90,
    "memory": 120,
    "speed": 120,
    "launches": 30,
    "ladder": 60,
    "comfyui": 60,
    "training": 40,
}
SIDES = ((1024, 1024), (2048, 2048), (3840, 2160), (7680, 4320))
"""(width, height) in pixels."""
LADDER_CASES, LADDER_PIXELS = 24, 12e6
COMFYUI_FLAGS = ([], ["--lowvram"], ["--novram"], ["--reserve-vram", "2"])
logger = logging.getLogger("benchmarks")


def card(
    *,
    device: Annotated[str, typer.Option(help="cuda, cuda:1, or cpu to rehearse.")] = "cuda",
    official: Annotated[
        Path | None,
        typer.Option(
            envvar="MEMATTE_OFFICIAL", help="A checkout of the official code, for its speed."
        ),
    ] = None,
    parts: Annotated[
        str, typer.Option(metavar="NAME,…", help=f"Of {', '.join(BUDGETS)}.")
    ] = ",".join(BUDGETS),
    minutes: Annotated[float, typer.Option(help="End after so long; what is done is kept.")] = 8.7,
    quick: Annotated[bool, typer.Option("--quick", help="Small pictures, few of them.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="JSON file; a report is written beside it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure a card: parity, memory, speed, limits, ComfyUI, training."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    chosen = [name.strip() for name in parts.split(",")]
    for name in chosen:
        if name not in BUDGETS:
            raise SettingError(f"--parts {name}: choose from {', '.join(BUDGETS)}")
    start = time.monotonic()
    end = start + 60 * minutes
    here = {**machine(device), **_traits(device)}
    path = out or RESULTS / f"card-{kind(here)}{'-quick' if quick else ''}.json"
    store = open_store(path, Item, here, {"quick": quick})
    reached = start
    share = 60 * minutes / sum(BUDGETS.values())
    try:
        for name in (one for one in BUDGETS if one in chosen):
            reached += share * BUDGETS[name]
            deadline = min(end, max(reached, time.monotonic()))
            if name == "speed":
                _speed(device, official, store, deadline, quick=quick)
            else:
                todo = [one for one in items(name, device, quick) if not store.done(one.key, 1)]
                measure_items(todo, device, store, deadline)
    finally:
        if store.results:
            write_text(path.with_suffix(".md"), as_markdown(store), overwrite=True)
            logger.info("written: %s", path.with_suffix(".md"))
    found = verdicts(store)
    for one in found:
        logger.info("%s", one.line)
    if as_json:
        print(json.dumps([asdict(one) for one in store.results.values()]))
    if any(one.wrong for one in found):
        raise typer.Exit(1)


def _traits(device: str) -> dict[str, str]:
    from .device_meter import DeviceMeter

    return DeviceMeter(device).traits()


# ---- what is measured ----------------------------------------------------------------------------


def items(part: str, device: str, quick: bool) -> list[Item]:
    """The measurements of a part, the most telling first."""
    return [Item(part, name, spec) for name, spec in _LISTS[part](device, quick)]


def _parity(device: str, quick: bool) -> list[tuple[str, dict[str, Any]]]:
    from .card_parity import PRECISIONS, WAYS

    return [
        (
            f"{precision} {way}",
            {"precision": precision, "way": way, "side": 128 if quick else 1024, "quick": quick},
        )
        for precision in PRECISIONS
        if device != "cpu" or precision != "float16"  # which CPUs emulate, slowly
        for way in (*WAYS, "pipeline")
    ]


def _memory(device: str, quick: bool) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = [("context", {})]
    half = "bfloat16" if device == "cpu" else "float16"
    for width, height in ((256, 256),) if quick else SIDES:
        for variant in ("tiny",) if quick else ("small", "tiny", "base"):
            for dtype in (half, "float32"):
                for budget in (None, 1.1) if quick else (None, 1.1, 1.6):
                    room = "free" if budget is None else f"{budget:g} × least"
                    found.append(
                        (
                            f"{variant} {width}×{height} {dtype} {room}",
                            {
                                "variant": variant,
                                "width": width,
                                "height": height,
                                "unknown": 0.4 if quick else 0.15,
                                "retention": 0.25,
                                "budget": budget,
                                "dtype": dtype,
                            },
                        )
                    )
    return found


def _launches(device: str, quick: bool) -> list[tuple[str, dict[str, Any]]]:
    half = "float32" if device == "cpu" else "float16"
    return [
        (
            f"{variant} {width}×{height} {half}",
            {
                "variant": variant,
                "dtype": half,
                "width": width,
                "height": height,
                "repeats": 1 if quick else 3,
            },
        )
        for variant in (("tiny",) if quick else ("small", "tiny", "base"))
        for width, height in (((256, 256),) if quick else SIDES[::2])
    ]


def _ladder(_: str, quick: bool) -> list[tuple[str, dict[str, Any]]]:
    cases = [one for one in drawn(200, 0) if one.width * one.height <= LADDER_PIXELS]
    # Every size, small and large in turn, so that few cases are a fair sample, too.
    some = cases[:2] if quick else cases[:: max(1, len(cases) // LADDER_CASES)]
    return [
        (
            f"{case.width}×{case.height} {times:g} × least",
            {
                "width": case.width,
                "height": case.height,
                "unknown": case.unknown,
                "times": times,
            },
        )
        for i, case in enumerate(some)
        for times in ((1.05, 1.2, 2.0)[i % 3],)
    ]


def _comfyui(_: str, quick: bool) -> list[tuple[str, dict[str, Any]]]:
    side = 128 if quick else 1024
    return [
        (" ".join(flags) or "no flags", {"flags": flags, "side": side}) for flags in COMFYUI_FLAGS
    ]


def _training(_: str, quick: bool) -> list[tuple[str, dict[str, Any]]]:
    return [("stored crops", {"quick": quick})]


_LISTS = {
    "parity": _parity,
    "memory": _memory,
    "launches": _launches,
    "ladder": _ladder,
    "comfyui": _comfyui,
    "training": _training,
}


# ---- how -----------------------------------------------------------------------------------------


def measure_items(todo: list[Item], device: str, store: Store[Item], deadline: float) -> None:
    """Fill the store: one process for a part, and another one after what killed it."""
    while todo:
        begin = time.monotonic()
        left = deadline - begin
        if left < 1:
            logger.info("%s: the time is over with %d to go", todo[0].part, len(todo))
            return
        job = {"device": device, "items": [asdict(one) for one in todo]}
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.card_parts", json.dumps(job)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
            over = threading.Timer(left, process.kill)
            over.start()
            done = 0
            try:
                assert process.stdout is not None
                with process.stdout as answers:
                    for line in answers:
                        values = json.loads(line)
                        one = Item(**{**values, "seconds": tuple(values["seconds"])})
                        store.put(one)
                        done += 1
                        said = one.failed or one.skipped or json.dumps(one.values)
                        logger.info("%s, %s: %s", one.part, one.name, said[:160])
                code = process.wait()
            finally:
                over.cancel()
                process.kill()
                process.wait()
            log.seek(0)
            last = (log.read().strip().splitlines() or ["no message"])[-1]
        todo = todo[done:]
        if not todo:
            return
        if time.monotonic() >= deadline - 0.5:
            if not done and left > 0.9 * BUDGETS[todo[0].part]:  # it would take as long again
                store.put(replace(todo[0], failed=f"took longer than {left:.0f} s"))
            continue
        store.put(replace(todo[0], failed=f"its process ended with {code}: {last}"[:500]))
        todo = todo[1:]


@dataclass
class _SpeedStore(Store[Measurement]):
    """What `compare.measure` writes, kept among the card's results."""

    whole: Store[Item] | None = None
    results: dict[Hashable, Measurement] = field(default_factory=dict)

    def put(self, one: Measurement) -> None:
        """Keep a result in both."""
        assert self.whole is not None
        self.results[one.key] = one
        name = f"{one.method} {one.width}×{one.height}"
        self.whole.put(
            Item(
                "speed",
                name,
                values=vars(one),
                seconds=one.seconds,
                skipped=one.skipped,
                failed=one.failed,
            )
        )


def _speed(
    device: str, official: Path | None, store: Store[Item], deadline: float, *, quick: bool
) -> None:
    """Side by side in turns, a process each; see `compare`."""
    from .compare import measure
    from .names import CUDA_METHODS, parse_method

    names = [*CUDA_METHODS, "ours:tiny:fp16:0.25"]
    if device == "cpu":
        names = ["ours:tiny:fp32:0.25"] if quick else [n for n in names if "fp16" not in n]
    methods = [parse_method(name) for name in names]
    missing = [one for one in methods if one.kind == "official" and official is None]
    for one in missing:
        store.put(Item("speed", one.name, skipped="not run: no checkout given with --official"))
    sizes = ((128, 128),) if quick else SIDES
    text = ",".join(f"{width}x{height}" for width, height in sizes)
    inner = _SpeedStore(store.path, {}, {}, whole=store)
    for item in store.results.values():
        if item.part == "speed" and item.values:
            lists = {k: tuple(v) for k, v in item.values.items() if isinstance(v, list)}
            one = Measurement(**{**item.values, **lists})
            inner.results[one.key] = one
    setup = Setup(
        device=device,
        threads=cpu_count(),
        official=official.resolve() if official else None,
        deadline=deadline,
        timeout=60,
    )
    try:
        measure(
            make_cases(text, "0.4" if quick else "0.15"),
            [one for one in methods if one not in missing],
            setup,
            inner,
            repeats=1 if quick else 5,
        )
    except OutOfTime as over:
        logger.info("speed: %s", over)
    except (MEMatteError, RuntimeError, OSError) as error:
        store.put(Item("speed", "all", failed=f"{type(error).__name__}: {error}"[:500]))


if __name__ == "__main__":
    main(card)
