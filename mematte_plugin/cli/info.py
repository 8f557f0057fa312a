"""`mematte info`: versions, devices and memory, for bug reports."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import MEMatteError
from ..memory.free import cpu_count, free_memory
from ..memory.units import show_bytes
from . import console
from .options import AsJson
from .signals import import_torch

PACKAGES = (
    "torch",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "huggingface_hub",
    "tifffile",
    "imagecodecs",
    "OpenEXR",
    "pillow-heif",
    "pillow-jxl-plugin",
    "rawpy",
    "onnxruntime",
    "transformers",
    "gradio",
)


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
        except Exception as error:  # the report is about broken parts
            facts[name] = f"failed: {type(error).__name__}: {error}"
    if as_json:
        console.say_json(facts)
        return
    console.say_facts(
        [
            (name, ", ".join(value) if isinstance(value, list) else value)
            for name, value in facts.items()
        ]
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> list[str]:
    import_torch()
    import torch

    names = {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    if torch.backends.mps.is_available():
        names["mps"] = "Metal"
    found = [f"{device} {name} {_free(device)}" for device, name in names.items()]
    return [*found, f"cpu ({torch.get_num_threads()} threads)"]


def _free(device: str) -> str:
    try:
        found = free_memory(device)
    except MEMatteError as error:  # a lost or busy device must not hide the others
        return f"failed: {error}"
    return f"{show_bytes(found.free)} of {show_bytes(found.total)} free (limited by {found.name})"


def _processors() -> str:
    return f"{cpu_count()} usable of {os.cpu_count()}"


def _hub(name: str) -> str:
    from huggingface_hub import constants

    value = str(getattr(constants, name))
    try:  # keep the account's name out of public issues
        return value.replace(str(Path.home()), "~")
    except RuntimeError:  # no home folder
        return value


FACTS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("python", lambda: f"{platform.python_version()} ({sys.implementation.name})"),
    ("system", platform.platform),
    *((package, partial(_version, package)) for package in PACKAGES),
    ("devices", _devices),
    ("processors", _processors),
    ("memory", lambda: _free("cpu")),
    ("Hub", partial(_hub, "ENDPOINT")),
    ("Hub cache", partial(_hub, "HF_HUB_CACHE")),
    ("Hub offline", partial(_hub, "HF_HUB_OFFLINE")),
)
"""Name → how to find the value."""
