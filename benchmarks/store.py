"""Results in one JSON file, written after every run, so that a stopped comparison goes on."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Generic, Protocol, TypeVar

import psutil

from mematte_plugin import InputError, SettingError, __version__
from mematte_plugin.images.files import write_text

PACKAGES = ("torch", "transformers", "pymatting", "numpy")


@dataclass(frozen=True)
class Measurement:
    """One method on one case."""

    method: str
    """Its name, see `names.parse_method`."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    unknown: float
    """Share of unknown pixels."""
    seconds: tuple[float, ...] = ()
    """Of each run."""
    peaks: tuple[int, ...] = ()
    """Bytes above idle, of each run."""
    total: int = 0
    """Most bytes in all."""
    kept: float | None = None
    """Mean share of kept tokens."""
    predicted: int | None = None
    """Peak above idle that the plan promised, in bytes."""
    skipped: str = ""
    """Why it was not tried."""
    failed: str = ""
    """Why it has no result."""

    @property
    def key(self) -> tuple[str, int, int, float]:
        """What tells it from others."""
        return self.method, self.width, self.height, self.unknown

    @property
    def time(self) -> float | None:
        """Median, in seconds."""
        return median(self.seconds) if self.seconds else None

    @property
    def peak(self) -> int | None:
        """Highest of the runs, in bytes above idle."""
        return max(self.peaks) if self.peaks else None

    @property
    def pixels(self) -> int:
        """How many."""
        return self.width * self.height


class Record(Protocol):
    """What a store keeps: a dataclass, one object for each thing that is measured."""

    @property
    def key(self) -> Hashable:
        """What tells it from others."""

    @property
    def seconds(self) -> tuple[float, ...]:
        """Of each run."""

    @property
    def failed(self) -> str:
        """Why it has no result."""


R = TypeVar("R", bound=Record)


@dataclass
class Store(Generic[R]):
    """The file and what is in it."""

    path: Path
    """Where it is."""
    machine: dict[str, Any]
    """Kind of machine and versions."""
    settings: dict[str, Any]
    """What all results in the file hang on."""
    results: dict[Hashable, R] = field(default_factory=dict)
    """By key."""

    def put(self, one: R) -> None:
        """Keep a result, in place of an earlier one, and write the file."""
        self.results[one.key] = one
        self.path.parent.mkdir(parents=True, exist_ok=True)
        values = {
            "machine": self.machine,
            "settings": self.settings,
            "results": [vars(one) for one in self.results.values()],
        }
        write_text(self.path, json.dumps(values, indent=1) + "\n", overwrite=True)

    def done(self, key: Hashable, repeats: int) -> bool:
        """Whether nothing is left to measure. What was skipped is tried again: it costs little."""
        one = self.results.get(key)
        return one is not None and (bool(one.failed) or len(one.seconds) >= repeats)


def open_store(
    path: Path, record: type[R], machine: dict[str, Any], settings: dict[str, Any]
) -> Store[R]:
    """Read a file of results, or begin one.

    record: the dataclass of the results.

    Raises InputError for a file that holds something else, SettingError where its results come from
    another machine, other versions or other settings and so cannot stand beside new ones.
    """
    store: Store[R] = Store(path, machine, settings)
    if not path.exists():
        return store
    try:
        values = json.loads(path.read_text())
        found = [record(**_tuples(one)) for one in values["results"]]
        before = {**values["machine"], **values["settings"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: holds no results of this program; name another --out") from error
    now = {**machine, **settings}
    other = [key for key in now if before.get(key) != now[key]]
    if other:
        raise SettingError(
            f"{path}: was measured with another {', '.join(other)}; name another --out, or remove"
            " the file"
        )
    store.results = {one.key: one for one in found}
    return store


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}


# ---- the machine ---------------------------------------------------------------------------------


def machine(device: str) -> dict[str, Any]:
    """The kind of machine in words, without its name, and what runs on it."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    memory = psutil.virtual_memory().total / 2**30
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "device": _gpu(device) if device.startswith("cuda") else "cpu",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "mematte-plugin": __version__,
        **versions,
    }


def kind(machine_: dict[str, Any]) -> str:
    """A short name of the machine, fit for a file."""
    words = machine_["processor"] if machine_["device"] == "cpu" else machine_["device"]
    return re.sub(r"[^a-z0-9]+", "-", str(words).lower()).strip("-")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(re.sub(r"\((R|TM)\)", "", line.split(":", 1)[1]).split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpu(device: str) -> str:
    import torch

    if not torch.cuda.is_available():
        raise SettingError("--device cuda: torch finds no CUDA device here; use cpu")
    return torch.cuda.get_device_name(device)
