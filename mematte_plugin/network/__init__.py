"""The network of the paper, one file per part. Pure computation: no files, no device policy.

The names are loaded when they are first used: its shape alone (`config`) needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import VARIANTS, Chunking, NetworkConfig
    from .inputs import Light, Progress
    from .mematte import MEMatte, Prediction, TrainingOutput

_HOMES = {
    "VARIANTS": ".config",
    "Chunking": ".config",
    "Light": ".inputs",
    "MEMatte": ".mematte",
    "NetworkConfig": ".config",
    "Prediction": ".mematte",
    "Progress": ".inputs",
    "TrainingOutput": ".mematte",
}

__all__ = [
    "VARIANTS",
    "Chunking",
    "Light",
    "MEMatte",
    "NetworkConfig",
    "Prediction",
    "Progress",
    "TrainingOutput",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
