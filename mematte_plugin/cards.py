"""What common cards and machines make of common picture sizes: a table of plans.

Nothing is run and none of the cards need be there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BudgetError, SettingError
from .memory.free import Free, budget_from
from .memory.law import UNKNOWN, weights
from .memory.plan import Plan, room_on_card
from .memory.request import Request, config_of, request_for
from .memory.retention import Retention, check_retention, max_tokens

if TYPE_CHECKING:
    from .network import MEMatte, NetworkConfig

SIZES = {"1K": (1024, 1024), "2K": (2048, 2048), "4K": (2160, 3840), "8K": (4320, 7680)}
"""(H, W) of the sizes that have names."""
MEMORIES = {"cuda": (2, 4, 6, 8, 12, 16, 24), "cpu": (2, 4, 8, 16)}
"""Common memories by device type, in units of 2^30 bytes: of an otherwise empty card, or free main
memory."""


@dataclass(frozen=True)
class Outlook:
    """One size on one device."""

    device: str
    """Device type: "cuda" or "cpu"."""
    memory: int
    """Bytes of the card, or of free main memory."""
    size: tuple[int, int]
    """(H, W) in pixels."""
    budget: int
    """Bytes that a run may plan with there."""
    plan: Plan | None
    """None where nothing fits."""
    least: int
    """Bytes that a run needs at least, with all that may be resorted to."""
    short: str
    """In a word: "exact", the half precision resorted to, "capped", or "too small"."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-ready values."""
        plan = self.plan
        return {
            "device": self.device,
            "memory": self.memory,
            "height": self.size[0],
            "width": self.size[1],
            "budget": self.budget,
            "fits": plan is not None,
            "exact": plan is not None and plan.exact,
            "lost": [] if plan is None else list(plan.lost),
            "predicted_peak": None if plan is None else plan.predicted_peak,
            "least": self.least,
        }


def outlooks(
    network: str | Path | NetworkConfig | MEMatte = "mematte-tiny",
    *,
    sizes: Sequence[tuple[int, int]] = tuple(SIZES.values()),
    memories: Mapping[str, Sequence[int]] = MEMORIES,
    dtype: str = "auto",
    retention: Retention = "auto",
    unknown: float = UNKNOWN,
    depth: int = 1,
) -> list[Outlook]:
    """How each size would fare with each memory, row by row of the table.

    Args:
        network, dtype, unknown, depth: as for `planning.plan_memory`.
        sizes: (H, W) in pixels each.
        memories: by device type, cuda or cpu, in units of 2^30 bytes.
        retention: as for `MattingPipeline`.

    Raises SettingError for another device type and for other options; WeightsError for weights
    that cannot be found.
    """
    odd = [kind for kind in memories if kind not in MEMORIES]
    if odd:
        raise SettingError(
            f"device {odd[0]!r}: the table knows {' and '.join(MEMORIES)}; choose one"
        )
    config, _ = config_of(network)
    check_retention(retention, config)
    requests = {
        (kind, size): request_for(
            size,
            config,
            kind,
            dtype,
            max_tokens=max_tokens(retention, size, config),
            unknown=unknown,
            depth=depth,
        )
        for kind in memories
        for size in sizes
    }
    return [
        _outlook(requests[kind, size], amount * 2**30)
        for kind, amounts in memories.items()
        for amount in amounts
        for size in sizes
    ]


def _outlook(request: Request, memory: int) -> Outlook:
    job = request.job
    held = weights(job.config, job.itemsize)
    if job.backend == "cpu":
        room = budget_from(Free("cpu", max(0, memory - held), memory, "RAM"))
    else:
        room = room_on_card(memory, held)
    plan: Plan | None = None
    try:
        plan = request.plan(room)
        capped = plan.max_tokens != job.max_tokens
        short = "exact" if plan.exact else "capped" if capped else plan.dtype
    except BudgetError:
        short = "too small"
    return Outlook(job.backend, memory, (job.height, job.width), room, plan, request.least(), short)
