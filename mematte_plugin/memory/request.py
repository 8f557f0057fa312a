"""Plans for real devices: what is free there, what the network needs, how to hold it.

`memory` has the arithmetic; this asks the device and the weights.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BudgetError, MEMatteError, SettingError
from ..network.config import VARIANTS, NetworkConfig
from .backend import HALF, fused_attention, halves, resolve_device
from .free import Free, budget_from, computing_threads, free_memory
from .law import UNKNOWN, Job, phases, weights
from .plan import RAN_OUT, STEP_DOWN, Plan, choose, least_budget, smaller_card
from .units import parse_bytes, show_bytes

if TYPE_CHECKING:
    import torch

    from ..network import MEMatte

DTYPES = ("float32", "float16", "bfloat16")
UNSEEN = {"cuda": "float16"}
"""What "auto" is on a device that is not there, by its type; float32 elsewhere. See `halves`."""
NAMED = re.compile(rf"({'|'.join(HALF)})(:\d+)?")
"""Devices whose law is known, so that they need not be there."""
ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of a number in each precision."""


def resolve_dtype(
    dtype: str | torch.dtype, device: str, *, there: bool = True
) -> tuple[str, str | None]:
    """The precision asked for, and the half precision that may be resorted to (None for none).

    "auto" goes by what the device can do (see `halves`), or by its type where it is not there.

    Raises SettingError for any but auto, float32, float16 and bfloat16.
    """
    name = str(dtype).removeprefix("torch.")
    if name == "auto":
        kind = device.partition(":")[0]
        first, half = halves(device) if there else (UNSEEN.get(kind), HALF.get(kind))
        return first or "float32", half
    if name not in DTYPES:
        raise SettingError(f"dtype {name!r}: choose auto, {', '.join(DTYPES)}")
    return name, None


def plan_memory(
    size: tuple[int, int],
    network: str | Path | NetworkConfig | MEMatte = "mematte-tiny",
    budget: int | float | str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    max_tokens: int | None = None,
    unknown: float = UNKNOWN,
    depth: int = 1,
) -> Plan:
    """How a picture of this size would be computed, and what it would take; nothing is run.

    Args:
        size: (H, W) in pixels.
        network: weights by catalog name, folder or file, a network, or its config; "small" and
            "base" stand for official MEMatte networks.
        budget: bytes, or text such as "4GB", that the run may take above the loaded, idle process;
            default: what is free there now, less headroom.
        device: "auto", or a torch device. With a budget given it need not be there; CUDA is then
            taken to have a fused attention kernel, which is tried where it is. One that is
            neither CPU, CUDA nor MPS is taken for a GPU without a fused attention kernel.
        dtype: "auto" (float16 on CUDA cards with tensor cores, else float32; a card that is not
            there is taken for one that has them), "float32", "float16" or "bfloat16".
        max_tokens: cap on kept tokens a block.
        unknown: share of unknown pixels to expect, 0 to 1.
        depth: bytes of one colour value of the photograph: 1, 2 or 4.

    Raises BudgetError where not even the smallest steps fit a given budget, naming the least;
    MEMatteError where they do not fit what is free; SettingError for options that are none of the
    above; WeightsError for weights that cannot be found.
    """
    given = None if budget is None else parse_bytes(budget)
    request = request_for(
        size,
        network,
        device,
        dtype,
        max_tokens=max_tokens,
        unknown=unknown,
        depth=depth,
        present=given is None or (str(dtype) == "auto" and _is_there(str(device))),
    )
    return request.plan(given)


def request_for(
    size: tuple[int, int],
    network: str | Path | NetworkConfig | MEMatte = "mematte-tiny",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    max_tokens: int | None = None,
    unknown: float = UNKNOWN,
    depth: int = 1,
    present: bool = False,
) -> Request:
    """What plans are made for; see `plan_memory`.

    present: the device has to be there, and is asked what it can do.
    """
    height, width = size
    if height < 1 or width < 1:
        raise SettingError(f"size {height}×{width}: give height and width of at least 1 pixel")
    if not 0 <= unknown <= 1:
        raise SettingError(f"unknown {unknown}: give a share of the pixels from 0 to 1")
    config, model = config_of(network)
    where = str(device)
    present = present or where == "auto"
    if present or not _plannable(where):
        where = str(resolve_device(device))
    kind = where.partition(":")[0]
    name, half = resolve_dtype(dtype, where, there=present)
    job = Job(
        height,
        width,
        config,
        itemsize=ITEMSIZE[name],
        backend=kind,
        depth=depth,
        unknown=unknown,
        max_tokens=max_tokens,
        threads=computing_threads(),
    )
    return Request(
        job=job,
        device=where,
        dtype=name,
        model=model,
        half=half,
        fused=_fused(where, name, config),
    )


def _is_there(device: str) -> bool:
    """Whether a CUDA card of this name is in the machine, and not only planned for."""
    if not device.startswith("cuda") or not NAMED.fullmatch(device):
        return False  # others of a kind are all alike
    if "torch" not in sys.modules and shutil.which("nvidia-smi") is None:
        return False  # no driver; loading torch takes a second
    import torch

    index = torch.device(device).index or 0
    return torch.cuda.is_available() and index < torch.cuda.device_count()


def _plannable(device: str) -> bool:
    """Whether plans can be made for a device of this name without having it."""
    if NAMED.fullmatch(device):
        return True
    import torch

    try:
        return torch.device(device).type not in (*HALF, "meta")
    except RuntimeError:
        return False


