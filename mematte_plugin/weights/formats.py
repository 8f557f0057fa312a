"""Layouts of a checkpoint: key names and the network's shape. No file is touched here.

Three layouts hold the same network:

- *official*: a state dict of the MEMatte or ViTMatte code, in any wrapping; no configuration.
- *transformers*: ``VitMatteForImageMatting`` with config.json and preprocessor_config.json.
- *mematte*, ours: official keys, with a config.json that carries the `NetworkConfig`.

Inside the package a state dict always has the official keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from math import isqrt
from typing import Any

from torch import Tensor

from ..errors import WeightsError
from ..network.config import GUIDANCE_CHANS, NetworkConfig

Shapes = dict[str, tuple[int, ...]]

FORMAT = "mematte"
FORMAT_VERSION = 1

_WRAPPERS = ("model", "state_dict", "model_state_dict")
_PREFIXES = ("module.", "model.", "_orig_mod.")
_NOT_THE_NETWORK = ("teacher", "criterion.", "pixel_mean", "pixel_std")
_MAX_INT = 1 << 20
_MAX_DEPTH = 1000

TRANSFORMERS_NAMES = (  # official, transformers
    ("backbone.pos_embed", "backbone.embeddings.position_embeddings"),
    ("backbone.patch_embed.proj.", "backbone.embeddings.projection."),
    ("backbone.blocks.", "backbone.encoder.layer."),
    (".attn.", ".attention."),
    (".fusion_blks.", ".fusion_blocks."),
    (".bn.", ".batch_norm."),
)


def shapes_of(state: Mapping[str, Tensor]) -> Shapes:
    """The shape of every tensor."""
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def unwrap(loaded: object, source: str) -> dict[str, Tensor]:
    """The tensors of a loaded checkpoint, without its wrappings.

    Peels ``{"model": …}`` and ``{"state_dict": …}``, then ``module.`` and the like from the keys.
    Keys of a teacher or of a loss stay in: see `network_keys`.

    Raises WeightsError if it holds no state dict, or one with entries that are not plain tensors.
    """
    for _ in _WRAPPERS:
        if isinstance(loaded, Mapping):
            inner = [loaded[k] for k in _WRAPPERS if isinstance(loaded.get(k), Mapping)]
            if inner:
                loaded = inner[0]
    if not isinstance(loaded, Mapping):
        raise WeightsError(
            f"{source} holds a {type(loaded).__name__}, not a state dict; save the network's "
            "state_dict() instead"
        )
    if not loaded:
        raise WeightsError(f"{source} holds no tensors; it is not a checkpoint of this network")
    state: dict[str, Tensor] = {}
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"{source}: entry {key!r} is a {type(value).__name__}, not a named tensor; "
                "save the network's state_dict() alone"
            )
        if value.is_meta or value.is_sparse or value.is_quantized:
            raise WeightsError(f"{source}: {key} is a meta, sparse or quantised tensor, not plain")
        state[key] = value
    while (prefix := _common_prefix(state)) is not None:
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return state


def _common_prefix(keys: Iterable[str]) -> str | None:
    kept = [key for key in keys if not key.startswith(_NOT_THE_NETWORK)]
    for prefix in _PREFIXES:
        if kept and all(key.startswith(prefix) for key in kept):
            return prefix
    return None


def network_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own tensors, under official names: no teacher, no loss, no pixel mean."""
    return {
        from_transformers(key): tensor
        for key, tensor in state.items()
        if not key.startswith(_NOT_THE_NETWORK)
    }


def from_transformers(key: str) -> str:
    """Official name of a transformers key; official names stay as they are."""
    for official, transformers in TRANSFORMERS_NAMES:
        key = key.replace(transformers, official)
    return key


def config_from_shapes(state: Mapping[str, Tensor], source: str) -> NetworkConfig:
    """The configuration of an official checkpoint (`unwrap`), recognised from its shapes.

    Raises WeightsError if the keys or shapes are not those of a MEMatte or ViTMatte network.
    """
    shapes = shapes_of(network_keys(state))
    try:
        values = _recognise(shapes)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        some = ", ".join(list(shapes)[:3])
        raise WeightsError(
            f"{source} is not a MEMatte or ViTMatte checkpoint (it holds {some}, but "
            f"{_missing_piece(error)}); give the .pth of one, or a folder that was made from it"
        ) from None
    values |= _pixel_statistics(state, source)
    return checked_config(values, source)


def _missing_piece(error: Exception) -> str:
    return f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)


