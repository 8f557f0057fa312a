"""`mematte info`: what a bug report should hold."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from . import console
from .options import AsJson
from .signals import import_torch

PACKAGES = ("torch", "numpy", "pillow", "opencv-python-headless", "pymatting", "huggingface_hub")


def info(as_json: AsJson = False) -> None:
    """Show versions, devices and free memory, for bug reports.

    \b
    Example:
      mematte info
    """
    facts: dict[str, Any] = {"mematte-plugin": __version__}
    for name, find in FACTS:
        try:
            facts[name] = find()
        except Exception as error:  # a broken part is just what is to be reported
            facts[name] = f"failed: {type(error).__name__}: {error}"
    if as_json:
        console.say_json(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        console.say(f"{name:{width}}  {shown}")


def _versions(package: str) -> Callable[[], str]:
    def version() -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "not installed"

    return version


def _devices() -> list[str]:
    import_torch()
    import torch

    found = [
        f"cuda:{i} {torch.cuda.get_device_name(i)} {_gigabytes(*torch.cuda.mem_get_info(i))}"
        for i in range(torch.cuda.device_count())
    ]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, f"cpu ({torch.get_num_threads()} threads)"]


def _memory() -> str:
    import psutil

    memory = psutil.virtual_memory()
    return _gigabytes(memory.available, memory.total)


def _gigabytes(free: int, total: int) -> str:
    return f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"


def _processors() -> int | None:
    import psutil

    count: int | None = psutil.cpu_count()
    return count


def _hub(name: str) -> Callable[[], str]:
    def constant() -> str:
        from huggingface_hub import constants

        # The name of the account is nobody's business in a public issue.
        return str(getattr(constants, name)).replace(str(Path.home()), "~")

    return constant


FACTS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("python", lambda: f"{platform.python_version()} ({sys.implementation.name})"),
    ("system", platform.platform),
    *((package, _versions(package)) for package in PACKAGES),
    ("devices", _devices),
    ("processors", _processors),
    ("memory", _memory),
    ("Hub", _hub("ENDPOINT")),
    ("Hub cache", _hub("HF_HUB_CACHE")),
    ("Hub offline", _hub("HF_HUB_OFFLINE")),
)
"""What is shown, and how it is found out."""
