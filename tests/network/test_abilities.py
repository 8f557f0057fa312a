"""What Apple's GPUs do not have is not asked of them: a simulated card that refuses it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mematte_plugin.errors import SettingError
from mematte_plugin.foreground.multilevel import foreground_colours
from mematte_plugin.memory import free as memory_device
from mematte_plugin.memory.free import free_memory
from mematte_plugin.network import Chunking
from mematte_plugin.network.abilities import ABILITIES, refuse_old
from mematte_plugin.network.mematte import DecoderMode
from tests.networks import random_input, random_network
from tests.simulated_card import DEVICE, Card, OnCard, moved

# Operations with kernels for CPU and CUDA but none for MPS in torch 2.6, by its
# native_functions.yaml (those of training, quantisation and special functions left out), and two
# that are there but were missing, or wrong, in other versions.
LACKING = frozenset(
    [
        "_embedding_bag",
        "_embedding_bag_forward_only",
        "_linalg_det",
        "_linalg_eigh",
        "_linalg_eigvals",
        "_linalg_slogdet",
        "_linalg_solve_ex",
        "_linalg_svd",
        "_logcumsumexp",
        "_pdist_forward",
        "_unique",
        "adaptive_max_pool3d",
        "angle",
        "avg_pool3d",
        "channel_shuffle",
        "cholesky",
        "cholesky_inverse",
        "col2im",
        "erfc",
        "erfc_",
        "gcd",
        "geqrf",
        "grid_sampler_3d",
        "hardshrink",
        "heaviside",
        "index_copy",
        "index_copy_",
        "index_reduce",
        "index_reduce_",
        "lcm",
        "linalg_cholesky_ex",
        "linalg_eig",
        "linalg_householder_product",
        "linalg_ldl_factor_ex",
        "linalg_ldl_solve",
        "linalg_lu",
        "linalg_lu_factor_ex",
        "linalg_lu_solve",
        "linalg_matrix_exp",
        "linalg_qr",
        "logit_",
        "lu_unpack",
        "max_pool3d_with_indices",
        "max_unpool2d",
        "max_unpool3d",
        "nonzero_static",
        "ormqr",
        "put_",
        "segment_reduce",
        "sinc",
        "sinc_",
        "slow_conv_dilated2d",
        "take",
        "unique_dim",
        "upsample_bicubic2d",
    ]
)
WITHOUT = (torch.float64, torch.uint16, torch.uint32, torch.uint64, torch.complex128)
NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "vitmatte": {"routed": False, "global_rel_pos": True, "rel_pos_grid": 4},
    "nearest": {"guidance": "nearest"},
    "flow": {"guidance": "flow", "abs_pos": False, "padding": "each"},
}
CHUNKS = {
    "whole": Chunking(),
    "pieces": Chunking(tokens=128, patches=16, attention=2**16, tile=64),
    "host": Chunking(tile=64, host_features=True),
    "no kernel": Chunking(tokens=128, attention=2**16, fused=False),
}


@pytest.fixture
def apples(monkeypatch: pytest.MonkeyPatch) -> Card:
    """A card that is taken for no better than Apple's, and is none."""
    for ability in ABILITIES:
        monkeypatch.setitem(ABILITIES, ability, ("cpu", "cuda"))
    return Card(LACKING, WITHOUT)


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("kind", NETWORKS)
def test_predictions_do_without_what_apples_gpus_lack(apples: Card, kind: str, chunks: str) -> None:
    network = random_network(**NETWORKS[kind])
    image, trimap = random_input(96, 130)
    expected = network.predict(image, trimap, max_tokens=12).alpha
    with apples:
        found = moved(network).predict(image, trimap, max_tokens=12, chunking=CHUNKS[chunks]).alpha
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize("decoder", ["exact", "official"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float64])
def test_photographs_of_every_depth_get_to_apples_gpus(
    apples: Card, dtype: torch.dtype, decoder: DecoderMode
) -> None:
    network = random_network(guidance="nearest")
    image, trimap = random_input(64, 80)
    if dtype == torch.float64:
        trimap = trimap.double()
    most = 1 if dtype.is_floating_point else torch.iinfo(dtype).max
    image = (image * most).to(dtype)
    expected = network.predict(image, trimap, decoder=decoder).alpha
    with apples:
        found = moved(network).predict(image, trimap, decoder=decoder).alpha
    found = found.held if isinstance(found, OnCard) else found
    assert (found - expected).abs().max() < 1e-4


def test_colours_are_estimated_without_what_apples_gpus_lack(apples: Card) -> None:
    image, alpha = random_input(40, 50)
    expected = foreground_colours(image[0], alpha[0, 0], lambda: None)
    with apples:
        there = image[0].to(DEVICE), alpha[0, 0].to(DEVICE)
        found = foreground_colours(*there, lambda: None)
    assert isinstance(found, OnCard)
    torch.testing.assert_close(found.held, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("version", ["2.5.1", "1.13.1+cpu"])
def test_a_torch_too_old_for_apples_gpus_is_named(version: str) -> None:
    with pytest.raises(NotImplementedError, match=r"install torch 2\.6 or newer"):
        refuse_old(torch.device("mps"), version)
    refuse_old(torch.device("cuda"), version)
    refuse_old(torch.device("mps"), "2.6.0")
    refuse_old(torch.device("mps"), "2.10.0a0+git798a6d2")


def test_a_torch_that_cannot_be_asked_for_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(_: str) -> Any:
        return torch.mps.no_such_function()  # type: ignore[attr-defined]

    monkeypatch.setitem(memory_device._FINDERS, "mps", asked)
    with pytest.raises(SettingError, match=r"'mps' does not answer.*no_such_function"):
        free_memory("mps")
