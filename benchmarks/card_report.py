"""What the hour with a card found, in words: a verdict for each part, then all numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from mematte_plugin.memory.units import show_bytes

from .card_parts import Item
from .store import Store

EXACT = 1e-5
"""How far float32 may lie from the official code."""
PIPELINE = 1e-4
"""The same of the whole pipeline against the CPU: its guidance is solved step by step."""
RATIO = (0.8, 1.0)
"""Where measured over predicted shall lie."""
FAST_4K = 0.060
"""Seconds that ViT-S in float16 may take at 3840×2160 on a card of 80 GB."""
TIME, PEAK = 0.4, 0.2
"""Shares of transformers' time and peak at 1024² that ours may take."""


@dataclass(frozen=True)
class Verdict:
    """One thing that was asked, and its answer."""

    about: str
    """In a few words."""
    good: bool | None
    """None: not measured."""
    found: str
    """The numbers."""
    correctness: bool = False
    """Whether an alpha would be wrong, or a run break off."""

    @property
    def wrong(self) -> bool:
        """Whether the program is to be mended before anything else."""
        return self.correctness and self.good is False

    @property
    def line(self) -> str:
        """For a list."""
        said = {True: "pass", False: "FAIL", None: "not measured"}[self.good]
        return f"{said}: {self.about}: {self.found}"


def verdicts(store: Store[Item]) -> list[Verdict]:
    """For everything that the numbers speak about."""
    found: list[Verdict] = []
    for part, judge in _JUDGES.items():
        items = [one for one in store.results.values() if one.part == part]
        found += judge(items)
        crashed = [one for one in items if one.failed]
        # A rival that runs out of memory is a result.
        if part != "speed" and crashed:
            names = "; ".join(f"{one.name}: {one.failed}" for one in crashed)
            found.append(Verdict(f"{part}, runs to its end", False, names[:600], True))
    return found


def _parity(items: list[Item]) -> Iterable[Verdict]:
    done = [one for one in items if one.values]
    for precision in ("float32", "float16", "bfloat16"):
        fixtures = [
            one.values
            for one in done
            if one.spec["precision"] == precision and one.spec["way"] != "pipeline"
        ]
        about = f"{precision} against the official code"
        if not fixtures:
            yield Verdict(about, None, "")
            continue
        finite = all(one["largest"] is not None for one in fixtures)
        changed = sum(one["changed"] for one in fixtures)
        decisions = sum(one["decisions"] for one in fixtures)
        largest = max((one["largest"] or 0.0) for one in fixtures)
        mean = max(one["mean"] for one in fixtures)
        text = (
            f"largest difference {largest:.1e}, mean {mean:.1e}, "
            f"{changed} of {decisions} keep decisions changed"
        )
        exact = precision != "float32" or (largest < EXACT and not changed)
        yield Verdict(about, finite and exact, text if finite else f"not finite; {text}", True)
    for one in done:
        if one.spec["way"] == "pipeline":
            largest = one.values["largest"]
            good = largest is not None and (
                one.spec["precision"] != "float32" or largest < PIPELINE
            )
            text = "not finite" if largest is None else f"largest difference {largest:.1e}"
            about = f"mematte-tiny with its guidance, {one.spec['precision']}, against the CPU"
            yield Verdict(about, good, f"{text}, mean {one.values['mean']:.1e}", True)


def _memory(items: list[Item]) -> Iterable[Verdict]:
    for one in items:
        if one.name == "context" and one.values:
            text = ", ".join(
                f"{name} {'unknown' if value is None else show_bytes(value)}"
                for name, value in one.values.items()
            )
            yield Verdict("what the card is taken for beside tensors", True, text)
    runs = [one.values for one in items if one.values and one.name != "context"]
    for name in ("measured", "reserved"):
        ratios = sorted(one[name] / one["predicted"] for one in runs)
        if not ratios:
            yield Verdict(f"{name} over predicted peak", None, "")
            continue
        inside = sum(RATIO[0] <= one <= RATIO[1] for one in ratios)
        text = (
            f"{ratios[0]:.2f} to {ratios[-1]:.2f}, median {median(ratios):.2f}; "
            f"{inside} of {len(ratios)} in {RATIO[0]}–{RATIO[1]}"
        )
        good = inside == len(ratios) if name == "measured" else ratios[-1] <= RATIO[1]
        yield Verdict(f"{name} over predicted peak", good, text)


