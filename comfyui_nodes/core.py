"""The one place where the nodes reach the package: beside them in a clone, by name elsewhere."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mematte_plugin as core
elif "." in __package__:
    # A clone in custom_nodes is a package of its own, which brings its own core: no other version
    # that pip may have installed gets in.
    core = import_module("..mematte_plugin", __package__)
else:
    core = import_module("mematte_plugin")

__all__ = ["core"]
