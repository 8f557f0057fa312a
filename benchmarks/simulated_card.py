"""What a card would hold and do, without one: bytes, launches and round trips on a meta device.

    python -m benchmarks.simulated_card

Held against the plan's prediction, less what libraries take besides, which is not seen here.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import torch
import typer
from torch import Tensor

from mematte_plugin.images.files import write_text
from mematte_plugin.memory.law import WORKSPACE, phases
from mematte_plugin.memory.plan import room_on_card
from mematte_plugin.memory.request import request_for
from mematte_plugin.network import VARIANTS, Chunking, MEMatte, NetworkConfig

from .command import main
from .meta_card import MetaCard

RESULTS = Path(__file__).parent / "results"
LOW, HIGH = 0.8, 1.0
"""Where peak over prediction shall lie, where the network dominates."""
DOMINATES = 64_000_000
"""Bytes: from such a peak on it is the network's tensors that decide whether a card has room."""
UNKNOWN, KEPT = 1 / 3, 0.25
STRIPE = 16
"""Rows of pixels that are unknown together."""
UNROUTED: dict[str, Any] = {"routed": False, "global_rel_pos": True, "padding": "each"}
NETWORKS: dict[str, NetworkConfig] = {
    "tiny": VARIANTS["tiny"],
    "small": VARIANTS["small"],
    "base": VARIANTS["base"],
    "vitmatte-small": replace(VARIANTS["small"], **UNROUTED),
    "vitmatte-base": replace(VARIANTS["base"], **UNROUTED),
}
SIZES = ((512, 512), (1024, 1024), (2048, 2048), (3840, 2160), (7680, 4320))
"""(width, height) in pixels."""
BUDGETS: tuple[float | None, ...] = (None, 1.1, 1.6)
"""Times the least; None for all that could be wanted."""
CARDS = (2, 6, 24)
"""Sizes in GiB."""
KNOBS: dict[str, dict[str, Any]] = {
    "tokens": {"tokens": 2048},
    "patches": {"patches": 256},
    "attention": {"attention": 2**22},
    "tile": {"tile": 128},
    "host features": {"host_features": True},
    "host picture": {"host_picture": True},
    "no kernel": {"fused": False, "attention": 2**26},
    "all at once": {"tokens": None, "patches": None, "attention": None},
}
"""Each of them alone, the rest as planned for a card with room for all."""
logger = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Case:
    """One picture through one network."""

    network: str
    """Name in NETWORKS."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    dtype: str = "float16"
    """Of the network."""
    budget: float | None = None
    """Times the least; None for all that could be wanted."""
    card: int | None = None
    """Or the size of the card in GiB."""
    knob: str = ""
    """Name in KNOBS."""
    decoder: Literal["exact", "official"] = "exact"
    """How it is decoded."""


@dataclass(frozen=True)
class Found:
    """What the card saw of a case."""

    case: Case
    """What was run."""
    chunking: Chunking
    """How."""
    predicted: int
    """Bytes that the law says, less the libraries' workspaces."""
    peak: int
    """Bytes of live tensors, besides the weights."""
    worst: str
    """Phase that the law says takes most."""
    at: str
    """Stage that took most."""
    operations: int
    """All of torch's."""
    launches: dict[str, int] = field(default_factory=dict)
    """Kernels by stage."""
    trips: dict[str, int] = field(default_factory=dict)
    """Round trips and copies by kind."""
    law: dict[str, int] = field(default_factory=dict)
    """Bytes by phase."""
    peaks: dict[str, int] = field(default_factory=dict)
    """Bytes by stage."""

    @property
    def ratio(self) -> float:
        """Peak over prediction."""
        return self.peak / self.predicted

    @property
    def dominates(self) -> bool:
        """Whether the network's tensors decide."""
        return self.peak >= DOMINATES


@lru_cache(maxsize=1)
def network_on_card(name: str, dtype: str) -> MEMatte:
    """A network without values."""
    with torch.device("meta"):
        network = MEMatte(NETWORKS[name])
    network.eval().cast(getattr(torch, dtype))
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


def run(case: Case) -> Found:
    """Plan a case for a card, run it on one that is not there, and hold them together."""
    config = NETWORKS[case.network]
    size = case.height, case.width
    tokens = request_for(size, config, "cuda", case.dtype).job.tokens
    kept = int(KEPT * tokens) if config.routed else None
    request = request_for(size, config, "cuda", case.dtype, max_tokens=kept, unknown=UNKNOWN)
    request = replace(request, job=replace(request.job, official=case.decoder == "official"))
    if case.card is not None:
        budget = room_on_card(case.card * 2**30, 0)
    elif case.budget is not None:
        budget = int(case.budget * request.least())
    else:
        budget = 80 * 2**30
    plan = request.plan(budget)
    job = replace(request.job, max_tokens=plan.max_tokens)
    chunking = replace(plan.chunking, **KNOBS.get(case.knob, {}))
    law = {name: size - WORKSPACE["cuda"] for name, size in phases(job, chunking).items()}
    network = network_on_card(case.network, case.dtype)
    card = MetaCard(
        [*network.parameters(), *network.buffers()],
        job.max_tokens or job.tokens,
        UNKNOWN,
        fused=chunking.fused,
    )
    image, trimap = picture(*size)
    with torch.no_grad(), card:
        network.predict(
            image,
            trimap,
            max_tokens=plan.max_tokens,
            chunking=chunking,
            decoder=case.decoder,
            only_unknown=True,
        )
    return Found(
        case=case,
        chunking=chunking,
        predicted=max(law.values()),
        peak=card.peak,
        worst=max(law, key=law.__getitem__),
        at=max(card.peaks, key=card.peaks.__getitem__),
        operations=card.operations,
        launches=dict(card.launches),
        trips=dict(card.trips),
        law=law,
        peaks=dict(card.peaks),
    )


