"""Fitting a run into memory: exact steps first, quality last.

A plan starts with the fastest chunks and shrinks the phase that needs most until all fit, so that
every knob stays as large as possible. Steps that may cost quality come last and are named in
`lost`. No torch, nothing is allocated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import BudgetError
from ..network.config import Chunking
from .free import budget_for
from .law import attention_bytes, peak, phases
from .units import show_bytes
from .workload import Workload, halved

ELSEWHERE = Chunking(tile=2048)
"""On a GPU all at once: with a small picture, or a fast card, the time goes into starting
operations, and this way they are fewest."""
BALANCE = 1.2
"""How much more memory than the tokens' phases the input and the decoder may take at first."""
SHARES = (1, 3 / 4, 2 / 3, *(1 / n for n in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)))
"""Shares of the patches that are tried first for the input, largest first."""
AMPLE_PATCHES, AMPLE_TILE = 4096, 512
AMPLE = Chunking(tokens=16384, patches=AMPLE_PATCHES, attention=2**27, tile=AMPLE_TILE)
"""On a GPU: before chunks get smaller than these, the picture moves to the host's memory."""
TOKENS_PER_THREAD, TOKENS_AT_LEAST = 512, 1024
"""On a CPU, chunks that stay in its caches are fastest, and their memory is easiest to predict."""
SMALLEST = Chunking(tokens=196, patches=16, attention=1, tile=48)
"""The smallest chunks: smaller ones save nothing and take long."""
LARGEST_TILE = 2048
CONTEXT = 450 * 2**20
"""Bytes of the driver on a card before the first tensor (CUDA, measured by others)."""
FEWEST_KEPT = 16
"""The lowest cap on kept tokens."""
STEP_DOWN = 0.7
"""After running out of memory: the share of the prediction that the next plan may have."""
RAN_OUT = "out of memory"
"""The beginning of each step that was taken after running out of memory."""

KNOBS = {
    "embedding": ("patches",),
    "windows": ("tokens",),
    "mlp": ("tokens",),
    "refinement": ("tokens",),
    "attention": ("attention", "tokens"),
    "decoder": ("tile",),
}
"""The knobs that shrink each phase without changing the result, in order of use. Reading and
guidance have none."""
NAMES = {
    "tokens": "token chunk",
    "patches": "input chunk",
    "attention": "attention share",
    "tile": "decoder tile",
}


