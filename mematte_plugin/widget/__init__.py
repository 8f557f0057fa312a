"""Matting in a Jupyter notebook: paint a trimap on the photo, see the matte, use it in code.

    >>> from mematte_plugin.widget import MatteWidget
    >>> widget = MatteWidget("photo.jpg")  # doctest: +SKIP
    >>> widget  # doctest: +SKIP
    >>> widget.alpha, widget.save("cutout.png")  # in the next cell  # doctest: +SKIP

`MatteWidget` needs anywidget. Without it, the name stands for `MattePanel`, which consists of plain
ipywidgets: uploads, options and pictures, no painting. Use `MattePanel` directly in hosts that do
not run a widget's own JavaScript.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..errors import SettingError

if TYPE_CHECKING:
    from .painter import MatteWidget
    from .panel import MattePanel

__all__ = ["MattePanel", "MatteWidget"]

_HOMES = {"MatteWidget": (".painter", "anywidget"), "MattePanel": (".panel", "ipywidgets")}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec("ipywidgets") is None:
        raise SettingError(
            f'{name}: ipywidgets is not installed; pip install "mematte-plugin[jupyter]"'
        )
    home, needed = _HOMES[name]
    if find_spec(needed) is None:
        home, name = _HOMES["MattePanel"][0], "MattePanel"
    return getattr(import_module(home, __name__), name)


def __dir__() -> list[str]:
    return __all__
