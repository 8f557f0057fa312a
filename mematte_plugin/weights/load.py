"""From a name, a Hub id, a folder or a file to a network that is ready to run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from ..network import MEMatte, NetworkConfig
from ..progress import Progress
from ..torch_state import own_state
from . import hub
from .catalog import BUNDLE_ROOT, CATALOG, Entry, Purpose, check_purpose, closest, find
from .files import (
    CONFIG,
    MODEL,
    PREPROCESSOR,
    SUFFIXES,
    WEIGHT_NAMES,
    ModelFiles,
    existing,
    hub_id,
    looks_like_path,
    read_json,
    shown,
)
from .formats import (
    FORMAT,
    check_shapes,
    checked_config,
    config_from_ours,
    config_from_shapes,
    config_from_transformers,
    network_keys,
    shapes_of,
    unwrap,
)
from .read import read_tensors
from .subjects import subject_weights

METADATA_KEY = "mematte"
"""Entry of a safetensors header that carries the NetworkConfig as JSON, so that the file can stand
alone."""
_MAX_GROWTH = 8
"""Bytes in float32 per byte of the file: 4 for the smallest dtype, doubled for shared storage."""


@dataclass(frozen=True)
class Availability:
    """A model of the catalog, and its weights if they are on this machine."""

    entry: Entry
    """The model."""
    path: Path | None
    """The weights file; None if it would have to be downloaded."""


def load_network(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> MEMatte:
    """A network in eval mode, float32, on the CPU.

    Args:
        name_or_path: catalog name (``mematte-tiny``), Hub id (``owner/name`` or
            ``owner/name@revision``), folder, or .safetensors / .pth / .pt / .ckpt / .bin file.
        revision: branch, tag or commit of a Hub repository.
        progress: called during a download, a few times a second, with (bytes done, bytes in all or
            0 while unknown, what is downloaded); what it raises ends the download and is passed on.
        folder: downloads go into a sub-folder of this one instead of the Hub's cache, and are
            found there again without a connection.

    Raises WeightsError if the weights are not found, not reachable, not trusted, damaged, or of
    another network.
    """
    return read_network(resolve(name_or_path, revision=revision, progress=progress, folder=folder))


def resolve(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> ModelFiles:
    """Find the files of a model, downloading them if they are not on this machine yet.

    A catalog name wins over a folder of the same name in the current directory; write ``./name``
    for the folder. Files from the Hub are looked for in `folder` and in the Hub's cache first; if
    they are there, no connection is made. See `load_network` for the arguments.

    Raises WeightsError as `load_network`, without looking inside the weights file.
    """
    name = str(name_or_path)
    if isinstance(name_or_path, str):
        base, _, pinned = name.partition("@")
        if entry := find(base):
            return _resolve_entry(entry, name, revision or pinned or None, progress, folder)
    if not name.strip():
        raise WeightsError(
            f"the model's name is empty; give one such as {next(iter(CATALOG))}, a Hub id or a path"
        )
    if (path := existing(name)) is not None:
        if revision is not None:
            raise WeightsError(f"{name} is a local path, it has no revisions; leave revision out")
        return _resolve_path(path, name)
    match = hub_id(name)
    if isinstance(name_or_path, Path) or looks_like_path(name):
        raise WeightsError(
            f"{shown(name)} does not exist; check the path, or give the name of a model"
        )
    if match is None:
        raise WeightsError(
            f"no model named {shown(name)!r}; did you mean {' or '.join(closest(name))}? "
            "A Hub id (owner/name), a folder or a checkpoint file works as well"
        )
    return hub.download(
        match.repo_id,
        revision=revision or match.revision or hub.MAIN,
        progress=progress,
        folder=folder,
    )


def _resolve_entry(
    entry: Entry,
    name: str,
    revision: str | None,
    progress: Progress | None,
    folder: Path | None,
) -> ModelFiles:
    check_purpose(entry, "matting")
    if entry.where == "hub":
        return hub.download(
            entry.repo_id,
            revision=revision or entry.revision,
            progress=progress,
            entry=entry,
            folder=folder,
        )
    if revision is not None:
        raise WeightsError(f"{name} comes with the package, it has no revisions")
    home = BUNDLE_ROOT / entry.name
    if not (home / MODEL).is_file() or not (home / CONFIG).is_file():
        raise WeightsError(f"{name} is missing from {home}; install mematte-plugin again")
    return ModelFiles(home / MODEL, home / CONFIG, None, entry)


def _resolve_path(path: Path, name: str) -> ModelFiles:
    if path.is_file():
        return _with_companions(path, path.parent if path.name in WEIGHT_NAMES else None)
    found = [path / n for n in WEIGHT_NAMES if (path / n).is_file()]
    if not found:
        try:
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise WeightsError(
                f"{name} cannot be read ({error.strerror}); check the folder and its rights"
            ) from None
        if not found:
            raise WeightsError(
                f"{name} holds no weights; a model folder has config.json and model.safetensors"
            )
        if len(found) > 1:
            raise WeightsError(
                f"{name} holds {len(found)} checkpoints ({', '.join(p.name for p in found[:3])}); "
                "give the path of one of them"
            )
    return _with_companions(found[0], path)


def _with_companions(weights: Path, folder: Path | None) -> ModelFiles:
    def companion(filename: str) -> Path | None:
        path = folder / filename if folder is not None else None
        return path if path is not None and path.is_file() else None

    return ModelFiles(weights, companion(CONFIG), companion(PREPROCESSOR))


def read_network(files: ModelFiles) -> MEMatte:
    """The network in these files: eval mode, float32, on the CPU.

    Raises WeightsError if they are unreadable, not trusted, incomplete, of wrong shapes or not
    finite.
    """
    with own_state(inference=False):
        return _read_network(files)


def _read_network(files: ModelFiles) -> MEMatte:
    source = str(files.weights)
    loaded, metadata = read_tensors(files.weights)
    raw = unwrap(loaded, source)
    network = _blank(_config_of(files, raw, metadata), source)
    state = network_keys(raw)
    expected = network.state_dict()
    check_shapes(shapes_of(state), shapes_of(expected), source)
    _check_size(state, files.weights)
    for key, tensor in state.items():
        if tensor.is_floating_point() != expected[key].is_floating_point():
            raise WeightsError(
                f"{source}: {key} is of {tensor.dtype}, which this network cannot use; take the "
                "unquantised weights"
            )
        # A copy: safetensors are mapped from the file, which may change or be deleted.
        state[key] = tensor.to(expected[key].dtype, copy=True)
        _check_finite(state[key], key, source)
    network.load_state_dict(state, assign=True)
    return network.eval()


def _check_size(state: dict[str, Tensor], path: Path) -> None:
    # A pickle can claim terabytes by repeating a few stored numbers, and the copy would hold them.
    claimed = sum(tensor.numel() for tensor in state.values()) * 4
    if claimed > _MAX_GROWTH * path.stat().st_size:
        raise WeightsError(
            f"{path} is refused: its tensors would take {claimed:,} bytes, many times the file's "
            "size; download it again from where you trust it"
        )


def _check_finite(tensor: Tensor, key: str, source: str) -> None:
    # The sum of finite numbers is nearly always finite, and quicker to check than all of them.
    if not tensor.sum().isfinite() and not tensor.isfinite().all():
        raise WeightsError(
            f"{source}: {key} holds NaN or infinite values; the training failed or the file is "
            "damaged: use other weights"
        )


def _config_of(
    files: ModelFiles, raw: dict[str, Tensor], metadata: dict[str, str]
) -> NetworkConfig:
    weights, config_path, preprocessor, _ = files
    if config_path is not None:
        source = str(config_path)
        config = read_json(config_path)
        if config.get("format") == FORMAT:
            return config_from_ours(config, source)
        if config.get("model_type") == "vitmatte":
            if preprocessor is None:
                raise WeightsError(
                    f"{source}: {PREPROCESSOR} is missing next to it; download it too, it says how "
                    "pixels are normalised"
                )
            return config_from_transformers(config, read_json(preprocessor), source)
        raise WeightsError(
            f"{source} describes neither a mematte nor a vitmatte network but "
            f"{config.get('model_type', 'something else')!r}; choose another model"
        )
    source = str(weights)
    if METADATA_KEY in metadata:
        try:
            values: Any = json.loads(metadata[METADATA_KEY])
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise WeightsError(f"{source}: its header is damaged; download it again")
        return checked_config(values, source)
    return config_from_shapes(raw, source)


def _blank(config: NetworkConfig, source: str) -> MEMatte:
    """The network's shapes without storage, however large the configuration claims it is."""
    try:
        with torch.device("meta"):
            return MEMatte(config).to(torch.float32)  # whatever the default dtype
    except (ValueError, TypeError, RuntimeError, IndexError, OverflowError) as error:
        raise WeightsError(
            f"{source}: its configuration describes no possible network ({error})"
        ) from None


def list_models(
    folder: Path | None = None, *, purpose: Purpose | None = "matting"
) -> list[Availability]:
    """The models of the catalog, with their weights if they are on this machine. Works offline.

    folder: where downloads of matting models may also be, see `load_network`.
    purpose: "matting" for networks that `load_network` takes; "subject", "clicks" or "words"
        for those that find the subject by itself, by clicks or a box, or by a word; None for all.
    """
    return [
        Availability(entry, _present(entry, folder))
        for entry in CATALOG.values()
        if purpose in (None, entry.purpose)
    ]


def _present(entry: Entry, folder: Path | None) -> Path | None:
    if entry.purpose != "matting":
        return subject_weights(entry)
    if entry.where == "hub":
        return hub.present(entry, folder)
    path = BUNDLE_ROOT / entry.name / MODEL
    return path if path.is_file() else None
