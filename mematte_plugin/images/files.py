"""Whole files or none: the one atomic writer, and the checks before expensive work."""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError, OutputError

_TEMPORARY = re.compile(r"\.(?P<stem>.+)\.[0-9a-f]{8}\.tmp", re.DOTALL)
_LONGEST = 100  # bytes of a name, which file systems limit


@contextlib.contextmanager
def atomic_write(path: Path, name: str | None = None) -> Iterator[Path]:
    """A temporary path next to `path`, which replaces it at the end, or is removed if that failed.

    path: the file to write; if it exists, it stays until then, and its mode is kept. A symbolic
        link is written through; a device or pipe gets the bytes.
    name: what messages call it; default: the path.

    Raises OutputError if the disk is full or the file cannot be written.
    """
    name = name or str(path)
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with _os_errors(name):
            device = path.open("wb", buffering=0)
        with device, copied_to(device, name) as copied:
            yield copied
        return
    temporary = path.with_name(f".{temporary_stem(path.name)}.{secrets.token_hex(4)}.tmp")
    try:
        with _os_errors(name):
            yield temporary
            if path.exists():
                shutil.copymode(path, temporary)
            temporary.replace(path)
    finally:  # also after KeyboardInterrupt
        with contextlib.suppress(OSError):  # it must not hide what went wrong
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def copied_to(file: BinaryIO, name: str) -> Iterator[Path]:
    """A temporary path, the content of which is copied into an open file at the end."""
    with _os_errors(name), tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "output"
        yield temporary
        with temporary.open("rb") as done:
            shutil.copyfileobj(done, file)
        file.flush()


@contextlib.contextmanager
def _os_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_error(name, error) from error


def temporary_stem(name: str) -> str:
    """What the temporary files of a file of this name have in common."""
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST:
        return name
    return raw[:_LONGEST].decode(errors="ignore") + hashlib.sha1(raw).hexdigest()[:8]


def leftovers(folder: Path) -> dict[str, list[Path]]:
    """Temporary files of `atomic_write` in a folder, by their `temporary_stem`."""
    found: dict[str, list[Path]] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match and entry.is_file(follow_symlinks=False):
                found.setdefault(match["stem"], []).append(Path(entry.path))
    return found


def read_file(path: Path, name: str) -> bytes:
    """The whole content of an input file. Raises InputError if there is none."""
    try:
        if path.is_dir():
            raise InputError(f"{name}: is a folder; give one image file (or use the batch command)")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file; check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        name = name.replace("\0", "\\0")  # terminals cannot show NUL
        raise InputError(f"{name}: cannot be read ({reason}); check the path and rights") from error


def write_text(target: str | os.PathLike[str], text: str, *, overwrite: bool = False) -> None:
    """Write a text file (UTF-8), all of it or nothing. Errors as of `check_file`, and a full disk.

    overwrite: replace an existing file; until the new one is complete the old one stays.
    """
    name = path_name(target)
    check_file(name, overwrite=overwrite)
    with atomic_write(Path(name), name) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_file(target: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Fail before the work if a file of any kind cannot be written.

    Raises OutputError: it exists and is not to be replaced, or its folder is missing or read-only.
    """
    name = path_name(target)
    path = Path(os.path.realpath(name))
    try:
        if path.is_dir():
            raise OutputError(f"{name}: is a folder; name a file in it")
        if not path.parent.exists():
            raise OutputError(f"{name}: the folder {path.parent} does not exist; create it first")
        if not path.parent.is_dir():
            raise OutputError(f"{name}: {path.parent} is a file, not a folder; choose another path")
        regular = path.is_file()
        new = not path.exists()
    except OSError as error:
        raise os_error(name, error) from error
    if regular and not overwrite:
        raise OutputError(f"{name}: exists; pass --overwrite (overwrite=True) or another name")
    if (regular or new) and not os.access(path.parent, os.W_OK):
        raise OutputError(f"{name}: the folder {path.parent} is read-only; choose another one")


def path_name(target: Any) -> str:
    """The path as text. Raises OutputError for anything that cannot name a file."""
    name = os.fspath(target) if isinstance(target, str | os.PathLike) else None
    if not isinstance(name, str):
        kind = "bytes" if isinstance(name, bytes) else type(target).__name__
        raise OutputError(f"the output: cannot be written to {kind}; give a path, as hair.png")
    if not name:
        raise OutputError("the output: no output name given; give a path, as hair.png")
    if "\0" in name:
        raise OutputError(f"{name!r}: holds a NUL character; choose another name")
    return name


def os_error(name: str, error: OSError) -> OutputError:
    """The error for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"{name}: the disk is full; free some space or choose another folder")
    reason = error.strerror or error
    return OutputError(f"{name}: cannot be written ({reason}); choose another path")
