"""The photo that is clicked to say what its subject is: its HTML, and where a click was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mematte_plugin import InputError

from .finding import Click, Found
from .pictures import PagePhoto

SCRIPT = Path(__file__).with_suffix(".js")
TALLEST = 480
"""Height of the photo on the page, in CSS pixels at most."""
EMPTY = '<div class="empty"><p>Choose a photo first, then click on its subject here.</p></div>'


def clickable(shown: PagePhoto | None, found: Found | None, clicks: Sequence[Click]) -> str:
    """The photo with the mask and the clicks over it, as HTML."""
    if shown is None:
        return EMPTY
    height, width = shown.size
    layers = [f'<img src="{_address(shown.proxy)}" alt="" draggable="false">']
    if found is not None:
        layers.append(f'<img class="found" src="{_address(found.picture)}" alt="">')
    for x, y, label in clicks:
        place = f"left:{100 * (x + 0.5) / width:.3f}%;top:{100 * (y + 0.5) / height:.3f}%"
        layers.append(f'<i class="{"in" if label else "out"}" style="{place}"></i>')
    size = f"aspect-ratio:{width}/{height};width:min(100%,{TALLEST * width / height:.2f}px)"
    return f'<div class="shot" style="{size}">{"".join(layers)}<i class="cross"></i></div>'


def click_at(sent: Any, kind: Any, size: tuple[int, int]) -> Click:
    """The click that the page sends, in pixels of the upright photo.

    sent: x and y in parts of its width and height, and whether it takes away in any case.
    kind: "in" or "out", what clicks do otherwise.

    Raises InputError for a place beside the photo.
    """
    given = sent if isinstance(sent, dict) else {}
    x, y = (_part(given.get(axis)) for axis in "xy")
    height, width = size
    out = bool(given.get("out")) or kind == "out"
    return int(x * width), int(y * height), 0 if out else 1


def _part(value: Any) -> float:
    if isinstance(value, int | float) and 0 <= value < 1:
        return float(value)
    raise InputError("click: is beside the photo; click on the photo")


def _address(path: Path) -> str:
    """Of a file in Gradio's folder, relative to the page."""
    return "gradio_api/file=" + quote(path.as_posix(), safe="/:")
