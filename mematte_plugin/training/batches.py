"""Batches for every step, made by worker processes; what a step gets depends on seed and step only.

So a run that was cut goes on with exactly the pictures that it would have seen.
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
from .pool import Pool
from .recipe import Recipe
from .recompose import ingredient_side, recompose
from .stored import packed, read_crops, repeat, write_crops

# They set seeds apart from those of crops.
_SAMPLES, _CELLS = 1_000_000_007, 1_000_000_009
_CACHE_MB = 3000
_FIRST = 8  # steps' crops that a pool begins with
_CACHE_SHARE = 0.4  # of the free memory, for the decoded foregrounds of all workers


@dataclass(frozen=True)
class Part:
    """Which share of every batch a process makes."""

    rank: int = 0
    """Number of the process."""
    world: int = 1
    """How many processes there are."""

    def of(self, count: int) -> range:
        """This process's share of `count` numbers; as even as possible, never empty."""
        return range(count * self.rank // self.world, count * (self.rank + 1) // self.world)


@dataclass
class Tally:
    """What making the batches has cost so far."""

    samples: int = 0
    """Crops or ingredients made."""
    seconds: float = 0.0
    """Time spent making them, added up over the workers."""
    waited: float = 0.0
    """Time the training stood still for want of a batch, in seconds."""
    skipped: set[str] = field(default_factory=set)
    """Names of pictures that could not be read, and were left out."""

    def rate(self, workers: int) -> float:
        """Samples per second that the workers can make together."""
        return self.samples / self.seconds * max(1, workers) if self.seconds else 0.0


@dataclass(frozen=True)
class Batch:
    """The crops of a step, on one process."""

    inputs: NetworkInput
    """Image (B, 3, S, S) in [0, 1], trimap (B, 1, S, S) of 0, 0.5 and 1, and their guidance."""
    alpha: Tensor
    """The truth, (B, 1, S, S) float32 in [0, 1]."""

    def __len__(self) -> int:
        return len(self.alpha)


@dataclass(frozen=True)
class Item:
    """What a worker hands over at a time."""

    content: Tensor
    """Packed crops, or ingredients."""
    seconds: float
    """It took to make them."""
    skipped: list[str]
    """Pictures that this worker could not read so far."""

    def pin_memory(self) -> Item:
        """The same in memory that a GPU reads by itself; asked for by DataLoader."""
        return replace(self, content=self.content.pin_memory())


@dataclass(frozen=True)
class Supply:
    """What fills a stage's pool."""

    recipe: Recipe
    """Its data says what the samples are."""
    crop: int
    """Side of the stage's crops."""
    count: int
    """Samples per item."""
    seed: list[int]
    """Seeds them, with their number."""
    folder: Path | None = None
    """Where made items are kept, for a run that goes on."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of a stored item, (count, in_chans + 1, S, S)."""
        channels = NetworkConfig.from_dict(self.recipe.network).in_chans + 1
        return (self.count, channels, self.crop, self.crop)

    def file(self, number: int) -> Path | None:
        """Where item `number` is kept."""
        return None if self.folder is None else self.folder / f"{number:07d}.npy"


class Samples(IterableDataset[Item]):
    """Samples for a pool: item n holds those from n·count on, (count, …); from `first` to `last`,
    shared out to the workers in turn."""

    def __init__(
        self, bank: Path, supply: Supply, first: int, last: int, cache_mb: int = _CACHE_MB
    ) -> None:
        self.bank = bank
        self.supply = supply
        self.first = first
        self.last = last
        self.cache_mb = cache_mb
        self._composer: Composer | None = None

    def __iter__(self) -> Iterator[Item]:
        import cv2

        worker = torch.utils.data.get_worker_info()
        if worker is not None:
            cv2.setNumThreads(1)
        number, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for item in range(self.first + number, self.last, step):
            started = time.perf_counter()
            content = self.item(item)
            skipped = [] if self._composer is None else list(self._composer.skipped)
            yield Item(content, time.perf_counter() - started, skipped)

    def item(self, number: int) -> Tensor:
        """Ingredients, or composed crops with their guidance."""
        supply = self.supply
        first = number * supply.count
        seeds = [[*supply.seed, n] for n in range(first, first + supply.count)]
        if supply.recipe.data == "recomposed":
            return _ingredients(self._composing(ingredient_side(supply.crop)), seeds)
        file = supply.file(number)
        if file is not None and (kept := read_crops(file, supply.shape)) is not None:
            return kept
        made = _composed(self._composing(supply.crop), supply.recipe, number, seeds)
        if file is not None:
            write_crops(file, made)
        return made

    def _composing(self, size: int) -> Composer:
        """The composer for crops of a size, made where it is needed: in the worker."""
        if self._composer is None or self._composer.size != size:
            self._composer = None  # two caches at a time may be too much
            self._composer = Composer(self.bank, size=size, cache_mb=self.cache_mb)
        return self._composer


def _composed(composer: Composer, recipe: Recipe, number: int, seeds: list[list[int]]) -> Tensor:
    """Packed crops with their guidance, one per seed; `number` chooses the guidance's cells."""
    samples = [composer.sample(np.random.default_rng(seed)) for seed in seeds]
    images, trimaps, alphas = (
        torch.from_numpy(np.stack([getattr(sample, name) for sample in samples]))
        for name in ("image", "trimap", "alpha")
    )
    trimap = trimaps[:, None].float()
    image = images.permute(0, 3, 1, 2).float() / 255
    trimap = torch.where(trimap == 128, 0.5, trimap / 255)
    return packed(network_input(recipe, number, image, trimap), alphas[:, None].float())


def _ingredients(composer: Composer, seeds: list[list[int]]) -> Tensor:
    """Foregrounds and backgrounds for `recompose`, one of each per seed."""
    made = []
    for seed in seeds:
        layers = composer.ingredients(np.random.default_rng(seed))
        planes = [layers.foreground, layers.alpha[..., None] * 255, layers.background]
        whole = np.rint(np.concatenate(planes, axis=2)).clip(0, 255).astype(np.uint8)
        made.append(whole.transpose(2, 0, 1))
    return torch.from_numpy(np.stack(made))


class Feed:
    """The batches of a run, in order and from any step on, on the device.

    Each step adds an item to the stage's pool, which begins with a few and forgets the oldest once
    it is full; what is drawn depends on seed and step only.

    Args:
        recipe: which, of what size.
        bank: folder of training pictures.
        device: where they are wanted.
        workers: processes that make them; 0 makes them in this one.
        part: this process's share.
        folder: where stored crops are kept, so that a run that goes on need not make them again.
    """

    def __init__(
        self,
        recipe: Recipe,
        bank: Path,
        *,
        device: torch.device,
        workers: int,
        part: Part,
        folder: Path | None = None,
    ) -> None:
        self.recipe = recipe
        self.bank = bank
        self.device = device
        self.workers = workers
        self.part = part
        self.folder = folder
        self.tally = Tally()
        self.cache_mb = _cache_mb(workers)
        self._stage = -1
        self._source: Iterator[Item] = iter(())
        self._pool: Pool | None = None
        self._supply: Supply | None = None
        self._made = 0  # items, of the stage
        self._config = NetworkConfig.from_dict(recipe.network)

    def batch(self, step: int, stop: Callable[[], bool] = lambda: False) -> Batch | None:
        """The batch of a step; steps have to be asked for in order. None where `stop`, which is
        asked while the pool fills at a beginning (see `begins_at`), says so."""
        number, first = self.recipe.stage_at(step)
        begins = self.begins_at(step)
        if begins:
            self._open(number, step - first)
        assert self._pool is not None
        assert self._supply is not None
        while self._made < self._begin + step - first + 1:
            if begins and stop():
                return None
            self._add()
        stage = self.recipe.stages[number]
        count = len(self.part.of(stage.batch))
        generator = torch.Generator(self.device)
        generator.manual_seed(batch_seed(self.recipe, step, self.part.rank))
        if self.recipe.data == "stored":
            return Batch(*repeat(self._pool, count, self._config, generator))
        made = recompose(self._pool, count, stage.crop, generator)
        return Batch(network_input(self.recipe, step, made.image, made.trimap), made.alpha)

    def begins_at(self, step: int) -> bool:
        """Whether a pool has to be filled first: at the first step asked for, and of each stage."""
        return self.recipe.stage_at(step)[0] != self._stage

    def _open(self, number: int, step: int) -> None:
        """Begin the pool that step `step` of stage `number` draws from."""
        stage = self.recipe.stages[number]
        fresh = max(1, round(len(self.part.of(stage.batch)) / self.recipe.reuse))
        self._items = -(-self.recipe.pool // fresh)
        self._begin = min(self._items, -(-_FIRST * stage.batch // fresh))
        seed = [self.recipe.seed, _SAMPLES, number, self.part.rank]
        folder = None
        if self.folder is not None and self.recipe.data == "stored":
            folder = self.folder / f"{number}-{stage.crop}-{self.part.rank}"
            for former in self.folder.glob(f"*-{self.part.rank}"):
                if former != folder:
                    shutil.rmtree(former, ignore_errors=True)
        self._supply = Supply(self.recipe, stage.crop, fresh, seed, folder)
        self._pool = None  # make room first
        self._made = max(0, self._begin + step + 1 - self._items)
        source = Samples(
            self.bank, self._supply, self._made, self._begin + stage.steps, self.cache_mb
        )
        self._source = self._load(source)
        self._stage = number
        self._pool = Pool(self._items * fresh, self.device, start=self._made * fresh)

    def _add(self) -> None:
        assert self._pool is not None
        assert self._supply is not None
        self._pool.add(self._next())
        old = self._supply.file(self._made - self._items)
        if old is not None and self._made >= self._items:
            old.unlink(missing_ok=True)
        self._made += 1

    def _load(self, source: Samples) -> Iterator[Item]:
        return iter(
            DataLoader(
                source,
                batch_size=None,
                num_workers=self.workers,
                # Forking a process that runs threads already (torch, OpenCV) can hang.
                multiprocessing_context="spawn" if self.workers else None,
                pin_memory=self.device.type == "cuda",
                worker_init_fn=_quiet if self.workers else None,
                prefetch_factor=3 if self.workers else None,
            )
        )

    def _next(self) -> Tensor:
        started = time.perf_counter()
        try:
            item = next(self._source)
        except InputError as error:  # a worker's arrives with the worker's traceback
            message = str(error).strip().splitlines()[-1].rpartition("InputError: ")[2]
            raise InputError(message) from None
        self.tally.waited += time.perf_counter() - started
        self.tally.seconds += item.seconds
        self.tally.skipped |= set(item.skipped)
        self.tally.samples += len(item.content)
        return item.content.to(self.device, non_blocking=True)


def network_input(recipe: Recipe, step: int, image: Tensor, trimap: Tensor) -> NetworkInput:
    """The input of step `step`, with its guidance."""
    config = NetworkConfig.from_dict(recipe.network)
    cell: int | None = None
    if recipe.cells:
        rng = np.random.default_rng([recipe.seed, _CELLS, step])
        cell = int(rng.choice(recipe.cells))
    return NetworkInput(image, trimap, config, torch.float32, cell=cell)


def batch_seed(recipe: Recipe, step: int, rank: int = 0) -> int:
    """Seeds what is random in a step, on one process."""
    return (recipe.seed * 1_000_003 + step) * 1_009 + rank


def _quiet(_: int) -> None:
    """Workers leave Ctrl-C to the process that trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _cache_mb(workers: int) -> int:
    """Room for decoded pictures per worker."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return _CACHE_MB // max(1, workers)
    return int(min(_CACHE_MB, free * _CACHE_SHARE / max(1, workers)))
