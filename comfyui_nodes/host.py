"""The one file that touches ComfyUI's insides: devices, memory, folders, progress, interrupts."""

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
"""Folder of models/ and key of extra_model_paths.yaml."""
EXAMPLES = "mematte"
"""Folder of ComfyUI's temporary files that holds the example pictures."""

PRECISIONS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""What the precision widget offers beside auto."""

HALF_DEVICES = ("cuda", "xpu")
"""Where auto may choose float16 if ComfyUI finds it good there; elsewhere nobody measured it."""

STAGES = {"encoder": (0.0, 0.5), "decoder": (0.5, 0.85), "foreground": (0.85, 1.0)}
"""Where each stage of a frame begins and ends on its share of the progress bar."""
STEPS = 100
"""Steps of the progress bar for a frame."""

logger = logging.getLogger(__name__)


class MEMatteModel(torch.nn.Module):
    """A network as ComfyUI's memory manager wants it: with attributes that it may set.

    ComfyUI's log calls it by the name of this class.
    """

    def __init__(self, network: core.MEMatte) -> None:
        super().__init__()
        self.network = network
        self._trim = core.trim_memory  # not looked up at the end: modules may be gone by then

    def __del__(self) -> None:
        # Whoever lets ComfyUI unload models wants the memory back, on a CPU too, where the C
        # library would keep it for later.
        if not sys.is_finalizing():
            self._modules.clear()
            self._trim()


@dataclass(frozen=True)
class Model:
    """What a MEMATTE_MODEL link carries."""

    name: str
    """As it was chosen."""
    patcher: Any
    """ComfyUI's ModelPatcher around a `MEMatteModel`: it decides where the weights are and when."""
    terms: str = ""
    """What to know about the licence; empty where there is nothing to heed."""

    @property
    def network(self) -> core.MEMatte:
        """The network, wherever its weights are now."""
        return self.patcher.model.network


# ---- devices and memory --------------------------------------------------------------------------


def precision(choice: str) -> torch.dtype:
    """The precision for a choice of the widget, on the device that ComfyUI computes on."""
    if choice != "auto":
        return getattr(torch, PRECISIONS[choice])
    device = management.get_torch_device()
    half = device.type in HALF_DEVICES and management.should_use_fp16(device)
    return torch.float16 if half else torch.float32


def managed(network: core.MEMatte, name: str, choice: str, terms: str = "") -> Model:
    """A network handed over to ComfyUI's memory manager."""
    patcher = comfy.model_patcher.ModelPatcher(
        MEMatteModel(network.cast(precision(choice))),
        load_device=management.get_torch_device(),
        offload_device=management.unet_offload_device(),
    )
    return Model(name, patcher, terms)


def loaded(model: Model, size: tuple[int, int], unknown: float, asked: int | None) -> torch.device:
    """Make room for a picture and bring the weights to the device; returns that.

    size: (H, W) in pixels.
    unknown: largest share of unknown pixels of a frame.
    asked: memory budget in bytes, or None.

    Raises core.BudgetError where the picture fits neither the budget nor an empty card.
    """
    device: torch.device = model.patcher.load_device
    needed = 0
    if device.type != "cpu":  # ComfyUI makes no room there
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
        # --novram leaves weights behind, and nobody would bring them when they are needed.
        model.patcher.load(device, full_load=True)
    return device


def budget(device: torch.device, asked: int | None) -> int | None:
    """Bytes that a frame may take now; None leaves it to the core.

    On the CPU and on Apple's GPUs that sees more than ComfyUI: the limits of containers and of
    Metal.
    """
    if asked is not None or device.type in ("cpu", "mps"):
        return asked
    free = management.get_free_memory(device) - management.extra_reserved_memory()
    return core.budget_for(max(0, int(free)))


def new_outputs(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    """Memory for results, where and in the precision in which ComfyUI passes pictures on.

    Raises core.MEMatteError where there is not so much: the system would promise it all the same,
    and stop ComfyUI when it is used.
    """
    find = getattr(management, "intermediate_dtype", None)  # newer versions: --fp16-intermediates
    dtype = find() if find is not None else torch.float32
    device = management.intermediate_device()
    needed = sum(math.prod(shape) for shape in shapes) * dtype.itemsize
    free = management.get_free_memory(device)
    if needed > free:
        raise core.MEMatteError(
            f"the results for {shapes[0][0]} pictures take {needed / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free on {device}; take fewer frames at a time"
        )
    return [torch.empty(shape, dtype=dtype, device=device) for shape in shapes]


# ---- folders -------------------------------------------------------------------------------------


def register_model_folder() -> None:
    """models/mematte, next to what extra_model_paths.yaml says."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def model_folders() -> list[Path]:
    """Where models may lie; the first is where downloads go."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]


def place_examples(source: Path) -> None:
    """Copy the example pictures to where workflows find them, as mematte/NAME [temp].

    ComfyUI empties its temporary folder at each start, so that nothing of ours stays behind.
    """
    target = Path(folder_paths.get_temp_directory()) / EXAMPLES
    try:
        target.mkdir(parents=True, exist_ok=True)
        for picture in source.iterdir():
            shutil.copyfile(picture, target / picture.name)
    except OSError as error:  # no reason to go without the nodes
        logger.warning("mematte: example pictures cannot be put into %s: %s", target, error)


# ---- progress ------------------------------------------------------------------------------------


class FrameProgress:
    """The node's progress bar over all frames, and the user's cancel.

    Called by the core with (done, total, stage); raises ComfyUI's interrupt.
    """

    def __init__(self, frames: int) -> None:
        self.frame = 0
        """Index of the frame that is being computed."""
        self._bar = comfy.utils.ProgressBar(frames * STEPS)

    def __call__(self, done: int, total: int, stage: str) -> None:
        management.throw_exception_if_processing_interrupted()
        start, end = STAGES.get(stage, (0.0, 0.0))
        share = start + (end - start) * done / max(1, total)
        self._bar.update_absolute(round((self.frame + share) * STEPS))


def download_progress(done: int, total: int, _: str) -> None:
    """Progress of a download in bytes; raises ComfyUI's interrupt."""
    management.throw_exception_if_processing_interrupted()
    comfy.utils.ProgressBar(max(1, total)).update_absolute(done)
