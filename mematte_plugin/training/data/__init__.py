"""Training data: photographs and rendered foregrounds whose licence permits it, composed endlessly.

`build_bank` prepares a folder once; a `Composer` turns it into as many training crops as wanted.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bank import build_bank
    from .compose import Composer, Sample
    from .preview import preview

# Loaded when first used: a machine that only trains has what composing needs, and no more.
_HOMES = {
    "Composer": ".compose",
    "Sample": ".compose",
    "build_bank": ".bank",
    "preview": ".preview",
}

__all__ = ["Composer", "Sample", "build_bank", "preview"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
