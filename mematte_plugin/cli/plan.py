"""`mematte plan`: predict how much memory a picture takes."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BudgetError, InputError, SettingError
from ..memory.units import show_bytes
from . import console
from .options import (
    DEFAULT_MODEL,
    AsJson,
    Device,
    Dtype,
    MemoryBudget,
    Model,
    RetentionText,
    budget_of,
    retention_of,
)
from .signals import import_torch

if TYPE_CHECKING:
    from ..images.decoded import Header
    from ..memory.plan import Plan
    from ..memory.request import Request
    from ..memory.retention import Retention

_WRITTEN = re.compile(r"([0-9]{1,9})\s*[x×X*]\s*([0-9]{1,9})")

SIZES = {"1K": (1024, 1024), "2K": (2048, 2048), "4K": (2160, 3840), "8K": (4320, 7680)}
"""(H, W) of the named sizes."""
MEMORIES = {"cuda": (2, 4, 6, 8, 12, 16, 24), "cpu": (2, 4, 8, 16)}
"""Memory sizes of the table's rows by device type, in GiB."""
KINDS = {
    "cuda": "an otherwise empty card of this size",
    "cpu": "free main memory before the weights are loaded",
}
MEANINGS = {
    "exact": "the alpha is that of float32 and unlimited memory",
    "fp16": "computed in float16: alpha may differ slightly from float32",
    "bf16": "computed in bfloat16: alpha may differ slightly from float32",
    "capped": "fewer tokens go through attention: details may be softer",
    "needs": "too small; a run needs at least this much besides program and weights",
}
"""The words in the table's cells."""


def plan(
    *,
    size: Annotated[
        str | None,
        typer.Argument(
            metavar="WIDTHxHEIGHT|IMAGE",
            help="The picture's size in pixels; 1K, 2K, 4K or 8K; or a photo, of which only the"
            " header is read.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        bool,
        typer.Option(
            "--table", help="Show a table of common cards and machines, for this size or all sizes."
        ),
    ] = False,
    model: Model = DEFAULT_MODEL,
    memory_budget: MemoryBudget = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    retention: RetentionText = "auto",
    unknown: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Share of the picture that the trimap leaves unknown.",
        ),
    ] = 0.25,
    as_json: AsJson = False,
) -> None:
    """Predict how much memory a picture takes and how the run is fitted into it.

    Nothing is computed. With --memory-budget the device need not be in this machine.

    \b
    Examples:
      mematte plan 7680x4320
      mematte plan photo.jpg --device cuda --memory-budget 2GB
      mematte plan --table --model base

    --model also takes `small` and `base`, MEMatte networks of the paper's sizes.
    """
    kept = retention_of(retention)
    budget = budget_of(memory_budget)
    header = None if size is None else _picture(size)
    if table:
        if budget is not None:
            raise SettingError("--memory-budget with --table: drop it, each row has its own")
        _show_table(
            header,
            model=model,
            device=device,
            dtype=dtype,
            retention=kept,
            unknown=unknown,
            as_json=as_json,
        )
        return
    if header is None:
        raise SettingError("plan: give WIDTHxHEIGHT, a photo, or --table")
    if budget is None or device == "auto":
        import_torch()
    if budget is None:
        _check_present(device)
    from ..memory.request import config_of, plan_memory
    from ..memory.retention import check_retention, max_tokens

    config, name = config_of(model)
    check_retention(kept, config)
    size_pixels = (header.height, header.width)
    found = plan_memory(
        size_pixels,
        config,
        budget,
        device,
        dtype,
        max_tokens=max_tokens(kept, size_pixels, config),
        unknown=unknown,
        depth=header.depth,
    )
    found = replace(found, model=name)
    if as_json:
        facts = {"width": header.width, "height": header.height, "unknown": unknown}
        console.say_json({**facts, **found.to_dict(), "warnings": console.warned})
        return
    rows = list(found.rows())
    console.say_facts([rows[0], ("unknown", f"{unknown:.0%} of the pixels, assumed"), *rows[1:]])


