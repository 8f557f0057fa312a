"""The memory law against the bytes of live tensors, counted in real runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch

from mematte_plugin.memory import law
from mematte_plugin.memory.law import peak, phases
from mematte_plugin.memory.workload import WORKSPACE, Workload, weights
from mematte_plugin.network import VARIANTS, Chunking, MEMatte, NetworkConfig
from tests.networks import SMALL, random_input

from .live import LiveTensors

KEPT = 0.25
CONFIGS: dict[str, NetworkConfig] = {
    "routed": NetworkConfig(**SMALL),
    "nearest": NetworkConfig(**SMALL, guidance="nearest"),
    "flow": NetworkConfig(**SMALL, guidance="flow"),
    "dense": NetworkConfig(**{**SMALL, "routed": False}),
    "dense with positions": NetworkConfig(
        **{**SMALL, "routed": False, "global_rel_pos": True, "rel_pos_grid": 8}
    ),
    "tiny": VARIANTS["tiny"],
    "small": VARIANTS["small"],
}
CHUNKS = {
    "a CPU's": Chunking(tokens=2048, patches=512, attention=2**25, tile=256),
    "smaller": Chunking(tokens=512, patches=128, attention=10**6, tile=128),
    "smallest": Chunking(tokens=196, patches=16, attention=1, tile=48),
    "few tokens": Chunking(tokens=128, patches=1024, attention=2**20, tile=512),
    "small tiles": Chunking(tile=64),
    "everything": Chunking(tile=1024),
    "no kernel": Chunking(tokens=512, patches=128, attention=2**20, fused=False, tile=128),
}
SLOW = ("flow", "tiny", "small")
SIZES = ((320, 320), (200, 620))
TIGHT = 0.75
"""What the count should at least be of the law, in most cases."""
SCALARS = 2**18
"""Bytes that the law passes over: indices, masks, pieces of features."""


@pytest.fixture
def tensors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The law without what libraries and the C library's heap take besides."""
    monkeypatch.setitem(WORKSPACE, "cpu", 0)
    for name in (
        "HEAP",
        "HEAP_SHARE",
        "HEAP_UNKNOWN_SHARE",
        "SMALL_HEAP",
        "SMALL_HEAP_SHARE",
        "SMALL_HEAP_CHANNEL",
        "LEFT_MOST",
    ):
        monkeypatch.setattr(law, name, 0)


def counted(
    config: NetworkConfig,
    size: tuple[int, int],
    chunking: Chunking,
    dtype: torch.dtype = torch.float32,
    *,
    only_unknown: bool = False,
    official: bool = False,
) -> tuple[int, dict[str, int]]:
    """Most bytes of tensors that lived at once in a real run, and what the law says by phase."""
    network = MEMatte(config).eval().initialise()
    if config.routed:  # every token wants to be kept, so that the cap decides
        with torch.no_grad():
            for router in network.backbone.routers:
                router.out_conv[4].bias[0] += 100  # type: ignore[index, union-attr]
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    network = network.copied(torch.device("cpu"), dtype)
    unit, trimap = random_input(*size)
    image = (unit * 255).to(torch.uint8)
    work = Workload(
        *size,
        config,
        itemsize=dtype.itemsize,
        unknown=float((trimap == 0.5).float().mean()),
        official=official,
    )
    if config.routed:
        work = replace(work, max_tokens=math.ceil(KEPT * work.tokens))
    live = LiveTensors([*network.parameters(), *network.buffers(), image, trimap])
    with torch.no_grad(), live:
        network.predict(
            image,
            trimap,
            max_tokens=work.max_tokens,
            chunking=chunking,
            decoder="official" if official else "exact",
            only_unknown=only_unknown,
        )
    before = 7 * work.pixels  # the picture was there, and nothing was read
    law = {name: most - before for name, most in phases(work, chunking).items()}
    del law["reading"]
    return live.peak, law


