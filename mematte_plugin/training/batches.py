"""Batches for every step, made by worker processes; a batch depends on seed and step only.

A run that was interrupted therefore continues with exactly the crops that it would have seen.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ..errors import InputError
from ..network import NetworkConfig
from ..network.inputs import NetworkInput
from .data.compose import Composer
from .recipe import Recipe
from .stored import Pool, packed, read_crops, repeat, write_crops

# Seeds of crops and of guidance cells, apart from each other.
_CROPS, _CELLS = 1_000_000_007, 1_000_000_009
_CACHE_MB = 3000
_CACHE_SHARE = 0.4  # of the free memory, for the decoded foregrounds of all workers
_FIRST = 8  # steps' worth of crops that a pool starts with


@dataclass(frozen=True)
class Share:
    """Which share of every batch a process makes."""

    rank: int = 0
    """Number of the process."""
    world: int = 1
    """How many processes there are."""

    def of(self, count: int) -> range:
        """This process's share of `count` numbers: as even as possible, never empty."""
        return range(count * self.rank // self.world, count * (self.rank + 1) // self.world)


@dataclass
class Throughput:
    """What making the crops has cost so far."""

    crops: int = 0
    """Crops made."""
    seconds: float = 0.0
    """Time spent making them, summed over the workers."""
    waited: float = 0.0
    """Time that training waited for crops, in seconds."""
    skipped: set[str] = field(default_factory=set)
    """Names of pictures that could not be read and were left out."""

    def rate(self, workers: int) -> float:
        """Crops per second that the workers can make together."""
        return self.crops / self.seconds * max(1, workers) if self.seconds else 0.0


@dataclass(frozen=True)
class Batch:
    """The crops of a step, on one process."""

    inputs: NetworkInput
    """Image (B, 3, S, S) in [0, 1], trimap (B, 1, S, S) of 0, 0.5 and 1, and their guidance."""
    alpha: Tensor
    """The truth, (B, 1, S, S) float32 in [0, 1]."""


@dataclass(frozen=True)
class Item:
    """What a worker delivers at a time."""

    crops: Tensor
    """Packed crops (see stored.packed)."""
    seconds: float
    """Time it took to make them."""
    skipped: list[str]
    """Pictures that this worker could not read so far."""

    def pin_memory(self) -> Item:
        """The same in pinned memory; called by DataLoader."""
        return replace(self, crops=self.crops.pin_memory())


@dataclass(eq=False)
class Crops(IterableDataset[Item]):
    """Packed crops for the pool of a stage, in items that the workers make in turn."""

    bank: Path
    """Folder of training pictures."""
    recipe: Recipe
    """Gives network and guidance cells."""
    crop: int
    """Side of the crops."""
    count: int
    """Crops per item."""
    seed: list[int]
    """Seeds the crops, with their number."""
    items: range
    """Numbers of the items to make."""
    folder: Path | None
    """Where finished items are kept, for a run that continues."""
    cache_mb: int
    """Room for decoded foregrounds, per worker."""
    _composer: Composer | None = None

    def __iter__(self) -> Iterator[Item]:
        import cv2

        worker = torch.utils.data.get_worker_info()
        if worker is not None:
            cv2.setNumThreads(1)
        number, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for item in self.items[number::step]:
            started = time.perf_counter()
            crops = self.item(item)
            skipped = [] if self._composer is None else list(self._composer.skipped)
            yield Item(crops, time.perf_counter() - started, skipped)

    def file(self, number: int) -> Path | None:
        """Where item `number` is kept."""
        return None if self.folder is None else self.folder / f"{number:07d}.npy"

    def item(self, number: int) -> Tensor:
        """Item `number`, read from its file or composed."""
        file = self.file(number)
        channels = NetworkConfig.from_dict(self.recipe.network).in_chans + 1
        shape = (self.count, channels, self.crop, self.crop)
        if file is not None and (kept := read_crops(file, shape)) is not None:
            return kept
        crops = self._composed(number)
        if file is not None:
            write_crops(file, crops)
        return crops

    def _composed(self, number: int) -> Tensor:
        if self._composer is None:  # in the worker
            self._composer = Composer(self.bank, size=self.crop, cache_mb=self.cache_mb)
        numbers = range(number * self.count, (number + 1) * self.count)
        samples = [self._composer.sample(np.random.default_rng([*self.seed, n])) for n in numbers]
        images, trimaps, alphas = (
            torch.from_numpy(np.stack([getattr(sample, name) for sample in samples]))
            for name in ("image", "trimap", "alpha")
        )
        image = images.permute(0, 3, 1, 2).float() / 255
        trimap = trimaps[:, None].float()
        trimap = torch.where(trimap == 128, 0.5, trimap / 255)
        return packed(network_input(self.recipe, number, image, trimap), alphas[:, None].float())


class Feed:
    """The batches of a run, in order and from any step on, on the device.

    Each step adds an item to the stage's pool, which starts with a few and replaces the oldest once
    it is full; what is drawn depends on seed and step only.

    Args:
        recipe: which batches, of what size.
        bank: folder of training pictures.
        device: where the batches go.
        workers: processes that make crops; 0 makes them in this process.
        share: this process's share of every batch.
        folder: where finished crops are kept, so that a run that continues need not remake them.
    """

    def __init__(
        self,
        recipe: Recipe,
        bank: Path,
        *,
        device: torch.device,
        workers: int,
        share: Share,
        folder: Path | None = None,
    ) -> None:
        self.recipe = recipe
        self.bank = bank
        self.device = device
        self.workers = workers
        self.share = share
        self.folder = folder
        self.throughput = Throughput()
        self._config = NetworkConfig.from_dict(recipe.network)
        self._stage = -1
        self._made = 0  # items, of the stage
        self._crops: Crops
        self._pool: Pool
        self._source: Iterator[Item]

    def batch(self, step: int, stop: Callable[[], bool] = lambda: False) -> Batch | None:
        """The batch of a step; steps must be requested in order.

        While the pool fills (see `begins_at`), `stop` is asked, and None is returned if it is true.
        """
        number, first = self.recipe.stage_at(step)
        begins = self.begins_at(step)
        if begins:
            self._open(number, step - first)
        while self._made < self._begin + step - first + 1:
            if begins and stop():
                return None
            self._add()
        count = len(self.share.of(self.recipe.stages[number].batch))
        generator = torch.Generator(self.device)
        generator.manual_seed(batch_seed(self.recipe, step, self.share.rank))
        return Batch(*repeat(self._pool, count, self._config, generator))

    def begins_at(self, step: int) -> bool:
        """Whether a pool must be filled first: at the first step requested, and of each stage."""
        return self.recipe.stage_at(step)[0] != self._stage

    def _open(self, number: int, step: int) -> None:
        """Start the pool that step `step` of stage `number` draws from."""
        stage = self.recipe.stages[number]
        count = max(1, round(len(self.share.of(stage.batch)) / self.recipe.reuse))
        self._items = -(-self.recipe.pool // count)
        self._begin = min(self._items, -(-_FIRST * stage.batch // count))
        folder = None
        if self.folder is not None:
            folder = self.folder / f"{number}-{stage.crop}-{self.share.rank}"
            for former in self.folder.glob(f"*-{self.share.rank}"):
                if former != folder:
                    shutil.rmtree(former, ignore_errors=True)
        self._made = max(0, self._begin + step + 1 - self._items)
        self._crops = Crops(
            self.bank,
            self.recipe,
            stage.crop,
            count,
            seed=[self.recipe.seed, _CROPS, number, self.share.rank],
            items=range(self._made, self._begin + stage.steps),
            folder=folder,
            cache_mb=_cache_mb(self.workers),
        )
        self._source = self._load(self._crops)
        self._stage = number
        self._pool = Pool(self._items * count, self.device, start=self._made * count)

    def _add(self) -> None:
        self._pool.add(self._next())
        old = self._crops.file(self._made - self._items)
        if old is not None and self._made >= self._items:
            old.unlink(missing_ok=True)
        self._made += 1

    def _load(self, source: Crops) -> Iterator[Item]:
        return iter(
            DataLoader(
                source,
                batch_size=None,
                num_workers=self.workers,
                # Forking a process that already runs threads (torch, OpenCV) can hang.
                multiprocessing_context="spawn" if self.workers else None,
                pin_memory=self.device.type == "cuda",
                worker_init_fn=_init_worker if self.workers else None,
                prefetch_factor=3 if self.workers else None,
            )
        )

    def _next(self) -> Tensor:
        started = time.perf_counter()
        try:
            item = next(self._source)
        except InputError as error:  # a worker's message contains the worker's traceback
            message = str(error).strip().splitlines()[-1].rpartition("InputError: ")[2]
            raise InputError(message) from None
        self.throughput.waited += time.perf_counter() - started
        self.throughput.seconds += item.seconds
        self.throughput.skipped |= set(item.skipped)
        self.throughput.crops += len(item.crops)
        return item.crops.to(self.device, non_blocking=True)


def network_input(recipe: Recipe, number: int, image: Tensor, trimap: Tensor) -> NetworkInput:
    """The input of item `number`, which chooses the cells of its guidance."""
    config = NetworkConfig.from_dict(recipe.network)
    cell: int | None = None
    if recipe.cells:
        rng = np.random.default_rng([recipe.seed, _CELLS, number])
        cell = int(rng.choice(recipe.cells))
    return NetworkInput(image, trimap, config, torch.float32, cell=cell)


def batch_seed(recipe: Recipe, step: int, rank: int = 0) -> int:
    """Seed of everything random in a step, on one process."""
    return (recipe.seed * 1_000_003 + step) * 1_009 + rank


def _init_worker(_: int) -> None:
    """Leave Ctrl-C to the process that trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _cache_mb(workers: int) -> int:
    """Room for decoded pictures per worker."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return _CACHE_MB // max(1, workers)
    return int(min(_CACHE_MB, free * _CACHE_SHARE / max(1, workers)))
