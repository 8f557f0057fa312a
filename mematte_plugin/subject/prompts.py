"""What the user says of the subject: points, a box, a word; checked against the photo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, SettingError

Point = tuple[float, float, int]
Box = tuple[float, float, float, float]

MOST = 200
"""Points; networks are trained with a handful."""
NEAR = 1.0
"""Pixels within which a point in and a point out contradict each other."""


@dataclass(frozen=True)
class Prompt:
    """Where the subject is.

    points: (x, y, label) in pixels of the photo; label 1 in, 0 out.
    box: (left, top, right, bottom) in pixels; None without one.
    """

    points: tuple[Point, ...] = ()
    box: Box | None = None

    @property
    def inside(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point[2] == 1)

    @property
    def outside(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point[2] == 0)


@dataclass(frozen=True)
class Places:
    """Points and a box for photos of any size, as they are typed.

    points: (x, y) and label each; box: (left, top, right, bottom). Pixels or, where all numbers of
    a place are from 0 to 1 and one is written with a decimal point, shares of the photo's size.
    """

    points: tuple[tuple[str, int], ...] = ()
    box: str | None = None

    def __post_init__(self) -> None:
        """Raises SettingError for what is not numbers."""
        self.in_photo((1, 1))

    def __bool__(self) -> bool:
        return bool(self.points) or self.box is not None

    def in_photo(self, size: tuple[int, int]) -> tuple[list[Point] | None, Box | None]:
        """The points and the box in pixels of a photo of (H, W)."""
        points: list[Point] = []
        for text, label in self.points:
            x, y = _typed(text, size, "point", "x,y, such as 420,310 or 0.4,0.6", 2)
            points.append((x, y, label))
        box = None
        if self.box is not None:
            example = "left,top,right,bottom, such as 100,50,900,700 or 0.1,0.1,0.9,0.8"
            left, top, right, bottom = _typed(self.box, size, "box", example, 4)
            box = (left, top, right, bottom)
        return points or None, box


def _typed(text: str, size: tuple[int, int], what: str, example: str, count: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise SettingError(f"{what} {text!r}: give {example}")
    if "." in text and all(0 <= number <= 1 for number in numbers):
        height, width = size
        last = (width, height) * 2 if what == "box" else (width - 1, height - 1)
        numbers = [number * whole for number, whole in zip(numbers, last, strict=False)]
    return numbers


def read_prompt(points: Any, box: Any, size: tuple[int, int]) -> Prompt:
    """Points and a box as people give them, checked.

    points: (x, y) or (x, y, label) each, label 1 or True in, 0 or False out; or one such point.
    box: (left, top, right, bottom).
    size: (H, W) of the photo in pixels.

    Raises SettingError for what is no point or box, InputError for those outside the photo, without
    area, or in contradiction.
    """
    read = () if points is None else _read_points(points, size)
    return Prompt(read, None if box is None else _read_box(box, size))


def read_text(text: Any) -> str:
    """The word or words, without surrounding blanks; raises SettingError if there are none."""
    if not isinstance(text, str):
        raise SettingError(f"text {short(text)}: give words, such as 'the dog'")
    words = " ".join(text.split())
    if not any(letter.isalnum() for letter in words):
        raise SettingError(f"text {short(text)}: holds no words; give some, such as 'the dog'")
    return words


def _read_points(points: Any, size: tuple[int, int]) -> tuple[Point, ...]:
    rows = _numbers(points, "points")
    if rows.ndim == 1 and rows.size in (2, 3):
        rows = rows[None]
    if rows.ndim != 2 or rows.shape[1] not in (2, 3) or not len(rows):
        raise SettingError(
            f"points {short(points)}: give (x, y) or (x, y, label) for each, in pixels; label 1 is"
            " inside the subject, 0 outside"
        )
    if len(rows) > MOST:
        raise SettingError(f"points: {len(rows)} are given; give at most {MOST}")
    read: list[Point] = []
    height, width = size
    for row in rows.tolist():
        x, y, label = row if len(row) == 3 else (*row, 1)
        if label not in (0, 1):
            raise SettingError(
                f"point ({x:g}, {y:g}): its label is {label:g}; 1 is inside the subject, 0 outside"
            )
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(
                f"point ({x:g}, {y:g}): lies outside the photo of {width}×{height} pixels; x runs"
                f" from 0 to {width - 1}, y from 0 to {height - 1}"
            )
        read.append((float(x), float(y), int(label)))
    for first in read:
        for other in read:
            if first[2] > other[2] and math.dist(first[:2], other[:2]) <= NEAR:
                raise InputError(
                    f"point ({first[0]:g}, {first[1]:g}): is given as inside and as outside the"
                    " subject; drop one"
                )
    return tuple(read)


def _read_box(box: Any, size: tuple[int, int]) -> Box:
    numbers = _numbers(box, "box").reshape(-1)
    if numbers.size != 4:
        raise SettingError(f"box {short(box)}: give (left, top, right, bottom) in pixels")
    left, top, right, bottom = (float(number) for number in numbers)
    shown = f"box ({left:g}, {top:g}, {right:g}, {bottom:g})"
    if right - left < 1 or bottom - top < 1:
        raise InputError(
            f"{shown}: has no area; give (left, top, right, bottom), with left < right and top <"
            " bottom"
        )
    height, width = size
    if left < 0 or top < 0 or right > width or bottom > height:
        raise InputError(f"{shown}: reaches outside the photo of {width}×{height} pixels")
    return left, top, right, bottom


def _numbers(given: Any, option: str) -> np.ndarray:
    try:
        numbers = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        rows = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else []
        try:  # (x, y) and (x, y, label) mixed
            numbers = np.array([(*row, 1)[:3] for row in rows], np.float64)
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if not numbers.size:
            raise SettingError(f"{option} {short(given)}: give numbers, in pixels") from None
    if not np.isfinite(numbers).all():
        raise SettingError(f"{option} {short(given)}: give finite numbers, in pixels")
    return numbers


def short(value: Any) -> str:
    """A value as messages show it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