@pytest.mark.usefixtures("tensors_only")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CONFIGS],
)
def test_no_run_holds_more_than_the_law_says_and_most_hold_nearly_that(name: str) -> None:
    config = CONFIGS[name]
    sizes = SIZES if config.embed_dim < 200 else ((200, 300),)
    shares = []
    for size, chunks in product(sizes, CHUNKS):
        dtypes = (torch.float32, torch.bfloat16) if chunks == "smaller" else (torch.float32,)
        for dtype in dtypes:
            count, law = counted(config, size, CHUNKS[chunks], dtype)
            assert count <= max(law.values()) + SCALARS, (size, chunks, dtype)
            del law["guidance"]  # most of it is numpy's and scipy's
            shares.append(count / max(law.values()))
    assert sum(share >= TIGHT for share in shares) >= 0.5 * len(shares), shares


@pytest.mark.slow
@pytest.mark.usefixtures("tensors_only")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_decoding_only_what_is_unknown_stays_below_the_law(dtype: torch.dtype) -> None:
    for chunks in ("a CPU's", "smaller", "everything"):
        count, law = counted(CONFIGS["tiny"], (384, 500), CHUNKS[chunks], dtype, only_unknown=True)
        assert count <= max(law.values()) + SCALARS, chunks


@pytest.mark.slow
@pytest.mark.usefixtures("tensors_only")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["routed", "tiny", "small"])
def test_the_official_patches_hold_what_the_law_says(name: str, dtype: torch.dtype) -> None:
    for size in ((200, 300), (520, 700)):
        count, law = counted(CONFIGS[name], size, CHUNKS["a CPU's"], dtype, official=True)
        assert TIGHT * law["decoder"] <= count <= law["decoder"] + SCALARS, size


@pytest.mark.parametrize(
    "config",
    [
        *VARIANTS.values(),
        replace(VARIANTS["small"], routed=False, global_rel_pos=True),
        replace(VARIANTS["tiny"], guidance="none", abs_pos=True),
    ],
)
def test_weights_are_those_of_the_real_network(config: NetworkConfig) -> None:
    with torch.device("meta"):
        network = MEMatte(config)
    real = [*network.parameters(), *(b for b in network.buffers() if b.is_floating_point())]
    assert weights(config, 4) == 4 * sum(tensor.numel() for tensor in real)


@pytest.mark.parametrize("backend", ["cpu", "cuda", "mps"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_more_of_anything_never_needs_less(config: NetworkConfig, backend: str) -> None:
    def rises(values: Sequence[Any], law_of: Callable[[Any], int]) -> None:
        laws = [law_of(value) for value in values]
        assert laws == sorted(laws)

    chunking = Chunking(tokens=1024, patches=256, attention=2**24, tile=256)
    work = Workload(1200, 1600, config, backend=backend, max_tokens=2000)
    of_job: dict[str, Sequence[Any]] = {
        "height": [1, 17, 300, 1000, 3000, 8000],
        "width": [1, 17, 300, 1000, 3000, 8000],
        "depth": [1, 2, 4],
        "unknown": [0.0, 0.1, 0.5, 1.0],
        "max_tokens": [0, 16, 500, 5000, 10**6],
    }
    if config.guidance == "flow":  # larger pictures get larger cells, and so may get fewer
        del of_job["height"], of_job["width"]
    for name, values in of_job.items():
        rises(values, lambda value, name=name: peak(replace(work, **{name: value}), chunking))  # type: ignore[misc]
    of_chunking: dict[str, Sequence[Any]] = {
        "tokens": [196, 512, 2048, 10_000, None],
        "patches": [16, 100, 1000, 10_000, None],
        "attention": [1, 10**6, 10**8, None],
        "tile": [48, 64, 256, 512, 1024],
    }
    for name, values in of_chunking.items():
        rises(values, lambda value, name=name: peak(work, replace(chunking, **{name: value})))  # type: ignore[misc]
    assert peak(work, replace(chunking, fused=False)) >= peak(work, chunking)


def test_a_small_picture_leaves_room_for_the_heap() -> None:
    # Measured with chunks as small as here, in one process for many pictures: 69 MB, and 108 MB
    # with the wide network.
    chunking = Chunking(tokens=1024, patches=64, attention=2**24, tile=64)
    work = Workload(309, 681, VARIANTS["tiny"], unknown=0.38)
    assert 69e6 <= peak(work, chunking) < 85e6
    wide = Workload(512, 512, VARIANTS["base"], unknown=0.4, max_tokens=512)
    assert 108e6 <= peak(wide, replace(chunking, tile=128)) < 135e6