@dataclass(frozen=True)
class Plan:
    """How a picture will be computed, or was."""

    size: tuple[int, int]
    """(H, W) in pixels."""
    model: str
    """Name of the weights."""
    device: str
    """Where it runs."""
    dtype: str
    """Precision of the network."""
    chunking: Chunking
    """How much is held at once."""
    tokens: int
    """N, tokens of the padded picture."""
    max_tokens: int | None
    """Cap on kept tokens per block; None leaves it to the router."""
    budget: int
    """Bytes that the run may take above the loaded, idle process."""
    budget_from: str
    """Where the budget comes from, in words."""
    predicted_peak: int
    """Bytes above the loaded, idle process; on a GPU, in its memory."""
    weights: int
    """Bytes of the weights, which are loaded already."""
    phases: dict[str, int] = field(default_factory=dict)
    """Bytes at the worst moment of each phase."""
    steps: tuple[str, ...] = ()
    """What was reduced to fit, and every step down after running out of memory, in order."""
    lost: tuple[str, ...] = ()
    """What the result loses for lack of memory, compared with the same precision without limit."""
    measured_peak: int | None = None
    """After the run: bytes above the idle process. None before, and on devices without a count."""

    @property
    def exact(self) -> bool:
        """Whether the result is that of float32 and unlimited memory, within 1e-5."""
        return not self.lost and self.dtype == "float32"

    @property
    def lost_in_words(self) -> str:
        """What the result loses, or that it loses nothing."""
        if self.exact:
            return "nothing: the result is exact"
        return "; ".join(self.lost) or f"nothing beyond {self.dtype}"

    @property
    def ran_out(self) -> int:
        """How many times memory ran out."""
        return sum(step.startswith(RAN_OUT) for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-ready values."""
        return asdict(self) | {"exact": self.exact}

    def rows(self) -> Iterator[tuple[str, str]]:
        """The rows of the printed table: (name, value)."""
        height, width = self.size
        yield "picture", f"{width}×{height} ({self.tokens} tokens)"
        yield "model", f"{self.model or 'network'}, weights {show_bytes(self.weights)}"
        yield "device", f"{self.device}, {self.dtype}"
        yield "budget", f"{show_bytes(self.budget)} ({self.budget_from})"
        yield "predicted peak", f"{show_bytes(self.predicted_peak)} ({self.worst})"
        if self.measured_peak is not None:
            yield "measured peak", show_bytes(self.measured_peak)
        yield "chunks", _chunks(self.chunking)
        if self.max_tokens is not None:
            yield "retention", f"at most {self.max_tokens} of {self.tokens} tokens per block"
        yield "reduced", "; ".join(self.steps) or "nothing"
        yield "lost", self.lost_in_words

    @property
    def worst(self) -> str:
        """The phase that needs most."""
        return max(self.phases, key=self.phases.__getitem__) if self.phases else ""

    def short(self) -> str:
        """Device, precision and memory, in one line."""
        size = self.predicted_peak if self.measured_peak is None else self.measured_peak
        kind = "predicted" if self.measured_peak is None else "measured"
        return (
            f"{self.device}, {self.dtype}; {show_bytes(size)} {kind} of a budget of"
            f" {show_bytes(self.budget)}"
        )

    def _repr_html_(self) -> str | None:
        """The same table, for notebooks."""
        from ..notebook import as_html  # needs Pillow, which training on bare machines does without

        return as_html(self.rows)

    def __str__(self) -> str:
        rows = list(self.rows())
        width = max(len(what) for what, _ in rows)
        return "\n".join(f"{what:{width}}  {value}" for what, value in rows)


def choose(
    work: Workload,
    budget: int,
    *,
    fused: bool = True,
    half: str | None = None,
    capped: bool = False,
) -> tuple[Workload, Chunking, tuple[str, ...], tuple[str, ...]]:
    """The fastest way that fits a budget.

    Args:
        work: picture, network and kind of device.
        budget: bytes above the loaded, idle process.
        fused: whether attention runs in a kernel that never holds the logits.
        half: name of the half precision to fall back to, None for none.
        capped: whether kept tokens may be capped.

    Returns: the workload (halved or capped if necessary), its chunks, the steps taken and the
    quality losses.

    Raises BudgetError, naming the least possible budget, if nothing fits.
    """
    ways = _precisions(work, half is not None)
    shrunk = [shrink(way, budget, fused=fused) for way in ways]
    for way, (chunking, taken) in zip(ways, shrunk, strict=True):
        if fits(way, chunking, budget):
            steps, lost = _of_precision(way, work, half)
            return way, chunking, (*taken, *steps), lost
    caps = [
        _largest_cap(way, chunking, budget) if capped else None
        for way, (chunking, _) in zip(ways, shrunk, strict=True)
    ]
    cap = max((cap for cap in caps if cap is not None), default=None)
    if cap is None:
        least = least_budget(work, fused=fused, half=half is not None, capped=capped)
        raise BudgetError(
            f"memory budget of {show_bytes(budget)} is too small for {work.width}×{work.height} "
            f"with this model on {work.backend}: at least {show_bytes(least)} are needed; "
            "give more, or use another device or a smaller picture",
            least,
        )
    best = caps.index(cap)
    steps, lost = _of_precision(ways[best], work, half)
    chunking, taken = shrunk[best]
    softer = (
        f"at most {cap} of {work.tokens} tokens go through attention in each block: "
        "details may be softer"
    )
    found = replace(ways[best], max_tokens=cap)
    return found, chunking, (*taken, *steps, "retention capped"), (*lost, softer)


def _precisions(work: Workload, half: bool) -> list[Workload]:
    """The workload, and the same in half precision if that is allowed."""
    return [work, halved(work)] if half and work.itemsize > 2 else [work]


def _of_precision(
    way: Workload, work: Workload, half: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The step to half precision and its loss, if `way` took it."""
    if way.itemsize == work.itemsize:
        return (), ()
    loss = f"computed in {half}: alpha may differ slightly from float32"
    return (f"{half} instead of float32",), (loss,)


def least_budget(
    work: Workload, *, fused: bool = True, half: bool = False, capped: bool = False
) -> int:
    """The smallest budget in bytes with which `choose` succeeds."""
    ways = _precisions(work, half)
    if capped and work.config.routed:
        ways += [replace(way, max_tokens=min(way.most_kept, FEWEST_KEPT)) for way in ways]
    return min(peak(way, shrink(way, 0, fused=fused)[0]) for way in ways)


def shrink(work: Workload, budget: int, *, fused: bool = True) -> tuple[Chunking, tuple[str, ...]]:
    """The fastest chunks, halved for the phase that needs most until all fit or nothing helps.

    Returns: the chunks, which may still not fit, and what was reduced, in words.
    """
    start = replace(fastest(work), fused=fused)
    chunking = start
    while True:
        found = phases(work, chunking)
        over = [name for name in sorted(found, key=lambda n: -found[n]) if found[name] > budget]
        for name in over:
            smaller = _smaller(work, chunking, name)
            if smaller is not None:
                chunking = smaller
                break
        else:
            break
    taken = [
        f"{NAMES[knob]} {_amount(knob, getattr(chunking, knob))}"
        for knob in NAMES
        if getattr(chunking, knob) != getattr(start, knob)
    ]
    if chunking.host_features:
        taken.append("features wait in the host's memory")
    if chunking.host_picture:
        taken.append("the picture waits in the host's memory")
    return chunking, tuple(taken)


def fastest(work: Workload) -> Chunking:
    """Chunks to begin with."""
    if work.backend != "cpu":
        return _balanced(work)
    tokens = max(TOKENS_AT_LEAST, TOKENS_PER_THREAD * work.threads)
    return Chunking(tokens=tokens, patches=256, attention=2**23 * work.threads, tile=256)


def _balanced(work: Workload) -> Chunking:
    """All tokens at once, with input and decoder in pieces that take about as much memory: larger
    pieces would save few operations and take most of the memory."""
    found = phases(work, ELSEWHERE)
    rest = int(
        BALANCE * max(size for name, size in found.items() if name not in ("embedding", "decoder"))
    )
    chunking = ELSEWHERE
    for tile in _tiles(work):
        chunking = replace(chunking, tile=tile)
        if phases(work, chunking)["decoder"] <= rest:
            break
    rest = max(rest, phases(work, chunking)["decoder"])
    for share in SHARES:
        patches = None if share == 1 else int(work.tokens * share)
        if patches is not None and patches < AMPLE_PATCHES:
            break
        chunking = replace(chunking, patches=patches)
        if phases(work, chunking)["embedding"] <= rest:
            break
    return chunking


def _tiles(work: Workload) -> Iterator[int]:
    """Sides of decoder tiles, largest first. Pieces come from halving: sides in between would not
    make fewer."""
    side = work.config.patch_size * max(work.grid)
    while side > AMPLE_TILE:
        if side <= LARGEST_TILE:
            yield side
        side = -(-side // 32) * 16
    yield AMPLE_TILE


def fits(work: Workload, chunking: Chunking, budget: int) -> bool:
    """Whether no phase needs more than the budget."""
    return peak(work, chunking) <= budget


def room_on_card(total: int, weights: int) -> int:
    """Bytes that a run may plan with on an otherwise empty card of `total` bytes."""
    return budget_for(total - CONTEXT - weights)


def _smaller(work: Workload, chunking: Chunking, phase: str) -> Chunking | None:
    """Chunks with which this phase needs less, or None."""
    if work.backend == "cpu" or chunking.host_picture:
        return _smaller_chunks(work, chunking, phase, SMALLEST)
    ample = _smaller_chunks(work, chunking, phase, AMPLE)
    return replace(chunking, host_picture=True) if ample is None else ample


def _smaller_chunks(
    work: Workload, chunking: Chunking, phase: str, fewest: Chunking
) -> Chunking | None:
    now = phases(work, chunking)[phase]
    for knob in KNOBS.get(phase, ()):
        value = getattr(chunking, knob)
        least = getattr(fewest, knob)
        if value is None:
            value = 2 * _whole(work, knob)
        while value > least:
            value = max(least, value // 2 // 16 * 16 if knob == "tile" else value // 2)
            smaller = replace(chunking, **{knob: value})
            if phases(work, smaller)[phase] < now:
                return smaller
    if fewest is SMALLEST and phase == "decoder" and work.backend != "cpu":
        return None if chunking.host_features else replace(chunking, host_features=True)
    return None


def _whole(work: Workload, knob: str) -> int:
    """The value of a knob with which everything is held at once."""
    if knob == "attention":
        return attention_bytes(work, Chunking())
    if knob == "tile":
        longest = max(work.grid) * work.config.patch_size
        return min(LARGEST_TILE, longest)
    return work.tokens


def _largest_cap(work: Workload, chunking: Chunking, budget: int) -> int | None:
    """The most kept tokens that fit a budget; None if even FEWEST_KEPT do not, or if the network
    is not routed."""
    if not work.config.routed:
        return None
    low, high = FEWEST_KEPT, work.most_kept
    if not fits(replace(work, max_tokens=low), chunking, budget):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if fits(replace(work, max_tokens=middle), chunking, budget):
            low = middle
        else:
            high = middle
    return low


def _amount(knob: str, value: int) -> str:
    if knob == "attention":
        return show_bytes(value)
    return f"{value} px" if knob == "tile" else str(value)


def _chunks(chunking: Chunking) -> str:
    parts = [
        f"{NAMES[knob]} {'all' if value is None else _amount(knob, value)}"
        for knob in NAMES
        for value in [getattr(chunking, knob)]
    ]
    if not chunking.fused:
        parts.append("no fused attention kernel")
    return ", ".join(parts)
