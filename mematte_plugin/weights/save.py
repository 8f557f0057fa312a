"""Writing networks in our layout: config.json, model.safetensors, README.md."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import OutputError
from ..network import MEMatte, NetworkConfig
from .card import UNKNOWN_TERMS, Card, render
from .formats import FORMAT, FORMAT_VERSION
from .load import CONFIG, METADATA_KEY, read_network, resolve

MODEL = "model.safetensors"
README = "README.md"

_FP16_MAX = 65504.0


def save_network(
    network: MEMatte,
    directory: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    card: Card | str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a network so that `load_network` and the Hub can read it.

    All files are written aside first and then moved into place, config.json last.

    Args:
        network: on any device, of any dtype.
        directory: made where it does not exist; files of the same names are replaced.
        dtype: float32 or float16. Batch norm statistics and tensors that float16 cannot hold stay
            float32.
        card: README.md as text, or what it should say; None writes one with unknown terms.
        metadata: further JSON-ready entries of config.json (training settings, scores).

    Returns:
        The directory.

    Raises:
        OutputError: it cannot be written.
        ValueError: another dtype.
    """
    from safetensors.torch import save

    if dtype not in {torch.float32, torch.float16}:
        raise ValueError(f"weights are saved as float32 or float16, not {dtype}")
    directory = Path(directory)
    config = network.config
    own = {"format": FORMAT, "format_version": FORMAT_VERSION, "network": config.to_dict()}
    described = json.dumps({**own, **dict(metadata or {}), **own}, indent=2) + "\n"
    tensors = {k: _stored(k, v, dtype) for k, v in network.state_dict().items()}
    header = {"format": "pt", METADATA_KEY: json.dumps(config.to_dict())}
    _write_all(
        directory,
        {
            MODEL: save(tensors, metadata=header),
            README: _card_text(card, config, directory).encode(),
            CONFIG: described.encode(),
        },
    )
    return directory


def _card_text(card: Card | str | None, config: NetworkConfig, directory: Path) -> str:
    if isinstance(card, str):
        return card
    name = directory.resolve().name
    unknown = Card(name, "unknown", UNKNOWN_TERMS, "Saved with mematte-plugin.")
    return render(card or unknown, config, name)


def _stored(key: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    too_large = tensor.numel() > 0 and tensor.abs().max().item() > _FP16_MAX
    if dtype == torch.float16 and not too_large and ".running_" not in key:
        return tensor.to(torch.float16)
    return tensor.to(torch.float32)


def _write_all(directory: Path, contents: Mapping[str, bytes]) -> None:
    temporary = {name: directory / f".{name}.{os.getpid()}.tmp" for name in contents}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            temporary[name].write_bytes(content)
        for name, path in temporary.items():
            os.replace(path, directory / name)
    except OSError as error:
        raise OutputError(
            f"{directory} cannot be written: {error.strerror or error}; choose another folder"
        ) from None
    finally:
        for path in temporary.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)


def convert_weights(
    checkpoint: str | Path,
    directory: str | Path,
    *,
    overwrite: bool = False,
    licence: str | None = None,
    dtype: torch.dtype = torch.float32,
    on_loaded: Callable[[NetworkConfig], None] | None = None,
) -> Path:
    """Turn any checkpoint that `load_network` reads into our layout.

    Args:
        checkpoint: file, folder, catalog name or Hub id.
        directory: where config.json, model.safetensors and README.md go.
        overwrite: replace files of these names.
        licence: SPDX identifier of the weights, for the model card. Left out, the card repeats the
            catalog's terms, or says that they are unknown and probably non-commercial.
        dtype: float32 keeps the numbers; float16 halves the file.
        on_loaded: told what network it is, before anything is written.

    Returns:
        The directory.

    Raises:
        WeightsError: as `load_network`.
        OutputError: the directory holds such files already, or cannot be written.
    """
    directory = Path(directory)
    present = [n for n in (CONFIG, MODEL, README) if (directory / n).exists()]
    if present and not overwrite:
        raise OutputError(
            f"{directory} already holds {', '.join(present)}; pass --overwrite (overwrite=True) or "
            "another folder"
        )
    resolved = resolve(checkpoint)
    network = read_network(resolved)
    if on_loaded is not None:
        on_loaded(network.config)
    entry = resolved.entry
    if entry is not None:
        known = f"Trained on {entry.trained_on}. {entry.note}"
        terms, default, origin = known, entry.licence, entry.repo_id or entry.name
    else:
        terms, default, origin = UNKNOWN_TERMS, "unknown", resolved.weights.name
    stated = f"Stated by whoever converted the file. {UNKNOWN_TERMS}" if entry is None else terms
    card = Card(
        title=directory.resolve().name,
        licence=licence or default,
        terms=stated if licence else terms,
        source=f"Converted from `{origin}` with mematte-plugin.",
    )
    return save_network(
        network, directory, dtype=dtype, card=card, metadata={"converted_from": origin}
    )
