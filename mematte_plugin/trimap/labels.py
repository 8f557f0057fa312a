"""Label maps: masks whose values are the ids of objects, not levels of grey."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import numpy as np

from ..errors import InputError, SettingError

Objects: TypeAlias = int | str | Iterable[int | str] | None
"""Ids of a label map, or colours of a coloured one as "#rrggbb"; None for no choice."""

MOST_LABELS = 4096
"""A picture with more values than this is not a label map."""

VOID = 255
"""Next to small ids: pixels of no object, as along the borders in PASCAL VOC."""

_LISTED = 8  # ids in a message
_SMALL = 64  # ids are counted from 0, grey is not: up to here, values are ids rather than greys
_FLAT = 0.2  # share of all but two levels, and of their pixels, that must be in flat areas
_FLAT_OF_MANY = 0.45  # share of all pixels, where there are many levels, as in a photograph
_HALF = 0.02  # how near to half of white a level counts as half
_SKIPS = 0.1  # share of edges that skip a level: no ramp, no antialiasing
_NOISE = 0.02  # share of the range around a level that belongs to it
_TINY = 32  # pixels a side; a smaller picture has no areas
_SAMPLE = 64, 2_000_000  # rows in one strip, and pixels, that are examined of a large picture
_COUNTED = 512  # levels whose neighbours are counted; flat areas of more are labels anyway
_RAMP = 16  # number of values from which steps from each to the next are a gradient


def strips(values: np.ndarray) -> Iterator[np.ndarray]:
    """Some rows at a time, so that no temporary is as large as the picture."""
    for top in range(0, len(values), 256):
        yield values[top : top + 256]


def parse_objects(objects: Objects) -> tuple[int, ...] | None:
    """Ids as integers; colours "#rrggbb" as 0xrrggbb. None for no choice.

    objects: 1, [1, 3], "1,3", "#ff0000" and the like. Raises SettingError for anything else.
    """
    if objects is None:
        return None
    parts: Iterable[int | str]
    if isinstance(objects, str):
        parts = [part.strip() for part in objects.split(",")]
    else:
        parts = [objects] if isinstance(objects, int | np.integer) else objects
    found = []
    for part in parts:
        if isinstance(part, int | np.integer) and not isinstance(part, bool):
            found.append(int(part))
        elif isinstance(part, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", part):
            found.append(int(part[1:], 16))
        elif isinstance(part, str) and re.fullmatch(r"-?[0-9]{1,18}", part):
            found.append(int(part))
        else:
            raise SettingError(
                f"object {part!r}: give the ids of a label map, as in 1,3, or colours as in"
                " '#ff0000'"
            )
    if not found:
        raise SettingError("object: give at least one id, as in 1,3")
    return tuple(dict.fromkeys(found))


def count_values(values: np.ndarray) -> dict[int, int] | None:
    """Each value of an integer array and its number of pixels, ascending; None if too many."""
    low, high = int(values.min()), int(values.max())
    if high - low < 1 << 16:
        counts = np.zeros(high - low + 1, np.int64)
        for rows in strips(values):
            counts += np.bincount(rows.astype(np.int64).ravel() - low, minlength=high - low + 1)
        found = {low + int(i): int(counts[i]) for i in np.flatnonzero(counts)}
        return found if len(found) <= MOST_LABELS else None
    found = {}
    for rows in strips(values):
        for value, count in zip(*np.unique(rows, return_counts=True), strict=True):
            found[int(value)] = found.get(int(value), 0) + int(count)
        if len(found) > MOST_LABELS:
            return None
    return dict(sorted(found.items()))


def are_labels(values: np.ndarray, counts: Mapping[int, int], white: int) -> bool:
    """Whether the values of an integer array, three or more, are ids of objects rather than greys.

    Labels fill flat areas in any order. Greys lie between black and white: in an antialiased edge,
    a gradient and a trimap, the neighbour of a level is the next level.

    counts: from `count_values`.
    white: the brightest possible value.
    """
    levels = list(counts)
    if levels[0] < 0 or levels[-1] > white:
        return True
    small = levels[-1] <= _SMALL < white or (white == VOID and _has_void(counts))
    if small and min(values.shape) < _TINY:
        return True
    # All but the two most frequent levels, which a mask has too.
    low = 16 * levels[-1] < white  # too dark for white: these are ids
    noise = 0.0 if small or low else _NOISE * (levels[-1] - levels[0])
    main = sorted(counts, key=lambda level: -counts[level])[:1]
    main += [level for level in counts if abs(level - main[0]) > noise]
    second = max(main[1:], key=lambda level: counts[level])
    others = [level for level in levels if min(abs(level - main[0]), abs(level - second)) > noise]
    values = sample(values)
    if min(_flat_shares(values, levels, others)) < _FLAT or _has_half(values, levels, white):
        return False
    skips = _skips(values, levels)
    if len(levels) >= _RAMP:  # a picture may have as many
        counted = levels[0] <= 1  # from 0 or 1, like objects
        if not counted or skips < _SKIPS or flatness(values) < _FLAT_OF_MANY:
            return False
    return small or skips >= _SKIPS


def _has_half(values: np.ndarray, levels: list[int], white: int) -> bool:
    """Whether the levels are black, white, and half next to white: a trimap, a soft brush."""
    if len(levels) != 3 or levels[0] != 0 or levels[2] != white:
        return False
    return abs(levels[1] / white - 0.5) < _HALF and bool(_contacts(values, levels)[1, 2])


def flatness(values: np.ndarray) -> float:
    """The share of pixels whose eight neighbours have the same value."""
    values = sample(values)
    same = np.ones((values.shape[0] - 2, values.shape[1] - 2), bool)
    for down in range(3):
        for right in range(3):
            moved = values[down : down + same.shape[0], right : right + same.shape[1]]
            same &= moved == values[1:-1, 1:-1]
    return float(same.mean()) if same.size else 1.0


def middle_of_three(values: np.ndarray, levels: Iterable[int]) -> int | None:
    """Of three labels the one that separates the others; None where none does."""
    first, second, third = levels
    contacts = _contacts(values, [first, second, third])
    # For each label the contacts of the other two.
    without = {third: contacts[0, 1], second: contacts[0, 2], first: contacts[1, 2]}
    middle = min(without, key=lambda level: without[level])
    others = [count for level, count in without.items() if level != middle]
    return middle if without[middle] <= 0.1 * sum(others) and min(others) > 0 else None


def mask_of_objects(
    values: np.ndarray,
    counts: Mapping[int, int],
    objects: tuple[int, ...] | None,
    name: str,
    *,
    colours: bool = False,
) -> np.ndarray:
    """The mask of some objects of a label map: (H, W) float32 of 0 and 1.

    counts: from `count_values`.
    objects: their ids; None takes the only one. 0 and negative values are the background. 255 next
        to small ids is void, a border of no object: it becomes a soft value just below a half.
    colours: the ids are colours, 0xrrggbb.

    Raises InputError where there are several and none is chosen, and for a missing id.
    """
    present = {label: count for label, count in counts.items() if label > 0}
    void = not colours and _has_void(counts) and (objects is None or VOID not in objects)
    if void:
        del present[VOID]
    if objects is None and not present:
        raise InputError(f"{name}: is empty: it holds no object; paint the subject white on black")
    if objects is None:
        if len(present) != 1:
            largest = _shown(max(present, key=lambda label: present[label]), colours)
            largest = f"'{largest}'" if colours else largest  # else # begins a comment in a shell
            raise InputError(
                f"{name}: is a map of {len(present)} objects: {_listed(present, colours)}; choose"
                f" with --object {largest} (in Python objects={largest}), or give a mask of one of"
                " them, white on black"
            )
        objects = tuple(present)
    missing = [label for label in objects if label not in counts]
    if missing:
        raise InputError(
            f"{name}: has no object {', '.join(_shown(label, colours) for label in missing)}; it"
            f" holds {_listed(present, colours) if present else 'only background (0)'}"
        )
    mask = np.zeros(values.shape, np.float32)
    if void and 0 in counts:  # without a 0, the void is the background
        mask[values == VOID] = 0.49
    for label in objects:
        mask[values == label] = 1
    return mask


def _has_void(counts: Mapping[int, int]) -> bool:
    rest = [label for label in counts if label != VOID]
    return VOID in counts and len(rest) > 1 and max(rest) <= _SMALL


def _listed(counts: Mapping[int, int], colours: bool) -> str:
    """Ids with their numbers of pixels in words; of many, the largest ones."""
    shown = sorted(sorted(counts, key=lambda label: -counts[label])[:_LISTED])
    words = [f"{_shown(label, colours)} ({counts[label]} pixels)" for label in shown]
    more = len(counts) - len(shown)
    return ", ".join(words) + (f" and {more} more" if more else "")


def _shown(label: int, colours: bool) -> str:
    return f"#{label:06x}" if colours else str(label)


def sample(values: np.ndarray) -> np.ndarray:
    """The picture, or evenly spaced strips of rows of a large one."""
    rows, most = _SAMPLE
    if values.size <= most:
        return values
    strips = max(1, most // (rows * values.shape[1]))
    tops = np.linspace(0, values.shape[0] - rows, strips).astype(int)
    return np.concatenate([values[top : top + rows] for top in np.unique(tops)])


def _skips(values: np.ndarray, levels: list[int]) -> float:
    """The share of edges that skip a level."""
    if len(levels) > _COUNTED:
        return 1.0
    contacts = _contacts(values, levels)
    reach = np.abs(np.subtract.outer(np.arange(len(levels)), np.arange(len(levels))))
    edges = float(contacts.sum())
    return float(contacts[reach > 1].sum()) / edges if edges else 0.0


def _flat_shares(values: np.ndarray, levels: list[int], others: list[int]) -> tuple[float, float]:
    """The shares of the other levels' pixels, and of these levels, that are in flat areas."""
    import cv2

    side = int(np.clip(min(values.shape) / 100, 3, 9)) | 1
    index = np.searchsorted(levels, values).astype(np.uint16)
    kernel = np.ones((side, side), np.uint8)
    flat = cv2.erode(index, kernel) == cv2.dilate(index, kernel)
    pixels = np.bincount(index.ravel(), minlength=len(levels))
    plain = np.bincount(index[flat], minlength=len(levels))
    counted = np.isin(levels, others) & (pixels > 0)
    if not counted.any():
        return 0.0, 0.0
    plain, pixels = plain[counted], pixels[counted]
    return float(plain.sum() / pixels.sum()), float((plain >= 0.1 * pixels).mean())


def _contacts(values: np.ndarray, levels: list[int]) -> np.ndarray:
    """(K, K): how often each level touches each other one; upper triangle."""
    count = len(levels)
    found = np.zeros(count * count, np.int64)
    for top in range(0, len(values), 256):
        rows = np.searchsorted(levels, values[top : top + 257]).astype(np.int64)
        own = rows[:256]
        for one, other in ((own[:, 1:], own[:, :-1]), (rows[1:], rows[:-1])):
            different = one != other
            low, high = np.minimum(one, other)[different], np.maximum(one, other)[different]
            found += np.bincount(low * count + high, minlength=count * count)
    return found.reshape(count, count)
