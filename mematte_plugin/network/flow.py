"""First alphas by information flow from the known regions, as extra input channels.

Information-flow matting (Aksoy, Aydın & Pollefeys 2017) on a grid of bounded size, so that its cost
does not grow with the picture. Each unknown cell has three kinds of flow:

- *colour mixture*: its nearest cells in colour and position, known or not, with the weights that
  rebuild it (locally linear embedding, Roweis & Saul 2000); its alpha should be the same mixture of
  theirs;
- *known to unknown*: its nearest known foreground and background cells, mostly by position; the
  foreground's share of the weights that rebuild its colour is an estimate of alpha. The confidence
  is the distance of the two mixed colours, times how well neighbours with non-negative weights
  rebuild the colour: a colour that is not known nearby has no support;
- *within the unknown*: its nearest unknown cells, almost by colour alone, should have similar
  alphas.

Conjugate gradients find the alphas that contradict these least, with known-to-unknown flow and
without: the first is overconfident where it has no support, the second undecided where it has, and
where they differ there is doubt. The network weighs them. A linear model of the colours around each
cell (`guided`) upsamples all of it to full resolution.

It is not part of MEMatte; see guidance.py for why our own small networks have it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .abilities import able
from .config import flow_cell
from .guidance import Strip, pool_strips
from .guided import linear_model, surrounded, upsampled
from .neighbours import Neighbours, Search, rebuilding_weights, without_itself
from .rows import Tick, idle, strips

CHANNELS = ("mixed", "flow", "undecided", "estimate", "confidence")
"""The channels of `crop`: flow without and with known-to-unknown flow, the latter's early iterate,
the known-to-unknown estimate, and its confidence in [0, 1]."""

_POSITION_SCALE = 400.0  # cells per unit of position, about the width of a full grid
_REACH = 8  # cells: known cells this near to unknown ones are candidates for neighbours,
_LATTICE = 4  # and one of the others in every square of this side
_MIXTURE = 10  # neighbours of the colour mixture, at equal weight of colour and position
_SIDE, _SIDE_NEARNESS = 7, 10.0  # known neighbours a side, and the weight of their position
_ALIKE, _ALIKE_NEARNESS = 5, 0.05  # unknown neighbours, likewise
_RIDGE = 1e-3
_SUPPORT = 0.05  # distance in colour at which a rebuilt colour loses its support
_KNOWN_WEIGHT, _ALIKE_WEIGHT = 0.05, 0.01  # of the flows, the colour mixture's being 1
_TO_HALF = 1e-6  # weight of 0.5: decides only where nothing ties a cell to the known regions
_EARLY, _LATE = 80, 300  # iterations, from 0.5 everywhere
_CHECKED = 50  # iterations between checks of the residual: each is a round trip to the device
_TOLERANCE = 1e-4
_HALF_CONFIDENT = 0.01  # mean squared difference of the mixed colours at which confidence is 0.5
_CELLS_AT_A_TIME = 2**14


class FlowAlpha:
    """The flow alphas of a batch, upsampled to full resolution piece by piece.

    Args:
        strip: gives RGB (B, 3, r, W) float in [0, 1] and trimap (B, 1, r, W) float (0 background,
            1 foreground, anything between unknown) of the rows [first, last).
        size: (H, W) of the picture.
        device: where the alphas are kept, and computed if it has all the abilities; by default
            where the strips are.
        cell: side of a grid cell in pixels; by default as small as MAX_CELLS allows.
        search: how neighbours are found; by default a kd-tree on a CPU, brute force on a GPU.
        tick: called often while the alphas are computed.
    """

    @torch.no_grad()
    def __init__(
        self,
        strip: Strip,
        size: tuple[int, int],
        *,
        device: torch.device | None = None,
        cell: int | None = None,
        search: Search | None = None,
        tick: Tick = idle,
    ) -> None:
        self.cell = cell or flow_cell(*size)
        pooled = pool_strips(self._pooled, strip, size, self.cell, tick=tick)
        stays = pooled.device if device is None else device
        pooled = pooled.to(stays if able(stays, "flow") else "cpu")
        kind = search or ("tree" if pooled.device.type == "cpu" else "brute")
        colours, start = pooled[:, :3], pooled[:, 3]
        found = [_flows(c, s, kind, tick) for c, s in zip(colours, start, strict=True)]
        maps = torch.stack(found)  # (B, 5, h, w)
        del found
        model = linear_model(colours, maps[:, :-1], tick).flatten(1, 2)
        self.model = surrounded(torch.cat([model, maps[:, -1:]], 1)).to(stays)

    def _pooled(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """Mean colours and starting alphas (0, 0.5, 1) of the cells (B, 4, r / cell, w),
        float32."""
        pad = (0, -rgb.shape[3] % self.cell, 0, -rgb.shape[2] % self.cell)
        maps = torch.cat([rgb.float(), (trimap >= 1).float(), (trimap <= 0).float()], 1)
        pooled = F.avg_pool2d(F.pad(maps, pad, mode="replicate"), self.cell)
        fore, back = (pooled[:, side : side + 1] == 1 for side in (3, 4))
        start = torch.where(fore, 1.0, torch.where(back, 0.0, 0.5)).to(pooled.dtype)
        return torch.cat([pooled[:, :3], start], 1)

    def crop(self, rgb: Tensor, top: int, left: int) -> Tensor:
        """CHANNELS (B, 5, r, c) in [0, 1] for the piece `rgb` (B, 3, r, c) that starts at (top,
        left). An image that lacks either known region has alphas of 0.5 and confidence 0."""
        r, c = rgb.shape[2:]
        box = (top, left, top + r, left + c)
        out = self.model.new_empty(len(rgb), len(CHANNELS), r, c)
        # One by one: the cells around a small piece take several times its memory.
        for k in range(len(CHANNELS) - 1):
            model = upsampled(self.model[:, 4 * k : 4 * k + 4], self.cell, box)
            out[:, k] = (model[:, :3] * rgb.float()).sum(1).add_(model[:, 3])
        out[:, -1:] = upsampled(self.model[:, -1:], self.cell, box)
        return out.clamp_(0, 1)


def first_alpha(channels: Tensor) -> Tensor:
    """The initial alpha (B, 1, H, W) float32 from CHANNELS (B, 5, H, W): between flow without and
    with known-to-unknown flow, the nearer to the latter the more confident that is."""
    mixed, flow, confidence = (channels[:, k : k + 1].float() for k in (0, 1, 4))
    return mixed + (flow - mixed) * (0.5 + 0.5 * confidence)


@dataclass(frozen=True)
class _Cells:
    """The cells of an image's grid and those that take part, by flat index."""

    colours: Tensor
    """(N, 3) float32."""
    places: Tensor
    """(N, 2) float32, x and y in units of _POSITION_SCALE cells."""
    alpha: Tensor
    """(N,) float32: 0, 0.5 and 1."""
    unknown: Tensor
    """(U,) int32: indices of the unknown ones."""
    near: Tensor
    """(N,) bool: unknown, or a candidate for their neighbour."""

    def features(self, nearness: float) -> Tensor:
        """(N, 5): colours, and places with this weight."""
        return torch.cat([self.colours, nearness * self.places], 1)

    def side(self, value: float) -> Tensor:
        """(n,) int32: candidates of a known region, or all of it if there are none."""
        known = self.alpha == value
        chosen = _numbers(known & self.near)
        return chosen if len(chosen) else _numbers(known)


