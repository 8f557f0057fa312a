"""Traits that hold arrays, and values that their owner validates."""

from __future__ import annotations

from typing import Any

import traitlets


class Array(traitlets.TraitType[Any, Any]):
    """An array, a Matte or a Photo; None at first. A change is another object: arrays that are
    compared for equality give an array.

    The owner keeps the values in a dictionary, `arrays`.
    """

    def get(self, obj: Any, cls: Any = None) -> Any:
        return obj.arrays.get(self.name)

    def set(self, obj: Any, value: Any) -> None:
        old = obj.arrays.get(self.name)
        obj.arrays[self.name] = value
        if value is not old:
            change = {"name": self.name, "old": old, "new": value, "owner": obj, "type": "change"}
            obj.notify_change(traitlets.Bunch(change))


class AssignedArray(Array):
    """An array whose assignment goes to the owner's `_assign`: other traits follow from it."""

    def __set__(self, obj: Any, value: Any) -> None:
        obj._assign(self.name, value)


class Checked(traitlets.TraitType[Any, Any]):
    """A plain value that the owner validates; unlike with Any, None as well."""