def _recognise(shapes: Shapes) -> dict[str, Any]:
    embed_dim, in_chans, patch_size, _ = shapes["backbone.patch_embed.proj.weight"]
    guidance = {4 + extra: name for name, extra in GUIDANCE_CHANS.items()}
    if in_chans not in guidance:
        raise ValueError(f"its {in_chans} input channels are none of {sorted(guidance)}")
    blocks = _numbers(shapes, r"backbone\.blocks\.(\d+)\.")
    residual = _numbers(shapes, r"backbone\.blocks\.(\d+)\.residual\.")
    windowed = [i for i in blocks if i not in residual]
    if not windowed:
        raise ValueError("no windowed block, which gives the width of an attention head")
    window, head_dim = shapes[f"backbone.blocks.{windowed[0]}.attn.rel_pos_h"]
    values: dict[str, Any] = {
        "embed_dim": embed_dim,
        "num_heads": embed_dim // head_dim,
        "depth": len(blocks),
        "global_blocks": residual,
        "routed": any(key.startswith("backbone.routers.") for key in shapes),
        "patch_size": patch_size,
        "window_size": (window + 1) // 2,
        "mlp_ratio": shapes[f"backbone.blocks.{windowed[0]}.mlp.fc1.weight"][0] / embed_dim,
        "detail_chans": _widths(shapes, "decoder.convstream.convs.{}.conv.weight"),
        "fusion_chans": _widths(shapes, "decoder.fusion_blks.{}.conv.conv.weight"),
        "guidance": guidance[in_chans],
        "padding": "both" if guidance[in_chans] == "none" else "each",  # guided: one of ours
        "abs_pos": "backbone.pos_embed" in shapes,
        "global_rel_pos": False,
    }
    if values["abs_pos"]:
        tokens = shapes["backbone.pos_embed"][1] - 1  # the first is the class token's
        values["pos_grid"] = isqrt(max(tokens, 0))
        if values["pos_grid"] ** 2 != tokens:
            raise ValueError(f"{tokens} absolute positions are not a square grid")
    if residual and (rel_pos := shapes.get(f"backbone.blocks.{residual[0]}.attn.rel_pos_h")):
        values["global_rel_pos"] = True
        values["rel_pos_grid"] = (rel_pos[0] + 1) // 2
    return values


def _numbers(shapes: Shapes, pattern: str) -> tuple[int, ...]:
    found = (re.match(pattern, key) for key in shapes)
    return tuple(sorted({int(match[1]) for match in found if match}))


def _widths(shapes: Shapes, pattern: str) -> tuple[int, ...]:
    """Output channels of the layers of `pattern`, numbered from 0."""
    widths: list[int] = []
    while (key := pattern.format(len(widths))) in shapes:
        widths.append(shapes[key][0])
    if not widths:
        raise KeyError(pattern.format(0))
    return tuple(widths)


