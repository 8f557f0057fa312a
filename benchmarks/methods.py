"""What is compared, and how each is built: every method becomes a call (image, trimap) -> alpha.

Weights are random, of equal size for all, except for `model` and `forced`: time and memory do not
depend on them. Where a share of kept tokens is asked for, exactly that share is kept: the routers
are made to want every token, and the cap decides. Only `model` keeps its routers as they are, so
that the share is the most that they may keep.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mematte_plugin import MattingPipeline, MEMatte, SettingError, load_network
from mematte_plugin.network import VARIANTS

from .names import DTYPES, Method

WANT_ALL = 20.0
"""Added to a router's scores for keeping; those of `random_network` lie within ±10."""
WANT_ALL_TRAINED = 100.0
"""The same for trained routers."""
GLOBAL_BLOCKS = (2, 5, 8, 11)
HALF = 128 / 255

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Outcome:
    """What one run gave."""

    alpha: NDArray[np.float32]
    """(H, W) in [0, 1]."""
    kept: float | None = None
    """Mean share of the tokens that went through global attention, of the padded grid."""
    predicted: int | None = None
    """Peak in bytes that the memory plan promised, where there was one."""


Run = Callable[[Bytes, Bytes], Outcome]
"""(H, W, 3) uint8 RGB and (H, W) uint8 trimap of 0, 128, 255 in memory."""


@dataclass(frozen=True)
class Context:
    """What the builders need besides the method."""

    device: str
    """A torch device."""
    memory_budget: int | str | None = None
    """For ours, as the pipeline takes it; None leaves the pipeline its own choice."""
    official: Path | None = None
    """A checkout of the official code."""


def random_network(variant: str, *, seed: int = 0) -> MEMatte:
    """A network of one of `VARIANTS` with lively random weights, the same for the same seed.

    Unlike a freshly initialised one it has norms, biases, running statistics and router scores that
    differ from each other, so that a comparison with another implementation is not blind to any.
    """
    torch.manual_seed(seed)
    network = MEMatte(VARIANTS[variant]).initialise().eval()
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.ndim == 1 and name.endswith("weight"):
                tensor.add_(torch.randn_like(tensor), alpha=0.1)
            elif tensor.ndim == 1 or "rel_pos" in name:
                tensor.copy_(torch.randn_like(tensor) * 0.05)
            elif tensor.ndim == 4:  # of unit variance, or the last sigmoid is 0 or 1 everywhere
                tensor.copy_(torch.randn_like(tensor) / tensor[0].numel() ** 0.5)
            elif ".routers." in name:
                tensor.copy_(torch.randn_like(tensor) / tensor.shape[1] ** 0.5)
        routers: Any = network.backbone.routers
        for router in routers:  # else scores tie, and rounding decides
            router.out_conv[-1].weight.mul_(10)
        for name, statistic in network.named_buffers():
            if name.endswith("running_mean"):
                statistic.copy_(torch.randn_like(statistic) * 0.1)
            elif name.endswith("running_var"):
                statistic.copy_(0.5 + torch.rand_like(statistic))
    return network


def want_all(network: nn.Module, by: float = WANT_ALL) -> None:
    """Make every router of a network, ours or the official one, want to keep every token.

    by: more than any score for skipping.
    """
    with torch.no_grad():
        for router in getattr(network, "backbone").routers:  # noqa: B009
            last = [layer for layer in router.out_conv if isinstance(layer, nn.Linear)][-1]
            last.bias[0] += by


