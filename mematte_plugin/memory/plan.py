"""Choosing how a run holds its memory: exact steps first, quality last.

A plan starts with the chunks that are fastest and shrinks whichever phase binds until all fit, so
that every knob stays as large as it can. What could cost quality comes last and is named in `lost`.
No torch, nothing is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import BudgetError
from ..network.config import Chunking
from .law import Job, attention_bytes, halved, phases
from .limits import less_headroom
from .units import show_bytes

ELSEWHERE = Chunking(tile=2048)
"""On a GPU all at once: a small picture, or a fast card, takes as long as starting the operations
does, and these are fewest so."""
BALANCE = 1.2
"""How much more than the tokens' phases the input and the decoder may take to begin with."""
SHARES = (1, 3 / 4, 2 / 3, *(1 / n for n in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)))
"""Shares of the patches that are tried for the input to begin with, largest first."""
AMPLE_PATCHES, AMPLE_TILE = 4096, 512
AMPLE = Chunking(tokens=16384, patches=AMPLE_PATCHES, attention=2**27, tile=AMPLE_TILE)
"""On a GPU: rather than in smaller chunks than these, the picture waits in the host's memory."""
TOKENS_PER_THREAD, TOKENS_AT_LEAST = 512, 1024
"""On a CPU chunks that stay in its caches are fastest, and memory small and easy to foresee."""
SMALLEST = Chunking(tokens=196, patches=16, attention=1, tile=48)
"""Where chunks end: smaller ones save nothing and take long."""
LARGEST_TILE = 2048
CARDS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141, 180)
"""Memory sizes of cards, in GiB."""
CONTEXT = 450 * 2**20
"""What the driver takes on a card before the first tensor (CUDA, measured by others)."""
FEWEST_KEPT = 16
"""Tokens that a cap leaves at least."""
STEP_DOWN = 0.7
"""After running out of memory: the share of the prediction that the next plan may have."""
RAN_OUT = "out of memory"
"""How those steps begin that were taken after running out of memory."""

KNOBS = {
    "embedding": ("patches",),
    "windows": ("tokens",),
    "mlp": ("tokens",),
    "refinement": ("tokens",),
    "attention": ("attention", "tokens"),
    "decoder": ("tile",),
}
"""What makes each phase smaller without changing the result, in the order of use. Reading and
guidance have none."""
NAMES = {
    "tokens": "token chunk",
    "patches": "input chunk",
    "attention": "attention share",
    "tile": "decoder tile",
}


