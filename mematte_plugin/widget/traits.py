"""Traits that hold arrays, and values that their owner checks."""

from __future__ import annotations

from typing import Any

import traitlets


class Array(traitlets.TraitType[Any, Any]):
    """An array or another object that is compared by identity: equality has no one answer here."""

    def set(self, obj: Any, value: Any) -> None:
        """Hold the value and tell observers, unless it is the very same."""
        old = obj._trait_values.get(self.name)
        obj._trait_values[self.name] = value
        if value is not old:
            obj._notify_trait(self.name, old, value)


class Checked(traitlets.TraitType[Any, Any]):
    """A plain value that the owner's validator looks at, None included, which Any lets pass."""


class HandedIn(Array):
    """An array whose assignment the owner's `_hand_in` takes, since other things follow from it."""

    default_value = None
    allow_none = True

    def __set__(self, obj: Any, value: Any) -> None:
        obj._hand_in(self.name, value)
