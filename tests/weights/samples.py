"""Small networks and their checkpoints in the layouts that others write."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from mematte_plugin.network import MEMatte, NetworkConfig
from mematte_plugin.weights.formats import TRANSFORMERS_NAMES

SMALL = NetworkConfig(
    embed_dim=32,
    num_heads=2,
    depth=3,
    global_blocks=(1,),
    pos_grid=4,
    window_size=5,
    mlp_ratio=2.0,
    detail_chans=(4, 6, 8),
    fusion_chans=(8, 8, 4, 4),
)
UNROUTED = NetworkConfig(
    embed_dim=32,
    num_heads=2,
    depth=3,
    global_blocks=(1,),
    routed=False,
    global_rel_pos=True,
    rel_pos_grid=6,
    detail_chans=(4, 6, 8),
    fusion_chans=(8, 8, 4, 4),
    padding="each",
    pixel_mean=(0.5, 0.5, 0.5),
    pixel_std=(0.25, 0.25, 0.5),
)


def random_network(config: NetworkConfig = SMALL, seed: int = 0) -> MEMatte:
    """A network whose every number is arbitrary but fixed, also those that start as 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    network = MEMatte(config)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return network.eval()


def to_transformers(key: str) -> str:
    """The transformers name of a key of a ViTMatte network."""
    for official, transformers in TRANSFORMERS_NAMES:
        key = key.replace(official, transformers)
    return key


def write_transformers(network: MEMatte, folder: Path) -> Path:
    """A folder as transformers' VitMatteForImageMatting.save_pretrained makes it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = network.config
    state = {to_transformers(k): v.contiguous() for k, v in network.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    vit = {
        "model_type": "vitdet",
        "hidden_size": config.embed_dim,
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.depth,
        "num_channels": 4,
        "mlp_ratio": config.mlp_ratio,
        "image_size": config.rel_pos_grid * config.patch_size,
        "pretrain_image_size": config.pos_grid * config.patch_size,
        "window_size": config.window_size,
        "window_block_indices": [0, 2],
        "residual_block_indices": [1],
        "use_relative_position_embeddings": True,
        "out_features": ["stage3"],
    }
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "vitmatte",
                "backbone_config": vit,
                "convstream_hidden_sizes": config.detail_chans,
                "fusion_hidden_sizes": config.fusion_chans,
            }
        )
    )
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": config.pixel_mean, "image_std": config.pixel_std})
    )
    return folder


def assert_same(a: MEMatte, b: MEMatte) -> None:
    """Same shape, same numbers, ready to run."""
    assert a.config == b.config
    ours, theirs = a.state_dict(), b.state_dict()
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        assert tensor.dtype == theirs[key].dtype, key
        assert torch.equal(tensor, theirs[key]), key