def _numbers(where: Tensor) -> Tensor:
    """Indices (n,) int32 where (N,) is true."""
    return where.nonzero()[:, 0].int()


def _flows(colours: Tensor, start: Tensor, search: Search, tick: Tick) -> Tensor:
    """CHANNELS (5, h, w) of the cells from their colours (3, h, w) and `start` (h, w) of 0, 0.5
    and 1."""
    out = start.expand(len(CHANNELS), -1, -1).clone()
    out[-1] = 1
    missing = not bool((start == 0).any()) or not bool((start == 1).any())
    if missing:
        out[:] = 0.5
        out[-1] = 0
        return out
    cells = _cells(colours, start)
    if not len(cells.unknown):
        return out
    count = len(cells.unknown)
    mixture = _mixture(cells, search, tick)
    estimate, confidence = _known_to_unknown(cells, search, tick)
    alike = _alike(cells, search, tick)
    pull = torch.stack([torch.zeros_like(confidence), _KNOWN_WEIGHT * confidence], 1)
    early, late = _solve(cells, mixture, alike, (estimate, pull), tick)
    sure = confidence / (confidence + _HALF_CONFIDENT)
    made = torch.stack([late[:, 0], late[:, 1], early[:, 1], estimate, sure]).clamp_(0, 1)
    out.view(len(CHANNELS), -1)[:, cells.unknown] = made.view(-1, count)
    return out


