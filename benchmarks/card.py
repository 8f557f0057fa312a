"""The hour with a card: all that only a real one can tell, in one command of under nine minutes.

    python -m benchmarks.card

In order of worth: parity with the official code, predicted against measured memory, speed, random
budgets, ComfyUI's memory flags, training steps. Every measurement is kept at once, and the same
command goes on where it was stopped. Exit code 1 where something that must be right is not.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from mematte_plugin import SettingError
from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.memory.units import show_bytes

from . import compare, prediction
from .card_measures import PRECISIONS, WAYS
from .command import Device, Out, Quick, limits_of, main, write_report
from .results import Record, Store, file_of, machine
from .runner import Task, logger, run

SECONDS = {
    "parity": 90,
    "memory": 150,
    "speed": 120,
    "budgets": 60,
    "comfyui": 60,
    "training": 40,
}
"""What each part may take; what it does not need goes to those after it."""
SIZES = ((1024, 1024), (2048, 2048), (3840, 2160), (7680, 4320))
"""(width, height) in pixels."""
BUDGET_CASES, BUDGET_PIXELS = 24, 12e6
COMFYUI_FLAGS = ((), ("--lowvram",), ("--novram",), ("--reserve-vram", "2"))
EXACT = 1e-5
"""How far float32 may differ from the official code."""
PIPELINE = 1e-4
"""The same of the whole pipeline against the CPU: its guidance is solved step by step."""
FAST_4K = 0.060
"""Seconds that ViT-S in float16 may take at 3840×2160 on a card of 80 GB."""
TIME, PEAK = 0.4, 0.2
"""Shares of transformers' time and peak at 1024² that ours may take."""


def card(
    *,
    device: Device = "cuda",
    official: Annotated[
        Path | None,
        typer.Option(
            envvar="MEMATTE_OFFICIAL", help="A checkout of the official code, for its speed."
        ),
    ] = None,
    parts: Annotated[
        str, typer.Option(metavar="NAME,…", help=f"Of {', '.join(SECONDS)}.")
    ] = ",".join(SECONDS),
    minutes: Annotated[float, typer.Option(help="Stop after this time.")] = 8.7,
    quick: Quick = False,
    out: Out = None,
) -> None:
    """Measure a card: parity, memory, speed, budgets, ComfyUI, training."""
    chosen = [name.strip() for name in parts.split(",")]
    for name in chosen:
        if name not in SECONDS:
            raise SettingError(f"--parts {name}: choose from {', '.join(SECONDS)}")
    here = machine(device)
    if device.startswith("cuda"):
        here["compute capability"] = "{}.{}".format(*torch.cuda.get_device_capability(device))
        here["cuda"] = str(torch.version.cuda or torch.version.hip)
    store = Store(out or file_of(here, "card-quick-" if quick else "card-"), here, {})
    limits = limits_of(None, None, timeout=120)
    reached, share = time.monotonic(), 60 * minutes / sum(SECONDS.values())
    for name, seconds in SECONDS.items():
        if name in chosen:
            reached += share * seconds
            logger.info("%s", name)
            groups = _PARTS[name](device, official, quick)
            left = replace(limits, deadline=max(reached, time.monotonic()))
            run(groups, store, left, repeats=3 if name == "speed" and not quick else 1)
    write_report(store, as_markdown)
    found = verdicts(store)
    for one in found:
        logger.info("%s: %s: %s", one.word, one.about, one.found)
    if any(one.good is False and one.must for one in found):
        raise typer.Exit(1)


# ---- what is measured ----------------------------------------------------------------------------

Groups = Iterable[Sequence[Task]]


def _own(part: str, device: str, cases: Iterable[dict[str, Any]], **more: Any) -> list[list[Task]]:
    """Tasks of `card_measures`, in one process."""
    return [
        [
            Task(
                {"part": part, **case},
                f"benchmarks.card_measures:{part}",
                {"device": device, **case, **more},
                part,
            )
        ]
        for case in cases
    ]


def _parity(device: str, _: Path | None, quick: bool) -> Groups:
    precisions = PRECISIONS[:1] if quick else PRECISIONS
    ways = (*WAYS, "pipeline")
    cases = [{"precision": one, "way": way} for one in precisions for way in ways]
    return _own("parity", device, cases, quick=quick)


