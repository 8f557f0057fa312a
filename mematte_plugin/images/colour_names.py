"""Colours as people write them: names, hex numbers, CSS functions, tuples."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from PIL import ImageColor

from ..errors import InputError

_FUNCTION = re.compile(r"(rgb|hsl|hsv|hsb)a?\(\s*([^()]*?)\s*\)")


def parse_colour(text: str) -> tuple[float, float, float, float] | None:
    """Red, green, blue and opacity in [0, 1] of a colour's name; None if it is not a colour.

    As in CSS: "white", "transparent", "#20c0ff", "#20c0ff80", "rgb(…)", "rgba(255, 0, 0, 0.5)",
    "hsl(120, 100%, 50%)", "hsla(120deg 100% 50% / 50%)". An opacity above 1 is one of 255.
    """
    plain = text.strip().lower()
    if plain == "transparent":
        return 0.0, 0.0, 0.0, 0.0
    opacity = 1.0
    try:
        if function := _FUNCTION.fullmatch(plain):
            numbers = [part for part in re.split(r"[\s,/]+", function[2]) if part]
            if len(numbers) == 4:
                opacity = _share(numbers.pop(), 255)
            if len(numbers) != 3:
                return None
            if function[1] == "rgb":
                red, green, blue = (_share(number, 255, always=True) for number in numbers)
                return red, green, blue, opacity
            plain = f"{function[1]}({numbers[0].removesuffix('deg')},{','.join(numbers[1:])})"
        found = ImageColor.getrgb(plain)
    except ValueError:
        return None
    red, green, blue = (value / 255 for value in found[:3])
    return red, green, blue, found[3] / 255 if len(found) == 4 else opacity


def _share(text: str, top: float, *, always: bool = False) -> float:
    """A percentage, a number up to `top`, or without `always` up to 1, as a share of 1."""
    value = float(text.removesuffix("%"))
    if text.endswith("%"):
        value /= 100
    elif always or value > 1:
        value /= top
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


def colour_of(numbers: tuple[Any, ...] | list[Any]) -> np.ndarray:
    """(4,) float32 in [0, 1] of three or four numbers, 0 to 255 or floats in [0, 1].

    The fourth is the opacity; as a float in [0, 1] it may follow integers, too.

    Raises InputError for anything else.
    """
    if not numbers or not all(isinstance(n, int | float | np.number) for n in numbers):
        raise InputError("background: give one colour or one image, not a list of them")
    unit = any(isinstance(n, float | np.floating) for n in numbers[:3]) and max(numbers[:3]) <= 1
    scale = 1.0 if unit else 255.0
    values = [float(n) / scale for n in numbers[:3]]
    if len(numbers) == 4:
        last = numbers[3]
        share = unit or (isinstance(last, float | np.floating) and last <= 1)
        values.append(float(last) if share else float(last) / 255)
    if len(numbers) not in (3, 4) or not all(0 <= v <= 1 for v in values):
        raise InputError(
            f"background {tuple(numbers)!r}: give three numbers, 0–255 or floats 0–1, and perhaps"
            " the opacity"
        )
    return np.array([*values, 1.0][:4], np.float32)