def _cells(colours: Tensor, start: Tensor) -> _Cells:
    h, w = start.shape
    unknown = start == 0.5
    side = 2 * _REACH + 1
    near = F.max_pool2d(unknown.float()[None, None], side, 1, _REACH)[0, 0] > 0
    near[::_LATTICE, ::_LATTICE] = True
    rows, columns = torch.arange(h, device=start.device), torch.arange(w, device=start.device)
    places = torch.stack([columns.expand(h, w), rows[:, None].expand(h, w)], 2)
    return _Cells(
        colours.flatten(1).t().contiguous(),
        places.reshape(-1, 2).float() / _POSITION_SCALE,
        start.flatten(),
        _numbers(unknown.flatten()),
        near.flatten(),
    )


# ---- the three flows -----------------------------------------------------------------------------


def _mixture(cells: _Cells, search: Search, tick: Tick) -> tuple[Tensor, Tensor]:
    """Neighbours (U, k) int32 of the unknown cells among all cells, and the weights (U, k) that
    rebuild them."""
    features = cells.features(1.0)
    chosen = _numbers(cells.near)
    own = features[cells.unknown]
    found = chosen[Neighbours(features[chosen], search).of(own, _MIXTURE + 1, tick)]
    found = without_itself(found, cells.unknown)
    weights = torch.empty(found.shape, dtype=own.dtype, device=found.device)
    for first, last in strips(len(own), _CELLS_AT_A_TIME, tick):
        differences = features[found[first:last]] - own[first:last, None]
        weights[first:last] = rebuilding_weights(differences, _RIDGE)
    return found, weights


def _known_to_unknown(cells: _Cells, search: Search, tick: Tick) -> tuple[Tensor, Tensor]:
    """Estimate (U,) of the unknown cells' alphas in [0, 1], and the estimate's confidence (U,)."""
    features = cells.features(_SIDE_NEARNESS)
    own = features[cells.unknown]
    found = []
    for value in (1.0, 0.0):
        side = cells.side(value)
        found.append(side[Neighbours(features[side], search).of(own, _SIDE, tick)])
    fore = found[0].shape[1]
    both = torch.cat(found, 1)
    estimate, confidence = own.new_empty(len(own)), own.new_empty(len(own))
    for first, last in strips(len(own), _CELLS_AT_A_TIME, tick):
        colours = cells.colours[both[first:last]]  # (m, k, 3)
        differences = colours - own[first:last, None, :3]
        weights = rebuilding_weights(differences, _RIDGE)
        estimate[first:last] = weights[:, :fore].sum(1)
        positive = weights.clamp_min(0) + 1e-6
        gap = _mixed(positive[:, :fore], colours[:, :fore])
        gap = gap - _mixed(positive[:, fore:], colours[:, fore:])
        missed = _mixed(positive, differences)
        support = torch.exp(-(missed * missed).sum(1) / _SUPPORT**2)
        confidence[first:last] = (gap * gap).mean(1) * support
    return estimate.clamp_(0, 1), confidence


def _mixed(weights: Tensor, values: Tensor) -> Tensor:
    """Weighted mean (m, d) of values (m, k, d) with weights (m, k)."""
    return (weights[..., None] * values).sum(1) / weights.sum(1, keepdim=True)


def _alike(cells: _Cells, search: Search, tick: Tick) -> tuple[Tensor, Tensor]:
    """Neighbours (U, k) of the unknown cells, as indices among the unknown ones, and the ties
    (U, k) to them."""
    own = cells.features(_ALIKE_NEARNESS)[cells.unknown]
    found = Neighbours(own, search).of(own, _ALIKE + 1, tick)
    numbers = torch.arange(len(own), dtype=torch.int32, device=own.device)
    found = without_itself(found, numbers)
    ties = torch.empty(found.shape, dtype=own.dtype, device=found.device)
    for first, last in strips(len(own), _CELLS_AT_A_TIME, tick):
        far = (own[found[first:last]] - own[first:last, None]).abs().sum(2)
        ties[first:last] = _ALIKE_WEIGHT * (1 - far).clamp_min(0)
    return found, ties


# ---- the system ----------------------------------------------------------------------------------


class _Matrix:
    """A sparse matrix from its entries' columns (n,) int32 and values (n,), row by row, and the
    number of entries in each row (rows,)."""

    def __init__(self, columns: Tensor, values: Tensor, counts: Tensor) -> None:
        self.columns = columns
        self.values = values
        self.starts = F.pad(counts.cumsum(0, dtype=torch.int32), (1, 0))[:-1]

    def __matmul__(self, x: Tensor) -> Tensor:
        """(rows, n) from (columns, n)."""
        return F.embedding_bag(
            self.columns, x, self.starts, per_sample_weights=self.values, mode="sum"
        )


