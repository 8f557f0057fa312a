"""Building graphs in API format, with tensors going in and coming out unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.comfyui.server import Graph

_names = count()


@dataclass(frozen=True)
class Node:
    """A node of a graph; ``node[1]`` is its second output."""

    id: str

    def __getitem__(self, output: int) -> list[Any]:
        return [self.id, output]


@dataclass
class Sketch:
    """A graph in the making.

    folder: where tensors are handed over.
    """

    folder: Path
    graph: Graph = field(default_factory=dict)

    def add(self, class_type: str, **inputs: Any) -> Node:
        """A new node; an input that is a node means its first output, None leaves it out."""
        given = {
            name: value[0] if isinstance(value, Node) else value
            for name, value in inputs.items()
            if value is not None
        }
        node = Node(str(len(self.graph) + 1))
        self.graph[node.id] = {"class_type": class_type, "inputs": given}
        return node

    def tensor(self, tensor: Tensor) -> Node:
        """A node that gives a tensor as IMAGE (output 0) and as MASK (output 1)."""
        path = self.folder / f"in{next(_names)}.pt"
        torch.save(tensor.clone(), path)
        return self.add("TestTensor", path=str(path))

    def image(self, tensor: Tensor) -> list[Any]:
        """The tensor as an IMAGE."""
        return self.tensor(tensor)[0]

    def mask(self, tensor: Tensor) -> list[Any]:
        """The tensor as a MASK."""
        return self.tensor(tensor)[1]

    def model(self, model: str = "mematte-tiny", precision: str = "auto") -> Node:
        """The loader."""
        return self.add("MEMatteLoadModel", model=model, precision=precision)

    def keep(self, **values: Any) -> Path:
        """Outputs to be written into the file that is returned; see `kept`."""
        path = self.folder / f"out{next(_names)}.pt"
        self.add("TestKeep", path=str(path), **values)
        return path


def kept(path: Path) -> dict[str, Any]:
    """What a graph handed to `Sketch.keep`: tensors and text by name."""
    return dict(torch.load(path, weights_only=True))
