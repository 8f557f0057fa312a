"""The only file that uses ComfyUI's internals: devices, memory, folders, progress, interrupts."""

from __future__ import annotations

import logging
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management as management
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch

from .core import core

FOLDER = "mematte"
"""Folder in models/ and key in extra_model_paths.yaml."""
EXAMPLES = "mematte"
"""Folder in ComfyUI's temporary folder for the example pictures."""

PRECISIONS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""Choices of the precision widget besides auto."""

STEPS = 100
"""Steps of the progress bar for a frame."""

logger = logging.getLogger(__name__)


class MEMatteModel(torch.nn.Module):
    """A wrapper on which ComfyUI's memory manager may set attributes.

    ComfyUI's log shows the name of this class.
    """

    def __init__(self, network: core.MEMatte) -> None:
        super().__init__()
        self.network = network
        self._trim = core.trim_memory  # __del__ may run after modules are gone

    def __del__(self) -> None:
        # On a CPU the C library would keep the freed memory for later.
        if not sys.is_finalizing():
            self._modules.clear()
            self._trim()


@dataclass(frozen=True)
class Model:
    """The value of a MEMATTE_MODEL link."""

    name: str
    """The name in the list of models."""
    patcher: Any
    """ComfyUI's ModelPatcher around a `MEMatteModel`; it moves the weights."""
    terms: str = ""
    """A note on the licence; empty if there are no restrictions."""

    @property
    def network(self) -> core.MEMatte:
        """The network, on whichever device it is now."""
        return self.patcher.model.network


# ---- devices and memory --------------------------------------------------------------------------


def precision(choice: str) -> torch.dtype:
    """The dtype for a choice of the precision widget on ComfyUI's device."""
    if choice != "auto":
        return getattr(torch, PRECISIONS[choice])
    device = management.get_torch_device()
    dtype = core.plan_memory((64, 64), budget="1TB", device=device).dtype
    # ComfyUI knows whether its own command line forbids half precision.
    half = dtype == "float16" and management.should_use_fp16(device)
    return torch.float16 if half else torch.float32


def managed(network: core.MEMatte, name: str, choice: str, terms: str = "") -> Model:
    """Hand a network over to ComfyUI's memory manager."""
    patcher = comfy.model_patcher.ModelPatcher(
        MEMatteModel(network.cast(precision(choice))),
        load_device=management.get_torch_device(),
        offload_device=management.unet_offload_device(),
    )
    return Model(name, patcher, terms)


def loaded(model: Model, size: tuple[int, int], unknown: float, asked: int | None) -> torch.device:
    """Make room for a picture and move the weights to the device; returns the device.

    size: (H, W) in pixels.
    unknown: share of unknown pixels.
    asked: memory budget in bytes, or None.

    Raises core.BudgetError if the picture fits neither the budget nor an empty card.
    """
    device: torch.device = model.patcher.load_device
    needed = 0
    if device.type != "cpu":  # ComfyUI frees no main memory
        plan = core.plan_memory(
            size,
            model.network,
            asked or int(management.get_total_memory(device)),
            device,
            model.network.dtype,
            unknown=unknown,
            depth=4,
        )
        needed = plan.predicted_peak
    management.load_models_gpu([model.patcher], memory_required=needed, force_full_load=True)
    weights = (*model.network.parameters(), *model.network.buffers())
    if any(tensor.device != device for tensor in weights):
        # With --novram some weights stay on the host, and this network would not move them itself.
        model.patcher.load(device, full_load=True)
    return device


def budget(device: torch.device, asked: int | None) -> int | None:
    """Bytes that a frame may take now; None leaves the decision to the core.

    On the CPU and on Apple's GPUs the core knows limits that ComfyUI does not: those of containers
    and of Metal.
    """
    if asked is not None or device.type in ("cpu", "mps"):
        return asked
    free = management.get_free_memory(device) - management.extra_reserved_memory()
    return core.budget_for(max(0, int(free)))


def new_outputs(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    """Empty tensors for results, on the device and in the dtype of ComfyUI's pictures.

    Raises core.MEMatteError if there is not enough memory: the system would grant it anyway, and
    kill ComfyUI when it is used.
    """
    find = getattr(management, "intermediate_dtype", None)  # newer versions: --fp16-intermediates
    dtype = find() if find is not None else torch.float32
    device = management.intermediate_device()
    needed = sum(math.prod(shape) for shape in shapes) * dtype.itemsize
    free = management.get_free_memory(device)
    if needed > free:
        raise core.MEMatteError(
            f"the results for {shapes[0][0]} pictures take {core.show_bytes(needed)}, but only "
            f"{core.show_bytes(int(free))} are free on {device}; process fewer frames at a time"
        )
    return [torch.empty(shape, dtype=dtype, device=device) for shape in shapes]


# ---- folders -------------------------------------------------------------------------------------


def register_model_folder() -> None:
    """Add models/mematte to the folders of extra_model_paths.yaml."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def model_folders() -> list[Path]:
    """Folders of models; downloads go into the first."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]


def place_examples(source: Path) -> None:
    """Copy the example pictures to where workflows look for them, as mematte/NAME [temp].

    ComfyUI empties its temporary folder at each start.
    """
    target = Path(folder_paths.get_temp_directory()) / EXAMPLES
    try:
        target.mkdir(parents=True, exist_ok=True)
        for picture in source.iterdir():
            shutil.copyfile(picture, target / picture.name)
    except OSError as error:  # the nodes work without them
        logger.warning("mematte: the example pictures cannot be copied to %s: %s", target, error)


# ---- progress ------------------------------------------------------------------------------------


class FrameProgress:
    """The node's progress bar over all frames.

    The core calls it with (done, total, stage); it raises ComfyUI's interrupt.
    """

    def __init__(self, frames: int) -> None:
        self.frame = 0
        """Index of the current frame."""
        self._bar = comfy.utils.ProgressBar(frames * STEPS)
        self._shown = 0

    def __call__(self, done: int, total: int, stage: str) -> None:
        management.throw_exception_if_processing_interrupted()
        share = core.overall_progress(done, total, stage)
        # A frame may be computed twice; the bar does not go back.
        self._shown = max(self._shown, round((self.frame + share) * STEPS))
        self._bar.update_absolute(self._shown)


def download_progress(done: int, total: int, _: str) -> None:
    """Progress of a download in bytes; raises ComfyUI's interrupt."""
    management.throw_exception_if_processing_interrupted()
    comfy.utils.ProgressBar(max(1, total)).update_absolute(done)