def _speed(items: list[Item]) -> Iterable[Verdict]:
    def at(method: str, size: str) -> dict[str, Any] | None:
        for one in items:
            if one.name == f"{method} {size}" and one.seconds:
                return {"time": median(one.seconds), "peak": max(one.values["peaks"])}
        return None

    large = at("ours:small:fp16:0.25", "3840×2160")
    about = f"ViT-S, float16, 3840×2160 in {FAST_4K * 1000:.0f} ms"
    if large is None:
        yield Verdict(about, None, "")
    else:
        yield Verdict(about, large["time"] <= FAST_4K, f"{large['time'] * 1000:.1f} ms")
    for precision in ("fp16", "fp32"):
        ours = at(f"ours:small:{precision}:0.25", "1024×1024")
        other = at(f"transformers:small:{precision}", "1024×1024")
        about = f"ViT-S, {precision}, 1024×1024 against transformers"
        if ours is None or other is None:
            yield Verdict(about, None, "")
            continue
        time, peak = ours["time"] / other["time"], ours["peak"] / other["peak"]
        yield Verdict(about, time <= TIME and peak <= PEAK, f"{time:.2f}× time, {peak:.2f}× peak")


def _launches(items: list[Item]) -> Iterable[Verdict]:
    for one in items:
        if one.values:
            value = one.values
            text = (
                f"{value['operations']} operations in {value['time'] * 1000:.1f} ms, "
                f"{value['operations per second']:.0f} a second; a launch takes "
                f"{value['launch'] * 1e6:.1f} µs: {value['share']:.0%} of the time"
            )
            yield Verdict(f"launching, {one.name}", value["share"] < 0.5, text)


def _ladder(items: list[Item]) -> Iterable[Verdict]:
    runs = [one.values for one in items if one.values]
    if not runs:
        yield Verdict("alpha under a limit", None, "")
        return
    exact = [one["difference"] for one in runs if not one["lost"]]
    text = (
        f"{len(runs)} limits, {len(runs) - len(exact)} lossy; the others differ by at most "
        f"{max(exact, default=0.0):.1e}"
    )
    if not all(one["limited"] for one in runs):
        text += "; memory budgets stood in for limits"
    yield Verdict("alpha under a limit", max(exact, default=0.0) < EXACT, text, True)


def _comfyui(items: list[Item]) -> Iterable[Verdict]:
    for one in items:
        if one.skipped:
            yield Verdict(f"ComfyUI, {one.name}", None, one.skipped)
        elif one.values:
            apart = one.values["difference"]
            text = f"{one.values['time']:.2f} s, alpha differs by {apart:.1e}"
            yield Verdict(f"ComfyUI, {one.name}", apart < PIPELINE, text, True)


def _training(items: list[Item]) -> Iterable[Verdict]:
    for one in items:
        if one.values:
            value = one.values
            resumed = value["resumed at"] == value["cut at"]
            good = resumed and value["ended at"] == value["to end at"]
            text = (
                f"{value['time']:.3f} s a step, peak {show_bytes(max(0, value['peak']))}, "
                f"{'goes on' if good else 'does not go on'} after a cut"
            )
            yield Verdict(f"training, {one.name}", good, text, True)


_JUDGES: dict[str, Callable[[list[Item]], Iterable[Verdict]]] = {
    "parity": _parity,
    "memory": _memory,
    "speed": _speed,
    "launches": _launches,
    "ladder": _ladder,
    "comfyui": _comfyui,
    "training": _training,
}


# ---- tables --------------------------------------------------------------------------------------


def as_markdown(store: Store[Item]) -> str:
    """The machine, the verdicts, then a line for each measurement."""
    text = ["# A card, measured", ""]
    text += [f"- {name}: {value}" for name, value in store.machine.items() if value]
    text += ["", "| | | |", "|---|---|---|"]
    for one in verdicts(store):
        said = {True: "pass", False: "**fail**", None: "not measured"}[one.good]
        text.append(f"| {one.about} | {said} | {_plain(one.found)} |")
    for part in _JUDGES:
        items = [one for one in store.results.values() if one.part == part]
        if items:
            text += ["", f"## {part.capitalize()}", "", *_table(items)]
    return "\n".join(text) + "\n"


_HIDDEN = {"method", "width", "height", "unknown", "seconds", "skipped", "failed"}
_BYTES = {
    *("predicted", "measured", "allocated", "reserved", "outside", "context", "libraries"),
    *("workspace", "peak", "peaks", "total", "room"),
}


def _table(items: list[Item]) -> list[str]:
    names = list(dict.fromkeys(n for one in items for n in one.values if n not in _HIDDEN))
    columns = ["", *names, "seconds"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for one in items:
        seconds = f"{median(one.seconds):.3f}" if one.seconds else ""
        cells = [_cell(name, one.values.get(name)) for name in names]
        if one.failed or one.skipped:
            cells = [_plain(one.failed or one.skipped), *[""] * (len(names) - 1)]
        lines.append(f"| {' | '.join([one.name, *cells, seconds])} |")
    return lines


def _cell(name: str, value: Any) -> str:
    if value is None or value in ([], ()):
        return ""
    if name in _BYTES:
        most = max(value) if isinstance(value, (list, tuple)) else value
        return show_bytes(most) if most >= 0 else f"-{show_bytes(-most)}"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)):
        return _plain("; ".join(str(one) for one in value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return _plain(str(value))


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
