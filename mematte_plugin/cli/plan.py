"""`mematte plan`: what a picture would take, before it is computed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, SettingError
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
    from ..cards import Outlook
    from ..images.decoded import Header
    from ..memory.retention import Retention

_WRITTEN = re.compile(r"([0-9]{1,9})\s*[x×X*]\s*([0-9]{1,9})")

HALF_NAMES = {"float16": "fp16", "bfloat16": "bf16"}
"""Short, so that the table is narrow."""


def plan(
    *,
    size: Annotated[
        str | None,
        typer.Argument(
            metavar="WIDTHxHEIGHT|IMAGE",
            help="The picture's size in pixels, one of 1K, 2K, 4K, 8K, or a photograph, of which"
            " only the header is read.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        bool,
        typer.Option(
            "--table", help="Show what common cards and machines make of it, or of common sizes."
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
            min=0, max=1, metavar="SHARE", help="How much of the picture the trimap leaves unknown."
        ),
    ] = 0.25,
    as_json: AsJson = False,
) -> None:
    """Predict how much memory a picture takes and how it is kept within it.

    Nothing is computed. With --memory-budget the device need not be in this machine.

    \b
    Examples:
      mematte plan 7680x4320
      mematte plan photo.jpg --device cuda --memory-budget 2GB
      mematte plan --table --model base

    Besides any --model, `small` and `base` stand for MEMatte networks of the paper's sizes.
    """
    kept = retention_of(retention)
    budget = budget_of(memory_budget)
    header = None if size is None else _picture(size)
    if table:
        if budget is not None:
            raise SettingError("--memory-budget, and --table, which goes by cards: choose one")
        _table(
            header,
            model,
            device=device,
            dtype=dtype,
            retention=kept,
            unknown=unknown,
            as_json=as_json,
        )
        return
    if header is None:
        raise SettingError("plan: give WIDTHxHEIGHT, a photograph, or --table")
    if budget is None or device == "auto":
        import_torch()
    if budget is None:
        _check_present(device)
    from ..memory.request import config_of, plan_memory
    from ..memory.retention import check_retention, max_tokens

    config, name = config_of(model)
    check_retention(kept, config)
    found = plan_memory(
        (header.height, header.width),
        config,
        budget,
        device,
        dtype,
        max_tokens=max_tokens(kept, (header.height, header.width), config),
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
    """Raises SettingError for a device that is not here, where its free memory is asked for."""
    from ..memory.backend import resolve_device

    try:
        resolve_device(device)
    except SettingError as error:
        raise SettingError(
            f"{error}, or give a --memory-budget, for which the device need not be here"
        ) from None


def _picture(text: str) -> Header:
    """What the argument stands for."""
    from ..cards import SIZES
    from ..images.decoded import MAX_PIXELS, Header, check_size
    from ..images.headers import read_header

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


def _table(
    header: Header | None,
    model: str,
    *,
    device: str,
    dtype: str,
    retention: Retention,
    unknown: float,
    as_json: bool,
) -> None:
    from ..cards import MEMORIES, SIZES, outlooks

    kind = device.partition(":")[0]
    memories: Mapping[str, Sequence[int]] = MEMORIES
    if kind != "auto":
        memories = {kind: MEMORIES.get(kind, ())}
    names = SIZES if header is None else {"": (header.height, header.width)}
    found = outlooks(
        model,
        sizes=list(names.values()),
        memories=memories,
        dtype=dtype,
        retention=retention,
        unknown=unknown,
        depth=1 if header is None else header.depth,
    )
    if as_json:
        rows = [one.to_dict() for one in found]
        console.say_json({"model": model, "unknown": unknown, "rows": rows})
        return
    console.say(f"{model}, {unknown:.0%} unknown: predicted peak besides program and weights")
    heads = [f"{name} {width}×{height}".strip() for name, (height, width) in names.items()]
    lines = [found[i : i + len(heads)] for i in range(0, len(found), len(heads))]
    console.say_table(
        ("memory", *heads),
        [
            (f"{row[0].device} {row[0].memory // 2**30} GB", *(_cell(one) for one in row))
            for row in lines
        ],
    )
    words = {_word(one) for one in found}
    for word, meaning in MEANINGS.items():
        if word in words:
            console.say(f"{word}: {meaning}")
    for kind in memories:
        console.say(f"{kind}: {KINDS[kind]}")


def _cell(one: Outlook) -> str:
    from ..memory.units import show_bytes

    if one.plan is None:
        return f"needs {show_bytes(one.least)}"
    return f"{show_bytes(one.plan.predicted_peak)}, {_word(one)}"


def _word(one: Outlook) -> str:
    return "needs" if one.plan is None else HALF_NAMES.get(one.short, one.short)


MEANINGS = {
    "exact": "the alpha is that of float32 and unlimited memory",
    "fp16": "computed in float16: alpha may differ slightly from float32",
    "bf16": "computed in bfloat16: alpha may differ slightly from float32",
    "capped": "fewer tokens go through attention: details may be softer",
    "needs": "too small; a run needs at least this much besides program and weights",
}
"""Of the words in the table."""
KINDS = {
    "cuda": "an otherwise empty card of this size",
    "cpu": "free main memory before the weights are loaded",
}
"""What the memory of a row is."""
