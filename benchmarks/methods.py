"""The methods that are compared, and how one run of each is measured.

Weights are random and of equal size for all, except for `model` and `forced`: time and memory do
not depend on them. Where a share of kept tokens is asked for, exactly that share is kept: the
routers are made to want every token, and the cap decides. Only `model` leaves its routers as they
are, so that the share is the most that they may keep.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mematte_plugin import MattingPipeline, MEMatte, MEMatteError, SettingError, load_network
from mematte_plugin.evaluation.metrics import errors
from mematte_plugin.memory.meter import PeakMeter
from mematte_plugin.network import VARIANTS
from tests.networks import random_network

from .scenes import make_scene

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
EXAMPLES = (
    "ours:small:fp32:0.25 (tiny, small or base; fp32, bf16 or fp16; kept share),"
    " official:small:fp32:0.25, transformers:base:fp16, model:mematte-tiny:fp32 or closed-form"
)
WANT_ALL = 100.0
"""Added to a router's scores for keeping; larger than any score for skipping."""
SAME = 1e-4
"""How far the official alpha and ours may differ."""
SPREAD = 0.05
"""Alphas that vary less than this would hide a difference between the two."""
GLOBAL_BLOCKS = (2, 5, 8, 11)
HALF = 128 / 255

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Method:
    """One line of the tables."""

    kind: str
    """A key of `BUILDERS`."""
    variant: str = ""
    """tiny, small or base; what `load_network` takes for "model" and "forced"; none for
    closed-form."""
    dtype: str = "fp32"
    """A key of `DTYPES`."""
    retention: float | None = None
    """Share of tokens that each global block keeps (at most, for "model"); None: the method does
    not route, or its router decides."""

    @property
    def name(self) -> str:
        """What `parse_method` takes."""
        if self.kind == "closed-form":
            return self.kind
        share = [] if self.retention is None else [f"{self.retention:g}"]
        return ":".join([self.kind, self.variant, self.dtype, *share])


def parse_method(text: str) -> Method:
    """ours:small:fp32:0.25, transformers:small:fp16, model:mematte-tiny:fp32 or closed-form.

    Raises SettingError for anything else.
    """
    kind, *rest = text.strip().split(":")
    if kind == "closed-form" and not rest:
        return Method(kind)
    sizes = {"ours": ("tiny", "small", "base"), "model": None, "forced": None}
    known = sizes.get(kind, ("small", "base"))
    routed = kind in ("ours", "official", "forced")
    if (
        kind not in BUILDERS
        or len(rest) not in ((3,) if routed else (2, 3))
        or (known is not None and rest[0] not in known)
        or rest[1] not in DTYPES
    ):
        raise SettingError(f"method {text!r}: write it as {EXAMPLES}")
    share = share_of(rest[2], f"method {text!r}") if len(rest) == 3 else None
    return Method(kind, rest[0], rest[1], share)


