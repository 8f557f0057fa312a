"""Small random networks whose every part matters."""

from __future__ import annotations

from typing import Any

import torch

from mematte_plugin.network import MEMatte, NetworkConfig

SMALL: dict[str, Any] = {
    "embed_dim": 32,
    "num_heads": 2,
    "depth": 4,
    "global_blocks": (1, 3),
    "pos_grid": 4,
    "detail_chans": (8, 12, 16),
    "fusion_chans": (24, 16, 12, 8),
}


def random_network(seed: int = 0, spread: float = 30, **changes: Any) -> MEMatte:
    """A network with non-trivial norms, biases, positions and widely spread router scores."""
    generator = torch.Generator().manual_seed(seed)
    network = MEMatte(NetworkConfig(**{**SMALL, **changes})).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + noise.abs())
            elif tensor.ndim == 1 and name.endswith("weight"):
                tensor.copy_(1 + 0.2 * noise)
            elif tensor.ndim >= 2:
                tensor.copy_(noise / tensor[0].numel() ** 0.5)
            else:
                tensor.copy_(0.2 * noise)
        for router in getattr(network.backbone, "routers", []):
            # Scores far from zero: whether a token is kept must not hang on the last bit.
            router.out_conv[4].weight.mul_(spread)
    return network


def random_input(
    height: int, width: int, batch: int = 1, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image (B, 3, H, W) in [0, 1] and a trimap (B, 1, H, W) with all three values in blobs."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, height, width, generator=generator)
    coarse = torch.rand(batch, 1, height // 24 + 2, width // 24 + 2, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return image, (smooth > 0.45).float() * 0.5 + (smooth > 0.6).float() * 0.5
