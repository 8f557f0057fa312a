"""One channel of any type as a mask or trimap: labels, two values, levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ..errors import InputError, warn_user
from .grey_levels import KNOWN, settle_mask, settle_trimap
from .labels import are_labels, chosen, count_values, middle_of_three
from .mask_shapes import SLACK, check_finite

Role: TypeAlias = Literal["mask", "trimap"]

FEW_LABELS = 20
"""Levels of a trimap are farther apart; values up to here are numbers."""

_STEP = 2e-3  # what is that near to whole 255ths was 8 bit


@dataclass(frozen=True)
class Asked:
    """What is to be made of the values."""

    role: Role
    name: str
    """What messages call the input."""
    ids: tuple[int, ...] | None = None
    """Of a label map those that are the subject."""
    lossy: bool = False
    """The values come from a JPEG."""


def pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    """Some rows at a time, so that no temporary is as large as the picture."""
    for top in range(0, len(values), 128):
        yield values[top : top + 128]


def is_whole(values: np.ndarray) -> bool:
    """Whether float values are integers, of 32 bits at most."""
    whole = max(abs(float(values.min())), abs(float(values.max()))) < 2**31
    return whole and all(bool((rows == np.rint(rows)).all()) for rows in pieces(values))


def settle(values: np.ndarray, asked: Asked) -> np.ndarray:
    """(H, W) float32 in [0, 1] of one channel of bool, integers or float."""
    if values.dtype == np.bool_:
        values = values.view(np.uint8)
    unit = None
    if values.dtype.kind == "f":
        values, unit = _of_float(values, asked.name)
        if values.dtype.kind == "f":
            return _stretched(values, asked, 1.0)
    top = 255 if values.dtype == np.uint8 or int(values.max()) <= 255 else 65535
    counts = count_values(values)
    found = _of_labels(values, counts, asked, top)
    if found is not None:
        return found
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise InputError(
            f"{asked.name}: has {values.dtype} values from {low} to {high}; give bool, uint8"
            " (0 to 255), uint16 (0 to 65535) or float (0 to 1)"
        )
    if unit is None:
        unit = values.astype(np.float32)
        unit /= np.float32(top)
    return _stretched(unit, asked, float(top))


def _stretched(values: np.ndarray, asked: Asked, top: float) -> np.ndarray:
    stretch = settle_mask if asked.role == "mask" else settle_trimap
    return stretch(values, asked.name, top, lossy=asked.lossy)


def _of_labels(
    values: np.ndarray, counts: dict[int, int] | None, asked: Asked, top: int
) -> np.ndarray | None:
    """What labels, and two values, mean; None for levels of grey."""
    if asked.ids is not None:
        if counts is None:
            raise InputError(
                f"{asked.name}: is no label map, it holds thousands of different values; give no"
                " object"
            )
        return chosen(values, counts, asked.ids, asked.name)
    levels = list(counts or ())
    if levels and levels[0] >= 0 and levels[-1] <= 1:
        return values.astype(np.float32)
    if len(levels) == 2:
        return _of_two(values, (levels[0], levels[1]), asked, top)
    if counts is None or len(levels) == 1 or asked.lossy:
        return None
    if asked.role == "trimap":
        return _labelled_trimap(values, counts, asked.name, top)
    return chosen(values, counts, None, asked.name) if are_labels(values, counts, top) else None


def _of_two(
    values: np.ndarray, levels: tuple[int, int], asked: Asked, top: int
) -> np.ndarray | None:
    """Two values as 0 and 1; None where they are levels that mean what they say."""
    low, high = levels
    plain = 0 <= low <= KNOWN * top and (1 - KNOWN) * top <= high <= top
    if plain or (asked.role == "trimap" and high > FEW_LABELS):
        return None
    if asked.role == "mask" and (low != 0 or high > FEW_LABELS):
        warn_user(
            f"{asked.name}: holds the values {low} and {high}; {high} is taken for the subject"
        )
    return (values == high).astype(np.float32)


def _labelled_trimap(
    values: np.ndarray, counts: dict[int, int], name: str, top: int
) -> np.ndarray | None:
    """A trimap whose levels are numbers; None where they are greys.

    Raises InputError where it is not clear which number means what.
    """
    levels = list(counts)
    if levels[0] < 0 or levels[-1] > FEW_LABELS:
        return None
    order: tuple[int, int, int] | None = None
    middle = middle_of_three(values, levels) if len(levels) == 3 else None
    if middle == levels[1] and levels in ([0, 1, 2], [1, 2, 3]):
        order = (levels[0], levels[1], levels[2])
    elif middle == 3 and levels == [1, 2, 3]:  # Oxford-IIIT Pets: pet, background, border
        order = (2, 3, 1)
    if order is None:
        if not are_labels(values, counts, top):
            return None
        raise InputError(
            f"{name}: holds the labels {', '.join(map(str, levels))}; give 0, 128 and 255, or a"
            " mask of the subject (mask=, --mask), or paint labels through trimap.from_strokes"
        )
    background, unknown, foreground = order
    warn_user(
        f"{name}: holds the labels {', '.join(map(str, levels))}; {background} is taken for the"
        f" background, {unknown} for unknown and {foreground} for the foreground"
    )
    found = np.full(values.shape, 0.5, np.float32)
    found[values == background] = 0
    found[values == foreground] = 1
    return found


def _of_float(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Float values as integers where they are such, or 255ths; as float32 in [0, 1] where not.

    Returns them and, of 255ths, what they were.
    """
    check_finite(values, name)
    low, high = float(values.min()), float(values.max())
    if low >= -SLACK and high <= 1 + SLACK:
        unit: np.ndarray = values.astype(np.float32)
        if low < 0 or high > 1:
            unit = unit.clip(0.0, 1.0)
        for rows in pieces(unit):
            scaled = rows * 255
            if np.abs(scaled - np.rint(scaled)).max() > _STEP:
                return unit, None
        return np.rint(unit * 255).astype(np.uint8), unit
    if is_whole(values):
        return values.astype(np.int64), None
    if low >= -SLACK and 1.5 < high <= 255.5:
        return (values / 255).clip(0, 1).astype(np.float32), None
    middle = values[(values > low) & (values < high)]
    if not middle.size:  # two values
        return (values == high).astype(np.uint8), None
    hint = (
        "they look like a network's logits: apply a sigmoid, or give values > 0"
        if low < 0 < high
        else "clip or scale them to [0, 1]"
    )
    raise InputError(f"{name}: float values run from {low:.4g} to {high:.4g}, not 0 to 1; {hint}")
