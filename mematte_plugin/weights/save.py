"""Writing networks in our layout: config.json, model.safetensors, README.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import OutputError
from ..images.files import atomic_write, os_error
from ..network import MEMatte
from .files import CONFIG, MODEL, README
from .formats import FORMAT, FORMAT_VERSION
from .load import METADATA_KEY, read_network, resolve
from .publish import UNKNOWN_TERMS, Card, render

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

    All files are written under temporary names first and then moved into place, config.json last.

    Args:
        network: on any device, of any dtype.
        directory: created if missing; files of the same names are replaced.
        dtype: float32 or float16. Batch norm statistics and tensors that float16 cannot hold stay
            float32.
        card: what README.md says, or its text; None writes one with unknown terms.
        metadata: further JSON-ready entries of config.json (training settings, scores).

    Returns: the directory.

    Raises OutputError if it cannot be written, ValueError for another dtype.
    """
    from safetensors.torch import save

    if dtype not in {torch.float32, torch.float16}:
        raise ValueError(f"weights are saved as float32 or float16, not {dtype}")
    directory = Path(directory)
    config = network.config
    own = {"format": FORMAT, "format_version": FORMAT_VERSION, "network": config.to_dict()}
    described = json.dumps({**own, **dict(metadata or {}), **own}, indent=2) + "\n"
    name = directory.resolve().name
    if card is None:
        card = Card(name, "unknown", UNKNOWN_TERMS, "Saved with mematte-plugin.")
    readme = card if isinstance(card, str) else render(card, config, name)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(str(directory), error) from None
    with ExitStack() as stack:  # which moves the last one first
        files = {
            name: stack.enter_context(atomic_write(directory / name))
            for name in (CONFIG, MODEL, README)
        }
        files[CONFIG].write_text(described, encoding="utf-8")
        files[README].write_text(readme, encoding="utf-8")
        header = {"format": "pt", METADATA_KEY: json.dumps(config.to_dict())}
        tensors = {key: _stored(key, one, dtype) for key, one in network.state_dict().items()}
        files[MODEL].write_bytes(save(tensors, metadata=header))
    return directory


def _stored(key: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    too_large = tensor.numel() > 0 and tensor.abs().max().item() > _FP16_MAX
    if dtype == torch.float16 and not too_large and ".running_" not in key:
        return tensor.to(torch.float16)
    return tensor.to(torch.float32)


def convert_weights(
    checkpoint: str | Path,
    directory: str | Path,
    *,
    overwrite: bool = False,
    licence: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Turn any checkpoint that `load_network` reads into our layout.

    Args:
        checkpoint: file, folder, catalog name or Hub id.
        directory: where config.json, model.safetensors and README.md go.
        overwrite: replace files of these names.
        licence: SPDX identifier of the weights, for the model card. By default the card repeats the
            catalog's terms, or says that they are unknown and probably non-commercial.
        dtype: float32 keeps the numbers; float16 halves the file.

    Returns: the directory.

    Raises WeightsError as `load_network`; OutputError if the directory already holds such files or
    cannot be written.
    """
    directory = Path(directory)
    present = [n for n in (CONFIG, MODEL, README) if (directory / n).exists()]
    if present and not overwrite:
        raise OutputError(
            f"{directory} already holds {', '.join(present)}; pass --overwrite (overwrite=True) or "
            "another folder"
        )
    files = resolve(checkpoint)
    network = read_network(files)
    entry = files.entry
    if entry is not None:
        terms = f"Trained on {entry.trained_on}. {entry.note}"
        default, origin = entry.licence, entry.repo_id or entry.name
    else:
        terms, default, origin = UNKNOWN_TERMS, "unknown", files.weights.name
        if licence:
            terms = f"Stated by the person who converted the file. {UNKNOWN_TERMS}"
    card = Card(
        title=directory.resolve().name,
        licence=licence or default,
        terms=terms,
        source=f"Converted from `{origin}` with mematte-plugin.",
    )
    facts = {"converted_from": origin, "licence": card.licence}
    return save_network(network, directory, dtype=dtype, card=card, metadata=facts)
