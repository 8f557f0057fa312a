"""Plans for real devices: asks device and weights, and hands the facts to `plan`."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BudgetError, MEMatteError, SettingError
from ..network.config import VARIANTS, NetworkConfig
from .free import (
    HALF,
    budget_for,
    computing_threads,
    free_memory,
    fused_attention,
    halves,
    resolve_device,
)
from .law import phases
from .limits import Limit
from .plan import RAN_OUT, STEP_DOWN, Plan, choose, least_budget
from .units import parse_bytes, show_bytes
from .workload import UNKNOWN, Workload, weights

if TYPE_CHECKING:
    import torch

    from ..network import MEMatte

DTYPES = ("float32", "float16", "bfloat16")
UNSEEN = {"cuda": "float16"}
"""What "auto" means for a device that is absent, by its kind; else float32. See `halves`."""
NAMED = re.compile(rf"({'|'.join(HALF)})(:\d+)?")
"""Devices whose memory law is known, so that they need not be present."""
ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes per number in each precision."""


def resolve_dtype(
    dtype: str | torch.dtype, device: str, *, there: bool = True
) -> tuple[str, str | None]:
    """The precision asked for, and the half precision to fall back to (None for none).

    "auto" depends on what the device can do (see `halves`), or on its kind if it is absent.

    Raises SettingError for names other than auto, float32, float16 and bfloat16.
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
    """How a picture of this size would be computed, and the memory it would take. Nothing runs.

    Args:
        size: (H, W) in pixels.
        network: weights by catalog name, folder or file, a network, or its config; "small" and
            "base" stand for official MEMatte networks.
        budget: bytes, or text such as "4GB", that the run may take above the loaded, idle process;
            default: what is free there now, less headroom.
        device: "auto", or a torch device. With a budget it need not be present; an absent CUDA
            card is assumed to have a fused attention kernel, a present one is tried. Devices other
            than CPU, CUDA and MPS are planned as GPUs without a fused attention kernel.
        dtype: "auto" (float16 on CUDA cards with tensor cores, which absent cards are assumed to
            have, else float32), "float32", "float16" or "bfloat16".
        max_tokens: cap on kept tokens per block.
        unknown: share of unknown pixels to expect, 0 to 1.
        depth: bytes of one colour value of the photograph: 1, 2 or 4.

    Raises BudgetError if not even the smallest chunks fit a given budget, naming the least that
    would do; MEMatteError if they do not fit the free memory; SettingError for other options than
    these; WeightsError for weights that cannot be found.
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
    """The facts that a plan is made from; see `plan_memory`.

    present: the device must be there, and is asked what it can do.
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
    work = Workload(
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
        workload=work,
        device=where,
        dtype=name,
        model=model,
        half=half,
        fused=_fused(where, name, config),
    )


def _is_there(device: str) -> bool:
    """Whether a CUDA card of this name is in the machine."""
    if not device.startswith("cuda") or not NAMED.fullmatch(device):
        return False  # other devices of a kind are all alike
    if "torch" not in sys.modules and shutil.which("nvidia-smi") is None:
        return False  # no driver; loading torch takes a second
    import torch

    index = torch.device(device).index or 0
    return torch.cuda.is_available() and index < torch.cuda.device_count()


def _plannable(device: str) -> bool:
    """Whether plans can be made for a device of this name if it is absent."""
    if NAMED.fullmatch(device):
        return True
    import torch

    try:
        return torch.device(device).type not in (*HALF, "meta")
    except RuntimeError:
        return False


@dataclass(frozen=True)
class Request:
    """The facts that a plan is made from."""

    workload: Workload
    """Picture, network and kind of device."""
    device: str
    """The device's name."""
    dtype: str
    """Precision of the network."""
    model: str = ""
    """Name of the weights."""
    half: str | None = None
    """The half precision to fall back to."""
    fused: bool = True
    """Whether the device has a fused attention kernel for this precision."""
    held: int = 0
    """Bytes of the picture that are in main memory already, and so no longer free."""
    copied: int = 0
    """Bytes of a copy of the weights that is on the device already; the workload counts it too."""

    def plan(self, budget: int | None, *, steps: tuple[str, ...] = ()) -> Plan:
        """The best plan within a budget, by default within the memory that is free on the device.

        Raises BudgetError if nothing fits a given budget, MEMatteError if nothing fits the free
        memory.
        """
        free: Limit | None = None
        source = "given"
        if budget is None:
            free = free_memory(self.device)
            budget = budget_for(free.free) + self.copied
            budget += self.held if self.workload.backend == "cpu" else 0
            source = f"{free.name}: {show_bytes(free.free)} free"
        asked = self.workload
        try:
            work, chunking, taken, lost = choose(
                asked, budget, fused=self.fused, half=self.half, capped=asked.config.routed
            )
        except BudgetError as error:
            if free is None:
                raise
            raise MEMatteError(
                f"{show_bytes(free.free)} are free on {self.device} ({free.name}), of which "
                f"{show_bytes(budget)} may be used, but {asked.width}×{asked.height} with this "
                f"model needs at least {show_bytes(error.least)}; close other programs, set a "
                "memory budget yourself, or use another device or a smaller picture"
            ) from error
        found = phases(work, chunking)
        return Plan(
            size=(work.height, work.width),
            model=self.model,
            device=self.device,
            dtype=self.dtype if work.itemsize == asked.itemsize else str(self.half),
            chunking=chunking,
            tokens=work.tokens,
            max_tokens=work.max_tokens,
            budget=budget,
            budget_from=source,
            predicted_peak=max(found.values()),
            weights=weights(work.config, work.itemsize),
            phases=found,
            steps=(*steps, *taken),
            lost=lost,
        )

    def least(self) -> int:
        """The smallest budget in bytes for which there is a plan."""
        return least_budget(
            self.workload,
            fused=self.fused,
            half=self.half is not None,
            capped=self.workload.config.routed,
        )

    def step_down(self, plan: Plan, why: str) -> Plan:
        """The next smaller plan after one that ran out of memory.

        Raises MEMatteError, with the plan in words, if there is none.
        """
        done = (*plan.steps, f"{RAN_OUT} at {show_bytes(plan.predicted_peak)} ({why})")
        half = self.half is not None
        # Exact steps first, however small.
        for lossy in ({}, {"half": half}, {"half": half, "capped": True}):
            least = least_budget(self.workload, fused=self.fused, **lossy)
            target = max(int(STEP_DOWN * plan.predicted_peak), least)
            if target < plan.predicted_peak:
                smaller = self.plan(target, steps=done)
                return replace(smaller, budget=plan.budget, budget_from=plan.budget_from)
        raise MEMatteError(
            "out of memory, even in the smallest chunks; close other programs, use another device "
            f"or a smaller picture. The last plan was:\n{replace(plan, steps=done)}"
        )


def config_of(network: str | Path | NetworkConfig | MEMatte) -> tuple[NetworkConfig, str]:
    """A network's shape and name, without reading its weights if a config.json suffices.

    Raises WeightsError for weights that cannot be found.
    """
    if isinstance(network, NetworkConfig):
        return network, ""
    if not isinstance(network, str | Path):
        return network.config, ""
    from ..weights.catalog import BUNDLE_ROOT, check_purpose, find
    from ..weights.files import CONFIG, read_json

    name = str(network)
    if name in VARIANTS:
        return VARIANTS[name], f"mematte {name}"
    entry = find(name)
    if entry is not None:
        check_purpose(entry, "matting")
    folder = BUNDLE_ROOT / entry.name if entry and entry.where == "bundled" else Path(name)
    if (folder / CONFIG).is_file():
        shape = read_json(folder / CONFIG).get("network")
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
    """Whether there is a fused attention kernel; a guess by the kind of device if it is absent."""
    kind = device.partition(":")[0]
    if kind == "cuda" and "torch" in sys.modules:
        import torch

        if (torch.device(device).index or 0) < torch.cuda.device_count():
            return fused_attention(torch.device(device), getattr(torch, dtype), config.head_dim)
    return kind in ("cpu", "cuda")