def picture(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A photograph (1, 3, H, W) uint8 and a trimap (1, 1, H, W) with a third of it unknown, in
    stripes: everywhere, so that the decoder has whole tiles to do."""
    rows = torch.arange(height)
    known = (rows >= height // 2).float()
    column = torch.where(rows // STRIPE % 3 == 1, 0.5, known)
    trimap = column[:, None].expand(height, width).contiguous()[None, None]
    return torch.zeros(1, 3, height, width, dtype=torch.uint8), trimap


def cases(sizes: tuple[tuple[int, int], ...] = SIZES) -> Iterator[Case]:
    """What the table holds, small pictures first."""
    for size in sizes:
        for name in NETWORKS:
            for dtype in ("float16", "float32"):
                for budget in BUDGETS:
                    yield Case(name, *size, dtype, budget)
            for card in CARDS:
                yield Case(name, *size, card=card)
            for knob in KNOBS:
                if knob != "all at once" or size[0] <= 2048:
                    yield Case(name, *size, knob=knob)
            yield Case(name, *size, decoder="official")


def simulated_card(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Only up to 2.5 megapixels.")] = False,
    free: Annotated[
        bool, typer.Option("--free", help="Only float16 on a card with room for all.")
    ] = False,
    network: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    minutes: Annotated[float | None, typer.Option(help="End after so long.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="JSON file; a table is written beside it.")
    ] = None,
) -> None:
    """Bytes, launches and round trips on a card, against the plan's prediction."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    sizes = tuple(size for size in SIZES if not quick or size[0] * size[1] <= 2_500_000)
    end = None if minutes is None else time.monotonic() + 60 * minutes
    found = []
    chosen = [one for one in cases(sizes) if network in (None, one.network)]
    if free:
        chosen = [one for one in chosen if _plan(one) == "free" and one.dtype == "float16"]
    for case in chosen:
        if end is not None and time.monotonic() > end:
            logger.info("the time is over; larger pictures are missing")
            break
        found.append(run(case))
        logger.info("%s", " ".join(_cells(found[-1])))
    path = out or RESULTS / "simulated-card.json"
    rows = [asdict(one) | {"ratio": round(one.ratio, 3)} for one in found]
    write_text(path, json.dumps(rows, indent=1) + "\n", overwrite=True)
    write_text(path.with_suffix(".md"), as_markdown(found), overwrite=True)


# ---- table ---------------------------------------------------------------------------------------

COLUMNS = (
    *("network", "size", "dtype", "plan", "phase", "stage", "law MB", "peak MB", "ratio"),
    *("operations", "launches", "round trips"),
)


def as_markdown(found: list[Found]) -> str:
    """Summaries, then a line for each case."""
    text = [
        "# A simulated card",
        "",
        f"Nothing was computed: the meta device of torch {torch.__version__.partition('+')[0]} "
        "stands in for a CUDA card. Peak: tensors alive besides the weights. Law: the prediction "
        "less the "
        f"{WORKSPACE['cuda'] >> 20} MiB for libraries, which are not seen here. Phase: where the "
        "law sees the most; stage: where it was. Operations: all of torch's; launches: kernels. "
        f"{UNKNOWN:.0%} of the pixels unknown, {KEPT:.0%} of the tokens kept (all in ViTMatte).",
        "",
        f"| peak of {DOMINATES // 10**6} MB or more | cases | least | median | most "
        f"| in {LOW}–{HIGH} |",
        "|---|---|---|---|---|---|",
    ]
    large = [one for one in found if one.dominates and one.case.decoder == "exact"]
    groups = {"all": large}
    groups |= {name: [one for one in large if one.case.network == name] for name in NETWORKS}
    for name, some in groups.items():
        ratios = sorted(one.ratio for one in some)
        if ratios:
            good = sum(LOW <= ratio <= HIGH for ratio in ratios) / len(ratios)
            numbers = " | ".join(f"{x:.2f}" for x in (ratios[0], median(ratios), ratios[-1]))
            text.append(f"| {name} | {len(ratios)} | {numbers} | {good:.0%} |")
    text += ["", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    text += [f"| {' | '.join(_cells(one))} |" for one in found]
    text += ["", "## Kernels by stage", ""]
    free = [one for one in found if _plan(one.case) == "free" and one.case.dtype == "float16"]
    stages = sorted({stage for one in free for stage in one.launches})
    text += [f"| | {' | '.join(stages)} |", "|---" * (len(stages) + 1) + "|"]
    for one in free:
        counts = " | ".join(str(one.launches.get(stage, 0)) for stage in stages)
        text.append(f"| {one.case.network} {one.case.width}×{one.case.height} | {counts} |")
    return "\n".join(text) + "\n"


def _plan(case: Case) -> str:
    if case.card is not None:
        return f"{case.card} GB card"
    if case.decoder == "official":
        return "official decoder"
    return case.knob or ("free" if case.budget is None else f"{case.budget:g} × least")


def _cells(one: Found) -> list[str]:
    case = one.case
    return [
        case.network,
        f"{case.width}×{case.height}",
        case.dtype,
        _plan(case),
        one.worst,
        one.at,
        f"{one.predicted / 1e6:.1f}",
        f"{one.peak / 1e6:.1f}",
        f"{one.ratio:.2f}",
        str(one.operations),
        str(sum(one.launches.values())),
        ", ".join(f"{count} {kind}" for kind, count in sorted(one.trips.items())),
    ]


if __name__ == "__main__":
    main(simulated_card)
