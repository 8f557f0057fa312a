"""Nodes for tests: tensors from files into a graph, and whatever a node gives into files."""

from __future__ import annotations

from typing import Any, ClassVar

import torch


class Anything(str):
    """The name of a type that fits every other: ComfyUI compares names with !=."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


ANY = Anything("*")
NAMES = ("alpha", "foreground", "cutout", "report", "trimap", "preview", "maps", "image")


class TestTensor:
    """A tensor as torch.save wrote it, whatever its shape and numbers, as IMAGE and as MASK."""

    __test__ = False
    CATEGORY = "tests"
    FUNCTION = "load"
    RETURN_TYPES = ("IMAGE", "MASK")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"path": ("STRING", {"default": ""})}}

    def load(self, path: str) -> tuple[torch.Tensor, torch.Tensor]:
        tensor = torch.load(path, weights_only=True)
        return tensor, tensor


class TestKeep:
    """Writes what is connected into a file, by name."""

    __test__ = False
    CATEGORY = "tests"
    FUNCTION = "keep"
    OUTPUT_NODE = True
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"path": ("STRING", {"default": ""})},
            "optional": {name: (ANY,) for name in NAMES},
        }

    def keep(self, path: str, **values: Any) -> dict[str, Any]:
        torch.save(values, path)
        return {"ui": {"kept": sorted(values)}}


NODE_CLASS_MAPPINGS = {"TestTensor": TestTensor, "TestKeep": TestKeep}
