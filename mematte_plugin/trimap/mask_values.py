"""One channel of any type as a mask or trimap: labels, two values, or levels of grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ..errors import InputError, warn_user
from ..images.value_range import SLACK, finite_range
from .grey_levels import KNOWN, WEAK, stretch_mask, stretch_trimap
from .labels import are_labels, count_values, mask_of_objects, middle_of_three, strips

Role: TypeAlias = Literal["mask", "trimap"]

FEW_LABELS = 20
"""Values of a trimap up to here are labels; greys lie farther apart."""

_STEP = 2e-3  # how near to whole 255ths floats are that were 8 bit


@dataclass(frozen=True)
class Reading:
    """How the values are read."""

    role: Role
    name: str
    """What messages call the input."""
    ids: tuple[int, ...] | None = None
    """Of a label map those of the subject."""
    lossy: bool = False
    """The values come from a JPEG."""
    soft: bool = False
    """Greys mean opacity or doubt: no labels, and black and white are not sought among them."""


def is_whole(values: np.ndarray) -> bool:
    """Whether float values are integers, of 32 bits at most."""
    small = max(abs(float(values.min())), abs(float(values.max()))) < 2**31
    return small and all(bool((rows == np.rint(rows)).all()) for rows in strips(values))


def read_values(values: np.ndarray, reading: Reading) -> np.ndarray:
    """(H, W) float32 in [0, 1] from one channel of bool, integers or float."""
    if values.dtype == np.bool_:
        values = values.view(np.uint8)
    unit = None
    if values.dtype.kind == "f":
        values, unit = _from_float(values, reading.name)
        if values.dtype.kind == "f":
            return _stretched(values, reading, 1.0)
    top = 255 if values.dtype == np.uint8 or int(values.max()) <= 255 else 65535
    found = _from_labels(values, count_values(values), reading, top)
    if found is not None:
        return found
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise InputError(
            f"{reading.name}: has {values.dtype} values from {low} to {high}; give bool, uint8"
            " (0 to 255), uint16 (0 to 65535) or float (0 to 1)"
        )
    if unit is None:
        unit = values.astype(np.float32)
        unit /= np.float32(top)
    return _stretched(unit, reading, float(top))


def _stretched(values: np.ndarray, reading: Reading, top: float) -> np.ndarray:
    if reading.role == "trimap":
        return stretch_trimap(values, reading.name, top, lossy=reading.lossy)
    most = WEAK if reading.soft else 1.0
    return stretch_mask(values, reading.name, top, lossy=reading.lossy, most=most)


def _from_labels(
    values: np.ndarray, counts: dict[int, int] | None, reading: Reading, top: int
) -> np.ndarray | None:
    """The mask or trimap that labels, or two values, stand for; None for levels of grey."""
    name = reading.name
    if reading.ids is not None:
        if counts is None:
            raise InputError(
                f"{name}: is not a label map: it holds thousands of different values; leave the"
                " object out"
            )
        return mask_of_objects(values, counts, reading.ids, name)
    levels = list(counts or ())
    if levels and levels[0] >= 0 and levels[-1] <= 1:
        return values.astype(np.float32)
    if len(levels) == 2:
        return _from_two(values, levels[0], levels[1], reading, top)
    if counts is None or len(levels) == 1 or reading.lossy or reading.soft:
        return None
    if reading.role == "trimap":
        return _labelled_trimap(values, counts, name, top)
    return mask_of_objects(values, counts, None, name) if are_labels(values, counts, top) else None


def _from_two(
    values: np.ndarray, low: int, high: int, reading: Reading, top: int
) -> np.ndarray | None:
    """Two values as 0 and 1; None where they are plain black and white, or levels of a trimap."""
    plain = 0 <= low <= KNOWN * top and (1 - KNOWN) * top <= high <= top
    if plain or (reading.role == "trimap" and high > FEW_LABELS):
        return None
    if reading.role == "mask" and (low != 0 or high > FEW_LABELS):
        warn_user(
            f"{reading.name}: holds the values {low} and {high}; {high} is taken for the subject"
        )
    return (values == high).astype(np.float32)


def _labelled_trimap(
    values: np.ndarray, counts: dict[int, int], name: str, top: int
) -> np.ndarray | None:
    """A trimap whose levels are labels; None where they are greys.

    Raises InputError where it is not clear which label means what.
    """
    levels = list(counts)
    if levels[0] < 0 or levels[-1] > FEW_LABELS:
        return None
    middle = middle_of_three(values, levels) if len(levels) == 3 else None
    if middle == levels[1] and levels in ([0, 1, 2], [1, 2, 3]):
        background, unknown, foreground = levels
    elif middle == 3 and levels == [1, 2, 3]:  # Oxford-IIIT Pets: pet, background, border
        background, unknown, foreground = 2, 3, 1
    elif not are_labels(values, counts, top):
        return None
    else:
        raise InputError(
            f"{name}: holds the labels {', '.join(map(str, levels))}; give 0, 128 and 255, or a"
            " mask of the subject (mask=, --mask), or pass painted labels to from_strokes"
        )
    warn_user(
        f"{name}: holds the labels {', '.join(map(str, levels))}; {background} is taken for the"
        f" background, {unknown} for unknown and {foreground} for the foreground"
    )
    found = np.full(values.shape, 0.5, np.float32)
    found[values == background] = 0
    found[values == foreground] = 1
    return found


def _from_float(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Integers where the values are whole, or 255ths; else float32 in [0, 1].

    Returns them and, of 255ths, the original values.
    """
    low, high = finite_range(values, name)
    if low >= -SLACK and high <= 1 + SLACK:
        unit: np.ndarray = values.astype(np.float32)
        if low < 0 or high > 1:
            unit = unit.clip(0.0, 1.0)
        for rows in strips(unit):
            scaled = rows * 255
            if np.abs(scaled - np.rint(scaled)).max() > _STEP:
                return unit, None
        return np.rint(unit * 255).astype(np.uint8), unit
    if is_whole(values):
        return values.astype(np.int64), None
    if low >= -SLACK and 1.5 < high <= 255.5:
        return (values / 255).clip(0, 1).astype(np.float32), None
    if not ((values > low) & (values < high)).any():  # two values
        return (values == high).astype(np.uint8), None
    remedy = (
        "they look like a network's logits: apply a sigmoid, or give values > 0"
        if low < 0 < high
        else "clip or scale them to [0, 1]"
    )
    raise InputError(f"{name}: float values run from {low:.4g} to {high:.4g}, not 0 to 1; {remedy}")