def _check_present(device: str) -> None:
    """Raises SettingError for a device that is not here, if its free memory is needed."""
    from ..memory.free import resolve_device

    try:
        resolve_device(device)
    except SettingError as error:
        raise SettingError(
            f"{error}, or give a --memory-budget, for which the device need not be here"
        ) from None


def _picture(text: str) -> Header:
    """The picture that the argument stands for."""
    from ..images.decode import read_header
    from ..images.decoded import MAX_PIXELS, Header, check_size

    written = _WRITTEN.fullmatch(text.strip())
    if written is not None:
        width, height = (int(number) for number in written.groups())
    elif text.upper() in SIZES:
        height, width = SIZES[text.upper()]
    elif os.path.exists(text):
        return read_header(text)
    else:
        raise SettingError(f"{text}: is neither a size, such as 7680x4320 or 8K, nor a file")
    try:
        check_size(height, width, text, MAX_PIXELS)
    except InputError as error:
        raise SettingError(str(error)) from None
    return Header(height, width, 1)


# ---- the table -----------------------------------------------------------------------------------


def _show_table(
    header: Header | None,
    *,
    model: str,
    device: str,
    dtype: str,
    retention: Retention,
    unknown: float,
    as_json: bool,
) -> None:
    """A row for each memory, a column for each size. None of the devices need be here."""
    from ..memory.request import config_of, request_for
    from ..memory.retention import check_retention, max_tokens

    kinds = list(MEMORIES) if device == "auto" else [device.partition(":")[0]]
    if kinds[0] not in MEMORIES:
        raise SettingError(f"device {device!r}: the table covers {' and '.join(MEMORIES)}")
    sizes = SIZES if header is None else {"": (header.height, header.width)}
    config, _ = config_of(model)
    check_retention(retention, config)
    facts, cells, words = [], [], set()
    for kind in kinds:
        requests = [
            request_for(
                size,
                config,
                kind,
                dtype,
                max_tokens=max_tokens(retention, size, config),
                unknown=unknown,
                depth=1 if header is None else header.depth,
            )
            for size in sizes.values()
        ]
        for gibibytes in MEMORIES[kind]:
            row = [f"{kind} {gibibytes} GB"]
            for request in requests:
                fact, word = _outlook(request, gibibytes * 2**30)
                facts.append(fact)
                words.add(word)
                amount = show_bytes(fact["predicted_peak"] or fact["least"])
                row.append(f"{amount}, {word}" if fact["fits"] else f"needs {amount}")
            cells.append(row)
    if as_json:
        console.say_json({"model": model, "unknown": unknown, "rows": facts})
        return
    console.say(f"{model}, {unknown:.0%} unknown: predicted peak besides program and weights")
    heads = [f"{name} {width}×{height}".strip() for name, (height, width) in sizes.items()]
    console.say_table(("memory", *heads), cells)
    for word, meaning in MEANINGS.items():
        if word in words:
            console.say(f"{word}: {meaning}")
    for kind in kinds:
        console.say(f"{kind}: {KINDS[kind]}")


def _outlook(request: Request, memory: int) -> tuple[dict[str, Any], str]:
    """The JSON facts of a cell, and its word from MEANINGS."""
    from ..memory.free import budget_for
    from ..memory.plan import room_on_card
    from ..memory.workload import weights

    work = request.workload
    held = weights(work.config, work.itemsize)
    if work.backend == "cpu":
        budget = budget_for(max(0, memory - held))
    else:
        budget = room_on_card(memory, held)
    plan: Plan | None = None
    word = "needs"
    try:
        plan = request.plan(budget)
        if plan.exact:
            word = "exact"
        elif plan.max_tokens != work.max_tokens:
            word = "capped"
        else:
            word = {"float16": "fp16", "bfloat16": "bf16"}[plan.dtype]
    except BudgetError:
        pass
    facts = {
        "device": work.backend,
        "memory": memory,
        "height": work.height,
        "width": work.width,
        "budget": budget,
        "fits": plan is not None,
        "exact": plan is not None and plan.exact,
        "lost": [] if plan is None else list(plan.lost),
        "predicted_peak": None if plan is None else plan.predicted_peak,
        "least": request.least(),
    }
    return facts, word
