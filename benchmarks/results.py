"""Results in one JSON file, written after every run, so that a stopped program can go on."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from mematte_plugin import InputError, SettingError, __version__
from mematte_plugin.images.files import write_text

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "transformers", "pymatting", "numpy")


@dataclass
class Record:
    """One measurement, with the runs that it took."""

    case: dict[str, Any]
    """What was measured; tells the record from others."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """What each run gave: "seconds", "peak" in bytes, and what else the program measures."""
    skipped: str = ""
    """Why it was not tried."""
    failed: str = ""
    """Why there is no result."""

    @property
    def seconds(self) -> float | None:
        """Median over the runs."""
        return median(run["seconds"] for run in self.runs) if self.runs else None

    @property
    def peak(self) -> int | None:
        """The highest of the runs, in bytes."""
        return max(run["peak"] for run in self.runs) if self.runs else None

    def get(self, name: str) -> Any:
        """A value of the last run; None where there is none."""
        return self.runs[-1].get(name) if self.runs else None


class Store:
    """A file of results, read if it exists.

    Args:
        path: the JSON file; written with the first result.
        machine: what it runs on, see `machine`.
        settings: what else all results in the file depend on.

    Raises InputError for a file that holds something else, SettingError where its results come from
    another machine, other versions or other settings and cannot be compared with new ones.
    """

    def __init__(self, path: Path, machine: dict[str, Any], settings: dict[str, Any]) -> None:
        self.path, self.machine, self.settings = path, machine, settings
        self._records: dict[str, Record] = {}
        self._note = ""
        if not path.exists():
            return
        try:
            values = json.loads(path.read_text())
            records = [Record(**one) for one in values["results"]]
            before = {**values["machine"], **values["settings"]}
            self._note = values.get("note", "")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: holds no results of this program; name another --out"
            ) from error
        other = [key for key, one in {**machine, **settings}.items() if before.get(key) != one]
        if other:
            raise SettingError(
                f"{path}: was measured with another {', '.join(other)}; name another --out, or"
                " remove the file"
            )
        self._records = {_key(one.case): one for one in records}

    @property
    def records(self) -> list[Record]:
        """All of them, in the order in which they were begun."""
        return list(self._records.values())

    @property
    def about(self) -> str:
        """Machine, settings, and a note where somebody wrote one into the file."""
        facts = {**self.machine, **self.settings}
        listed = "; ".join(f"{key}: {value}" for key, value in facts.items() if value != "") + "."
        return f"{listed}\n\n{self._note}" if self._note else listed

    def put(self, record: Record) -> None:
        """Keep a record in place of an earlier one, and write the file."""
        self._records[_key(record.case)] = record
        values = {
            "machine": self.machine,
            "settings": self.settings,
            **({"note": self._note} if self._note else {}),
            "results": [asdict(one) for one in self.records],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, json.dumps(values, indent=1) + "\n", overwrite=True)

    def done(self, case: dict[str, Any], repeats: int = 1) -> bool:
        """Whether nothing is left to measure. What was skipped is tried again."""
        one = self._records.get(_key(case))
        return one is not None and (bool(one.failed) or len(one.runs) >= repeats)


def _key(case: dict[str, Any]) -> str:
    return json.dumps(case, sort_keys=True)


def machine(device: str) -> dict[str, Any]:
    """The kind of machine, without its name, and the versions of what runs on it.

    Raises SettingError for a CUDA device that is not there.
    """
    memory = psutil.virtual_memory().total / 2**30
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "device": _gpu(device) if device.startswith("cuda") else "cpu",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "mematte-plugin": __version__,
        **{name: _version(name) for name in PACKAGES},
    }


def file_of(machine: dict[str, Any], prefix: str = "") -> Path:
    """Where results of a kind of machine go."""
    words = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    return RESULTS / f"{prefix}{re.sub(r'[^a-z0-9]+', '-', words.lower()).strip('-')}.json"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


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