def _memory(device: str, _: Path | None, quick: bool) -> Groups:
    cases = [
        prediction.case_of(network, size, budget=budget, dtype=dtype)
        for size in (((256, 256),) if quick else SIZES)
        for network in (("tiny",) if quick else ("small", "tiny", "base"))
        for dtype in (("float32",) if quick else ("float16", "float32"))
        for budget in (None, 1.1)
    ]
    return prediction.groups(cases, device, part="memory")


def _speed(device: str, official: Path | None, quick: bool) -> Groups:
    methods: Sequence[str] = [*compare.CUDA_METHODS, "ours:tiny:fp16:0.25"]
    if device == "cpu":
        methods = ["ours:tiny:fp32:0.25"] if quick else compare.CPU_METHODS
    sizes = "128x128" if quick else ",".join(f"{width}x{height}" for width, height in SIZES)
    cases = compare.make_cases(sizes, "0.4" if quick else "0.15", methods)
    checkout = str(official.resolve()) if official else None
    return compare.groups(cases, {"device": device, "official": checkout}, part="speed")


def _budgets(device: str, _: Path | None, quick: bool) -> Groups:
    cases = [one for one in prediction.drawn(200) if one["width"] * one["height"] <= BUDGET_PIXELS]
    # Every size, so that the first few are a fair sample, too.
    some = cases[:1] if quick else cases[:: max(1, len(cases) // BUDGET_CASES)]
    return prediction.groups(some, device, part="budgets")


def _comfyui(device: str, _: Path | None, quick: bool) -> Groups:
    side = 128 if quick else 1024
    cases = [{"flags": list(flags)} for flags in (COMFYUI_FLAGS[:1] if quick else COMFYUI_FLAGS)]
    return _own("comfyui", device, cases, side=side)


def _training(device: str, _: Path | None, quick: bool) -> Groups:
    return _own("training", device, [{}], quick=quick)


_PARTS = {
    "parity": _parity,
    "memory": _memory,
    "speed": _speed,
    "budgets": _budgets,
    "comfyui": _comfyui,
    "training": _training,
}


# ---- what it means -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """One question and its answer."""

    about: str
    """The question, in a few words."""
    good: bool | None
    """None: not measured."""
    found: str
    """The numbers."""
    must: bool = False
    """Whether it is about right or wrong, and not about how good."""

    @property
    def word(self) -> str:
        """For a list."""
        return {True: "pass", False: "FAIL", None: "not measured"}[self.good]


def verdicts(store: Store) -> list[Verdict]:
    """Everything that the results answer."""
    found: list[Verdict] = []
    for part in SECONDS:
        records = [one for one in store.records if one.case["part"] == part]
        found += _JUDGES[part](records)
        failed = [f"{_title(one)}: {one.failed}" for one in records if one.failed]
        if failed and part != "speed":  # where running out of memory is a result
            found.append(Verdict(f"{part}, runs to its end", False, "; ".join(failed)[:600], True))
    return found


def _judge_parity(records: list[Record]) -> Iterator[Verdict]:
    groups: dict[str, list[Record]] = {}
    for one in records:
        own = one.case["way"] == "pipeline"
        name = "mematte-tiny on the CPU" if own else "the official code"
        groups.setdefault(f"{one.case['precision']} against {name}", []).append(one)
    for about, some in groups.items():
        done = [one for one in some if one.runs]
        if not done:
            yield Verdict(about, None, some[0].skipped)
            continue
        largest = [one.get("largest") for one in done]
        changed, decisions = (sum(one.get(n) for one in done) for n in ("changed", "decisions"))
        if None in largest:
            yield Verdict(about, False, "not finite", True)
            continue
        pipeline = done[0].case["way"] == "pipeline"
        exact = max(largest) < (PIPELINE if pipeline else EXACT) and (pipeline or not changed)
        text = f"largest difference {max(largest):.1e}, {changed} of {decisions} decisions changed"
        yield Verdict(about, exact or not about.startswith("float32"), text, True)


def _judge_memory(records: list[Record]) -> Iterator[Verdict]:
    done = [one for one in records if one.runs]
    for name in ("peak", "reserved"):
        ratios = [one.get(name) / one.get("predicted") for one in done if one.get(name)]
        if ratios:
            _, count, least, median, most, inside = prediction.summary_of("", ratios)
            text = f"{least} to {most}, median {median}; {inside} of {count} in 0.8–1.0"
            # What torch keeps for later may be more than what it hands out, but not than is there.
            good = max(ratios) <= 1 and (name == "reserved" or min(ratios) >= prediction.LOW)
            yield Verdict(f"{name} ÷ predicted peak", good, text)
    outside = [one.get("outside") for one in done if one.get("outside")]
    if outside:
        text = f"up to {show_bytes(max(outside))}, other programs' included"
        yield Verdict("memory of context and libraries", True, text)


def _judge_speed(records: list[Record]) -> Iterator[Verdict]:
    def at(method: str, width: int) -> Record | None:
        found = [
            one for one in records if (one.case["method"], one.case["width"]) == (method, width)
        ]
        return found[0] if found and found[0].runs else None

    large = at("ours:small:fp16:0.25", 3840)
    if large is not None and large.seconds is not None:
        about = f"ViT-S, float16, 3840×2160 in {FAST_4K * 1000:.0f} ms"
        yield Verdict(about, large.seconds <= FAST_4K, f"{large.seconds * 1000:.1f} ms")
    for precision in ("fp16", "fp32"):
        ours = at(f"ours:small:{precision}:0.25", 1024)
        other = at(f"transformers:small:{precision}", 1024)
        if ours is None or other is None:
            continue
        seconds = (ours.seconds or 0) / (other.seconds or 1)
        peak = (ours.peak or 0) / (other.peak or 1)
        about = f"ViT-S, {precision}, 1024×1024 against transformers"
        good = seconds <= TIME and peak <= PEAK
        yield Verdict(about, good, f"{seconds:.2f} × time, {peak:.2f} × peak")


def _judge_budgets(records: list[Record]) -> Iterator[Verdict]:
    done = [one for one in records if one.runs]
    if done:
        wrong = [
            f"{_title(one)}: {'; '.join(found)}"
            for one in done
            if (found := prediction.faults(one))
        ]
        exact = [one.get("difference") for one in done if one.get("difference") is not None]
        text = (
            f"{len(done)} budgets, {len(exact)} exact: alphas differ by {max(exact, default=0):.1e}"
        )
        yield Verdict("alpha and peak under a budget", not wrong, "; ".join([text, *wrong]), True)


def _judge_comfyui(records: list[Record]) -> Iterator[Verdict]:
    for one in records:
        if one.runs:
            apart = one.get("difference")
            text = f"{one.seconds:.2f} s, alpha differs by {apart:.1e}"
            yield Verdict(_title(one), apart < PIPELINE, text, True)
        elif one.skipped:
            yield Verdict(_title(one), None, one.skipped)


def _judge_training(records: list[Record]) -> Iterator[Verdict]:
    for one in records:
        if one.runs:
            goes_on = one.get("resumed")
            text = f"{one.seconds:.3f} s a step, peak {show_bytes(one.peak or 0)}, "
            text += "goes on after a stop" if goes_on else "does not go on after a stop"
            yield Verdict(_title(one), goes_on, text, True)


_JUDGES = {
    "parity": _judge_parity,
    "memory": _judge_memory,
    "speed": _judge_speed,
    "budgets": _judge_budgets,
    "comfyui": _judge_comfyui,
    "training": _judge_training,
}


def as_markdown(store: Store) -> str:
    """The machine, the verdicts, then a line for each measurement."""
    rows = [(one.about, one.word, one.found) for one in verdicts(store)]
    parts = ["# A card, measured", store.about, markdown_table(("", "", ""), rows)]
    lines = [(_title(one), _values(one)) for one in store.records]
    return "\n\n".join([*parts, markdown_table(("measurement", "found"), lines)]) + "\n"


def _title(one: Record) -> str:
    values = [" ".join(v) if isinstance(v, list) else v for v in one.case.values()]
    return " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def _values(one: Record) -> str:
    if not one.runs:
        return one.failed or one.skipped
    values = {**one.runs[-1], "seconds": one.seconds}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
        if value not in (None, [], "")
    )


if __name__ == "__main__":
    main(card)