@dataclass(frozen=True)
class Request:
    """What a plan is made for, and what it may resort to."""

    job: Job
    """Picture, network and kind of device."""
    device: str
    """The device's name."""
    dtype: str
    """Precision of the network."""
    model: str = ""
    """Name of the weights."""
    half: str | None = None
    """The half precision that may be resorted to."""
    fused: bool = True
    """Whether the device has a fused attention kernel for this precision."""
    held: int = 0
    """Bytes of the picture that are in main memory already, and so not free any more."""
    copied: int = 0
    """Bytes of a copy of the weights that is on the device already, and counts in the job."""

    def plan(self, budget: int | None, *, steps: tuple[str, ...] = ()) -> Plan:
        """The best plan within a budget, by default within what is free on the device now.

        Raises BudgetError where nothing fits a given budget, MEMatteError where nothing fits what
        is free.
        """
        free: Free | None = None
        source = "given"
        if budget is None:
            free = free_memory(self.device)
            budget = budget_from(free) + self.copied
            budget += self.held if self.job.backend == "cpu" else 0
            source = f"{free.limit}: {show_bytes(free.free)} free"
        try:
            job, chunking, taken, lost = self._choose(self.job, budget)
        except BudgetError as error:
            if free is None:
                raise
            raise MEMatteError(
                f"of {show_bytes(free.free)} that are free on {self.device} ({free.limit}) "
                f"{show_bytes(budget)} may be used, and {self.job.width}×{self.job.height} with "
                f"this model needs at least {show_bytes(error.least)}; close other programs, set a "
                "memory budget yourself, or use another device or a smaller picture"
            ) from error
        found = phases(job, chunking)
        return Plan(
            size=(job.height, job.width),
            model=self.model,
            device=self.device,
            dtype=self.dtype if job.itemsize == self.job.itemsize else str(self.half),
            chunking=chunking,
            tokens=job.tokens,
            max_tokens=job.max_tokens,
            budget=budget,
            budget_from=source,
            predicted_peak=max(found.values()),
            weights=weights(job.config, job.itemsize),
            phases=found,
            steps=(*steps, *taken),
            lost=lost,
            smaller=smaller_card(self.job, budget, self._choose) if steps == () else "",
        )

    def least(self) -> int:
        """The smallest budget in bytes for which there is a plan."""
        return least_budget(
            self.job, fused=self.fused, half=self.half is not None, capped=self.job.config.routed
        )

    def step_down(self, plan: Plan, why: str) -> Plan:
        """The next smaller plan after one that ran out of memory.

        Raises MEMatteError, with the plan in words, where there is none.
        """
        done = (*plan.steps, f"{RAN_OUT} at {show_bytes(plan.predicted_peak)} ({why})")
        half = self.half is not None
        # What is exact comes first, be the step ever so small.
        for lossy in ({}, {"half": half}, {"half": half, "capped": True}):
            least = least_budget(self.job, fused=self.fused, **lossy)
            target = max(int(STEP_DOWN * plan.predicted_peak), least)
            if target < plan.predicted_peak:
                smaller = self.plan(target, steps=done)
                return replace(smaller, budget=plan.budget, budget_from=plan.budget_from)
        raise MEMatteError(
            f"out of memory, and there is no smaller way left; close other programs, use another "
            f"device or a smaller picture. What was tried:\n{replace(plan, steps=done)}"
        )

    def _choose(self, job: Job, budget: int) -> Any:
        return choose(job, budget, fused=self.fused, half=self.half, capped=self.job.config.routed)


def config_of(network: str | Path | NetworkConfig | MEMatte) -> tuple[NetworkConfig, str]:
    """A network's shape and name, without reading its weights where their config tells.

    Raises WeightsError for weights that cannot be found.
    """
    if isinstance(network, NetworkConfig):
        return network, ""
    if not isinstance(network, str | Path):
        return network.config, ""
    from ..weights.catalog import BUNDLE_ROOT, find
    from ..weights.files import read_json

    name = str(network)
    if name in VARIANTS:
        return VARIANTS[name], f"mematte {name}"
    entry = find(name)
    folder = BUNDLE_ROOT / entry.name if entry and entry.where == "bundled" else Path(name)
    if (folder / "config.json").is_file():
        shape = read_json(folder / "config.json").get("network")
        if isinstance(shape, dict):
            return NetworkConfig.from_dict(shape), name
    if entry is not None and entry.where == "hub":
        unrouted = replace(
            VARIANTS[entry.variant], routed=False, global_rel_pos=True, padding="each"
        )
        return unrouted, entry.name
    from ..weights.load import load_network

    return load_network(name).config, name


def _fused(device: str, dtype: str, config: NetworkConfig) -> bool:
    """What a run would find out where the device is here; else what such devices mostly have."""
    kind = device.partition(":")[0]
    if kind == "cuda" and "torch" in sys.modules:
        import torch

        if (torch.device(device).index or 0) < torch.cuda.device_count():
            return fused_on(torch.device(device), getattr(torch, dtype), config)
    return kind in ("cpu", "cuda")


def fused_on(device: torch.device, dtype: torch.dtype, config: NetworkConfig) -> bool:
    """Whether the device has a fused attention kernel for this network; see `fused_attention`."""
    return fused_attention(device, dtype, config.head_dim)