def _pixel_statistics(state: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    """pixel_mean and pixel_std on the [0, 1] scale, if the checkpoint has them."""
    found: dict[str, Any] = {}
    for key in ("pixel_mean", "pixel_std"):
        if key in state:
            values = state[key].flatten().double()
            if len(values) != 3:
                raise WeightsError(f"{source}: {key} has {len(values)} values instead of 3")
            scale = 255 if values.max() > 1 else 1  # detectron2 counts from 0 to 255
            found[key] = tuple((values / scale).tolist())
    return found


def config_from_transformers(
    config: Mapping[str, Any], preprocessor: Mapping[str, Any], source: str
) -> NetworkConfig:
    """The configuration of a transformers ViTMatte repository.

    Args:
        config: config.json; missing fields have transformers' defaults.
        preprocessor: preprocessor_config.json, for mean and standard deviation.
        source: the input's name in messages.

    Raises WeightsError for a setting that this package's network does not support.
    """
    try:
        return _from_transformers(config, preprocessor, source)
    except (TypeError, ZeroDivisionError) as error:
        raise WeightsError(
            f"{source} is damaged ({error}); take the config.json that came with the weights"
        ) from None


def _from_transformers(
    config: Mapping[str, Any], preprocessor: Mapping[str, Any], source: str
) -> NetworkConfig:
    vit = config.get("backbone_config")
    if not isinstance(vit, Mapping):
        raise WeightsError(f"{source} has no backbone_config; it is not a ViTMatte repository")
    depth = vit.get("num_hidden_layers", 12)
    residual = sorted(vit.get("residual_block_indices") or ())
    windowed = set(vit.get("window_block_indices") or ())
    needed = (  # setting, value, what the network does
        ("model_type", vit.get("model_type", "vitdet"), "vitdet"),
        ("hidden_act", vit.get("hidden_act", "gelu"), "gelu"),
        ("qkv_bias", vit.get("qkv_bias", True), True),
        ("num_channels", vit.get("num_channels", 3), 4),
        ("layer_norm_eps", vit.get("layer_norm_eps", 1e-6), 1e-6),
        ("batch_norm_eps", config.get("batch_norm_eps", 1e-5), 1e-5),
        ("out_features", vit.get("out_features", [f"stage{depth}"]), [f"stage{depth}"]),
        ("window_block_indices", windowed, set(range(depth)) - set(residual)),
        ("use_relative_position_embeddings", vit.get("use_relative_position_embeddings"), True),
    )
    for name, value, wanted in needed:
        if value != wanted:
            raise WeightsError(
                f"{source}: {name} is {value}, but only {wanted} is supported; use the weights of "
                "one of the ViTMatte models"
            )
    patch_size = vit.get("patch_size", 16)
    normalised = preprocessor.get("do_normalize", True)
    values = {
        "embed_dim": vit.get("hidden_size", 768),
        "num_heads": vit.get("num_attention_heads", 12),
        "depth": depth,
        "global_blocks": residual,
        "routed": False,
        "global_rel_pos": True,
        "abs_pos": vit.get("use_absolute_position_embeddings", True),
        "pos_grid": vit.get("pretrain_image_size", 224) // patch_size,
        "rel_pos_grid": vit.get("image_size", 224) // patch_size,
        "patch_size": patch_size,
        "window_size": vit.get("window_size", 0),
        "mlp_ratio": vit.get("mlp_ratio", 4),
        "detail_chans": config.get("convstream_hidden_sizes", [48, 96, 192]),
        "fusion_chans": config.get("fusion_hidden_sizes", [256, 128, 64, 32]),
        "padding": "each",
        "pixel_mean": preprocessor.get("image_mean", [0.5] * 3) if normalised else [0.0] * 3,
        "pixel_std": preprocessor.get("image_std", [0.5] * 3) if normalised else [1.0] * 3,
    }
    return checked_config(values, source)


def config_from_ours(config: Mapping[str, Any], source: str) -> NetworkConfig:
    """The configuration in a config.json of our own.

    Raises WeightsError if it was made by a newer version or is incomplete.
    """
    version = config.get("format_version")
    if version != FORMAT_VERSION:
        raise WeightsError(
            f"{source} has format_version {version!r}, this version reads {FORMAT_VERSION}; "
            "update mematte-plugin"
        )
    network = config.get("network")
    if not isinstance(network, Mapping):
        raise WeightsError(
            f"{source} has no 'network' entry; take the config.json that came with the weights"
        )
    return checked_config(network, source)


def checked_config(values: Mapping[str, Any], source: str) -> NetworkConfig:
    """A NetworkConfig from untrusted values; every type and range is checked.

    Raises WeightsError, naming the field.
    """
    defaults = NetworkConfig()
    for field in fields(NetworkConfig):
        if field.name in values and not _fits(values[field.name], getattr(defaults, field.name)):
            raise WeightsError(
                f"{source}: {field.name} is {values[field.name]!r}, which no network can have"
            )
    if values.get("depth", 0) > _MAX_DEPTH:
        raise WeightsError(f"{source}: depth is {values['depth']}, which no network can have")
    if not all(values.get("pixel_std", (1,))):
        raise WeightsError(f"{source}: pixel_std has a zero, by which pixels would be divided")
    try:
        return NetworkConfig.from_dict(dict(values))
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from None


def _fits(value: Any, default: Any) -> bool:
    """Whether a JSON value is possible for the field with that default."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int) and 0 < value <= _MAX_INT
    if isinstance(default, float):
        return isinstance(value, (int, float)) and 0 <= value <= _MAX_INT
    if isinstance(default, tuple):
        pixel = isinstance(default[0], float)
        return (
            isinstance(value, (list, tuple))
            and len(value) <= (len(default) if pixel else _MAX_DEPTH)
            and len(value) >= (len(default) if pixel else 0)
            and all(type(v) in ((int, float) if pixel else (int,)) for v in value)
            and all(0 <= v <= _MAX_INT for v in value)
        )
    return isinstance(value, type(default))


def check_shapes(found: Shapes, expected: Shapes, source: str) -> None:
    """Compare a state dict strictly with the network it is meant for.

    Raises WeightsError, naming the first few missing, unexpected and mis-shaped keys.
    """
    wrong = [
        f"{key} is {list(found[key])} instead of {list(expected[key])}"
        for key in expected
        if key in found and found[key] != expected[key]
    ]
    problems = [
        _listed("missing", [key for key in expected if key not in found]),
        _listed("unexpected", [key for key in found if key not in expected]),
        _listed("of another shape", wrong),
    ]
    if any(problems):
        raise WeightsError(
            f"{source} does not fit the network: {'; '.join(p for p in problems if p)}; "
            "take an unmodified checkpoint, with the config.json that belongs to it"
        )


def _listed(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{len(keys)} {what} ({', '.join(keys[:3])}{more})"
