"""Reading checkpoint files without trusting them."""

from __future__ import annotations

import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import WeightsError
from .files import MAX_JSON, SUFFIXES

_HEAD = 512
_MAX_EXPANSION = 3
"""Checkpoints are stored uncompressed: they do not unpack to this many times their size."""
_NOT_WEIGHTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the weights; run `git lfs pull`"),
    (b"<", "a web page, not the weights; open its address in a browser and download the file"),
)


def read_tensors(path: Path) -> tuple[object, dict[str, str]]:
    """The contents of a checkpoint file, and its safetensors metadata (empty for pickles).

    Returns: a state dict on the CPU for .safetensors; for .pth, .pt, .ckpt and .bin whatever was
        saved, if it consists of tensors and plain containers. The dtypes are those of the file.

    Raises WeightsError for a file that is missing, of another kind, empty, truncated, corrupt, or a
    pickle that would run code, and if there is no memory for it.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise WeightsError(f"{path} is not a checkpoint; give one of {', '.join(SUFFIXES)}")
    _refuse_other_files(path)
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    return _read_pickle(path), {}


def _refuse_other_files(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None
    if not head:
        raise WeightsError(f"{path} is empty (0 bytes); download it again")
    for start, what in _NOT_WEIGHTS:
        if head.lstrip().startswith(start):
            raise WeightsError(f"{path} is {what}")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            keys = list(file.keys())
            return {key: file.get_tensor(key) for key in keys}, dict(metadata)
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, MemoryError) as error:
        raise _damaged(path, "a whole safetensors file", error) from None


def _read_pickle(path: Path) -> object:
    _refuse_zip_bomb(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; the outcome is checked anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes make the unpickler raise nearly anything
        culprit = _unsafe_global(path, str(error))
        if culprit is not None:
            raise WeightsError(
                f"{path} is refused: besides tensors it wants to load {culprit}, which could run "
                "code on this machine; if you trust its origin, save its state_dict() alone with "
                "safetensors.torch.save_file and load that file"
            ) from None
        raise _damaged(path, "a whole checkpoint", error) from None


def _damaged(path: Path, wanted: str, error: BaseException) -> WeightsError:
    # torch's own words where it has no memory for a tensor
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return WeightsError(
            f"{path} cannot be read: out of memory; close other programs or use a smaller model"
        )
    return WeightsError(f"{path} is not {wanted} ({_one_line(error)}); download it again")


def _refuse_zip_bomb(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # an old-style pickle, or damaged: torch will tell
    if unpacked > _MAX_EXPANSION * path.stat().st_size:
        raise WeightsError(
            f"{path} is refused: it would unpack to {unpacked:,} bytes, more than {_MAX_EXPANSION} "
            "times its size; checkpoints are not compressed"
        )


def _unsafe_global(path: Path, message: str) -> str | None:
    """The import for which a pickle was refused; None if it was refused for another reason."""
    named = re.search(r"GLOBAL ([\w.]+)", message)
    if named:
        return named[1]
    if "eights only load failed" not in message and "eightsUnpickler" not in message:
        return None
    # Newer pickle protocols are rejected before the import is reached. genops only tokenises.
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(_pickle_bytes(path))):
            if opcode.name in {"GLOBAL", "INST"}:
                name = str(argument).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL" and len(strings) > 1:
                name = ".".join(strings[-2:])
            else:
                if isinstance(argument, str):
                    strings.append(argument)
                continue
            if not name.startswith(("torch.", "collections.OrderedDict")):
                return name
    except (ValueError, OSError, KeyError, zipfile.BadZipFile):
        return None
    return None


def _pickle_bytes(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return file.read(MAX_JSON)
    with zipfile.ZipFile(path) as archive:
        name = next((n for n in archive.namelist() if n.endswith("data.pkl")), "data.pkl")
        return archive.read(name)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    text = text.split(". ")[0]
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