def _sums(rows: Tensor, values: Tensor, size: int) -> Tensor:
    """Sums (size,) of the values (n,) by row."""
    return values.new_zeros(size).index_add_(0, rows, values)


def _solve(
    cells: _Cells,
    mixture: tuple[Tensor, Tensor],
    alike: tuple[Tensor, Tensor],
    pulled: tuple[Tensor, Tensor],
    tick: Tick,
) -> tuple[Tensor, Tensor]:
    """Early and late iterates (U, n) of the alphas that contradict the flows least.

    Args:
        cells: of the grid.
        mixture: neighbours and weights, see `_mixture`.
        alike: neighbours and ties, see `_alike`.
        pulled: the known-to-unknown flow: estimates (U,), and n weights of them (U, n).
        tick: called in every iteration.
    """
    estimate, pull = pulled
    count = len(cells.unknown)
    mixing, back, from_known, diagonal = _matrices(cells, mixture, alike)
    held = pull + _TO_HALF + _tied(alike, count)[:, None]  # (U, n)
    diagonal = diagonal[:, None] + held

    def image(x: Tensor) -> Tensor:
        left = x - mixing @ x
        return left.addcmul(held, x).sub_(back @ torch.cat([left, x]))

    nothing = torch.zeros_like(from_known)
    right = from_known - back @ torch.cat([from_known, nothing])
    right = right + pull * estimate[:, None] + 0.5 * _TO_HALF
    # Conjugate gradients, Jacobi-preconditioned, for all n at once.
    alpha = torch.full_like(held, 0.5)
    residual = right - image(alpha)
    enough = _TOLERANCE**2 * (right * right).sum(0)
    scaled = residual / diagonal
    direction, energy = scaled, (residual * scaled).sum(0)
    early: Tensor | None = None
    for iteration in range(_LATE):
        tick()
        if iteration == _EARLY:
            early = alpha.clone()
        if iteration % _CHECKED == 0 and bool(((residual * residual).sum(0) <= enough).all()):
            break
        ahead = image(direction)
        step = energy / (direction * ahead).sum(0).clamp_min(1e-30)
        alpha.addcmul_(step, direction)
        residual.addcmul_(-step, ahead)
        scaled = residual / diagonal
        energy, former = (residual * scaled).sum(0), energy
        direction = scaled.addcmul_(energy / former.clamp_min(1e-30), direction)
    return alpha if early is None else early, alpha


def _matrices(
    cells: _Cells, mixture: tuple[Tensor, Tensor], alike: tuple[Tensor, Tensor]
) -> tuple[_Matrix, _Matrix, Tensor, Tensor]:
    """The mixtures over the unknown cells (U, U); the transposed mixtures and the ties (U, 2·U);
    the known cells' part of each mixture (U, 1); and the mixtures' part of the system's diagonal
    (U,)."""
    found, weights = mixture
    count = len(cells.unknown)
    numbers = torch.arange(count, dtype=torch.int32, device=found.device)
    number = torch.full_like(cells.alpha, -1, dtype=torch.int32)  # among the unknown cells
    number[cells.unknown] = numbers
    known = cells.alpha.clone()
    known[cells.unknown] = 0
    from_known = (known[found] * weights).sum(1, keepdim=True)
    columns = number[found]
    inner = columns >= 0
    rows, columns, values = (
        numbers[:, None].expand(found.shape)[inner],
        columns[inner],
        weights[inner],
    )
    mixing = _Matrix(columns, values, inner.sum(1))
    diagonal = 1 + _sums(columns, values * values, count)
    others, ties = alike
    here, there = numbers[:, None].expand(others.shape).flatten(), others.flatten()
    strengths = ties.flatten()
    keys = torch.cat([columns, here, there])
    order = torch.argsort(keys)
    counts = _sums(keys, torch.ones_like(keys), count)
    del keys
    entries = torch.cat([rows, there + count, here + count])[order]
    back = _Matrix(entries, torch.cat([values, strengths, strengths])[order], counts)
    return mixing, back, from_known, diagonal


def _tied(alike: tuple[Tensor, Tensor], count: int) -> Tensor:
    """Sum (U,) of the ties from and to each unknown cell."""
    others, ties = alike
    return ties.sum(1) + _sums(others.flatten(), ties.flatten(), count)
