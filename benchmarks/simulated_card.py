"""What a card would hold and do, without one: bytes, launches and round trips on a meta device.

    python -m benchmarks.simulated_card

The peaks are compared with the plan's prediction less the libraries' share, which is not simulated.
The same command goes on where it was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Literal

import torch
import typer
from torch import Tensor

from mematte_plugin.evaluation.report import markdown_table
from mematte_plugin.memory.law import phases
from mematte_plugin.memory.plan import room_on_card
from mematte_plugin.memory.request import request_for
from mematte_plugin.memory.workload import WORKSPACE
from mematte_plugin.network import VARIANTS, MEMatte, NetworkConfig

from .command import Again, Minutes, Out, Quick, limits_of, main, write_report
from .meta_card import MetaCard
from .prediction import SUMMARY, ratio_of, summary_of
from .results import RESULTS, Record, Store
from .runner import Task, run

DOMINATES = 64_000_000
"""Bytes: from such a peak on, the network's tensors decide whether a card has room."""
UNKNOWN, KEPT = 1 / 3, 0.25
STRIPE = 16
"""Height of a stripe of unknown pixels."""
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
BUDGETS = (1.1, 1.6)
"""Times the least."""
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
"""Each of them alone; the rest as planned for a card with enough room."""


@lru_cache(maxsize=1)
def network_on_card(name: str, dtype: str) -> MEMatte:
    """A network without values."""
    with torch.device("meta"):
        network = MEMatte(NETWORKS[name])
    network.eval().cast(getattr(torch, dtype))
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


def measure(
    network: str,
    width: int,
    height: int,
    *,
    dtype: str = "float16",
    budget: float | None = None,
    card: int | None = None,
    knob: str = "",
    decoder: Literal["exact", "official"] = "exact",
) -> dict[str, Any]:
    """Plan one picture for a card, and run it on a simulated one.

    Args:
        network: a name in `NETWORKS`.
        width, height: in pixels.
        dtype: of the network.
        budget: times the least; None for enough.
        card: or the size of the card in GiB.
        knob: a name in `KNOBS`.
        decoder: as for `MattingPipeline`.

    Returns: "predicted" by the law, less the libraries' workspaces, and "peak" of live tensors
    besides the weights, in bytes; the same by phase ("law") and stage ("peaks"); "operations" of
    torch, "launches" of kernels by stage, "trips" to and from the card by kind.
    """
    begin = time.perf_counter()
    config, size = NETWORKS[network], (height, width)
    tokens = request_for(size, config, "cuda", dtype).workload.tokens
    kept = int(KEPT * tokens) if config.routed else None
    request = request_for(size, config, "cuda", dtype, max_tokens=kept, unknown=UNKNOWN)
    request = replace(request, workload=replace(request.workload, official=decoder == "official"))
    if card is not None:
        room = room_on_card(card * 2**30, 0)
    elif budget is not None:
        room = int(budget * request.least())
    else:
        room = 80 * 2**30
    plan = request.plan(room)
    workload = replace(request.workload, max_tokens=plan.max_tokens)
    chunking = replace(plan.chunking, **KNOBS.get(knob, {}))
    law = {name: taken - WORKSPACE["cuda"] for name, taken in phases(workload, chunking).items()}
    loaded = network_on_card(network, dtype)
    meter = MetaCard(
        [*loaded.parameters(), *loaded.buffers()],
        workload.max_tokens or workload.tokens,
        UNKNOWN,
        fused=chunking.fused,
    )
    image, trimap = picture(*size)
    with torch.no_grad(), meter:
        loaded.predict(
            image,
            trimap,
            max_tokens=plan.max_tokens,
            chunking=chunking,
            decoder=decoder,
            only_unknown=True,
        )
    return {
        "seconds": time.perf_counter() - begin,
        "predicted": max(law.values()),
        "peak": meter.peak,
        "law": law,
        "peaks": dict(meter.peaks),
        "operations": meter.operations,
        "launches": dict(meter.launches),
        "trips": dict(meter.trips),
    }