def cap_of(share: float, height: int, width: int) -> int:
    """Tokens that a share amounts to where both sides are padded as soon as one needs it."""
    pad = (32 - height % 32, 32 - width % 32) if height % 32 or width % 32 else (0, 0)
    return math.ceil(share * ((height + pad[0]) // 16) * ((width + pad[1]) // 16))


def build(method: Method, context: Context) -> Run:
    """Load a method. Raises SettingError for one that cannot run here."""
    return _BUILDERS[method.kind](method, context)


# ---- ours ----------------------------------------------------------------------------------------


def _ours(method: Method, context: Context) -> Run:
    network = random_network(method.variant)
    want_all(network)
    pipe = MattingPipeline(network, device=context.device, dtype=DTYPES[method.dtype])
    return _pipeline(pipe, method.retention, context)


def _model(method: Method, context: Context) -> Run:
    network = load_network(method.variant)
    if method.kind == "forced":
        want_all(network, WANT_ALL_TRAINED)
    pipe = MattingPipeline(network, device=context.device, dtype=DTYPES[method.dtype])
    return _pipeline(pipe, method.retention, context)


def _pipeline(pipe: MattingPipeline, share: float | None, context: Context) -> Run:
    options: dict[str, Any] = {"retention": "auto" if share is None else share}
    if context.memory_budget is not None:
        options["memory_budget"] = context.memory_budget

    def run(image: Bytes, trimap: Bytes) -> Outcome:
        matte = pipe(image, trimap, **options)
        kept = float(np.mean([keep.mean() for keep in matte.routing])) if matte.routing else None
        return Outcome(matte.alpha, kept, getattr(matte.plan, "predicted_peak", None))

    return run


# ---- others --------------------------------------------------------------------------------------


def _transformers(method: Method, context: Context) -> Run:
    if importlib.util.find_spec("transformers") is None:
        raise SettingError("transformers is not installed: pip install 'mematte-plugin[bench]'")
    from transformers import VitDetConfig, VitMatteConfig, VitMatteForImageMatting

    shape = VARIANTS[method.variant]
    torch.manual_seed(0)
    encoder = VitDetConfig(  # type: ignore[call-arg]
        num_channels=4,
        hidden_size=shape.embed_dim,
        num_hidden_layers=12,
        num_attention_heads=shape.num_heads,
        image_size=512,
        pretrain_image_size=224,
        patch_size=16,
        window_size=14,
        window_block_indices=[i for i in range(12) if i not in GLOBAL_BLOCKS],
        residual_block_indices=list(GLOBAL_BLOCKS),
        use_relative_position_embeddings=True,
        out_features=["stage12"],
    )
    config = VitMatteConfig(
        backbone_config=encoder,
        hidden_size=shape.embed_dim,
        convstream_hidden_sizes=list(shape.detail_chans),
        fusion_hidden_sizes=list(shape.fusion_chans),
    )
    dtype = getattr(torch, DTYPES[method.dtype])
    network: Any = VitMatteForImageMatting(config)
    network = network.to(context.device, dtype).eval()

    def run(image: Bytes, trimap: Bytes) -> Outcome:
        height, width = trimap.shape
        rgb, unit = _tensors(image, trimap, context.device)
        pixels = torch.cat(((rgb - 0.5) / 0.5, unit), 1)
        del rgb
        pixels = nn.functional.pad(pixels, (0, -width % 32, 0, -height % 32)).to(dtype)
        with torch.inference_mode():
            alpha = network(pixels).alphas[0, 0, :height, :width]
        return Outcome(_known(alpha, trimap))

    return run


def _official(method: Method, context: Context) -> Run:
    if context.official is None:
        raise SettingError("the official code is not there: name a checkout with --official")
    if method.dtype != "fp32":
        raise SettingError("the official inference computes in float32 only")
    from .official import load_official

    network = load_official(context.official, VARIANTS[method.variant])
    network.load_state_dict(random_network(method.variant).state_dict(), strict=True)
    want_all(network)
    network.to(context.device)

    def run(image: Bytes, trimap: Bytes) -> Outcome:
        height, width = trimap.shape
        share = 1.0 if method.retention is None else method.retention
        network.backbone.max_number_token = cap_of(share, height, width)
        rgb, unit = _tensors(image, trimap, context.device)
        with torch.inference_mode():
            found, _, decisions = network({"image": rgb, "trimap": unit}, patch_decoder=True)
        kept = float(np.mean([one.mean().item() for one in decisions]))
        return Outcome(_known(found["phas"][0, 0], trimap), kept)

    return run


def _closed_form(method: Method, context: Context) -> Run:
    if context.device != "cpu":
        raise SettingError("closed-form matting runs on the CPU only")
    from mematte_plugin.evaluation.baselines import closed_form, load_pymatting

    load_pymatting()

    def run(image: Bytes, trimap: Bytes) -> Outcome:
        unit = np.where(trimap == 128, 0.5, trimap / 255)
        return Outcome(closed_form(image / 255, unit))

    return run


def _tensors(image: Bytes, trimap: Bytes, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 3, H, W) and (1, 1, H, W) float32 in [0, 1]; unknown is exactly 0.5, as in training."""
    rgb = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float().div_(255)
    unit = torch.from_numpy(trimap).to(device)[None, None].float().div_(255)
    return rgb, torch.where((unit - HALF).abs() < 0.01, 0.5, unit)


def _known(alpha: torch.Tensor, trimap: Bytes) -> NDArray[np.float32]:
    """Alpha (H, W) with the trimap's known regions in their place."""
    return np.where(trimap == 128, alpha.float().cpu().numpy(), trimap > 128).astype(np.float32)


_BUILDERS: dict[str, Callable[[Method, Context], Run]] = {
    "ours": _ours,
    "model": _model,
    "forced": _model,
    "transformers": _transformers,
    "official": _official,
    "closed-form": _closed_form,
}