@dataclass(frozen=True)
class Plan:
    """How a picture is going to be computed, or was."""

    size: tuple[int, int]
    """(H, W) in pixels."""
    model: str
    """Name of the weights."""
    device: str
    """Where it runs."""
    dtype: str
    """Precision of the network."""
    chunking: Chunking
    """What is held at once."""
    tokens: int
    """N, tokens of the padded picture."""
    max_tokens: int | None
    """Cap on kept tokens a block; None leaves it to the router."""
    budget: int
    """Bytes that the run may take above the loaded, idle process."""
    budget_from: str
    """What set the budget, in words."""
    predicted_peak: int
    """Bytes above the loaded, idle process; on a GPU in its memory."""
    weights: int
    """Bytes of the weights, which are there already."""
    phases: dict[str, int] = field(default_factory=dict)
    """Bytes at the worst moment of each phase."""
    steps: tuple[str, ...] = ()
    """What was made smaller to fit, and every step down after running out of memory, in order."""
    lost: tuple[str, ...] = ()
    """What the result loses for want of memory, against the same precision without limit."""
    smaller: str = ""
    """What the next smaller card, or machine, would need."""
    measured_peak: int | None = None
    """After the run: bytes above the idle process; None before, and where nobody counts them."""

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
        """How often memory ran out on the way."""
        return sum(step.startswith(RAN_OUT) for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-ready values."""
        return asdict(self) | {"exact": self.exact}

    def rows(self) -> Iterator[tuple[str, str]]:
        """What the printed table says: (what, value)."""
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
            yield "retention", f"at most {self.max_tokens} of {self.tokens} tokens a block"
        yield "made smaller", "; ".join(self.steps) or "nothing"
        yield "lost", self.lost_in_words
        if self.smaller:
            yield "less memory" if self.device == "cpu" else "smaller card", self.smaller

    @property
    def worst(self) -> str:
        """The phase that needs most."""
        return max(self.phases, key=self.phases.__getitem__) if self.phases else ""

    def short(self) -> str:
        """Where it ran, or is to run, and what it took, in one line."""
        peak = self.predicted_peak if self.measured_peak is None else self.measured_peak
        kind = "predicted" if self.measured_peak is None else "measured"
        return (
            f"{self.device}, {self.dtype}; {show_bytes(peak)} {kind} of a budget of"
            f" {show_bytes(self.budget)}"
        )

    def _repr_html_(self) -> str | None:
        """For notebooks: the same table."""
        from ..notebook import as_html  # needs Pillow, which training on bare machines does without

        return as_html(self.rows)

    def __str__(self) -> str:
        rows = list(self.rows())
        width = max(len(what) for what, _ in rows)
        return "\n".join(f"{what:{width}}  {value}" for what, value in rows)


def choose(
    job: Job,
    budget: int,
    *,
    fused: bool = True,
    half: str | None = None,
    capped: bool = False,
) -> tuple[Job, Chunking, tuple[str, ...], tuple[str, ...]]:
    """The fastest way that fits a budget.

    Args:
        job: what is asked for.
        budget: bytes above the loaded, idle process.
        fused: whether attention runs in a kernel that never holds the logits.
        half: name of the half precision that may be resorted to, None for none.
        capped: whether a cap on the kept tokens may be resorted to.

    Returns: the job (halved or capped if need be), its chunks, the steps taken and what is lost.

    Raises BudgetError, naming the least possible budget, where nothing fits.
    """
    ways = _precisions(job, half is not None)
    shrunk = [shrink(way, budget, fused=fused) for way in ways]
    for way, (chunking, taken) in zip(ways, shrunk, strict=True):
        if fits(way, chunking, budget):
            steps, lost = _of_precision(way, job, half)
            return way, chunking, (*taken, *steps), lost
    caps = [
        _largest_cap(way, chunking, budget) if capped else None
        for way, (chunking, _) in zip(ways, shrunk, strict=True)
    ]
    cap = max((cap for cap in caps if cap is not None), default=None)
    if cap is None:
        least = least_budget(job, fused=fused, half=half is not None, capped=capped)
        raise BudgetError(
            f"memory budget of {show_bytes(budget)} is too small for {job.width}×{job.height} "
            f"with this model on {job.backend}: at least {show_bytes(least)} are needed; "
            "give more, or use another device or a smaller picture",
            least,
        )
    best = caps.index(cap)
    steps, lost = _of_precision(ways[best], job, half)
    chunking, taken = shrunk[best]
    softer = (
        f"at most {cap} of {job.tokens} tokens go through attention in each block: "
        "details may be softer"
    )
    found = replace(ways[best], max_tokens=cap)
    return found, chunking, (*taken, *steps, "retention capped"), (*lost, softer)


def _precisions(job: Job, half: bool) -> list[Job]:
    """The job, and the job in half precision where that may be resorted to."""
    return [job, halved(job)] if half and job.itemsize > 2 else [job]


def _of_precision(way: Job, job: Job, half: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The step to another precision and what it loses; nothing where there is none."""
    if way.itemsize == job.itemsize:
        return (), ()
    loss = f"computed in {half}: alpha may differ slightly from float32"
    return (f"{half} instead of float32",), (loss,)


def least_budget(job: Job, *, fused: bool = True, half: bool = False, capped: bool = False) -> int:
    """The smallest budget in bytes that `choose` takes for this job."""
    ways = _precisions(job, half)
    if capped and job.config.routed:
        ways += [replace(way, max_tokens=min(way.most_kept, FEWEST_KEPT)) for way in ways]
    return min(_most(way, shrink(way, 0, fused=fused)[0]) for way in ways)


def shrink(job: Job, budget: int, *, fused: bool = True) -> tuple[Chunking, tuple[str, ...]]:
    """The fastest chunks, those of the binding phase halved until all fit or nothing helps.

    Returns: the chunks, which may still not fit, and in words what was made smaller.
    """
    start = replace(fastest(job), fused=fused)
    chunking = start
    while True:
        found = phases(job, chunking)
        over = [name for name in sorted(found, key=lambda n: -found[n]) if found[name] > budget]
        for name in over:
            smaller = _smaller(job, chunking, name)
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


def fastest(job: Job) -> Chunking:
    """Chunks to begin with."""
    if job.backend != "cpu":
        return _balanced(job)
    tokens = max(TOKENS_AT_LEAST, TOKENS_PER_THREAD * job.threads)
    return Chunking(tokens=tokens, patches=256, attention=2**23 * job.threads, tile=256)


def _balanced(job: Job) -> Chunking:
    """All tokens at once, and as much of the input and of the decoder as takes no more than they:
    larger pieces of these would save few operations and take most of the memory."""
    found = phases(job, ELSEWHERE)
    rest = int(
        BALANCE * max(size for name, size in found.items() if name not in ("embedding", "decoder"))
    )
    chunking = ELSEWHERE
    for tile in _tiles(job):
        chunking = replace(chunking, tile=tile)
        if phases(job, chunking)["decoder"] <= rest:
            break
    rest = max(rest, phases(job, chunking)["decoder"])
    for share in SHARES:
        patches = None if share == 1 else int(job.tokens * share)
        if patches is not None and patches < AMPLE_PATCHES:
            break
        chunking = replace(chunking, patches=patches)
        if phases(job, chunking)["embedding"] <= rest:
            break
    return chunking


def _tiles(job: Job) -> Iterator[int]:
    """Sides of decoder tiles, largest first: pieces come from halving, so that those in between
    would make no fewer."""
    side = job.config.patch_size * max(job.grid)
    while side > AMPLE_TILE:
        if side <= LARGEST_TILE:
            yield side
        side = -(-side // 32) * 16
    yield AMPLE_TILE


def fits(job: Job, chunking: Chunking, budget: int) -> bool:
    """Whether no phase needs more than the budget."""
    return _most(job, chunking) <= budget


def smaller_card(
    job: Job, budget: int, plan_for: Callable[[Job, int], tuple[Any, Any, tuple[str, ...], Any]]
) -> str:
    """In words what the largest card below this budget would need."""
    for card in reversed(CARDS):
        room = room_on_card(card * 2**30, 0)
        if room < budget:
            try:
                chosen, chunking, _, lost = plan_for(job, room)
            except BudgetError:
                return f"{card} GB: does not fit"
            peak = show_bytes(_most(chosen, chunking))
            return f"{card} GB: {peak}, {'; '.join(lost) or 'nothing lost'}"
    return ""


def room_on_card(total: int, weights: int) -> int:
    """Bytes that a run may plan with on an otherwise empty card of `total` bytes."""
    return less_headroom(total - CONTEXT - weights)


def _most(job: Job, chunking: Chunking) -> int:
    return max(phases(job, chunking).values())


def _smaller(job: Job, chunking: Chunking, phase: str) -> Chunking | None:
    """Chunks with which this phase needs less; None where there are none."""
    if job.backend == "cpu" or chunking.host_picture:
        return _smaller_chunks(job, chunking, phase, SMALLEST)
    ample = _smaller_chunks(job, chunking, phase, AMPLE)
    return replace(chunking, host_picture=True) if ample is None else ample


def _smaller_chunks(job: Job, chunking: Chunking, phase: str, fewest: Chunking) -> Chunking | None:
    now = phases(job, chunking)[phase]
    for knob in KNOBS.get(phase, ()):
        value = getattr(chunking, knob)
        least = getattr(fewest, knob)
        if value is None:
            value = 2 * _whole(job, knob)
        while value > least:
            value = max(least, value // 2 // 16 * 16 if knob == "tile" else value // 2)
            smaller = replace(chunking, **{knob: value})
            if phases(job, smaller)[phase] < now:
                return smaller
    if fewest is SMALLEST and phase == "decoder" and job.backend != "cpu":
        return None if chunking.host_features else replace(chunking, host_features=True)
    return None


def _whole(job: Job, knob: str) -> int:
    """The value of a knob at which all is held at once."""
    if knob == "attention":
        return attention_bytes(job, Chunking())
    if knob == "tile":
        longest = max(job.grid) * job.config.patch_size
        return min(LARGEST_TILE, longest)
    return job.tokens


def _largest_cap(job: Job, chunking: Chunking, budget: int) -> int | None:
    """The most tokens that may be kept within a budget, at least 16; None where even they are too
    many, or nothing is routed."""
    if not job.config.routed:
        return None
    low, high = FEWEST_KEPT, job.most_kept
    if not fits(replace(job, max_tokens=low), chunking, budget):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if fits(replace(job, max_tokens=middle), chunking, budget):
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
