"""Full-resolution, memory-efficient alpha matting: MEMatte as a package.

    >>> from mematte_plugin import cut
    >>> cut("photo.jpg", mask="mask.png").save("cutout.png")  # doctest: +SKIP

The names below are loaded when they are first used, so that importing the package is instant.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# On a CPU torch keeps kernels of 1024 convolutions, one for each shape, in either of two caches:
# some 30 MB where pictures of many sizes are computed. Few do as well. It reads this when it is
# loaded; a program that has loaded it already (ComfyUI) keeps its environment as it is.
if "torch" not in sys.modules:
    for _cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(_cache, "64")

if TYPE_CHECKING:
    from .batch import BatchOptions, run_batch
    from .compositing import composite
    from .crops import Crop
    from .cutting import cut, release_pipelines
    from .edges import Edge
    from .errors import (
        BudgetError,
        DeviceLostError,
        InputError,
        MEMatteError,
        MEMatteWarning,
        OutputError,
        SettingError,
        WeightsError,
    )
    from .foreground import estimate_foreground
    from .images import Layer, Photo, read_photo, scaled_down
    from .jobs import Job, Stopped
    from .matte import Matte
    from .memory.device import budget_for
    from .memory.exhaustion import trim_memory
    from .memory.plan import Plan
    from .network import MEMatte, NetworkConfig
    from .notes import collect_notes
    from .pipeline import MattingPipeline
    from .planning import plan_memory
    from .trimap import Stroke, from_alpha, from_mask, from_strokes, normalise_trimap
    from .views import checkerboard, contact_sheet, routing_overlay, trimap_overlay
    from .weights.folder import models_in
    from .weights.load import list_models, load_network
    from .weights.save import convert_weights, save_network
    from .writing import write_image

_HOMES = {
    "BatchOptions": ".batch",
    "BudgetError": ".errors",
    "DeviceLostError": ".errors",
    "Crop": ".crops",
    "Edge": ".edges",
    "InputError": ".errors",
    "Job": ".jobs",
    "Layer": ".images",
    "MEMatte": ".network",
    "MEMatteError": ".errors",
    "MEMatteWarning": ".errors",
    "Matte": ".matte",
    "MattingPipeline": ".pipeline",
    "NetworkConfig": ".network",
    "OutputError": ".errors",
    "Photo": ".images",
    "Plan": ".memory.plan",
    "SettingError": ".errors",
    "Stopped": ".jobs",
    "Stroke": ".trimap",
    "WeightsError": ".errors",
    "budget_for": ".memory.device",
    "checkerboard": ".views",
    "collect_notes": ".notes",
    "composite": ".compositing",
    "contact_sheet": ".views",
    "convert_weights": ".weights.save",
    "cut": ".cutting",
    "estimate_foreground": ".foreground",
    "from_alpha": ".trimap",
    "from_mask": ".trimap",
    "from_strokes": ".trimap",
    "list_models": ".weights.load",
    "load_network": ".weights.load",
    "models_in": ".weights.folder",
    "normalise_trimap": ".trimap",
    "plan_memory": ".planning",
    "read_photo": ".images",
    "release_pipelines": ".cutting",
    "routing_overlay": ".views",
    "run_batch": ".batch",
    "save_network": ".weights.save",
    "scaled_down": ".images",
    "trim_memory": ".memory.exhaustion",
    "trimap_overlay": ".views",
    "write_image": ".writing",
}

__all__ = [
    "BatchOptions",
    "BudgetError",
    "Crop",
    "DeviceLostError",
    "Edge",
    "InputError",
    "Job",
    "Layer",
    "MEMatte",
    "MEMatteError",
    "MEMatteWarning",
    "Matte",
    "MattingPipeline",
    "NetworkConfig",
    "OutputError",
    "Photo",
    "Plan",
    "SettingError",
    "Stopped",
    "Stroke",
    "WeightsError",
    "__version__",
    "budget_for",
    "checkerboard",
    "collect_notes",
    "composite",
    "contact_sheet",
    "convert_weights",
    "cut",
    "estimate_foreground",
    "from_alpha",
    "from_mask",
    "from_strokes",
    "list_models",
    "load_network",
    "models_in",
    "normalise_trimap",
    "plan_memory",
    "read_photo",
    "release_pipelines",
    "routing_overlay",
    "run_batch",
    "save_network",
    "scaled_down",
    "trim_memory",
    "trimap_overlay",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