def picture(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A photograph (1, 3, H, W) uint8 and a trimap (1, 1, H, W) with a third unknown, in stripes
    all over the picture, so that the decoder gets whole tiles."""
    rows = torch.arange(height)
    known = (rows >= height // 2).float()
    column = torch.where(rows // STRIPE % 3 == 1, 0.5, known)
    trimap = column[:, None].expand(height, width).contiguous()[None, None]
    return torch.zeros(1, 3, height, width, dtype=torch.uint8), trimap


def cases() -> Iterator[dict[str, Any]]:
    """Arguments of `measure`, small pictures first."""
    for width, height in SIZES:
        for network in NETWORKS:
            case = {"network": network, "width": width, "height": height}
            for dtype in ("float16", "float32"):
                yield {**case, "dtype": dtype}
                yield from ({**case, "dtype": dtype, "budget": budget} for budget in BUDGETS)
            yield from ({**case, "card": card} for card in CARDS)
            for knob in KNOBS:
                if knob != "all at once" or width <= 2048:
                    yield {**case, "knob": knob}
            yield {**case, "decoder": "official"}


def simulated_card(
    *,
    network: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    minutes: Minutes = None,
    out: Out = None,
    again: Again = False,
    quick: Quick = False,
) -> None:
    """Count bytes, launches and round trips on a card, and compare them with the prediction."""
    chosen = [
        one for one in cases() if network in (None, one["network"]) and (not quick or is_free(one))
    ]
    version = torch.__version__.partition("+")[0]
    store = Store(out or RESULTS / "simulated-card.json", {"torch": version}, {})
    tasks = [[Task(one, measure, one, "card")] for one in chosen]
    run(tasks, store, limits_of(None, minutes), again=again)
    write_report(store, as_markdown)


# ---- tables --------------------------------------------------------------------------------------

HEADERS = (
    *("network", "size", "dtype", "plan", "phase", "stage", "law MB", "peak MB", "ratio"),
    *("operations", "launches", "round trips"),
)


def as_markdown(store: Store) -> str:
    """Summaries, then a line for each case."""
    records = [one for one in store.records if one.runs]
    large = [one for one in records if (one.peak or 0) >= DOMINATES and "decoder" not in one.case]
    named = {"all": large}
    named |= {name: [one for one in large if one.case["network"] == name] for name in NETWORKS}
    summary = [summary_of(name, list(map(ratio_of, some))) for name, some in named.items() if some]
    free = [one for one in records if is_free(one.case)]
    stages = sorted({stage for one in free for stage in one.get("launches")})
    kernels = [
        [_title(one.case), *(str(one.get("launches").get(stage, 0)) for stage in stages)]
        for one in free
    ]
    parts = [
        "# A simulated card",
        f"Nothing was computed: the meta device of torch {store.machine['torch']} stands in for a"
        " CUDA card. Peak: tensors alive besides the weights. Law: the prediction less the"
        f" {WORKSPACE['cuda'] >> 20} MiB for libraries, which are not seen here. Phase: where the"
        " law sees the most; stage: where it was. Operations: all of torch's; launches: kernels."
        f" {UNKNOWN:.0%} of the pixels unknown, {KEPT:.0%} of the tokens kept (all in ViTMatte).",
        f"Peaks of {DOMINATES // 10**6} MB or more:",
        markdown_table(SUMMARY, summary),
        markdown_table(HEADERS, map(_cells, records)),
        "## Kernels by stage",
        markdown_table(("", *stages), kernels) + "\n",
    ]
    return "\n\n".join(parts)


def is_free(case: dict[str, Any]) -> bool:
    """Whether a case is float16 on a card with enough room."""
    return _plan(case) == "free" and case.get("dtype", "float16") == "float16"


def _plan(case: dict[str, Any]) -> str:
    if "card" in case:
        return f"{case['card']} GB card"
    if "budget" in case:
        return f"{case['budget']:g} × least"
    return "official decoder" if "decoder" in case else case.get("knob", "free")


def _title(case: dict[str, Any]) -> str:
    return f"{case['network']} {case['width']}×{case['height']}"


def _cells(one: Record) -> Sequence[str]:
    law, peaks = one.get("law"), one.get("peaks")
    return [
        *_title(one.case).split(),
        one.case.get("dtype", "float16"),
        _plan(one.case),
        max(law, key=law.__getitem__),
        max(peaks, key=peaks.__getitem__),
        f"{one.get('predicted') / 1e6:.1f}",
        f"{one.get('peak') / 1e6:.1f}",
        f"{ratio_of(one):.2f}",
        str(one.get("operations")),
        str(sum(one.get("launches").values())),
        ", ".join(f"{count} {kind}" for kind, count in sorted(one.get("trips").items())),
    ]


if __name__ == "__main__":
    main(simulated_card)
