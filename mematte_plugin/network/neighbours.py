"""Nearest neighbours in a few dimensions, and the weights that rebuild a point from them.

On a CPU a kd-tree finds them; on other devices all distances are computed, a bounded number at a
time, so that nothing leaves the device.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .config import DISTANCES
from .rows import Tick, idle, strips

Search = Literal["tree", "brute"]

MOST_POINTS = 2**17
"""The most points that brute force searches; of more, every second, third … is used."""
_QUERIES = 2**13  # searched at a time in a tree
_TREE_THREADS = 8


class Neighbours:
    """Finds the points nearest to queries.

    Args:
        points: (n, d) float32, n at least 1.
        search: "tree" (scipy's kd-tree on the CPU) or "brute" (on the points' device).
    """

    def __init__(self, points: Tensor, search: Search) -> None:
        self.step = 1
        self.tree = None
        if search == "tree":
            from scipy.spatial import cKDTree

            self.tree = cKDTree(
                points.numpy(), leafsize=32, balanced_tree=False, compact_nodes=False
            )
        else:
            self.step = -(-len(points) // MOST_POINTS)
        self.points = points[:: self.step]

    def of(self, queries: Tensor, count: int, tick: Tick = idle) -> Tensor:
        """Indices (m, k) int32 of the k = min(count, points) points nearest to the queries (m, d),
        nearest first."""
        count = min(count, len(self.points))
        out = torch.empty(len(queries), count, dtype=torch.int32, device=queries.device)
        batch = _QUERIES
        if self.tree is None:
            batch = max(1, DISTANCES // len(self.points))
        for first, last in strips(len(queries), batch, tick):
            out[first:last] = self._nearest(queries[first:last], count)
        return out.mul_(self.step)

    def _nearest(self, queries: Tensor, count: int) -> Tensor:
        if self.tree is None:
            return self._distances(queries).topk(count, dim=1, largest=False).indices
        workers = min(torch.get_num_threads(), _TREE_THREADS)
        _, found = self.tree.query(queries.numpy(), count, workers=workers)
        return torch.from_numpy(np.asarray(found, np.int32).reshape(len(queries), count))

    def _distances(self, queries: Tensor) -> Tensor:
        """Squared distances (m, n) from the queries (m, d).

        Not by a matrix product, whose rounding is as large as the distances, nor by torch's own
        kernel, which starts a block of threads for each of them.
        """
        total = queries.new_zeros(len(queries), len(self.points))
        for query, point in zip(queries.t(), self.points.t(), strict=True):
            apart = query[:, None] - point
            total.addcmul_(apart, apart)
        return total


def without_itself(found: Tensor, own: Tensor) -> Tensor:
    """Neighbours (m, k) without each query's own index `own` (m,), or else without the farthest:
    (m, k - 1)."""
    same = found == own[:, None]
    same[:, -1] |= ~same.any(1)
    # By position: a selection by `same` would wait for the device.
    place = torch.arange(found.shape[1] - 1, device=found.device)
    return found.gather(1, place + (place >= same.int().argmax(1, keepdim=True)))


def rebuilding_weights(differences: Tensor, ridge: float) -> Tensor:
    """Weights of the neighbours whose mixture comes nearest to a point: locally linear embedding
    (Roweis & Saul 2000).

    Args:
        differences: (m, k, d) neighbours less their point.
        ridge: added to the Gram matrix's diagonal, as a share of its mean.

    Returns: (m, k); rows sum to 1, weights may be negative.
    """
    k, d = differences.shape[1:]
    # (D Dᵀ + εI)⁻¹ 1 by the d×d matrix DᵀD instead of the k×k one (Woodbury). Not by matrix
    # products, whose rounding under autocast and with TF32 exceeds the ridge.
    small = (differences * differences).sum((1, 2)) * (ridge / k) + 1e-8
    gram = torch.stack([(differences * differences[..., i : i + 1]).sum(1) for i in range(d)], 1)
    gram.diagonal(dim1=1, dim2=2).add_(small[:, None])
    # Unchecked, since a check would wait for the device: it is positive definite.
    solved = torch.linalg.solve_ex(gram, differences.sum(1)[..., None]).result
    weights = 1 - (differences * solved.transpose(1, 2)).sum(2)
    return weights / weights.sum(1, keepdim=True)
