"""The only import of the package: the copy next to the nodes in a clone, else the installed one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mematte_plugin as core
elif "." in __package__:
    # A clone in custom_nodes brings its own core; another version installed by pip is ignored.
    core = import_module("..mematte_plugin", __package__)
else:
    core = import_module("mematte_plugin")

__all__ = ["core"]