def share_of(text: str, what: str) -> float:
    """A number from 0 to 1. Raises SettingError, beginning with `what`, for anything else."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingError(f"{what}: a share is a number from 0 to 1")
    return share


# ---- networks ------------------------------------------------------------------------------------


def forced_network(variant: str) -> MEMatte:
    """A network of one of `VARIANTS` with random weights, always the same, whose routers want to
    keep every token."""
    network = random_network(spread=10, **asdict(VARIANTS[variant]))
    want_all(network)
    return network


def want_all(network: Any) -> None:
    """Make every router of a network, ours or the official one, want to keep every token."""
    with torch.no_grad():
        for router in network.backbone.routers:
            last = [layer for layer in router.out_conv if isinstance(layer, nn.Linear)][-1]
            last.bias[0] += WANT_ALL


def cap_of(share: float, height: int, width: int) -> int:
    """Tokens that a share amounts to where both sides are padded as soon as one needs it."""
    pad = (32 - height % 32, 32 - width % 32) if height % 32 or width % 32 else (0, 0)
    return math.ceil(share * ((height + pad[0]) // 16) * ((width + pad[1]) // 16))


# ---- one run -------------------------------------------------------------------------------------


def measure(
    method: str,
    image: Bytes,
    trimap: Bytes,
    truth: NDArray[np.float32] | None = None,
    **context: Any,
) -> dict[str, Any]:
    """Time and peak of one run, once the method is loaded and warm; called in a worker.

    Args:
        method: see `parse_method`.
        image, trimap: (H, W, 3) uint8 RGB and (H, W) uint8 of 0, 128, 255.
        truth: (H, W) in [0, 1], the true alpha; adds the errors "sad" and "mse".
        context: see `Context`.

    Raises SettingError for a method that cannot run here.
    """
    run, device = build(parse_method(method), Context(**context)), context["device"]
    card = device.startswith("cuda")
    if card:
        run(image, trimap)  # kernels are chosen for each size
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    with PeakMeter(device) as meter:
        begin = time.perf_counter()
        values = run(image, trimap)
        if card:
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - begin
    alpha = values.pop("alpha")
    if truth is not None:
        found = errors(alpha, truth, np.where(trimap == 128, 0.5, trimap / 255))
        values |= {"sad": found.sad, "mse": found.mse}
    return {"seconds": seconds, "peak": meter.peak or 0, **values}


def check_official(checkout: str) -> float:
    """The largest difference between the official code's alpha and ours, from the same random
    weights, on the CPU in float32.

    Raises MEMatteError where they differ by more than rounding errors, or keep other shares of the
    tokens: comparing their speed would say nothing.
    """
    scene = make_scene(512, 512, 0.15)
    context = Context("cpu", checkout)
    ours, theirs = (
        build(Method(kind, "small", "fp32", 0.25), context)(scene.image, scene.trimap)
        for kind in ("ours", "official")
    )
    largest = float(np.abs(ours["alpha"] - theirs["alpha"]).max())
    spread = float(np.ptp(theirs["alpha"][scene.trimap == 128]))
    if largest > SAME or ours["kept"] != theirs["kept"] or spread < SPREAD:
        raise MEMatteError(
            f"{checkout}: its alpha differs from ours by {largest:.1e} (kept tokens:"
            f" {theirs['kept']:.4f} and {ours['kept']:.4f}; spread of alpha: {spread:.2f}); check"
            " that it is the published code"
        )
    return largest


# ---- building ------------------------------------------------------------------------------------

Run = Callable[[Bytes, Bytes], dict[str, Any]]
"""From a picture and a trimap in memory to the "alpha" (H, W) in [0, 1], and where the method has
them the mean share of tokens "kept" and the "predicted" peak in bytes."""


@dataclass(frozen=True)
class Context:
    """What the builders need besides the method."""

    device: str = "cpu"
    """A torch device."""
    official: str | None = None
    """A checkout of the official code."""
    memory_budget: str | None = None
    """For ours, as the pipeline takes it; None leaves the pipeline its own choice."""


@lru_cache(1)
def build(method: Method, context: Context) -> Run:
    """Load a method and warm it up. Raises SettingError for one that cannot run here."""
    run = BUILDERS[method.kind](method, context)
    scene = make_scene(256, 256, 0.4)
    run(scene.image, scene.trimap)
    return run


def _ours(method: Method, context: Context) -> Run:
    return _pipeline(forced_network(method.variant), method, context)


def _model(method: Method, context: Context) -> Run:
    network = load_network(method.variant)
    if method.kind == "forced":
        want_all(network)
    return _pipeline(network, method, context)


def _pipeline(network: MEMatte, method: Method, context: Context) -> Run:
    pipe = MattingPipeline(network, device=context.device, dtype=DTYPES[method.dtype])
    share = "auto" if method.retention is None else method.retention

    def run(image: Bytes, trimap: Bytes) -> dict[str, Any]:
        matte = pipe(image, trimap, retention=share, memory_budget=context.memory_budget)
        kept = float(np.mean([keep.mean() for keep in matte.routing])) if matte.routing else None
        return {"alpha": matte.alpha, "kept": kept, "predicted": matte.plan.predicted_peak}

    return run


def _transformers(method: Method, context: Context) -> Run:
    if importlib.util.find_spec("transformers") is None:
        raise SettingError("transformers is not installed: pip install 'mematte-plugin[bench]'")
    from transformers import VitDetConfig, VitMatteConfig, VitMatteForImageMatting

    shape = VARIANTS[method.variant]
    torch.manual_seed(0)
    encoder = VitDetConfig(
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
    network: Any = VitMatteForImageMatting(config).to(context.device, dtype).eval()

    def run(image: Bytes, trimap: Bytes) -> dict[str, Any]:
        height, width = trimap.shape
        rgb, unit = _tensors(image, trimap, context.device)
        pixels = torch.cat(((rgb - 0.5) / 0.5, unit), 1)
        del rgb
        pixels = nn.functional.pad(pixels, (0, -width % 32, 0, -height % 32)).to(dtype)
        with torch.inference_mode():
            alpha = network(pixels).alphas[0, 0, :height, :width]
        return {"alpha": _known(alpha, trimap)}

    return run


def _official(method: Method, context: Context) -> Run:
    if context.official is None:
        raise SettingError("the official code is not there: name a checkout with --official")
    if method.dtype != "fp32":
        raise SettingError("the official inference computes in float32 only")
    from .official import load_official

    network = load_official(Path(context.official), VARIANTS[method.variant])
    network.load_state_dict(forced_network(method.variant).state_dict(), strict=True)
    network.to(context.device)

    def run(image: Bytes, trimap: Bytes) -> dict[str, Any]:
        share = 1.0 if method.retention is None else method.retention
        network.backbone.max_number_token = cap_of(share, *trimap.shape)
        rgb, unit = _tensors(image, trimap, context.device)
        with torch.inference_mode():
            found, _, decisions = network({"image": rgb, "trimap": unit}, patch_decoder=True)
        kept = float(np.mean([one.mean().item() for one in decisions]))
        return {"alpha": _known(found["phas"][0, 0], trimap), "kept": kept}

    return run


def _closed_form(method: Method, context: Context) -> Run:
    if context.device != "cpu":
        raise SettingError("closed-form matting runs on the CPU only")
    from mematte_plugin.evaluation.baselines import closed_form, load_pymatting

    load_pymatting()

    def run(image: Bytes, trimap: Bytes) -> dict[str, Any]:
        unit = np.where(trimap == 128, 0.5, trimap / 255)
        return {"alpha": closed_form(image / 255, unit)}

    return run


def _tensors(image: Bytes, trimap: Bytes, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 3, H, W) and (1, 1, H, W) float32 in [0, 1]; unknown is exactly 0.5, as in training."""
    rgb = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float().div_(255)
    unit = torch.from_numpy(trimap).to(device)[None, None].float().div_(255)
    return rgb, torch.where((unit - HALF).abs() < 0.01, 0.5, unit)


def _known(alpha: torch.Tensor, trimap: Bytes) -> NDArray[np.float32]:
    """Alpha (H, W) with the trimap's known regions in their place."""
    return np.where(trimap == 128, alpha.float().cpu().numpy(), trimap > 128).astype(np.float32)


BUILDERS: dict[str, Callable[[Method, Context], Run]] = {
    "ours": _ours,
    "model": _model,
    "forced": _model,
    "transformers": _transformers,
    "official": _official,
    "closed-form": _closed_form,
}
